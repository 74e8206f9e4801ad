package redshift

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/walshift/walshift/checkpoint"
	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// copyJob is one COPY: files that share columns, marker and compression.
type copyJob struct {
	rel     *change.Relation
	seq     uint64
	target  sqltext.Name
	columns []string
	files   []change.File
	// url is the COPY manifest's, once it has been written.
	url string
}

func (c *copyJob) rows() int64 {
	var n int64
	for i := range c.files {
		n += c.files[i].Rows
	}
	return n
}

// stageJob is one staging table and what is loaded into it.
type stageJob struct {
	rel     *change.Relation
	seq     uint64
	staging sqltext.Staging
	copies  []*copyJob
	// rows are staged; of them existed are in the target before the segment's
	// merges, and kept have kept columns.
	rows, existed, kept int64
}

// stepKind is what one step of a table does.
type stepKind int

const (
	stepTruncate stepKind = iota
	stepFill
	stepDelete
	stepMerge
	stepReplace // DELETE and INSERT of staged rows
	stepInsert  // INSERT of staged rows
	stepCopy    // COPY into the target
)

type step struct {
	kind  stepKind
	rel   *change.Relation
	table *sqltext.Table
	seq   uint64
	job   *stageJob
	copy  *copyJob
}

// plan is what one apply does: staging first, in parallel, then the tables'
// steps in one transaction.
type plan struct {
	attempt string
	staged  []*stageJob
	// copies go straight into targets.
	copies []*copyJob
	tables []*tablePlan
	rows   int64
}

// tablePlan holds the steps of one table in order.
type tablePlan struct {
	name  sqltext.Name
	steps []step
	// inserts are insert files whose COPY waits for more of them: nothing
	// between them touches the table.
	inserts []*copyJob
}

// planner builds a plan.
type planner struct {
	w      *Warehouse
	plan   *plan
	tables map[uint32]*tablePlan
}

// planRun turns batches into a plan. Tables are independent of each other
// inside the one transaction, so that each has its own list of steps; they are
// written in the order of their names, the same in every transaction.
func (w *Warehouse) planRun(batches []*change.Manifest) (*plan, error) {
	p := &planner{w: w, plan: &plan{attempt: newID()}, tables: make(map[uint32]*tablePlan)}
	for _, m := range batches {
		for i := range m.Segments {
			if err := p.segment(m.Seq, &m.Segments[i]); err != nil {
				return nil, err
			}
		}
	}
	for _, t := range p.tables {
		t.flush(p.plan)
		p.plan.tables = append(p.plan.tables, t)
	}
	slices.SortFunc(p.plan.tables, func(a, b *tablePlan) int {
		return cmp.Or(cmp.Compare(a.name.Schema, b.name.Schema), cmp.Compare(a.name.Table, b.name.Table))
	})
	return p.plan, nil
}

// segment adds a segment's steps: truncate, fill, deletes, merges, inserts.
func (p *planner) segment(seq uint64, s *change.SegmentFiles) error {
	rel := &s.Relation
	position, ok := p.w.positions[rel.OID]
	switch {
	case ok && checkpoint.State(position.State) == checkpoint.Stopped:
		return nil
	case !ok || checkpoint.State(position.State) != checkpoint.Live:
		return &change.Fault{
			Scope: change.ScopeLoop, Op: "applying changes", Table: rel.String(), Seq: seq,
			Err:    fmt.Errorf("the table is not live on Redshift (state %q)", position.State),
			Remedy: "restore schema walshift, or run `walshift teardown` and start afresh",
		}
	}
	table, err := p.w.table(rel)
	if err != nil {
		return atBatch(tableFault("mapping columns", rel, err), seq)
	}
	t := p.tables[rel.OID]
	if t == nil {
		t = &tablePlan{name: table.Name}
		p.tables[rel.OID] = t
	}
	kinds := make(map[change.Kind][]change.File)
	for _, f := range s.Files {
		kinds[f.Kind] = append(kinds[f.Kind], f)
		p.plan.rows += f.Rows
	}
	for _, k := range []change.Kind{change.KindMultiset, change.KindRaw} {
		if len(kinds[k]) > 0 {
			return atBatch(&change.Fault{
				Scope: change.ScopeTable, Op: "applying changes", Table: rel.String(), TableOID: rel.OID,
				Err:    fmt.Errorf("this version can't apply files of kind %q", k),
				Remedy: "run a newer walshift",
			}, seq)
		}
	}
	b := &segmentPlan{planner: p, t: t, rel: rel, table: table, seq: seq}
	if s.Truncate || len(kinds[change.KindDelete])+len(kinds[change.KindUpsert])+len(kinds[change.KindPartial]) > 0 {
		t.flush(p.plan)
	}
	if s.Truncate {
		b.step(step{kind: stepTruncate})
	}
	return b.files(kinds)
}

// segmentPlan adds the steps of one segment to its table's.
type segmentPlan struct {
	*planner
	t     *tablePlan
	rel   *change.Relation
	table *sqltext.Table
	seq   uint64
}

func (b *segmentPlan) step(s step) {
	s.rel, s.table, s.seq = b.rel, b.table, b.seq
	b.t.steps = append(b.t.steps, s)
}

