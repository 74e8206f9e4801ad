package sqltext

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// MaxIdentifier is the longest identifier in bytes; Redshift cuts longer ones
// without a word (r_names).
const MaxIdentifier = 127

// ErrBadName reports a name that Redshift would not keep as it is.
var ErrBadName = errors.New("name can't be used on Redshift")

// ErrBadValue reports a value that has no literal.
var ErrBadValue = errors.New("value has no Redshift literal")

// Ident returns name as a quoted identifier. The server folds ASCII letters to
// lower case even inside quotes, unless enable_case_sensitive_identifier is
// on; see [Fold]. The error wraps ErrBadName.
func Ident(name string) (string, error) {
	switch {
	case name == "":
		return "", fmt.Errorf("%w: it is empty", ErrBadName)
	case len(name) > MaxIdentifier:
		return "", fmt.Errorf("%w: %q has %d bytes, the limit is %d", ErrBadName, name, len(name), MaxIdentifier)
	case strings.IndexByte(name, 0) >= 0:
		return "", fmt.Errorf("%w: %q contains a NUL", ErrBadName, name)
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`, nil
}

// Literal returns value as a string literal. Redshift reads a backslash inside
// '…' as an escape and has no E'…', so both it and the quote are doubled. The
// error wraps ErrBadValue and never shows the value.
func Literal(value string) (string, error) {
	if strings.IndexByte(value, 0) >= 0 {
		return "", fmt.Errorf("%w: it contains a NUL", ErrBadValue)
	}
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(value) + "'", nil
}

// Fold returns the name under which Redshift stores an identifier while
// enable_case_sensitive_identifier is off: ASCII letters become lower case.
func Fold(name string) string {
	b := []byte(name)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// Name is a table's qualified name, unquoted.
type Name struct{ Schema, Table string }

// String returns schema.table for messages; it is not quoted for SQL.
func (n Name) String() string { return n.Schema + "." + n.Table }

// writer builds one statement and keeps its first error, so that builders
// read like the statement that they build.
type writer struct {
	b   strings.Builder
	err error
}

func (w *writer) raw(parts ...string) *writer {
	for _, p := range parts {
		w.b.WriteString(p)
	}
	return w
}

func (w *writer) add(text string, err error) *writer {
	if w.err == nil {
		w.err = err
	}
	return w.raw(text)
}

func (w *writer) ident(name string) *writer { return w.add(Ident(name)) }
func (w *writer) lit(value string) *writer  { return w.add(Literal(value)) }

func (w *writer) name(n Name) *writer { return w.ident(n.Schema).raw(".").ident(n.Table) }

// column writes a column qualified by its table's whole name.
func (w *writer) column(n Name, column string) *writer {
	return w.name(n).raw(".").ident(column)
}

func (w *writer) uint(n uint64) *writer { return w.raw(strconv.FormatUint(n, 10)) }

func (w *writer) int(n int) *writer { return w.raw(strconv.Itoa(n)) }

// list calls each for every place below n, with commas between.
func (w *writer) list(n int, each func(i int)) *writer {
	for i := range n {
		if i > 0 {
			w.raw(", ")
		}
		each(i)
	}
	return w
}

func (w *writer) idents(names []string) *writer {
	return w.list(len(names), func(i int) { w.ident(names[i]) })
}

func (w *writer) lits(values []string) *writer {
	return w.list(len(values), func(i int) { w.lit(values[i]) })
}

// done returns the statement, or its first error without any text.
func (w *writer) done() (string, error) {
	if w.err != nil {
		return "", w.err
	}
	return w.b.String(), nil
}
