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

// This file is about tables that apply has stopped: what they have missed is
// kept in the log, and applied when somebody asks for another try.

// missing knows, for each stopped table, the first batch that it has missed; 0
// until that has been looked up.
type missing map[uint32]uint64

func (m *missing) set(oid uint32, seq uint64) {
	if *m == nil {
		*m = make(missing)
	}
	(*m)[oid] = seq
}

// learn takes over which tables the warehouse has as stopped.
func (m *missing) learn(states []checkpoint.Table) {
	known := *m
	*m = make(missing)
	for i := range states {
		if states[i].State == checkpoint.Stopped {
			(*m)[states[i].OID] = known[states[i].OID]
		}
	}
}

// horizon returns the first batch that anything may still need. A table that
// capture has left needs none: its changes are not in the log.
func (a *applier) horizon(ctx context.Context) (uint64, error) {
	seq := a.stored
	captures := a.shared.tables.captures()
	for oid, first := range a.needs {
		if captureStopped(captures, oid) {
			continue
		}
		if first == 0 {
			t, err := a.standing(ctx, oid)
			if err != nil {
				return 0, err
			}
			if first, err = a.firstAfter(ctx, t.Applied); err != nil {
				return 0, err
			}
			if first == 0 { // what it has missed is gone, and nothing can be kept for it
				first = a.stored
			}
			a.needs[oid] = first
		}
		seq = min(seq, first)
	}
	return seq, nil
}

// standing asks the warehouse where a table stands.
func (a *applier) standing(ctx context.Context, oid uint32) (checkpoint.Table, error) {
	st, err := a.house.Peek(ctx)
	if err != nil {
		return checkpoint.Table{}, fmt.Errorf("reading where tables stand: %w", err)
	}
	i := slices.IndexFunc(st.Tables, func(t checkpoint.Table) bool { return t.OID == oid })
	if i < 0 {
		return checkpoint.Table{}, fmt.Errorf("the warehouse knows no table with oid %d", oid)
	}
	return st.Tables[i], nil
}

// firstAfter returns the first batch up to the fence that lies above a position
// which is some batch's end, or the number after the fence's if there is none; 0
// where the log does not hold all of them any more. Ends ascend, so that halving finds it with a request for each bit.
func (a *applier) firstAfter(ctx context.Context, at pglogrepl.LSN) (uint64, error) {
	first, err := a.store.First(ctx)
	if err != nil {
		return 0, fmt.Errorf("finding the log's beginning: %w", err)
	}
	low, high := first, a.stored+1 // the lowest number whose end is above at, in [low, high]
	for low < high {
		middle := low + (high-low)/2
		m, err := a.store.Read(ctx, middle)
		if err != nil {
			return 0, fmt.Errorf("reading batch %d: %w", middle, err)
		}
		if pglogrepl.LSN(m.End) > at {
			high = middle
		} else {
			low = middle + 1
		}
	}
	if low > a.stored {
		return low, nil
	}
	m, err := a.store.Read(ctx, low)
	if err != nil {
		return 0, fmt.Errorf("reading batch %d: %w", low, err)
	}
	if pglogrepl.LSN(m.Prev) != at {
		return 0, nil
	}
	return low, nil
}

// awaitOpen waits until apply may run. No session is held meanwhile: the
// warehouse may be paused or resized.
func (a *applier) awaitOpen(ctx context.Context) error {
	said := ""
	err := a.shared.gate.await(ctx, func(h *Hold) {
		a.shared.health.applied()
		if h.Reason != said {
			said = h.Reason
			a.log.Info("apply_rests", zap.String("reason", (&HeldError{*h}).Error()))
		}
	})
	if err == nil && said != "" {
		a.log.Info("apply_goes_on")
	}
	return err
}

// retryStopped tries the tables again that somebody asked for. What is wrong
// with a table stays with it; any other error ends the session, and the table is
// tried again in the next.
func (a *applier) retryStopped(ctx context.Context) error {
	for _, oid := range a.shared.tables.toRetry() {
		started := time.Now()
		if !a.shared.gate.enter() {
			return errHeld
		}
		rows, err := a.catchUp(ctx, oid)
		a.shared.gate.leave()
		name := a.shared.tables.name(oid)
		switch scope := change.ScopeOf(err); {
		case err == nil:
			a.states[oid] = checkpoint.Live
			delete(a.needs, oid)
			a.shared.tables.retried(oid, "")
			a.log.Info("table_caught_up", zap.String("table", name), zap.Int64("rows", rows), zap.Duration("took", time.Since(started)))
		case scope == change.ScopeTable || scope == change.ScopeLoop:
			a.shared.tables.retried(oid, err.Error())
			a.log.Error("table_retry_failed", zap.String("table", name), zap.Error(err))
		default:
			return fmt.Errorf("trying table %s again: %w", name, err)
		}
	}
	return nil
}

// catchUp gathers what a stopped table has missed and has it applied.
func (a *applier) catchUp(ctx context.Context, oid uint32) (int64, error) {
	t, err := a.standing(ctx, oid)
	if err != nil {
		return 0, err
	}
	gone := &change.Fault{
		Scope: change.ScopeTable, Code: change.CodeLogGap, Op: "trying again", Table: t.Schema + "." + t.Name, TableOID: oid, LSN: t.Applied,
		Err:    errors.New("the log no longer holds all that the table has missed since that LSN"),
		Remedy: "the table has to be loaded again",
	}
	first, err := a.firstAfter(ctx, t.Applied)
	switch {
	case err != nil:
		return 0, err
	case first == 0:
		return 0, gone
	}
	var batches []*change.Manifest
	for seq := first; seq <= a.stored; seq++ {
		m, err := a.store.Read(ctx, seq)
		if errors.Is(err, change.ErrNoBatch) {
			return 0, gone
		}
		if err != nil {
			return 0, fmt.Errorf("reading batch %d: %w", seq, err)
		}
		if of := segmentsOf(m, oid); len(of.Segments) > 0 {
			batches = append(batches, of)
		}
	}
	return a.house.CatchUp(ctx, oid, t.Applied, batches)
}

// segmentsOf returns a batch with the segments of one table alone.
func segmentsOf(m *change.Manifest, oid uint32) *change.Manifest {
	of := *m
	of.Tables, of.Segments = nil, nil
	for i := range m.Segments {
		if m.Segments[i].Relation.OID == oid {
			of.Segments = append(of.Segments, m.Segments[i])
		}
	}
	return &of
}
