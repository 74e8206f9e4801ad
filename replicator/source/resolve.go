package source

import (
	"context"
	"fmt"

	"github.com/walshift/walshift/replicator/change"
)

// RelationMessage is what a pgoutput Relation message says.
type RelationMessage struct {
	OID      uint32
	Schema   string
	Name     string
	Identity change.Identity
	Columns  []MessageColumn
}

// MessageColumn is one column of a [RelationMessage].
type MessageColumn struct {
	Name    string
	TypeOID uint32
	// Typmod is the column's own atttypmod.
	Typmod int32
	// Key: the column belongs to the replica identity. Under FULL all do.
	Key bool
}

// CatalogDiffersError says that the catalog no longer describes the table as
// the stream's message does: somebody has changed it since.
type CatalogDiffersError struct {
	// Catalog is the table as it is now.
	Catalog *change.Relation
	// Difference names the first difference.
	Difference string
}

// Error implements error.
func (e *CatalogDiffersError) Error() string {
	return "the catalog is newer than the stream: " + e.Difference
}

// Resolve returns the relation that a Relation message of the stream stands
// for, with what only the catalog knows: attnums, base types, NOT NULL, missing
// values. Where the catalog has moved on, the error is a ScopeTable fault
// around a [CatalogDiffersError], or [ErrNotPublished]; a message that no change
// will refer to gives [ErrPartition].
func (c *Catalog) Resolve(ctx context.Context, msg *RelationMessage) (*change.Relation, error) {
	t, err := c.Table(ctx, msg.OID)
	if err != nil {
		return nil, err
	}
	if d := t.differs(msg); d != "" {
		return nil, &change.Fault{
			Scope: change.ScopeTable, Code: change.CodeSchemaChanged, Op: "resolving relation", Table: msg.Schema + "." + msg.Name, TableOID: msg.OID,
			Err:    &CatalogDiffersError{Catalog: t.Relation, Difference: d},
			Remedy: "load the table again: its definition changed before its changes were read",
		}
	}
	return t.Relation, nil
}

// differs names the first difference between the catalog and the message, ""
// if there is none.
func (t *Table) differs(msg *RelationMessage) string {
	r := t.Relation
	switch {
	case r.OID != msg.OID:
		return fmt.Sprintf("oid is %d, the message says %d", r.OID, msg.OID)
	case r.Schema != msg.Schema || r.Name != msg.Name:
		return fmt.Sprintf("the table is named %s, the message says %s.%s", r, msg.Schema, msg.Name)
	case r.Identity != msg.Identity:
		return fmt.Sprintf("replica identity is %s, the message says %s", r.Identity, msg.Identity)
	case len(r.Columns) != len(msg.Columns):
		return fmt.Sprintf("the table has %d published columns, the message %d", len(r.Columns), len(msg.Columns))
	}
	for i := range msg.Columns {
		m, c := &msg.Columns[i], &r.Columns[i]
		switch {
		case m.Name != c.Name:
			return fmt.Sprintf("column %d is named %q, the message says %q", i+1, c.Name, m.Name)
		case m.TypeOID != c.TypeOID:
			return fmt.Sprintf("type of column %q has oid %d, the message says %d", c.Name, c.TypeOID, m.TypeOID)
		case m.Typmod != t.typmods[i]:
			return fmt.Sprintf("type modifier of column %q is %d, the message says %d", c.Name, t.typmods[i], m.Typmod)
		case r.Identity != change.IdentityFull && m.Key != r.IsKey(i):
			return fmt.Sprintf("column %q in the key: %t, the message says %t", c.Name, r.IsKey(i), m.Key)
		}
	}
	return ""
}
