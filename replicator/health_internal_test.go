package replicator

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"
)

// TestHealthTellsHangingFromWaiting: a loop that does not go round is stuck; one
// that waits for the warehouse is not, however long.
func TestHealthTellsHangingFromWaiting(t *testing.T) {
	t.Parallel()
	later := time.Now().Add(2 * stuckAfter)
	var h health
	if err := h.stuck(later); err != nil {
		t.Errorf("nothing runs yet: %v", err)
	}
	h.applied()
	if h.stuck(time.Now()) != nil || h.stuck(later) == nil {
		t.Error("apply has not gone round, and does not count as stuck")
	}
	h.waits()
	if err := h.stuck(later); err != nil {
		t.Errorf("apply waits for the warehouse: %v", err)
	}
	h.park(errors.New("no privilege"))
	h.waits()
	if err := h.stuck(later); err != nil {
		t.Errorf("apply is parked: %v", err)
	}
	h.captured()
	if h.stuck(later) == nil {
		t.Error("capture has not gone round, and does not count as stuck")
	}
}

// TestAskSeal: only the batch that reaches the position asked for is sealed
// early, once, and the lowest of several requests comes first.
func TestAskSeal(t *testing.T) {
	t.Parallel()
	var s shared
	want := func(end uint64, asked bool) {
		t.Helper()
		if got := s.sealAsked(pglogrepl.LSN(end)); got != asked {
			t.Errorf("a batch up to %d, sealed %d, asked for %d: %v", end, s.sealed.Load(), s.sealAt.Load(), got)
		}
	}
	s.sealed.Store(100)
	s.askSeal(100)
	want(1000, false) // all of it is sealed already
	s.askSeal(300)
	s.askSeal(200)
	s.askSeal(250)
	want(199, false)
	want(200, true)
	s.sealed.Store(220)
	want(1000, false)
	s.askSeal(200)
	want(1000, false)
	s.askSeal(250)
	want(249, false)
	want(250, true)
}
