package source

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/walshift/walshift/replicator/change"
)

// EventKind tells the two kinds of [Event] apart.
type EventKind byte

// The kinds of events, spelled as the replication protocol does.
const (
	// XLogData carries one pgoutput message.
	XLogData EventKind = pglogrepl.XLogDataByteID
	// Keepalive carries a position of the server.
	Keepalive EventKind = pglogrepl.PrimaryKeepaliveMessageByteID
)

// Event is one message of the stream.
type Event struct {
	Kind EventKind
	// ReplyRequested, of a Keepalive: the server wants a status soon, or it
	// will end the session.
	ReplyRequested bool
	// WALStart is the position of an XLogData's message.
	WALStart pglogrepl.LSN
	// WALEnd is the server's position: what lies below has been decoded. For
	// XLogData a logical walsender repeats WALStart, so that only a Keepalive
	// says something new.
	WALEnd pglogrepl.LSN
	// Data is XLogData's pgoutput message. It aliases the stream's buffer and
	// is valid until the next call of Next.
	Data []byte
}

// behindLimit is the age of the transaction being received, by the server's
// own clock, from which on a backlog counts as being drained and reads are
// batched. Below it, latency is all that matters.
const behindLimit = time.Second

// Stream is a running logical replication. One goroutine may call Next and
// Buffered while another calls SendStatus; Close comes after both.
type Stream struct {
	// Identity is the server that the stream comes from.
	Identity Identity
	// Streams says that the server was asked to send transactions in progress.
	Streams bool

	conn net.Conn
	sock *socket // conn, or what lies under its TLS; nil in tests
	in   *frames
	// sent and committed are the server's time of the last message and the
	// commit time of the last Begin, in microseconds since 2000; inBlock says
	// that a block of a transaction in progress is being received, which has no
	// commit time. The server sends such a block as fast as it can.
	sent, committed int64
	inBlock         bool
	// done is the Done channel of the context that is being watched; unwatch
	// ends that.
	done    <-chan struct{}
	unwatch func() bool

	out status
}

// StartStream connects and starts replication of the configured slot and
// publication. The server begins at the higher of from and the slot's
// confirmed position, always at a transaction's beginning; from 0 means the
// slot's. The stream asks for protocol version 1 on PostgreSQL 13 and 2 above,
// in text format, without logical messages; with streaming, for transactions in
// progress as well, which PostgreSQL 13 does not know: see [Stream.Streams].
// ctx bounds the start only.
func (s *Server) StartStream(ctx context.Context, from pglogrepl.LSN, streaming bool) (*Stream, error) {
	pc, err := s.connectReplication(ctx, "stream")
	if err != nil {
		return nil, err
	}
	id, err := identify(ctx, pc)
	if err != nil {
		closeConn(ctx, pc)
		return nil, err
	}
	const op = "starting replication"
	if err = pc.SyncConn(ctx); err != nil {
		closeConn(ctx, pc)
		return nil, classify(op, err)
	}
	hc, err := pc.Hijack()
	if err != nil {
		closeConn(ctx, pc)
		return nil, classify(op, err)
	}
	st := newStream(hc.Conn, s.cfg.ReadBuffer)
	st.Identity = id
	if st.sock != nil {
		if err := st.sock.detach(); err != nil {
			st.abandon()
			return nil, classify(op, err)
		}
	}
	st.Streams = streaming && streamsFrom <= id.Major()
	cmd := startCommand(s.cfg.Slot, s.cfg.Publication, id.Major(), startOptions{from: from, streaming: st.Streams})
	if err := st.start(ctx, cmd); err != nil {
		st.abandon()
		if ctx.Err() == nil {
			err = s.explainStart(ctx, err)
		}
		return nil, err
	}
	return st, nil
}

// streamsFrom is the major version from which on a server knows protocol
// version 2 and streams transactions in progress.
const streamsFrom = 14

type startOptions struct {
	from      pglogrepl.LSN
	streaming bool
}

// startCommand builds START_REPLICATION for a server of the major version.
// Streaming is 'on' and never 'parallel', which sends more and means nothing to
// a reader that waits for the commit.
func startCommand(slot, publication string, major int, o startOptions) string {
	proto, streaming := 1, ""
	if major >= streamsFrom {
		proto = 2
		if o.streaming {
			streaming = ", streaming 'on'"
		}
	}
	return fmt.Sprintf("START_REPLICATION SLOT %s LOGICAL %s (proto_version '%d', publication_names %s%s)",
		quote(slot), o.from, proto, literal(quote(publication)), streaming)
}

