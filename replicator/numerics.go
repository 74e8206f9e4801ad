package replicator

import (
	"context"
	"fmt"

	"go.uber.org/zap"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/source"
)

// This file settles, when a pipeline begins, how numerics without a precision
// are carried. Afterwards the log's relations say it.

// settleNumerics settles them for the tables that were checked: by the
// configuration, by targets that are kept, by their data. It comes before the
// slot is made, for a slot would hold back WAL while the data are read.
func (r *Replicator) settleNumerics(ctx, drain context.Context, tables []source.Table) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(drain, cancel)()
	rels := make([]*change.Relation, len(tables))
	for i := range tables {
		rels[i] = tables[i].Relation
	}
	if err := r.house.SettleNumerics(ctx, rels); err != nil {
		return fmt.Errorf("looking at the targets' numbers: %w", err)
	}
	r.health.doing("looking how many decimal places the columns of type numeric need")
	var how source.Numerics
	if r.cfg.Snapshot.RowsPerSecond > 0 { // a source that must not be read fast
		how.ScanBytes = source.DefaultSampleBytes
	}
	if err := r.src.MeasureNumerics(ctx, tables, how); err != nil {
		return err
	}
	for _, rel := range rels {
		for i := range rel.Columns {
			if c := &rel.Columns[i]; c.Numeric != nil {
				r.log.Info("numeric_settled", zap.Stringer("table", rel), zap.String("column", c.Name),
					zap.Bool("text", c.Numeric.Text), zap.Int32("scale", c.Numeric.Scale))
			}
		}
	}
	return nil
}

// carryNumerics takes over to the snapshot's relations what was settled. What
// has come since has the widest scale.
func (r *Replicator) carryNumerics(f *first, tables []source.Table) error {
	type column struct {
		oid    uint32
		attnum int16
	}
	settled := make(map[column]*change.Numeric)
	for i := range tables {
		rel := tables[i].Relation
		for j := range rel.Columns {
			settled[column{rel.OID, rel.Columns[j].Attnum}] = rel.Columns[j].Numeric
		}
	}
	rels := make([]*change.Relation, len(f.tables))
	for i := range f.tables {
		rels[i] = f.tables[i].Relation
		for j := range rels[i].Columns {
			if c := &rels[i].Columns[j]; c.Unbounded() {
				c.Numeric = settled[column{rels[i].OID, c.Attnum}]
			}
		}
	}
	return r.house.CheckNumerics(rels)
}
