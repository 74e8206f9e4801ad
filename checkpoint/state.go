package checkpoint

import (
	"fmt"

	"github.com/jackc/pglogrepl"
)

// State is a table's state in its pipeline.
type State string

// The states of a table.
const (
	Loading    State = "loading"
	Loaded     State = "loaded"
	CatchingUp State = "catching-up"
	Live       State = "live"
	Stopped    State = "stopped"
)

// Table is the checkpoint of one table, as the warehouse stores it.
type Table struct {
	OID    uint32
	Schema string
	Name   string
	State  State
	// X is the consistent point of the table's snapshot.
	X pglogrepl.LSN
	// Applied is the table's own position; meaningful from Loaded on.
	Applied pglogrepl.LSN
	// Reason says why the table is stopped.
	Reason string
}

// CanBecome reports whether a table may go from s to next.
func (s State) CanBecome(next State) bool {
	switch next {
	case Loading:
		return s == "" || s == Loading || s == Stopped
	case Loaded:
		return s == Loading
	case CatchingUp:
		return s == Loaded
	case Live:
		return s == Loaded || s == CatchingUp || s == Live
	case Stopped:
		return s != ""
	}
	return false
}

// Advance returns t moved to next at position applied, where common is the
// applied LSN of all live tables in the same transaction. It refuses what the
// package's rules refuse.
func (t Table) Advance(next State, applied, common pglogrepl.LSN) (Table, error) {
	switch {
	case !t.State.CanBecome(next):
		return t, fmt.Errorf("moving table %s.%s: state %q can't become %q", t.Schema, t.Name, t.State, next)
	case next != Loading && applied < t.Applied:
		return t, fmt.Errorf("moving table %s.%s: position would go back from %s to %s", t.Schema, t.Name, t.Applied, applied)
	case next == Live && (applied != common || applied < t.X):
		return t, fmt.Errorf("moving table %s.%s: can't be live at %s: common position %s, snapshot %s",
			t.Schema, t.Name, applied, common, t.X)
	}
	t.State, t.Applied = next, applied
	if next != Stopped {
		t.Reason = ""
	}
	return t, nil
}
