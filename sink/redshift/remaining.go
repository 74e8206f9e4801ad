package redshift

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// rowHash is a row's hash in binary.
type rowHash [16]byte

func parseHash(text []byte) (h rowHash, err error) {
	if hex.DecodedLen(len(text)) != len(h) {
		return h, fmt.Errorf("%w: a hash of %d characters", errRemovals, len(text))
	}
	if _, err := hex.Decode(h[:], text); err != nil {
		return h, fmt.Errorf("%w: a hash that is not hexadecimal", errRemovals)
	}
	return h, nil
}

// remaining writes the rows that remain when staged copies are taken away, as
// often as they remain, into files, and returns the COPYs that bring them back.
//
// Memory: at a time one file of the log, compressed, one record, one file to be
// written (Config.FoldBytes), and the hashes of one page.
func (w *Warehouse) remaining(ctx context.Context, s *session, st *step, want int64) ([]*copyJob, error) {
	// A hash and its number take some 50 bytes in a map.
	page := int(w.cfg.FoldBytes / 64)
	out := &rewriter{w: w, st: st}
	for after := ""; ; {
		left := make(map[rowHash]int64)
		err := s.query(ctx, 2, func(r record) error {
			h, err := parseHash(r[0])
			if err != nil {
				return err
			}
			left[h], err = r.number(1)
			after = r.text(0)
			return err
		})(sqltext.ListRemaining(&st.job.staging, after, page))
		if err != nil {
			return nil, err
		}
		found := len(left)
		if found > 0 {
			if err := out.page(ctx, left); err != nil {
				return nil, err
			}
		}
		if found < page {
			break
		}
	}
	if err := out.flush(ctx); err != nil {
		return nil, err
	}
	if out.total != want {
		return nil, fmt.Errorf("%w: %d rows instead of %d are to come back", errRemovals, out.total, want)
	}
	return out.jobs, nil
}

// rewriter writes rows of the log's files into new ones.
type rewriter struct {
	w    *Warehouse
	st   *step
	jobs []*copyJob
	// raw holds rows records of the open file, whose columns and null marker
	// are those of from.
	raw         []byte
	rows, total int64
	from        *change.File
	files       int
}

// page writes the rows of the given hashes.
func (r *rewriter) page(ctx context.Context, left map[rowHash]int64) error {
	for _, c := range r.st.job.copies {
		for i := range c.files {
			if err := r.file(ctx, &c.files[i], left); err != nil {
				return err
			}
		}
	}
	if len(left) > 0 {
		return fmt.Errorf("%w: the files lack %d rows that were staged from them", errRemovals, len(left))
	}
	return nil
}

// file writes what remains of a file's rows.
func (r *rewriter) file(ctx context.Context, f *change.File, left map[rowHash]int64) error {
	if r.from != nil && r.from.NullMarker != f.NullMarker {
		if err := r.flush(ctx); err != nil {
			return err
		}
	}
	r.from = f
	body, err := r.w.stores.OpenRecords(ctx, f)
	if err != nil {
		return err
	}
	defer body.Close()
	records := &recordReader{r: bufio.NewReader(body)}
	for len(left) > 0 {
		record, err := records.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = r.record(ctx, record, left)
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", f.Key, err)
		}
	}
	return nil
}

// record writes a record, without the number that ends it, as often as the row
// remains.
func (r *rewriter) record(ctx context.Context, record []byte, left map[rowHash]int64) error {
	number := bytes.LastIndexByte(record, ',')
	if number < 0 {
		return fmt.Errorf("%w: a record of one field", errRemovals)
	}
	row := record[:number]
	h, err := parseHash(bytes.Trim(row[bytes.LastIndexByte(row, ',')+1:], `"`))
	if err != nil {
		return err
	}
	n := left[h]
	delete(left, h)
	for ; n > 0; n-- {
		r.raw = append(append(r.raw, row...), '\n')
		r.rows++
		if int64(len(r.raw)) >= r.w.cfg.FoldBytes {
			if err := r.flush(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush puts the open file, if it holds anything.
func (r *rewriter) flush(ctx context.Context) error {
	if r.rows == 0 {
		return nil
	}
	r.files++
	f, err := r.w.stores.PutRecords(ctx, fmt.Sprintf("%s-%06d", backName(r.st), r.files), r.from.NullMarker, r.rows, r.raw)
	if err != nil {
		return fmt.Errorf("writing remaining rows of table %s: %w", r.st.rel, err)
	}
	columns, err := r.st.table.Names(r.st.job.staging.Columns)
	if err != nil {
		return err
	}
	r.jobs = addCopy(r.jobs, &copyJob{
		rel: r.st.rel, seq: r.st.seq, target: r.st.table.Name, columns: columns, files: []change.File{f},
	})
	r.total += r.rows
	r.raw, r.rows = r.raw[:0], 0
	return nil
}

// recordReader reads a file's records one by one.
type recordReader struct {
	r      *bufio.Reader
	record []byte
}

// next returns a record without the LF that ends it, valid until the next
// call, and io.EOF behind the last. An LF inside of quotes belongs to a field;
// there a quote is doubled, so that the number of quotes tells.
func (r *recordReader) next() ([]byte, error) {
	r.record = r.record[:0]
	for quotes := 0; ; {
		line, err := r.r.ReadSlice('\n')
		r.record = append(r.record, line...)
		quotes += bytes.Count(line, []byte{'"'})
		switch {
		case err == nil && quotes%2 == 0:
			return r.record[:len(r.record)-1], nil
		case err == nil, errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(r.record) == 0:
			return nil, io.EOF
		case errors.Is(err, io.EOF):
			return nil, fmt.Errorf("%w: the last record has no end", errRemovals)
		default:
			return nil, fmt.Errorf("decompressing: %w", err)
		}
	}
}
