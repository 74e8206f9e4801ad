package redshift

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"go.uber.org/zap"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift/compact"
	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// Kept values come from the row that stands under the origin key. A join
// brings them without their leaving the warehouse, and that is how it is done
// wherever it works. It breaks, loudly (8001), where a row holds a SUPER or
// VARBYTE above 64 KB. Then the transaction is rolled back, the table is
// remembered, and its kept values go the other way from then on: read by
// lists of keys, put into the rows of the log's file here, and brought back by
// COPY (W7).

// errLargeKept reports that a fill met a value too large for a join. The table
// is remembered, so that the run, when done once more, reads instead.
var errLargeKept = errors.New("filling kept columns: a value is too large for a join")

// keepsLarge reports whether rows with the given kept columns can be completed
// by reading, and may have to be.
func keepsLarge(t *sqltext.Table, kept []int16) bool {
	large := false
	for _, a := range kept {
		c, ok := t.Column(a)
		if !ok || !c.Readable() {
			return false
		}
		large = large || c.Large()
	}
	return large
}

// completes reports whether the kept columns of a table are to be read.
func (w *Warehouse) completes(oid uint32, t *sqltext.Table, kept []int16) bool {
	return w.largeKept[oid] && keepsLarge(t, kept)
}

// completesAny reports the same of a segment's files.
func (w *Warehouse) completesAny(t *sqltext.Table, s *change.SegmentFiles) bool {
	return slices.ContainsFunc(s.Files, func(f change.File) bool {
		return f.Kind == change.KindPartial && w.completes(s.Relation.OID, t, f.KeptColumns)
	})
}

// fillFailed looks at a fill's error: where reading would do, it remembers the
// table and returns errLargeKept.
func (w *Warehouse) fillFailed(st *step, err error) error {
	if !tooLargeForJoin(err) || !keepsLarge(st.table, st.job.staging.Kept) {
		return err
	}
	w.largeKept[st.rel.OID] = true
	w.log.Info("large_values_read_by_key", zap.String("table", st.rel.String()))
	return fmt.Errorf("table %s: %w", st.rel, errLargeKept)
}

// findLarge looks for further tables of a plan that would break a join, so that
// a run is not tried once for each of them. What it can't find out, a fill will.
func (w *Warehouse) findLarge(ctx context.Context, p *plan) {
	asked := make(map[uint32]bool)
	for _, t := range p.tables {
		for i := range t.steps {
			st := &t.steps[i]
			if st.kind != stepFill || w.largeKept[st.rel.OID] || asked[st.rel.OID] || !keepsLarge(st.table, st.job.staging.Kept) {
				continue
			}
			asked[st.rel.OID] = true
			if w.main == nil || w.main.conn.IsClosed() {
				return
			}
			found, err := w.main.numbers(ctx)(sqltext.HasLarge(st.table, st.job.staging.Kept))
			if err != nil {
				w.log.Debug("large_values_not_looked_for", zap.String("table", st.rel.String()), zap.Error(err))
				return
			}
			if len(found) > 0 {
				w.largeKept[st.rel.OID] = true
				w.log.Info("large_values_read_by_key", zap.String("table", st.rel.String()))
			}
		}
	}
}

const opComplete = "completing rows with kept values"

// errKept reports partial rows that are not what the log writes.
var errKept = errors.New("malformed partial rows")

const (
	// keysPerRead and keyBytesPerRead bound the keys of one query, of whose
	// text it holds each twice.
	keysPerRead, keyBytesPerRead = 200, 128 << 10
	// chunksPerRead bounds the columns of one query's result.
	chunksPerRead = 64
	// maxRecord is the largest row that COPY takes for sure (redshift-facts 1.8).
	maxRecord = 4 << 20
)

// keptRow is a row of a partial file on its way.
type keptRow struct {
	// record is the record's memory, image its fields for the target, nil for
	// NULL, as they stand in the file.
	record []byte
	image  [][]byte
	// wants says which kept columns the row lacks, sizes their lengths (-1 for
	// NULL), and values what has been read of them.
	wants  []bool
	sizes  []int64
	values [][]byte
	found  bool
}

