package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/walshift/walshift/checkpoint"
	"github.com/walshift/walshift/replicator"
	"github.com/walshift/walshift/replicator/change"
)

// statusView says what the status is written to. The zero value is a file or
// a pipe: no escape sequences, no bars, lines as long as they are.
type statusView struct {
	// Terminal allows progress bars, Color escape sequences.
	Terminal, Color bool
	// Width is the columns of the terminal, Height its lines if no more than
	// those shall be used; 0: no limit.
	Width, Height int
}

// narrow is the width below which tables stand one below the other.
const narrow = 90

// renderStatus writes a status for people. It is pure: "now" is the daemon's.
func renderStatus(st *replicator.Status, v statusView) string {
	r := &renderer{st: st, v: v, now: st.StartedAt.Add(st.Uptime)}
	r.head()
	r.stages()
	r.slot()
	r.line("memory", fmt.Sprintf("%s of %s", bytesText(st.Memory.UsedBytes), bytesText(st.Memory.LimitBytes)))
	if text := spoolText(&st.Spool); text != "" {
		r.line("spool", text)
	}
	r.line("incidents", incidentsText(st.Incidents))
	r.tables()
	return r.b.String()
}

type renderer struct {
	st  *replicator.Status
	v   statusView
	now time.Time
	b   strings.Builder
}

// Escape sequences of the colours that states have.
const (
	red, green, yellow, uncolored = "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"
)

func (r *renderer) colored(color, text string) string {
	if !r.v.Color || color == "" {
		return text
	}
	return color + text + uncolored
}

func stateColor(state string) string {
	switch state {
	case replicator.StateOK, string(checkpoint.Live):
		return green
	case replicator.StateParked, replicator.StateDegraded:
		return red
	case string(checkpoint.Stopped):
		return red
	}
	return yellow
}

func (r *renderer) head() {
	st := r.st
	fmt.Fprintf(&r.b, "pipeline %s: %s\n", st.Pipeline, r.colored(stateColor(st.State), st.State))
	if st.Summary != st.State {
		r.wrapped("", st.Summary)
	}
	for i := range st.Waiting {
		if w := &st.Waiting[i]; w.Seconds >= 1 {
			r.wrapped("  ", fmt.Sprintf("%s has been waiting for %s for %s, %d tries", w.Part, w.For, ageText(secondsOf(w.Seconds)), w.Tries))
		}
	}
	if problem := withoutRemedy(st.Problem, st.Remedy); problem != "" {
		r.wrapped("  ", "problem: "+problem)
	}
	if st.Remedy != "" {
		r.wrapped("  ", "remedy: "+st.Remedy)
	}
	fmt.Fprintf(&r.b, "up %s, since %s\n\n", ageText(st.Uptime), timeText(st.StartedAt))
}

// withoutRemedy leaves out of a fault's text what is shown by itself.
func withoutRemedy(text, remedy string) string {
	return strings.TrimSuffix(text, " (remedy: "+remedy+")")
}

// stages are positions and lag.
func (r *renderer) stages() {
	st := r.st
	rows := [][]string{{"", "POSITION", "BEHIND", "TRANSACTIONS", "TIME"}}
	add := func(name string, at change.LSN, l *replicator.StageLag, known bool) {
		row := []string{name, at.String(), "", "", ""}
		if !known {
			row[1] = "unknown"
		} else if l != nil {
			row[2], row[4] = bytesText(l.Bytes), lagText(l.Seconds)
			row[3] = countText(l.Transactions)
		}
		rows = append(rows, row)
	}
	add("source", st.ServerLSN, nil, st.ServerLSN != 0)
	captured := st.Lag.Captured
	add("captured", st.CapturedLSN, &captured, st.CapturedLSN != 0)
	rows[len(rows)-1][3] = ""
	add("staged", st.StagedLSN, &st.Lag.Staged, st.StagedLSN != 0)
	add("applied", st.AppliedLSN, &st.Lag.Applied, st.AppliedKnown)
	r.grid(rows, nil)
	r.b.WriteString("\n")
	r.line("batches", fmt.Sprintf("%d staged, %d applied", st.StagedSeq, st.AppliedSeq))
	r.line("rates", fmt.Sprintf("source %s/s, captured %s/s, applied %s/s",
		bytesText(int64(st.Rates.WAL)), bytesText(int64(st.Rates.Captured)), bytesText(int64(st.Rates.Applied))))
	if st.CatchUpSeconds != nil && st.LagTransactions > 0 {
		r.line("caught up", "in about "+ageText(secondsOf(*st.CatchUpSeconds))+" at these rates")
	}
	if st.SourceSeen != nil && r.now.Sub(*st.SourceSeen) > time.Minute {
		r.line("source", "last answered "+ageText(r.now.Sub(*st.SourceSeen))+" ago; what is said of it is as old")
	}
}

func (r *renderer) slot() {
	s := &r.st.Slot
	if !s.Known {
		r.line("slot", "not known yet")
		return
	}
	text := cmp.Or(s.WALStatus, "unknown") + ", "
	if s.ActivePID == 0 {
		text += "nobody streams from it"
	} else {
		text += "held by pid " + strconv.Itoa(int(s.ActivePID))
	}
	text += "; keeps " + bytesText(s.RetainedBytes) + " of WAL"
	switch {
	case s.LimitBytes == nil:
		text += ", no limit (max_slot_wal_keep_size)"
	case s.SafeBytes == nil:
		text += ", limit " + bytesText(*s.LimitBytes)
	default:
		text += fmt.Sprintf(", limit %s, lost after %s more", bytesText(*s.LimitBytes), bytesText(*s.SafeBytes))
	}
	if s.LimitSeconds != nil {
		text += ", in about " + ageText(secondsOf(*s.LimitSeconds)) + " at this rate"
	}
	r.line("slot", text)
	r.line("", fmt.Sprintf("oldest transaction kept for it: xmin %s, catalog_xmin %s transactions ago",
		countText(s.XminAge), countText(s.CatalogXminAge)))
}

