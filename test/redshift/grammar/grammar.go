// Package grammar asks an independent grammar whether a statement is
// Redshift's. It is a positive check only: the grammar accepts much that
// Redshift does not, so the stand-in's own rules come first.
//
// It stands apart from package redshift because its parser is large.
package grammar

import (
	"fmt"
	"strings"

	"github.com/antlr4-go/antlr/v4"
	"github.com/bytebase/parser/redshift"

	"github.com/walshift/walshift/test/redshift/internal/lex"
)

// maxChecked is the longest text that is parsed: long lists of values take the
// parser seconds and show nothing new.
const maxChecked = 8 << 10

// Check returns nil if the grammar knows the statement, or if it is longer than
// 8 KiB. It is safe for concurrent use.
func Check(sql string) error {
	if len(sql) > maxChecked {
		return nil
	}
	toks, err := lex.Scan(sql)
	if err != nil {
		return fmt.Errorf("scanning statement: %w", err)
	}
	if gap(toks) {
		return nil
	}
	sql = plainStrings(sql, toks)
	listener := &firstError{}
	lexer := redshift.NewRedshiftLexer(antlr.NewInputStream(sql))
	lexer.RemoveErrorListeners()
	lexer.AddErrorListener(listener)
	p := redshift.NewRedshiftParser(antlr.NewCommonTokenStream(lexer, antlr.TokenDefaultChannel))
	p.RemoveErrorListeners()
	p.AddErrorListener(listener)
	p.Root()
	return listener.err
}

// plainStrings writes literals without backslash escapes, which the grammar does
// not know.
func plainStrings(sql string, toks []lex.Token) string {
	var b strings.Builder
	last := 0
	for _, t := range toks {
		if t.Kind == lex.String {
			b.WriteString(sql[last:t.Pos])
			b.WriteString("'" + strings.NewReplacer("'", "''", `\\`, "/").Replace(t.Val) + "'")
			last = t.End
		}
	}
	b.WriteString(sql[last:])
	return b.String()
}

// gap reports whether a statement has what the grammar is known to miss.
func gap(toks []lex.Token) bool {
	// It wants authorization before all other options, and knows no FIXEDWIDTH
	// after FORMAT, no JSON and HEADER of UNLOAD. The stand-in's own table of
	// options is complete.
	if len(toks) > 0 && (toks[0].Is("copy") || toks[0].Is("unload")) {
		return true
	}
	for i, t := range toks {
		if t.Kind != lex.Word {
			continue
		}
		paren := i+1 < len(toks) && toks[i+1].Is("(")
		switch {
		case missing(t.Val), i > 0 && t.Val == "nulls" && (toks[i-1].Is("ignore") || toks[i-1].Is("respect")), i > 0 && t.Val == "top" && toks[i-1].Is("distinct"),
			t.Val == "at" && i+1 < len(toks) && toks[i+1].Kind == lex.Word && !toks[i+1].Is("time"):
			return true
		case t.Text[0] == '#', t.Val == "approximate", t.Val == "sortkey" && i+1 < len(toks) && toks[i+1].Is("auto"):
			return true
		case (t.Val == "distkey" || t.Val == "sortkey" || t.Val == "diststyle") && toks[0].Is("select"): // columns of system views
			return true
		case (t.Val == "varbyte" || t.Val == "varbinary") && !paren:
			return true
		}
	}
	return false
}

// missing lists words that the grammar does not know, or takes for reserved.
func missing(w string) bool {
	switch w {
	case "pivot", "unpivot", "unnest", "try_cast", "ci", "cs", "backup", "connect", "window", "show":
		return true
	}
	return false
}

type firstError struct {
	antlr.DefaultErrorListener
	err error
}

// SyntaxError keeps the first error.
func (f *firstError) SyntaxError( //nolint:revive // antlr's interface
	_ antlr.Recognizer, _ any, line, column int, msg string, _ antlr.RecognitionException,
) {
	if f.err == nil {
		f.err = fmt.Errorf("syntax error at line %d column %d: %s", line, column, msg)
	}
}
