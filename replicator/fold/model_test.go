package fold_test

import (
	"flag"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pglogrepl"
	"pgregory.net/rapid"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/fold"
)

// TestMain gives the property tests more cases than rapid's default of 100;
// RAPID_CHECKS or -rapid.checks ask for others.
func TestMain(m *testing.M) {
	if os.Getenv("RAPID_CHECKS") == "" {
		if err := flag.Set("rapid.checks", "2000"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// world is some tables, the folder under test, and the target that its
// segments are applied to.
type world struct {
	folder  *fold.Folder
	sources []*source
	targets map[uint32]target
	commit  uint64
	dirty   bool // something was folded since the last cut
	// held are segments that were not released yet, with their content as it
	// was when they came: it must stay so while others are released.
	held []heldSegment
	wg   sync.WaitGroup
}

type heldSegment struct {
	segment *change.Segment
	content string
}

// target is a table of the warehouse: rows as words, by key. Rows of tables
// without a key stand under themselves, with their number.
type target struct {
	rows  map[string][]string
	count map[string]int
}

// TestFoldedEqualsApplied: any changes, cut anywhere into any number of
// segments, give the same tables when the segments are applied as when the
// changes are; every segment holds exactly what the reference model says; and
// every number that apply checks against the manifest comes out.
func TestFoldedEqualsApplied(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := &world{
			folder:  fold.New(fold.Config{IdleBytes: rapid.SampledFrom([]int64{0, -1, 300 << 10}).Draw(t, "idle")}),
			targets: map[uint32]target{},
		}
		for i := range rapid.IntRange(1, 3).Draw(t, "tables") {
			s := newSource(t, uint32(100+i))
			w.sources = append(w.sources, s)
			tg := target{rows: map[string][]string{}, count: map[string]int{}}
			for key, r := range s.rows {
				if s.rel.Multiset {
					tg.count[strings.Join(r.values, " ")]++
					continue
				}
				tg.rows[key] = slices.Clone(r.values)
			}
			w.targets[s.rel.OID] = tg
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			w.step(t)
		}
		w.cut(t)
		w.releaseHeld(t, len(w.held))
		w.wg.Wait()
	})
}

// step does one random thing.
func (w *world) step(t *rapid.T) {
	s := w.sources[rapid.IntRange(0, len(w.sources)-1).Draw(t, "table")]
	if rapid.IntRange(0, 3).Draw(t, "commit") == 0 {
		w.commit++
	}
	keys := slices.Sorted(maps.Keys(s.rows))
	switch what := rapid.IntRange(0, 19).Draw(t, "step"); {
	case what == 0:
		w.cut(t)
	case what == 1:
		s.clear()
		w.dirty = true
		s.last = w.commit
		w.folder.Truncate(s.rel, pglogrepl.LSN(w.commit))
	case what == 2:
		s.alter()
	case what == 3: // the same version, told again
		rel := *s.rel
		s.rel = &rel
	case what < 8 || len(keys) == 0 || !s.rel.HasKey() && !s.rel.Multiset:
		if values := s.draw(t); !s.rel.HasKey() || s.rows[s.keyOf(values)] == nil {
			w.change(t, s, s.insert(values))
		}
	case what < 10:
		w.change(t, s, s.remove(rapid.SampledFrom(keys).Draw(t, "delete")))
	case what < 13 && len(keys) > 1 && s.rel.HasKey():
		w.rotate(t, s, keys)
	default:
		w.update(t, s, rapid.SampledFrom(keys).Draw(t, "update"))
	}
	if w.folder.Empty() == w.dirty {
		t.Fatalf("Empty is %t", w.folder.Empty())
	}
}

// update changes some columns of a row, sometimes its key.
func (w *world) update(t *rapid.T, s *source, key string) {
	values := slices.Clone(s.rows[key].values)
	for i := range values {
		chance := 1
		if s.rel.IsKey(i) {
			chance = 3
		}
		if rapid.IntRange(0, chance).Draw(t, "change") == 0 {
			values[i] = s.drawValue(t, i)
		}
	}
	if k := s.keyOf(values); s.rel.Multiset || k == key || s.rows[k] == nil {
		w.change(t, s, s.update(key, values))
	}
}

// rotate moves two or more rows round in a circle of keys, by way of a key
// that nobody has; each move may change other columns.
func (w *world) rotate(t *rapid.T, s *source, keys []string) {
	n := rapid.IntRange(2, len(keys)).Draw(t, "circle")
	circle := rapid.Permutation(keys).Draw(t, "keys")[:n]
	images := make([][]string, n)
	for i, k := range circle {
		images[i] = slices.Clone(s.rows[k].values)
	}
	move := func(from string, to []string) {
		values := slices.Clone(s.rows[from].values)
		for i := range values {
			switch {
			case s.rel.IsKey(i):
				values[i] = to[i]
			case rapid.IntRange(0, 2).Draw(t, "and") == 0:
				values[i] = s.drawValue(t, i)
			}
		}
		w.change(t, s, s.update(from, values))
	}
	temporary := slices.Clone(images[0])
	for _, k := range s.rel.Keys {
		temporary[k] = "temporary"
	}
	if s.rows[s.keyOf(temporary)] != nil {
		return
	}
	move(circle[0], temporary)
	for i := 1; i < n; i++ {
		move(circle[i], images[i-1])
		if rapid.IntRange(0, 9).Draw(t, "cut inside") == 0 {
			w.cut(t)
		}
	}
	if rapid.IntRange(0, 3).Draw(t, "stay") > 0 {
		move(s.keyOf(temporary), images[n-1])
	}
}

// change folds a row whose buffer is then used for something else.
func (w *world) change(t *rapid.T, s *source, row change.Row) {
	s.last, w.dirty = w.commit, true
	before := w.folder.Bytes()
	if err := w.folder.Change(s.rel, row, pglogrepl.LSN(w.commit)); err != nil {
		t.Fatalf("folding %c K(%s) N(%s): %v", row.Op, words(row.Old), words(row.New), err)
	}
	if before == 0 && w.folder.Bytes() == 0 {
		t.Fatal("Bytes is 0 after a change")
	}
	for _, b := range []change.Tuple{row.Old, row.New} {
		for i := range b {
			b[i] = '!'
		}
	}
}

// cut seals, compares with the reference, and applies.
func (w *world) cut(t *rapid.T) {
	w.dirty = false
	bytes := w.folder.Bytes()
	segments := w.folder.Cut()
	if !w.folder.Empty() || w.folder.Bytes() != 0 {
		t.Fatalf("after a cut: empty %t, %d bytes", w.folder.Empty(), w.folder.Bytes())
	}
	want := map[uint32][]expected{}
	total := 0
	for _, s := range w.sources {
		want[s.rel.OID] = s.cut()
		total += len(want[s.rel.OID])
	}
	if len(segments) != total {
		t.Fatalf("got %d segments, want %d", len(segments), total)
	}
	var held int64
	for _, got := range segments {
		oid := got.Relation.OID
		compare(t, got, want[oid][0])
		want[oid] = want[oid][1:]
		apply(t, w.targets[oid], got)
		held += got.Bytes
		w.held = append(w.held, heldSegment{got, content(got)})
	}
	if held > bytes {
		t.Fatalf("Bytes was %d, the sealed segments hold %d", bytes, held)
	}
	for _, s := range w.sources {
		w.compareTarget(t, s)
	}
	w.releaseHeld(t, rapid.IntRange(0, len(w.held)).Draw(t, "release"))
}

// releaseHeld checks and releases the first n segments, elsewhere.
func (w *world) releaseHeld(t *rapid.T, n int) {
	for _, h := range w.held[:n] {
		if got := content(h.segment); got != h.content {
			t.Fatalf("segment changed before it was released:\n%s\nwas\n%s", got, h.content)
		}
		w.wg.Go(h.segment.Release)
	}
	w.held = w.held[n:]
}

func content(s *change.Segment) string {
	var out strings.Builder
	copied := *s
	copied.Free = nil
	show(&out, []*change.Segment{&copied})
	return out.String()
}

// compare checks that a segment holds what the reference model says.
func compare(t *rapid.T, got *change.Segment, want expected) {
	if got.Relation.Diff(want.rel) != "" || got.Truncate != want.truncate || got.Changes != want.counts ||
		uint64(got.Last) != want.last {
		t.Fatalf("got segment of %v, truncate %t, %+v, last %d; want %v, %t, %+v, %d", got.Relation, got.Truncate,
			got.Changes, got.Last, want.rel, want.truncate, want.counts, want.last)
	}
	if got.Relation.Multiset {
		if a, r := copiesOf(t, got.Inserts), copiesOf(t, got.Removed); !maps.Equal(a, want.added) || !maps.Equal(r, want.removed) {
			t.Fatalf("got inserts %v and removed %v, want %v and %v", a, r, want.added, want.removed)
		}
		return
	}
	if !got.Relation.HasKey() {
		images := slices.Sorted(maps.Values(want.inserts))
		if inserts := sortedWords(got.Inserts.Images); !slices.Equal(inserts, images) {
			t.Fatalf("got inserts %q, want %q", inserts, images)
		}
		return
	}
	deletes, upserts, inserts := map[string]bool{}, map[string]string{}, map[string]string{}
	partials := map[string]partial{}
	for _, k := range got.Deletes.Images {
		deletes[words(k)] = true
	}
	for _, i := range got.Upserts.Images {
		upserts[keyWords(got.Relation, i)] = words(i)
	}
	for _, i := range got.Inserts.Images {
		inserts[keyWords(got.Relation, i)] = words(i)
	}
	for n, i := range got.Partials.Images {
		partials[keyWords(got.Relation, i)] = partial{words(i), words(got.Partials.Origins[n]), got.Partials.Existed[n]}
	}
	for _, c := range []struct{ what, got, want any }{
		{"deletes", deletes, want.deletes},
		{"upserts", upserts, want.upserts},
		{"partials", partials, want.partials},
		{"inserts", inserts, want.inserts},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Fatalf("got %s %v, want %v", c.what, c.got, c.want)
		}
	}
}

// copiesOf returns the copies by image, each of which is there once.
func copiesOf(t *rapid.T, rows change.Rows) map[string]int64 {
	out := map[string]int64{}
	for i, image := range rows.Images {
		if out[words(image)] != 0 || rows.Copies[i] < 1 {
			t.Fatalf("image %s is there twice, or %d times", words(image), rows.Copies[i])
		}
		out[words(image)] = rows.Copies[i]
	}
	return out
}

func sortedWords(images []change.Tuple) []string {
	var out []string
	for _, i := range images {
		out = append(out, words(i))
	}
	slices.Sort(out)
	return out
}

func keyWords(rel *change.Relation, image change.Tuple) string {
	all := strings.Fields(words(image))
	var key []string
	for _, k := range rel.Keys {
		key = append(key, all[k])
	}
	return strings.Join(key, " ")
}
