package replicator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"
	"go.uber.org/zap"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/source"
)

// This file is snapshot.mode only: a load that nothing follows.

// LoadOnce loads all tables from one snapshot and returns its position: the
// targets then hold exactly the transactions whose end LSN is at or below it.
// It leaves no slot, no objects in the log, and no publication that walshift
// made. A *NotLiveError comes with the position when a table could not be
// loaded and the others were. It ends when either context does; what is there
// by then is dropped by the next start.
func (r *Replicator) LoadOnce(ctx, drain context.Context) (pglogrepl.LSN, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(drain, cancel)()
	for {
		x, err := r.loadOnce(ctx, drain)
		if !errors.Is(err, errStartOver) || ctx.Err() != nil {
			return x, err
		}
		r.log.Warn("load_starts_over", zap.Error(err))
	}
}

func (r *Replicator) loadOnce(ctx, drain context.Context) (pglogrepl.LSN, error) {
	r.health.enter(PhaseStarting)
	seq, err := r.findEnd(ctx, drain)
	if err != nil {
		return 0, err
	}
	if seq != 0 {
		return 0, &change.Fault{
			Scope: change.ScopeFatal, Code: change.CodeStartMode, Op: "starting", Seq: seq,
			Err:    errors.New("snapshot.mode is only, and the log holds batches: this pipeline replicates, or has begun to"),
			Remedy: "give the load a pipeline name of its own, or run `walshift teardown` first; nothing has been changed",
		}
	}
	checked, err := r.prepare(ctx, drain)
	if err != nil {
		if f, ok := errors.AsType[*loadedError](err); ok { // its end may have been cut off
			err = errors.Join(err, r.tidy(ctx))
			r.log.Info("loaded_before", zap.Stringer("lsn", f.at))
		}
		return 0, err
	}
	if _, err := r.store.Reset(ctx); err != nil {
		return 0, fmt.Errorf("clearing the log of an unfinished load: %w", err)
	}
	if err := r.settleNumerics(ctx, drain, checked); err != nil {
		return 0, err
	}
	f, err := r.snapshot(ctx)
	if err != nil {
		return 0, err
	}
	defer f.keeper.Close(context.WithoutCancel(ctx))
	if err := r.carryNumerics(f, checked); err != nil {
		return 0, err
	}
	return f.x, r.loadAll(ctx, f)
}

// snapshot takes a snapshot and its position by a slot that goes with its
// session.
func (r *Replicator) snapshot(ctx context.Context) (*first, error) {
	r.health.doing("taking a snapshot, which waits for transactions that are open on the source")
	session, err := r.src.CreateTemporarySlot(ctx)
	if err != nil {
		return nil, err
	}
	return r.keep(ctx, session)
}

func (r *Replicator) loadAll(ctx context.Context, f *first) error {
	captures, rels, estimates := f.describe()
	s := r.newShared(newTables(captures), 0, f.x)
	s.tables.setEstimates(estimates)
	if err := r.house.Begin(ctx, Start{Epoch: 1, Seq: 1, X: f.x, Rels: rels}); err != nil {
		return fmt.Errorf("preparing the warehouse: %w", err)
	}
	change.Reach(change.SeamOnceBegun)
	r.health.enter(PhaseLoading)
	started := time.Now()
	if err := r.newLoader(s).run(ctx, f); err != nil {
		if retryable(err) || errors.Is(err, source.ErrRewritten) {
			return fmt.Errorf("%w: %w", errStartOver, err)
		}
		return err
	}
	f.keeper.Close(context.WithoutCancel(ctx))
	change.Reach(change.SeamOnceLoaded)
	reason := "loaded once as of " + f.x.String() + " (snapshot.mode only); not replicated"
	err := s.retry(ctx, PartLoad, "finishing the load", func(ctx context.Context) error { return r.house.Finish(ctx, reason) })
	if err != nil {
		return err
	}
	change.Reach(change.SeamOnceFinished)
	if err := r.tidy(ctx); err != nil {
		return err
	}
	change.Reach(change.SeamOnceCleared)
	r.log.Info("load_complete", zap.Stringer("lsn", f.x), zap.Int("tables", len(rels)), zap.Duration("took", time.Since(started)))
	if t := s.tables.stoppedTable(); t != "" {
		return &NotLiveError{Table: t}
	}
	return nil
}

// tidy removes the files that were loaded, and the publication if it is
// walshift's: nothing follows that would need them.
func (r *Replicator) tidy(ctx context.Context) error {
	if _, err := r.store.Reset(ctx); err != nil {
		return fmt.Errorf("removing the files that were loaded: %w", err)
	}
	if !r.cfg.ManagePublication {
		return nil
	}
	dropped, err := r.src.DropPublication(ctx)
	if dropped {
		r.log.Info("publication_dropped")
	}
	return err
}

// loadedError reports tables that an earlier load has finished.
type loadedError struct{ at pglogrepl.LSN }

// Error implements error.
func (e *loadedError) Error() string {
	return fmt.Sprintf("the warehouse holds the tables of this pipeline as of %s, loaded by snapshot.mode only", e.at)
}

func onceFault(st *WarehouseState) error {
	return &change.Fault{
		Scope: change.ScopeFatal, Code: change.CodeStartMode, Op: "starting", LSN: st.Applied, Err: &loadedError{at: st.Applied},
		Remedy: "set target.existing to truncate to load them anew and keep the tables, or run `walshift teardown --drop-targets` " +
			"to begin without them; to replicate from there on, set snapshot.mode to never and snapshot.lsn to that position",
	}
}
