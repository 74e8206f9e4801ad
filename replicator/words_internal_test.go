package replicator

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walshift/walshift/checkpoint"
	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/source"
)

// s3Error looks like an error of the AWS SDK.
type s3Error struct{ error }

func (s3Error) Service() string   { return "S3" }
func (s3Error) Operation() string { return "PutObject" }
func (s3Error) ErrorCode() string { return "AccessDenied" }

func refusedLogin() error {
	return &change.Fault{
		Scope: change.ScopeLoop, Op: "arriving at the warehouse", Err: &pgconn.PgError{Code: "28P01", Message: "no"},
		Remedy: "correct user and password in redshift.dsn",
	}
}

func TestSummaries(t *testing.T) {
	t.Parallel()
	streaming := func(edit func(*Status, *health)) (*Status, *health) {
		h := &health{}
		h.enter(PhaseStreaming)
		st := &Status{Phase: PhaseStreaming, AppliedKnown: true, Tables: []TableStatus{{Name: "public.a", State: checkpoint.Live}}}
		edit(st, h)
		return st, h
	}
	soon := 20*time.Second + 400*time.Millisecond
	for want, edit := range map[string]func(*Status, *health){
		"ok|caught up": func(*Status, *health) {},
		"waiting|waiting for PostgreSQL: connection refused, next try in 20 s": func(_ *Status, h *health) {
			h.wait(PartCapture, fmt.Errorf("connecting: %w", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}), soon)
		},
		"waiting|waiting for the slot: held by pid 4711, next try in 20 s": func(st *Status, h *health) {
			st.Slot.ActivePID = 4711
			h.wait(PartCapture, fmt.Errorf("starting: %w", source.ErrSlotActive), soon)
		},
		"waiting|waiting for S3: AccessDenied, next try in 20 s": func(_ *Status, h *health) {
			h.wait(PartApply, fmt.Errorf("reading batch 7: %w", s3Error{errors.New("no")}), soon)
		},
		"parked|waiting for Redshift: login refused, next try in 20 s": func(_ *Status, h *health) {
			h.park(refusedLogin())
			h.wait(PartApply, refusedLogin(), soon)
		},
		"ok|waiting for table public.x (catching-up)": func(st *Status, _ *health) {
			st.Tables = append(st.Tables, TableStatus{Name: "public.x", State: checkpoint.CatchingUp})
		},
		"loading|loading: 3 of 5 tables done": func(st *Status, _ *health) {
			st.Phase = PhaseLoading
			st.Tables = []TableStatus{
				{State: checkpoint.Loaded},
				{State: checkpoint.Loaded},
				{State: checkpoint.Loaded},
				{State: checkpoint.Loading},
				{State: checkpoint.Loading},
			}
		},
		"starting|starting: creating the replication slot": func(st *Status, _ *health) {
			st.Phase, st.Step = PhaseStarting, "creating the replication slot"
		},
		"paused|apply is paused: resize": func(st *Status, _ *health) { st.setHold(&Hold{Kind: "paused", Reason: "apply is paused: resize"}) },
		"paused|apply.window is closed, goes on at 2026-03-01 22:00 UTC": func(st *Status, _ *health) {
			st.setHold(&Hold{Kind: "apply_window", Reason: "apply.window is closed", Until: time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC)})
		},
		"degraded|caught up": func(st *Status, _ *health) {
			st.Tables = append(st.Tables, TableStatus{Name: "public.x", State: checkpoint.Stopped, Reason: "bad (remedy: mend it)"})
		},
		"degraded|caught up ":                            func(_ *Status, h *health) { h.setIncidents(2) },
		"ok|waiting for Redshift to say what is applied": func(st *Status, _ *health) { st.AppliedKnown = false },
		"ok|replicating":                                 func(st *Status, _ *health) { st.LagTransactions, st.LagSeconds = 3, 12 },
		"ok|catching up: done in about 2m10s": func(st *Status, _ *health) {
			s := 128.0
			st.LagTransactions, st.LagSeconds, st.CatchUpSeconds = 3, 120, &s
		},
		"ok|behind, and not catching up at the present rates": func(st *Status, _ *health) { st.LagTransactions, st.LagSeconds = 3, 120 },
		"ok|stopping: sealing and confirming what was received": func(st *Status, _ *health) {
			st.Phase = PhaseStopping
		},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			st, h := streaming(edit)
			st.setHealth(h, time.Now())
			st.judge()
			if got := st.State + "|" + st.Summary; got != strings.TrimSpace(want) {
				t.Errorf("got %q", got)
			}
		})
	}
}

// TestRemedyStandsByItself: a fault's remedy is shown apart from its reason.
func TestRemedyStandsByItself(t *testing.T) {
	t.Parallel()
	h := &health{}
	h.enter(PhaseStreaming)
	h.park(refusedLogin())
	st := &Status{Phase: PhaseStreaming, Tables: []TableStatus{{Name: "a", State: checkpoint.Stopped, Reason: "x (remedy: do (this))"}}}
	st.setHealth(h, time.Now())
	st.judge()
	if st.Remedy != "correct user and password in redshift.dsn" || st.Tables[0].Remedy != "do (this)" {
		t.Errorf("remedies %q and %q", st.Remedy, st.Tables[0].Remedy)
	}
}

// TestWaitingEnds: what was waited for is forgotten when it came, and the time
// of waiting is counted from the first try.
func TestWaitingEnds(t *testing.T) {
	t.Parallel()
	var h health
	h.wait(PartLog, errors.New("a"), time.Second)
	h.wait(PartCapture, errors.New("b"), time.Second)
	h.wait(PartLog, errors.New("c"), time.Hour)
	w := h.waitings()
	if len(w) != 2 || w[0].part != PartCapture || w[1].tries != 2 || w[1].err.Error() != "c" || w[1].since.After(w[0].since) {
		t.Errorf("waiting: %+v", w)
	}
	h.served(PartLog)
	if w := h.waitings(); len(w) != 1 || w[0].part != PartCapture {
		t.Errorf("still waiting: %+v", w)
	}
}

func TestShortReasons(t *testing.T) {
	t.Parallel()
	long := fmt.Errorf("%s (remedy: x)", strings.Repeat("é ", 300))
	if got := []rune(why(long)); len(got) > 100 || strings.Contains(string(got), "remedy") {
		t.Errorf("%d runes: %s", len(got), string(got))
	}
}