// completion completes the rows of one staging job.
//
// Memory: one file of the log, compressed; the records of one list of keys
// (Config.FoldBytes, or one record); values of a quarter of that, or of one
// row; one file to be written (Config.FoldBytes).
type completion struct {
	w       *Warehouse
	s       *session
	st      *step
	staging *sqltext.Staging
	// kept are the kept columns, places where they stand in a record.
	kept   []sqltext.Column
	places []int

	rows     []*keptRow
	keys     [][]string
	bytes    int64
	keyBytes int
	total    int64
	fields   [][]byte
	out      keptWriter
}

// complete reads the kept values of a job's rows and writes the complete rows
// into files, to be loaded when the rows they replace are gone.
func (w *Warehouse) complete(ctx context.Context, s *session, st *step) error {
	c := &completion{w: w, s: s, st: st, staging: &st.job.staging, out: keptWriter{w: w, st: st}}
	for _, a := range c.staging.Kept {
		column, ok := st.table.Column(a)
		place := slices.Index(c.staging.Columns, a)
		if !ok || place < 0 {
			return damaged(opComplete, st.rel, fmt.Errorf("%w: kept attnum %d is no column of the file", errKept, a))
		}
		c.kept, c.places = append(c.kept, column), append(c.places, place)
	}
	for _, j := range st.job.copies {
		for i := range j.files {
			if err := c.file(ctx, &j.files[i]); err != nil {
				return c.fault(err)
			}
		}
	}
	if err := c.out.flush(ctx); err != nil {
		return c.fault(err)
	}
	if c.total != st.job.rows {
		return c.fault(fmt.Errorf("%w: %d instead of %d", errKept, c.total, st.job.rows))
	}
	st.job.completed = c.out.jobs
	st.job.back = int64(len(c.out.jobs))
	return nil
}

func (c *completion) fault(err error) error {
	if errors.Is(err, errKept) {
		return damaged(opComplete, c.st.rel, err)
	}
	return tableFault(opComplete, c.st.rel, err)
}

// bringBack loads the complete rows.
func (w *Warehouse) bringBack(ctx context.Context, s *session, st *step) error {
	for i, c := range st.job.completed {
		if err := w.putManifest(ctx, c, fmt.Sprintf("%s-%04d", keptName(st), i+1)); err != nil {
			return err
		}
		if err := w.copy(ctx, s, c); err != nil {
			return err
		}
	}
	return nil
}

// keptName returns the beginning of the names of objects with a step's
// complete rows; it holds the attempt's id.
func keptName(st *step) string {
	return fmt.Sprintf("%020d-%s-kept", st.seq, st.job.staging.Name.Table)
}

// file completes the rows of one file.
func (c *completion) file(ctx context.Context, f *change.File) error {
	if c.out.marker == "" {
		c.out.marker = f.NullMarker
	}
	body, err := c.w.stores.OpenRecords(ctx, f)
	if err != nil {
		return err
	}
	defer body.Close()
	records := &recordReader{r: bufio.NewReader(body)}
	for {
		record, err := records.next()
		if errors.Is(err, io.EOF) {
			return c.batch(ctx)
		}
		if err == nil {
			err = c.add(ctx, f, record)
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", f.Key, err)
		}
	}
}

// add takes a record up, and completes what it has where that is enough.
func (c *completion) add(ctx context.Context, f *change.File, record []byte) error {
	row := &keptRow{
		record: bytes.Clone(record), wants: make([]bool, len(c.kept)),
		sizes: make([]int64, len(c.kept)), values: make([][]byte, len(c.kept)),
	}
	var err error
	if c.fields, err = compact.Fields(c.fields[:0], row.record); err != nil {
		return fmt.Errorf("%w: %w", errKept, err)
	}
	columns, origin := len(c.staging.Columns), len(c.staging.Origin)
	if want := len(c.staging.FileColumns()); len(c.fields) != want {
		return fmt.Errorf("%w: %d fields instead of %d", errKept, len(c.fields), want)
	}
	for _, field := range c.fields[:columns] {
		if bytes.Equal(field, []byte(f.NullMarker)) {
			field = nil
		}
		row.image = append(row.image, field)
	}
	key, size, err := c.originKey(f, c.fields[columns:columns+origin])
	if err != nil {
		return err
	}
	flags := compact.Text(c.fields[columns+origin])
	if len(flags) != len(c.kept) {
		return fmt.Errorf("%w: %d flags for %d kept columns", errKept, len(flags), len(c.kept))
	}
	for i, flag := range flags {
		row.wants[i] = flag == '1'
	}
	if len(c.rows) > 0 && (len(c.rows) >= keysPerRead || c.keyBytes+size > keyBytesPerRead ||
		c.bytes+int64(len(record)) > c.w.cfg.FoldBytes) {
		if err := c.batch(ctx); err != nil {
			return err
		}
	}
	c.rows, c.keys = append(c.rows, row), append(c.keys, key)
	c.bytes, c.keyBytes = c.bytes+int64(len(record)), c.keyBytes+size
	return nil
}

