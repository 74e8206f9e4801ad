package redshift

import (
	"context"
	"strings"
	"sync"
	"time"
)

// Point is the moment at which a fault strikes.
type Point string

// The points.
const (
	// BeforeStatement strikes before a matching statement runs.
	BeforeStatement Point = "before_statement"
	// AfterStatement strikes when it has run and before its answer is sent.
	AfterStatement Point = "after_statement"
	// BeforeCommit strikes before a transaction's COMMIT takes effect, also the
	// implicit one of a writing statement in autocommit.
	BeforeCommit Point = "before_commit"
	// AfterCommit strikes when it has taken effect and nobody knows.
	AfterCommit Point = "after_commit"
	// Login strikes when a client wants to log in.
	Login Point = "login"
)

// Action is what a fault does.
type Action string

// The actions.
const (
	// Serialization fails with XX000, message 1023.
	Serialization Action = "1023"
	// NewerRelation fails with XX000, message 1018.
	NewerRelation Action = "1018"
	// Deadlock fails with 40P01.
	Deadlock Action = "40P01"
	// Delay waits for Fault.Delay.
	Delay Action = "delay"
	// Cut closes the client's connection and the backend's.
	Cut Action = "cut"
	// Refuse fails with Fault.SQLState and Fault.Message.
	Refuse Action = "refuse"
)

// Fault is one rule of an [Injector].
type Fault struct {
	// Name identifies the fault in Fired and Remove.
	Name string `json:"name"`
	At   Point  `json:"at"`
	Do   Action `json:"do"`
	// Match is a part of the statement's text, letters' case ignored; for the
	// points of COMMIT of any statement of its transaction. Empty matches all.
	Match string `json:"match"`
	// User restricts the fault to one user, if not empty.
	User string `json:"user"`
	// Skip lets so many matches pass first: 2 strikes at the third.
	Skip int `json:"skip"`
	// Times is how often it strikes: 0 means once, negative for ever.
	Times int           `json:"times"`
	Delay time.Duration `json:"delay"`
	// SQLState and Message belong to Refuse.
	SQLState string `json:"sqlstate"`
	Message  string `json:"message"`
}

// Injector holds the faults of a stand-in. The zero value has none. It is safe
// for concurrent use.
type Injector struct {
	mu     sync.Mutex
	faults []*armed
	fired  map[string]int
	paused chan struct{}
}

type armed struct {
	Fault
	seen, struck int
}

// Add arms a fault.
func (in *Injector) Add(f Fault) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.faults = append(in.faults, &armed{Fault: f})
}

// Remove disarms the faults of that name.
func (in *Injector) Remove(name string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	kept := in.faults[:0]
	for _, f := range in.faults {
		if f.Name != name {
			kept = append(kept, f)
		}
	}
	in.faults = kept
}

// Clear disarms all faults and ends a pause.
func (in *Injector) Clear() {
	in.mu.Lock()
	in.faults = nil
	in.mu.Unlock()
	in.Resume()
}

// Fired tells how often the faults of that name have struck.
func (in *Injector) Fired(name string) int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.fired[name]
}

// Pause makes every login, statement and commit wait until Resume.
func (in *Injector) Pause() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.paused == nil {
		in.paused = make(chan struct{})
	}
}

// Resume ends a pause.
func (in *Injector) Resume() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.paused != nil {
		close(in.paused)
		in.paused = nil
	}
}

// wait returns when there is no pause.
func (in *Injector) wait(ctx context.Context) error {
	if in == nil {
		return nil
	}
	in.mu.Lock()
	p := in.paused
	in.mu.Unlock()
	if p == nil {
		return nil
	}
	select {
	case <-p:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// strike returns the faults that strike now, in the order of their arming.
func (in *Injector) strike(at Point, user, text string) []Fault {
	if in == nil {
		return nil
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	var out []Fault
	low := strings.ToLower(text)
	for _, f := range in.faults {
		if f.At != at || f.User != "" && f.User != user || !strings.Contains(low, strings.ToLower(f.Match)) {
			continue
		}
		f.seen++
		if f.seen <= f.Skip || f.Times >= 0 && f.struck >= max(f.Times, 1) {
			continue
		}
		f.struck++
		if in.fired == nil {
			in.fired = map[string]int{}
		}
		in.fired[f.Name]++
		out = append(out, f.Fault)
	}
	return out
}
