package redshift

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"go.uber.org/zap"

	"github.com/walshift/walshift/checkpoint"
	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// relation is a table or view as the catalog shows it.
type relation struct {
	name sqltext.Name
	kind string
}

// relations lists tables and views of schemas, by the names stored.
func relations(ctx context.Context, s *session, schemas []string) ([]relation, error) {
	var out []relation
	err := s.query(ctx, 3, func(r record) error {
		out = append(out, relation{name: sqltext.Name{Schema: r.text(0), Table: r.text(1)}, kind: r.text(2)})
		return nil
	})(sqltext.Relations(schemas))
	if err != nil {
		return nil, fmt.Errorf("reading the catalog: %w", err)
	}
	return out, nil
}

// prepared returns what schema walshift holds, and whether the pipeline's own
// tables are there.
func (w *Warehouse) prepared(ctx context.Context, s *session) ([]relation, bool, error) {
	found, err := relations(ctx, s, []string{sqltext.Schema})
	if err != nil {
		return nil, false, err
	}
	return found, slices.ContainsFunc(found, func(r relation) bool { return r.name == sqltext.FenceTable(w.cfg.Pipeline) }), nil
}

// Peek reads the pipeline's state and changes nothing. It waits for at most
// Config.LockWait while another session holds the fence.
func (w *Warehouse) Peek(ctx context.Context) (State, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	st, err := w.peek(ctx)
	return st, fault("reading the state", err)
}

func (w *Warehouse) peek(ctx context.Context) (State, error) {
	s, err := w.ready(ctx)
	if err != nil {
		return State{}, err
	}
	if _, known, err := w.prepared(ctx, s); err != nil || !known {
		return State{}, err
	}
	wait, cancel := context.WithTimeout(ctx, w.cfg.LockWait)
	defer cancel()
	n, err := s.number(wait)(sqltext.CountFence(w.cfg.Pipeline))
	if err != nil || n == 0 {
		return State{}, err
	}
	f, positions, err := w.read(wait, s)
	if err != nil {
		return State{}, err
	}
	return stateOf(f, positions)
}

// stateOf puts what was read into State's form.
func stateOf(f fenceRow, positions map[uint32]sqltext.Position) (State, error) {
	st := State{Known: f.Seq > 0, Epoch: f.Epoch, Seq: f.Seq, Applied: f.lsn, CommitTime: f.commitTime}
	for _, p := range positions {
		t, err := checkpointOf(p)
		if err != nil {
			return st, err
		}
		st.Tables = append(st.Tables, t)
		st.Once = st.Once || finished(p)
	}
	slices.SortFunc(st.Tables, func(a, b checkpoint.Table) int { return cmp.Compare(a.OID, b.OID) })
	return st, nil
}

// finished reports whether a table was loaded by a load that nothing follows.
func finished(p sqltext.Position) bool {
	return p.WasLive && checkpoint.State(p.State) == checkpoint.Loaded
}

// Arrive makes epoch the owner of the fence and returns the state; from then
// on the other methods write under it. A fence of a higher epoch is a fault of
// scope ScopeFatal that wraps checkpoint.ErrSuperseded. The sessions of
// predecessors that hold the fence's lock for longer than Config.LockWait are
// ended, and staging tables that they left are dropped. Where Redshift does
// not know the pipeline, State.Known is false and nothing has been changed.
func (w *Warehouse) Arrive(ctx context.Context, epoch uint64) (State, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	st, err := w.arrive(ctx, epoch)
	return st, fault("arriving", err)
}

func (w *Warehouse) arrive(ctx context.Context, epoch uint64) (State, error) {
	if epoch == 0 || epoch > math.MaxInt64 {
		return State{}, fmt.Errorf("arriving with epoch %d: it must be above 0", epoch)
	}
	s, err := w.ready(ctx)
	if err != nil {
		return State{}, err
	}
	there, known, err := w.prepared(ctx, s)
	if err != nil || !known {
		return State{}, err
	}
	if err := w.completeIncidents(ctx, s, there); err != nil {
		return State{}, err
	}
	w.epoch, w.lost = epoch, ""
	if s, err = w.locked(ctx, epoch); err != nil {
		return State{}, err
	}
	found, positions, err := w.read(ctx, s)
	if err == nil && found.Epoch > epoch {
		want := found.Fence
		want.Epoch = epoch
		err = verdictFault(checkpoint.Superseded, found.Fence, want)
	}
	if err == nil && found.Epoch < epoch {
		found.Txn = newID()
		var n int64
		n, err = s.exec(ctx)(sqltext.RaiseEpoch(w.cfg.Pipeline, epoch, found.Txn))
		if err == nil && n != 1 {
			err = fmt.Errorf("raising the epoch: %d rows instead of 1", n)
		}
		found.Epoch = epoch
	}
	if err != nil {
		s.rollback(ctx)
		return State{}, err
	}
	if _, err := s.exec(ctx)("COMMIT", nil); err != nil {
		// Lost or not, arriving again finds out: raising is idempotent.
		w.dropMain(ctx)
		return State{}, fmt.Errorf("raising the epoch: %w", err)
	}
	w.fence, w.positions = found, positions
	w.sweep(ctx, s, epoch)
	return stateOf(found, positions)
}

