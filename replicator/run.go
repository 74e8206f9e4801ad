package replicator

import (
	"context"
	"errors"
	"fmt"
	"strings"
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
	started time.Time
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
		cfg: cfg, log: p.Log, metrics: p.Metrics, src: p.Source,
		store: p.Store, house: p.Warehouse, started: time.Now(),
	}
}

// errStartOver asks Run to begin the first load again.
var errStartOver = errors.New("the first load was interrupted")

// Run replicates until drain ends, and then shuts down in order within the
// grace time and returns nil; or until ctx ends (at once); or until a fault
// that needs the operator, which it returns.
//
// Its goroutines, all waited for: capture (which owns a receiver, a stager and
// a feedback per session), the loader with its readers, apply, and the slot
// monitor.
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
	seq, err := r.store.Last(ctx)
	if err != nil {
		return fmt.Errorf("finding the log's end: %w", err)
	}
	if seq == 0 {
		return r.fresh(ctx, drain, seq)
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
		return r.fresh(ctx, drain, seq)
	}
	r.log.Warn("finished_first_load_found", zap.Uint64("batch", seq), zap.Stringer("lsn", last.End))
	for i := range last.Tables {
		last.Tables[i].SnapshotComplete, last.Tables[i].PendingSince = true, 0
	}
	return r.resume(ctx, drain, last)
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
		Scope: change.ScopeFatal, Op: "comparing source.tables with the log", Seq: last.Seq, LSN: pglogrepl.LSN(last.End),
		Err: fmt.Errorf("the pipeline replicates %s, which the configuration now leaves out", strings.Join(left, ", ")),
		Remedy: "select the tables again, or run `walshift teardown` and start afresh without them; " +
			"nothing has been read since that LSN",
	}
}

func (r *Replicator) newShared(t *tables, seq uint64, staged pglogrepl.LSN) *shared {
	s := &shared{
		log: r.log, tables: t, metrics: r.metrics, health: &r.health,
		pos: checkpoint.NewPositions(seq, staged, 0, 0),
	}
	r.view.set(s)
	return s
}

// first is a first load in preparation.
type first struct {
	source source.Identity
	keeper *source.Keeper
	tables []source.Table
	x      pglogrepl.LSN
}

// fresh begins a pipeline: everything is checked before anything is changed.
// seq is where the log ended when that was decided.
func (r *Replicator) fresh(ctx, drain context.Context, seq uint64) error {
	plan, err := r.src.Preflight(ctx)
	if err != nil {
		return unreachable(err, "check that the source is up, and host, port and sslmode in source.dsn")
	}
	for i := range plan.Warnings {
		r.log.Warn("source_warning", zap.Stringer("warning", plan.Warnings[i]))
	}
	if err := r.checkWarehouse(ctx, plan.Relations()); err != nil {
		return err
	}
	if err := r.clear(ctx, seq); err != nil {
		return err
	}
	f, err := r.createSlot(ctx)
	if err != nil {
		return err
	}
	defer f.keeper.Close(context.WithoutCancel(ctx))
	captures := make([]change.TableCapture, len(f.tables))
	rels := make([]*change.Relation, len(f.tables))
	estimates := make(map[uint32]int64, len(f.tables))
	for i := range f.tables {
		rel := f.tables[i].Relation
		rels[i] = rel
		estimates[rel.OID], _ = f.tables[i].Estimates()
		captures[i] = change.TableCapture{
			OID: rel.OID, Schema: rel.Schema, Name: rel.Name, X: change.LSN(f.x), PendingSince: 1, Relation: rel,
		}
	}
	// Seq 1 is written before streaming: a slot without a log was never
	// confirmed, and is dropped at the next start.
	ident := identity{pipeline: r.cfg.Pipeline, systemID: f.source.SystemID, timeline: f.source.Timeline}
	err = r.store.Commit(ctx, &change.Manifest{
		Version: change.FormatVersion, Pipeline: ident.pipeline, Epoch: 1, Attempt: newAttempt(),
		SystemID: ident.systemID, Timeline: ident.timeline, Seq: 1,
		Prev: change.LSN(f.x), Begin: change.LSN(f.x), End: change.LSN(f.x), Tables: captures,
	})
	if err != nil {
		return fmt.Errorf("beginning the log: %w", err)
	}
	change.Reach(change.SeamLogBegun)
	s := r.newShared(newTables(captures), 1, f.x)
	s.tables.setEstimates(estimates)
	if err := r.house.Begin(ctx, Start{Epoch: 1, Seq: 1, X: f.x, Rels: rels}); err != nil {
		return fmt.Errorf("preparing the warehouse: %w", err)
	}
	change.Reach(change.SeamWarehouseBegun)
	r.health.enter(PhaseLoading)
	return r.loops(ctx, drain, s, ident, f)
}

