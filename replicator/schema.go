package replicator

import (
	"context"
	"errors"
	"fmt"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/pgoutput"
	"github.com/walshift/walshift/replicator/source"
)

// differs compares a table as it is replicated with its announcement in the
// stream and with the catalog, and returns the difference in words, "" if
// there is none.
//
// The catalog may already be newer than this place of the stream. If the
// announcement itself still fits, nothing has changed here yet, and the next
// announcement will tell. The catalog is needed all the same: a column that
// was dropped and added again under its name looks the same in the stream, but
// has another attnum (pitfalls R11, V6).
func differs(ctx context.Context, c *source.Catalog, known *change.Relation, body *pgoutput.RelationBody) (string, error) {
	msg := &source.RelationMessage{
		OID: body.OID, Schema: body.Schema, Name: body.Name, Identity: body.Identity,
		Columns: make([]source.MessageColumn, len(body.Columns)),
	}
	for i, col := range body.Columns {
		msg.Columns[i] = source.MessageColumn{Name: col.Name, TypeOID: col.TypeOID, Typmod: col.Typmod, Key: col.Key}
	}
	now, err := c.Resolve(ctx, msg)
	newer, isNewer := errors.AsType[*source.CatalogDiffersError](err)
	switch {
	case err == nil:
		return known.Diff(now), nil
	case isNewer && announces(body, known):
		return unproven(known, newer.Catalog), nil
	case isNewer:
		return known.Diff(newer.Catalog), nil
	case errors.Is(err, source.ErrNotPublished):
		return "the table is no longer in the publication, or was dropped", nil
	}
	return "", err
}

// unproven says that the catalog, which is newer than this place of the
// stream, no longer shows what proves the key of a table with REPLICA IDENTITY
// FULL. The announcement can't tell: it is the same without the index.
func unproven(known, now *change.Relation) string {
	if known.KeyIndex == 0 || known.KeyIndex == now.KeyIndex {
		return ""
	}
	return fmt.Sprintf("the unique index with oid %d, which proved the table's key, no longer does", known.KeyIndex)
}

// announces reports whether a Relation message describes known.
func announces(body *pgoutput.RelationBody, known *change.Relation) bool {
	if body.Schema != known.Schema || body.Name != known.Name || body.Identity != known.Identity ||
		len(body.Columns) != len(known.Columns) {
		return false
	}
	for i := range body.Columns {
		b, k := &body.Columns[i], &known.Columns[i]
		// Under FULL every column is announced as the key's.
		key := known.Identity == change.IdentityFull || known.IsKey(i)
		if b.Name != k.Name || b.TypeOID != k.TypeOID || b.Key != key {
			return false
		}
	}
	return true
}

// schemaFault is the fault of a table whose schema changed.
func schemaFault(rel *change.Relation, diff string) *change.Fault {
	return &change.Fault{
		Scope: change.ScopeTable, Code: change.CodeSchemaChanged, Op: "following the schema", Table: rel.String(), TableOID: rel.OID,
		Err:    errors.New(diff),
		Remedy: "undo the change, or run `walshift teardown` and start afresh to load the table in its new form",
	}
}