// newStream wraps a connection on which replication has not begun.
func newStream(conn net.Conn, size int) *Stream {
	st := &Stream{conn: conn, in: newFrames(conn, size)}
	st.out.conn = conn
	switch c := conn.(type) {
	case *socket:
		st.sock = c
	case interface{ NetConn() net.Conn }: // *tls.Conn
		if sock, ok := c.NetConn().(*socket); ok {
			st.sock = sock
			sock.ahead = make([]byte, aheadSize)
		}
	}
	return st
}

func (st *Stream) start(ctx context.Context, cmd string) error {
	const op = "starting replication"
	msg, err := (&pgproto3.Query{String: cmd}).Encode(nil)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	if err := st.out.write(msg); err != nil {
		return classify(op, err)
	}
	for {
		typ, body, err := st.frame(ctx)
		if err != nil {
			return classify(op, err)
		}
		switch typ {
		case 'W': // CopyBothResponse
			return nil
		case 'E':
			return classify(op, serverError(body))
		case 'N', 'S':
		default:
			return &change.Fault{
				Scope: change.ScopeRetry, Op: op,
				Err: fmt.Errorf("%w: message type %q instead of CopyBothResponse", errBadFrame, typ),
			}
		}
	}
}

// Next returns the next message, waiting for it until ctx ends. While the
// buffer holds more it makes no system call and allocates nothing. An error
// ends the stream, except ctx's own, after which Next may be called again.
func (st *Stream) Next(ctx context.Context) (Event, error) {
	const op = "reading the replication stream"
	for {
		typ, body, err := st.frame(ctx)
		if err != nil {
			return Event{}, classify(op, err)
		}
		switch typ {
		case 'd':
			ev, ok := st.event(body)
			if !ok {
				return Event{}, &change.Fault{
					Scope: change.ScopeRetry, Op: op,
					Err: fmt.Errorf("%w: copy data of %d bytes", errBadFrame, len(body)),
				}
			}
			return ev, nil
		case 'E':
			return Event{}, classify(op, serverError(body))
		case 'N', 'S':
		case 'c', 'C', 'Z':
			return Event{}, &change.Fault{Scope: change.ScopeRetry, Op: op, Err: ErrStreamEnded}
		default:
			return Event{}, &change.Fault{
				Scope: change.ScopeRetry, Op: op, Err: fmt.Errorf("%w: type %q", errBadFrame, typ),
			}
		}
	}
}

// Buffered reports whether Next would return without waiting.
func (st *Stream) Buffered() bool { return st.in.peek() != 0 }

// Sizes of what follows a CopyData's kind byte.
const (
	dataHeader    = 1 + 8 + 8 + 8 // start, end, time
	keepaliveSize = 1 + 8 + 8 + 1 // end, time, reply
)

// event reads the body of a CopyData message.
func (st *Stream) event(b []byte) (Event, bool) {
	if len(b) == 0 {
		return Event{}, false
	}
	switch EventKind(b[0]) {
	case XLogData:
		if len(b) < dataHeader {
			return Event{}, false
		}
		data := b[dataHeader:]
		st.sent = int64(binary.BigEndian.Uint64(b[17:]))
		if len(data) > 0 {
			st.pace(data)
		}
		return Event{
			Kind:     XLogData,
			WALStart: pglogrepl.LSN(binary.BigEndian.Uint64(b[1:])),
			WALEnd:   pglogrepl.LSN(binary.BigEndian.Uint64(b[9:])),
			Data:     data,
		}, true
	case Keepalive:
		if len(b) < keepaliveSize {
			return Event{}, false
		}
		return Event{
			Kind:           Keepalive,
			WALEnd:         pglogrepl.LSN(binary.BigEndian.Uint64(b[1:])),
			ReplyRequested: b[17] != 0,
		}, true
	}
	return Event{}, false
}

// pace notes what a message says about the distance to the server's end. Begin
// is final LSN, commit time, xid.
func (st *Stream) pace(data []byte) {
	switch pglogrepl.MessageType(data[0]) { //nolint:exhaustive // the others say nothing
	case pglogrepl.MessageTypeBegin:
		if len(data) >= 17 {
			st.committed = int64(binary.BigEndian.Uint64(data[9:]))
		}
	case pglogrepl.MessageTypeStreamStart:
		st.inBlock = true
	case pglogrepl.MessageTypeStreamStop:
		// Nothing is known to wait behind it; the next Begin tells.
		st.inBlock, st.committed = false, st.sent
	}
}

// frame returns the next protocol message, reading as often as it takes.
func (st *Stream) frame(ctx context.Context) (byte, []byte, error) {
	for {
		typ, body, need, err := st.in.next()
		if err != nil {
			return 0, nil, err
		}
		if need == 0 {
			return typ, body, nil
		}
		if err := st.fill(ctx, need); err != nil {
			return 0, nil, err
		}
	}
}

