package replicator

import (
	"bytes"
	"context"
	"time"

	"github.com/jackc/pglogrepl"

	"github.com/walshift/walshift/replicator/pgoutput"
	"github.com/walshift/walshift/replicator/source"
)

// lookEach is after how many messages of a transaction in progress, or of one
// that is replayed, the receiver looks at the clock and for its end.
const lookEach = 1024

// block handles what begins, fills and ends blocks of transactions that are sent
// before they are committed. Their messages, Relation messages included, go to
// the spool at their place and have no effect before the commit (pitfall V15).
//
// Nothing of them holds a position back: what was committed below a keepalive's
// position has been received, and what is in progress the server sends again,
// from its beginning, to whoever comes after a restart. So batches are sealed
// and shutdown goes on as if they were not there.
func (r *receiver) block(ctx context.Context, m *pgoutput.Message, ev source.Event) error {
	switch m.Kind { //nolint:exhaustive // all others stand in a block
	case pgoutput.StreamStart:
		return spooled(ev, r.spool.Begin(m.Xid, m.FirstSegment))
	case pgoutput.StreamStop:
		if err := r.spool.End(); err != nil {
			return spooled(ev, err)
		}
		return r.wake(ctx)
	case pgoutput.StreamAbort:
		return spooled(ev, r.spool.Abort(m.Xid, m.SubXid))
	case pgoutput.StreamCommit:
		return r.streamCommit(ctx, m, ev)
	case pgoutput.Origin, pgoutput.Type: // nobody needs them
		return nil
	}
	if err := r.spool.Append(m.Xid, ev.Data); err != nil {
		return spooled(ev, err)
	}
	if r.kept++; r.kept%lookEach == 0 { // a block may take long
		return r.wake(ctx)
	}
	return nil
}

func spooled(ev source.Event, err error) error {
	if err == nil {
		return nil
	}
	return &spoolError{err: err, at: ev.WALStart}
}

// streamCommit replays a transaction that was streamed as if it came now,
// between its begin and its commit.
func (r *receiver) streamCommit(ctx context.Context, m *pgoutput.Message, ev source.Event) error {
	if r.tx.open {
		return r.broken(m.Commit.LSN, "a streamed transaction is committed inside another")
	}
	r.tx = transaction{open: true, commit: m.Commit.LSN, xid: m.Xid, skip: m.Commit.LSN < r.resume}
	if !r.tx.skip {
		if r.batch.txs == 0 {
			r.batch.since = time.Now()
		}
		if err := r.replay(ctx, m.Xid, m.Commit.EndLSN); err != nil {
			return err
		}
		r.shared.metrics.streamed.Inc()
	}
	if err := r.spool.Drop(m.Xid); err != nil {
		return spooled(ev, err)
	}
	return r.commit(ctx, m)
}

// replay applies the messages of a transaction. Segments are handed on as they
// fill, as with every transaction that is larger than the memory.
func (r *receiver) replay(ctx context.Context, xid uint32, end pglogrepl.LSN) error {
	dec := pgoutput.NewBlock()
	announced := announcements{}
	n := 0
	var failed error
	err := r.spool.Replay(xid, func(message []byte) error {
		if n++; n%lookEach == 0 {
			r.shared.health.captured()
			if failed = ctx.Err(); failed != nil {
				failed = context.Cause(ctx)
				return failed
			}
		}
		var m *pgoutput.Message
		if m, failed = dec.Decode(message); failed != nil {
			failed = undecodable(end, failed)
			return failed
		}
		r.batch.bytes += int64(len(message))
		if m.Kind == pgoutput.Relation && announced.repeats(m.Relation.OID, message) {
			return nil
		}
		failed = r.apply(ctx, m)
		return failed
	})
	if failed != nil {
		return failed
	}
	if err != nil {
		return &spoolError{err: err, at: end}
	}
	return nil
}

// announcements are the last Relation messages of tables within a replay. The
// server repeats them after each subtransaction that is rolled back, and each
// would cost the source a look at its catalog, which is no other than a moment
// before.
type announcements map[uint32][]byte

// repeats reports whether a message says what the one before said.
func (a announcements) repeats(oid uint32, message []byte) bool {
	const head = 1 + 4 // kind and the writer's xid
	body := message[head:]
	if bytes.Equal(a[oid], body) {
		return true
	}
	a[oid] = bytes.Clone(body)
	return false
}
