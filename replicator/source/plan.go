package source

import (
	"fmt"
	"strings"

	"github.com/walshift/walshift/replicator/change"
)

// Finding is one thing that preflight has to say.
type Finding struct {
	// Check names what was looked at, for instance "wal_level".
	Check string
	// Table is schema.table, "" for what concerns the server.
	Table  string
	Text   string
	Remedy string
}

// String returns the finding in one line.
func (f Finding) String() string {
	var b strings.Builder
	b.WriteString(f.Check)
	if f.Table != "" {
		b.WriteString(" of " + f.Table)
	}
	b.WriteString(": " + f.Text)
	if f.Remedy != "" {
		b.WriteString(" (remedy: " + f.Remedy + ")")
	}
	return b.String()
}

// Plan is what preflight found out.
type Plan struct {
	Identity Identity
	// Tables are the selected tables that can be replicated or have problems.
	Tables []Table
	// Unselected are tables that the publication holds and the configuration
	// leaves out; their changes arrive in the stream all the same.
	Unselected []string
	// Problems must be solved before the first start; Warnings should be read.
	Problems, Warnings []Finding
}

// Relations returns the tables' relations in order.
func (p *Plan) Relations() []*change.Relation {
	rels := make([]*change.Relation, len(p.Tables))
	for i := range p.Tables {
		rels[i] = p.Tables[i].Relation
	}
	return rels
}

// Estimates sums the tables' rows and bytes by the server's statistics; what
// was never analyzed counts as nothing.
func (p *Plan) Estimates() (rows, bytes int64) {
	for i := range p.Tables {
		r, b := p.Tables[i].Estimates()
		rows += r
		bytes += b
	}
	return rows, bytes
}

// Estimates sums the table's rows and bytes.
func (t *Table) Estimates() (rows, bytes int64) {
	for _, s := range t.Storage {
		rows += max(s.Rows, 0)
		bytes += max(s.Bytes, 0)
	}
	return rows, bytes
}

// PreflightError lists all problems at once.
type PreflightError struct{ Problems []Finding }

// Error implements error.
func (e *PreflightError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d problems", len(e.Problems))
	if len(e.Problems) == 1 {
		b.Reset()
		b.WriteString("1 problem")
	}
	for _, p := range e.Problems {
		b.WriteString("; " + p.String())
	}
	return b.String()
}

func (p *Plan) problem(check, table, text, remedy string) {
	p.Problems = append(p.Problems, Finding{Check: check, Table: table, Text: text, Remedy: remedy})
}

func (p *Plan) warn(check, table, text, remedy string) {
	p.Warnings = append(p.Warnings, Finding{Check: check, Table: table, Text: text, Remedy: remedy})
}

func (p *Plan) err() error {
	if len(p.Problems) == 0 {
		return nil
	}
	return &change.Fault{
		Scope: change.ScopeFatal, Op: "checking the source", Err: &PreflightError{Problems: p.Problems},
		Remedy: "solve what is listed, then start again",
	}
}
