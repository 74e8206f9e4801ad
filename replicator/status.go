package replicator

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pglogrepl"

	"github.com/walshift/walshift/checkpoint"
	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/source"
)

// Status is a picture of a run for people, scripts and metrics. Its JSON names
// are public. Making it costs neither the source nor the warehouse a statement.
type Status struct {
	Pipeline string `json:"pipeline"`
	Phase    Phase  `json:"phase"`
	// State is "ok", "loading", "parked" (apply can't go on), "degraded" (a
	// table is stopped) or "starting".
	State string `json:"state"`
	// Problem says why State is not ok.
	Problem string        `json:"problem,omitempty"`
	Uptime  time.Duration `json:"uptime_ns"`

	CapturedLSN change.LSN `json:"captured_lsn"`
	StagedLSN   change.LSN `json:"staged_lsn"`
	AppliedLSN  change.LSN `json:"applied_lsn"`
	ServerLSN   change.LSN `json:"server_lsn"`
	StagedSeq   uint64     `json:"staged_batch"`
	AppliedSeq  uint64     `json:"applied_batch"`

	LagBytes        int64   `json:"lag_bytes"`
	LagTransactions int64   `json:"lag_transactions"`
	LagSeconds      float64 `json:"lag_seconds"`

	Slot SlotStatus `json:"slot"`

	Tables []TableStatus `json:"tables"`
}

// SlotStatus is the slot's safety. WAL sizes are in bytes.
type SlotStatus struct {
	Known          bool       `json:"known"`
	RetainedBytes  int64      `json:"retained_bytes"`
	SafeBytes      *int64     `json:"safe_bytes,omitempty"`
	ConfirmedFlush change.LSN `json:"confirmed_flush_lsn"`
	WALStatus      string     `json:"wal_status"`
}

// TableStatus is one table's state. Changes counts since the process started.
type TableStatus struct {
	Name          string           `json:"name"`
	OID           uint32           `json:"oid"`
	State         checkpoint.State `json:"state"`
	Reason        string           `json:"reason,omitempty"`
	RowsLoaded    int64            `json:"rows_loaded"`
	RowsEstimated int64            `json:"rows_estimated"`
	Changes       change.Counts    `json:"changes"`
}

// view lets Status reach the current run's shared state.
type view struct {
	mu     sync.Mutex
	shared *shared
	slot   *source.Slot
}

func (v *view) set(s *shared) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.shared = s
}

func (v *view) setSlot(s source.Slot) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.slot = &s
}

func (v *view) get() (*shared, *source.Slot) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.shared, v.slot
}

// Status returns the present state.
func (r *Replicator) Status() Status {
	st := Status{
		Pipeline: r.cfg.Pipeline, Phase: r.health.current(), State: "starting", Uptime: time.Since(r.started),
	}
	s, slot := r.view.get()
	if s == nil {
		return st
	}
	p := s.pos.Read()
	st.CapturedLSN, st.StagedLSN = change.LSN(p.Captured), change.LSN(p.Staged)
	st.AppliedLSN, st.ServerLSN = change.LSN(p.Applied), change.LSN(p.ServerEnd)
	st.StagedSeq, st.AppliedSeq = p.StagedSeq, p.AppliedSeq
	st.LagTransactions = p.TransactionsCaptured - p.TransactionsApplied
	if p.ServerEnd > p.Applied && p.Applied > 0 {
		st.LagBytes = int64(p.ServerEnd - p.Applied)
	}
	if !p.OldestPending.IsZero() {
		st.LagSeconds = max(0, time.Since(p.OldestPending).Seconds())
	}
	if slot != nil {
		st.Slot = SlotStatus{
			Known: true, RetainedBytes: slot.RetainedBytes, SafeBytes: slot.SafeWALSize, WALStatus: slot.WALStatus,
		}
		if slot.ConfirmedFlush != nil {
			st.Slot.ConfirmedFlush = change.LSN(*slot.ConfirmedFlush)
		}
	}
	st.Tables = s.tables.status()
	r.judge(&st)
	return st
}

func (r *Replicator) judge(st *Status) {
	st.State = "ok"
	if st.Phase == PhaseLoading || st.Phase == PhaseStarting {
		st.State = string(st.Phase)
	}
	for i := range st.Tables {
		if st.Tables[i].State == checkpoint.Stopped {
			st.State, st.Problem = "degraded", "table "+st.Tables[i].Name+" is stopped: "+st.Tables[i].Reason
		}
	}
	if why := r.health.parked.Load(); why != nil {
		st.State, st.Problem = "parked", *why
	}
}

// Healthy returns an error when a loop hangs. A neighbour that is away is no
// reason: restarting the daemon would not bring it back.
func (r *Replicator) Healthy() error { return r.health.stuck(time.Now()) }

// Ready reports whether the first load is complete and capture runs.
func (r *Replicator) Ready() bool {
	s, _ := r.view.get()
	return s != nil && r.health.current() == PhaseStreaming
}

// WaitApplied asks for an early seal and returns when everything up to lsn is
// applied and all tables are live; or with ctx's error; or with a
// *NotLiveError when a table can't become live.
func (r *Replicator) WaitApplied(ctx context.Context, lsn pglogrepl.LSN) error {
	for {
		s, _ := r.view.get()
		var moved <-chan struct{}
		if s != nil {
			moved = s.pos.Changed()
			if t := s.tables.stoppedTable(); t != "" {
				return &NotLiveError{Table: t}
			}
			if s.pos.Read().Applied >= lsn && s.tables.allLive() {
				return nil
			}
			s.askSeal(lsn)
		}
		t := time.NewTimer(time.Second)
		select {
		case <-ctx.Done():
			t.Stop()
			return context.Cause(ctx)
		case <-moved:
		case <-t.C:
		}
		t.Stop()
	}
}

// NotLiveError reports a table that is stopped, so that waiting for it is vain.
type NotLiveError struct{ Table string }

// Error implements error.
func (e *NotLiveError) Error() string {
	return "table " + e.Table + " is stopped (see walshift status)"
}
