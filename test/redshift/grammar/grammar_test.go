package grammar_test

import (
	"strings"
	"testing"

	"github.com/walshift/walshift/test/redshift/conform"
	"github.com/walshift/walshift/test/redshift/grammar"
	"github.com/walshift/walshift/test/redshift/internal/lex"
)

// TestCheckTakesWhatRedshiftTakes parses every statement that the conformance
// cases say Redshift takes.
func TestCheckTakesWhatRedshiftTakes(t *testing.T) {
	t.Parallel()
	cases, err := conform.Load("../facts")
	if err != nil {
		t.Fatal(err)
	}
	const every = 10 // the parser is slow
	n := 0
	for _, c := range cases {
		if !strings.HasPrefix(c.Group, "accepted") {
			continue
		}
		for _, s := range c.Steps {
			sql := strings.NewReplacer("{{schema}}", "s", "{{user}}", "u", "{{database}}", "d", "{{other}}", "o").Replace(s.SQL)
			if s.Code != "" || strings.Contains(sql, "{{") {
				continue
			}
			toks, err := lex.Scan(sql)
			if err != nil {
				t.Fatal(err)
			}
			for _, part := range lex.Split(toks) {
				n++
				if c.Group != "accepted" && n%every != 0 {
					continue
				}
				one := sql[part[0].Pos:part[len(part)-1].End]
				if err := grammar.Check(one); err != nil {
					t.Errorf("%s: %v", one, err)
				}
			}
		}
	}
	if n < 100 {
		t.Errorf("only %d statements", n)
	}
}

func TestCheckRefusesNonsense(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{"SELECT FROM WHERE", "SELECT (1", "CREATE TABLE", "'open"} {
		if grammar.Check(sql) == nil {
			t.Errorf("%s was taken", sql)
		}
	}
	if err := grammar.Check(`SELECT 'it\'s', '\\N'`); err != nil {
		t.Error(err)
	}
}
