package redshift

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/jackc/pglogrepl"
	"go.uber.org/zap"

	"github.com/walshift/walshift/checkpoint"
	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// Load makes the target of rel with the rows of files, as of x, and returns
// their number. A shadow table is filled without the fence; then, in one short
// fenced transaction, it takes the target's name, which must be free, and the
// table becomes loaded. With ExistingTruncate, a target that is there stays,
// and its rows are replaced by the shadow's in that transaction. A table that
// is loaded at x already is left as it is, so that Load can be repeated.
func (w *Warehouse) Load(ctx context.Context, rel *change.Relation, x pglogrepl.LSN, files []change.File) (int64, error) {
	rows, err := w.load(ctx, rel, x, files)
	return rows, fault("loading table "+rel.String(), err)
}

func (w *Warehouse) load(ctx context.Context, rel *change.Relation, x pglogrepl.LSN, files []change.File) (int64, error) {
	incidents := w.addIncidents(nil, rel, 0, change.IncidentFiles(files))
	files = change.DataFiles(files)
	rows := change.Count(files)
	if err := checkShape(rel, files); err != nil {
		return 0, err
	}
	pad := slices.ContainsFunc(files, func(f change.File) bool { return f.Pad })
	l := &tableLoad{w: w, rel: rel, x: x, rows: rows, pad: pad, incidents: incidents, attempt: newID()}
	done, err := l.begin(ctx)
	if err != nil || done {
		return rows, err
	}
	if err := l.fill(ctx, files); err != nil {
		return 0, err
	}
	for i, c := range incidents {
		if err := w.putManifest(ctx, c, fmt.Sprintf("load-%d-%s-incidents-%04d", rel.OID, l.attempt, i+1)); err != nil {
			return 0, err
		}
	}
	change.Reach(change.SeamLoadCopied)
	if err := l.end(ctx); err != nil {
		return 0, err
	}
	w.analyze(ctx, l.table.Name)
	return rows, nil
}

// analyze refreshes a table's statistics. It wants the table's owner and may
// take long under load, and nothing depends on it: a failure is logged.
func (w *Warehouse) analyze(ctx context.Context, table sqltext.Name) {
	var statements atomic.Int64
	err := w.inSession(ctx, &statements, func(s *session) error {
		_, err := s.exec(ctx)(sqltext.Analyze(table))
		return err
	})
	if err != nil && ctx.Err() == nil {
		w.log.Warn("analyze_failed", zap.Stringer("table", table), zap.Error(err))
	}
}

// tableLoad is one attempt to load one table.
type tableLoad struct {
	w       *Warehouse
	rel     *change.Relation
	x       pglogrepl.LSN
	rows    int64
	pad     bool
	attempt string
	// incidents are recorded with the table's position.
	incidents []*copyJob
	table     *sqltext.Table
	shadow    sqltext.Name
	// inPlace: the target is there and is kept.
	inPlace bool
	// newSchema: this process has made the target's schema.
	newSchema bool
}

// begin makes the shadow table and records it in the position, so that it is
// found again whatever happens.
func (l *tableLoad) begin(ctx context.Context) (done bool, err error) {
	w := l.w
	w.mu.Lock()
	defer w.mu.Unlock()
	p, err := w.settledPosition(ctx, l.rel)
	if err != nil {
		return false, err
	}
	switch state := checkpoint.State(p.State); {
	case p.X == l.x.String() && (state == checkpoint.Loaded || state == checkpoint.Live):
		return true, nil
	case state != checkpoint.Loading:
		return false, &change.Fault{
			Scope: change.ScopeTable, Code: change.CodeLoadState, Op: "loading", Table: l.rel.String(), TableOID: l.rel.OID, LSN: l.x,
			Err: fmt.Errorf("the table is %s", state), Remedy: "load the table again",
		}
	}
	if l.table, err = w.table(l.rel); err != nil {
		return false, tableFault("mapping columns", l.rel, err)
	}
	if l.inPlace, err = w.keeps(ctx, l.rel, l.table); err != nil {
		return false, err
	}
	l.shadow = sqltext.ShadowName(p.Target.Schema, l.rel.OID, l.attempt)
	missing, err := w.missingSchema(ctx, p.Target.Schema)
	if err != nil {
		return false, err
	}
	if missing {
		w.newSchemas[p.Target.Schema] = true
	}
	l.newSchema = w.newSchemas[p.Target.Schema]
	old := sqltext.Name{Schema: p.Target.Schema, Table: p.Shadow}
	p.Shadow = l.shadow.Table
	err = w.fenced(ctx, w.fence, func(s *session) error {
		run := s.exec(ctx)
		var err error
		if missing {
			_, err = run(sqltext.CreateSchema(p.Target.Schema))
		}
		if err == nil && old.Table != "" {
			_, err = run(sqltext.DropTables([]sqltext.Name{old}))
		}
		if err == nil {
			_, err = run(sqltext.CreateTable(l.table, l.shadow))
		}
		if err == nil && l.pad {
			_, err = run(sqltext.AddPad(l.shadow))
		}
		if err != nil {
			return tableFault("creating a shadow table", l.rel, err)
		}
		return w.savePosition(ctx, s, p)
	})
	if err == nil {
		w.positions[p.OID] = p
		change.Reach(change.SeamLoadShadowCreated)
	}
	return false, err
}

