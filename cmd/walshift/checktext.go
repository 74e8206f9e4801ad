package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/source"
	"github.com/walshift/walshift/sink/redshift"
)

// loadPlan is what a first load would do.
type loadPlan struct {
	// Summary is the plan in one line.
	Summary string `json:"summary"`
	// Rows and Bytes are the source's estimates for the tables to load.
	Rows   int64         `json:"rows"`
	Bytes  int64         `json:"bytes"`
	Tables []plannedLoad `json:"tables"`
}

// The states of a planned table.
const (
	stateToLoad     = "to load"
	stateReplicated = "replicated"
	stateRefused    = "refused"
)

// plannedLoad is one table of the plan.
type plannedLoad struct {
	Table  string `json:"table"`
	Target string `json:"target"`
	// State is "to load", "replicated" (the pipeline has it already) or
	// "refused".
	State string `json:"state"`
	// Mode is mirror, "multiset" for a table with REPLICA IDENTITY FULL and no
	// proven key, or "inserts only" for another without a key.
	Mode string `json:"mode"`
	// Key is the replica identity's columns; under FULL those of the index that
	// proves a key.
	Key []string `json:"key"`
	// Rows and Bytes are estimates of the last ANALYZE; -1 if there was none.
	Rows  int64 `json:"rows"`
	Bytes int64 `json:"bytes"`
	// Refused lists the ids of the checks that fail for the table.
	Refused []string `json:"refused,omitempty"`
}

// newLoadPlan puts the plan together; nil where the source is not known.
func newLoadPlan(plan *source.Plan, house *redshift.Warehouse, store *storeState, findings change.Findings) *loadPlan {
	if plan == nil {
		return nil
	}
	p := &loadPlan{Tables: []plannedLoad{}}
	for i := range plan.Tables {
		t := plan.Tables[i]
		l := plannedLoad{
			Table: t.Relation.String(), Target: t.Relation.String(), State: stateToLoad, Mode: "mirror", Key: []string{}, Rows: -1, Bytes: -1,
		}
		if house != nil {
			l.Target = house.TargetName(t.Relation)
		}
		switch {
		case t.Relation.Multiset:
			l.Mode = "multiset"
		case !t.Relation.HasKey():
			l.Mode = "inserts only"
		}
		for _, c := range t.Relation.KeyColumns() {
			l.Key = append(l.Key, c.Name)
		}
		if !slices.ContainsFunc(t.Storage, func(s source.Storage) bool { return s.Rows < 0 }) {
			l.Rows, l.Bytes = t.Estimates()
		}
		if store != nil && store.replicates(t.Relation) {
			l.State = stateReplicated
		}
		p.Tables = append(p.Tables, l)
	}
	if !plan.Publication.Exists {
		p.plan(plan, house)
	}
	p.refuse(findings)
	p.Summary = p.summary()
	return p
}

// plan adds the tables of a publication that is still to be made.
func (p *loadPlan) plan(plan *source.Plan, house *redshift.Warehouse) {
	for i := range plan.Candidates {
		c := &plan.Candidates[i]
		l := plannedLoad{
			Table: c.String(), Target: c.String(), State: stateToLoad, Mode: "mirror",
			Key: append([]string{}, c.Keys()...), Rows: -1, Bytes: -1,
		}
		if house != nil {
			l.Target = house.TargetName(&change.Relation{Schema: c.Schema, Name: c.Name})
		}
		if c.Multiset() {
			l.Mode = "multiset"
		}
		if _, hindered := c.Obstacle(); hindered {
			l.State, l.Refused = stateRefused, []string{"source.unpublished"}
		}
		p.Tables = append(p.Tables, l)
	}
}

// refuse marks the tables that a check fails for, and sums up the others.
func (p *loadPlan) refuse(findings change.Findings) {
	failed := findings.Of(change.LevelFail)
	for i := range p.Tables {
		t := &p.Tables[i]
		for _, f := range failed {
			if f.Table == t.Table && !slices.Contains(t.Refused, f.ID) {
				t.Refused, t.State = append(t.Refused, f.ID), stateRefused
			}
		}
		if t.State == stateToLoad {
			p.Rows += max(t.Rows, 0)
			p.Bytes += max(t.Bytes, 0)
		}
	}
}

