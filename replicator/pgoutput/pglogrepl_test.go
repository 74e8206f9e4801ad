package pgoutput_test

import (
	"reflect"
	"testing"

	"github.com/jackc/pglogrepl"
	"pgregory.net/rapid"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/pgoutput"
)

// TestDecodeAgreesWithPglogrepl compares the decoder, on valid messages of
// every kind, with the parser that most Go clients use.
func TestDecodeAgreesWithPglogrepl(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := pgoutput.New(2)
		messages, inside := anyStream(t)
		for i, m := range messages {
			wire := encode(m, inside[i])
			got, err := d.Decode(wire)
			if err != nil {
				t.Fatalf("decoding %s: %v", m.Kind, err)
			}
			if m.Kind == pgoutput.Insert && m.NewColumns == 0 {
				continue // valid for a table without columns; pglogrepl refuses it
			}
			theirs, err := pglogrepl.ParseV2(wire, inside[i])
			if err != nil {
				t.Fatalf("pglogrepl refuses %s: %v", m.Kind, err)
			}
			want := fromPglogrepl(t, theirs)
			// pglogrepl counts nanoseconds in 64 bits.
			if y := m.Begin.Time.Year(); y < 1700 || y > 2200 {
				want.Begin.Time = m.Begin.Time
			}
			if y := m.Commit.Time.Year(); y < 1700 || y > 2200 {
				want.Commit.Time = m.Commit.Time
			}
			if !reflect.DeepEqual(*got, want) {
				t.Fatalf("decoding %s:\n got %+v\nwant %+v", m.Kind, *got, want)
			}
		}
	})
}

// fromPglogrepl says in our terms what pglogrepl has parsed.
func fromPglogrepl(t *rapid.T, msg pglogrepl.Message) pgoutput.Message {
	m := pgoutput.Message{Kind: pgoutput.Kind(msg.Type())}
	switch v := msg.(type) {
	case *pglogrepl.BeginMessage:
		m.Begin = pgoutput.BeginBody{FinalLSN: v.FinalLSN, Time: v.CommitTime.UTC()}
		m.Xid = v.Xid
	case *pglogrepl.CommitMessage:
		m.Commit = pgoutput.CommitBody{LSN: v.CommitLSN, EndLSN: v.TransactionEndLSN, Time: v.CommitTime.UTC()}
	case *pglogrepl.OriginMessage:
		m.Origin = pgoutput.OriginBody{LSN: v.CommitLSN, Name: v.Name}
	case *pglogrepl.RelationMessageV2:
		m.Xid = v.Xid
		m.Relation = pgoutput.RelationBody{
			OID: v.RelationID, Schema: v.Namespace, Name: v.RelationName,
			Identity: change.Identity(v.ReplicaIdentity), Columns: []pgoutput.Column{},
		}
		for _, c := range v.Columns {
			m.Relation.Columns = append(m.Relation.Columns,
				pgoutput.Column{Key: c.Flags == 1, Name: c.Name, TypeOID: c.DataType, Typmod: c.TypeModifier})
		}
	case *pglogrepl.TypeMessageV2:
		m.Xid = v.Xid
		m.Type = pgoutput.TypeBody{OID: v.DataType, Schema: v.Namespace, Name: v.Name}
	case *pglogrepl.InsertMessageV2:
		m.Xid, m.RelationID = v.Xid, v.RelationID
		m.Row.Op = change.OpInsert
		m.Row.New, m.NewColumns = tupleOf(v.Tuple)
	case *pglogrepl.UpdateMessageV2:
		m.Xid, m.RelationID = v.Xid, v.RelationID
		m.Row.Op, m.Row.OldKind = change.OpUpdate, change.OldKind(v.OldTupleType)
		m.Row.Old, m.OldColumns = tupleOf(v.OldTuple)
		m.Row.New, m.NewColumns = tupleOf(v.NewTuple)
	case *pglogrepl.DeleteMessageV2:
		m.Xid, m.RelationID = v.Xid, v.RelationID
		m.Row.Op, m.Row.OldKind = change.OpDelete, change.OldKind(v.OldTupleType)
		m.Row.Old, m.OldColumns = tupleOf(v.OldTuple)
	case *pglogrepl.TruncateMessageV2:
		m.Xid = v.Xid
		m.Truncate.OIDs = v.RelationIDs
		m.Truncate.Cascade = v.Option&pglogrepl.TruncateOptionCascade != 0
		m.Truncate.RestartIdentity = v.Option&pglogrepl.TruncateOptionRestartIdentity != 0
	case *pglogrepl.LogicalDecodingMessageV2:
		m.Xid = v.Xid
		m.Logical = pgoutput.LogicalBody{LSN: v.LSN, Prefix: v.Prefix, Content: v.Content, Transactional: v.Transactional}
	case *pglogrepl.StreamStartMessageV2:
		m.Xid, m.FirstSegment = v.Xid, v.FirstSegment == 1
	case *pglogrepl.StreamStopMessageV2:
	case *pglogrepl.StreamCommitMessageV2:
		m.Xid = v.Xid
		m.Commit = pgoutput.CommitBody{LSN: v.CommitLSN, EndLSN: v.TransactionEndLSN, Time: v.CommitTime.UTC()}
	case *pglogrepl.StreamAbortMessageV2:
		m.Xid, m.SubXid = v.Xid, v.SubXid
	default:
		t.Fatalf("pglogrepl returned %T", msg)
	}
	return m
}

func tupleOf(d *pglogrepl.TupleData) (change.Tuple, int) {
	if d == nil {
		return nil, 0
	}
	tuple := change.Tuple{}
	for _, c := range d.Columns {
		tuple = change.AppendValue(tuple, change.Value{Kind: c.DataType, Text: c.Data})
	}
	return tuple, int(d.ColumnNum)
}