// missingSchema reports whether the schema has to be made. CREATE SCHEMA IF NOT
// EXISTS wants the right to make schemas even where there is nothing to make.
func (w *Warehouse) missingSchema(ctx context.Context, schema string) (bool, error) {
	found, err := w.main.texts(ctx)(sqltext.Schemas([]string{w.db.stored(schema)}))
	if err != nil {
		return false, fmt.Errorf("looking for schema %s: %w", schema, err)
	}
	return len(found) == 0, nil
}

// fill copies the files into the shadow table in one transaction.
func (l *tableLoad) fill(ctx context.Context, files []change.File) error {
	var jobs []*copyJob
	for _, f := range files {
		columns, err := l.table.Names(fileColumns(&f))
		if err != nil {
			return tableFault("planning the load", l.rel, err)
		}
		if f.Pad {
			columns = append(columns, sqltext.PadColumn)
		}
		jobs = addCopy(jobs, &copyJob{rel: l.rel, target: l.shadow, columns: columns, files: []change.File{f}})
	}
	if len(jobs) == 0 {
		return nil
	}
	for i, c := range jobs {
		name := fmt.Sprintf("load-%d-%s-%04d", l.rel.OID, l.attempt, i+1)
		if err := l.w.putManifest(ctx, c, name); err != nil {
			return err
		}
	}
	var statements atomic.Int64
	return l.w.inSession(ctx, &statements, func(s *session) error {
		err := s.transaction(ctx, func() error {
			for _, c := range jobs {
				if err := l.w.copy(ctx, s, c); err != nil {
					return err
				}
			}
			return nil
		})
		return l.w.explain(ctx, s, err)
	})
}

// end gives the shadow the target's name and records the table as loaded.
func (l *tableLoad) end(ctx context.Context) error {
	w := l.w
	w.mu.Lock()
	defer w.mu.Unlock()
	p, err := w.settledPosition(ctx, l.rel)
	if err != nil {
		return err
	}
	if p.Shadow != l.shadow.Table {
		return &change.Fault{
			Scope: change.ScopeRetry, Op: "loading", Table: l.rel.String(),
			Err: errors.New("another attempt to load the table has begun"),
		}
	}
	t, err := checkpointOf(p)
	if err != nil {
		return err
	}
	t.X = l.x
	if t, err = t.Advance(checkpoint.Loaded, l.x, w.fence.lsn); err != nil {
		return tableFault("loading", l.rel, err)
	}
	p = withTable(p, t)
	p.Shadow, p.MadeTarget = "", !l.inPlace
	err = w.fenced(ctx, w.fence, func(s *session) error {
		publish := l.rename
		if l.inPlace {
			publish = l.replace
		}
		if err := publish(ctx, s); err != nil {
			return err
		}
		if err := w.copyIncidents(ctx, s, l.incidents); err != nil {
			return err
		}
		err := w.savePosition(ctx, s, p)
		change.Reach(change.SeamLoadBeforeCommit)
		return err
	})
	if err == nil {
		w.positions[p.OID] = p
		change.Reach(change.SeamLoadCommitted)
	}
	return err
}

// rename gives the shadow the target's name, and others their rights on it.
func (l *tableLoad) rename(ctx context.Context, s *session) error {
	run := s.exec(ctx)
	if l.pad {
		if _, err := run(sqltext.DropPad(l.shadow)); err != nil {
			return tableFault("dropping the pad column", l.rel, err)
		}
	}
	_, err := run(sqltext.Rename(l.shadow, l.table.Name.Table))
	if hasCode(err, "42P07") {
		return existsFault(l.rel, l.table.Name)
	}
	if err != nil {
		return tableFault("renaming the shadow table", l.rel, err)
	}
	for _, g := range l.w.cfg.Grants {
		if g.Applies != nil && !g.Applies(l.rel.Schema, l.rel.Name) {
			continue
		}
		_, err := run(sqltext.Grant(l.table.Name, g.Privileges, g.To))
		if err == nil && l.newSchema {
			_, err = run(sqltext.GrantUsage(l.table.Name.Schema, g.To))
		}
		if err != nil {
			return &change.Fault{
				Scope: change.ScopeLoop, Code: change.CodeGrants, Op: "granting rights", Table: l.rel.String(), Err: err,
				Remedy: "check the names in redshift.grants: users, groups and roles must exist",
			}
		}
	}
	return nil
}

