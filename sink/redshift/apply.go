package redshift

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"
	"go.uber.org/zap"

	"github.com/walshift/walshift/checkpoint"
	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// Run is a run of consecutive batches to apply in one transaction. The fence
// stands at After; batches between it and the first of the run were empty.
type Run struct {
	After   uint64
	Batches []*change.Manifest
}

// Result says what one apply did.
type Result struct {
	// Rows are the rows of the files applied.
	Rows int64
	// Batches, Copies, Statements and Commits count what their names say.
	Batches, Copies, Statements, Commits int64
	Duration                             time.Duration
}

// Apply applies a run of batches in one transaction and moves the fence and
// the positions of all live tables to its end, also when all batches are
// empty: the caller decides when that is worth a commit. Tables that are
// stopped are skipped. A table that can't go on is a fault of scope ScopeTable
// with its oid, and nothing has been applied then: call Stop, and Apply again.
func (w *Warehouse) Apply(ctx context.Context, run Run) (Result, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	started := time.Now()
	last, err := w.checkRun(run)
	if err != nil {
		return Result{}, err
	}
	p, statements, err := w.attempts(ctx, run, last)
	if err != nil {
		return Result{}, fault(fmt.Sprintf("applying batches %d to %d", run.Batches[0].Seq, last.Seq), err)
	}
	r := Result{
		Rows: p.rows, Batches: int64(len(run.Batches)), Copies: int64(len(p.copies) + len(p.incidents)),
		Statements: statements, Commits: int64(min(len(p.staged), w.cfg.StagingSessions)) + 1, Duration: time.Since(started),
	}
	for _, j := range p.staged {
		r.Copies += int64(len(j.copies)) + j.back
	}
	return r, nil
}

// attempts does a run, and once more where another way has to be taken.
func (w *Warehouse) attempts(ctx context.Context, run Run, last *change.Manifest) (*plan, int64, error) {
	for share := true; ; {
		p, statements, err := w.attempt(ctx, run, last, share)
		switch {
		case errors.Is(err, errLargeKept): // at most once per table
			w.findLarge(ctx, p)
		case share && errors.Is(err, errShared):
			// Each table by itself again: then the file, line and column at fault
			// are those of the log.
			w.log.Warn("shared_staging_failed", zap.Error(err))
			share = false
		default:
			return p, statements, err
		}
	}
}

// attempt plans, stages and writes a run. It returns the number of statements.
func (w *Warehouse) attempt(ctx context.Context, run Run, last *change.Manifest, share bool) (*plan, int64, error) {
	p, err := w.planRun(ctx, run.Batches, share)
	if err != nil {
		return nil, 0, err
	}
	w.doing = p.label
	defer func() { w.doing = "state" }()
	statements, err := w.stage(ctx, p)
	if err == nil {
		var n int64
		n, err = w.write(ctx, p, run, last)
		statements += n
	}
	if err != nil {
		w.dropStaging(ctx, p)
	}
	return p, statements, err
}

// checkRun makes sure that the run continues what the fence says.
func (w *Warehouse) checkRun(run Run) (*change.Manifest, error) {
	refuse := func(format string, args ...any) error {
		return &change.Fault{
			Scope: change.ScopeRetry, Op: "applying", Seq: run.After,
			Err: fmt.Errorf(format, args...), Remedy: "arrive again",
		}
	}
	switch {
	case w.epoch == 0 || w.lost != "":
		return nil, refuse("the state of Redshift is not known")
	case len(run.Batches) == 0:
		return nil, refuse("the run is empty")
	case run.After != w.fence.Seq:
		return nil, refuse("the run follows batch %d, the fence stands at %d", run.After, w.fence.Seq)
	}
	seq, end := run.After, w.fence.lsn
	for i, m := range run.Batches {
		if i > 0 && m.Seq != seq+1 || m.Seq <= seq || i > 0 && pglogrepl.LSN(m.Prev) != end || pglogrepl.LSN(m.Prev) < end {
			return nil, &change.Fault{
				Scope: change.ScopeLoop, Code: change.CodeLogForeign, Op: "applying", Seq: m.Seq,
				Err:    fmt.Errorf("batch %d after %s does not follow batch %d, which ends at %s", m.Seq, m.Prev, seq, end),
				Remedy: "see whether objects of the log were replaced or removed, then run `walshift teardown` and start afresh",
			}
		}
		seq, end = m.Seq, pglogrepl.LSN(m.End)
	}
	return run.Batches[len(run.Batches)-1], nil
}

// write is the one transaction. It returns the number of statements.
func (w *Warehouse) write(ctx context.Context, p *plan, run Run, last *change.Manifest) (int64, error) {
	to := w.fence
	to.Seq, to.lsn = last.Seq, pglogrepl.LSN(last.End)
	for _, m := range run.Batches {
		if !m.LastCommit.IsZero() {
			to.commitTime = m.LastCommit
		}
	}
	var statements int64
	if err := w.settle(ctx); err != nil {
		return 0, err
	}
	err := w.fenced(ctx, to, func(s *session) error {
		before := s.statements
		defer func() { statements = s.statements - before + fenceStatements }()
		if err := w.carryOut(ctx, s, p); err != nil {
			return err
		}
		run := s.exec(ctx)
		if _, err := run(sqltext.AdvanceLive(w.cfg.Pipeline, to.text())); err != nil {
			return fmt.Errorf("moving positions: %w", err)
		}
		if len(p.staged) > 0 {
			if _, err := run(sqltext.DropTables(p.stagingNames())); err != nil {
				return fmt.Errorf("dropping staging tables: %w", err)
			}
			change.Reach(change.SeamStagingDropped)
		}
		change.Reach(change.SeamApplyBeforeCommit)
		return nil
	})
	if err == nil {
		change.Reach(change.SeamApplyCommitted)
		w.advance(to.lsn)
	}
	return statements, err
}

