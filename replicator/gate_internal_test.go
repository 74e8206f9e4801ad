package replicator

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// TestGate: a pause and a closed window hold apply, each until it ends; a
// transaction that has begun goes on.
func TestGate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // its clock begins at midnight UTC
		window, err := ParseWindow("02:00-04:00")
		if err != nil {
			t.Fatal(err)
		}
		g := &gate{window: window}
		if h := g.hold(time.Now()); h == nil || h.Kind != "apply_window" || h.Until.Hour() != 2 {
			t.Fatalf("outside the window: %+v", h)
		}
		if g.enter() {
			t.Error("a transaction began outside the window")
		}
		looks := 0
		if err := g.await(t.Context(), func(*Hold) { looks++ }); err != nil || time.Now().UTC().Hour() != 2 {
			t.Errorf("it opened at %s (%v)", time.Now().UTC(), err)
		}
		if looks < 60 { // the health check wants to see that it rests
			t.Errorf("%d looks in two hours", looks)
		}
		if !g.enter() || !g.busy() {
			t.Error("no transaction could begin inside the window")
		}
		g.setPause(&Pause{Reason: "why"})
		if !g.busy() || g.enter() {
			t.Error("a pause ended the transaction under way, or let another begin")
		}
		g.leave()
		done := make(chan error)
		go func() { done <- g.await(t.Context(), func(*Hold) {}) }()
		synctest.Wait()
		g.setPause(nil)
		if err := <-done; err != nil {
			t.Errorf("after the pause: %v", err)
		}
		g.setPause(&Pause{})
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errHeld)
		if err := g.await(ctx, func(*Hold) {}); !errors.Is(err, errHeld) {
			t.Errorf("the end of its context: %v", err)
		}
	})
}

// TestGateSleepIsCutShort: who asks for another try need not wait for the turn.
func TestGateSleepIsCutShort(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := new(gate)
		began := time.Now()
		time.AfterFunc(time.Second, g.changed.ring)
		if err := g.sleep(t.Context(), time.Hour); err != nil || time.Since(began) != time.Second {
			t.Errorf("slept %s: %v", time.Since(began), err)
		}
	})
}

// TestThrottle: whatever is taken in whatever steps, and however long between
// them, no second sees more than its share (and one step).
func TestThrottle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.IntRange(1, 100_000).Draw(t, "rate")
		th := &throttle{perSecond: rate}
		now := time.Unix(1_000_000, 0)
		began, total, idle := now, int64(0), time.Duration(0)
		for range rapid.IntRange(1, 50).Draw(t, "takes") {
			rows := rapid.Int64Range(1, th.step(4096)).Draw(t, "rows")
			now = now.Add(th.reserve(now, rows))
			total += rows
			if least := time.Duration(float64(total) / float64(rate) * float64(time.Second)); now.Sub(began)-idle < least-time.Millisecond {
				t.Fatalf("%d rows passed in %s at %d a second", total, now.Sub(began)-idle, rate)
			}
			pause := time.Duration(rapid.Int64Range(0, int64(2*time.Second)).Draw(t, "idle"))
			now, idle = now.Add(pause), idle+pause
		}
	})
	var none *throttle
	if none.reserve(time.Now(), 1e9) != 0 || none.step(7) != 7 {
		t.Error("no limit holds something back")
	}
}
