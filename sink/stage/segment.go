package stage

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/walshift/walshift/replicator/change"
)

// WriteSegment writes the rows of a segment into data files of batch seq and
// returns the segment's entry for the manifest, its files in the order in
// which kinds are applied: delete, partial, upsert, multiset, insert. All files,
// and the originals that they name, are durable when it returns without an
// error. index is the segment's place in the batch.
//
// It may be called from several goroutines, for different indexes, and again
// with the same arguments after an error: the same segment gives the same
// files. It does not keep or release s. A value that Redshift can't hold is a
// [change.Fault] of scope ScopeTable that wraps a [ValueError].
func (l *Log) WriteSegment(
	ctx context.Context, seq uint64, attempt string, index int, s *change.Segment,
) (change.SegmentFiles, error) {
	entry := change.SegmentFiles{Relation: *s.Relation, Truncate: s.Truncate, Changes: s.Changes, Files: []change.File{}}
	if err := errors.Join(checkName("attempt", attempt), checkRows(s)); err != nil {
		return entry, fmt.Errorf("writing segment %d of table %s in batch %d: %w", index, s.Relation, seq, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	up := new(uploads)
	folder := dataFolderOf(seq, attempt)
	name := func(kind change.Kind) func(int) string {
		return func(n int) string { return folder + dataName(index, kind, n) + extension(l.cfg.Compression) }
	}
	var files []*change.File
	base := &writer{log: l, rel: s.Relation, at: s.Last, seq: seq, uploads: up, fileBytes: l.cfg.FileBytes}
	incidents := incidentWriter(base, name(change.KindIncident))
	for _, run := range []struct {
		kind change.Kind
		rows *change.Rows
	}{
		{change.KindDelete, &s.Deletes},
		{change.KindPartial, &s.Partials},
		{change.KindUpsert, &s.Upserts},
		{change.KindMultiset, &s.Removed},
		{change.KindInsert, &s.Inserts},
	} {
		w := *base
		w.name, w.incidents = name(run.kind), incidents
		if err := w.rows(ctx, run.kind, run.rows); err != nil {
			incidents.end()
			cancel()
			up.wg.Wait()
			return entry, fmt.Errorf("writing segment %d: %w", index, err)
		}
		files = append(files, w.files...)
	}
	err := incidents.cut(ctx)
	incidents.end()
	if err != nil {
		up.wg.Wait()
		return entry, fmt.Errorf("writing segment %d: %w", index, err)
	}
	if err := up.wait(); err != nil {
		return entry, fmt.Errorf("writing segment %d: %w", index, err)
	}
	entry.Files = values(files)
	if len(incidents.files) > 0 {
		entry.Incidents = values(incidents.files)
	}
	return entry, nil
}

// rows writes all rows of one kind.
func (w *writer) rows(ctx context.Context, kind change.Kind, rows *change.Rows) error {
	if rows.Len() == 0 {
		return nil
	}
	var err error
	if w.layout, err = newLayout(w.rel, kind, rows, &w.log.cfg.Values); err != nil {
		return err
	}
	defer w.end()
	existed := kind == change.KindDelete || kind == change.KindUpsert
	var origin change.Tuple
	for i, image := range rows.Images {
		if kind == change.KindPartial {
			origin, existed = rows.Origins[i], rows.Existed[i]
		}
		times, err := w.copies(kind, rows, i)
		if err != nil {
			return err
		}
		for range times {
			if err := w.add(ctx, image, origin, existed); err != nil {
				return err
			}
		}
	}
	return w.cut(ctx)
}

// copies returns how many records row i makes: one for each copy that is
// inserted of a multiset's image, one for all copies that are taken away.
func (w *writer) copies(kind change.Kind, rows *change.Rows, i int) (int64, error) {
	if !w.rel.Multiset {
		return 1, nil
	}
	n := rows.Copies[i]
	if rec := w.layout.identify(rows.Images[i], n); rec.reason != fits {
		return 0, w.fault(rec)
	}
	if kind == change.KindMultiset {
		return 1, nil
	}
	return n, nil
}

func checkRows(s *change.Segment) error {
	keyed := s.Deletes.Len() + s.Partials.Len() + s.Upserts.Len()
	switch n := s.Partials.Len(); {
	case len(s.Partials.Origins) != n || len(s.Partials.Existed) != n:
		return fmt.Errorf("%d partial rows with %d origin keys and %d marks of existence",
			n, len(s.Partials.Origins), len(s.Partials.Existed))
	case keyed > 0 && !s.Relation.HasKey():
		return errors.New("deletes or updates in a relation without a key")
	case s.Removed.Len() > 0 && !s.Relation.Multiset:
		return errors.New("copies are taken away in a relation that is no multiset")
	}
	if !s.Relation.Multiset {
		return nil
	}
	for _, rows := range []*change.Rows{&s.Inserts, &s.Removed} {
		if len(rows.Copies) != rows.Len() || rows.Len() > 0 && slices.Min(rows.Copies) < 1 {
			return fmt.Errorf("%d images of a multiset with %d numbers of copies, each of which must be 1 at least",
				rows.Len(), len(rows.Copies))
		}
	}
	return nil
}
