package compact_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift/compact"
)

const marker = "~N00000000"

// cell is a value of the model; nil is NULL.
type cell *string

// world is a table as segments change it: rows of key, a, b by key.
type world map[string][]cell

func relation() *change.Relation {
	column := func(attnum int16, name string) change.Column {
		return change.Column{Attnum: attnum, Name: name, Type: "text", TypeKind: "b", Typmod: -1}
	}
	return &change.Relation{
		OID: 7, Schema: "public", Name: "t", Keys: []int{1},
		Columns: []change.Column{column(1, "a"), column(2, "id"), column(5, "b")},
	}
}

// segment is what capture would write of one step of the world.
type segment struct {
	truncate                           bool
	deletes, upserts, partials, insert []string
	existed                            int64
}

func field(v cell) string {
	switch {
	case v == nil:
		return marker
	case *v == "" || strings.ContainsAny(*v, "\",\n"):
		return `"` + strings.ReplaceAll(*v, `"`, `""`) + `"`
	}
	return *v
}

func record(fields ...cell) string {
	var parts []string
	for _, f := range fields {
		parts = append(parts, field(f))
	}
	return strings.Join(parts, ",") + "\n"
}

func (s *segment) files() []compact.File {
	var files []compact.File
	add := func(kind change.Kind, records []string, f change.File) {
		if len(records) > 0 {
			f.Kind, f.Key, f.Rows, f.NullMarker = kind, string(kind), int64(len(records)), marker
			files = append(files, compact.File{Entry: &f, Records: []byte(strings.Join(records, ""))})
		}
	}
	add(change.KindDelete, s.deletes, change.File{Columns: []int16{2}, Pad: true})
	add(change.KindPartial, s.partials, change.File{
		Columns: []int16{1, 2, 5}, Origin: []int16{2}, KeptColumns: []int16{1, 5}, Existed: s.existed,
	})
	add(change.KindUpsert, s.upserts, change.File{Columns: []int16{1, 2, 5}})
	add(change.KindInsert, s.insert, change.File{Columns: []int16{1, 2, 5}})
	return files
}

func one() cell { v := "1"; return &v }

