package fold

import (
	"errors"

	"github.com/jackc/pglogrepl"

	"github.com/walshift/walshift/replicator/change"
)

// Causes of faults, for errors.Is.
var (
	// ErrShape: a tuple has not as many values as the relation has columns,
	// or is no tuple.
	ErrShape = errors.New("tuple does not fit the relation's columns")
	// ErrIdentity: the old tuple is of another kind than the replica identity
	// makes PostgreSQL send.
	ErrIdentity = errors.New("old tuple does not fit the replica identity")
	// ErrNoKey: an update or delete of a table without a key.
	ErrNoKey = errors.New("update or delete of a table without replica identity")
	// ErrNullKey: NULL in a key column.
	ErrNullKey = errors.New("key column is NULL")
	// ErrNoOldValue: an unchanged value of which no old value can exist.
	ErrNoOldValue = errors.New("unchanged value without an old one")
	// ErrExists: a row is created under a key that has one.
	ErrExists = errors.New("key is there already")
	// ErrGone: a row is changed under a key that has none.
	ErrGone = errors.New("key is not there")
	// ErrDisagrees: the old tuple is not what the changes before it left.
	ErrDisagrees = errors.New("old tuple differs from the row as folded")
)

// fault says where a change could not be folded, and the way out. It holds no
// row values.
func fault(rel *change.Relation, op change.Op, commit pglogrepl.LSN, cause error) error {
	return &change.Fault{
		Scope: change.ScopeTable, Code: change.CodeChangesUnusable,
		Op:       opName(op),
		Table:    rel.String(),
		TableOID: rel.OID,
		LSN:      commit,
		Err:      cause,
		Remedy:   remedy(cause),
	}
}

func opName(op change.Op) string {
	switch op {
	case change.OpInsert:
		return "folding an insert"
	case change.OpUpdate:
		return "folding an update"
	case change.OpDelete:
		return "folding a delete"
	}
	return "folding an unknown operation"
}

func remedy(cause error) string {
	const resync = "load the table again with walshift resync"
	switch {
	case errors.Is(cause, ErrNoOldValue):
		// An UPDATE that a row filter turns into an INSERT has no old values.
		return "set REPLICA IDENTITY FULL on the table or drop its row filter, then " + resync
	case errors.Is(cause, ErrNoKey):
		return "give the table a primary key or a replica identity, then " + resync
	case errors.Is(cause, ErrNullKey), errors.Is(cause, ErrExists), errors.Is(cause, ErrGone),
		errors.Is(cause, ErrDisagrees):
		return "check that the replica identity is unique, immediate and NOT NULL, " +
			"and that the publication publishes every operation, then " + resync
	}
	return resync
}
