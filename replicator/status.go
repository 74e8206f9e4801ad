package replicator

import (
	"cmp"
	"context"
	"fmt"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/jackc/pglogrepl"

	"github.com/walshift/walshift/checkpoint"
	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/source"
)

// The states of a run as a whole, from the gravest to the best.
const (
	StateParked   = "parked"   // apply can't go on until somebody acts
	StateDegraded = "degraded" // a table is stopped, or incidents are open; the rest goes on
	StateStarting = "starting"
	StateLoading  = "loading"
	StatePaused   = "paused"  // somebody or a window asked for it
	StateWaiting  = "waiting" // for a neighbour, which is tried again by itself
	StateOK       = "ok"
)

// AllStates returns the states in that order.
func AllStates() []string {
	return []string{StateParked, StateDegraded, StateStarting, StateLoading, StatePaused, StateWaiting, StateOK}
}

// Status is a picture of a run for people, scripts and metrics. Its JSON names
// are public and listed in docs/status.md: names may be added, none changes
// its meaning. Making it costs neither the source nor the warehouse a
// statement. Sizes are in bytes, times in seconds where the name says nothing
// else; a field that can't be known is left out.
type Status struct {
	Pipeline string `json:"pipeline"`
	Phase    Phase  `json:"phase"`
	State    string `json:"state"`
	// Summary says in words what the daemon does or waits for.
	Summary string `json:"summary"`
	// Step is what a start is at.
	Step string `json:"step,omitempty"`
	// Problem says why somebody should look, Remedy what to do.
	Problem string    `json:"problem,omitempty"`
	Remedy  string    `json:"remedy,omitempty"`
	Waiting []Waiting `json:"waiting"`
	Stuck   string    `json:"stuck,omitempty"`
	Loops   []Loop    `json:"loops"`

	// Hold says why apply or the first load rests although nothing is wrong,
	// Paused that it is because somebody asked for it.
	Paused bool        `json:"paused"`
	Hold   *HoldStatus `json:"hold,omitempty"`
	// Applying says that a transaction on the warehouse is under way; a pause
	// begins when it ends.
	Applying bool `json:"applying"`

	StartedAt time.Time     `json:"started_at"`
	Uptime    time.Duration `json:"uptime_ns"`

	CapturedLSN change.LSN `json:"captured_lsn"`
	StagedLSN   change.LSN `json:"staged_lsn"`
	AppliedLSN  change.LSN `json:"applied_lsn"`
	ServerLSN   change.LSN `json:"server_lsn"`
	StagedSeq   uint64     `json:"staged_batch"`
	AppliedSeq  uint64     `json:"applied_batch"`
	// AppliedKnown is false until the warehouse has said what is applied; the
	// applied position and all that follows from it mean nothing then.
	AppliedKnown bool `json:"applied_known"`

	// The lag of the applied position, as in Lag.Applied.
	LagBytes        int64   `json:"lag_bytes"`
	LagTransactions int64   `json:"lag_transactions"`
	LagSeconds      float64 `json:"lag_seconds"`
	Lag             Lags    `json:"lag"`

	Rates Rates `json:"rates"`
	// CatchUpSeconds is when apply reaches the source's end at the present
	// rates; absent when it does not gain on it.
	CatchUpSeconds *float64 `json:"catch_up_seconds,omitempty"`

	Slot SlotStatus `json:"slot"`
	// SourceSeen is when the source last answered.
	SourceSeen *time.Time `json:"source_seen,omitempty"`

	// Incidents counts open incidents.
	Incidents int `json:"incidents"`
	// Spool is about transactions in progress on the source.
	Spool  SpoolStatus `json:"spool"`
	Memory Memory      `json:"memory"`

	Tables []TableStatus `json:"tables"`
}

// Waiting is a part of the daemon between two tries.
type Waiting struct {
	Part Part `json:"part"`
	// For is the neighbour, Why the reason in a few words, Error all of it.
	For   string `json:"for"`
	Why   string `json:"why"`
	Error string `json:"error"`
	// Seconds is how long it has waited, NextSeconds when it tries again.
	Seconds     float64 `json:"seconds"`
	NextSeconds float64 `json:"next_try_seconds"`
	Tries       int     `json:"tries"`
}