// step draws a permutation of what the world holds: rows stay, go, change,
// move to free keys and to keys that others leave, and come; changed ones may
// keep a, b or both.
func (w world) step(t *rapid.T) *segment {
	s := &segment{}
	if rapid.IntRange(0, 9).Draw(t, "truncate") == 0 {
		s.truncate = true
		clear(w)
	}
	values := rapid.SampledFrom([]string{"", "x", "y,z", "q\"", "line\nbreak", " "})
	value := func() cell {
		if rapid.IntRange(0, 4).Draw(t, "null") == 0 {
			return nil
		}
		v := values.Draw(t, "value")
		return &v
	}
	keys := slices.Sorted(maps.Keys(w))
	free := func(next world) (string, bool) {
		k := fmt.Sprint(rapid.IntRange(0, 9).Draw(t, "key"))
		return k, next[k] == nil
	}
	next := make(world)
	origins := make(map[string]string) // by the row's new key
	for _, k := range keys {
		switch rapid.SampledFrom([]string{"same", "touch", "go", "move"}).Draw(t, "what") {
		case "same":
			if next[k] == nil {
				next[k] = w[k]
			}
		case "touch":
			if next[k] == nil {
				next[k], origins[k] = w[k], k
			}
		case "move":
			if to, ok := free(next); ok && to != k {
				next[to], origins[to] = w[k], k
			}
		}
	}
	for range rapid.IntRange(0, 3).Draw(t, "inserts") {
		if k, ok := free(next); ok {
			next[k], origins[k] = []cell{value(), &k, value()}, ""
		}
	}
	for _, k := range keys {
		if next[k] == nil {
			s.deletes = append(s.deletes, record(&k, one()))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(origins)) {
		w.write(t, s, next, move{k, origins[k], value})
	}
	clear(w)
	maps.Copy(w, next)
	return s
}

// move is a row that now stands under key and came from origin, "" if it is new.
type move struct {
	key, origin string
	value       func() cell
}

// write puts the row that moved into the segment.
func (w world) write(t *rapid.T, s *segment, next world, m move) {
	key, origin := m.key, m.origin
	row := slices.Clone(next[key])
	row[1] = &key
	keepA, keepB := false, false
	if origin != "" {
		keepA, keepB = rapid.Bool().Draw(t, "keep a"), rapid.Bool().Draw(t, "keep b")
	}
	image := slices.Clone(row)
	flags := "00"
	for i, keep := range map[int]bool{0: keepA, 2: keepB} {
		switch {
		case keep:
			image[i] = nil
			flags = flags[:i/2] + "1" + flags[i/2+1:]
		case origin != "":
			row[i] = m.value()
			image[i] = row[i]
		}
	}
	next[key] = row
	_, existed := w[key]
	switch {
	case keepA || keepB:
		if existed {
			s.existed++
		}
		s.partials = append(s.partials, record(image[0], image[1], image[2], &origin, &flags))
	case existed:
		s.upserts = append(s.upserts, record(image...))
	default:
		s.insert = append(s.insert, record(image...))
	}
}

func cellOf(field []byte) cell {
	if field == nil {
		return nil
	}
	v := string(field)
	if strings.HasPrefix(v, `"`) {
		v = strings.ReplaceAll(v[1:len(v)-1], `""`, `"`)
	}
	return &v
}

// apply does to the target what the statements do: fill, remove, insert.
func apply(target world, r compact.Result) error {
	if r.Truncated {
		clear(target)
	}
	rows := make([][]cell, len(r.Rows))
	for i, row := range r.Rows {
		for c, v := range row.Image {
			rows[i] = append(rows[i], cellOf(v))
			if row.Kept != nil && row.Kept[c] {
				old := target[*cellOf(row.Origin[0])]
				if old == nil {
					return errors.New("nothing to fill from")
				}
				rows[i][c] = old[c]
			}
		}
	}
	var removed int64
	for i, row := range r.Rows {
		if key := *rows[i][1]; row.Op != compact.Insert && target[key] != nil {
			delete(target, key)
			removed++
		}
	}
	if removed != r.Existed {
		return fmt.Errorf("%d rows removed, %d expected", removed, r.Existed)
	}
	for i, row := range r.Rows {
		if key := *rows[i][1]; row.Op != compact.Delete {
			if target[key] != nil {
				return fmt.Errorf("key %q stands there twice", key)
			}
			target[key] = rows[i]
		}
	}
	return nil
}

func show(w world) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(w)) {
		fmt.Fprintf(&b, "%s:%s", k, record(w[k]...))
	}
	return b.String()
}

// TestR4FoldedSegmentsEqualTheirSequence: the net effect of several segments is
// what they do one after another, through truncates, kept columns, swaps and
// chains of keys (R1 to R5).
func TestR4FoldedSegmentsEqualTheirSequence(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		source, target := make(world), make(world)
		for range rapid.IntRange(1, 3).Draw(t, "runs") {
			fold := compact.New(relation(), marker)
			for range rapid.IntRange(1, 5).Draw(t, "segments") {
				s := source.step(t)
				if err := fold.Add(s.truncate, s.files()); err != nil {
					t.Fatal(err)
				}
			}
			if err := apply(target, fold.Result()); err != nil {
				t.Fatal(err)
			}
			if got, want := show(target), show(source); got != want {
				t.Fatalf("target\n%s\nsource\n%s", got, want)
			}
		}
	})
}

func text(v string) cell { return &v }