// replicates reports whether the log has the table.
func (s *storeState) replicates(rel *change.Relation) bool {
	return s.last != nil && slices.ContainsFunc(s.last.Tables, func(t change.TableCapture) bool {
		return t.OID == rel.OID && t.Stopped == ""
	})
}

// summary is, for instance, "12 tables will be loaded, about 84 GB; 1 refused:
// public.log".
func (p *loadPlan) summary() string {
	names := map[string][]string{}
	unknown := 0
	for i := range p.Tables {
		t := &p.Tables[i]
		names[t.State] = append(names[t.State], t.Table)
		if t.State == stateToLoad && t.Rows < 0 {
			unknown++
		}
	}
	count := func(n int) string {
		if n == 1 {
			return "1 table"
		}
		return fmt.Sprintf("%d tables", n)
	}
	out := count(len(names[stateToLoad])) + " will be loaded, about " + humanBytes(p.Bytes)
	if unknown > 0 {
		out += fmt.Sprintf(" (%d never analyzed, of unknown size)", unknown)
	}
	if n := len(names[stateReplicated]); n > 0 {
		out += "; " + count(n) + " replicated already"
	}
	if n := len(names[stateRefused]); n > 0 {
		out += fmt.Sprintf("; %d refused: %s", n, strings.Join(names[stateRefused], ", "))
	}
	return out
}

// humanBytes writes a size as people say it.
func humanBytes(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	size, units := float64(n)/1000, []string{"kB", "MB", "GB", "TB", "PB"}
	for size >= 1000 && len(units) > 1 {
		size, units = size/1000, units[1:]
	}
	if size < 10 {
		return fmt.Sprintf("%.1f %s", size, units[0])
	}
	return fmt.Sprintf("%.0f %s", size, units[0])
}

// text is the report for people.
func (r *checkReport) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "pipeline %s\n", r.Pipeline)
	width := 0
	for i := range r.Findings {
		width = max(width, len(r.Findings[i].ID))
	}
	side := ""
	for i := range r.Findings {
		f := &r.Findings[i]
		if s, _, _ := strings.Cut(f.ID, "."); s != side {
			side = s
			fmt.Fprintf(&b, "\n%s\n", heading(side))
		}
		seen := f.Seen
		if f.Table != "" {
			seen = f.Table + ": " + seen
		}
		fmt.Fprintf(&b, "  %-7s  %-*s  %s\n", f.Level, width, f.ID, seen)
		if f.Remedy != "" {
			fmt.Fprintf(&b, "  %-7s  %-*s  → %s\n", "", width, "", f.Remedy)
		}
	}
	if r.Plan != nil {
		r.Plan.text(&b)
	}
	fmt.Fprintf(&b, "\n%s: %d passed, %d warnings, %d failed, %d skipped\n", r.Result,
		r.Counts[change.LevelPass], r.Counts[change.LevelWarn], r.Counts[change.LevelFail], r.Counts[change.LevelSkipped])
	return b.String()
}

func heading(side string) string {
	switch side {
	case "source":
		return "Source (PostgreSQL)"
	case "s3":
		return "Log (S3)"
	case "daemon":
		return "Daemon (this machine)"
	}
	return "Warehouse (Redshift)"
}

func (p *loadPlan) text(b *strings.Builder) {
	b.WriteString("\nPlan\n")
	tw := tabwriter.NewWriter(b, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(tw, "  TABLE\tTARGET\tMODE\tKEY\tROWS\tSIZE\tSTATE")
	for i := range p.Tables {
		t := &p.Tables[i]
		rows, size, state := "?", "?", t.State
		if t.Rows >= 0 {
			rows, size = fmt.Sprintf("~%d", t.Rows), humanBytes(t.Bytes)
		}
		if len(t.Refused) > 0 {
			state += " by " + strings.Join(t.Refused, ", ")
		}
		_, _ = fmt.Fprintf(tw, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\n", t.Table, t.Target, t.Mode, strings.Join(t.Key, ", "), rows, size, state)
	}
	_ = tw.Flush() // into memory
	fmt.Fprintf(b, "  %s\n", p.Summary)
}