// HoldStatus is a [Hold] as status shows it.
type HoldStatus struct {
	Kind   string `json:"kind"`
	Reason string `json:"reason"`
	// Until is when a window opens.
	Until *time.Time `json:"until,omitempty"`
}

// HoldKinds returns the kinds of holds.
func HoldKinds() []string { return []string{holdPaused, "apply_window", "snapshot_window"} }

const holdPaused = "paused"

// Loop is a loop's sign of life. One that does not run is left out.
type Loop struct {
	Name string `json:"name"`
	// Seconds is how long ago it last went round; above LimitSeconds it counts
	// as stuck.
	Seconds      float64 `json:"seconds"`
	LimitSeconds float64 `json:"limit_seconds"`
}

// Lags are the distances of each stage from the source's end.
type Lags struct {
	Captured StageLag `json:"captured"`
	Staged   StageLag `json:"staged"`
	Applied  StageLag `json:"applied"`
}

// StageLag is how far a stage is behind the source. Transactions are those
// received and not that far yet; Seconds is the age of the oldest of them, or
// for how long the source's log has been ahead of what was received (from half
// a minute on), whichever is more.
type StageLag struct {
	Bytes        int64   `json:"bytes"`
	Transactions int64   `json:"transactions"`
	Seconds      float64 `json:"seconds"`
}

// Rates are bytes of the source's log per second, over the last minutes.
type Rates struct {
	WAL      float64 `json:"wal_bytes_per_second"`
	Captured float64 `json:"captured_bytes_per_second"`
	Applied  float64 `json:"applied_bytes_per_second"`
}

// Memory is what the process uses by the Go runtime's count, which the limit
// is about.
type Memory struct {
	UsedBytes  int64 `json:"used_bytes"`
	LimitBytes int64 `json:"limit_bytes"`
}

// SlotStatus is the slot's safety. WAL sizes are in bytes.
type SlotStatus struct {
	Known         bool  `json:"known"`
	RetainedBytes int64 `json:"retained_bytes"`
	// LimitBytes is max_slot_wal_keep_size, SafeBytes what is left of it;
	// absent where the server sets no limit.
	LimitBytes *int64 `json:"limit_bytes,omitempty"`
	SafeBytes  *int64 `json:"safe_bytes,omitempty"`
	// LimitSeconds is when the limit is reached at the present rate; absent
	// when it is not approached.
	LimitSeconds   *float64   `json:"limit_seconds,omitempty"`
	ConfirmedFlush change.LSN `json:"confirmed_flush_lsn"`
	WALStatus      string     `json:"wal_status"`
	// ActivePID is the server's process that streams from the slot, 0: none.
	ActivePID int32 `json:"active_pid"`
	// The ages of the oldest transactions whose dead rows the slot keeps, in
	// transactions.
	XminAge        int64 `json:"xmin_age"`
	CatalogXminAge int64 `json:"catalog_xmin_age"`
}

// TableStatus is one table's state. Changes counts since the process started.
type TableStatus struct {
	Name   string           `json:"name"`
	OID    uint32           `json:"oid"`
	State  checkpoint.State `json:"state"`
	Reason string           `json:"reason,omitempty"`
	// Unverified says that the rows were taken as they were found, on the
	// operator's word (snapshot.mode never).
	Unverified bool `json:"unverified,omitempty"`
	// Retrying says that it was asked to try the table again, which has not
	// ended yet.
	Retrying bool `json:"retrying,omitempty"`
	// Remedy is what to do about Reason.
	Remedy        string        `json:"remedy,omitempty"`
	RowsLoaded    int64         `json:"rows_loaded"`
	RowsEstimated int64         `json:"rows_estimated"`
	Changes       change.Counts `json:"changes"`
	// LastChange is the commit time of the newest transaction in the batch
	// that last held changes of the table, since the process started.
	LastChange *time.Time `json:"last_change,omitempty"`
}

// view lets Status reach the current run's shared state.
type view struct {
	mu     sync.Mutex
	shared *shared
	slot   *source.Slot
	meter  meter
}

func (v *view) set(s *shared) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.shared, v.meter = s, meter{}
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

