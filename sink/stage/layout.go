package stage

import (
	"strconv"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// maxRecord is the longest record written. Redshift takes rows of up to 4 MB
// from any source (redshift-facts 1.8); the decimal reading is the safe one.
const maxRecord = 4_000_000

// layout is the shape of the files of one kind for one relation version.
type layout struct {
	kind    change.Kind
	columns []column
	// origin and kept are set for KindPartial: the origin key's columns, and
	// the attnums of the columns that any row keeps.
	origin []column
	kept   []int16
	pad    bool
	// hash is set for the rows of a multiset: their hash follows the columns,
	// and in files of KindMultiset the number of copies that are taken away.
	hash   *rowHash
	copies int64
	// zeros is a flag column in which nothing is kept.
	zeros []byte
	// misfits are the values of the last row that policies have changed.
	misfits []misfit
	// out are the columns that the row's length leaves no room for; nil but
	// for such a row.
	out []bool
}

// newLayout describes files of kind. rows may be nil where kind is not
// KindPartial.
func newLayout(rel *change.Relation, kind change.Kind, rows *change.Rows, rules *sqltext.ValueRules) (*layout, error) {
	all, err := mapColumns(rel, rules)
	if err != nil {
		return nil, err
	}
	l := &layout{kind: kind, columns: all}
	keys := make([]column, len(rel.Keys))
	for i, k := range rel.Keys {
		keys[i] = all[k]
	}
	switch kind {
	case change.KindDelete:
		l.columns = keys
	case change.KindPartial:
		l.origin = keys
		l.findKept(rows)
	default:
	}
	if rel.Multiset && (kind == change.KindInsert || kind == change.KindMultiset) {
		if l.hash, err = newRowHash(rel); err != nil {
			return nil, err
		}
	}
	l.pad = len(l.columns) == 1 && kind != change.KindPartial && l.hash == nil
	return l, nil
}

// identify computes the hash of the rows that are added next, if the layout has
// hashes. copies is the number that files of KindMultiset carry.
func (l *layout) identify(image change.Tuple, copies int64) record {
	l.copies = copies
	if l.hash != nil && !l.hash.of(l.columns, image) {
		return record{reason: absent}
	}
	return record{}
}

// findKept gives each column that any row keeps its place in the flags. All
// files of the rows share them, though a file may keep fewer.
func (l *layout) findKept(rows *change.Rows) {
	found := make([]bool, len(l.columns))
	var v change.Value
	for _, t := range rows.Images {
		for i := 0; len(t) > 0 && i < len(found); i++ {
			if v, t = t.Next(); v.Kind == change.ValueUnchanged {
				found[i] = true
			}
		}
	}
	for i := range found {
		if found[i] {
			l.columns[i].flag = len(l.kept)
			l.kept = append(l.kept, l.columns[i].attnum)
			l.zeros = append(l.zeros, '0')
		}
	}
}

// file returns the entry that the layout's files have in common.
func (l *layout) file() change.File {
	if l.kind == change.KindIncident { // of no relation's columns
		return change.File{Kind: l.kind}
	}
	return change.File{
		Kind: l.kind, Columns: attnums(l.columns), Origin: attnums(l.origin), KeptColumns: l.kept, Pad: l.pad,
		RowHash: l.hash != nil,
	}
}

func attnums(cols []column) []int16 {
	if len(cols) == 0 {
		return nil
	}
	list := make([]int16, len(cols))
	for i := range cols {
		list[i] = cols[i].attnum
	}
	return list
}

// record is the result of writing one row.
type record struct {
	// kept reports whether a value of the row is kept.
	kept   bool
	reason reason
	// at is the column at fault, nil where the whole row is.
	at *column
}

// append appends the record of a row. On a reason other than fits, dst holds
// part of it. A record that is too long is made again without its largest
// values, one after the other.
func (l *layout) append(dst []byte, image, origin change.Tuple, marker []byte) ([]byte, record) {
	begin := len(dst)
	dst, rec := l.appendRecord(dst, image, origin, marker)
	for rec.reason == rowTooLong && l.leaveOut(image) {
		dst, rec = l.appendRecord(dst[:begin], image, origin, marker)
	}
	l.out = nil
	return dst, rec
}

func (l *layout) appendRecord(dst []byte, image, origin change.Tuple, marker []byte) ([]byte, record) {
	begin := len(dst)
	l.misfits = l.misfits[:0]
	var rec record
	if dst, rec = l.appendTuple(dst, image, marker); rec.reason != fits {
		return dst, rec
	}
	if l.kind == change.KindPartial {
		if dst, rec = l.appendPartial(dst, image, origin, marker); rec.reason != fits {
			return dst, rec
		}
	}
	if l.hash != nil {
		dst = append(append(dst, ','), l.hash.text[:]...)
		if l.kind == change.KindMultiset {
			dst = strconv.AppendInt(append(dst, ','), l.copies, 10)
		}
	}
	if l.pad {
		dst = append(dst, ',', '1')
	}
	dst = append(dst, '\n')
	if len(dst)-begin > maxRecord {
		rec.reason = rowTooLong
	}
	return dst, rec
}

// appendTuple appends a field for each of the layout's columns.
func (l *layout) appendTuple(dst []byte, t change.Tuple, marker []byte) ([]byte, record) {
	var v change.Value
	for i := range l.columns {
		c := &l.columns[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		v, t = t.Next()
		r := fits
		switch v.Kind {
		case change.ValueText:
			if l.out != nil && l.out[i] {
				dst, r = l.misfit(dst, c, v.Text, marker, rowTooLong)
				break
			}
			field := len(dst)
			if dst, r = c.append(dst, v.Text, marker); r != fits && r != collides {
				dst, r = l.misfit(dst[:field], c, v.Text, marker, r)
			}
		case change.ValueNull:
			dst = append(dst, marker...)
		case change.ValueUnchanged:
			if c.flag < 0 {
				r = misplacedKept
			}
			dst = append(dst, marker...)
		default:
			r = absent
		}
		if r != fits {
			return dst, record{reason: r, at: c}
		}
	}
	if len(t) > 0 {
		return dst, record{reason: absent}
	}
	return dst, record{}
}

// appendPartial appends the origin key and the flags.
func (l *layout) appendPartial(dst []byte, image, origin change.Tuple, marker []byte) ([]byte, record) {
	var v change.Value
	for i := range l.origin {
		dst = append(dst, ',')
		r := absent
		if v, origin = origin.Next(); v.Kind == change.ValueText {
			dst, r = l.origin[i].append(dst, v.Text, marker)
		}
		if r != fits {
			return dst, record{reason: r, at: &l.origin[i]}
		}
	}
	if len(origin) > 0 {
		return dst, record{reason: absent}
	}
	dst = append(dst, ',')
	if len(l.zeros) == 0 {
		return append(dst, '"', '"'), record{}
	}
	flags := len(dst)
	dst = append(dst, l.zeros...)
	rec := record{}
	for i := range l.columns {
		if v, image = image.Next(); v.Kind == change.ValueUnchanged {
			dst[flags+l.columns[i].flag] = '1'
			rec.kept = true
		}
	}
	return dst, rec
}
