package redshift

import (
	"cmp"
	"context"
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
	// shared says that the files hold rows of many tables.
	shared bool
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
	// back is the number of COPYs that brought remaining rows of a multiset, or
	// completed ones, back.
	back int64
	// completes says that kept values are read, not filled by a join; completed
	// are the COPYs that bring the rows back.
	completes bool
	completed []*copyJob
	// shared is set for a shared staging table, of the given slots. A table's
	// part of one has a job for its own statements: rows are then those that it
	// inserts, and doomed those that it looks for in the target first, of which
	// existed are there.
	shared bool
	slots  []string
	doomed int64
}

// create returns the staging table's DDL.
func (j *stageJob) create() (string, error) {
	if j.shared {
		return sqltext.CreateShared(j.staging.Name, j.slots)
	}
	return sqltext.CreateStaging(&j.staging)
}

// stepKind is what one step of a table does.
type stepKind int

const (
	stepTruncate stepKind = iota
	stepTake              // DELETE of a multiset's rows, and COPY of what remains of them
	stepFill
	stepComplete // kept values read and put into files
	stepDelete
	stepMerge
	stepReplace // DELETE and INSERT of staged rows
	stepRemove  // DELETE of what a shared table's rows take the place of
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
	// label names the batches, for the statements' labels.
	label  string
	staged []*stageJob
	// copies go straight into targets, incidents into their own table.
	copies, incidents []*copyJob
	tables            []*tablePlan
	rows              int64
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
	w    *Warehouse
	plan *plan
}

// planRun turns batches into a plan. Tables are independent of each other
// inside the one transaction, so that each has its own list of steps; they are
// written in the order of their names, the same in every transaction. Where
// share is set small segments are read, folded and put together.
func (w *Warehouse) planRun(ctx context.Context, batches []*change.Manifest, share bool) (*plan, error) {
	p := &planner{w: w, plan: &plan{
		attempt: newID(), label: fmt.Sprintf("batches %d to %d", batches[0].Seq, batches[len(batches)-1].Seq),
	}}
	tables, marker, err := w.tableRuns(batches)
	if err != nil {
		return nil, err
	}
	shared := &sharer{w: w, plan: p.plan, marker: marker}
	for _, t := range tables {
		p.plan.tables = append(p.plan.tables, &tablePlan{name: t.table.Name})
	}
	for next := 0; next < len(tables); {
		first := next
		var parts []*runPart
		for ; next < len(tables) && (next == first || len(parts)+len(tables[next].parts) <= windowParts); next++ {
			for _, part := range tables[next].parts {
				if part.fold && share {
					parts = append(parts, part)
				}
			}
		}
		if err := w.fold(ctx, parts, marker); err != nil {
			return nil, err
		}
		for i := first; i < next; i++ {
			if err := p.table(ctx, shared, p.plan.tables[i], tables[i]); err != nil {
				return nil, err
			}
		}
	}
	if p.plan.incidents, err = w.incidentJobs(batches); err != nil {
		return nil, err
	}
	return p.plan, shared.flush(ctx)
}

// tableRuns sorts the batches' segments by table, in the order of the tables'
// names, and returns the null marker of the first file.
func (w *Warehouse) tableRuns(batches []*change.Manifest) (runs []*tableRun, marker string, err error) {
	byOID := make(map[uint32]*tableRun)
	for _, m := range batches {
		for i := range m.Segments {
			s := &m.Segments[i]
			table, err := w.liveTable(m.Seq, &s.Relation)
			if err != nil {
				return nil, "", err
			}
			if table == nil {
				continue
			}
			t := byOID[s.Relation.OID]
			if t == nil {
				t = &tableRun{rel: &s.Relation, table: table}
				byOID[s.Relation.OID] = t
				runs = append(runs, t)
			}
			t.add(w, m.Seq, s)
			if marker == "" && len(s.Files) > 0 {
				marker = s.Files[0].NullMarker
			}
		}
	}
	slices.SortFunc(runs, func(a, b *tableRun) int {
		return cmp.Or(cmp.Compare(a.table.Name.Schema, b.table.Name.Schema), cmp.Compare(a.table.Name.Table, b.table.Name.Table))
	})
	return runs, marker, nil
}

