package replicator

import (
	"testing"

	"github.com/jackc/pglogrepl"
)

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
