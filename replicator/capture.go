package replicator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"
	"go.uber.org/zap"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/fold"
	"github.com/walshift/walshift/replicator/pgoutput"
	"github.com/walshift/walshift/replicator/source"
	"github.com/walshift/walshift/replicator/spool"
)

// transaction is the one that is being received.
type transaction struct {
	open   bool
	skip   bool // at or below the resume position: the log has it
	commit pglogrepl.LSN
	xid    uint32
}

// openBatch is the batch that the receiver fills.
type openBatch struct {
	seq         uint64
	attempt     string
	begin, end  pglogrepl.LSN
	first, last time.Time
	txs         int64
	bytes       int64
	since       time.Time // when its first transaction began to arrive
}

// sealed closes a batch.
type sealed struct {
	begin, end  pglogrepl.LSN
	first, last time.Time
	txs         int64
}

// work is what the receiver hands to the stager: segments of a batch in
// order, and with the last of them the seal.
type work struct {
	seq      uint64
	attempt  string
	segments []*change.Segment
	stops    []tableStop
	seal     *sealed
}

// tableStop takes a table out of capture at its place in the stream: the
// batch that it travels with holds nothing of the table.
type tableStop struct {
	oid uint32
	err error
}

// receiver turns the stream into segments. It is used by one goroutine.
type receiver struct {
	cfg    BatchConfig
	log    *zap.Logger
	shared *shared
	stream *source.Stream
	lookup *source.Catalog
	watch  *watcher
	dec    *pgoutput.Decoder
	folder *fold.Folder
	out    chan<- work
	reply  chan<- struct{}
	// spool keeps transactions in progress, nil if none were asked for; kept
	// counts the messages that went there.
	spool *spool.Spool
	kept  int

	resume    pglogrepl.LSN
	tx        transaction
	batch     openBatch
	nextSeq   uint64
	keepalive pglogrepl.LSN // newest keepalive position that all received transactions lie below
	lastEmpty time.Time
	stops     []tableStop
	lastOID   uint32
	lastTable *table
}

// run reads until ctx ends, the stream fails, or a fault needs the operator.
// When drain ends first, it stops at the next transaction boundary, seals what
// is whole and returns nil.
func (r *receiver) run(ctx, drain context.Context) error {
	defer close(r.out)
	for {
		if drain.Err() != nil && !r.tx.open {
			return r.seal(ctx, false)
		}
		ev, err := r.next(ctx, drain)
		switch {
		case errors.Is(err, errWake):
			if err := r.wake(ctx); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		}
		if err := r.handle(ctx, ev); err != nil {
			return err
		}
	}
}

// errWake says that no message came before the open batch's age limit or the
// drain request.
var errWake = errors.New("nothing arrived in time")

// next returns the next message. It builds a context with a deadline only
// when nothing is buffered, so that the hot path costs none.
func (r *receiver) next(ctx, drain context.Context) (source.Event, error) {
	if r.stream.Buffered() {
		return r.stream.Next(ctx)
	}
	r.shared.health.captured()
	if r.tx.open { // its commit is awaited whatever the batch's age
		return r.stream.Next(ctx)
	}
	wait, cancel := r.waitContext(ctx)
	defer cancel()
	stop := context.AfterFunc(drain, cancel)
	defer stop()
	ev, err := r.stream.Next(wait)
	if err != nil && wait.Err() != nil && ctx.Err() == nil {
		return ev, errWake
	}
	return ev, err
}

// lookEvery bounds each wait for a message, so that a requested seal is seen.
const lookEvery = time.Second

// waitContext bounds a wait by the age limit of the open batch.
func (r *receiver) waitContext(ctx context.Context) (context.Context, context.CancelFunc) {
	until := time.Now().Add(lookEvery)
	if due := r.batch.since.Add(r.age()); r.batch.txs > 0 && due.Before(until) {
		until = due
	}
	return context.WithDeadline(ctx, until)
}

// age is how old the open batch may become: the interval while apply keeps
// up, the maximum while batches wait or while apply's position is unknown.
func (r *receiver) age() time.Duration {
	p := r.shared.pos.Read()
	if p.AppliedSeq > 0 && p.StagedSeq <= p.AppliedSeq {
		return r.cfg.Interval
	}
	return max(r.cfg.Interval, r.cfg.MaxAge)
}

func (r *receiver) wake(ctx context.Context) error {
	if err := r.stopAsked(); err != nil {
		return err
	}
	if r.shared.recordNow.Swap(false) {
		return r.seal(ctx, true)
	}
	if r.shared.sealAsked(max(r.batch.end, r.keepalive)) {
		return r.seal(ctx, false)
	}
	if r.batch.txs == 0 && len(r.stops) > 0 { // nothing else would carry them
		return r.seal(ctx, false)
	}
	if r.batch.txs == 0 || time.Since(r.batch.since) < r.age() {
		return nil
	}
	return r.seal(ctx, false)
}

