package stage

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"github.com/jackc/pglogrepl"

	"github.com/walshift/walshift/replicator/change"
)

// FileWriter writes rows of a snapshot into files of kind insert. It belongs
// to one goroutine. Close or Abort must be called once.
type FileWriter struct {
	w  writer
	up uploads
}

// SnapshotFile returns a writer for a part of the snapshot at x of a table.
// The part may be written again under the same attempt, for instance after an
// error: each writer names its files apart. It sends nothing yet.
func (l *Log) SnapshotFile(rel *change.Relation, x pglogrepl.LSN, attempt string, part int) (*FileWriter, error) {
	if err := checkName("attempt", attempt); err != nil {
		return nil, fmt.Errorf("writing snapshot of table %s: %w", rel, err)
	}
	shape, err := newLayout(rel, change.KindInsert, nil, &l.cfg.Values)
	if err != nil {
		return nil, err
	}
	var try [4]byte
	if _, err := rand.Read(try[:]); err != nil {
		return nil, fmt.Errorf("naming snapshot files: %w", err)
	}
	folder := snapshotFolderOf(rel.OID, change.LSN(x), attempt)
	name := func(kind string) func(int) string {
		return func(n int) string {
			return fmt.Sprintf("%s%04d-%s-%s%04d%s", folder, part, hex.EncodeToString(try[:]), kind, n, extension(l.cfg.Compression))
		}
	}
	f := new(FileWriter)
	f.w = writer{
		log: l, layout: shape, rel: rel, at: x, uploads: &f.up, name: name(""), fileBytes: l.cfg.FileBytes,
	}
	f.w.incidents = incidentWriter(&f.w, name("incident-"))
	return f, nil
}

// Write adds a row, all columns of the relation in order. It copies what it
// needs. When a file is full, its upload starts under ctx, and the next Write
// goes on while at most the log's bound of bytes is on its way. After an error
// only Abort may be called.
func (f *FileWriter) Write(ctx context.Context, row change.Tuple) error {
	if rec := f.w.layout.identify(row, 1); rec.reason != fits {
		return f.w.fault(rec)
	}
	return f.w.add(ctx, row, nil, false)
}

// Close writes the rest and returns the entries of all files, none where no
// row was written, those of incidents last; files and originals are durable
// then.
func (f *FileWriter) Close(ctx context.Context) ([]change.File, error) {
	err := f.w.cut(ctx)
	if err == nil {
		err = f.w.incidents.cut(ctx)
	}
	f.end()
	if first := f.up.wait(); err == nil {
		err = first
	}
	if err != nil {
		return nil, fmt.Errorf("writing snapshot of table %s: %w", f.w.rel, err)
	}
	return values(append(f.w.files, f.w.incidents.files...)), nil
}

func (f *FileWriter) end() {
	f.w.end()
	f.w.incidents.end()
}

// Abort gives up: it waits for the uploads under way (cancel their context to
// make that short) and leaves their objects to [Log.Collect].
func (f *FileWriter) Abort() {
	f.end()
	f.up.wg.Wait()
}