// spoolText is about transactions in progress; "" if there is nothing to say.
func spoolText(s *replicator.SpoolStatus) string {
	switch {
	case s.Streaming && s.Transactions == 1:
		return fmt.Sprintf("%s of %s, 1 transaction in progress", bytesText(s.Bytes), bytesText(s.LimitBytes))
	case s.Streaming:
		return fmt.Sprintf("%s of %s, %s transactions in progress", bytesText(s.Bytes), bytesText(s.LimitBytes), countText(int64(s.Transactions)))
	case s.Reason != "":
		return "not in use: " + s.Reason
	}
	return ""
}

func incidentsText(n int) string {
	if n == 0 {
		return "none open"
	}
	return fmt.Sprintf("%d open", n)
}

// tables lists what needs eyes first: stopped, then not live, then the rest.
func (r *renderer) tables() {
	tables := slices.Clone(r.st.Tables)
	slices.SortStableFunc(tables, func(a, b replicator.TableStatus) int {
		return cmp.Or(cmp.Compare(urgency(a.State), urgency(b.State)), cmp.Compare(a.Name, b.Name))
	})
	if len(tables) == 0 {
		return
	}
	r.b.WriteString("\n")
	left := 0
	if r.v.Height > 0 { // the title, and the line that says what is left out
		room := max(1, r.v.Height-strings.Count(r.b.String(), "\n")-3)
		if room < len(tables) {
			left = len(tables) - room
			tables = tables[:room]
		}
	}
	if r.v.Width > 0 && r.v.Width < narrow {
		r.stacked(tables)
	} else {
		r.table(tables)
	}
	if left > 0 {
		fmt.Fprintf(&r.b, "… and %d more tables (walshift status without --watch lists all)\n", left)
	}
	r.wrapped("", "Changes are counted since the daemon's start.")
}

func urgency(s checkpoint.State) int {
	switch s {
	case checkpoint.Stopped:
		return 0
	case checkpoint.Live:
		return 2
	case checkpoint.Loading, checkpoint.Loaded, checkpoint.CatchingUp:
	}
	return 1
}

func (r *renderer) table(tables []replicator.TableStatus) {
	rows := make([][]string, 0, len(tables)+1)
	rows = append(rows, []string{"TABLE", "STATE", "LOADED", "INSERTS", "UPDATES", "DELETES", "TRUNCATES", "LAST CHANGE"})
	below := map[int]string{}
	for i := range tables {
		t := &tables[i]
		rows = append(rows, []string{
			t.Name, string(t.State), r.loaded(t), countText(t.Changes.Inserts), countText(t.Changes.Updates),
			countText(t.Changes.Deletes), countText(t.Changes.Truncates), r.lastChange(t),
		})
		below[i+1] = r.reasons(t)
	}
	r.grid(rows, below)
}

func (r *renderer) stacked(tables []replicator.TableStatus) {
	for i := range tables {
		t := &tables[i]
		fmt.Fprintf(&r.b, "%s: %s\n", t.Name, r.colored(stateColor(string(t.State)), string(t.State)))
		r.wrapped("  ", fmt.Sprintf("loaded %s; %s inserts, %s updates, %s deletes, %s truncates; last change %s",
			r.loaded(t), countText(t.Changes.Inserts), countText(t.Changes.Updates), countText(t.Changes.Deletes),
			countText(t.Changes.Truncates), r.lastChange(t)))
		r.b.WriteString(r.reasons(t))
	}
}

// reasons are the lines below a table of which there is more to say.
func (r *renderer) reasons(t *replicator.TableStatus) string {
	inner := &renderer{v: r.v}
	if t.Reason != "" {
		inner.wrapped("  ", "reason: "+withoutRemedy(t.Reason, t.Remedy))
	}
	if t.Remedy != "" {
		inner.wrapped("  ", "remedy: "+t.Remedy)
	}
	if t.Retrying {
		inner.wrapped("  ", "it will be tried again with the next apply")
	}
	if t.Unverified {
		inner.wrapped("  ", "its first rows were taken as they were found, not loaded (snapshot.mode: never)")
	}
	return inner.b.String()
}

// loaded shows how far a table's first load is, with a bar on a terminal.
func (r *renderer) loaded(t *replicator.TableStatus) string {
	if t.State != checkpoint.Loading || t.RowsEstimated <= 0 {
		return countText(t.RowsLoaded)
	}
	// Statistics may be old: what is read already is the least.
	share := float64(t.RowsLoaded) / float64(max(t.RowsEstimated, t.RowsLoaded))
	text := fmt.Sprintf("%3.0f %% of about %s", share*100, countText(t.RowsEstimated))
	if r.v.Terminal {
		return bar(share) + " " + text
	}
	return strings.TrimSpace(text)
}

func bar(share float64) string {
	const width = 16
	full := min(width, int(share*width+0.5))
	return "[" + strings.Repeat("#", full) + strings.Repeat("-", width-full) + "]"
}

func (r *renderer) lastChange(t *replicator.TableStatus) string {
	if t.LastChange == nil {
		return "none"
	}
	return ageText(r.now.Sub(*t.LastChange)) + " ago"
}
