package redshift

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pglogrepl"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// CatchUp applies to a stopped table all that it has missed, in one
// transaction, and makes it live; it returns the number of rows. from is where
// the first of the batches begins, and must be where the table stands; the
// batches are all that hold changes of it up to the fence's position, with
// nothing of other tables. Where that fails, with a fault of scope ScopeTable,
// the table stays stopped as it was.
func (w *Warehouse) CatchUp(ctx context.Context, oid uint32, from pglogrepl.LSN, batches []*change.Manifest) (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	rows, err := w.catchUp(ctx, oid, from, batches)
	return rows, fault("catching up with a stopped table", err)
}

func (w *Warehouse) catchUp(ctx context.Context, oid uint32, from pglogrepl.LSN, batches []*change.Manifest) (int64, error) {
	if err := w.settle(ctx); err != nil {
		return 0, err
	}
	stopped, ok := w.positions[oid]
	if !ok {
		return 0, fmt.Errorf("the positions on Redshift lack a table with oid %d", oid)
	}
	t, err := checkpointOf(stopped)
	if err != nil {
		return 0, err
	}
	if t, err = t.Resume(from, w.fence.lsn); err != nil {
		return 0, &change.Fault{
			Scope: change.ScopeTable, Code: change.CodeWarehouseState, Op: "catching up", Table: t.Schema + "." + t.Name, TableOID: oid, Err: err,
			Remedy: "the table has to be loaded again",
		}
	}
	if n := len(batches); n > 0 && (batches[n-1].Seq > w.fence.Seq || pglogrepl.LSN(batches[n-1].End) > w.fence.lsn) {
		return 0, errors.New("the batches reach beyond the fence")
	}
	live := withTable(stopped, t)
	// The planner leaves out what is not live.
	w.positions[oid] = live
	rows, err := w.replay(ctx, batches, live)
	for errors.Is(err, errLargeKept) { // once: the table is remembered
		rows, err = w.replay(ctx, batches, live)
	}
	if err != nil {
		// A COMMIT in doubt has been looked up, and the positions read anew.
		if p := w.positions[oid]; p == live {
			w.positions[oid] = stopped
		}
	}
	return rows, err
}

// replay applies batches of one table, whose position is then the given one;
// the fence stays where it is.
func (w *Warehouse) replay(ctx context.Context, batches []*change.Manifest, to sqltext.Position) (int64, error) {
	p, err := w.planRun(ctx, batches, false)
	if err != nil {
		return 0, err
	}
	if _, err := w.stage(ctx, p); err != nil {
		w.dropStaging(ctx, p)
		return 0, err
	}
	err = w.fenced(ctx, w.fence, func(s *session) error {
		if err := w.carryOut(ctx, s, p); err != nil {
			return err
		}
		if len(p.staged) > 0 {
			if _, err := s.exec(ctx)(sqltext.DropTables(p.stagingNames())); err != nil {
				return fmt.Errorf("dropping staging tables: %w", err)
			}
		}
		return w.savePosition(ctx, s, to)
	})
	if err != nil {
		w.dropStaging(ctx, p)
		return 0, err
	}
	w.positions[to.OID] = to
	return p.rows, nil
}
