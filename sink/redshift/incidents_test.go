package redshift_test

import (
	"strings"
	"testing"

	"github.com/walshift/walshift/replicator/change"
)

// TestArriveCompletesIncidents: a pipeline that an earlier version made lacks
// the tables of incidents. Arriving makes them, or says which right is missing.
func TestArriveCompletesIncidents(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.relations = f.relations[:2]
	arrived(t, f, nil)
	sent := f.statements()
	for _, want := range []string{`CREATE TABLE IF NOT EXISTS "walshift"."incidents_shop"`, `CREATE TABLE IF NOT EXISTS "walshift"."acks_shop"`} {
		if !strings.Contains(sent, want) {
			t.Errorf("arriving did not run %s", want)
		}
	}

	f = newFake(t)
	f.relations = f.relations[:2]
	f.answer = func(sql string) (reply, bool) {
		return reply{code: "42501", message: "permission denied for schema walshift"}, strings.HasPrefix(sql, "CREATE TABLE")
	}
	_, err := f.warehouse(nil).Arrive(t.Context(), 3)
	if change.ScopeOf(err) != change.ScopeLoop || !strings.Contains(err.Error(), "GRANT USAGE, CREATE ON SCHEMA walshift") {
		t.Errorf("arriving without the right: %v (%v)", err, change.ScopeOf(err))
	}
}
