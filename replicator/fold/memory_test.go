package fold_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/fold"
)

// heap returns the bytes that are in use after a collection.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// workload folds n changes of all sorts over about n/3 keys.
func workload(t *testing.T, f *fold.Folder, rel *change.Relation, n int) {
	t.Helper()
	doc := strings.Repeat("d", 60)
	row := change.Row{}
	text := func(b change.Tuple, s string) change.Tuple {
		return change.AppendValue(b, change.Value{Kind: change.ValueText, Text: []byte(s)})
	}
	rnd := uint32(n)
	gone := map[uint32]bool{}
	for i := range n {
		rnd = rnd*1664525 + 1013904223
		id := rnd >> 8 % uint32(n/3)
		if gone[id] {
			continue
		}
		row.Op, row.OldKind = change.OpUpdate, change.OldNone
		row.New = text(row.New[:0], fmt.Sprint(id))
		row.New = text(row.New, fmt.Sprint(i))
		switch {
		case rnd>>4%16 == 0:
			gone[id] = true
			row.Op, row.OldKind, row.New = change.OpDelete, change.OldKey, nil
			row.Old = append(text(row.Old[:0], fmt.Sprint(id)), 'n', 'n')
		case rnd>>4%16 < 6:
			row.New = append(row.New, change.ValueUnchanged)
		default:
			row.New = text(row.New, doc[:i%60])
		}
		if err := f.Change(rel, row, 1); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBytesBoundsTheHeap measures what a folder, and then its sealed segments,
// really hold.
func TestBytesBoundsTheHeap(t *testing.T) { //nolint:paralleltest // it measures the heap
	const slack = 256 << 10 // scratch, and what the runtime does meanwhile
	rel := relation(1, change.IdentityDefault, "id* v doc")
	for _, n := range []int{10, 1_000, 20_000, 120_000} {
		f := fold.New(fold.Config{IdleBytes: -1})
		empty := heap()
		workload(t, f, rel, n)
		open := heap() - empty
		counted := f.Bytes()
		if open > counted+slack {
			t.Errorf("%d changes: folder holds %d bytes, and says %d", n, open, counted)
		}
		if counted > 2*open+slack {
			t.Errorf("%d changes: folder says %d bytes, and holds %d", n, counted, open)
		}
		segments := f.Cut()
		if sealed := heap() - empty; sealed > segments[0].Bytes+slack || segments[0].Bytes > counted {
			t.Errorf("%d changes: segment holds %d bytes, and says %d; open it said %d",
				n, sealed, segments[0].Bytes, counted)
		}
		runtime.KeepAlive(segments)
		runtime.KeepAlive(f)
	}
}

// TestBytesBoundsTheHeapOfLargeRows: the chunks that Bytes says are freed are.
func TestBytesBoundsTheHeapOfLargeRows(t *testing.T) { //nolint:paralleltest // it measures the heap
	rel := relation(1, change.IdentityDefault, "id* v")
	f := fold.New(fold.Config{})
	empty := heap()
	for i := range 20 {
		mustChange(t, f, rel, fmt.Sprintf("update 1 BIG×%d", 1<<20+i))
	}
	if open := heap() - empty; open > f.Bytes()+256<<10 {
		t.Errorf("folder holds %d bytes, and says %d", open, f.Bytes())
	}
	runtime.KeepAlive(f)
}

// TestBytesCountsEveryPart: of each deleted key its text, an entry, its share
// of a hash table that is at most three quarters full, and a tuple to come.
func TestBytesCountsEveryPart(t *testing.T) {
	t.Parallel()
	const n = 49_000 // nearly three quarters of 65,536
	f := fold.New(fold.Config{})
	rel := relation(1, change.IdentityDefault, "id*")
	for i := range n {
		mustChange(t, f, rel, fmt.Sprintf("delete K %07d", i))
	}
	const key, entry, tuple = 1 + 4 + 7, 9 * 4, 24
	if least := int64(n*(key+entry+tuple) + 65_536*8); f.Bytes() < least || f.Bytes() > least*11/10 {
		t.Errorf("Bytes is %d, the parts come to %d", f.Bytes(), least)
	}
}

// TestWideRowsWasteLittle: an image that fills more than half of a chunk does
// not leave the rest unused.
func TestWideRowsWasteLittle(t *testing.T) {
	t.Parallel()
	f := fold.New(fold.Config{})
	rel := relation(1, change.IdentityDefault, "id* v")
	for i := range 30 {
		mustChange(t, f, rel, fmt.Sprintf("insert %d BIG×140000", i))
	}
	if most := int64(30 * 140_000 * 11 / 10); f.Bytes() > most {
		t.Errorf("Bytes is %d, above %d", f.Bytes(), most)
	}
}

func TestIdleBytesIsKept(t *testing.T) { //nolint:paralleltest // it measures the heap
	const slack = 128 << 10
	rel, large := relation(1, change.IdentityDefault, "id* v doc"), relation(2, change.IdentityDefault, "id* v")
	for _, limit := range []int64{-1, 300 << 10, 4 << 20} {
		f := fold.New(fold.Config{IdleBytes: limit})
		empty := heap()
		for i := range 20 {
			mustChange(t, f, large, fmt.Sprintf("insert %d BIG×1000000", i))
		}
		workload(t, f, rel, 100_000)
		for _, s := range f.Cut() {
			s.Release()
		}
		if idle := heap() - empty; idle > max(limit, 0)+slack {
			t.Errorf("folder holds %d bytes of released segments, may hold %d", idle, limit)
		} else if idle < limit/2 {
			t.Errorf("folder holds %d bytes of released segments, could hold %d", idle, limit)
		}
		runtime.KeepAlive(f)
	}
}

// TestManyTablesCostLittle: a batch may touch thousands of tables, a row each.
func TestManyTablesCostLittle(t *testing.T) {
	t.Parallel()
	f := fold.New(fold.Config{})
	for i := range 10_000 {
		rel := relation(uint32(i), change.IdentityDefault, "id* v")
		if err := f.Change(rel, change.Row{Op: change.OpUpdate, New: tuple("1", "2")}, 1); err != nil {
			t.Fatal(err)
		}
	}
	if perTable := f.Bytes() / 10_000; perTable > 4<<10 {
		t.Errorf("%d bytes per table", perTable)
	}
	if n := len(f.Cut()); n != 10_000 {
		t.Errorf("got %d segments", n)
	}
}

// TestHotRowsAreOverwritten: rows that are changed again and again don't fill
// the memory, be they small, of changing size, or larger than a chunk.
func TestHotRowsAreOverwritten(t *testing.T) {
	t.Parallel()
	rel := relation(1, change.IdentityDefault, "id* v")
	for _, c := range []struct {
		name    string
		changes int
		size    func(i int) int
		most    int64
	}{
		{"small", 20_000, func(i int) int { return len(fmt.Sprint(i * i)) }, 3 << 10},
		{"growing", 3_000, func(i int) int { return 200 + 10*i }, 768 << 10},
		{"large", 40, func(i int) int { return 1<<20 + i }, 2 << 20},
		{"large, then small", 41, func(i int) int { return 200 + i%2<<20 }, 16 << 10},
	} {
		f := fold.New(fold.Config{})
		for i := range c.changes {
			row := change.Row{Op: change.OpUpdate, New: tuple("1", fmt.Sprintf("BIG×%d", c.size(i)))}
			if err := f.Change(rel, row, 1); err != nil {
				t.Fatal(err)
			}
		}
		if f.Bytes() > c.most {
			t.Errorf("%s: one row holds %d bytes after %d changes", c.name, f.Bytes(), c.changes)
		}
		s := f.Cut()[0]
		if want := fmt.Sprintf("1 BIG×%d", c.size(c.changes-1)); c.size(0) >= 200 && words(s.Upserts.Images[0]) != want {
			t.Errorf("%s: got %s, want %s", c.name, words(s.Upserts.Images[0]), want)
		}
		if s.Bytes > c.most {
			t.Errorf("%s: one row holds %d bytes when sealed", c.name, s.Bytes)
		}
	}
}

// TestLargeRowsGoWithTheirRow: the image of a row that is deleted, or moves, is
// freed if it has a chunk of its own.
func TestLargeRowsGoWithTheirRow(t *testing.T) {
	t.Parallel()
	f := fold.New(fold.Config{})
	rel := relation(1, change.IdentityDefault, "id* v")
	for i := range 100 {
		old, key := fmt.Sprint(i), fmt.Sprint(i+1)
		for _, row := range []change.Row{
			{Op: change.OpInsert, New: tuple(old, "BIG×1000000")},
			{Op: change.OpUpdate, OldKind: change.OldKey, Old: tuple(old, "-"), New: tuple(key, "~")},
			{Op: change.OpDelete, OldKind: change.OldKey, Old: tuple(key, "-")},
		} {
			if err := f.Change(rel, row, 1); err != nil {
				t.Fatal(err)
			}
		}
	}
	if f.Bytes() > 64<<10 {
		t.Errorf("deleted rows hold %d bytes", f.Bytes())
	}
	if s := f.Cut(); len(s) != 0 {
		t.Errorf("got %d segments of no effect", len(s))
	}
}

func TestNoAllocationPerRow(t *testing.T) { //nolint:paralleltest // it counts allocations
	tables, which, rows := pgbench(20_000)
	f := fold.New(fold.Config{IdleBytes: 12 << 20})
	batch := func() {
		for i, row := range rows {
			if err := f.Change(tables[which[i]], row, 1); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range f.Cut() {
			s.Release()
		}
	}
	batch()
	if n := testing.AllocsPerRun(5, batch); n > 100 {
		t.Errorf("%v allocations for %d rows", n, len(rows))
	}
	// What a batch needs anew is the lists of tuples of its segments, and the
	// small first buffers: all else is used again.
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	batch()
	runtime.ReadMemStats(&after)
	const perTuple, small = 24, 1 << 20
	if n := after.TotalAlloc - before.TotalAlloc; n > uint64(len(rows))/2*perTuple+small {
		t.Errorf("%d bytes allocated for %d rows", n, len(rows))
	}
}

// TestReuseWhileOthersRelease folds large batches from memory that other
// goroutines are giving back, and checks every row of them.
func TestReuseWhileOthersRelease(t *testing.T) {
	t.Parallel()
	const keys, batches = 15_000, 5
	f := fold.New(fold.Config{})
	keyed := relation(1, change.IdentityDefault, "v id*")
	plain := relation(2, change.IdentityNothing, "v")
	var wg sync.WaitGroup
	for batch := range batches {
		for i := range keys {
			value := fmt.Sprint(batch, i)
			err := f.Change(keyed, change.Row{Op: change.OpUpdate, New: tuple(value, fmt.Sprint(i))}, 1)
			if err == nil && i%2 == 0 {
				err = f.Change(keyed, change.Row{Op: change.OpUpdate, New: tuple("~", fmt.Sprint(i))}, 1)
			}
			if err == nil {
				err = f.Change(plain, change.Row{Op: change.OpInsert, New: tuple(value)}, 1)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range f.Cut() {
			wg.Go(func() {
				defer s.Release()
				images := s.Upserts.Images
				if s.Relation == plain {
					images = s.Inserts.Images
				}
				if len(images) != keys {
					t.Errorf("batch %d: %d images", batch, len(images))
				}
				for i, image := range images {
					v, rest := image.Next()
					if string(v.Text) != fmt.Sprint(batch, i) {
						t.Errorf("batch %d: image %d is %q", batch, i, v.Text)
						return
					}
					if k, _ := rest.Next(); s.Relation == keyed && string(k.Text) != fmt.Sprint(i) {
						t.Errorf("batch %d: image %d has key %q", batch, i, k.Text)
						return
					}
				}
			})
		}
	}
	wg.Wait()
}
