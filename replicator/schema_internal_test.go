package replicator

import (
	"strings"
	"testing"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/pgoutput"
)

// TestV10ProofIsNotAnnounced: under FULL a Relation message marks every column
// as the key's, with the index that proves a key or without it.
func TestV10ProofIsNotAnnounced(t *testing.T) {
	t.Parallel()
	known := &change.Relation{
		OID: 7, Schema: "public", Name: "t", Identity: change.IdentityFull, Keys: []int{0}, KeyIndex: 70,
		Columns: []change.Column{{Attnum: 1, Name: "id", TypeOID: 23}, {Attnum: 2, Name: "v", TypeOID: 25}},
	}
	body := &pgoutput.RelationBody{
		OID: 7, Schema: "public", Name: "t", Identity: change.IdentityFull,
		Columns: []pgoutput.Column{{Name: "id", TypeOID: 23, Key: true}, {Name: "v", TypeOID: 25, Key: true}},
	}
	if !announces(body, known) {
		t.Error("the announcement of a table with FULL is not recognised")
	}
	byKey := *known
	byKey.Identity, byKey.KeyIndex = change.IdentityDefault, 0
	body.Identity = change.IdentityDefault
	if announces(body, &byKey) {
		t.Error("another key is taken for the table's")
	}
	now := *known
	if d := unproven(known, &now); d != "" {
		t.Errorf("the same proof: %s", d)
	}
	now.Name = "renamed since"
	now.Keys, now.KeyIndex, now.Multiset = nil, 0, true
	if d := unproven(known, &now); !strings.Contains(d, "index with oid 70") {
		t.Errorf("no proof any more: %q", d)
	}
	if d := unproven(&byKey, &now); d != "" {
		t.Errorf("a table that needs no proof: %s", d)
	}
}