// originKey returns the texts of an origin key in the order of the target's key.
func (c *completion) originKey(f *change.File, fields [][]byte) (key []string, size int, err error) {
	for _, k := range c.st.table.Keys() {
		i := slices.Index(c.staging.Origin, k.Attnum)
		if i < 0 || bytes.Equal(fields[i], []byte(f.NullMarker)) {
			return nil, 0, fmt.Errorf("%w: a row without a whole origin key", errKept)
		}
		v := string(compact.Text(fields[i]))
		key, size = append(key, v), size+len(v)
	}
	return key, size, nil
}

// batch completes the rows that wait.
func (c *completion) batch(ctx context.Context) error {
	if len(c.rows) == 0 {
		return nil
	}
	if err := c.sizes(ctx); err != nil {
		return err
	}
	room := c.w.cfg.FoldBytes / 4
	for first := 0; first < len(c.rows); {
		var size int64
		next := first
		for ; next < len(c.rows); next++ {
			n := c.rows[next].lacks()
			if next > first && size+n > room {
				break
			}
			size += n
		}
		if err := c.values(ctx, first, next); err != nil {
			return err
		}
		for _, row := range c.rows[first:next] {
			if err := c.write(ctx, row); err != nil {
				return err
			}
			*row = keptRow{}
		}
		first = next
	}
	c.total += int64(len(c.rows))
	c.rows, c.keys, c.bytes, c.keyBytes = c.rows[:0], c.keys[:0], 0, 0
	return nil
}

// lacks returns the bytes that the row lacks.
func (r *keptRow) lacks() int64 {
	var n int64
	for i, wants := range r.wants {
		if wants && r.sizes[i] > 0 {
			n += r.sizes[i]
		}
	}
	return n
}

// sizes reads how long the values are. Each row must be there, once: else there
// is nothing to complete it from (V18), whatever apply.check_counts says.
func (c *completion) sizes(ctx context.Context) error {
	var got int64
	query := &sqltext.KeptRows{Target: c.st.table, Keys: c.keys}
	err := c.read(ctx, 0, len(c.kept), func(row *keptRow, values record) error {
		got++
		if row.found {
			return countFault(opComplete, c.st.rel, got, int64(len(c.rows)))
		}
		row.found = true
		for i := range c.kept {
			row.sizes[i] = -1
			if values.null(i) {
				continue
			}
			var err error
			if row.sizes[i], err = values.number(i); err != nil {
				return err
			}
		}
		return nil
	})(query.Sizes(c.staging.Kept))
	if err == nil && got != int64(len(c.rows)) {
		err = countFault(opComplete, c.st.rel, got, int64(len(c.rows)))
	}
	return err
}

// read returns a function that runs a query for rows from first on, whose
// result has so many columns behind those that tell which row it is.
func (c *completion) read(
	ctx context.Context, first, columns int, scan func(row *keptRow, values record) error,
) func(sql string, err error) error {
	var texts []int
	for i, k := range c.st.table.Keys() {
		if k.Text() {
			texts = append(texts, i)
		}
	}
	head := 1 + len(texts)
	return c.s.query(ctx, head+columns, func(r record) error {
		if r.null(0) {
			return nil
		}
		n, err := r.number(0)
		if err != nil {
			return err
		}
		at := first + int(n)
		if n < 0 || at >= len(c.rows) {
			return fmt.Errorf("place %d among %d keys", n, len(c.rows)-first)
		}
		for i, k := range texts {
			if r.text(1+i) != c.keys[at][k] { // equal to the server only
				return nil
			}
		}
		return scan(c.rows[at], r[head:])
	})
}