func existsFault(rel *change.Relation, target sqltext.Name) error {
	return &change.Fault{
		Scope: change.ScopeTable, Code: change.CodeTarget, Op: "loading", Table: rel.String(), TableOID: rel.OID,
		Err:    fmt.Errorf("target %s exists already", target),
		Remedy: "drop or rename it, or map the source schema to another one in target.schemas",
	}
}

// settledPosition returns the position of a table after any COMMIT in doubt
// has been looked up.
func (w *Warehouse) settledPosition(ctx context.Context, rel *change.Relation) (sqltext.Position, error) {
	if err := w.settle(ctx); err != nil {
		return sqltext.Position{}, err
	}
	p, ok := w.positions[rel.OID]
	if !ok {
		return p, &change.Fault{
			Scope: change.ScopeLoop, Code: change.CodeLoadState, Op: "loading", Table: rel.String(),
			Err:    errors.New("the positions on Redshift lack the table"),
			Remedy: "start the first load over",
		}
	}
	return p, nil
}

// settle makes the main session ready and looks up a COMMIT in doubt.
func (w *Warehouse) settle(ctx context.Context) error {
	if _, err := w.ready(ctx); err != nil {
		return err
	}
	if w.lost == "" {
		return nil
	}
	_, err := w.resolve(ctx)
	return err
}

// savePosition updates a table's row.
func (w *Warehouse) savePosition(ctx context.Context, s *session, p sqltext.Position) error {
	n, err := s.exec(ctx)(sqltext.UpdatePosition(w.cfg.Pipeline, p))
	if err == nil && n == 0 {
		n, err = s.exec(ctx)(sqltext.InsertPositions(w.cfg.Pipeline, []sqltext.Position{p}))
	}
	if err == nil && n != 1 {
		err = fmt.Errorf("%d rows instead of 1", n)
	}
	if err != nil {
		return fmt.Errorf("saving the position of table %s.%s: %w", p.SchemaName, p.TableName, err)
	}
	return nil
}

// GoLive makes all loaded tables live, in one transaction. It refuses while a
// table is still loading, or stands at another position than the fence.
func (w *Warehouse) GoLive(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fault("making tables live", w.goLive(ctx))
}

func (w *Warehouse) goLive(ctx context.Context) error {
	if err := w.settle(ctx); err != nil {
		return err
	}
	live := make(map[uint32]sqltext.Position)
	for oid, p := range w.positions {
		switch checkpoint.State(p.State) {
		case checkpoint.Live, checkpoint.Stopped:
			continue
		case checkpoint.Loading, checkpoint.Loaded, checkpoint.CatchingUp:
		}
		t, err := checkpointOf(p)
		if err == nil {
			t, err = t.Advance(checkpoint.Live, t.Applied, w.fence.lsn)
		}
		if err != nil {
			return &change.Fault{
				Scope: change.ScopeLoop, Code: change.CodeLoadState, Op: "making tables live", Err: err,
				Remedy: "start the first load over",
			}
		}
		p = withTable(p, t)
		p.WasLive = true
		live[oid] = p
	}
	if len(live) == 0 {
		return nil
	}
	err := w.fenced(ctx, w.fence, func(s *session) error {
		n, err := s.exec(ctx)(sqltext.MakeLive(w.cfg.Pipeline, w.fence.lsn.String()))
		if err == nil && n != int64(len(live)) {
			err = fmt.Errorf("%d tables became live instead of %d", n, len(live))
		}
		return err
	})
	if err != nil {
		return err
	}
	change.Reach(change.SeamGoLiveCommitted)
	maps.Copy(w.positions, live)
	return nil
}

// Stop marks a table as stopped, with the reason cut to what the position can
// hold. Its target and its position stay as they are.
func (w *Warehouse) Stop(ctx context.Context, oid uint32, reason string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fault("stopping a table", w.stop(ctx, oid, reason))
}

func (w *Warehouse) stop(ctx context.Context, oid uint32, reason string) error {
	if err := w.settle(ctx); err != nil {
		return err
	}
	p, ok := w.positions[oid]
	if !ok {
		return &change.Fault{
			Scope: change.ScopeLoop, Code: change.CodeLoadState, Op: "stopping a table", TableOID: oid,
			Err: fmt.Errorf("the positions on Redshift lack a table with oid %d", oid), Remedy: "report this",
		}
	}
	if checkpoint.State(p.State) == checkpoint.Stopped {
		return nil
	}
	t, err := checkpointOf(p)
	if err != nil {
		return err
	}
	t.Reason = reason
	if t, err = t.Advance(checkpoint.Stopped, t.Applied, w.fence.lsn); err != nil {
		return err
	}
	p = withTable(p, t)
	if err := w.fenced(ctx, w.fence, func(s *session) error { return w.savePosition(ctx, s, p) }); err != nil {
		return err
	}
	w.positions[oid] = p
	return nil
}
