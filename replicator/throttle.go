package replicator

import (
	"context"
	"sync"
	"time"
)

// throttle spaces rows out so that all readers together stay below a rate. It
// saves nothing up: after a pause the rate is the same. The zero value and nil
// let everything pass. Safe for concurrent use.
type throttle struct {
	// perSecond is the number of rows, 0 for no limit.
	perSecond int

	mu   sync.Mutex
	next time.Time
}

// step is how many rows should be taken at once: a tenth of a second's, within
// bounds.
func (t *throttle) step(most int64) int64 {
	if t == nil || t.perSecond <= 0 {
		return most
	}
	return max(1, min(most, int64(t.perSecond/10)))
}

// reserve takes rows and returns how long to wait before going on.
func (t *throttle) reserve(now time.Time, rows int64) time.Duration {
	if t == nil || t.perSecond <= 0 {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.next.Before(now) {
		t.next = now
	}
	t.next = t.next.Add(time.Duration(float64(rows) / float64(t.perSecond) * float64(time.Second)))
	return t.next.Sub(now)
}

// take waits until rows may pass.
func (t *throttle) take(ctx context.Context, rows int64) error {
	if d := t.reserve(time.Now(), rows); d > 0 {
		return sleep(ctx, d)
	}
	return nil
}
