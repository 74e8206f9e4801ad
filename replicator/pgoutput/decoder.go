package pgoutput

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/walshift/walshift/replicator/change"
)

// Decoder decodes the messages of one replication connection. It is not safe
// for concurrent use.
type Decoder struct {
	version  int
	inStream bool
	msg      Message
}

// New returns a decoder for one connection that asked for protocol version
// protoVersion, which must be 1 or 2: with any other, Decode fails always.
func New(protoVersion int) *Decoder { return &Decoder{version: protoVersion} }

// NewBlock returns a decoder for messages that stood inside blocks of a streamed
// transaction, between stream start and stream stop, and were kept: those of
// one transaction, without the starts and stops.
func NewBlock() *Decoder { return &Decoder{version: 2, inStream: true} }

// InStream reports whether the last message left the decoder inside a block of
// a streamed transaction.
func (d *Decoder) InStream() bool { return d.inStream }

// Decode decodes one message: the body of one XLogData. The message is valid
// until the next call; its tuples and content alias b. After an error the
// decoder must not be used any more. The error wraps [ErrMalformed],
// [ErrTwoPhase] or [ErrBinary], names the message and the offset in it, and
// holds no row values.
func (d *Decoder) Decode(b []byte) (*Message, error) {
	if d.version != 1 && d.version != 2 {
		return nil, fmt.Errorf("decoding message: protocol version %d is not 1 or 2: %w", d.version, ErrMalformed)
	}
	if len(b) == 0 {
		return nil, fmt.Errorf("decoding message: it is empty: %w", ErrMalformed)
	}
	r := reader{b: b, off: 1}
	m := &d.msg
	*m = Message{Kind: Kind(b[0])}
	if err := d.order(m.Kind); err != nil {
		return nil, err
	}
	switch m.Kind {
	case Insert, Update, Delete:
		d.xid(&r, m)
		m.row(&r)
	case Relation:
		d.xid(&r, m)
		m.relation(&r)
	case Type:
		d.xid(&r, m)
		m.Type = TypeBody{OID: r.uint32("type oid"), Schema: r.schema(), Name: r.text("type name")}
	case Truncate:
		d.xid(&r, m)
		m.truncate(&r)
	case LogicalMessage:
		d.xid(&r, m)
		m.logical(&r)
	default:
		m.transaction(&r)
	}
	if r.err == nil && r.off != len(b) {
		r.fail(fmt.Sprintf("%d bytes too many", len(b)-r.off))
	}
	if r.err != nil {
		return nil, r.err
	}
	switch m.Kind {
	case StreamStart:
		d.inStream = true
	case StreamStop:
		d.inStream = false
	default:
	}
	return m, nil
}

// order checks that a message of kind k exists and may come now. Blocks of
// streamed transactions don't nest, and what begins or ends a transaction
// stands outside of them.
func (d *Decoder) order(k Kind) error {
	switch k {
	case Insert, Update, Delete, Relation, Type, Truncate, LogicalMessage, Origin:
		return nil
	case Begin, Commit:
		if d.inStream {
			return fmt.Errorf("decoding %s at offset 0: inside a streamed block: %w", k, ErrMalformed)
		}
		return nil
	case StreamStart, StreamStop, StreamCommit, StreamAbort:
		if d.version < 2 {
			return fmt.Errorf("decoding %s at offset 0: not in protocol version %d: %w", k, d.version, ErrMalformed)
		}
		if d.inStream != (k == StreamStop) {
			return fmt.Errorf("decoding %s at offset 0: inside a streamed block: %t: %w", k, d.inStream, ErrMalformed)
		}
		return nil
	case 'b', 'P', 'K', 'r', 'p': // begin prepare, prepare, commit and rollback prepared, stream prepare
		return fmt.Errorf("decoding message %q at offset 0: %w", byte(k), ErrTwoPhase)
	}
	return fmt.Errorf("decoding message: unknown message byte %q at offset 0: %w", byte(k), ErrMalformed)
}

// xid reads the transaction id that messages have inside a streamed block.
func (d *Decoder) xid(r *reader, m *Message) {
	if d.inStream {
		m.Xid = r.xid("xid")
	}
}

// transaction decodes what begins, ends or cuts up a transaction.
func (m *Message) transaction(r *reader) {
	switch m.Kind {
	case Begin:
		m.Begin = BeginBody{FinalLSN: r.lsn("final LSN"), Time: r.time("commit time")}
		m.Xid = r.xid("xid")
	case Commit:
		m.commit(r)
	case Origin:
		m.Origin = OriginBody{LSN: r.lsn("origin LSN"), Name: r.text("origin name")}
	case StreamStart:
		m.Xid, m.FirstSegment = r.xid("xid"), r.flags(1, "first segment") != 0
	case StreamCommit:
		m.Xid = r.xid("xid")
		m.commit(r)
	case StreamAbort:
		m.Xid, m.SubXid = r.xid("xid"), r.xid("subtransaction's xid")
	default: // StreamStop is its kind only
	}
}

