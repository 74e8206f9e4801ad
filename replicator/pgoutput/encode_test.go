package pgoutput_test

import (
	"encoding/binary"
	"time"

	"github.com/walshift/walshift/replicator/pgoutput"
)

// encode writes m as PostgreSQL does; inStream says whether it stands inside a
// streamed block. It shares nothing with the decoder.
func encode(m *pgoutput.Message, inStream bool) []byte {
	b := []byte{byte(m.Kind)}
	u8 := func(v byte) { b = append(b, v) }
	u16 := func(v int) { b = binary.BigEndian.AppendUint16(b, uint16(v)) }
	u32 := func(v uint32) { b = binary.BigEndian.AppendUint32(b, v) }
	u64 := func(v uint64) { b = binary.BigEndian.AppendUint64(b, v) }
	when := func(t time.Time) {
		u64(uint64(t.UnixMicro() - time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()))
	}
	text := func(s string) { b = append(append(b, s...), 0) }
	schema := func(s string) {
		if s == "pg_catalog" {
			s = ""
		}
		text(s)
	}
	flag := func(set bool, v byte) byte {
		if set {
			return v
		}
		return 0
	}
	commit := func() {
		u8(0)
		u64(uint64(m.Commit.LSN))
		u64(uint64(m.Commit.EndLSN))
		when(m.Commit.Time)
	}
	xid := func() {
		if inStream {
			u32(m.Xid)
		}
	}
	switch m.Kind {
	case pgoutput.Begin:
		u64(uint64(m.Begin.FinalLSN))
		when(m.Begin.Time)
		u32(m.Xid)
	case pgoutput.Commit:
		commit()
	case pgoutput.Origin:
		u64(uint64(m.Origin.LSN))
		text(m.Origin.Name)
	case pgoutput.Relation:
		xid()
		u32(m.Relation.OID)
		schema(m.Relation.Schema)
		text(m.Relation.Name)
		u8(byte(m.Relation.Identity))
		u16(len(m.Relation.Columns))
		for _, c := range m.Relation.Columns {
			u8(flag(c.Key, 1))
			text(c.Name)
			u32(c.TypeOID)
			u32(uint32(c.Typmod))
		}
	case pgoutput.Type:
		xid()
		u32(m.Type.OID)
		schema(m.Type.Schema)
		text(m.Type.Name)
	case pgoutput.Insert, pgoutput.Update, pgoutput.Delete:
		xid()
		u32(m.RelationID)
		if m.Row.OldKind != 0 {
			u8(byte(m.Row.OldKind))
			u16(m.OldColumns)
			b = append(b, m.Row.Old...)
		}
		if m.Kind != pgoutput.Delete {
			u8('N')
			u16(m.NewColumns)
			b = append(b, m.Row.New...)
		}
	case pgoutput.Truncate:
		xid()
		u32(uint32(len(m.Truncate.OIDs)))
		u8(flag(m.Truncate.Cascade, 1) | flag(m.Truncate.RestartIdentity, 2))
		for _, id := range m.Truncate.OIDs {
			u32(id)
		}
	case pgoutput.LogicalMessage:
		xid()
		u8(flag(m.Logical.Transactional, 1))
		u64(uint64(m.Logical.LSN))
		text(m.Logical.Prefix)
		u32(uint32(len(m.Logical.Content)))
		b = append(b, m.Logical.Content...)
	case pgoutput.StreamStart:
		u32(m.Xid)
		u8(flag(m.FirstSegment, 1))
	case pgoutput.StreamStop:
	case pgoutput.StreamCommit:
		u32(m.Xid)
		commit()
	case pgoutput.StreamAbort:
		u32(m.Xid)
		u32(m.SubXid)
	}
	return b
}
