// Package compact folds the small data files of one table, from consecutive
// segments of the log, into their net effect: what capture does inside of a
// segment, done once more over many segments at apply. It is pure: files come
// as their records, and what it returns is rows.
//
// Invariants:
//
//  1. The rows returned have, applied to the target by deletes and then
//     inserts, exactly the effect of the segments applied one after another.
//  2. A key stands in at most one row.
//  3. Values are not decoded: a field goes out byte by byte as it came in, so
//     that COPY reads what it would have read.
//  4. Segments that contradict each other (a row deleted that is not there) are
//     an error, never a guess.
//
// Not safe for concurrent use; different tables are independent.
package compact

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/walshift/walshift/replicator/change"
)

// Errors of [Table.Add]. After any of them the table must not be used.
var (
	// ErrContradiction reports segments that don't follow each other.
	ErrContradiction = errors.New("the log contradicts itself")
	// ErrMarker reports a value that equals the marker NULLs will have.
	ErrMarker = errors.New("a value equals the null marker")
	// ErrLarge reports a value that should not travel with others.
	ErrLarge = errors.New("a value is too large to share a staging table")
)

// Op says what is done with a row's key.
type Op int

// The ops. Delete and Replace stand for keys that the target has.
const (
	Delete Op = iota + 1
	Replace
	Insert
)

// Row is the net effect on one key. Its memory belongs to the records given to
// [Table.Add].
type Row struct {
	Op Op
	// Image has a field per column of the relation, nil for NULL and, in a
	// Delete, for all columns but the key's.
	Image [][]byte
	// Kept says which columns keep the value that the target has under Origin
	// when nothing has been applied yet; nil if none.
	Kept   []bool
	Origin [][]byte // a field per key column; nil unless Kept is set
}

// File is a data file with its records, uncompressed.
type File struct {
	Entry   *change.File
	Records []byte
}

// Table folds the segments of one version of one relation.
type Table struct {
	rel    *change.Relation
	marker []byte
	place  map[int16]int // of each attnum in the relation

	truncated bool
	rows      map[string]*entry
	order     []*entry
	// existed is the number of keys that the target has, among all rows.
	existed int64

	fields [][]byte // of the record being read
	key    []byte
}

// entry is what has become of a key.
type entry struct {
	row Row
	// existed says whether the target has the key.
	existed existence
	// present says whether there is a row under the key after the last segment.
	present bool
}

// existence of a key in the target. Partial files say how many of their rows
// existed, not which, and that is not always to be found out.
type existence int

const (
	never existence = iota
	surely
	perhaps
)

// New returns a Table. marker is what the NULLs of its rows will be written as.
func New(rel *change.Relation, marker string) *Table {
	t := &Table{
		rel: rel, marker: []byte(marker), place: make(map[int16]int, len(rel.Columns)),
		rows: make(map[string]*entry),
	}
	for i := range rel.Columns {
		t.place[rel.Columns[i].Attnum] = i
	}
	return t
}

// Result is the net effect of all segments.
type Result struct {
	// Truncated says that the target is emptied before anything else.
	Truncated bool
	// Rows stand in the order in which their keys first appeared.
	Rows []Row
	// Existed is how many of the keys of Delete and Replace rows the target
	// has: fewer than such rows where it can't be known of each row.
	Existed int64
}

// Result returns the net effect. The table must not be used afterwards.
func (t *Table) Result() Result {
	r := Result{Truncated: t.truncated, Existed: t.existed, Rows: make([]Row, 0, len(t.order))}
	for _, e := range t.order {
		switch {
		case e.present && e.existed == never:
			e.row.Op = Insert
		case e.present:
			e.row.Op = Replace
		case e.existed == never:
			continue // came and went
		default:
			e.row.Op = Delete
		}
		r.Rows = append(r.Rows, e.row)
	}
	return r
}

// Add folds the next segment in. It keeps the records, which must not change.
func (t *Table) Add(truncate bool, files []File) error {
	if truncate {
		t.truncated, t.existed, t.order = true, 0, nil
		clear(t.rows)
	}
	partials, err := t.partials(files)
	if err != nil {
		return err
	}
	if err := t.each(files, change.KindDelete, t.remove); err != nil {
		return err
	}
	for _, p := range partials {
		if err := t.write(p.row, p.existed); err != nil {
			return err
		}
	}
	if err := t.each(files, change.KindUpsert, func(r Row) error { return t.write(r, surely) }); err != nil {
		return err
	}
	return t.each(files, change.KindInsert, func(r Row) error { return t.write(r, never) })
}

// each reads the rows of the files of one kind.
func (t *Table) each(files []File, kind change.Kind, do func(Row) error) error {
	for _, f := range files {
		if f.Entry.Kind != kind {
			continue
		}
		if err := t.file(f, do); err != nil {
			return fmt.Errorf("folding file %s: %w", f.Entry.Key, err)
		}
	}
	return nil
}

