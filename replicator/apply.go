package replicator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pglogrepl"
	"go.uber.org/zap"

	"github.com/walshift/walshift/checkpoint"
	"github.com/walshift/walshift/replicator/change"
)

// applyLimits bound one Redshift transaction, so that a long backlog is
// applied in steps whose progress is kept.
const (
	maxApplyBatches = 500
	maxApplyRows    = 5_000_000
	// flushEmptyAfter is the number of empty batches after which the fence is
	// moved although there are no rows, so that a restart does not read a
	// month of keepalives (and collection can follow).
	flushEmptyAfter = 500
)

// applier owns the apply loop. It touches the log and the warehouse only.
type applier struct {
	cfg    ApplyConfig
	log    *zap.Logger
	shared *shared
	store  BatchReader
	trash  Collector
	house  Applier
	epoch  uint64

	// seq and lsn are the last batch that the warehouse holds or that, being
	// empty, is applied in memory; stored is the fence's.
	seq    uint64
	stored uint64
	lsn    pglogrepl.LSN
	// states are the tables' states as the warehouse has them.
	states map[uint32]checkpoint.State
	// needs are the first batches that stopped tables have missed.
	needs missing
	// collected is when the log was last looked through for old objects.
	collected time.Time
}

// run applies until ctx ends. Only a superseded epoch ends it by itself;
// every other permanent fault parks it: red, and tried again slowly, while
// capture goes on (promise P3).
func (a *applier) run(ctx context.Context) error {
	b := newBackoff()
	for {
		a.shared.health.applied() // being without the warehouse is not being stuck
		if err := a.awaitOpen(ctx); err != nil {
			return err
		}
		err := a.session(ctx, b)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		a.house.Reset(ctx)
		if errors.Is(err, errHeld) {
			continue
		}
		if change.ScopeOf(err) == change.ScopeFatal {
			return err
		}
		d := b.delay()
		if !retryable(err) {
			d = a.cfg.ParkedRetry
			a.shared.park(err)
			a.log.Error("apply_parked", zap.Duration("retry_in", d), zap.Error(err))
		} else {
			a.log.Warn("apply_retrying", zap.Duration("in", d), zap.Error(err))
		}
		a.shared.metrics.applyErrors.Inc()
		a.shared.retrying(PartApply, err, d)
		if err := a.shared.gate.sleep(ctx, d); err != nil {
			return err
		}
	}
}

// session arrives at the warehouse and applies until something fails.
func (a *applier) session(ctx context.Context, b *backoff) error {
	st, err := a.house.Arrive(ctx, a.epoch)
	if err != nil {
		return fmt.Errorf("arriving at the warehouse: %w", err)
	}
	if !st.Known {
		return &change.Fault{
			Scope: change.ScopeLoop, Code: change.CodeWarehouseState, Op: "arriving at the warehouse",
			Err:    errors.New("it has no state of this pipeline, though the log does"),
			Remedy: "restore schema walshift on the warehouse, or run `walshift teardown` and start afresh",
		}
	}
	if st.Seq < a.stored {
		return &change.Fault{
			Scope: change.ScopeLoop, Code: change.CodeWarehouseState, Op: "arriving at the warehouse", Seq: st.Seq,
			Err:    fmt.Errorf("its fence is at batch %d, this process had brought it to %d", st.Seq, a.stored),
			Remedy: "the warehouse was restored to an earlier time: run `walshift teardown` and start afresh",
		}
	}
	a.arrived(st)
	open, err := a.house.OpenIncidents(ctx)
	if err != nil {
		return fmt.Errorf("counting incidents: %w", err)
	}
	a.shared.health.setIncidents(int(open))
	change.Reach(change.SeamArrived)
	a.log.Info("apply_started", zap.Uint64("batch", a.seq), zap.Stringer("lsn", a.lsn))
	for {
		moved, asked := a.shared.pos.Changed(), a.shared.gate.changed.next()
		if a.shared.gate.hold(time.Now()) != nil {
			return errHeld
		}
		if err := a.retryStopped(ctx); err != nil {
			return err
		}
		run, err := a.gather(ctx)
		if err != nil {
			return err
		}
		a.shared.health.applied()
		a.collect(ctx)
		if len(run) == 0 { // the warehouse answers, and there is nothing that it could refuse
			a.shared.health.unpark()
			a.shared.health.served(PartApply)
			if err := a.wait(ctx, moved, asked); err != nil {
				return err
			}
			continue
		}
		if !a.shared.gate.enter() {
			return errHeld
		}
		err = a.apply(ctx, run)
		a.shared.gate.leave()
		if err != nil {
			return err
		}
		b.reset()
		a.shared.health.unpark()
		a.shared.health.served(PartApply)
	}
}