func (m *Message) commit(r *reader) {
	r.flags(0, "commit flags")
	m.Commit = CommitBody{LSN: r.lsn("commit LSN"), EndLSN: r.lsn("end LSN"), Time: r.time("commit time")}
}

// row decodes an insert ('N' tuple), update ('K' or 'O' or no old tuple, 'N')
// or delete ('K' or 'O').
func (m *Message) row(r *reader) {
	m.Row.Op = change.Op(m.Kind)
	m.RelationID = r.uint32("relation oid")
	mark := r.uint8("tuple mark")
	if m.Kind != Insert && (mark == byte(change.OldKey) || mark == byte(change.OldFull)) {
		m.Row.OldKind = change.OldKind(mark)
		m.Row.Old, m.OldColumns = r.tuple()
		if m.Kind == Delete {
			return
		}
		mark = r.uint8("tuple mark")
	}
	if r.err != nil {
		return
	}
	if m.Kind == Delete || mark != 'N' {
		r.off--
		r.fail(fmt.Sprintf("unexpected tuple mark %q", mark))
		return
	}
	m.Row.New, m.NewColumns = r.tuple()
}

// tuple checks a TupleData and returns its body and its number of values.
func (r *reader) tuple() (change.Tuple, int) {
	n := int(r.uint16("number of columns"))
	if r.err != nil {
		return nil, 0
	}
	b, begin, off := r.b, r.off, r.off
	for range n {
		if off >= len(b) {
			r.failValue(off, "tuple is cut short")
			return nil, 0
		}
		switch b[off] {
		case change.ValueNull, change.ValueUnchanged:
			off++
		case change.ValueText:
			if len(b)-off < 5 {
				r.failValue(off, "length of a value is cut short")
				return nil, 0
			}
			size := binary.BigEndian.Uint32(b[off+1:])
			if uint64(size) > uint64(len(b)-off-5) {
				r.failValue(off, "value is cut short")
				return nil, 0
			}
			off += 5 + int(size)
		case 'b':
			r.err = fmt.Errorf("decoding %s at offset %d: %w", Kind(b[0]), off, ErrBinary)
			return nil, 0
		default:
			r.failValue(off, fmt.Sprintf("unknown kind %q of a value", b[off]))
			return nil, 0
		}
	}
	r.off = off
	return change.Tuple(b[begin:off:off]), n
}

func (r *reader) failValue(off int, what string) {
	r.off = off
	r.fail(what)
}

func (m *Message) relation(r *reader) {
	rel := &m.Relation
	rel.OID, rel.Schema, rel.Name = r.uint32("relation oid"), r.schema(), r.text("relation name")
	rel.Identity = change.Identity(r.uint8("replica identity"))
	switch rel.Identity {
	case change.IdentityDefault, change.IdentityNothing, change.IdentityFull, change.IdentityIndex:
	default:
		if r.err == nil {
			r.off--
			r.fail(fmt.Sprintf("unknown replica identity %q", byte(rel.Identity)))
		}
	}
	n := int(r.uint16("number of columns"))
	// A column takes at least 10 bytes: a false count must not buy memory.
	if n > (len(r.b)-r.off)/10 {
		r.fail(fmt.Sprintf("%d columns don't fit", n))
	}
	if r.err != nil {
		return
	}
	rel.Columns = make([]Column, n)
	for i := range rel.Columns {
		rel.Columns[i] = Column{
			Key:     r.flags(1, "column flags") != 0,
			Name:    r.text("column name"),
			TypeOID: r.uint32("type oid"),
			Typmod:  int32(r.uint32("type modifier")),
		}
	}
}

func (m *Message) truncate(r *reader) {
	n := int(r.uint32("number of relations"))
	options := r.flags(3, "truncate options")
	if n > (len(r.b)-r.off)/4 {
		r.fail(fmt.Sprintf("%d relations don't fit", n))
	}
	if r.err != nil {
		return
	}
	t := &m.Truncate
	t.Cascade, t.RestartIdentity = options&1 != 0, options&2 != 0
	t.OIDs = slices.Grow(t.OIDs, n)
	for range n {
		t.OIDs = append(t.OIDs, r.uint32("relation oid"))
	}
}

func (m *Message) logical(r *reader) {
	l := &m.Logical
	l.Transactional = r.flags(1, "message flags") != 0
	l.LSN = r.lsn("message LSN")
	l.Prefix = r.text("prefix")
	size := r.uint32("content length")
	if r.err == nil && uint64(size) > uint64(len(r.b)-r.off) {
		r.fail("content is cut short")
	}
	if r.err == nil {
		l.Content = r.take(int(size), "content")
	}
}
