package pgoutput

import (
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"

	"github.com/walshift/walshift/replicator/change"
)

// Kind is the type of a message, spelled as its first byte on the wire.
type Kind byte

// The messages of protocol versions 1 and 2.
const (
	Begin          Kind = 'B'
	Commit         Kind = 'C'
	Origin         Kind = 'O'
	Relation       Kind = 'R'
	Type           Kind = 'Y'
	Insert         Kind = 'I'
	Update         Kind = 'U'
	Delete         Kind = 'D'
	Truncate       Kind = 'T'
	LogicalMessage Kind = 'M'
	StreamStart    Kind = 'S'
	StreamStop     Kind = 'E'
	StreamCommit   Kind = 'c'
	StreamAbort    Kind = 'A'
)

// String names the message in words.
func (k Kind) String() string {
	switch k {
	case Begin:
		return "begin"
	case Commit:
		return "commit"
	case Origin:
		return "origin"
	case Relation:
		return "relation"
	case Type:
		return "type"
	case Insert:
		return "insert"
	case Update:
		return "update"
	case Delete:
		return "delete"
	case Truncate:
		return "truncate"
	case LogicalMessage:
		return "logical message"
	case StreamStart:
		return "stream start"
	case StreamStop:
		return "stream stop"
	case StreamCommit:
		return "stream commit"
	case StreamAbort:
		return "stream abort"
	}
	return fmt.Sprintf("unknown (%q)", byte(k))
}

// Message is one decoded message. Only the fields that its kind names are
// set; all others are zero.
type Message struct {
	Kind Kind

	// Xid is, of Begin, StreamStart, StreamCommit and StreamAbort, the
	// top-level transaction; of Relation, Type, Insert, Update, Delete,
	// Truncate and LogicalMessage inside a streamed block the
	// (sub)transaction that wrote it; else 0, which is no valid xid. A
	// LogicalMessage always has the top-level xid there (seen on PostgreSQL
	// 15), so that it stays even if its subtransaction is aborted later.
	Xid uint32
	// SubXid (StreamAbort) is the aborted subtransaction; equal to Xid where
	// the whole transaction is aborted.
	SubXid uint32
	// FirstSegment (StreamStart) says that this is the first block of Xid.
	FirstSegment bool

	// Begin is the body of Begin; Commit that of Commit and StreamCommit.
	Begin  BeginBody
	Commit CommitBody

	// RelationID (Insert, Update, Delete) is the oid of the published table.
	RelationID uint32
	// Row (Insert, Update, Delete) aliases the decoded bytes.
	Row change.Row
	// NewColumns and OldColumns are the numbers of values in Row.New and
	// Row.Old. They must equal the number of columns of the last Relation
	// message of RelationID.
	NewColumns, OldColumns int

	// Relation is the table of a Relation message; it aliases nothing.
	Relation RelationBody
	// Type is the data type of a Type message; it aliases nothing.
	Type TypeBody
	// Truncate is the body of a Truncate message; it aliases nothing.
	Truncate TruncateBody

	// Origin is the body of Origin; it aliases nothing.
	Origin OriginBody
	// Logical is the body of LogicalMessage.
	Logical LogicalBody
}

// BeginBody announces a transaction with everything that follows until Commit.
type BeginBody struct {
	// FinalLSN is the start of the commit record that ends the transaction:
	// the LSN of its Commit, below the EndLSN.
	FinalLSN pglogrepl.LSN
	// Time is the commit time, in UTC.
	Time time.Time
}

// CommitBody ends a transaction.
type CommitBody struct {
	// LSN is the start of the commit record.
	LSN pglogrepl.LSN
	// EndLSN is the end of the commit record: what the rest of walshift calls
	// the transaction's LSN.
	EndLSN pglogrepl.LSN
	// Time is the commit time, in UTC; of a transaction that came from
	// another origin, the time that its origin claims.
	Time time.Time
}

// OriginBody names the replication origin of a transaction that was itself
// replicated to the source.
type OriginBody struct {
	// LSN is the commit at the origin; 0 inside a streamed block, where it is
	// not known yet.
	LSN  pglogrepl.LSN
	Name string
}

// LogicalBody is what pg_logical_emit_message was given.
type LogicalBody struct {
	LSN pglogrepl.LSN
	// Transactional says that the message belongs to its transaction; else it
	// comes at once, and outlives a rollback.
	Transactional bool
	Prefix        string
	// Content aliases the decoded bytes.
	Content []byte
}

// RelationBody describes a table as it is published from here on.
type RelationBody struct {
	OID      uint32
	Schema   string
	Name     string
	Identity change.Identity
	Columns  []Column
}

// Column is a published column in a Relation message.
type Column struct {
	// Key says that the column belongs to the replica identity. Under
	// REPLICA IDENTITY FULL every column does.
	Key  bool
	Name string
	// TypeOID is the column's type; for a domain the domain's own oid.
	TypeOID uint32
	// Typmod is atttypmod, -1 for none.
	Typmod int32
}

// TypeBody names the base type behind a type that is not built in: for a
// domain, OID is the domain's and the names are its base type's.
type TypeBody struct {
	OID    uint32
	Schema string
	Name   string
}

// TruncateBody lists the published tables that one TRUNCATE emptied, those
// reached by CASCADE included.
type TruncateBody struct {
	OIDs            []uint32
	Cascade         bool
	RestartIdentity bool
}
