// Package copytext reads one file as the stand-in's COPY does, without a
// server: what a test writes for Redshift can be held against what COPY would
// store of it. It is the reader of the stand-in itself (internal/load, under
// the options that [Options] makes of the statement), not another one.
//
// A [Reader] is safe for concurrent use.
package copytext

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/walshift/walshift/test/redshift/internal/lex"
	"github.com/walshift/walshift/test/redshift/internal/load"
	"github.com/walshift/walshift/test/redshift/internal/sqlrule"
)

// Value is what a column holds after the COPY. Text is in the form in which
// the stand-in stores it: a DECIMAL with all digits of its scale, hexadecimal
// digits for VARBYTE, JSON without blanks for SUPER. It is empty for NULL.
type Value struct {
	Null bool
	Text string
}

// Reader reads files as one COPY into one table does.
type Reader struct {
	columns []load.Column
	options load.Options
}

// New returns a reader for the table that create, a CREATE TABLE, makes and the
// options of copy, a COPY into all its columns in order. Both are refused as
// the stand-in would refuse them.
func New(create, copyFrom string) (*Reader, error) {
	table, err := compile(create)
	if err != nil {
		return nil, err
	}
	def, err := compile(copyFrom)
	if err != nil {
		return nil, err
	}
	if table.Table == nil || def.Copy == nil {
		return nil, errors.New("making a reader: a CREATE TABLE and a COPY are wanted")
	}
	r := &Reader{options: Options(def.Copy)}
	for _, c := range table.Table.Columns {
		r.columns = append(r.columns, load.Column{
			Name: c.Name, Type: c.Type.Base, Len: c.Type.Len, Prec: c.Type.Prec, Scale: c.Type.Scale, NotNull: c.NotNull,
		})
	}
	return r, nil
}

func compile(statement string) (*sqlrule.Statement, error) {
	toks, err := lex.Scan(statement)
	if err == nil && len(toks) == 0 {
		err = errors.New("it is empty")
	}
	if err != nil {
		return nil, fmt.Errorf("scanning a statement: %w", err)
	}
	st, err := sqlrule.Compile(statement, toks, sqlrule.Options{Unique: "copytext"})
	if err != nil {
		return nil, fmt.Errorf("compiling a statement: %w", err)
	}
	return st, nil
}

// Options are the options of a COPY that concern values.
func Options(d *sqlrule.CopyDef) load.Options {
	o := load.Options{
		Format: d.Format, JSON: d.Paths, Widths: d.Widths, Compression: d.Compression, Encoding: d.Encoding, Null: d.Null, DefaultNull: d.Null == `\N`,
		DateFormat: d.DateFormat, TimeFormat: d.TimeFormat, AcceptInvalid: d.AcceptInvalid, BlanksAsNull: d.BlanksAsNull,
		EmptyAsNull: d.EmptyAsNull, Escape: d.Escape, FillRecord: d.FillRecord, IgnoreBlankLines: d.IgnoreBlankLines,
		RemoveQuotes: d.RemoveQuotes, RoundDec: d.RoundDec, TrimBlanks: d.TrimBlanks, TruncateColumns: d.TruncateColumns,
		AcceptAnyDate: d.AcceptAnyDate, IgnoreHeader: d.IgnoreHeader, MaxError: d.MaxError,
	}
	first := func(s string) byte {
		if s == "" {
			return 0
		}
		return s[0]
	}
	o.Delimiter, o.Quote, o.InvalidChar = first(d.Delimiter), first(d.Quote), first(d.InvalidChar)
	return o
}

// Read returns the rows that the file's COPY would store. An error is the load
// error of the first row that can't be loaded, or one of the statement.
func (r *Reader) Read(ctx context.Context, file []byte) ([][]Value, error) {
	var out bytes.Buffer
	l := load.Loader{
		Store: object{file}, Columns: r.columns, Options: r.options,
		Emit: func(rows []byte) error {
			out.Write(rows)
			return nil
		},
	}
	res, err := l.Run(ctx, []load.File{{Bucket: "copytext", Key: "file"}})
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading a file: %w", err)
	case len(res.Failures) > 0:
		f := res.Failures[0]
		return nil, fmt.Errorf("%w: column %v: %s", f, f.Column, f.Message)
	}
	return r.rows(out.String())
}

// rows takes PostgreSQL's COPY text format apart.
func (r *Reader) rows(text string) ([][]Value, error) {
	var rows [][]Value
	for line := range strings.Lines(text) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(fields) != len(r.columns) {
			return nil, fmt.Errorf("reading a file: a row has %d columns instead of %d", len(fields), len(r.columns))
		}
		row := make([]Value, len(fields))
		for i, f := range fields {
			row[i] = value(f, r.columns[i].Type)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// value undoes the escapes of one field, and the marks that the backend's
// types want.
func value(field, typ string) Value {
	if field == `\N` {
		return Value{Null: true}
	}
	text := strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r", `\t`, "\t").Replace(field)
	switch typ {
	case "varbyte":
		text = strings.TrimPrefix(text, `\x`)
	case "super":
		text = strings.TrimPrefix(text, "\x01")
	}
	return Value{Text: text}
}

// object is a store of one file.
type object struct{ body []byte }

func (o object) Open(context.Context, string, string) (io.ReadCloser, int64, error) {
	return io.NopCloser(bytes.NewReader(o.body)), int64(len(o.body)), nil
}

func (o object) Size(context.Context, string, string) (int64, error) { return int64(len(o.body)), nil }

func (o object) List(context.Context, string, string) ([]string, error) {
	return []string{"file"}, nil
}
