// Package lex cuts Redshift SQL into tokens.
//
// It knows Redshift's lexical rules and not PostgreSQL's: a backslash always
// escapes inside a quoted string, names may begin with '#' (temporary tables),
// comments nest. Refusals and rewriting work on these tokens and never on raw
// text, so that a word in a comment or a literal is never taken for syntax.
package lex

import (
	"errors"
	"fmt"
	"strings"
)

// Kind tells what a token is.
type Kind uint8

// The kinds of tokens.
const (
	// Word is a keyword or an unquoted name; Val is its lower-case form.
	Word Kind = iota + 1
	// Quoted is a name in double quotes; Val has the quotes removed.
	Quoted
	// String is a literal in single quotes; Val is its decoded value.
	String
	// Prefixed is a literal with a letter before the quote (E'', B'', X'',
	// N'', U&''); Val is the lower-case prefix.
	Prefixed
	// Dollar is a dollar-quoted literal.
	Dollar
	// Number is a numeric literal.
	Number
	// Param is a parameter such as $1.
	Param
	// Op is an operator or a single punctuation character.
	Op
)

// ErrUnterminated says that a quote or a comment is never closed.
var ErrUnterminated = errors.New("unterminated quoted string or comment")

// Token is one token of a statement.
type Token struct {
	Kind Kind
	// Text is the token as written.
	Text string
	// Val is the token's meaning, see Kind; elsewhere equal to Text.
	Val string
	// Pos and End are byte offsets in the source text.
	Pos, End int
}

// Is reports whether the token is the unquoted word w (lower case) or the
// operator w.
func (t Token) Is(w string) bool {
	return (t.Kind == Word || t.Kind == Op) && t.Val == w
}

// IsName reports whether the token can name something.
func (t Token) IsName() bool { return t.Kind == Word || t.Kind == Quoted }

// Scan returns the tokens of src, comments and blanks left out.
func Scan(src string) ([]Token, error) {
	s := scanner{src: src, toks: make([]Token, 0, len(src)/5+4)}
	for {
		if err := s.blanks(); err != nil {
			return nil, err
		}
		if s.i >= len(s.src) {
			return s.toks, nil
		}
		if err := s.token(); err != nil {
			return nil, err
		}
	}
}

// Split cuts tokens at semicolons; empty statements are dropped.
func Split(toks []Token) [][]Token {
	var out [][]Token
	start := 0
	for i, t := range toks {
		if t.Is(";") {
			if i > start {
				out = append(out, toks[start:i])
			}
			start = i + 1
		}
	}
	if start < len(toks) {
		out = append(out, toks[start:])
	}
	return out
}

type scanner struct {
	src  string
	i    int
	toks []Token
}

func (s *scanner) add(k Kind, start int, val string) {
	s.toks = append(s.toks, Token{Kind: k, Text: s.src[start:s.i], Val: val, Pos: start, End: s.i})
}

func (s *scanner) at(off int) byte {
	if s.i+off < len(s.src) {
		return s.src[s.i+off]
	}
	return 0
}

func (s *scanner) blanks() error {
	for s.i < len(s.src) {
		switch c := s.src[s.i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v':
			s.i++
		case c == '-' && s.at(1) == '-':
			n := strings.IndexByte(s.src[s.i:], '\n')
			if n < 0 {
				s.i = len(s.src)
				return nil
			}
			s.i += n + 1
		case c == '/' && s.at(1) == '*':
			if err := s.comment(); err != nil {
				return err
			}
		default:
			return nil
		}
	}
	return nil
}

func (s *scanner) comment() error {
	start, depth := s.i, 0
	for s.i < len(s.src) {
		switch {
		case s.at(0) == '/' && s.at(1) == '*':
			depth++
			s.i += 2
		case s.at(0) == '*' && s.at(1) == '/':
			depth--
			s.i += 2
			if depth == 0 {
				return nil
			}
		default:
			s.i++
		}
	}
	return fmt.Errorf("scanning comment at byte %d: %w", start, ErrUnterminated)
}

func (s *scanner) token() error {
	start, c := s.i, s.src[s.i]
	switch {
	case c == '\'':
		val, err := s.quotedString()
		if err != nil {
			return err
		}
		s.add(String, start, val)
	case c == '"':
		val, err := s.quotedName()
		if err != nil {
			return err
		}
		s.add(Quoted, start, val)
	case isWordStart(c), c == '#' && isWordStart(s.at(1)):
		return s.word()
	case isDigit(c), c == '.' && isDigit(s.at(1)):
		s.number()
	case c == '$':
		return s.dollar()
	case strings.IndexByte("()[],;.", c) >= 0:
		s.i++
		s.add(Op, start, s.src[start:s.i])
	case c == ':':
		s.i++
		if s.at(0) == ':' || s.at(0) == '=' {
			s.i++
		}
		s.add(Op, start, s.src[start:s.i])
	default:
		s.operator()
	}
	return nil
}

