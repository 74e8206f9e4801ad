package redshift

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// A table without a key is a multiset: equal rows are counted. Redshift has no
// way to delete three of five equal rows, so all five go, found by their hash,
// and two come back by COPY from the image that the log's file holds.

// fileColumns returns the attnums of a file's image, the hash of a multiset's
// rows included.
func fileColumns(f *change.File) []int16 {
	if !f.RowHash {
		return f.Columns
	}
	return append(slices.Clone(f.Columns), sqltext.RowAttnum)
}

// checkShape refuses files that are not of the relation's kind: a row without
// its hash would never be found again.
func checkShape(rel *change.Relation, files []change.File) error {
	for i := range files {
		f := &files[i]
		fits := f.RowHash == rel.Multiset
		switch f.Kind {
		case change.KindInsert:
		case change.KindMultiset:
			fits = rel.Multiset && f.RowHash && !f.Pad
		case change.KindDelete, change.KindUpsert, change.KindPartial, change.KindRaw, change.KindIncident:
			fits = !rel.Multiset && !f.RowHash
		}
		if !fits {
			return damaged("planning", rel, fmt.Errorf("file %s of kind %q (row hashes: %t) does not fit the table (rows without a key: %t)",
				f.Key, f.Kind, f.RowHash, rel.Multiset))
		}
	}
	return nil
}

// removal is what taking staged copies away finds.
type removal struct {
	// hashes are staged, and rows of the target have one of them. Of missing
	// hashes there are fewer copies than are to go; of the others remain copies
	// stay.
	hashes, rows, missing, remain int64
}

// take takes the staged copies of rows away.
func (w *Warehouse) take(ctx context.Context, s *session, st *step) error {
	j := st.job
	found, err := s.removal(ctx, &j.staging)
	switch {
	case err != nil:
		return takeFault(st.rel, err)
	case found.hashes != j.rows:
		return takeFault(st.rel, fmt.Errorf("%w: %d different rows instead of %d", errRemovals, found.hashes, j.rows))
	case found.missing > 0 && w.cfg.CheckCounts:
		return &change.Fault{
			Scope: change.ScopeTable, Code: change.CodeCounts, Op: opTake, Table: st.rel.String(), TableOID: st.rel.OID,
			Err: fmt.Errorf("of %d of %d different rows the target has fewer copies than the source took away: it is not what the log left there",
				found.missing, found.hashes),
			Remedy: "find who else writes to the target, take the right away, and load the table again; " +
				"apply.check_counts: false would hide the difference",
		}
	}
	// What remains is written down while the target can still tell it.
	var back []*copyJob
	if found.remain > 0 {
		if back, err = w.remaining(ctx, s, st, found.remain); err != nil {
			return takeFault(st.rel, err)
		}
	}
	n, err := s.exec(ctx)(sqltext.DeleteRows(&j.staging))
	if err == nil && n != found.rows {
		err = countFault(opTake, st.rel, n, found.rows)
	}
	if err != nil {
		return takeFault(st.rel, err)
	}
	for i, c := range back {
		if err := w.putManifest(ctx, c, fmt.Sprintf("%s-%04d", backName(st), i+1)); err != nil {
			return err
		}
		if err := w.copy(ctx, s, c); err != nil {
			return err
		}
	}
	j.back = int64(len(back))
	return nil
}

const opTake = "taking rows away"

// errRemovals reports removals that are not what the log writes.
var errRemovals = errors.New("malformed removals")

func takeFault(rel *change.Relation, err error) error {
	if !errors.Is(err, errRemovals) {
		return tableFault(opTake, rel, err)
	}
	return damaged(opTake, rel, err)
}

// damaged is the fault of files that the log would not write.
func damaged(op string, rel *change.Relation, err error) error {
	return &change.Fault{
		Scope: change.ScopeTable, Code: change.CodeLogDamaged, Op: op, Table: rel.String(), TableOID: rel.OID, Err: err,
		Remedy: "keep the log's objects from that batch on and report this; load the table again to go on",
	}
}

// removal counts what taking staged copies away will find.
func (s *session) removal(ctx context.Context, staging *sqltext.Staging) (removal, error) {
	var found removal
	rows := 0
	err := s.query(ctx, 4, func(r record) error {
		rows++
		for i, n := range []*int64{&found.hashes, &found.rows, &found.missing, &found.remain} {
			var err error
			if *n, err = r.number(i); err != nil {
				return err
			}
		}
		return nil
	})(sqltext.CountRemoved(staging))
	if err == nil && rows != 1 {
		err = fmt.Errorf("counting rows: %d results instead of 1", rows)
	}
	return found, err
}

// backName returns the beginning of the names of objects with a step's
// remaining rows. It holds the attempt's id, as the staging table's name does.
func backName(st *step) string {
	return fmt.Sprintf("%020d-%s-back", st.seq, st.job.staging.Name.Table)
}
