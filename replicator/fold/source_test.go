package fold_test

import (
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/walshift/walshift/replicator/change"
)

// A value of the source in these tests: "-" is NULL; a leading "T" says that
// it is stored TOASTed, so that an update that does not touch it sends "~".
const null = "-"

func toasted(v string) bool { return strings.HasPrefix(v, "T") }

// record is a row of the source, with what the reference model knows of it.
type record struct {
	values []string
	// sent says per column whether the stream carried the value since the
	// segment began; origin is the key that the row had then.
	sent   []bool
	origin string
}

// source is a table as PostgreSQL has it, which writes the stream as pgoutput
// does, and beside it keeps, naively, what a segment must come to.
type source struct {
	rel   *change.Relation
	toast []bool // columns whose values may be TOASTed
	rows  map[string]*record

	// Since the open segment began: the keys that were there then, the keys
	// that changes named, and whether it began with a truncate.
	before   map[string]bool
	touched  map[string]bool
	truncate bool
	counts   change.Counts
	last     uint64
	done     []expected // segments that have ended, not yet cut

	// Of tables without a key: rows made so far, which numbers them, and the
	// copies of each image when the open segment began.
	made   int
	copies map[string]int64
}

// expected is what a segment must hold: rows as words, by key.
type expected struct {
	rel      *change.Relation
	truncate bool
	deletes  map[string]bool
	upserts  map[string]string
	partials map[string]partial
	inserts  map[string]string
	counts   change.Counts
	last     uint64
	// Of a multiset: copies by image.
	added, removed map[string]int64
}

type partial struct {
	image, origin string
	existed       bool
}

// keyOf returns the key columns of a row as words.
func (s *source) keyOf(values []string) string {
	var key []string
	for _, k := range s.rel.Keys {
		key = append(key, values[k])
	}
	return strings.Join(key, " ")
}

// place returns where a new row stands in rows: under its key, or under a
// number of its own.
func (s *source) place(values []string) string {
	if s.rel.HasKey() {
		return s.keyOf(values)
	}
	s.made++
	return fmt.Sprintf("row %d", s.made)
}

// images counts the rows by their image.
func (s *source) images() map[string]int64 {
	count := map[string]int64{}
	for _, r := range s.rows {
		count[strings.Join(r.values, " ")]++
	}
	return count
}

// newSource draws a table and rows that were there before the stream.
func newSource(t *rapid.T, oid uint32) *source {
	n := rapid.IntRange(1, 5).Draw(t, "columns")
	s := &source{rows: map[string]*record{}}
	var names []string
	keys := rapid.SliceOfN(rapid.Bool(), n, n).Draw(t, "keys")
	if !slices.Contains(keys, true) && rapid.IntRange(0, 3).Draw(t, "keyless") > 0 {
		keys[rapid.IntRange(0, n-1).Draw(t, "key")] = true
	}
	identity := rapid.SampledFrom([]change.Identity{'d', 'd', 'i', 'f'}).Draw(t, "identity")
	if rapid.IntRange(0, 3).Draw(t, "multiset") == 0 {
		identity, keys = change.IdentityFull, make([]bool, n)
	}
	for i, key := range keys {
		name := fmt.Sprintf("c%d", i)
		if key {
			name += "*"
		}
		names = append(names, name)
	}
	s.rel = relation(oid, identity, strings.Join(names, " "))
	s.toast = rapid.SliceOfN(rapid.Bool(), n, n).Draw(t, "toast")
	if s.rel.HasKey() || s.rel.Multiset {
		for range rapid.IntRange(0, 6).Draw(t, "rows") {
			values := s.draw(t)
			if key := s.place(values); s.rows[key] == nil {
				s.rows[key] = &record{values: values}
			}
		}
	}
	s.startSegment(false)
	return s
}

// draw draws the values of a row.
func (s *source) draw(t *rapid.T) []string {
	values := make([]string, len(s.rel.Columns))
	for i := range values {
		values[i] = s.drawValue(t, i)
	}
	return values
}

// drawValue draws from few values, so that keys meet.
func (s *source) drawValue(t *rapid.T, column int) string {
	choice := []string{"a", "b", "c"}
	switch {
	case s.toast[column] && s.rel.IsKey(column):
		choice = []string{"a", "Tb", "Tc"}
	case s.toast[column]:
		choice = []string{null, "a", "T1", "T2", "T3", "BIG×90000"}
	case !s.rel.IsKey(column):
		choice = []string{null, "''", "1", "22", "BIG×200"}
	}
	return rapid.SampledFrom(choice).Draw(t, "value")
}

// startSegment begins a segment of the reference model.
func (s *source) startSegment(truncate bool) {
	s.before, s.touched, s.truncate = map[string]bool{}, map[string]bool{}, truncate
	s.counts, s.last, s.copies = change.Counts{}, 0, s.images()
	for key, r := range s.rows {
		s.before[key] = true
		r.sent, r.origin = make([]bool, len(r.values)), key
	}
}