func (b *segmentPlan) files(kinds map[change.Kind][]change.File) error {
	partials, err := b.stage(kinds[change.KindPartial])
	if err != nil {
		return err
	}
	deletes, err := b.stage(kinds[change.KindDelete])
	if err != nil {
		return err
	}
	upserts, err := b.stage(kinds[change.KindUpsert])
	if err != nil {
		return err
	}
	for _, j := range partials {
		b.step(step{kind: stepFill, job: j})
	}
	for _, j := range deletes {
		b.step(step{kind: stepDelete, job: j})
	}
	write := stepReplace
	if b.w.cfg.Strategy != StrategyDeleteInsert && b.table.CanMerge() {
		write = stepMerge
	}
	for _, j := range slices.Concat(partials, upserts) {
		b.step(step{kind: write, job: j})
	}
	return b.inserts(kinds[change.KindInsert])
}

// inserts lets files wait for a common COPY. A padded file has a column more
// than the target, and so goes through a staging table.
func (b *segmentPlan) inserts(files []change.File) error {
	var padded []change.File
	for _, f := range files {
		if f.Pad {
			padded = append(padded, f)
			continue
		}
		columns, err := b.table.Names(f.Columns)
		if err != nil {
			return atBatch(tableFault("planning inserts", b.rel, err), b.seq)
		}
		b.t.inserts = addCopy(b.t.inserts, &copyJob{
			rel: b.rel, seq: b.seq, target: b.table.Name, columns: columns, files: []change.File{f},
		})
	}
	jobs, err := b.stage(padded)
	for _, j := range jobs {
		b.step(step{kind: stepInsert, job: j})
	}
	return err
}

// addCopy adds a job of one file to those that share its columns, marker and
// compression, or as a job of its own.
func addCopy(jobs []*copyJob, c *copyJob) []*copyJob {
	f := c.files[0]
	for _, j := range jobs {
		if j.files[0].NullMarker == f.NullMarker && j.files[0].Compression == f.Compression &&
			slices.Equal(j.columns, c.columns) {
			j.files = append(j.files, f)
			return jobs
		}
	}
	return append(jobs, c)
}

// flush turns the inserts that wait into steps.
func (t *tablePlan) flush(p *plan) {
	for _, c := range t.inserts {
		t.steps = append(t.steps, step{kind: stepCopy, rel: c.rel, seq: c.seq, copy: c})
		p.copies = append(p.copies, c)
	}
	t.inserts = nil
}

// stage plans the staging tables for files of one kind: one table for those
// with the same columns.
func (b *segmentPlan) stage(files []change.File) ([]*stageJob, error) {
	var jobs []*stageJob
	for _, f := range files {
		i := slices.IndexFunc(jobs, func(j *stageJob) bool {
			s := &j.staging
			return slices.Equal(s.Columns, f.Columns) && slices.Equal(s.Origin, f.Origin) &&
				slices.Equal(s.Kept, f.KeptColumns) && s.Pad == f.Pad
		})
		if i < 0 {
			i = len(jobs)
			jobs = append(jobs, b.newStage(f))
		}
		j := jobs[i]
		j.rows += f.Rows
		j.existed += f.Existed
		j.kept += f.Kept
		j.copies = addCopy(j.copies, &copyJob{
			rel: b.rel, seq: b.seq, target: j.staging.Name, columns: j.staging.FileColumns(), files: []change.File{f},
		})
	}
	for _, j := range jobs {
		if err := checkOrigin(&j.staging); err != nil {
			return nil, atBatch(tableFault("planning staging", b.rel, err), b.seq)
		}
	}
	return jobs, nil
}

func (b *segmentPlan) newStage(f change.File) *stageJob {
	j := &stageJob{
		rel: b.rel, seq: b.seq,
		staging: sqltext.Staging{
			Name:   sqltext.StagingName(b.w.cfg.Pipeline, b.plan.attempt, len(b.plan.staged)),
			Target: b.table, Columns: f.Columns, Origin: f.Origin, Kept: f.KeptColumns, Pad: f.Pad,
		},
	}
	b.plan.staged = append(b.plan.staged, j)
	return j
}

// checkOrigin refuses a partial file whose origin is not exactly the key: its
// rows would be filled from other rows.
func checkOrigin(s *sqltext.Staging) error {
	if len(s.Kept) == 0 {
		return nil
	}
	var keys []int16
	for _, k := range s.Target.Keys() {
		keys = append(keys, k.Attnum)
	}
	if !slices.Equal(slices.Sorted(slices.Values(s.Origin)), slices.Sorted(slices.Values(keys))) {
		return fmt.Errorf("%w: origin columns %v are not the key %v", sqltext.ErrBadName, s.Origin, keys)
	}
	return nil
}

// stagingNames returns the names of all staging tables of the plan.
func (p *plan) stagingNames() []sqltext.Name {
	names := make([]sqltext.Name, len(p.staged))
	for i, j := range p.staged {
		names[i] = j.staging.Name
	}
	return names
}

// atBatch adds the batch to a fault.
func atBatch(err error, seq uint64) error {
	if f, ok := errors.AsType[*change.Fault](err); ok && f.Seq == 0 {
		f.Seq = seq
	}
	return err
}

// keyPart returns what the keys of files have in common, for finding their
// load errors: the folder of a batch's attempt.
func keyPart(files []change.File) string {
	part := files[0].Key
	for i := range files {
		for !strings.HasPrefix(files[i].Key, part) {
			part = part[:len(part)-1]
		}
	}
	if i := strings.LastIndexByte(part, '/'); i > 0 && len(files) > 1 {
		part = part[:i+1]
	}
	return part
}