func (s *scanner) word() error {
	start := s.i
	s.i++
	for s.i < len(s.src) && (isWordStart(s.src[s.i]) || isDigit(s.src[s.i]) || s.src[s.i] == '$') {
		s.i++
	}
	val := Lower(s.src[start:s.i])
	isPrefix := val == "e" || val == "b" || val == "x" || val == "n"
	uni := val == "u" && s.at(0) == '&' && (s.at(1) == '\'' || s.at(1) == '"')
	if isPrefix && s.at(0) == '\'' || uni {
		if uni {
			s.i++
		}
		if s.at(0) == '"' {
			if _, err := s.quotedName(); err != nil {
				return err
			}
		} else if _, err := s.quotedString(); err != nil {
			return err
		}
		s.add(Prefixed, start, val)
		return nil
	}
	s.add(Word, start, val)
	return nil
}

func (s *scanner) quotedString() (string, error) {
	start := s.i
	var b strings.Builder
	for s.i++; s.i < len(s.src); s.i++ {
		switch c := s.src[s.i]; {
		case c == '\'' && s.at(1) == '\'':
			b.WriteByte('\'')
			s.i++
		case c == '\'':
			s.i++
			return b.String(), nil
		case c == '\\' && s.i+1 < len(s.src):
			s.i++
			s.escape(&b)
		default:
			b.WriteByte(c)
		}
	}
	return "", fmt.Errorf("scanning string at byte %d: %w", start, ErrUnterminated)
}

// escape decodes the escape whose backslash has been passed; s.i stays on its
// last byte.
func (s *scanner) escape(b *strings.Builder) {
	switch c := s.src[s.i]; {
	case c == 'b':
		b.WriteByte('\b')
	case c == 'f':
		b.WriteByte('\f')
	case c == 'n':
		b.WriteByte('\n')
	case c == 'r':
		b.WriteByte('\r')
	case c == 't':
		b.WriteByte('\t')
	case c >= '0' && c <= '7':
		v := int(c - '0')
		for n := 0; n < 2 && s.at(1) >= '0' && s.at(1) <= '7'; n++ {
			s.i++
			v = v*8 + int(s.src[s.i]-'0')
		}
		b.WriteByte(byte(v & 0xff))
	default:
		b.WriteByte(c)
	}
}

func (s *scanner) quotedName() (string, error) {
	start := s.i
	var b strings.Builder
	for s.i++; s.i < len(s.src); s.i++ {
		switch {
		case s.src[s.i] == '"' && s.at(1) == '"':
			b.WriteByte('"')
			s.i++
		case s.src[s.i] == '"':
			s.i++
			return b.String(), nil
		default:
			b.WriteByte(s.src[s.i])
		}
	}
	return "", fmt.Errorf("scanning name at byte %d: %w", start, ErrUnterminated)
}

func (s *scanner) number() {
	start := s.i
	for isDigit(s.at(0)) {
		s.i++
	}
	if s.at(0) == '.' && s.at(1) != '.' {
		s.i++
		for isDigit(s.at(0)) {
			s.i++
		}
	}
	if c := s.at(0); c == 'e' || c == 'E' {
		n := 1
		if s.at(1) == '+' || s.at(1) == '-' {
			n = 2
		}
		if isDigit(s.at(n)) {
			s.i += n
			for isDigit(s.at(0)) {
				s.i++
			}
		}
	}
	s.add(Number, start, s.src[start:s.i])
}

func (s *scanner) dollar() error {
	start := s.i
	s.i++
	if isDigit(s.at(0)) {
		for isDigit(s.at(0)) {
			s.i++
		}
		s.add(Param, start, s.src[start:s.i])
		return nil
	}
	for s.i < len(s.src) && (isWordStart(s.src[s.i]) || isDigit(s.src[s.i])) {
		s.i++
	}
	if s.at(0) != '$' {
		s.i = start + 1
		s.add(Op, start, "$")
		return nil
	}
	s.i++
	tag := s.src[start:s.i]
	n := strings.Index(s.src[s.i:], tag)
	if n < 0 {
		return fmt.Errorf("scanning dollar quote at byte %d: %w", start, ErrUnterminated)
	}
	body := s.src[s.i : s.i+n]
	s.i += n + len(tag)
	s.add(Dollar, start, body)
	return nil
}

const opChars = "+-*/<>=~!@#%^&|`?"

// operator takes the longest operator, by PostgreSQL's rule: one of several
// characters may end in + or - only if it holds one of ~!@#%^&|`?.
func (s *scanner) operator() {
	start := s.i
	for s.i < len(s.src) && strings.IndexByte(opChars, s.src[s.i]) >= 0 {
		if s.i > start && (s.at(0) == '-' && s.at(1) == '-' || s.at(0) == '/' && s.at(1) == '*') {
			break
		}
		s.i++
	}
	if s.i == start {
		s.i++
	}
	for s.i-start > 1 && (s.src[s.i-1] == '+' || s.src[s.i-1] == '-') &&
		!strings.ContainsAny(s.src[start:s.i], "~!@#%^&|`?") {
		s.i--
	}
	s.add(Op, start, s.src[start:s.i])
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isWordStart(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

// Lower folds ASCII letters, as Redshift folds names.
func Lower(s string) string {
	for i := range len(s) {
		if s[i] >= 'A' && s[i] <= 'Z' {
			b := []byte(s)
			for j := i; j < len(b); j++ {
				if b[j] >= 'A' && b[j] <= 'Z' {
					b[j] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}
