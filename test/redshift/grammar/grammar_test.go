package grammar_test

import (
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/walshift/walshift/test/redshift/grammar"
	"github.com/walshift/walshift/test/redshift/internal/lex"
)

// TestCheckTakesWhatRedshiftTakes parses every statement that the conformance
// cases say Redshift takes.
func TestCheckTakesWhatRedshiftTakes(t *testing.T) {
	t.Parallel()
	body, err := os.ReadFile("../facts/accepted.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Steps []struct {
			SQL string `yaml:"sql"`
		} `yaml:"steps"`
	}
	if err := yaml.Unmarshal(body, &cases); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, c := range cases {
		for _, s := range c.Steps {
			sql := strings.ReplaceAll(s.SQL, "{{schema}}", "s")
			if strings.Contains(sql, "{{") {
				continue
			}
			toks, err := lex.Scan(sql)
			if err != nil {
				t.Fatal(err)
			}
			for _, part := range lex.Split(toks) {
				n++
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
