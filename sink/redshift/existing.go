package redshift

import (
	"context"
	"fmt"
	"strings"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// This file is about targets that exist before a first load and are kept.

// keeps reports whether the target of a load is there and stays. That it can
// take the rows is looked at again: the start has done so, but long ago.
func (w *Warehouse) keeps(ctx context.Context, rel *change.Relation, table *sqltext.Table) (bool, error) {
	if w.cfg.Existing != ExistingTruncate {
		return false, nil
	}
	found, misfits, err := w.misfits(ctx, w.main, rel)
	if err == nil && len(misfits) > 0 {
		err = &change.Fault{
			Scope: change.ScopeTable, Code: change.CodeTarget, Op: "loading", Table: rel.String(), TableOID: rel.OID,
			Err:    fmt.Errorf("target %s can't hold its rows: %s", table.Name, strings.Join(misfits, "; ")),
			Remedy: "change the target, or drop it and let walshift make it",
		}
	}
	return found, err
}

// misfits looks at an existing target: whether it is there, and what speaks
// against it.
func (w *Warehouse) misfits(ctx context.Context, s *session, rel *change.Relation) (found bool, bad []string, err error) {
	name := w.storedName(w.target(rel))
	columns, err := w.columnsOf(ctx, s, name)
	if err != nil || len(columns) == 0 {
		return false, nil, err
	}
	table, err := w.table(w.settledBy(rel, columns))
	if err != nil {
		return true, nil, err
	}
	bad = table.Misfits(columns, w.db.stored)
	ok, err := s.number(ctx)(sqltext.CanWrite(name))
	if err != nil {
		return true, nil, fmt.Errorf("reading the rights on %s: %w", name, err)
	}
	if ok != 1 {
		bad = append(bad, fmt.Sprintf("the user of redshift.dsn lacks rights: GRANT SELECT, INSERT, UPDATE, DELETE ON %s", name))
	}
	return true, bad, nil
}

// columnsOf returns the columns of a table or view by its stored name, none if
// there is no such thing.
func (w *Warehouse) columnsOf(ctx context.Context, s *session, name sqltext.Name) ([]sqltext.CatalogColumn, error) {
	var out []sqltext.CatalogColumn
	err := s.query(ctx, 4, func(r record) error {
		notNull, err := r.number(2)
		out = append(out, sqltext.CatalogColumn{Name: r.text(0), Type: r.text(1), NotNull: notNull == 1, Default: r.text(3)})
		return err
	})(sqltext.TableColumns(name))
	if err != nil {
		return nil, fmt.Errorf("reading the columns of %s: %w", name, err)
	}
	return out, nil
}

// replace puts the shadow's rows in the place of the target's. DELETE, for
// TRUNCATE would commit the transaction.
func (l *tableLoad) replace(ctx context.Context, s *session) error {
	run := s.exec(ctx)
	if _, err := run(sqltext.DeleteAll(l.table)); err != nil {
		return tableFault("emptying the target", l.rel, err)
	}
	n, err := run(sqltext.MoveRows(l.table, l.shadow))
	if err == nil && n != l.rows {
		err = countFault("filling the target", l.rel, n, l.rows)
	}
	if err != nil {
		return tableFault("filling the target", l.rel, err)
	}
	if _, err := run(sqltext.DropTables([]sqltext.Name{l.shadow})); err != nil {
		return tableFault("dropping the shadow table", l.rel, err)
	}
	return nil
}

// kept checks a target that is to be kept. kind is the catalog's relkind, ""
// where there is no target.
func (c *checker) kept(ctx context.Context, rel *change.Relation, kind string) error {
	target := c.w.target(rel)
	switch {
	case kind == "" && c.w.cfg.Existing == ExistingAdopt:
		c.fail(checkTargets, rel, "target "+target.String()+" does not exist",
			"snapshot.mode never loads nothing, so restore or make it first")
		return nil
	case kind == "":
		return nil
	case kind != "r":
		c.fail(checkTargets, rel, "target "+target.String()+" is not a table",
			"rename it, or map the source schema to another one in target.schemas")
		return nil
	}
	if _, err := c.w.table(rel); err != nil {
		return nil //nolint:nilerr // relation has listed it
	}
	_, misfits, err := c.w.misfits(ctx, c.s, rel)
	for _, m := range misfits {
		c.fail(checkTargets, rel, "target "+target.String()+": "+m, "change the target, or drop it and let walshift make it")
	}
	if err != nil || len(misfits) > 0 || !rel.Multiset || c.w.cfg.Existing != ExistingAdopt {
		return err
	}
	return c.hashed(ctx, rel, target)
}

// hashed refuses a target whose rows are to be taken as they are and lack their
// hashes: none of them would be found when the source takes it away.
func (c *checker) hashed(ctx context.Context, rel *change.Relation, target sqltext.Name) error {
	n, err := c.s.number(ctx)(sqltext.CountUnhashed(target))
	if err != nil {
		return fmt.Errorf("counting rows without a hash in %s: %w", target, err)
	}
	if n > 0 {
		c.fail(checkTargets, rel, fmt.Sprintf("target %s: %d rows have no hash in column %q, by which rows without a key are found",
			target, n, sqltext.RowColumn),
			"give the source table a primary key, or let walshift load it (snapshot.mode: initial), or "+leaveOut)
	}
	return nil
}

// Finish ends a load that nothing follows: the tables stay loaded as of their
// snapshot, with the reason given to readers of the positions, and a later
// start does not take them for those of an interrupted load. Calling it again
// changes nothing.
func (w *Warehouse) Finish(ctx context.Context, reason string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.settle(ctx); err != nil {
		return fault("finishing the load", err)
	}
	err := w.fenced(ctx, w.fence, func(s *session) error {
		_, err := s.exec(ctx)(sqltext.FinishLoad(w.cfg.Pipeline, cut(reason, sqltext.MaxReason)))
		return err
	})
	return fault("finishing the load", err)
}