func (r *receiver) handle(ctx context.Context, ev source.Event) error {
	if ev.Kind == source.Keepalive {
		return r.idle(ctx, ev)
	}
	m, err := r.dec.Decode(ev.Data)
	if err != nil {
		return undecodable(ev.WALStart, err)
	}
	switch m.Kind {
	case pgoutput.StreamStart, pgoutput.StreamStop, pgoutput.StreamCommit, pgoutput.StreamAbort:
		if r.spool == nil {
			return r.broken(ev.WALStart, fmt.Sprintf("message %q was not asked for", byte(m.Kind)))
		}
		return r.block(ctx, m, ev)
	default:
	}
	if r.inBlock() {
		return r.block(ctx, m, ev)
	}
	r.batch.bytes += int64(len(ev.Data))
	return r.apply(ctx, m)
}

// inBlock reports whether a block of a transaction in progress is open.
func (r *receiver) inBlock() bool { return r.spool != nil && r.spool.InBlock() }

func undecodable(at pglogrepl.LSN, err error) error {
	return &change.Fault{
		Scope: change.ScopeFatal, Code: change.CodeStream, Op: "decoding the stream", LSN: at, Err: err,
		Remedy: "report this with the server's version; nothing after this LSN has been confirmed",
	}
}

// apply takes a message of a committed transaction.
func (r *receiver) apply(ctx context.Context, m *pgoutput.Message) error {
	switch m.Kind {
	case pgoutput.Insert, pgoutput.Update, pgoutput.Delete:
		return r.row(ctx, m)
	case pgoutput.Begin:
		return r.begin(m)
	case pgoutput.Commit:
		return r.commit(ctx, m)
	case pgoutput.Relation:
		return r.relation(ctx, m)
	case pgoutput.Truncate:
		return r.truncate(ctx, m)
	case pgoutput.Origin, pgoutput.Type, pgoutput.LogicalMessage:
		return nil
	case pgoutput.StreamStart, pgoutput.StreamStop, pgoutput.StreamCommit, pgoutput.StreamAbort:
	}
	return r.broken(r.tx.commit, fmt.Sprintf("message %q can't come here", byte(m.Kind)))
}

func (r *receiver) begin(m *pgoutput.Message) error {
	if r.tx.open {
		return r.broken(m.Begin.FinalLSN, "a transaction begins inside another")
	}
	// A commit record that starts below the resume position also ends at or
	// below it, for records don't overlap; commit checks it.
	r.tx = transaction{open: true, commit: m.Begin.FinalLSN, xid: m.Xid, skip: m.Begin.FinalLSN < r.resume}
	if r.batch.txs == 0 && !r.tx.skip {
		r.batch.since = time.Now()
	}
	change.Reach(change.SeamBeginReceived)
	return nil
}

func (r *receiver) commit(ctx context.Context, m *pgoutput.Message) error {
	end := m.Commit.EndLSN
	switch {
	case !r.tx.open || m.Commit.LSN != r.tx.commit:
		return r.broken(m.Commit.LSN, "a commit does not match its transaction's begin")
	case r.tx.skip != (end <= r.resume):
		return r.broken(end, fmt.Sprintf("transaction of commit LSN %s straddles the staged position %s", m.Commit.LSN, r.resume))
	}
	r.tx.open = false
	if r.tx.skip {
		return nil
	}
	if err := r.stopAsked(); err != nil {
		return err
	}
	if err := r.shared.pos.Receive(end, m.Commit.Time); err != nil {
		return r.broken(end, err.Error())
	}
	b := &r.batch
	if b.txs == 0 {
		b.first = m.Commit.Time
	}
	b.last, b.end = m.Commit.Time, end
	b.txs++
	change.Reach(change.SeamCommitReceived)
	if b.bytes >= r.cfg.MaxBytes || r.folder.Bytes() >= r.cfg.SegmentBytes*3/4 ||
		r.shared.sealAsked(end) || time.Since(b.since) >= r.age() {
		return r.seal(ctx, false)
	}
	return nil
}

func (r *receiver) broken(at pglogrepl.LSN, what string) error {
	return &change.Fault{
		Scope: change.ScopeFatal, Code: change.CodeStream, Op: "reading the stream", LSN: at, Err: errors.New(what),
		Remedy: "nothing after this LSN has been confirmed; report this with the server's version",
	}
}

// table returns the selected table of an oid, nil if it is not selected.
func (r *receiver) table(oid uint32) *table {
	if oid != r.lastOID || r.lastTable == nil {
		r.lastOID, r.lastTable = oid, r.shared.tables.get(oid)
	}
	return r.lastTable
}

func (r *receiver) row(ctx context.Context, m *pgoutput.Message) error {
	if r.tx.skip {
		return nil
	}
	change.Reach(change.SeamRowReceived)
	t := r.table(m.RelationID)
	if t == nil || t.stopped.Load() {
		return nil
	}
	if err := r.folder.Change(t.rel, m.Row, r.tx.commit); err != nil {
		return r.tableFault(t, err)
	}
	if r.folder.Bytes() >= r.cfg.SegmentBytes {
		return r.flush(ctx)
	}
	return nil
}

