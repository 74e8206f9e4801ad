package replicator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/walshift/walshift/checkpoint"
	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/fold"
	"github.com/walshift/walshift/replicator/pgoutput"
	"github.com/walshift/walshift/replicator/source"
	"github.com/walshift/walshift/replicator/spool"
)

// ErrIdentityChanged reports a source that is not the one that the log was
// written from.
var ErrIdentityChanged = errors.New("the source is another server")

// capturer owns capture over all its sessions: a session is one replication
// connection with the receiver, the stager and the feedback that belong to it.
type capturer struct {
	cfg      Config
	log      *zap.Logger
	shared   *shared
	src      *source.Server
	store    Log
	ident    identity
	inflight *streaming
	// epoch receives the epoch won by the first takeover, once.
	epoch chan<- uint64
	sent  bool
}

// run keeps a session alive until ctx ends or a fault needs the operator.
// drain asks for an orderly end; run then returns nil.
func (c *capturer) run(ctx, drain context.Context) error {
	b := newBackoff()
	for {
		started := time.Now()
		c.shared.health.captured() // being without the source is not being stuck
		err := c.session(ctx, drain)
		draining := over(drain)
		switch {
		case err == nil && draining:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case draining: // an open batch may always be dropped
			c.log.Warn("capture_ended_unsealed", zap.Error(err))
			return nil
		case err != nil && !retryable(err):
			return c.atStake(err)
		}
		if full, ok := errors.AsType[*spoolError](err); ok {
			c.inflight.fallBack(full, max(full.at, c.shared.pos.Read().ServerEnd))
			continue
		}
		if time.Since(started) > time.Minute {
			b.reset()
		}
		d := b.delay()
		c.shared.retrying(PartCapture, err, d)
		c.log.Warn("capture_reconnecting", zap.Duration("in", d), zap.Error(err))
		pause(ctx, drain, c.shared.again.next(), d)
	}
}

// atStake adds to a fault that names no position what is not in the log: all
// above the staged position (promise P6).
func (c *capturer) atStake(err error) error {
	f, ok := errors.AsType[*change.Fault](err)
	if !ok || f.LSN != 0 {
		return err
	}
	p := c.shared.pos.Read()
	g := *f
	g.LSN = p.Staged
	to := "…"
	if p.ServerEnd > p.Staged {
		to = p.ServerEnd.String()
	}
	g.Err = fmt.Errorf("%w; changes in (%s, %s] are not in the log", f.Err, p.Staged, to)
	return &g
}

// pause waits for d, or until either context ends, or somebody asks for
// another try.
func pause(ctx, drain context.Context, again <-chan struct{}, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-drain.Done():
	case <-again:
	case <-t.C:
	}
}

// session runs one replication connection to its end.
func (c *capturer) session(ctx, drain context.Context) error {
	last, err := c.lastManifest(ctx)
	if err != nil {
		return err
	}
	if err := c.checkSlot(ctx, last); err != nil {
		return err
	}
	sp := c.inflight.ready(pglogrepl.LSN(last.End))
	stream, err := c.src.StartStream(ctx, pglogrepl.LSN(last.End), sp != nil)
	if err != nil {
		return err
	}
	c.inflight.began(sp != nil, stream.Streams)
	if !stream.Streams {
		sp = nil
	}
	defer func() { _ = stream.Close(context.WithoutCancel(ctx)) }() // bounded; the session is over either way
	change.Reach(change.SeamStreamStarted)
	c.shared.pos.Restart()
	at, err := c.takeOver(ctx)
	if err != nil {
		return err
	}
	if !c.sent {
		c.sent = true
		c.epoch <- at.Epoch
	}
	c.shared.health.served(PartCapture)
	c.log.Info("capture_started", zap.Uint64("epoch", at.Epoch), zap.Stringer("lsn", at.End))
	return c.stream(ctx, drain, session{stream: stream, at: at, spool: sp})
}

