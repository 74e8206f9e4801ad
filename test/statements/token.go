package statements

import (
	"regexp"
	"strings"
)

type kind uint8

const (
	word kind = iota + 1
	quoted
	literal
	op
)

// token is a piece of a statement. Name tokens hold their text without quotes.
type token struct {
	kind kind
	text string
	// space says that blanks or a comment came before.
	space bool
}

func (t token) is(text string) bool {
	return (t.kind == word || t.kind == op) && strings.EqualFold(t.text, text)
}

//nolint:gochecknoglobals // constants; Redshift's backslash always escapes, PostgreSQL's only after E
var (
	sourceLexer   = lexer(`'(?:[^']|'')*'`)
	redshiftLexer = lexer(`'(?:[^'\\]|\\.|'')*'`)
)

// lexer is one pattern with a group per kind of token; blanks and comments
// come first.
func lexer(text string) *regexp.Regexp {
	return regexp.MustCompile(`(?s)^(?:` +
		`(\s+|--[^\n]*|/\*.*?\*/)` +
		`|([eE]'(?:[^'\\]|\\.|'')*'|` + text + `|\$[A-Za-z_]*\$.*?\$[A-Za-z_]*\$|[0-9A-F]+/[0-9A-F]+|[0-9]+(?:\.[0-9]+)?)` +
		`|"((?:[^"]|"")*)"` +
		`|([\p{L}_][\p{L}0-9_$]*|\$[0-9]+)` +
		`|(::|<>|<=|>=|\|\||.)` +
		`)`)
}

func scan(side Side, sql string) []token {
	pattern := sourceLexer
	if side == Redshift {
		pattern = redshiftLexer
	}
	var out []token
	space := false
	for sql != "" {
		m := pattern.FindStringSubmatch(sql)
		sql = sql[len(m[0]):]
		t := token{space: space}
		switch {
		case m[1] != "":
			space = true
			continue
		case m[2] != "":
			t.kind, t.text = literal, m[2]
		case strings.HasPrefix(m[0], `"`):
			t.kind, t.text = quoted, strings.ReplaceAll(m[3], `""`, `"`)
		case m[4] != "":
			t.kind, t.text = word, m[4]
		default:
			t.kind, t.text = op, m[5]
		}
		out, space = append(out, t), false
	}
	return out
}

// split cuts a text with several statements at its semicolons.
func split(tokens []token) [][]token {
	var out [][]token
	start := 0
	for i, t := range tokens {
		if t.kind == op && t.text == ";" {
			if i > start {
				out = append(out, tokens[start:i])
			}
			start = i + 1
		}
	}
	if start < len(tokens) {
		out = append(out, tokens[start:])
	}
	return out
}
