package fold_test

import (
	"fmt"
	"testing"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/fold"
)

// TestV10MultisetNetEffect: FULL without a proven key, as where the primary key
// is DEFERRABLE or was dropped.
func TestV10MultisetNetEffect(t *testing.T) {
	t.Parallel()
	full := func(name, script, want string) scenario {
		return scenario{name: name, identity: change.IdentityFull, columns: "a b", script: script, want: want}
	}
	run(t, []scenario{
		full("equal rows are counted", `
			insert 1 -
			insert 1 -
			insert 1 ''
			delete O 2 -
			delete O 2 -`, `
			segment last=5 I=3 U=0 D=2 T=0
			  remove 2× 2 -
			  insert 2× 1 -
			  insert 1× 1 ''`),
		full("the same key twice for a moment, of a deferrable one", `
			update O 1 x N 2 x
			update O 2 y N 1 y`, `
			segment last=2 I=0 U=2 D=0 T=0
			  remove 1× 1 x
			  remove 1× 2 y
			  insert 1× 2 x
			  insert 1× 1 y`),
		full("unchanged values come from the old tuple", `update O 1 long N 2 ~`, `
			segment last=1 I=0 U=1 D=0 T=0
			  remove 1× 1 long
			  insert 1× 2 long`),
		full("an update of a row to itself is nothing", `
			update O 1 long N 1 ~
			update O 1 - N 1 -`, ``),
		full("there and back is nothing", `
			update O 1 x N 2 x
			update O 2 x N 1 x
			insert 3 -
			delete O 3 -
			delete O 4 -
			insert 4 -`, ``),
		full("large images too, and again", `
			insert 1 BIG×100000
			delete O 1 BIG×100000
			delete O 1 BIG×100000
			insert 1 BIG×100000
			insert 2 BIG×100000
			delete O 2 BIG×100000
			insert 2 BIG×100000`, `
			segment last=7 I=4 U=0 D=3 T=0
			  insert 1× 2 BIG×100000`),
		full("a truncate empties", `
			delete O 1 x
			truncate
			insert 1 x
			update O 1 x N 1 y
			insert 1 y`, `
			segment last=1 I=0 U=0 D=1 T=0
			  remove 1× 1 x
			segment last=5 I=2 U=1 D=0 T=1
			  truncate
			  insert 2× 1 y`),
		full("after a truncate every row is known", `
			truncate
			insert 1 x
			delete O 1 secret
			update O 2 x N 3 x
			update O 3 x N 3 x
			delete O 1 x
			delete O 1 x`, `
			fault: key is not there
			fault: key is not there
			fault: key is not there
			fault: key is not there
			segment last=6 I=1 U=0 D=1 T=1
			  truncate`),
		full("a cut starts afresh", `
			insert 1 x
			cut
			delete O 1 x`, `
			segment last=1 I=1 U=0 D=0 T=0
			  insert 1× 1 x
			cut
			segment last=3 I=0 U=0 D=1 T=0
			  remove 1× 1 x`),
		full("what FULL never sends", `
			update 1 x
			update K 1 - N 1 x
			delete K 1 -
			delete O 1 ~
			update O 1 ~ N 2 ~
			insert 1 ~
			insert 1
			delete O 1
			update O 1 x N 1`, `
			fault: old tuple does not fit the replica identity
			fault: old tuple does not fit the replica identity
			fault: old tuple does not fit the replica identity
			fault: unchanged value without an old one
			fault: unchanged value without an old one
			fault: unchanged value without an old one
			fault: tuple does not fit the relation's columns
			fault: tuple does not fit the relation's columns
			fault: tuple does not fit the relation's columns`),
	})
}

