package replicator

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/walshift/walshift/checkpoint"
	"github.com/walshift/walshift/replicator/change"
)

// Pause is what an operator asked for. It is kept beside the log, so that it
// outlives restarts and does not need the warehouse.
type Pause struct {
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
}

// pauseName is the control object of a pause: while it exists apply rests.
const pauseName = "pause"

// Pause lets apply rest after the transaction under way, until Unpause. Capture
// goes on. When it returns without an error the pause is durable. A second call
// replaces the reason.
func (r *Replicator) Pause(ctx context.Context, reason string) error {
	p := &Pause{Reason: reason, Since: time.Now().UTC()}
	body, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encoding the pause: %w", err)
	}
	r.controlling.Lock()
	defer r.controlling.Unlock()
	if err := r.store.WriteControl(ctx, pauseName, body); err != nil {
		return fmt.Errorf("recording the pause: %w", err)
	}
	r.gate.setPause(p)
	r.log.Info("paused", zap.String("reason", reason))
	return nil
}

// Unpause lets apply go on. Without a pause it does nothing.
func (r *Replicator) Unpause(ctx context.Context) error {
	r.controlling.Lock()
	defer r.controlling.Unlock()
	if err := r.store.RemoveControl(ctx, pauseName); err != nil {
		return fmt.Errorf("ending the pause: %w", err)
	}
	r.gate.setPause(nil)
	r.log.Info("unpaused")
	return nil
}

// loadPause takes over a pause that an earlier process was asked for.
func (r *Replicator) loadPause(ctx context.Context) error {
	r.controlling.Lock()
	defer r.controlling.Unlock()
	body, err := r.store.ReadControl(ctx, pauseName)
	if err != nil || body == nil {
		return err
	}
	p := new(Pause)
	if err := json.Unmarshal(body, p); err != nil {
		// It says that somebody wanted a pause; which words is all that is lost.
		p.Reason = "the recorded reason can't be read"
	}
	r.gate.setPause(p)
	r.log.Info("paused", zap.String("reason", p.Reason), zap.Time("since", p.Since))
	return nil
}

// Held returns why apply or the first load rests, nil if neither does.
func (r *Replicator) Held() *Hold { return r.gate.any(time.Now()) }

// Applying reports whether a transaction on the warehouse is under way.
func (r *Replicator) Applying() bool { return r.gate.busy() }

// Retried is what a retry can do about one stopped table.
type Retried struct {
	Table string `json:"table"`
	// Queued: the table is tried again at once; its state tells the outcome.
	Queued bool   `json:"queued"`
	Reason string `json:"reason,omitempty"`
}

// UnknownTableError reports a name that is none of the pipeline's tables.
type UnknownTableError struct{ Table string }

// Error implements error.
func (e *UnknownTableError) Error() string {
	return "the pipeline has no table " + e.Table + " (write schema.table, as status does)"
}

// Retry wakes what waits to be tried again: a parked apply, a broken capture.
// Of the named tables, or all that are stopped, it queues those that apply
// stopped: their changes are still in the log, and they stand at a batch's end.
func (r *Replicator) Retry(names []string) ([]Retried, error) {
	s, _ := r.view.get()
	var out []Retried
	if s != nil {
		all := s.tables.status()
		for _, n := range names {
			if !slices.ContainsFunc(all, func(t TableStatus) bool { return t.Name == n }) {
				return nil, &UnknownTableError{Table: n}
			}
		}
		for i := range all {
			t := &all[i]
			if len(names) > 0 && !slices.Contains(names, t.Name) || len(names) == 0 && t.State != checkpoint.Stopped {
				continue
			}
			out = append(out, s.tables.queueRetry(t))
		}
	} else if len(names) > 0 {
		return nil, &UnknownTableError{Table: names[0]}
	}
	r.log.Info("retry_requested", zap.Int("tables", len(out)))
	r.gate.changed.ring()
	r.again.ring()
	return out, nil
}

// queueRetry marks a table that apply stopped to be tried again.
func (t *tables) queueRetry(st *TableStatus) Retried {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byOID[st.OID]
	switch {
	case e == nil || e.state != checkpoint.Stopped:
		return Retried{Table: st.Name, Reason: "it is not stopped"}
	case e.capture.Stopped != "":
		return Retried{Table: st.Name, Reason: fmt.Sprintf(
			"capture left it at %s, so that the log lacks its changes since: the table has to be loaded again",
			e.capture.StoppedAt)}
	}
	e.retry = true
	return Retried{Table: st.Name, Queued: true}
}

// toRetry returns the tables that are to be tried again.
func (t *tables) toRetry() []uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []uint32
	for oid, e := range t.byOID {
		if e.retry {
			out = append(out, oid)
		}
	}
	slices.Sort(out)
	return out
}

// retried notes the end of a try: without a reason the table follows again.
func (t *tables) retried(oid uint32, reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byOID[oid]
	if e == nil {
		return
	}
	e.retry, e.reason = false, reason
	if reason == "" && e.capture.Stopped == "" {
		e.state = checkpoint.Live
	}
}

// captureStopped reports whether the log has a table as stopped.
func captureStopped(captures []change.TableCapture, oid uint32) bool {
	return slices.ContainsFunc(captures, func(c change.TableCapture) bool { return c.OID == oid && c.Stopped != "" })
}
