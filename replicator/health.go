package replicator

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
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

// Part is a part of the daemon that waits for a neighbour by itself.
type Part string

// The parts: capture needs the source, log is capture's writing to S3, load
// the first load, apply the warehouse.
const (
	PartCapture Part = "capture"
	PartLog     Part = "log"
	PartLoad    Part = "load"
	PartApply   Part = "apply"
)

// AllParts returns the parts in the order of the data path.
func AllParts() []Part { return []Part{PartCapture, PartLog, PartLoad, PartApply} }

// waiting is a part between two tries.
type waiting struct {
	part        Part
	err         error
	since, next time.Time
	tries       int
}

// health tells a loop that is stuck from one whose neighbour is away. Safe
// for concurrent use.
type health struct {
	phase  atomic.Pointer[Phase]
	parked atomic.Pointer[string]
	// step is what a start is doing, in words.
	step atomic.Pointer[string]
	// capture and apply are when the loops last went round, in Unix
	// nanoseconds; 0: not running, so it can't be stuck.
	capture, apply atomic.Int64
	// incidents is how many are open.
	incidents atomic.Int64
	// seen is when the source last answered the slot monitor, likewise.
	seen atomic.Int64

	mu    sync.Mutex
	waits map[Part]waiting
}

func (h *health) captured()     { h.capture.Store(time.Now().UnixNano()) }
func (h *health) applied()      { h.apply.Store(time.Now().UnixNano()) }
func (h *health) sawSource()    { h.seen.Store(time.Now().UnixNano()) }
func (h *health) enter(p Phase) { h.phase.Store(&p) }

// setIncidents notes how many incidents are open.
func (h *health) setIncidents(n int) { h.incidents.Store(int64(n)) }

func (h *health) doing(step string) {
	h.step.Store(&step)
}

func (h *health) park(err error) {
	text := err.Error()
	h.parked.Store(&text)
	h.applied()
}

func (h *health) unpark() { h.parked.Store(nil) }

// wait notes that a part tries again in d, because of err.
func (h *health) wait(p Part, err error, d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waits == nil {
		h.waits = make(map[Part]waiting)
	}
	w, ok := h.waits[p]
	now := time.Now()
	if !ok {
		w = waiting{part: p, since: now}
	}
	w.err, w.next = err, now.Add(d)
	w.tries++
	h.waits[p] = w
}

// served notes that a part has got what it waited for.
func (h *health) served(p Part) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.waits, p)
}

// waitings returns what waits, in the order of the data path.
func (h *health) waitings() []waiting {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]waiting, 0, len(h.waits))
	for _, w := range h.waits {
		out = append(out, w)
	}
	order := AllParts()
	slices.SortFunc(out, func(a, b waiting) int {
		return cmp.Compare(slices.Index(order, a.part), slices.Index(order, b.part))
	})
	return out
}

func (h *health) current() Phase {
	if p := h.phase.Load(); p != nil {
		return *p
	}
	return PhaseStarting
}

// loop is one loop's sign of life.
type loop struct {
	name string
	// last is in Unix nanoseconds, 0 if the loop does not run.
	last  int64
	limit time.Duration
}

func (h *health) loops() []loop {
	return []loop{
		{"capture", h.capture.Load(), captureStuckAfter},
		{"apply", h.apply.Load(), applyStuckAfter},
	}
}

// age is how long ago the loop last went round, 0 if it does not run.
func (l loop) age(now time.Time) time.Duration {
	if l.last == 0 {
		return 0
	}
	return max(0, now.Sub(time.Unix(0, l.last)))
}

// stuck names the loop that has not gone round for too long, as an error.
func (h *health) stuck(now time.Time) error {
	for _, l := range h.loops() {
		if age := l.age(now); age > l.limit {
			return fmt.Errorf("the %s loop has not gone round for %s", l.name, age.Round(time.Second))
		}
	}
	return nil
}