func (r *receiver) truncate(ctx context.Context, m *pgoutput.Message) error {
	xid := r.tx.xid
	if m.Xid != 0 { // of the subtransaction, where the transaction was streamed
		xid = m.Xid
	}
	for _, oid := range m.Truncate.OIDs {
		if r.shared.tables.noteTruncate(oid, xid) {
			r.shared.watch.truncatedOne(oid)
		}
	}
	if r.tx.skip {
		return nil
	}
	for _, oid := range m.Truncate.OIDs {
		t := r.table(oid)
		if t == nil || t.stopped.Load() {
			continue
		}
		r.folder.Truncate(t.rel, r.tx.commit)
	}
	if r.folder.Bytes() >= r.cfg.SegmentBytes {
		return r.flush(ctx)
	}
	return nil
}

// relation compares a table's announcement with the version that is being
// replicated. A difference stops the table: following schema changes needs
// the catalog's proof, which the stream alone does not give.
func (r *receiver) relation(ctx context.Context, m *pgoutput.Message) error {
	t := r.shared.tables.get(m.Relation.OID)
	if t == nil || t.stopped.Load() {
		return nil
	}
	diff, err := differs(ctx, r.lookup, t.rel, &m.Relation)
	if err != nil {
		return fmt.Errorf("reading the catalog for table %s: %w", t.rel, err)
	}
	if diff != "" {
		f := schemaFault(t.rel, diff)
		f.LSN = r.tx.commit
		return r.tableFault(t, f)
	}
	f, err := r.watch.one(ctx, t)
	if err != nil || f == nil {
		return err
	}
	return r.tableFault(t, f)
}

// stopAsked carries out the stops that the watch has asked for, at the boundary
// of a transaction.
func (r *receiver) stopAsked() error {
	for _, s := range r.shared.watch.take() {
		if t := r.shared.tables.get(s.oid); t != nil && !t.stopped.Load() {
			if err := r.tableFault(t, s.err); err != nil {
				return err
			}
		}
	}
	return nil
}

// tableFault stops one table and goes on with the others; any graver fault
// goes up.
func (r *receiver) tableFault(t *table, err error) error {
	if change.ScopeOf(err) != change.ScopeTable {
		return err
	}
	r.folder.Drop(t.rel.OID)
	t.stopped.Store(true)
	r.stops = append(r.stops, tableStop{oid: t.rel.OID, err: err})
	return nil
}

// idle handles a keepalive. While no transaction is half received, everything
// that committed below its position has been received.
func (r *receiver) idle(ctx context.Context, ev source.Event) error {
	if ev.ReplyRequested {
		select {
		case r.reply <- struct{}{}:
		default: // a reply is already asked for
		}
	}
	if r.tx.open || r.inBlock() {
		r.shared.pos.SawServer(ev.WALEnd)
		return nil
	}
	r.keepalive = max(r.keepalive, ev.WALEnd)
	if !r.shared.pos.Idle(ev.WALEnd) {
		return nil
	}
	if !r.shared.sealAsked(r.keepalive) && time.Since(r.lastEmpty) < r.cfg.KeepaliveEvery {
		return nil
	}
	return r.seal(ctx, false)
}

// flush hands the open segments to the stager in the middle of a batch.
func (r *receiver) flush(ctx context.Context) error {
	w := work{seq: r.batch.seq, attempt: r.batch.attempt, segments: r.folder.Cut(), stops: r.stops}
	r.stops = nil
	return r.send(ctx, w)
}

// seal closes the open batch at its last whole transaction, or at the newest
// keepalive position above it. When that is where it began there is nothing to
// say, unless the tables' state is to be recorded (always).
func (r *receiver) seal(ctx context.Context, always bool) error {
	b := &r.batch
	end := max(b.end, b.begin, r.keepalive)
	if end == b.begin && len(r.stops) == 0 && !always {
		return nil
	}
	w := work{
		seq: b.seq, attempt: b.attempt, segments: r.folder.Cut(),
		stops: r.stops,
		seal:  &sealed{begin: b.begin, end: end, first: b.first, last: b.last, txs: b.txs},
	}
	r.stops = nil
	r.shared.pos.Seal(b.seq)
	r.shared.metrics.sealedBatch(b)
	r.lastEmpty = time.Now()
	r.openNext(end)
	change.Reach(change.SeamBatchSealed)
	return r.send(ctx, w)
}

func (r *receiver) openNext(begin pglogrepl.LSN) {
	r.shared.sealed.Store(uint64(begin))
	r.batch = openBatch{
		seq: r.nextSeq, attempt: newAttempt(), begin: begin, end: begin,
	}
	r.nextSeq++
}

func (r *receiver) send(ctx context.Context, w work) error {
	select {
	case r.out <- w:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