func TestContradictions(t *testing.T) {
	t.Parallel()
	row := record(text("a"), text("1"), text("b"))
	for name, segments := range map[string][]segment{
		"deleted twice":          {{deletes: []string{record(text("1"), one())}}, {deletes: []string{record(text("1"), one())}}},
		"inserted twice":         {{insert: []string{row}}, {insert: []string{row}}},
		"updated after delete":   {{deletes: []string{record(text("1"), one())}}, {upserts: []string{row}}},
		"deleted after truncate": {{truncate: true, deletes: []string{record(text("1"), one())}}},
		"updated after truncate": {{truncate: true, upserts: []string{row}}},
		"kept after truncate": {{truncate: true, partials: []string{
			record(nil, text("1"), text("b"), text("1"), text("10")),
		}}},
		"kept after delete": {
			{deletes: []string{record(text("1"), one())}},
			{partials: []string{record(nil, text("2"), text("b"), text("1"), text("10"))}},
		},
		"too many existed": {{existed: 2, partials: []string{record(nil, text("1"), text("b"), text("1"), text("10"))}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fold := compact.New(relation(), marker)
			var err error
			for i := range segments {
				if err = fold.Add(segments[i].truncate, segments[i].files()); err != nil {
					break
				}
			}
			if !errors.Is(err, compact.ErrContradiction) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

// TestW3ForeignMarker: a value that equals the marker to be written is no NULL.
func TestW3ForeignMarker(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"~Nffffffff", `" ~Nffffffff"`} {
		fold := compact.New(relation(), "~Nffffffff")
		s := segment{insert: []string{"x,1," + value + "\n"}}
		if err := fold.Add(false, s.files()); !errors.Is(err, compact.ErrMarker) {
			t.Fatalf("value %s: %v", value, err)
		}
	}
	fold := compact.New(relation(), "~Nffffffff")
	s := segment{insert: []string{"x,1," + marker + "\n"}}
	if err := fold.Add(false, s.files()); err != nil {
		t.Fatal(err)
	}
	if r := fold.Result(); len(r.Rows) != 1 || r.Rows[0].Image[2] != nil {
		t.Fatalf("got %v", r)
	}
}

func TestW7LargeValuesTravelAlone(t *testing.T) {
	t.Parallel()
	fold := compact.New(relation(), marker)
	s := segment{insert: []string{"x,1," + strings.Repeat("y", 65_000) + "\n"}}
	if err := fold.Add(false, s.files()); !errors.Is(err, compact.ErrLarge) {
		t.Fatalf("got %v", err)
	}
}

func TestKeylessTablesKeepDuplicates(t *testing.T) {
	t.Parallel()
	rel := relation()
	rel.Keys = nil
	fold := compact.New(rel, marker)
	s := segment{insert: []string{"x,1,y\n", "x,1,y\n"}}
	for range 2 {
		if err := fold.Add(false, s.files()); err != nil {
			t.Fatal(err)
		}
	}
	if r := fold.Result(); len(r.Rows) != 4 || r.Rows[0].Op != compact.Insert {
		t.Fatalf("got %v", r)
	}
}

// FuzzRecords: whatever an object holds, reading it ends in rows or an error.
func FuzzRecords(f *testing.F) {
	for _, seed := range []string{"a,1,b\n", "\"a\"\"\n\",1,\n", "\"", "a\"b,1,c\n", "a,1,b", ",,\n", "\"a\"x,1,b\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, records []byte) {
		file := change.File{
			Kind: change.KindInsert, Key: "k", Rows: int64(bytes.Count(records, []byte("\n"))),
			Columns: []int16{1, 2, 5}, NullMarker: marker,
		}
		fold := compact.New(relation(), marker)
		if err := fold.Add(false, []compact.File{{Entry: &file, Records: records}}); err != nil {
			return
		}
		var out []byte
		for _, row := range fold.Result().Rows {
			for i, v := range row.Image {
				if i > 0 {
					out = append(out, ',')
				}
				if v == nil {
					v = []byte(marker)
				}
				out = append(out, v...)
			}
			out = append(out, '\n')
		}
		if !bytes.Equal(out, records) {
			t.Fatalf("%q came out as %q", records, out)
		}
	})
}