// wait sleeps until a position moved or somebody asks for something; it wakes
// every gateLook so that the health check can tell waiting from hanging, and a
// window is found closed.
func (a *applier) wait(ctx context.Context, moved, asked <-chan struct{}) error {
	t := time.NewTimer(gateLook)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-moved:
	case <-asked:
	case <-t.C:
	}
	return nil
}

func (a *applier) arrived(st WarehouseState) {
	a.stored = st.Seq
	if st.Seq > a.seq { // batches applied in memory since are applied again: they are empty
		a.seq, a.lsn = st.Seq, st.Applied
	}
	a.states = make(map[uint32]checkpoint.State, len(st.Tables))
	for i := range st.Tables {
		a.states[st.Tables[i].OID] = st.Tables[i].State
	}
	a.needs.learn(st.Tables)
	a.shared.tables.setStates(st.Tables)
	// At a start the positions know the log's end but not what is applied.
	if p := a.shared.pos.Read(); a.lsn >= p.Applied && a.seq >= p.AppliedSeq && a.lsn <= p.Staged {
		_ = a.shared.pos.Apply(a.seq, a.lsn) // the condition is what it checks
	}
}

// gather reads the consecutive batches that wait, up to the limits, and ends
// the run before a batch with which a table leaves capture: the warehouse
// marks that table first.
func (a *applier) gather(ctx context.Context) ([]*change.Manifest, error) {
	var run []*change.Manifest
	var rows int64
	staged := a.shared.pos.Read().StagedSeq
	prev := a.lsn
	for seq := a.seq + 1; seq <= staged && len(run) < maxApplyBatches && rows < maxApplyRows; seq++ {
		m, err := a.store.Read(ctx, seq)
		if errors.Is(err, change.ErrNoBatch) {
			return nil, &change.Fault{
				Scope: change.ScopeLoop, Code: change.CodeLogGap, Op: "reading the log", Seq: seq, LSN: prev, Err: err,
				Remedy: "a staged batch has vanished from S3: restore the object, or run `walshift teardown` and start afresh",
			}
		}
		if err != nil {
			return nil, fmt.Errorf("reading batch %d: %w", seq, err)
		}
		if pglogrepl.LSN(m.Prev) != prev {
			return nil, &change.Fault{
				Scope: change.ScopeLoop, Code: change.CodeLogForeign, Op: "following the log", Seq: seq, LSN: prev,
				Err:    fmt.Errorf("it continues %s, the one before ends at %s", m.Prev, prev),
				Remedy: "objects of two pipelines are mixed under one prefix, or the warehouse was restored: see status, then `walshift teardown` and a fresh start",
			}
		}
		if a.newStops(m) && len(run) > 0 {
			break
		}
		prev = pglogrepl.LSN(m.End)
		run = append(run, m)
		rows += manifestRows(m)
	}
	return run, nil
}

func manifestRows(m *change.Manifest) int64 {
	var n int64
	for i := range m.Segments {
		for _, f := range m.Segments[i].Files {
			n += f.Rows
		}
	}
	return n
}

// newStops reports whether m stops a table that the warehouse has as running.
func (a *applier) newStops(m *change.Manifest) bool {
	for i := range m.Tables {
		if c := &m.Tables[i]; c.Stopped != "" && a.states[c.OID] != checkpoint.Stopped {
			return true
		}
	}
	return false
}

