package redshift

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// values reads the values that the rows from first to next lack.
func (c *completion) values(ctx context.Context, first, next int) error {
	query := &sqltext.KeptRows{Target: c.st.table, Keys: c.keys[first:next]}
	chunks, places, err := c.chunks(c.rows[first:next])
	if err != nil {
		return err
	}
	for at := 0; at < len(chunks); at += chunksPerRead {
		end := min(at+chunksPerRead, len(chunks))
		err := c.read(ctx, first, end-at, func(row *keptRow, values record) error {
			return row.take(places[at:end], values)
		})(query.Values(chunks[at:end]))
		if err != nil {
			return err
		}
	}
	for _, row := range c.rows[first:next] {
		for i, wants := range row.wants {
			if wants && int64(len(row.values[i])) != max(row.sizes[i], 0) {
				return fmt.Errorf("a value has %d bytes instead of %d", len(row.values[i]), row.sizes[i])
			}
		}
	}
	return nil
}

// chunks returns the stretches of the values that rows lack, and the place of
// each one's column among the kept ones.
func (c *completion) chunks(rows []*keptRow) (chunks []sqltext.Chunk, places []int, err error) {
	for i, column := range c.kept {
		var longest int64
		for _, row := range rows {
			if err := c.fits(row); err != nil {
				return nil, nil, err
			}
			if row.wants[i] {
				longest = max(longest, row.sizes[i])
			}
		}
		for from := int64(0); from < longest; from += sqltext.ChunkBytes {
			chunks, places = append(chunks, sqltext.Chunk{Attnum: column.Attnum, From: int(from)}), append(places, i)
		}
	}
	return chunks, places, nil
}

// take appends stretches to the values that the row lacks.
func (r *keptRow) take(places []int, values record) error {
	for i, v := range values {
		place := places[i]
		if !r.wants[place] || len(v) == 0 {
			continue
		}
		var err error
		if r.values[place], err = hex.AppendDecode(r.values[place], v); err != nil {
			return errors.New("a value is not in hexadecimal")
		}
	}
	return nil
}

// fits refuses what COPY can't bring back: a row that is too large, and an
// empty VARBYTE, which it would read as NULL.
func (c *completion) fits(row *keptRow) error {
	size := int64(len(row.record))
	for i, wants := range row.wants {
		if !wants {
			continue
		}
		n := max(row.sizes[i], 0)
		if c.kept[i].Form == sqltext.FormHex {
			if row.sizes[i] == 0 {
				return c.unloadable(errors.New("an empty VARBYTE can't be loaded again"))
			}
			n *= 2
		}
		size += n
	}
	if size > maxRecord {
		return c.unloadable(fmt.Errorf("a row with its kept values has %d bytes, COPY takes %d", size, maxRecord))
	}
	return nil
}

func (c *completion) unloadable(err error) error {
	return &change.Fault{
		Scope: change.ScopeTable, Code: change.CodeTableStatement, Op: opComplete, Table: c.st.rel.String(), TableOID: c.st.rel.OID, Err: err,
		Remedy: "set REPLICA IDENTITY FULL on the source table, so that updates carry such values and their policies hold, and load it again",
	}
}

// write puts a complete row into the open file.
func (c *completion) write(ctx context.Context, row *keptRow) error {
	for i, wants := range row.wants {
		if wants {
			row.image[c.places[i]] = keptField(&c.kept[i], row.values[i], row.sizes[i] < 0)
		}
	}
	return c.out.row(ctx, row.image)
}

// keptField returns a value as COPY reads it, nil for NULL.
func keptField(column *sqltext.Column, value []byte, null bool) []byte {
	switch {
	case null:
		return nil
	case column.Form == sqltext.FormHex:
		return hex.AppendEncode(make([]byte, 0, hex.EncodedLen(len(value))), value)
	case column.Form == sqltext.FormDecimal:
		return value
	}
	field := make([]byte, 0, len(value)+len(value)/8+2)
	field = append(field, '"')
	for rest := value; ; {
		at := bytes.IndexByte(rest, '"')
		if at < 0 {
			return append(append(field, rest...), '"')
		}
		field = append(append(field, rest[:at]...), '"', '"')
		rest = rest[at+1:]
	}
}

// keptWriter writes complete rows into files.
type keptWriter struct {
	w    *Warehouse
	st   *step
	jobs []*copyJob
	// raw holds rows records of the open file, whose NULLs are marker.
	raw    []byte
	rows   int64
	marker string
	files  int
}

// maxMarkers bounds the markers tried for one row.
const maxMarkers = 16

// row writes a row. Where a value equals the marker, the file ends before the
// row, and the next has another marker (W3).
func (k *keptWriter) row(ctx context.Context, image [][]byte) error {
	for try := 0; k.collides(image); try++ {
		if try == maxMarkers {
			return fmt.Errorf("choosing a null marker: %d equal values of one row", maxMarkers)
		}
		if err := k.flush(ctx); err != nil {
			return err
		}
		k.marker = "~N" + newID()[:8]
	}
	for i, field := range image {
		if i > 0 {
			k.raw = append(k.raw, ',')
		}
		if field == nil {
			k.raw = append(k.raw, k.marker...)
		} else {
			k.raw = append(k.raw, field...)
		}
	}
	k.raw = append(k.raw, '\n')
	k.rows++
	if int64(len(k.raw)) >= k.w.cfg.FoldBytes {
		return k.flush(ctx)
	}
	return nil
}

// collides reports whether a value is the marker, or is it but for blanks.
func (k *keptWriter) collides(image [][]byte) bool {
	for _, field := range image {
		if field != nil && string(bytes.Trim(field, "\" \t\r\n\v\f")) == k.marker {
			return true
		}
	}
	return false
}

// flush puts the open file, if it holds anything.
func (k *keptWriter) flush(ctx context.Context) error {
	if k.rows == 0 {
		return nil
	}
	k.files++
	f, err := k.w.stores.PutRecords(ctx, fmt.Sprintf("%s-%06d", keptName(k.st), k.files), k.marker, k.rows, k.raw)
	if err != nil {
		return fmt.Errorf("writing complete rows of table %s: %w", k.st.rel, err)
	}
	columns, err := k.st.table.Names(k.st.job.staging.Columns)
	if err != nil {
		return err
	}
	k.jobs = addCopy(k.jobs, &copyJob{
		rel: k.st.rel, seq: k.st.seq, target: k.st.table.Name, columns: columns, files: []change.File{f},
	})
	k.raw, k.rows = k.raw[:0], 0
	return nil
}