// session is what a session begins with.
type session struct {
	stream *source.Stream
	at     *change.Manifest
	spool  *spool.Spool
}

// stream runs the three goroutines of a session: receive, stage, feedback.
func (c *capturer) stream(ctx, drain context.Context, s session) error {
	stream, at := s.stream, s.at
	catalog, err := c.src.OpenCatalog(ctx)
	if err != nil {
		return err
	}
	defer catalog.Close(context.WithoutCancel(ctx))
	// Before any change is read: what was done while nobody looked.
	watch := &watcher{shared: c.shared, src: c.src, catalog: catalog, log: c.log}
	if err := watch.all(ctx); err != nil {
		return err
	}
	works := make(chan work, 1)
	replies := make(chan struct{}, 1)
	folder := fold.New(fold.Config{IdleBytes: c.cfg.Batch.SegmentBytes / 2})
	recv := &receiver{
		cfg: c.cfg.Batch, log: c.log, shared: c.shared, stream: stream, lookup: catalog,
		watch: watch,
		dec:   pgoutput.New(protoVersion(stream.Identity)), folder: folder, out: works, reply: replies, spool: s.spool,
		resume: pglogrepl.LSN(at.End), nextSeq: at.Seq + 1,
	}
	recv.openNext(pglogrepl.LSN(at.End))
	stage := &stager{log: c.log, shared: c.shared, out: c.store, ident: c.ident, epoch: at.Epoch}
	g, ctx := errgroup.WithContext(ctx)
	done := make(chan struct{})
	watching, endWatch := context.WithCancel(ctx)
	g.Go(func() error {
		defer endWatch()
		return recv.run(ctx, drain)
	})
	g.Go(func() error { return watch.run(watching, c.cfg.WatchInterval) })
	g.Go(func() error {
		defer close(done)
		return stage.run(ctx, works)
	})
	g.Go(func() error { return c.feedback(ctx, stream, replies, done) })
	return g.Wait()
}

// feedback confirms the staged position: at once when it moved, when the
// server asks, and every second (PostgreSQL 15's walsender has a fast path
// while the last reply is young). It runs whatever the stager does (S8), and
// ends after one last confirmation when the stager is done.
func (c *capturer) feedback(ctx context.Context, stream *source.Stream, replies <-chan struct{}, done <-chan struct{}) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		moved := c.shared.pos.Changed()
		p := c.shared.pos.Read()
		change.Reach(change.SeamBeforeConfirm)
		if err := confirm(stream, p); err != nil {
			return err
		}
		change.Reach(change.SeamConfirmed)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-done:
			return confirm(stream, c.shared.pos.Read())
		case <-moved:
		case <-replies:
		case <-tick.C:
		}
	}
}

// protoVersion is what source asks the server for: 2 from PostgreSQL 14 on.
func protoVersion(id source.Identity) int {
	if id.Major() < 14 {
		return 1
	}
	return 2
}

func confirm(stream *source.Stream, p checkpoint.Snapshot) error {
	return stream.SendStatus(source.Status{Write: p.Captured, Flush: p.Staged, Apply: p.Staged})
}

// lastManifest reads the log's end, which every session begins at.
func (c *capturer) lastManifest(ctx context.Context) (*change.Manifest, error) {
	seq, err := c.store.Last(ctx)
	if err != nil {
		return nil, fmt.Errorf("finding the log's end: %w", err)
	}
	if seq == 0 {
		return nil, &change.Fault{
			Scope: change.ScopeFatal, Code: change.CodeLogGap, Op: "reading the log", Err: errors.New("the log is gone"),
			Remedy: "restore the objects under the pipeline's prefix, or run `walshift teardown` and start afresh",
		}
	}
	m, err := c.store.Read(ctx, seq)
	if err != nil {
		return nil, fmt.Errorf("reading the log's end: %w", err)
	}
	return m, nil
}