// TestV10ProvenKeyUnderFull: O tuples and a key that the catalog proves.
func TestV10ProvenKeyUnderFull(t *testing.T) {
	t.Parallel()
	full := func(name, script, want string) scenario {
		return scenario{name: name, identity: change.IdentityFull, script: script, want: want}
	}
	run(t, []scenario{
		full("unchanged values come from the old tuple, so no row is partial", `
			update O 1 a long N 1 b ~
			update O 2 a long N 3 a ~`, `
			segment last=2 I=0 U=2 D=0 T=0
			  delete 2
			  upsert 1 b long
			  insert 3 a long`),
		full("keys are swapped", `
			update O 1 a x N -1 a ~
			update O 2 b y N 1 b ~
			update O -1 a x N 2 a ~`, `
			segment last=3 I=0 U=3 D=0 T=0
			  upsert 1 b y
			  upsert 2 a x`),
		full("a key is freed and taken", `
			delete O 1 a x
			insert 1 b y
			update O 1 b y N 2 b ~`, `
			segment last=3 I=1 U=1 D=1 T=0
			  delete 1
			  insert 2 b y`),
		full("the key holds no longer: the second row of a key", `
			insert 1 a x
			insert 1 b y`, `
			fault: key is there already
			segment last=1 I=1 U=0 D=0 T=0
			  insert 1 a x`),
		full("the key holds no longer: another row than the one that is known", `
			update O 1 a x N 1 b x
			delete O 1 a x`, `
			fault: old tuple differs from the row as folded
			segment last=1 I=0 U=1 D=0 T=0
			  upsert 1 b x`),
	})
}

// TestBytesCountsTheCopies: of each image of a multiset its text, an entry, its
// share of the hash table, a tuple and a number to come; and large images that
// are balanced are given up.
func TestBytesCountsTheCopies(t *testing.T) {
	t.Parallel()
	const n = 49_000 // nearly three quarters of 65,536
	f := fold.New(fold.Config{})
	rel := relation(1, change.IdentityFull, "v")
	for i := range n {
		mustChange(t, f, rel, fmt.Sprintf("insert %07d", i))
	}
	const image, entry, tuple, copies = 1 + 4 + 7, 9 * 4, 24, 8
	least := int64(n*(image+entry+tuple+copies) + 65_536*8)
	if f.Bytes() < least || f.Bytes() > least*11/10 {
		t.Errorf("Bytes is %d, the parts come to %d", f.Bytes(), least)
	}
	before := f.Bytes()
	s := f.Cut()[0]
	if s.Inserts.Len() != n || len(s.Inserts.Copies) != n || s.Bytes > before || s.Bytes < n*(image+tuple+copies) {
		t.Errorf("%d rows and %d copies in %d bytes", s.Inserts.Len(), len(s.Inserts.Copies), s.Bytes)
	}
	for i := range 100 {
		mustChange(t, f, rel, fmt.Sprintf("insert BIG×%d", 1_000_000+i), fmt.Sprintf("delete O BIG×%d", 1_000_000+i))
	}
	if f.Bytes() > 64<<10 {
		t.Errorf("balanced images hold %d bytes", f.Bytes())
	}
}

// TestMultisetAllocatesNothingPerRow: updates of rows back and forth.
func TestMultisetAllocatesNothingPerRow(t *testing.T) { //nolint:paralleltest // it counts allocations
	rel := relation(1, change.IdentityFull, "id v doc")
	rows := make([]change.Row, 10_000)
	for i := range rows {
		id := fmt.Sprint(i % 3000)
		rows[i] = change.Row{
			Op: change.OpUpdate, OldKind: change.OldFull,
			Old: tuple(id, fmt.Sprint(i), "long"), New: tuple(id, fmt.Sprint(i+1), "~"),
		}
	}
	f := fold.New(fold.Config{})
	batch := func() {
		for _, row := range rows {
			if err := f.Change(rel, row, 1); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range f.Cut() {
			s.Release()
		}
	}
	batch()
	if n := testing.AllocsPerRun(5, batch); n > 60 {
		t.Errorf("%v allocations for %d rows", n, len(rows))
	}
}
