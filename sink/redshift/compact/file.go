package compact

import (
	"bytes"
	"fmt"

	"github.com/walshift/walshift/replicator/change"
)

// maxField is the longest field that is folded: longer ones in SUPER and
// VARBYTE come near the 64 KB above which joins that carry them break (8001).
const maxField = 60_000

// file reads a file's rows.
func (t *Table) file(f File, do func(Row) error) error {
	l, err := t.layout(f.Entry)
	if err != nil {
		return err
	}
	var rows int64
	for rest := f.Records; len(rest) > 0; rows++ {
		if t.fields, rest, err = nextRecord(t.fields[:0], rest); err != nil {
			return err
		}
		row, err := l.row(t.fields)
		if err == nil {
			err = do(row)
		}
		if err != nil {
			return fmt.Errorf("record %d: %w", rows+1, err)
		}
	}
	if rows != f.Entry.Rows {
		return fmt.Errorf("%w: %d instead of %d", errRecords, rows, f.Entry.Rows)
	}
	return nil
}

// layout is where a file's fields belong.
type layout struct {
	t       *Table
	marker  []byte
	width   int
	columns []int
	// origin are places in the relation's key; kept are columns by flag.
	origin, kept []int
	fields       int
}

func (t *Table) layout(f *change.File) (*layout, error) {
	l := &layout{t: t, marker: []byte(f.NullMarker), width: len(t.rel.Columns)}
	for _, list := range []struct {
		attnums []int16
		places  *[]int
	}{{f.Columns, &l.columns}, {f.KeptColumns, &l.kept}} {
		for _, a := range list.attnums {
			place, ok := t.place[a]
			if !ok {
				return nil, fmt.Errorf("%w: the relation has no attnum %d", errRecords, a)
			}
			*list.places = append(*list.places, place)
		}
	}
	for _, a := range f.Origin {
		at := -1
		for i, k := range t.rel.Keys {
			if t.rel.Columns[k].Attnum == a {
				at = i
			}
		}
		if at < 0 {
			return nil, fmt.Errorf("%w: attnum %d is no key column", errRecords, a)
		}
		l.origin = append(l.origin, at)
	}
	if f.Kind == change.KindPartial && len(l.origin) != len(t.rel.Keys) {
		return nil, fmt.Errorf("%w: %d origin columns for a key of %d", errRecords, len(l.origin), len(t.rel.Keys))
	}
	l.fields = len(l.columns) + len(l.origin)
	if f.Kind == change.KindPartial {
		l.fields++ // the flags
	}
	if f.Pad {
		l.fields++
	}
	return l, nil
}

// row makes a row of a record's fields.
func (l *layout) row(fields [][]byte) (Row, error) {
	if len(fields) != l.fields {
		return Row{}, fmt.Errorf("%w: %d fields instead of %d", errRecords, len(fields), l.fields)
	}
	r := Row{Image: make([][]byte, l.width)}
	for i, place := range l.columns {
		v, err := l.value(fields[i])
		if err != nil {
			return Row{}, err
		}
		r.Image[place] = v
	}
	if len(l.origin) == 0 {
		return r, nil
	}
	r.Origin = make([][]byte, len(l.origin))
	for i, place := range l.origin {
		v, err := l.value(fields[len(l.columns)+i])
		if err != nil {
			return Row{}, err
		}
		r.Origin[place] = v
	}
	flags := text(fields[len(l.columns)+len(l.origin)])
	if len(flags) != len(l.kept) {
		return Row{}, fmt.Errorf("%w: %d flags for %d kept columns", errRecords, len(flags), len(l.kept))
	}
	for i, flag := range flags {
		if flag != '1' {
			continue
		}
		if r.Kept == nil {
			r.Kept = make([]bool, l.width)
		}
		r.Kept[l.kept[i]] = true
	}
	return r, nil
}

// value returns a field as it stands, or nil where it is NULL.
func (l *layout) value(field []byte) ([]byte, error) {
	if bytes.Equal(field, l.marker) {
		return nil, nil
	}
	if len(field) > maxField {
		return nil, ErrLarge
	}
	if !bytes.Equal(l.marker, l.t.marker) && bytes.Equal(bytes.TrimSpace(text(field)), l.t.marker) {
		return nil, ErrMarker
	}
	return field, nil
}