// checkSlot compares the slot and the server with the log's end. Nothing goes
// on over a gap (promise P6; pitfalls S1, S3, S7, S10).
func (c *capturer) checkSlot(ctx context.Context, last *change.Manifest) error {
	id, err := c.src.Identity(ctx)
	if err != nil {
		return err
	}
	if id.SystemID != last.SystemID {
		return &change.Fault{
			Scope: change.ScopeFatal, Code: change.CodeSourceIdentity, Op: "connecting to the source",
			Err:    fmt.Errorf("%w: system identifier is %s, the log belongs to %s", ErrIdentityChanged, id.SystemID, last.SystemID),
			Remedy: "point source.dsn at the server that this pipeline was loaded from, or run `walshift teardown` and start afresh",
		}
	}
	slot, ok, err := c.src.InspectSlot(ctx)
	if err != nil {
		return err
	}
	if !ok {
		return c.gap(last, id.FlushLSN, "the replication slot does not exist")
	}
	switch {
	case slot.Lost():
		return c.gap(last, id.FlushLSN, "the replication slot is lost: its WAL was removed")
	case slot.ConfirmedFlush != nil && *slot.ConfirmedFlush > pglogrepl.LSN(last.End):
		// Another writer may have moved both since the log was read. What it
		// confirmed was in the log before, so reading again tells.
		if last, err = c.lastManifest(ctx); err != nil {
			return err
		}
		if *slot.ConfirmedFlush > pglogrepl.LSN(last.End) {
			return c.gap(last, *slot.ConfirmedFlush, "the slot is confirmed beyond the log's end")
		}
	}
	return slot.Check(id.Database)
}

func (c *capturer) gap(last *change.Manifest, to pglogrepl.LSN, what string) error {
	return &change.Fault{
		Scope: change.ScopeFatal, Code: change.CodeSlotLost, Op: "checking the slot", Seq: last.Seq, LSN: pglogrepl.LSN(last.End),
		Err:    fmt.Errorf("%s; changes in (%s, %s] can't be read any more", what, last.End, to),
		Remedy: "run `walshift teardown` and start afresh; nothing has been skipped",
	}
}

// takeOver makes this session the log's writer: the slot is ours already, so
// the number after the log's end is either free or won by a writer whose
// stream has ended; then its manifest is adopted and the next number tried.
func (c *capturer) takeOver(ctx context.Context) (*change.Manifest, error) {
	last, err := c.lastManifest(ctx)
	if err != nil {
		return nil, err
	}
	for {
		c.shared.tables.learnStops(last.Tables)
		m := &change.Manifest{
			Version: change.FormatVersion, Pipeline: c.ident.pipeline, Epoch: last.Seq + 1, Attempt: newAttempt(),
			SystemID: c.ident.systemID, Timeline: c.ident.timeline, Seq: last.Seq + 1,
			Prev: last.End, Begin: last.End, End: last.End, Tables: c.shared.tables.captures(),
		}
		err := c.store.Commit(ctx, m)
		if taken, ok := errors.AsType[*change.TakenError](err); ok {
			last = taken.Theirs
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("taking over the log: %w", err)
		}
		change.Reach(change.SeamTakeoverWritten)
		if err := c.adopt(ctx, m); err != nil {
			return nil, err
		}
		return m, nil
	}
}

// adopt notes every batch up to m that the positions don't know yet.
func (c *capturer) adopt(ctx context.Context, m *change.Manifest) error {
	for seq := c.shared.pos.Read().StagedSeq + 1; seq < m.Seq; seq++ {
		b, err := c.store.Read(ctx, seq)
		if err != nil {
			return fmt.Errorf("reading batch %d: %w", seq, err)
		}
		if err := c.shared.pos.Adopt(seq, pglogrepl.LSN(b.End), b.FirstCommit, b.Transactions); err != nil {
			return err
		}
	}
	return c.shared.pos.Adopt(m.Seq, pglogrepl.LSN(m.End), m.FirstCommit, 0)
}