// liveTable returns the target of a relation, nil if the table is stopped.
func (w *Warehouse) liveTable(seq uint64, rel *change.Relation) (*sqltext.Table, error) {
	position, ok := w.positions[rel.OID]
	switch {
	case ok && checkpoint.State(position.State) == checkpoint.Stopped:
		return nil, nil
	case !ok || checkpoint.State(position.State) != checkpoint.Live:
		return nil, &change.Fault{
			Scope: change.ScopeLoop, Code: change.CodeWarehouseState, Op: "applying changes", Table: rel.String(), Seq: seq,
			Err:    fmt.Errorf("the table is not live on Redshift (state %q)", position.State),
			Remedy: "restore schema walshift, or run `walshift teardown` and start afresh",
		}
	}
	table, err := w.table(rel)
	if err != nil {
		return nil, atBatch(tableFault("mapping columns", rel, err), seq)
	}
	return table, nil
}

// table plans the steps of one table.
func (p *planner) table(ctx context.Context, shared *sharer, plan *tablePlan, t *tableRun) error {
	for _, part := range t.parts {
		for i := range part.segments {
			for _, f := range part.segments[i].Files {
				p.plan.rows += f.Rows
			}
		}
		if part.folded != nil {
			if err := p.folded(ctx, shared, plan, part); err != nil {
				return err
			}
			continue
		}
		for _, s := range part.segments {
			if err := p.segment(plan, part.seq, s, t); err != nil {
				return err
			}
		}
	}
	plan.flush(p.plan)
	return nil
}

// folded adds the steps of a folded part: truncate, fill, delete, insert.
func (p *planner) folded(ctx context.Context, shared *sharer, plan *tablePlan, part *runPart) error {
	plan.flush(p.plan)
	t := part.run
	b := &segmentPlan{planner: p, t: plan, rel: t.rel, table: t.table, seq: part.seq}
	if part.folded.Truncated {
		b.step(step{kind: stepTruncate})
	}
	if len(part.folded.Rows) == 0 {
		return nil
	}
	j, err := shared.add(ctx, part)
	if err != nil {
		return err
	}
	if j.kept > 0 {
		b.step(step{kind: stepFill, job: j})
	}
	if j.doomed > 0 {
		b.step(step{kind: stepRemove, job: j})
	}
	if j.rows > 0 {
		b.step(step{kind: stepInsert, job: j})
	}
	return nil
}

// segment adds a segment's steps: truncate, fill, deletes, merges, inserts.
func (p *planner) segment(plan *tablePlan, seq uint64, s *change.SegmentFiles, t *tableRun) error {
	rel, table := &s.Relation, t.table
	if rel != t.rel {
		var err error
		if table, err = p.w.table(rel); err != nil {
			return atBatch(tableFault("mapping columns", rel, err), seq)
		}
	}
	kinds := make(map[change.Kind][]change.File)
	for _, f := range s.Files {
		kinds[f.Kind] = append(kinds[f.Kind], f)
	}
	if len(kinds[change.KindRaw]) > 0 {
		return atBatch(&change.Fault{
			Scope: change.ScopeTable, Code: change.CodeNotApplicable, Op: "applying changes", Table: rel.String(), TableOID: rel.OID,
			Err:    fmt.Errorf("this version can't apply files of kind %q", change.KindRaw),
			Remedy: "run a newer walshift",
		}, seq)
	}
	if err := checkShape(rel, s.Files); err != nil {
		return atBatch(err, seq)
	}
	b := &segmentPlan{planner: p, t: plan, rel: rel, table: table, seq: seq}
	if s.Truncate || len(kinds[change.KindInsert]) < len(s.Files) {
		plan.flush(p.plan)
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
	taken, err := b.stage(kinds[change.KindMultiset])
	if err != nil {
		return err
	}
	for _, j := range taken {
		b.step(step{kind: stepTake, job: j})
	}
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
		kind := stepFill
		if j.completes = b.w.completes(b.rel.OID, b.table, j.staging.Kept); j.completes {
			kind = stepComplete
		}
		b.step(step{kind: kind, job: j})
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
		columns, err := b.table.Names(fileColumns(&f))
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
			return slices.Equal(s.Columns, fileColumns(&f)) && slices.Equal(s.Origin, f.Origin) &&
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
			Target: b.table, Columns: fileColumns(&f), Origin: f.Origin, Kept: f.KeptColumns,
			Copies: f.Kind == change.KindMultiset, Pad: f.Pad,
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
