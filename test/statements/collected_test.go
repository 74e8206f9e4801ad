package statements_test

import (
	"os"
	"strings"
	"testing"

	"github.com/walshift/walshift/test/redshift/grammar"
	"github.com/walshift/walshift/test/statements"
	"github.com/walshift/walshift/test/world"
)

// collection is the folder that a whole run of the tests has filled, the last
// step of make test.
func collection(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("WALSHIFT_COLLECTED")
	if dir == "" {
		t.Skip("WALSHIFT_COLLECTED names no collection of a whole run; make test makes one")
	}
	return dir
}

// TestCollection holds the lists against a whole run, both ways, and the
// instances of Redshift's shapes against an independent grammar.
func TestCollection(t *testing.T) {
	t.Parallel()
	sent, err := statements.Collect(collection(t), keeps(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, side := range sides() {
		l := load(t, side)
		for _, shape := range l.Unlisted(sent[side]) {
			t.Errorf("not listed in test/statements/%s.yaml (make statements adds it, to be given its notes):\n%s\nfor instance %.1000s", side, shape, sent[side][shape][0])
		}
		// Kills and faults come at moments of their own: a run may miss a few.
		unsent := l.Unsent(sent[side])
		report := t.Errorf
		if len(unsent) <= len(l.Statements)/20 {
			report = t.Logf
		}
		for _, shape := range unsent {
			report("listed in test/statements/%s.yaml, but the tests have not made walshift send it (make statements PRUNE=1 removes it; or say why it is rare):\n%s", side, shape)
		}
	}
	for shape, instances := range sent[statements.Redshift] {
		for _, sql := range instances {
			if err := grammar.Check(sql); err != nil {
				t.Errorf("%s\nis no Redshift: %v\n%.2000s", shape, err, sql)
			}
		}
	}
}

// TestCollectionHoldsNoSecret: no statement carries a password, a key or the
// value of a row.
func TestCollectionHoldsNoSecret(t *testing.T) {
	t.Parallel()
	secrets := append(world.Passwords(), world.Canary)
	canaries := 0
	err := statements.Read(collection(t), func(s statements.Sent) error {
		if !s.Own() {
			return nil
		}
		if strings.Contains(s.SQL, world.CanaryTable) {
			canaries++
		}
		for _, secret := range secrets {
			if at := strings.Index(s.SQL+"\n"+s.Params, secret); at >= 0 {
				t.Errorf("%s: %q is in a statement of %s: %.300s", s.Side, secret, s.App, s.SQL)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if canaries == 0 {
		t.Errorf("nothing was sent about table %s, whose rows hold %q: has its test run?", world.CanaryTable, world.Canary)
	}
}
