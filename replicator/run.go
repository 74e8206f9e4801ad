package replicator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pglogrepl"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/walshift/walshift/checkpoint"
	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/source"
)

// Replicator runs one pipeline. Use New; Run may be called once. Status and
// Healthy are safe for concurrent use at any time.
type Replicator struct {
	cfg     Config
	log     *zap.Logger
	metrics *Metrics
	src     *source.Server
	store   Log
	house   Warehouse
	health  health
	view    view
	gate    gate
	again   bell
	started time.Time
	// inflight is for transactions in progress.
	inflight streaming
	// controlling keeps requests of operators apart.
	controlling sync.Mutex
}

// Parts are what a Replicator is made of. All are required.
type Parts struct {
	Log       *zap.Logger
	Metrics   *Metrics
	Source    *source.Server
	Store     Log
	Warehouse Warehouse
}

// New returns a Replicator for a completed and valid configuration.
func New(cfg Config, p Parts) *Replicator {
	return &Replicator{
		inflight: streaming{cfg: cfg.Spool, pipeline: cfg.Pipeline, log: p.Log, metrics: p.Metrics},
		cfg:      cfg, log: p.Log, metrics: p.Metrics, src: p.Source,
		store: p.Store, house: p.Warehouse, started: time.Now(), gate: gate{window: cfg.Apply.Window},
	}
}

// errStartOver asks Run to begin the first load again.
var errStartOver = errors.New("the first load was interrupted")

// Run replicates until drain ends, and then shuts down in order within the
// grace time and returns nil; or until ctx ends (at once); or until a fault
// that needs the operator, which it returns.
//
// Its goroutines, all waited for: capture (which owns a receiver, a stager and
// a feedback per session), the loader with its readers, apply, the slot
// monitor, and the meter of rates.
func (r *Replicator) Run(ctx, drain context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(drain, func() {
		r.health.enter(PhaseStopping)
		t := time.NewTimer(r.cfg.Grace)
		defer t.Stop()
		select {
		case <-t.C:
			cancel()
		case <-ctx.Done():
		}
	})
	defer stop()
	if err := r.inflight.open(); err != nil {
		return err
	}
	defer r.inflight.close()
	for {
		err := r.once(ctx, drain)
		switch {
		case errors.Is(err, errStartOver) && drain.Err() == nil && ctx.Err() == nil:
			r.log.Warn("first_load_starts_over", zap.Error(err))
		case drain.Err() != nil && (err == nil || errors.Is(err, context.Canceled)):
			return nil
		default:
			return err
		}
	}
}

// once decides from durable state how to begin, and runs to an end.
func (r *Replicator) once(ctx, drain context.Context) error {
	r.health.enter(PhaseStarting)
	seq, err := r.findEnd(ctx, drain)
	if err != nil {
		return err
	}
	if err := r.loadPause(ctx); err != nil {
		return fmt.Errorf("reading what operators asked for: %w", err)
	}
	if seq == 0 {
		return r.begin(ctx, drain, seq)
	}
	last, err := r.store.Read(ctx, seq)
	if err != nil {
		return fmt.Errorf("reading the log's end: %w", err)
	}
	if snapshotComplete(last.Tables) {
		return r.resume(ctx, drain, last)
	}
	live, err := r.wentLive(ctx, last)
	if err != nil {
		return err
	}
	if !live {
		r.log.Warn("interrupted_first_load_found", zap.Uint64("batch", seq), zap.Stringer("lsn", last.End))
		return r.begin(ctx, drain, seq)
	}
	r.log.Warn("finished_first_load_found", zap.Uint64("batch", seq), zap.Stringer("lsn", last.End))
	for i := range last.Tables {
		last.Tables[i].SnapshotComplete, last.Tables[i].PendingSince = true, 0
	}
	return r.resume(ctx, drain, last)
}

// begin begins a pipeline by the configured mode. seq is where the log ended
// when that was decided: above 0 it is an unfinished first load's.
func (r *Replicator) begin(ctx, drain context.Context, seq uint64) error {
	if r.cfg.Mode != ModeNever {
		return r.fresh(ctx, drain, seq)
	}
	if seq == 0 {
		return r.adopt(ctx, drain)
	}
	return &change.Fault{
		Scope: change.ScopeFatal, Code: change.CodeStartMode, Op: "starting", Seq: seq,
		Err:    errors.New("snapshot.mode is never, and the log holds an unfinished first load of this pipeline"),
		Remedy: "set snapshot.mode to initial to begin that load anew, or run `walshift teardown --drop-targets` first",
	}
}

// findEnd finds the log's end. A log that can't be reached is waited for if it
// is known from elsewhere that there is one: this is a restart then.
func (r *Replicator) findEnd(ctx, drain context.Context) (uint64, error) {
	b := newBackoff()
	restart := false
	for {
		err := r.store.Ping(ctx)
		var seq uint64
		if err == nil {
			seq, err = r.store.Last(ctx)
		}
		if err == nil {
			r.health.served(PartLog)
			return seq, nil
		}
		if restart = restart || retryable(err) && r.hasBegun(ctx); !restart || !retryable(err) {
			return 0, unreachable(fmt.Errorf("finding the log's end: %w", err),
				"check that S3 can be reached from here, and log.endpoint, log.region and log.url")
		}
		d := b.delay()
		r.health.wait(PartLog, err, d)
		r.health.doing("waiting for the log on S3")
		r.log.Warn("log_unreachable", zap.Duration("retry_in", d), zap.Error(err))
		again := r.again.next()
		t := time.NewTimer(d)
		select {
		case <-ctx.Done():
		case <-drain.Done():
		case <-again:
		case <-t.C:
		}
		t.Stop()
		if ctx.Err() != nil || drain.Err() != nil {
			return 0, context.Canceled
		}
	}
}

