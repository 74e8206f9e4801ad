package replicator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"
	"go.uber.org/zap"

	"github.com/walshift/walshift/checkpoint"
	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/source"
)

// This file is the first load: a pipeline's beginning by snapshot.mode initial.

// first is a first load in preparation.
type first struct {
	source source.Identity
	keeper *source.Keeper
	tables []source.Table
	look   source.Look
	x      pglogrepl.LSN
}

// describe returns what the log, the warehouse and status are to know.
func (f *first) describe() ([]change.TableCapture, []*change.Relation, map[uint32]int64) {
	captures := make([]change.TableCapture, len(f.tables))
	rels := make([]*change.Relation, len(f.tables))
	estimates := make(map[uint32]int64, len(f.tables))
	for i := range f.tables {
		rel := f.tables[i].Relation
		rels[i] = rel
		estimates[rel.OID], _ = f.tables[i].Estimates()
		captures[i] = change.TableCapture{
			OID: rel.OID, Schema: rel.Schema, Name: rel.Name, X: change.LSN(f.x), PendingSince: 1, Relation: rel,
			Watch: f.look.Of(rel.OID),
		}
	}
	return captures, rels, estimates
}

// fresh begins a pipeline: everything is checked before anything is changed.
// seq is where the log ended when that was decided.
func (r *Replicator) fresh(ctx, drain context.Context, seq uint64) error {
	checked, err := r.prepare(ctx, drain)
	if err != nil {
		return err
	}
	if err := r.clear(ctx, seq); err != nil {
		return err
	}
	if err := r.settleNumerics(ctx, drain, checked); err != nil {
		return err
	}
	f, err := r.createSlot(ctx)
	if err != nil {
		return err
	}
	defer f.keeper.Close(context.WithoutCancel(ctx))
	if err := r.carryNumerics(f, checked); err != nil {
		return err
	}
	captures, rels, estimates := f.describe()
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

// prepare makes the publication where that is walshift's, checks source and
// warehouse, and waits for the window of a load. What it made is gone again
// where a check fails. It returns the tables as they were checked.
func (r *Replicator) prepare(ctx, drain context.Context) ([]source.Table, error) {
	for {
		var tables []source.Table
		made, err := r.publish(ctx)
		if err == nil {
			tables, err = r.check(ctx)
		}
		if err != nil {
			if made {
				_, derr := r.src.DropPublication(context.WithoutCancel(ctx))
				err = errors.Join(err, derr)
			}
			return nil, err
		}
		if waited, err := r.awaitWindow(ctx, drain); err != nil || !waited {
			return tables, err
		}
	}
}

// publish makes the managed publication, and reports whether it did.
func (r *Replicator) publish(ctx context.Context) (bool, error) {
	if !r.cfg.ManagePublication {
		return false, nil
	}
	pub, err := r.src.ManagePublication(ctx)
	if err != nil {
		return false, unreachable(err, "check that the source is up, and host, port and sslmode in source.dsn")
	}
	if pub.Made {
		r.log.Info("publication_created", zap.Int("tables", len(pub.Tables)))
	}
	return pub.Made, nil
}

// check looks at both sides without changing anything.
func (r *Replicator) check(ctx context.Context) ([]source.Table, error) {
	plan, err := r.src.Preflight(ctx)
	if err != nil {
		return nil, unreachable(err, "check that the source is up, and host, port and sslmode in source.dsn")
	}
	for i := range plan.Warnings {
		r.log.Warn("source_warning", zap.Stringer("warning", plan.Warnings[i]))
	}
	return plan.Tables, r.checkWarehouse(ctx, plan.Relations())
}

// awaitWindow waits until a load may begin, and reports whether it had to.
func (r *Replicator) awaitWindow(ctx, drain context.Context) (bool, error) {
	defer r.gate.holdSnapshot(nil)
	for waited := false; ; waited = true {
		now := time.Now()
		open, changes := r.cfg.Snapshot.Window.Open(now)
		if open {
			return waited, nil
		}
		h := &Hold{Kind: "snapshot_window", Reason: "snapshot.window (" + r.cfg.Snapshot.Window.String() + ") is closed", Until: changes}
		r.gate.holdSnapshot(h)
		r.health.doing((&HeldError{*h}).Error())
		if !waited {
			r.log.Info("waiting_for_snapshot_window", zap.Time("until", changes))
		}
		t := time.NewTimer(min(gateLook, max(changes.Sub(now), 10*time.Millisecond)))
		select {
		case <-ctx.Done():
		case <-drain.Done():
		case <-t.C:
		}
		t.Stop()
		if ctx.Err() != nil || drain.Err() != nil {
			return waited, context.Canceled
		}
	}
}

// unreachable adds the next step to an error that a later start would wait
// out: before there is a log nobody knows what to wait for.
func unreachable(err error, remedy string) error {
	if f, ok := errors.AsType[*change.Fault](err); !ok || f.Remedy != "" || errors.Is(err, context.Canceled) {
		return err
	}
	return &change.Fault{
		Scope: change.ScopeFatal, Code: change.CodeFirstRun, Op: "starting for the first time", Err: err,
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
	if st.Once && !r.cfg.KeepTargets {
		return onceFault(&st)
	}
	for i := range st.Tables {
		if st.Tables[i].State == checkpoint.Live {
			return &change.Fault{
				Scope: change.ScopeFatal, Code: change.CodeStartMode, Op: "starting", Seq: st.Seq, LSN: st.Applied,
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
		Scope: change.ScopeFatal, Code: change.CodeLogTaken, Op: "starting the first load", Seq: seq,
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

// createSlot makes the slot and takes over its snapshot: the slot's session is
// closed when the keeper has it, so that the slot can be streamed from.
func (r *Replicator) createSlot(ctx context.Context) (*first, error) {
	r.log.Info("creating_slot")
	r.health.doing("creating the replication slot, which waits for transactions that are open on the source")
	change.Reach(change.SeamSlotBeforeCreate)
	session, err := r.src.CreateSlot(ctx)
	if err != nil {
		return nil, err
	}
	change.Reach(change.SeamSlotCreated)
	return r.keep(ctx, session)
}

// keep takes over a slot session's snapshot, and closes the session.
func (r *Replicator) keep(ctx context.Context, session *source.SlotSession) (*first, error) {
	defer session.Close(context.WithoutCancel(ctx))
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
	oids := make([]uint32, len(tables))
	for i := range tables {
		oids[i] = tables[i].Relation.OID
	}
	look, err := keeper.Watch(ctx, oids, session.ConsistentPoint)
	if err != nil {
		keeper.Close(context.WithoutCancel(ctx))
		return nil, fmt.Errorf("watching the catalog under the slot's snapshot: %w", err)
	}
	r.log.Info("slot_created", zap.Stringer("lsn", session.ConsistentPoint), zap.Int("tables", len(tables)))
	return &first{source: session.Identity, keeper: keeper, tables: tables, look: look, x: session.ConsistentPoint}, nil
}

// load runs the first load under the epoch that capture won. Where it can't
// be finished, all begins again: resuming half a load would need resync.
func (r *Replicator) load(ctx context.Context, s *shared, epoch uint64, f *first) error {
	err := s.retry(ctx, PartLoad, "arriving at the warehouse", func(ctx context.Context) error {
		_, err := r.house.Arrive(ctx, epoch)
		return err
	})
	if err != nil {
		return err
	}
	l := r.newLoader(s)
	started := time.Now()
	err = l.run(ctx, f)
	if err == nil {
		err = s.retry(ctx, PartLoad, "making the tables live", r.house.GoLive)
	}
	if err != nil {
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

func (r *Replicator) newLoader(s *shared) *loader {
	return &loader{
		log: r.log, cfg: r.cfg.Snapshot, shared: s, src: r.src, store: r.store, house: r.house,
		throttle: &throttle{perSecond: r.cfg.Snapshot.RowsPerSecond},
	}
}
