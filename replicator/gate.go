package replicator

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Hold is why a part rests although nothing is wrong.
type Hold struct {
	// Kind is "paused", "apply_window" or "snapshot_window".
	Kind string
	// Reason says it in words.
	Reason string
	// Until is when a window opens; zero for a pause.
	Until time.Time
}

// HeldError reports that waiting is vain while a hold lasts.
type HeldError struct{ Hold Hold }

// Error implements error.
func (e *HeldError) Error() string {
	if e.Hold.Until.IsZero() {
		return e.Hold.Reason
	}
	return e.Hold.Reason + " until " + e.Hold.Until.UTC().Format(time.RFC3339)
}

// bell wakes all who listen. The zero value is ready; safe for concurrent use.
type bell struct {
	mu sync.Mutex
	ch chan struct{}
}

// next returns a channel that is closed at the next ring.
func (b *bell) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
	}
	b.ch = nil
}

// gate lets apply through unless somebody paused it or its window is closed.
// Safe for concurrent use.
type gate struct {
	window Window
	// changed rings when a pause begins or ends, or somebody asks for a try.
	changed bell

	mu       sync.Mutex
	pause    *Pause
	snapshot *Hold // what the first load waits for
	applying bool
}

// setPause begins a pause, or ends it with nil.
func (g *gate) setPause(p *Pause) {
	g.mu.Lock()
	g.pause = p
	g.mu.Unlock()
	g.changed.ring()
}

// holdSnapshot notes what the first load waits for, nil for nothing.
func (g *gate) holdSnapshot(h *Hold) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.snapshot = h
}

// hold returns why apply rests at a moment, nil if it may run.
func (g *gate) hold(now time.Time) *Hold {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held(now)
}

func (g *gate) held(now time.Time) *Hold {
	switch p := g.pause; {
	case p != nil && p.Reason != "":
		return &Hold{Kind: "paused", Reason: "apply is paused: " + p.Reason}
	case p != nil:
		return &Hold{Kind: "paused", Reason: "apply is paused"}
	}
	if open, changes := g.window.Open(now); !open {
		return &Hold{Kind: "apply_window", Reason: "apply.window (" + g.window.String() + ") is closed", Until: changes}
	}
	return nil
}

// any returns why apply or the first load rests.
func (g *gate) any(now time.Time) *Hold {
	g.mu.Lock()
	defer g.mu.Unlock()
	if h := g.held(now); h != nil {
		return h
	}
	return g.snapshot
}

// enter begins a transaction unless the gate is closed; leave ends it.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held(time.Now()) != nil {
		return false
	}
	g.applying = true
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.applying = false
}

// busy reports whether a transaction is under way.
func (g *gate) busy() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.applying
}

// errHeld ends a session of apply whose gate has closed.
var errHeld = errors.New("apply is held")

// gateLook bounds each wait at the gate, so that the health check can tell
// resting from hanging and a clock that was set is noticed.
const gateLook = 15 * time.Second

// sleep waits for d, a change of the gate, or the end of ctx.
func (g *gate) sleep(ctx context.Context, d time.Duration) error {
	changed := g.changed.next()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-changed:
	case <-t.C:
	}
	return nil
}

// await waits until the gate is open. It calls closed with each hold that it
// finds, at least every gateLook.
func (g *gate) await(ctx context.Context, closed func(*Hold)) error {
	for {
		changed := g.changed.next()
		now := time.Now()
		h := g.hold(now)
		if h == nil {
			return nil
		}
		closed(h)
		d := gateLook
		if !h.Until.IsZero() {
			d = min(d, max(h.Until.Sub(now), 10*time.Millisecond))
		}
		t := time.NewTimer(d)
		select {
		case <-ctx.Done():
			t.Stop()
			return context.Cause(ctx)
		case <-changed:
		case <-t.C:
		}
		t.Stop()
	}
}
