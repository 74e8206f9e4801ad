package change

import (
	"fmt"
	"slices"
	"strings"
)

// Level says how a check came out.
type Level string

// The levels, from the mildest to the gravest.
const (
	// LevelPass: nothing stands in the way.
	LevelPass Level = "pass"
	// LevelSkipped: the check could not be made; what was seen says why.
	LevelSkipped Level = "skipped"
	// LevelWarn: it works, and somebody should know.
	LevelWarn Level = "warn"
	// LevelFail: a first start refuses.
	LevelFail Level = "fail"
)

// Finding is the outcome of one check. `walshift check` shows all of them,
// `walshift run` refuses a first start on those of [LevelFail].
type Finding struct {
	// ID names the check, side first: "source.wal_level". It is stable: people
	// write it into their monitoring.
	ID    string `json:"id"`
	Level Level  `json:"level"`
	// Table is schema.table of the source, "" for what concerns a whole side.
	Table string `json:"table,omitempty"`
	// Seen is what was found, without row values and secrets.
	Seen string `json:"seen"`
	// Remedy is the statement or the step that mends it.
	Remedy string `json:"remedy,omitempty"`
}

// String returns the finding in one line.
func (f Finding) String() string {
	var b strings.Builder
	b.WriteString(f.ID)
	if f.Table != "" {
		b.WriteString(" of " + f.Table)
	}
	b.WriteString(": " + f.Seen)
	if f.Remedy != "" {
		b.WriteString(" (remedy: " + f.Remedy + ")")
	}
	return b.String()
}

// Findings are collected by the checks of one side, in their order.
type Findings []Finding

// Pass adds a check that came out well.
func (f *Findings) Pass(id, seen string) {
	*f = append(*f, Finding{ID: id, Level: LevelPass, Seen: seen})
}

// Skip adds a check that could not be made.
func (f *Findings) Skip(id, reason string) {
	*f = append(*f, Finding{ID: id, Level: LevelSkipped, Seen: reason})
}

// Warn adds what somebody should know.
func (f *Findings) Warn(id, seen, remedy string) {
	*f = append(*f, Finding{ID: id, Level: LevelWarn, Seen: seen, Remedy: remedy})
}

// Fail adds what a first start refuses.
func (f *Findings) Fail(id, seen, remedy string) {
	*f = append(*f, Finding{ID: id, Level: LevelFail, Seen: seen, Remedy: remedy})
}

// Add adds findings as they are.
func (f *Findings) Add(list ...Finding) { *f = append(*f, list...) }

// Found reports whether any finding has the id.
func (f Findings) Found(id string) bool {
	return slices.ContainsFunc(f, func(x Finding) bool { return x.ID == id })
}

// Of returns the findings of a level.
func (f Findings) Of(level Level) []Finding {
	var out []Finding
	for i := range f {
		if f[i].Level == level {
			out = append(out, f[i])
		}
	}
	return out
}

// Err returns a fatal [Fault] around a [FindingsError] if a check has failed,
// else nil.
func (f Findings) Err(op string) error {
	failed := f.Of(LevelFail)
	if len(failed) == 0 {
		return nil
	}
	return &Fault{
		Scope: ScopeFatal, Code: CodeChecks, Op: op, Err: &FindingsError{Failed: failed},
		Remedy: "mend what the list names (`walshift check` shows it readably), then start again; nothing has been changed",
	}
}

// FindingsError lists all failed checks at once.
type FindingsError struct{ Failed []Finding }

// Error implements error.
func (e *FindingsError) Error() string {
	var b strings.Builder
	if len(e.Failed) == 1 {
		b.WriteString("1 problem")
	} else {
		fmt.Fprintf(&b, "%d problems", len(e.Failed))
	}
	for i := range e.Failed {
		b.WriteString("; " + e.Failed[i].String())
	}
	return b.String()
}