// unreachable adds the next step to an error that a later start would wait
// out: before there is a log nobody knows what to wait for.
func unreachable(err error, remedy string) error {
	if f, ok := errors.AsType[*change.Fault](err); !ok || f.Remedy != "" || errors.Is(err, context.Canceled) {
		return err
	}
	return &change.Fault{
		Scope: change.ScopeFatal, Op: "starting for the first time", Err: err,
		Remedy: remedy + ", then start again; nothing has been changed",
	}
}

// checkWarehouse looks, without changing anything, whether a first load could
// go through, and refuses when the warehouse has more of this pipeline than
// the log does.
func (r *Replicator) checkWarehouse(ctx context.Context, rels []*change.Relation) error {
	st, err := r.house.Peek(ctx)
	if err != nil {
		return unreachable(fmt.Errorf("connecting to the warehouse: %w", err),
			"check that the warehouse is up, and host, port, sslmode and sslrootcert in redshift.dsn")
	}
	for i := range st.Tables {
		if st.Tables[i].State == checkpoint.Live {
			return &change.Fault{
				Scope: change.ScopeFatal, Op: "starting", Seq: st.Seq, LSN: st.Applied,
				Err:    errors.New("the log on S3 is empty or unfinished, but the warehouse has live tables of this pipeline"),
				Remedy: "check log.url and pipeline; to load everything anew run `walshift teardown` first",
			}
		}
	}
	return r.house.Check(ctx, rels)
}

// clear removes what an earlier, unfinished start left: the slot first, for
// dropping it fails while another walshift uses it.
func (r *Replicator) clear(ctx context.Context, seq uint64) error {
	ok, err := r.abandoned(ctx, seq)
	if err != nil {
		return err
	}
	if ok {
		r.log.Warn("dropping_slot_of_unfinished_start")
		if err := r.src.DropSlot(ctx); err != nil {
			return err
		}
	}
	n, err := r.store.Reset(ctx)
	if err != nil {
		return fmt.Errorf("clearing the log of an unfinished start: %w", err)
	}
	if n > 0 {
		r.log.Warn("deleted_objects_of_unfinished_start", zap.Int64("objects", n))
	}
	return nil
}

// abandonedAfter is how long a slot may stay in use before it is believed to
// have an owner: the server needs a moment to notice that one was killed.
const abandonedAfter = 30 * time.Second

// abandoned reports whether there is a slot to be dropped. It refuses when
// another walshift is at its first load: its slot stays in use, or the log
// grows. To drop the one and delete the other would end both pipelines.
func (r *Replicator) abandoned(ctx context.Context, seq uint64) (bool, error) {
	f := &change.Fault{
		Scope: change.ScopeFatal, Op: "starting the first load", Seq: seq,
		Err:    errors.New("another walshift is loading this pipeline"),
		Remedy: "let it go on, or stop it and start again; nothing has been changed",
	}
	for end := time.Now().Add(abandonedAfter); ; {
		slot, ok, err := r.src.InspectSlot(ctx)
		if err != nil {
			return false, err
		}
		now, err := r.store.Last(ctx)
		switch {
		case err != nil:
			return false, fmt.Errorf("finding the log's end: %w", err)
		case now != seq:
			return false, f
		case !ok || slot.ActivePID == 0:
			return ok, nil
		case time.Now().After(end):
			f.Err = fmt.Errorf("%w: process %d of the source has the slot %s in use", f.Err, slot.ActivePID, slot.Name)
			return false, f
		}
		if err := sleep(ctx, 250*time.Millisecond); err != nil {
			return false, err
		}
	}
}