// hasBegun reports whether the source or the warehouse knows the pipeline.
func (r *Replicator) hasBegun(ctx context.Context) bool {
	if _, ok, err := r.src.InspectSlot(ctx); err == nil && ok {
		return true
	}
	st, err := r.house.Peek(ctx)
	return err == nil && st.Known
}

// wentLive reports whether the warehouse has made all tables live although the
// log does not say so yet, for the process ended between the two. The first
// load must be the log's own: its tables and their snapshot's position agree.
func (r *Replicator) wentLive(ctx context.Context, last *change.Manifest) (bool, error) {
	st, err := r.house.Peek(ctx)
	if err != nil {
		return false, fmt.Errorf("looking how far the first load came: connecting to the warehouse: %w "+
			"(remedy: start again when redshift.dsn can be reached; nothing has been changed)", err)
	}
	x := make(map[uint32]pglogrepl.LSN, len(st.Tables))
	live := 0
	for i := range st.Tables {
		switch t := &st.Tables[i]; t.State {
		case checkpoint.Live:
			live++
			x[t.OID] = t.X
		case checkpoint.Stopped:
			x[t.OID] = t.X
		case checkpoint.Loading, checkpoint.Loaded, checkpoint.CatchingUp:
			return false, nil
		}
	}
	for i := range last.Tables {
		if at, ok := x[last.Tables[i].OID]; !ok || at != pglogrepl.LSN(last.Tables[i].X) {
			return false, nil
		}
	}
	return live > 0 && st.Seq > 0 && st.Seq <= last.Seq, nil
}

// resume goes on from a log whose first load is complete. Neither the source
// nor the warehouse need be there yet.
func (r *Replicator) resume(ctx, drain context.Context, last *change.Manifest) error {
	if err := r.checkSelection(last); err != nil {
		return err
	}
	rels := make([]*change.Relation, 0, len(last.Tables))
	for i := range last.Tables {
		if t := &last.Tables[i]; t.Stopped == "" {
			rels = append(rels, t.Relation)
		}
	}
	if err := r.house.CheckNumerics(rels); err != nil {
		return err
	}
	s := r.newShared(newTables(last.Tables), last.Seq, pglogrepl.LSN(last.End))
	r.health.enter(PhaseStreaming)
	ident := identity{pipeline: r.cfg.Pipeline, systemID: last.SystemID, timeline: last.Timeline}
	return r.loops(ctx, drain, s, ident, nil)
}

// checkSelection refuses a configuration that leaves out a table which the
// pipeline replicates (pitfall S14): its rows would go on flowing.
func (r *Replicator) checkSelection(last *change.Manifest) error {
	var left []string
	for i := range last.Tables {
		if t := &last.Tables[i]; t.Stopped == "" && !r.src.Selects(t.Relation.Schema, t.Relation.Name) {
			left = append(left, t.Relation.String())
		}
	}
	if len(left) == 0 {
		return nil
	}
	return &change.Fault{
		Scope: change.ScopeFatal, Code: change.CodeSelection, Op: "comparing source.tables with the log", Seq: last.Seq, LSN: pglogrepl.LSN(last.End),
		Err: fmt.Errorf("the pipeline replicates %s, which the configuration now leaves out", strings.Join(left, ", ")),
		Remedy: "select the tables again, or run `walshift teardown` and start afresh without them; " +
			"nothing has been read since that LSN",
	}
}

func (r *Replicator) newShared(t *tables, seq uint64, staged pglogrepl.LSN) *shared {
	s := &shared{
		log: r.log, tables: t, metrics: r.metrics, health: &r.health, gate: &r.gate, again: &r.again, watch: newWatch(),
		pos: checkpoint.NewPositions(seq, staged, 0, 0),
	}
	r.view.set(s)
	return s
}

// loops runs capture, the first load if there is one, apply and the monitor.
func (r *Replicator) loops(ctx, drain context.Context, s *shared, ident identity, load *first) error {
	epochs := make(chan uint64, 1)
	loaded := make(chan struct{})
	g, ctx := errgroup.WithContext(ctx)
	// Apply and the load end with capture: capture's last confirmation is the
	// last thing that has to happen.
	sideCtx, endSide := context.WithCancel(ctx)
	capture := &capturer{
		cfg: r.cfg, log: r.log, shared: s, src: r.src, store: r.store, ident: ident, epoch: epochs, inflight: &r.inflight,
	}
	g.Go(func() error {
		defer endSide()
		return capture.run(ctx, drain)
	})
	g.Go(func() error { return r.monitor(sideCtx, s) })
	g.Go(func() error { return r.measure(sideCtx, s) })
	if load == nil {
		close(loaded)
	}
	g.Go(func() error {
		epoch, err := awaitEpoch(sideCtx, epochs)
		if err != nil {
			return ended(sideCtx, err)
		}
		if load != nil {
			if err := r.load(sideCtx, s, epoch, load); err != nil {
				return ended(sideCtx, err)
			}
		}
		apply := &applier{cfg: r.cfg.Apply, log: r.log, shared: s, store: r.store, trash: r.store, house: r.house, epoch: epoch}
		return ended(sideCtx, apply.run(sideCtx))
	})
	return g.Wait()
}

// ended hides the error of a part that was asked to end.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // it is what was asked for
	}
	return err
}

func awaitEpoch(ctx context.Context, epochs <-chan uint64) (uint64, error) {
	select {
	case e := <-epochs:
		return e, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}
