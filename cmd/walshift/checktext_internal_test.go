package main

import (
	"slices"
	"testing"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/source"
)

// TestPlanTellsHowTablesGo: by a key, one that an index proves included, as a
// multiset, or by inserts alone.
func TestPlanTellsHowTablesGo(t *testing.T) {
	t.Parallel()
	table := func(name string, identity change.Identity, keys ...int) source.Table {
		return source.Table{Relation: &change.Relation{
			Schema: "public", Name: name, Identity: identity, Keys: keys, Columns: []change.Column{{Name: "id"}, {Name: "v"}},
			Multiset: identity == change.IdentityFull && len(keys) == 0,
		}}
	}
	p := newLoadPlan(&source.Plan{
		Publication: source.PublicationState{Exists: true},
		Tables: []source.Table{
			table("keyed", change.IdentityDefault, 0), table("proven", change.IdentityFull, 1), table("bag", change.IdentityFull),
			table("log", change.IdentityNothing),
		},
	}, nil, nil, nil)
	for i, want := range []struct {
		mode string
		key  []string
	}{{"mirror", []string{"id"}}, {"mirror", []string{"v"}}, {"multiset", []string{}}, {"inserts only", []string{}}} {
		if got := p.Tables[i]; got.Mode != want.mode || !slices.Equal(got.Key, want.key) {
			t.Errorf("%s: mode %q, key %q; want %q, %q", got.Table, got.Mode, got.Key, want.mode, want.key)
		}
	}
}
