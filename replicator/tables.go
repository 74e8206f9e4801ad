package replicator

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"

	"github.com/walshift/walshift/checkpoint"
	"github.com/walshift/walshift/replicator/change"
)

// table is what the loops know of one selected table. Capture reads rel and
// stopped on the hot path, so they are set before the table is shared, or
// atomic; the rest is guarded by tables.mu.
type table struct {
	rel     *change.Relation
	stopped atomic.Bool

	capture change.TableCapture
	state   checkpoint.State
	reason  string // why apply stopped it
	// somebody asked for another try, which has not ended yet
	retry    bool
	changes  change.Counts
	loaded   int64
	estimate int64
	// lastChange is the last commit time of the newest batch with changes.
	lastChange time.Time
}

// tables are the selected tables of a pipeline, shared by the loops. Safe for
// concurrent use.
type tables struct {
	mu    sync.Mutex
	byOID map[uint32]*table
}

// newTables starts from what the log's last manifest says, or from a fresh
// plan with X unset.
func newTables(captures []change.TableCapture) *tables {
	t := &tables{byOID: make(map[uint32]*table, len(captures))}
	for i := range captures {
		c := captures[i]
		e := &table{rel: c.Relation, capture: c, state: checkpoint.Loading}
		if c.SnapshotComplete {
			e.state = checkpoint.Live
		}
		if c.Stopped != "" {
			e.state = checkpoint.Stopped
			e.stopped.Store(true)
		}
		t.byOID[c.OID] = e
	}
	return t
}

// get returns the table of an oid, nil if it is not selected. The map itself
// never changes, so this takes no lock.
func (t *tables) get(oid uint32) *table { return t.byOID[oid] }

// captures returns what the next manifest must say of the tables, by oid.
func (t *tables) captures() []change.TableCapture {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]change.TableCapture, 0, len(t.byOID))
	for _, e := range t.byOID {
		out = append(out, e.capture)
	}
	slices.SortFunc(out, func(a, b change.TableCapture) int { return cmp.Compare(a.OID, b.OID) })
	return out
}

// watch returns a table's last look that found nothing wrong, nil for none.
func (t *tables) watch(e *table) *change.Watch {
	t.mu.Lock()
	defer t.mu.Unlock()
	return e.capture.Watch
}

// setWatch remembers a look, unless another one came in between.
func (t *tables) setWatch(e *table, was, now *change.Watch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.capture.Watch == was {
		e.capture.Watch = now
	}
}

// truncatesKept is how many truncates of a table are remembered. The last one
// is what its storage shows.
const truncatesKept = 16

// noteTruncate notes the transaction, or subtransaction, of a TRUNCATE that the
// stream brought. It reports whether the table is selected.
func (t *tables) noteTruncate(oid, xid uint32) bool {
	e := t.byOID[oid]
	if e == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	c := &e.capture
	if !slices.Contains(c.Truncates, xid) { // manifests have the list as it was
		c.Truncates = append(slices.Clone(c.Truncates[max(0, len(c.Truncates)+1-truncatesKept):]), xid)
	}
	return true
}

// truncates returns the transactions of the newest truncates of a table.
func (t *tables) truncates(e *table) []uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return e.capture.Truncates
}

// name returns a table's name for messages, "" if it is not selected.
func (t *tables) name(oid uint32) string {
	if e := t.byOID[oid]; e != nil {
		return e.rel.String()
	}
	return ""
}

// stop takes a table out of capture. It reports whether that was news.
func (t *tables) stop(oid uint32, reason string, at pglogrepl.LSN) bool {
	e := t.byOID[oid]
	if e == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.capture.Stopped != "" {
		return false
	}
	e.capture.Stopped, e.capture.StoppedAt = reason, change.LSN(at)
	e.state = checkpoint.Stopped
	e.stopped.Store(true)
	return true
}

// learnStops takes over stops that an earlier writer recorded.
func (t *tables) learnStops(captures []change.TableCapture) {
	for i := range captures {
		if c := &captures[i]; c.Stopped != "" {
			t.stop(c.OID, c.Stopped, pglogrepl.LSN(c.StoppedAt))
		}
	}
}

// isStopped reports whether the log has a table as stopped, or does not know
// it.
func (t *tables) isStopped(oid uint32) bool {
	e := t.byOID[oid]
	if e == nil {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return e.capture.Stopped != ""
}

// setStates takes over what the warehouse says of the tables. A table that
// capture has stopped stays stopped here until the warehouse says so too.
func (t *tables) setStates(states []checkpoint.Table) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range states {
		if e := t.byOID[states[i].OID]; e != nil && e.capture.Stopped == "" {
			e.state, e.reason = states[i].State, states[i].Reason
		}
	}
}

// setStopped notes a table that apply had to stop.
func (t *tables) setStopped(oid uint32, reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.byOID[oid]; e != nil {
		e.state, e.reason = checkpoint.Stopped, reason
	}
}

// completeSnapshot notes that every table's first load is committed.
func (t *tables) completeSnapshot() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.byOID {
		e.capture.SnapshotComplete = true
		e.capture.PendingSince = 0
	}
}

// setLoaded notes a table that the warehouse holds as of its snapshot.
func (t *tables) setLoaded(oid uint32, rows int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.byOID[oid]; e != nil && e.capture.Stopped == "" {
		e.state, e.loaded = checkpoint.Loaded, rows
	}
}

// all returns the tables by oid.
func (t *tables) all() []*table {
	out := make([]*table, 0, len(t.byOID))
	for _, e := range t.byOID {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b *table) int { return cmp.Compare(a.rel.OID, b.rel.OID) })
	return out
}

func (t *tables) addChanges(oid uint32, c change.Counts, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.byOID[oid]; e != nil {
		e.changes.Add(c)
		e.lastChange = at
	}
}

func (t *tables) setEstimates(rows map[uint32]int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for oid, n := range rows {
		if e := t.byOID[oid]; e != nil {
			e.estimate = n
		}
	}
}

func (t *tables) addLoaded(oid uint32, rows int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.byOID[oid]; e != nil {
		e.loaded += rows
	}
}

// snapshotComplete reports whether captures describe a finished first load.
func snapshotComplete(captures []change.TableCapture) bool {
	return !slices.ContainsFunc(captures, func(c change.TableCapture) bool { return !c.SnapshotComplete })
}

func (t *tables) status() []TableStatus {
	list := t.all()
	out := make([]TableStatus, len(list))
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, e := range list {
		out[i] = TableStatus{
			Name: e.rel.String(), OID: e.rel.OID, State: e.state, Reason: cmp.Or(e.capture.Stopped, e.reason),
			Unverified: e.capture.Unverified, Retrying: e.retry, RowsLoaded: e.loaded, RowsEstimated: e.estimate, Changes: e.changes,
		}
		if at := e.lastChange; !at.IsZero() {
			out[i].LastChange = &at
		}
	}
	return out
}

// stoppedTable names a stopped table, "" if there is none.
func (t *tables) stoppedTable() string {
	for _, s := range t.status() {
		if s.State == checkpoint.Stopped {
			return s.Name
		}
	}
	return ""
}

func (t *tables) allLive() bool {
	return !slices.ContainsFunc(t.status(), func(s TableStatus) bool { return s.State != checkpoint.Live })
}