// sweep forgets the pids of predecessors up to epoch and drops staging tables that no
// transaction uses any more. What it can't do now the next Arrive does.
func (w *Warehouse) sweep(ctx context.Context, s *session, epoch uint64) {
	run := s.exec(ctx)
	_, err := run(sqltext.ForgetSessions(w.cfg.Pipeline, epoch, s.pid))
	var found []relation
	if err == nil {
		found, err = relations(ctx, s, []string{sqltext.Schema})
	}
	var left []sqltext.Name
	for _, r := range found {
		if sqltext.IsStaging(w.cfg.Pipeline, r.name.Table) {
			left = append(left, r.name)
		}
	}
	if err == nil && len(left) > 0 {
		_, err = run(sqltext.DropTables(left))
		w.log.Info("staging_tables_dropped", zap.Int("tables", len(left)))
	}
	if err != nil {
		w.log.Warn("sweep_incomplete", zap.Error(err))
	}
}

// Begin makes the pipeline's own tables where they are missing and puts the
// pipeline at its start: the fence at (epoch, seq, X), every table loading.
// What an interrupted first load left is dropped: shadows, and targets that
// are recorded as made by it. Tables that have been live are not dropped; with
// one of them Begin refuses, and changes nothing.
func (w *Warehouse) Begin(ctx context.Context, start Start) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fault("preparing Redshift", w.begin(ctx, start, checkpoint.Loading))
}

// Adopt makes the pipeline's own tables, as Begin does, and takes the targets
// as they are: the caller knows that they hold the source's rows as of start.X.
// They are live at once. Where that has been done already nothing changes.
// Targets that a finished load of this pipeline made at start.X are taken too;
// what another left is refused.
func (w *Warehouse) Adopt(ctx context.Context, start Start) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fault("preparing Redshift", w.begin(ctx, start, checkpoint.Live))
}

func (w *Warehouse) begin(ctx context.Context, start Start, state checkpoint.State) error {
	if start.Epoch == 0 || start.Seq == 0 {
		return errors.New("beginning a pipeline: epoch and seq must be above 0")
	}
	s, err := w.ready(ctx)
	if err != nil {
		return err
	}
	positions := make(map[uint32]sqltext.Position, len(start.Rels))
	for _, rel := range start.Rels {
		if _, err := w.table(rel); err != nil {
			return tableFault("mapping columns", rel, err)
		}
		positions[rel.OID] = withTable(
			sqltext.Position{
				OID: rel.OID, SchemaName: rel.Schema, TableName: rel.Name, Target: w.target(rel),
				WasLive: state == checkpoint.Live,
			},
			checkpoint.Table{State: state, X: start.X, Applied: start.X},
		)
	}
	if err := w.createState(ctx, s); err != nil {
		return err
	}
	w.epoch, w.lost = start.Epoch, ""
	if s, err = w.locked(ctx, math.MaxInt64); err != nil {
		return err
	}
	to := fenceRow{Fence: checkpoint.Fence{Epoch: start.Epoch, Seq: start.Seq, Txn: newID()}, lsn: start.X}
	err = w.startOver(ctx, s, to, positions)
	if err != nil {
		s.rollback(ctx)
		return err
	}
	if _, err := s.exec(ctx)("COMMIT", nil); err != nil {
		w.dropMain(ctx) // beginning again is idempotent
		return fmt.Errorf("committing: %w", err)
	}
	w.fence, w.positions = to, positions
	w.sweep(ctx, s, math.MaxInt64)
	return nil
}

// createState makes schema, tables, the fence's row and the view in one
// transaction.
func (w *Warehouse) createState(ctx context.Context, s *session) error {
	found, err := s.texts(ctx)(sqltext.Schemas([]string{sqltext.Schema}))
	if err != nil {
		return fmt.Errorf("looking for schema %s: %w", sqltext.Schema, err)
	}
	tables, err := sqltext.CreateState(w.cfg.Pipeline)
	if err != nil {
		return err
	}
	err = s.transaction(ctx, func() error {
		run := s.exec(ctx)
		if len(found) == 0 {
			if _, err := run(sqltext.CreateSchema(sqltext.Schema)); err != nil {
				return err
			}
		}
		for _, sql := range tables {
			if _, err := run(sql, nil); err != nil {
				return err
			}
		}
		if err := w.createIncidents(ctx, s); err != nil {
			return err
		}
		if _, err := run(sqltext.LockFence(w.cfg.Pipeline)); err != nil {
			return err
		}
		n, err := s.number(ctx)(sqltext.CountFence(w.cfg.Pipeline))
		if err == nil && n == 0 {
			_, err = run(sqltext.InsertFence(w.cfg.Pipeline, newID()))
		}
		return err
	})
	if err == nil {
		err = w.createView(ctx, s)
	}
	if err != nil {
		return fmt.Errorf("creating schema %s: %w", sqltext.Schema, err)
	}
	return nil
}

