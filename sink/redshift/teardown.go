package redshift

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// Removed tells what a teardown took away, and what it left.
type Removed struct {
	// Known is false where Redshift had nothing of the pipeline.
	Known bool
	// Targets are the replicated tables, as "schema.table"; they were dropped
	// or left as the caller wanted.
	Targets []string
	Dropped bool
}

// Teardown removes the pipeline's own tables, and with dropTargets also the
// target tables that walshift made; tables that it did not make are never
// dropped. DROP is without CASCADE: where somebody's view depends on a target,
// nothing is changed and the error names it. All happens in one transaction
// under the fence's lock. A second call finds nothing and is no error.
func (w *Warehouse) Teardown(ctx context.Context, dropTargets bool) (Removed, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r, err := w.teardown(ctx, dropTargets)
	return r, fault("removing the pipeline", err)
}

func (w *Warehouse) teardown(ctx context.Context, dropTargets bool) (Removed, error) {
	s, err := w.ready(ctx)
	if err != nil {
		return Removed{}, err
	}
	if _, known, err := w.prepared(ctx, s); err != nil || !known {
		return Removed{}, err
	}
	if s, err = w.locked(ctx, math.MaxInt64); err != nil {
		return Removed{}, err
	}
	r, err := w.remove(ctx, s, dropTargets)
	if err != nil {
		s.rollback(ctx)
		return Removed{}, err
	}
	if _, err := s.exec(ctx)("COMMIT", nil); err != nil {
		w.dropMain(ctx) // calling it again is harmless
		return Removed{}, fmt.Errorf("committing: %w", err)
	}
	w.epoch, w.positions = 0, nil
	return r, nil
}

func (w *Warehouse) remove(ctx context.Context, s *session, dropTargets bool) (Removed, error) {
	r := Removed{Known: true, Dropped: dropTargets}
	positions, err := w.readPositions(ctx, s)
	if err != nil {
		return r, err
	}
	var drop []sqltext.Name
	for _, oid := range slices.Sorted(maps.Keys(positions)) {
		p := positions[oid]
		if p.Shadow != "" {
			drop = append(drop, sqltext.Name{Schema: p.Target.Schema, Table: p.Shadow})
		}
		if p.MadeTarget {
			r.Targets = append(r.Targets, p.Target.String())
			if dropTargets {
				drop = append(drop, p.Target)
			}
		}
	}
	pipeline := w.cfg.Pipeline
	// The view stands on the positions of all pipelines, so it goes first.
	run := s.exec(ctx)
	if _, err := run(sqltext.DropFreshness()); err != nil {
		return r, fmt.Errorf("dropping the view of positions: %w", err)
	}
	if _, err := run(sqltext.DropIncidentsView()); err != nil {
		return r, fmt.Errorf("dropping the view of incidents: %w", err)
	}
	drop = append(drop, sqltext.IncidentsTable(pipeline), sqltext.AcksTable(pipeline), sqltext.PositionsTable(pipeline), sqltext.SessionsTable(pipeline), sqltext.FenceTable(pipeline))
	for _, name := range drop {
		if _, err := run(sqltext.DropTables([]sqltext.Name{name})); err != nil {
			return r, fmt.Errorf("dropping %s: %w", name, err)
		}
	}
	found, err := relations(ctx, s, []string{sqltext.Schema})
	if err != nil {
		return r, err
	}
	var others []string
	for _, rel := range found {
		if p, ok := sqltext.PipelineOf(rel.name.Table); ok && rel.kind == "r" && p != pipeline {
			others = append(others, p)
		}
	}
	if len(others) == 0 {
		return r, nil
	}
	slices.Sort(others)
	if _, err := run(sqltext.CreateFreshness(others)); err != nil {
		return r, fmt.Errorf("making the view of positions: %w", err)
	}
	return r, w.createIncidentsView(ctx, s, found)
}
