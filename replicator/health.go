package replicator

import (
	"fmt"
	"sync/atomic"
	"time"
)

// How long a loop may show no sign of life before it counts as stuck: above
// every bounded wait of capture, and for apply above the longest transaction
// that a backlog may take on the warehouse (which redshift.session's
// statement_timeout bounds by statement).
const (
	captureStuckAfter = 5 * time.Minute
	applyStuckAfter   = 2 * time.Hour
)

// Phase is what the daemon as a whole is doing.
type Phase string

// The phases of a run.
const (
	PhaseStarting  Phase = "starting"
	PhaseLoading   Phase = "loading"
	PhaseStreaming Phase = "streaming"
	PhaseStopping  Phase = "stopping"
)

// health tells a loop that is stuck from one whose neighbour is away. Safe
// for concurrent use.
type health struct {
	phase  atomic.Pointer[Phase]
	parked atomic.Pointer[string]
	// capture and apply are when the loops last went round, in Unix
	// nanoseconds; 0: not running, so it can't be stuck.
	capture, apply atomic.Int64
}

func (h *health) captured()     { h.capture.Store(time.Now().UnixNano()) }
func (h *health) applied()      { h.apply.Store(time.Now().UnixNano()) }
func (h *health) enter(p Phase) { h.phase.Store(&p) }

func (h *health) park(err error) {
	text := err.Error()
	h.parked.Store(&text)
	h.applied()
}

func (h *health) unpark() { h.parked.Store(nil) }

func (h *health) current() Phase {
	if p := h.phase.Load(); p != nil {
		return *p
	}
	return PhaseStarting
}

// stuck names the loop that has not gone round for too long, as an error.
func (h *health) stuck(now time.Time) error {
	for _, l := range []struct {
		name  string
		last  int64
		limit time.Duration
	}{{"capture", h.capture.Load(), captureStuckAfter}, {"apply", h.apply.Load(), applyStuckAfter}} {
		if age := now.Sub(time.Unix(0, l.last)); l.last != 0 && age > l.limit {
			return fmt.Errorf("the %s loop has not gone round for %s", l.name, age.Round(time.Second))
		}
	}
	return nil
}