// createView makes the public view over the positions of all pipelines.
func (w *Warehouse) createView(ctx context.Context, s *session) error {
	found, err := relations(ctx, s, []string{sqltext.Schema})
	if err != nil {
		return err
	}
	var pipelines []string
	for _, r := range found {
		if p, ok := sqltext.PipelineOf(r.name.Table); ok && r.kind == "r" {
			pipelines = append(pipelines, p)
		}
	}
	slices.Sort(pipelines)
	if _, err := s.exec(ctx)(sqltext.CreateFreshness(pipelines)); err != nil {
		return err
	}
	return w.createIncidentsView(ctx, s, found)
}

// startOver replaces everything that the pipeline has recorded.
func (w *Warehouse) startOver(ctx context.Context, s *session, to fenceRow, positions map[uint32]sqltext.Position) error {
	old, err := w.readPositions(ctx, s)
	if err != nil {
		return err
	}
	var drop []sqltext.Name
	for _, oid := range slices.Sorted(maps.Keys(old)) {
		p := old[oid]
		names, err := w.leftOf(p, positions[oid])
		if err != nil {
			return err
		}
		drop = append(drop, names...)
		if next, ok := positions[oid]; ok && next.WasLive { // whose table it is, is not forgotten
			next.MadeTarget = p.MadeTarget
			positions[oid] = next
		}
	}
	run := s.exec(ctx)
	for _, name := range drop {
		if _, err := run(sqltext.DropTables([]sqltext.Name{name})); err != nil {
			return fmt.Errorf("dropping %s of an interrupted first load: %w", name, err)
		}
	}
	if _, err := run(sqltext.ClearPositions(w.cfg.Pipeline)); err != nil {
		return fmt.Errorf("clearing positions: %w", err)
	}
	if err := w.forgetIncidents(ctx, s); err != nil {
		return err
	}
	if len(positions) > 0 {
		var rows []sqltext.Position
		for _, oid := range slices.Sorted(maps.Keys(positions)) {
			rows = append(rows, positions[oid])
		}
		if _, err := run(sqltext.InsertPositions(w.cfg.Pipeline, rows)); err != nil {
			return fmt.Errorf("writing positions: %w", err)
		}
	}
	n, err := run(sqltext.ResetFence(w.cfg.Pipeline, to.text()))
	if err == nil && n != 1 {
		err = fmt.Errorf("%d rows instead of 1", n)
	}
	if err != nil {
		return fmt.Errorf("resetting the fence: %w", err)
	}
	return nil
}

// leftOf returns what is to be dropped of a table's earlier start, of which p
// is the position, and next the new one.
func (w *Warehouse) leftOf(p, next sqltext.Position) ([]sqltext.Name, error) {
	adopts := checkpoint.State(next.State) == checkpoint.Live
	var drop []sqltext.Name
	if p.Shadow != "" {
		drop = append(drop, sqltext.Name{Schema: p.Target.Schema, Table: p.Shadow})
	}
	f := &change.Fault{
		Scope: change.ScopeFatal, Code: change.CodeWarehouseState, Op: "starting over", Table: p.SchemaName + "." + p.TableName,
		Err:    fmt.Errorf("target %s has been live and would be dropped", p.Target),
		Remedy: "run `walshift teardown` first, and drop or rename the targets",
	}
	switch {
	case adopts && p.WasLive && p.X == next.X && p.Applied == next.X && checkpoint.State(p.State) != checkpoint.Stopped:
		return drop, nil
	case adopts && (p.WasLive || p.MadeTarget):
		f.Err = fmt.Errorf("target %s of this pipeline is recorded as %s as of %s, and not as exact at %s",
			p.Target, p.State, p.X, next.X)
		f.Remedy = "find out which position the rows are exact at; then run `walshift teardown`, which leaves the tables, and start again"
		return nil, f
	case finished(p) && w.cfg.Existing == ExistingTruncate: // it stays, and is filled anew
		return drop, nil
	case p.WasLive:
		return nil, f
	case p.MadeTarget:
		drop = append(drop, p.Target)
	}
	return drop, nil
}
