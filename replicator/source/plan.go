package source

import (
	"github.com/walshift/walshift/replicator/change"
)

// Plan is what preflight found out.
type Plan struct {
	Identity Identity
	// Role is the role of source.dsn.
	Role string
	// Slot is the configured slot; nil if it doesn't exist.
	Slot *Slot
	// Tables are the selected tables that can be replicated or have problems.
	Tables []Table
	// Unselected are tables that the publication holds and the configuration
	// leaves out; their changes arrive in the stream all the same.
	Unselected []string
	// Findings are the outcomes of all checks, in their order.
	Findings change.Findings
	// Problems must be solved before the first start; Warnings should be read.
	// Both are among Findings.
	Problems, Warnings []change.Finding
	// Candidates are the tables that the configuration selects, published or
	// not, by schema and name.
	Candidates []Candidate
	// Publication says what the publication publishes.
	Publication PublicationState
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

func (p *Plan) add(f change.Finding) {
	p.Findings.Add(f)
	switch f.Level {
	case change.LevelFail:
		p.Problems = append(p.Problems, f)
	case change.LevelWarn:
		p.Warnings = append(p.Warnings, f)
	case change.LevelPass, change.LevelSkipped:
	}
}

func (p *Plan) problem(id, table, seen, remedy string) {
	p.add(change.Finding{ID: id, Level: change.LevelFail, Table: table, Seen: seen, Remedy: remedy})
}

func (p *Plan) warn(id, table, seen, remedy string) {
	p.add(change.Finding{ID: id, Level: change.LevelWarn, Table: table, Seen: seen, Remedy: remedy})
}

func (p *Plan) pass(id, seen string) {
	p.add(change.Finding{ID: id, Level: change.LevelPass, Seen: seen})
}

// settled adds a pass for a check of many tables that found nothing.
func (p *Plan) settled(id, seen string) {
	if !p.Findings.Found(id) {
		p.pass(id, seen)
	}
}

func (p *Plan) err() error { return p.Findings.Err("checking the source") }
