package pgoutput_test

import (
	"time"

	"github.com/jackc/pglogrepl"
	"pgregory.net/rapid"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/pgoutput"
)

// anyXid draws a transaction id; 0 is none.
func anyXid(t *rapid.T) uint32 { return rapid.Uint32Min(1).Draw(t, "xid") }

func anyLSN(t *rapid.T) pglogrepl.LSN { return pglogrepl.LSN(rapid.Uint64().Draw(t, "lsn")) }

// anyTime draws a time that PostgreSQL can have, to the microsecond.
func anyTime(t *rapid.T) time.Time {
	return time.UnixMicro(rapid.Int64Range(-200_000_000_000_000_000, 200_000_000_000_000_000).Draw(t, "time")).UTC()
}

func anyName(t *rapid.T) string {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"t", "public", "Fu ll", `a"b.c`, "été"}),
		rapid.StringMatching(`[^\x00]{1,63}`)).Draw(t, "name")
}

func anyTuple(t *rapid.T) (change.Tuple, int) {
	kinds := rapid.SliceOfN(rapid.SampledFrom([]byte("ntttu")), 0, 8).Draw(t, "kinds")
	tuple := change.Tuple{}
	for _, k := range kinds {
		v := change.Value{Kind: k}
		if k == change.ValueText {
			v.Text = rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "text")
		}
		tuple = change.AppendValue(tuple, v)
	}
	return tuple, len(kinds)
}

func anyRow(t *rapid.T, m *pgoutput.Message) {
	m.RelationID = rapid.Uint32().Draw(t, "relation")
	m.Row.Op = change.Op(m.Kind)
	if m.Kind != pgoutput.Insert {
		olds := []change.OldKind{change.OldKey, change.OldFull}
		if m.Kind == pgoutput.Update {
			olds = append(olds, change.OldNone)
		}
		m.Row.OldKind = rapid.SampledFrom(olds).Draw(t, "old")
		if m.Row.OldKind != change.OldNone {
			m.Row.Old, m.OldColumns = anyTuple(t)
		}
	}
	if m.Kind != pgoutput.Delete {
		m.Row.New, m.NewColumns = anyTuple(t)
	}
}

func anyRelation(t *rapid.T) pgoutput.RelationBody {
	rel := pgoutput.RelationBody{
		OID: rapid.Uint32().Draw(t, "oid"), Schema: anyName(t), Name: anyName(t),
		Identity: rapid.SampledFrom([]change.Identity{'d', 'n', 'f', 'i'}).Draw(t, "identity"),
		Columns:  []pgoutput.Column{},
	}
	for range rapid.IntRange(0, 5).Draw(t, "columns") {
		rel.Columns = append(rel.Columns, pgoutput.Column{
			Key: rapid.Bool().Draw(t, "key"), Name: anyName(t),
			TypeOID: rapid.Uint32().Draw(t, "type"), Typmod: rapid.Int32().Draw(t, "typmod"),
		})
	}
	return rel
}

// anyMessage draws a message of a kind that may stand there.
func anyMessage(t *rapid.T, kinds []pgoutput.Kind, inStream bool) *pgoutput.Message {
	m := &pgoutput.Message{Kind: rapid.SampledFrom(kinds).Draw(t, "kind")}
	if inStream && m.Kind != pgoutput.Origin && m.Kind != pgoutput.StreamStop {
		m.Xid = anyXid(t)
	}
	switch m.Kind {
	case pgoutput.Begin:
		m.Begin = pgoutput.BeginBody{FinalLSN: anyLSN(t), Time: anyTime(t)}
		m.Xid = anyXid(t)
	case pgoutput.Commit:
		m.Commit = pgoutput.CommitBody{LSN: anyLSN(t), EndLSN: anyLSN(t), Time: anyTime(t)}
	case pgoutput.Origin:
		m.Origin = pgoutput.OriginBody{LSN: anyLSN(t), Name: anyName(t)}
	case pgoutput.Relation:
		m.Relation = anyRelation(t)
	case pgoutput.Type:
		m.Type = pgoutput.TypeBody{OID: rapid.Uint32().Draw(t, "oid"), Schema: anyName(t), Name: anyName(t)}
	case pgoutput.Insert, pgoutput.Update, pgoutput.Delete:
		anyRow(t, m)
	case pgoutput.Truncate:
		m.Truncate.OIDs = rapid.SliceOfN(rapid.Uint32(), 1, 4).Draw(t, "oids")
		m.Truncate.Cascade = rapid.Bool().Draw(t, "cascade")
		m.Truncate.RestartIdentity = rapid.Bool().Draw(t, "restart")
	case pgoutput.LogicalMessage:
		m.Logical.LSN, m.Logical.Prefix = anyLSN(t), rapid.SampledFrom([]string{"", "walshift"}).Draw(t, "prefix")
		m.Logical.Content = rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "content")
		m.Logical.Transactional = rapid.Bool().Draw(t, "transactional")
	case pgoutput.StreamStart:
		m.Xid, m.FirstSegment = anyXid(t), rapid.Bool().Draw(t, "first")
	case pgoutput.StreamStop:
	case pgoutput.StreamCommit:
		m.Xid = anyXid(t)
		m.Commit = pgoutput.CommitBody{LSN: anyLSN(t), EndLSN: anyLSN(t), Time: anyTime(t)}
	case pgoutput.StreamAbort:
		m.Xid, m.SubXid = anyXid(t), anyXid(t)
	}
	return m
}

// kindsOutside and kindsInside are the messages that may stand outside and
// inside of a streamed block.
func kindsOutside() []pgoutput.Kind {
	return []pgoutput.Kind{
		pgoutput.Begin, pgoutput.Commit, pgoutput.Origin, pgoutput.Relation, pgoutput.Type, pgoutput.Insert,
		pgoutput.Update, pgoutput.Delete, pgoutput.Truncate, pgoutput.LogicalMessage, pgoutput.StreamStart,
		pgoutput.StreamCommit, pgoutput.StreamAbort,
	}
}

func kindsInside() []pgoutput.Kind {
	return []pgoutput.Kind{
		pgoutput.Origin, pgoutput.Relation, pgoutput.Type, pgoutput.Insert, pgoutput.Update, pgoutput.Delete,
		pgoutput.Truncate, pgoutput.LogicalMessage, pgoutput.StreamStop,
	}
}

// anyStream draws messages in an order in which one connection of protocol 2
// may bring them, with whether each stands inside a block.
func anyStream(t *rapid.T) (messages []*pgoutput.Message, inside []bool) {
	in := false
	for range rapid.IntRange(1, 12).Draw(t, "messages") {
		kinds := kindsOutside()
		if in {
			kinds = kindsInside()
		}
		m := anyMessage(t, kinds, in)
		messages, inside = append(messages, m), append(inside, in)
		switch m.Kind {
		case pgoutput.StreamStart:
			in = true
		case pgoutput.StreamStop:
			in = false
		default:
		}
	}
	return messages, inside
}