// measure notes the positions every few seconds, for rates and forecasts. It
// asks nobody: what the slot monitor saw last is taken.
func (r *Replicator) measure(ctx context.Context, s *shared) error {
	t := time.NewTicker(measureEvery)
	defer t.Stop()
	for {
		r.view.note(time.Now(), s.pos.Read())
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

func (v *view) note(now time.Time, p checkpoint.Snapshot) {
	v.mu.Lock()
	defer v.mu.Unlock()
	r := reading{at: now, server: p.ServerEnd, captured: p.Captured, applied: p.Applied, safe: -1}
	if v.slot != nil && v.slot.SafeWALSize != nil {
		r.safe = max(0, *v.slot.SafeWALSize)
	}
	v.meter.note(r)
}

// Status returns the present state.
func (r *Replicator) Status() Status {
	now := time.Now()
	st := Status{
		Pipeline: r.cfg.Pipeline, Phase: r.health.current(), StartedAt: r.started, Uptime: now.Sub(r.started),
		Memory: Memory{UsedBytes: memoryUsed(), LimitBytes: r.cfg.MemoryLimit},
	}
	st.Spool = r.inflight.status()
	if step := r.health.step.Load(); step != nil && st.Phase == PhaseStarting {
		st.Step = *step
	}
	if at := r.health.seen.Load(); at != 0 {
		seen := time.Unix(0, at)
		st.SourceSeen = &seen
	}
	if s, slot := r.view.get(); s != nil {
		st.setSlot(slot)
		st.setPositions(s.pos.Read(), now)
		r.view.forecast(&st, now)
		st.Tables = s.tables.status()
	}
	st.setHealth(&r.health, now)
	st.setHold(r.Held())
	st.Applying = r.gate.busy()
	st.judge()
	return st
}

// memoryUsed is what GOMEMLIMIT counts: all that the runtime holds and has not
// given back.
func memoryUsed() int64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	if s[0].Value.Kind() != metrics.KindUint64 || s[1].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return int64(s[0].Value.Uint64()) - int64(s[1].Value.Uint64())
}

func (st *Status) setSlot(slot *source.Slot) {
	if slot == nil {
		return
	}
	st.Slot = SlotStatus{
		Known: true, RetainedBytes: slot.RetainedBytes, LimitBytes: slot.LimitBytes, SafeBytes: slot.SafeWALSize,
		WALStatus: slot.WALStatus, ActivePID: slot.ActivePID, XminAge: slot.XminAge, CatalogXminAge: slot.CatalogXminAge,
	}
	if slot.ConfirmedFlush != nil {
		st.Slot.ConfirmedFlush = change.LSN(*slot.ConfirmedFlush)
	}
}

func (st *Status) setPositions(p checkpoint.Snapshot, now time.Time) {
	st.CapturedLSN, st.StagedLSN = change.LSN(p.Captured), change.LSN(p.Staged)
	st.AppliedLSN, st.ServerLSN = change.LSN(p.Applied), change.LSN(p.ServerEnd)
	st.StagedSeq, st.AppliedSeq = p.StagedSeq, p.AppliedSeq
	st.AppliedKnown = p.Applied > 0
	st.Lag.Captured = StageLag{Bytes: behind(p.ServerEnd, p.Captured)}
	st.Lag.Staged = StageLag{
		Bytes: behind(p.ServerEnd, p.Staged), Seconds: since(now, p.OldestUnstaged),
		Transactions: max(0, p.TransactionsCaptured-p.TransactionsStaged),
	}
	st.Lag.Applied = StageLag{
		Seconds: since(now, p.OldestPending), Transactions: max(0, p.TransactionsCaptured-p.TransactionsApplied),
	}
	if st.AppliedKnown {
		st.Lag.Applied.Bytes = behind(p.ServerEnd, p.Applied)
	}
}

func behind(end, at pglogrepl.LSN) int64 {
	if end <= at {
		return 0
	}
	return int64(end - at)
}

// since never runs backwards: commit times are by the source's clock.
func since(now, then time.Time) float64 {
	if then.IsZero() {
		return 0
	}
	return max(0, now.Sub(then).Seconds())
}

// forecast adds what follows from the rates.
func (v *view) forecast(st *Status, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	st.Rates = v.meter.rates()
	if ahead := v.meter.uncaptured(now, pglogrepl.LSN(st.CapturedLSN)).Seconds(); ahead >= closeBehind {
		st.Lag.Captured.Seconds = ahead
		st.Lag.Staged.Seconds = max(st.Lag.Staged.Seconds, ahead)
		st.Lag.Applied.Seconds = max(st.Lag.Applied.Seconds, ahead)
	}
	st.LagBytes, st.LagTransactions, st.LagSeconds = st.Lag.Applied.Bytes, st.Lag.Applied.Transactions, st.Lag.Applied.Seconds
	if d, ok := v.meter.toCatchUp(st.LagBytes); ok && st.AppliedKnown {
		s := d.Seconds()
		st.CatchUpSeconds = &s
	}
	if st.Slot.SafeBytes == nil {
		return
	}
	if d, ok := v.meter.toLimit(*st.Slot.SafeBytes); ok {
		s := d.Seconds()
		st.Slot.LimitSeconds = &s
	}
}

func (st *Status) setHealth(h *health, now time.Time) {
	st.Waiting = []Waiting{}
	for _, w := range h.waitings() {
		st.Waiting = append(st.Waiting, Waiting{
			Part: w.part, For: neighbour(w.part, w.err), Why: why(w.err), Error: w.err.Error(), Tries: w.tries,
			Seconds: max(0, now.Sub(w.since).Seconds()), NextSeconds: max(0, w.next.Sub(now).Seconds()),
		})
	}
	st.Loops = []Loop{}
	for _, l := range h.loops() {
		if l.last != 0 {
			st.Loops = append(st.Loops, Loop{Name: l.name, Seconds: l.age(now).Seconds(), LimitSeconds: l.limit.Seconds()})
		}
	}
	if err := h.stuck(now); err != nil {
		st.Stuck = err.Error()
	}
	st.Incidents = int(h.incidents.Load())
	if text := h.parked.Load(); text != nil {
		st.State, st.Problem = StateParked, *text
	}
}

func (st *Status) setHold(h *Hold) {
	if h == nil {
		return
	}
	st.Paused = h.Kind == holdPaused
	st.Hold = &HoldStatus{Kind: h.Kind, Reason: h.Reason}
	if !h.Until.IsZero() {
		st.Hold.Until = &h.Until
	}
}

// judge settles on a state, what is wrong, and the words for it.
func (st *Status) judge() {
	if st.Tables == nil {
		st.Tables = []TableStatus{}
	}
	stopped := ""
	for i := range st.Tables {
		t := &st.Tables[i]
		_, t.Remedy = splitRemedy(t.Reason)
		if t.State == checkpoint.Stopped {
			stopped = cmp.Or(stopped, "table "+t.Name+" is stopped: "+t.Reason)
		}
	}
	switch {
	case st.State == StateParked:
	case stopped != "":
		st.State, st.Problem = StateDegraded, stopped
	case st.Incidents > 0 && st.Phase == PhaseStreaming:
		st.State, st.Problem = StateDegraded, fmt.Sprintf("%d incidents are open", st.Incidents)
	case st.Phase == PhaseStarting:
		st.State = StateStarting
	case st.Phase == PhaseLoading:
		st.State = StateLoading
	case st.Hold != nil:
		st.State = StatePaused
	case len(st.Waiting) > 0:
		st.State = StateWaiting
	default:
		st.State = StateOK
	}
	if st.Problem == "" && len(st.Waiting) > 0 {
		st.Problem = st.Waiting[0].Error
	}
	st.Problem = cmp.Or(st.Problem, st.Stuck)
	_, st.Remedy = splitRemedy(st.Problem)
	st.Summary = summarize(st)
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
// *NotLiveError when a table can't become live; or, unless it is to wait
// through those, with a *HeldError while apply or the first load rests.
func (r *Replicator) WaitApplied(ctx context.Context, lsn pglogrepl.LSN, through bool) error {
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
		if h := r.Held(); h != nil && !through {
			return &HeldError{Hold: *h}
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