// partial is a row with kept columns. It can be written only when the segment's
// deletes are done, but is filled from what the segment found.
type partial struct {
	row Row
	// existed says whether its key had a row when the segment began.
	existed existence
}

// partials reads the segment's partial rows and fills what can be filled.
func (t *Table) partials(files []File) ([]partial, error) {
	var list []partial
	var existed, sure, open int64
	for i := range files {
		if files[i].Entry.Kind == change.KindPartial {
			existed += files[i].Entry.Existed
		}
	}
	err := t.each(files, change.KindPartial, func(r Row) error {
		p := partial{row: r, existed: t.partialExisted(r)}
		switch p.existed {
		case surely:
			sure++
		case perhaps:
			open++
		case never:
		}
		if err := t.fill(&p.row); err != nil {
			return err
		}
		list = append(list, p)
		return nil
	})
	if err != nil {
		return nil, err
	}
	rest := existed - sure
	switch {
	case rest < 0 || rest > open:
		return nil, fmt.Errorf("%w: %d partial rows existed, between %d and %d can have", ErrContradiction, existed, sure, sure+open)
	case open == 0:
		return list, nil
	}
	for i := range list {
		switch {
		case list[i].existed != perhaps:
		case rest == 0:
			list[i].existed = never
		case rest == open:
			list[i].existed = surely
		}
	}
	if rest > 0 && rest < open {
		t.existed += rest // write counts only those that it can tell
	}
	return list, nil
}

// partialExisted says whether a partial row's key had a row when the segment
// began: before anything of the segment has been written.
func (t *Table) partialExisted(r Row) existence {
	e := t.rows[string(t.keyOf(r.Image))]
	switch {
	case e != nil && e.present:
		return surely
	case e != nil || t.truncated:
		return never
	case t.sameKey(r):
		return surely
	}
	return perhaps
}

func (t *Table) sameKey(r Row) bool {
	for i, k := range t.rel.Keys {
		if !bytes.Equal(r.Image[k], r.Origin[i]) {
			return false
		}
	}
	return true
}

// fill gives a row the values of its kept columns from the row that stands
// under its origin key, where one of the segments before has brought it.
func (t *Table) fill(r *Row) error {
	if r.Kept == nil {
		r.Origin = nil
		return nil
	}
	base := t.rows[string(t.appendKey(t.key[:0], r.Origin))]
	switch {
	case base == nil && !t.truncated:
		return nil
	case base == nil || !base.present:
		return fmt.Errorf("%w: a row keeps values of a row that is not there", ErrContradiction)
	}
	left := false
	for i, kept := range r.Kept {
		switch {
		case !kept:
		case base.row.Kept != nil && base.row.Kept[i]:
			left = true
		default:
			r.Image[i], r.Kept[i] = base.row.Image[i], false
		}
	}
	r.Origin = base.row.Origin
	if !left {
		r.Kept, r.Origin = nil, nil
	}
	return nil
}

// remove notes that a key's row is gone.
func (t *Table) remove(r Row) error {
	key := t.keyOf(r.Image)
	e := t.rows[string(key)]
	switch {
	case e == nil && t.truncated, e != nil && !e.present:
		return fmt.Errorf("%w: a row is deleted that is not there", ErrContradiction)
	case e == nil:
		e = t.enter(key, surely)
	}
	e.row, e.present = r, false
	return nil
}

// write notes that a row stands under its key, which had one before if existed
// says so.
func (t *Table) write(r Row, existed existence) error {
	if len(t.rel.Keys) == 0 {
		t.order = append(t.order, &entry{row: r, present: true})
		return nil
	}
	key := t.keyOf(r.Image)
	e := t.rows[string(key)]
	switch {
	case e == nil && existed == surely && t.truncated, e != nil && existed == surely && !e.present:
		return fmt.Errorf("%w: a row is updated that is not there", ErrContradiction)
	case e != nil && existed == never && e.present:
		return fmt.Errorf("%w: a row is inserted that is there", ErrContradiction)
	case e == nil:
		e = t.enter(key, existed)
	}
	e.row, e.present = r, true
	return nil
}

func (t *Table) enter(key []byte, existed existence) *entry {
	e := &entry{existed: existed}
	if existed == surely {
		t.existed++
	}
	t.rows[string(key)] = e
	t.order = append(t.order, e)
	return e
}

// keyOf returns the identity of an image's key, valid until the next call.
// Equal values have equal bytes, for one encoder has written them all.
func (t *Table) keyOf(image [][]byte) []byte {
	t.key = t.key[:0]
	for _, k := range t.rel.Keys {
		t.key = appendPart(t.key, image[k])
	}
	return t.key
}

func (t *Table) appendKey(dst []byte, key [][]byte) []byte {
	for _, part := range key {
		dst = appendPart(dst, part)
	}
	t.key = dst
	return dst
}

func appendPart(dst, part []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(part)))
	return append(dst, part...)
}
