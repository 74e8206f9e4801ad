package lex_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/walshift/walshift/test/redshift/internal/lex"
)

// vals gives the tokens of src as "kind:val".
func vals(t *testing.T, src string) string {
	t.Helper()
	toks, err := lex.Scan(src)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"", "word", "quoted", "string", "prefixed", "dollar", "number", "param", "op"}
	var out []string
	for _, tok := range toks {
		if src[tok.Pos:tok.End] != tok.Text {
			t.Errorf("%q is not where it says", tok.Text)
		}
		out = append(out, names[tok.Kind]+":"+tok.Val)
	}
	return strings.Join(out, " ")
}

func TestScan(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]string{
		`SELECT 'it\'s', 'a''b', '\\N', '\101'`: `word:select string:it's op:, string:a'b op:, string:\N op:, string:A`,
		`a /* x /* y */ z */ b -- c`:            `word:a word:b`,
		`"A""b".c#1 #tmp`:                       `quoted:A"b op:. word:c op:# number:1 word:#tmp`,
		`a::int8 >= -1.5e3 || $1`:               `word:a op::: word:int8 op:>= op:- number:1.5e3 op:|| param:$1`,
		`E'x' b'1' U&'y' e`:                     `prefixed:e prefixed:b prefixed:u word:e`,
		`$$ a;b $$ $t$x$$y$t$`:                  `dollar: a;b  dollar:x$$y`,
		"a=-1;b<>--c\n2":                        `word:a op:= op:- number:1 op:; word:b op:<> number:2`,
		`s3 x1_é`:                               `word:s3 word:x1_é`,
	} {
		if got := vals(t, src); got != want {
			t.Errorf("%s\n got %s\nwant %s", src, got, want)
		}
	}
	for _, src := range []string{`'a`, `"a`, `/* a`, `$$a`, `'a\'`} {
		if _, err := lex.Scan(src); err == nil {
			t.Errorf("%s was taken", src)
		}
	}
}

// TestScanCoversText checks that nothing but blanks and comments is lost.
func TestScanCoversText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		parts := rapid.SliceOf(rapid.SampledFrom([]string{"a", " ", "1", "'x'", `"y"`, "+", "(", ";", "$1", ".", "::", "<=", "\n"})).Draw(rt, "parts")
		src := strings.Join(parts, "")
		toks, err := lex.Scan(src)
		if err != nil {
			rt.Fatal(err)
		}
		var b strings.Builder
		for _, tok := range toks {
			b.WriteString(tok.Text)
		}
		if want := strings.NewReplacer(" ", "", "\n", "").Replace(src); b.String() != want {
			rt.Fatalf("%q became %q", src, b.String())
		}
	})
}