func (st *Stream) fill(ctx context.Context, need int) error {
	st.watch(ctx)
	if st.sock != nil {
		st.sock.batch = st.inBlock || st.sent-st.committed > behindLimit.Microseconds()
		st.sock.done = ctx.Done()
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := st.in.fill(need)
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		// Either ctx has ended, or a context watched before did so late.
		if ctx.Err() == nil {
			if err := st.conn.SetReadDeadline(time.Time{}); err != nil {
				return err
			}
		}
	}
}

// watch makes ctx's end interrupt a waiting read. It costs something only when
// the context is another one than at the last call.
func (st *Stream) watch(ctx context.Context) {
	if st.unwatch != nil {
		if st.done == ctx.Done() {
			return
		}
		st.unwatch()
		_ = st.conn.SetReadDeadline(time.Time{}) // a broken connection tells the next read
	}
	st.done = ctx.Done()
	st.unwatch = context.AfterFunc(ctx, func() {
		_ = st.conn.SetReadDeadline(time.Unix(1, 0)) // a broken connection wakes the reader too
	})
}

// Close ends the replication politely: CopyDone, then what the server still
// sends is thrown away until it answers, within five seconds. It must not run
// beside Next.
func (st *Stream) Close(ctx context.Context) error {
	defer st.abandon()
	cctx, cancel := closing(ctx)
	defer cancel()
	done, err := (&pgproto3.CopyDone{}).Encode(nil)
	if err != nil {
		return fmt.Errorf("ending replication: %w", err)
	}
	if err := st.out.write(done); err != nil {
		return classify("ending replication", err)
	}
	for {
		typ, body, err := st.frame(cctx)
		switch {
		case err != nil:
			return fmt.Errorf("ending replication: %w", err)
		case typ == 'E':
			return classify("ending replication", serverError(body))
		case typ == 'Z':
			bye, err := (&pgproto3.Terminate{}).Encode(nil)
			if err != nil {
				return fmt.Errorf("ending replication: %w", err)
			}
			return classify("ending replication", st.out.write(bye))
		}
	}
}

// abandon closes the connection.
func (st *Stream) abandon() {
	if st.unwatch != nil {
		st.unwatch()
	}
	_ = st.conn.Close() // nothing is left to lose
}

// serverError reads an ErrorResponse.
func serverError(body []byte) error {
	var msg pgproto3.ErrorResponse
	if err := msg.Decode(body); err != nil {
		return fmt.Errorf("%w: unreadable error of the server", errBadFrame)
	}
	return pgconn.ErrorResponseToPgError(&msg)
}

// writeTimeout bounds one write to the server. A status is 39 bytes: when it
// doesn't fit for so long, the connection is dead.
const writeTimeout = 30 * time.Second

// status is the sending half of the stream.
type status struct {
	mu   sync.Mutex
	conn net.Conn
	buf  [39]byte
}

func (o *status) write(b []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.writeLocked(b)
}

func (o *status) writeLocked(b []byte) error {
	if err := o.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := o.conn.Write(b)
	return err
}

// Status is what walshift tells the server about its progress.
type Status struct {
	// Write is what has been received.
	Write pglogrepl.LSN
	// Flush is what the log holds durably: the slot's confirmed position
	// follows it, and WAL below may be removed.
	Flush pglogrepl.LSN
	// Apply is for pg_stat_replication only.
	Apply pglogrepl.LSN
	// ReplyRequested asks the server for a Keepalive.
	ReplyRequested bool
}

// epoch2000 is PostgreSQL's epoch in Unix microseconds.
const epoch2000 = 946_684_800_000_000

// SendStatus sends a standby status update. It is safe beside Next and beside
// itself. It should be sent at least every ten seconds, also when nothing has
// moved: the server drops a session after a minute without one.
func (st *Stream) SendStatus(s Status) error {
	st.out.mu.Lock()
	defer st.out.mu.Unlock()
	b := st.out.buf[:]
	b[0] = 'd'
	binary.BigEndian.PutUint32(b[1:], uint32(len(b)-1))
	b[5] = pglogrepl.StandbyStatusUpdateByteID
	binary.BigEndian.PutUint64(b[6:], uint64(s.Write))
	binary.BigEndian.PutUint64(b[14:], uint64(s.Flush))
	binary.BigEndian.PutUint64(b[22:], uint64(s.Apply))
	binary.BigEndian.PutUint64(b[30:], uint64(time.Now().UnixMicro()-epoch2000))
	b[38] = 0
	if s.ReplyRequested {
		b[38] = 1
	}
	return classify("sending status to the source", st.out.writeLocked(b))
}