func (a *applier) apply(ctx context.Context, run []*change.Manifest) error {
	if err := a.stopTables(ctx, run[0]); err != nil {
		return err
	}
	last := run[len(run)-1]
	if manifestsEmpty(run) && last.Seq-a.stored < flushEmptyAfter {
		return a.moved(last)
	}
	started := time.Now()
	change.Reach(change.SeamGathered)
	done, err := a.house.Apply(ctx, Run{After: a.stored, Batches: run})
	if f, ok := errors.AsType[*change.Fault](err); ok && f.Scope == change.ScopeTable && f.TableOID != 0 {
		if err := a.stop(ctx, f.TableOID, f.Error()); err != nil {
			return err
		}
		return nil // the run is gathered again, without the table
	}
	if err != nil {
		return fmt.Errorf("applying batches %d to %d: %w", run[0].Seq, last.Seq, err)
	}
	a.stored = last.Seq
	a.shared.metrics.applied(run, done, time.Since(started))
	if err := a.countIncidents(ctx, run); err != nil {
		return err
	}
	a.log.Info("batches_applied", zap.Uint64("batch", last.Seq), zap.Int("batches", len(run)),
		zap.Stringer("lsn", last.End), zap.Int64("rows", done.Rows), zap.Duration("took", time.Since(started)))
	return a.moved(last)
}

// countIncidents keeps the number of open incidents that status shows: anew
// after an apply that brought some, and while any are open, for they may have
// been acknowledged. An idle daemon does not ask.
func (a *applier) countIncidents(ctx context.Context, run []*change.Manifest) error {
	known := a.shared.health.incidents.Load()
	if known == 0 && !slices.ContainsFunc(run, bringsIncidents) {
		return nil
	}
	n, err := a.house.OpenIncidents(ctx)
	if err != nil {
		return fmt.Errorf("counting incidents: %w", err)
	}
	if n > known {
		a.log.Warn("incidents_recorded", zap.Int64("open", n))
	}
	a.shared.health.setIncidents(int(n))
	return nil
}

// bringsIncidents reports whether a batch brings incidents that will be open.
func bringsIncidents(m *change.Manifest) bool {
	open, _ := m.Incidents()
	return open > 0
}

func manifestsEmpty(run []*change.Manifest) bool {
	for _, m := range run {
		if !m.Empty() {
			return false
		}
	}
	return true
}

func (a *applier) moved(last *change.Manifest) error {
	a.seq, a.lsn = last.Seq, pglogrepl.LSN(last.End)
	if err := a.shared.pos.Apply(a.seq, a.lsn); err != nil {
		return &change.Fault{Scope: change.ScopeFatal, Code: change.CodeInternal, Op: "applying", Seq: last.Seq, Err: err, Remedy: "report this"}
	}
	change.Reach(change.SeamAppliedNoted)
	return nil
}

// stopTables marks the tables that leave capture with batch m.
func (a *applier) stopTables(ctx context.Context, m *change.Manifest) error {
	for i := range m.Tables {
		c := &m.Tables[i]
		if c.Stopped == "" || a.states[c.OID] == checkpoint.Stopped {
			continue
		}
		if err := a.stop(ctx, c.OID, c.Stopped); err != nil {
			return err
		}
	}
	return nil
}

func (a *applier) stop(ctx context.Context, oid uint32, reason string) error {
	if err := a.house.Stop(ctx, oid, reason); err != nil {
		return fmt.Errorf("marking a table as stopped: %w", err)
	}
	a.states[oid] = checkpoint.Stopped
	a.needs.set(oid, a.stored+1)
	a.shared.tables.setStopped(oid, reason)
	name := ""
	if t := a.shared.tables.get(oid); t != nil {
		name = t.rel.String()
	}
	a.log.Error("table_stopped", zap.String("table", name), zap.String("error", reason))
	return nil
}