// endSegment notes what the open segment must come to, if it has an effect.
func (s *source) endSegment() {
	e := expected{
		rel: s.rel, truncate: s.truncate, counts: s.counts, last: s.last,
		deletes: map[string]bool{}, upserts: map[string]string{},
		partials: map[string]partial{}, inserts: map[string]string{},
		added: map[string]int64{}, removed: map[string]int64{},
	}
	if s.rel.Multiset {
		s.endMultiset(e)
		return
	}
	for key := range s.touched {
		r := s.rows[key]
		switch {
		case r == nil && s.before[key]:
			e.deletes[key] = true
		case r == nil:
		case slices.Contains(r.sent, false):
			image := slices.Clone(r.values)
			for i := range image {
				if !r.sent[i] {
					image[i] = "~"
				}
			}
			e.partials[key] = partial{strings.Join(image, " "), r.origin, s.before[key]}
		case s.before[key]:
			e.upserts[key] = strings.Join(r.values, " ")
		default:
			e.inserts[key] = strings.Join(r.values, " ")
		}
	}
	if s.truncate || len(e.deletes)+len(e.upserts)+len(e.partials)+len(e.inserts) > 0 {
		s.done = append(s.done, e)
	}
}

// endMultiset is endSegment for a multiset: what there is now against what
// there was.
func (s *source) endMultiset(e expected) {
	now := s.images()
	for image, n := range now {
		if n > s.copies[image] {
			e.added[image] = n - s.copies[image]
		}
	}
	for image, n := range s.copies {
		if n > now[image] {
			e.removed[image] = n - now[image]
		}
	}
	if s.truncate || len(e.added)+len(e.removed) > 0 {
		s.done = append(s.done, e)
	}
}

// cut ends the segment and begins another.
func (s *source) cut() []expected {
	s.endSegment()
	done := s.done
	s.done = nil
	s.startSegment(false)
	return done
}

// insert creates a row, and returns its change.
func (s *source) insert(values []string) change.Row {
	key := s.place(values)
	sent := make([]bool, len(values))
	for i := range sent {
		sent[i] = true
	}
	s.rows[key] = &record{values: values, sent: sent}
	s.touched[key] = true
	s.counts.Inserts++
	return change.Row{Op: change.OpInsert, New: tuple(values...)}
}

// update changes the row under key to values, as PostgreSQL sends it: values
// that are TOASTed and unchanged are left out; the old tuple is the whole row
// under FULL, else the key, if that changed or any of it is TOASTed.
func (s *source) update(key string, values []string) change.Row {
	r := s.rows[key]
	old := r.values
	wire := slices.Clone(values)
	toastedKey := false
	for i := range values {
		if values[i] == old[i] && toasted(old[i]) {
			wire[i] = "~"
			toastedKey = toastedKey || s.rel.IsKey(i)
		}
		r.sent[i] = r.sent[i] || wire[i] != "~" || s.rel.Identity == change.IdentityFull || s.rel.IsKey(i)
	}
	r.values = values
	newKey := key
	if s.rel.HasKey() {
		newKey = s.keyOf(values)
	}
	delete(s.rows, key)
	s.rows[newKey] = r
	s.touched[key], s.touched[newKey] = true, true
	s.counts.Updates++

	row := change.Row{Op: change.OpUpdate, New: tuple(wire...)}
	if s.rel.Identity == change.IdentityFull || newKey != key || toastedKey {
		row.OldKind, row.Old = s.oldTuple(old)
	}
	return row
}

// remove deletes the row under key.
func (s *source) remove(key string) change.Row {
	row := change.Row{Op: change.OpDelete}
	row.OldKind, row.Old = s.oldTuple(s.rows[key].values)
	delete(s.rows, key)
	s.touched[key] = true
	s.counts.Deletes++
	return row
}

func (s *source) oldTuple(values []string) (change.OldKind, change.Tuple) {
	if s.rel.Identity == change.IdentityFull {
		return change.OldFull, tuple(values...)
	}
	key := make([]string, len(values))
	for i := range key {
		key[i] = null
		if s.rel.IsKey(i) {
			key[i] = values[i]
		}
	}
	return change.OldKey, tuple(key...)
}

// clear is a TRUNCATE.
func (s *source) clear() {
	if s.counts.Total() > 0 {
		s.endSegment()
		s.startSegment(true)
	}
	s.rows, s.before, s.truncate, s.copies = map[string]*record{}, map[string]bool{}, true, nil
	s.counts.Truncates++
}

// alter makes the table a new version, under which all values are the same.
func (s *source) alter() {
	s.endSegment()
	rel := *s.rel
	rel.Columns = slices.Clone(rel.Columns)
	rel.Columns[0].Name += "x"
	s.rel = &rel
	s.startSegment(false)
}