// createSlot makes the slot and takes over its snapshot. The slot's session is
// closed when the keeper has it, so that the slot can be streamed from.
func (r *Replicator) createSlot(ctx context.Context) (*first, error) {
	r.log.Info("creating_slot")
	change.Reach(change.SeamSlotBeforeCreate)
	session, err := r.src.CreateSlot(ctx)
	if err != nil {
		return nil, err
	}
	defer session.Close(context.WithoutCancel(ctx))
	change.Reach(change.SeamSlotCreated)
	keeper, err := r.src.OpenKeeper(ctx, session)
	if err != nil {
		return nil, fmt.Errorf("keeping the slot's snapshot: %w", err)
	}
	change.Reach(change.SeamKeeperOpen)
	tables, err := keeper.Tables(ctx)
	if err != nil {
		keeper.Close(context.WithoutCancel(ctx))
		return nil, fmt.Errorf("reading the catalog under the slot's snapshot: %w", err)
	}
	r.log.Info("slot_created", zap.Stringer("lsn", session.ConsistentPoint), zap.Int("tables", len(tables)))
	return &first{source: session.Identity, keeper: keeper, tables: tables, x: session.ConsistentPoint}, nil
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
		cfg: r.cfg, log: r.log, shared: s, src: r.src, store: r.store, ident: ident, epoch: epochs,
	}
	g.Go(func() error {
		defer endSide()
		return capture.run(ctx, drain)
	})
	g.Go(func() error { return r.monitor(sideCtx, s) })
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

// load runs the first load under the epoch that capture won. Where it can't
// be finished, all begins again: resuming half a load would need resync.
func (r *Replicator) load(ctx context.Context, s *shared, epoch uint64, f *first) error {
	err := retry(ctx, r.log, "arriving at the warehouse", func(ctx context.Context) error {
		_, err := r.house.Arrive(ctx, epoch)
		return err
	})
	if err != nil {
		return err
	}
	l := &loader{log: r.log, cfg: r.cfg.Snapshot, shared: s, src: r.src, store: r.store, house: r.house}
	started := time.Now()
	if err := l.run(ctx, f); err != nil {
		if retryable(err) || errors.Is(err, source.ErrRewritten) {
			return fmt.Errorf("%w: %w", errStartOver, err)
		}
		return err
	}
	f.keeper.Close(context.WithoutCancel(ctx))
	s.tables.completeSnapshot()
	s.recordNow.Store(true) // the log must say so before a restart can rely on it
	r.health.enter(PhaseStreaming)
	r.log.Info("first_load_complete", zap.Stringer("lsn", f.x), zap.Duration("took", time.Since(started)))
	return nil
}

// monitorEvery is how often the slot is looked at: one short catalog query.
const monitorEvery = 10 * time.Second

// monitor reads the slot's safety margin now and then, for status and metrics.
func (r *Replicator) monitor(ctx context.Context, s *shared) error {
	t := time.NewTicker(monitorEvery)
	defer t.Stop()
	var c *source.Catalog
	defer func() {
		if c != nil {
			c.Close(context.WithoutCancel(ctx))
		}
	}()
	for {
		if err := r.look(ctx, &c, s); err != nil && ctx.Err() == nil {
			r.log.Debug("slot_unreadable", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// look reads the slot over *c, which it opens when it is nil and drops after
// an error.
func (r *Replicator) look(ctx context.Context, c **source.Catalog, s *shared) error {
	var err error
	if *c == nil {
		if *c, err = r.src.OpenCatalog(ctx); err != nil {
			*c = nil
			return err
		}
	}
	slot, ok, err := (*c).Slot(ctx, r.cfg.Slot)
	if err == nil && ok {
		r.view.setSlot(slot)
	}
	if err == nil {
		var end pglogrepl.LSN
		if end, err = (*c).FlushLSN(ctx); err == nil {
			s.pos.SawServer(end)
		}
	}
	if err != nil {
		(*c).Close(context.WithoutCancel(ctx))
		*c = nil
	}
	return err
}