// carryOut does what the plan says to the tables, and records the incidents.
func (w *Warehouse) carryOut(ctx context.Context, s *session, p *plan) error {
	for _, t := range p.tables {
		for i := range t.steps {
			if err := w.step(ctx, s, &t.steps[i]); err != nil {
				return atBatch(err, t.steps[i].seq)
			}
			reachStep(t.steps[i].kind)
		}
	}
	return w.copyIncidents(ctx, s, p.incidents)
}

// fenceStatements are BEGIN, LOCK, UPDATE and COMMIT.
const fenceStatements = 4

// advance follows AdvanceLive in memory.
func (w *Warehouse) advance(lsn pglogrepl.LSN) {
	for oid, p := range w.positions {
		if checkpoint.State(p.State) == checkpoint.Live {
			p.Applied = lsn.String()
			w.positions[oid] = p
		}
	}
}

// step runs one step of one table.
func (w *Warehouse) step(ctx context.Context, s *session, st *step) error {
	run := s.exec(ctx)
	var op string
	var err error
	switch st.kind {
	case stepTruncate:
		op = "emptying"
		_, err = run(sqltext.DeleteAll(st.table))
	case stepTake:
		return w.take(ctx, s, st)
	case stepCopy:
		return w.copy(ctx, s, st.copy)
	case stepFill:
		op = "filling kept columns"
		// In any case: a row that is not filled would hold NULL (V18).
		err = w.affect(st, op, st.job.kept, false)(run(sqltext.Fill(&st.job.staging)))
		if err = w.fillFailed(st, err); errors.Is(err, errLargeKept) {
			return err
		}
	case stepComplete:
		return w.complete(ctx, s, st)
	case stepDelete:
		op = "deleting rows"
		err = w.affect(st, op, st.job.rows, true)(run(sqltext.Delete(&st.job.staging)))
	case stepRemove:
		op = "removing rows"
		err = w.affect(st, op, st.job.existed, true)(run(sqltext.Delete(&st.job.staging)))
	case stepInsert:
		op = "inserting rows"
		err = w.affect(st, op, st.job.rows, false)(run(sqltext.Insert(&st.job.staging)))
	case stepReplace:
		op = "replacing rows"
		err = w.affect(st, op, st.job.existed, true)(run(sqltext.Delete(&st.job.staging)))
		switch {
		case err != nil:
		case st.job.completes:
			err = w.bringBack(ctx, s, st)
		default:
			err = w.affect(st, op, st.job.rows, false)(run(sqltext.Insert(&st.job.staging)))
		}
	case stepMerge:
		op = "merging rows"
		if w.cfg.CheckCounts {
			err = w.affect(st, op, st.job.existed, true)(s.number(ctx)(sqltext.CountExisting(&st.job.staging)))
		}
		if err == nil {
			_, err = run(sqltext.Merge(&st.job.staging))
		}
	}
	err = tableFault(op, st.rel, err)
	if err != nil && st.job != nil && st.job.staging.Part != nil && scopeOf(err) == change.ScopeTable {
		return fmt.Errorf("%w: %w", errShared, err)
	}
	return err
}

// reachStep marks the seam behind a step.
func reachStep(kind stepKind) {
	switch kind {
	case stepDelete, stepRemove, stepTake:
		change.Reach(change.SeamApplyDeleted)
	case stepMerge, stepReplace:
		change.Reach(change.SeamApplyMerged)
	case stepInsert, stepCopy:
		change.Reach(change.SeamApplyInserted)
	case stepTruncate, stepFill, stepComplete:
	}
}

// affect returns a function that compares affected rows with those wanted.
// Where optional, Config.CheckCounts decides: such counts depend on what else
// was written to the target.
func (w *Warehouse) affect(st *step, op string, want int64, optional bool) func(got int64, err error) error {
	return func(got int64, err error) error {
		switch {
		case err != nil:
			return err
		case got == want, optional && !w.cfg.CheckCounts:
			return nil
		}
		return countFault(op, st.rel, got, want)
	}
}

// dropStaging removes what a failed apply has staged. What it can't reach is
// removed by the next Arrive.
func (w *Warehouse) dropStaging(ctx context.Context, p *plan) {
	if len(p.staged) == 0 || w.lost != "" || ctx.Err() != nil || !w.main.alive(ctx) {
		return
	}
	if _, err := w.main.exec(ctx)(sqltext.DropTables(p.stagingNames())); err != nil {
		w.log.Warn("staging_tables_left", zap.Error(err))
	}
}
