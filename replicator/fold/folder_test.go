package fold_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/fold"
)

func mustChange(t *testing.T, f *fold.Folder, rel *change.Relation, script ...string) {
	t.Helper()
	for _, line := range script {
		if err := f.Change(rel, rowOf(strings.Fields(line)), 1); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
}

func names(segments []*change.Segment) string {
	var out []string
	for _, s := range segments {
		out = append(out, s.Relation.Columns[0].Name)
	}
	return strings.Join(out, " ")
}

func TestCutKeepsTheOrderOfBeginning(t *testing.T) {
	t.Parallel()
	f := fold.New(fold.Config{})
	a, b := relation(1, change.IdentityDefault, "a* v"), relation(2, change.IdentityDefault, "b* v")
	a2 := relation(1, change.IdentityDefault, "a2* v")
	c := relation(3, change.IdentityDefault, "c* v")
	mustChange(t, f, a, "insert 1 x")
	mustChange(t, f, b, "insert 1 x", "insert 2 x")
	mustChange(t, f, c, "insert 1 x", "delete K 1 -")
	mustChange(t, f, a, "insert 2 x")
	f.Truncate(b, 1)
	mustChange(t, f, a2, "insert 3 x")
	mustChange(t, f, b, "insert 1 x")
	if got := names(f.Cut()); got != "a b b a2" {
		t.Errorf("got segments %s", got)
	}
	if got := f.Cut(); len(got) != 0 || !f.Empty() || f.Bytes() != 0 {
		t.Errorf("second cut gives %d segments, empty %t, %d bytes", len(got), f.Empty(), f.Bytes())
	}
}

// TestW8VersionsDoNotMix: a table that differs goes into a segment of its own;
// the same version told again does not, and neither does a missing value.
func TestW8VersionsDoNotMix(t *testing.T) {
	t.Parallel()
	f := fold.New(fold.Config{})
	old := relation(1, change.IdentityDefault, "id* v")
	again := relation(1, change.IdentityDefault, "id* v")
	value := "7"
	again.Columns[1].Missing = &value
	wider := relation(1, change.IdentityDefault, "id* v w")
	mustChange(t, f, old, "insert 1 x")
	mustChange(t, f, again, "update 1 ~")
	mustChange(t, f, wider, "update 1 ~ y")
	mustChange(t, f, wider, "insert 2 x y")
	segments := f.Cut()
	if len(segments) != 2 || segments[0].Relation != old || segments[1].Relation != wider {
		t.Fatalf("got %d segments", len(segments))
	}
	var out strings.Builder
	show(&out, segments)
	if want := trim(`
		segment last=1 I=1 U=1 D=0 T=0
		  insert 1 x
		segment last=1 I=1 U=1 D=0 T=0
		  partial 1 ~ y from 1, existed
		  insert 2 x y`); trim(out.String()) != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestDropForgetsOneTable(t *testing.T) {
	t.Parallel()
	f := fold.New(fold.Config{})
	a, b := relation(1, change.IdentityDefault, "a* v"), relation(2, change.IdentityDefault, "b* v")
	mustChange(t, f, b, "insert 1 x")
	alone := f.Bytes()
	mustChange(t, f, a, "insert 1 x", "insert 2 BIG×400000")
	f.Truncate(a, 1)
	mustChange(t, f, a, "insert 1 x")
	f.Drop(a.OID)
	f.Drop(99)
	if f.Bytes() != alone || f.Empty() {
		t.Errorf("after the drop: %d bytes, want %d; empty %t", f.Bytes(), alone, f.Empty())
	}
	mustChange(t, f, b, "insert 2 x")
	mustChange(t, f, a, "insert 1 y")
	if got := names(f.Cut()); got != "b a" {
		t.Errorf("got segments %s", got)
	}
	mustChange(t, f, a, "insert 1 y")
	f.Truncate(a, 1)
	f.Drop(a.OID)
	if !f.Empty() || f.Bytes() != 0 || len(f.Cut()) != 0 {
		t.Errorf("after dropping all: empty %t, %d bytes", f.Empty(), f.Bytes())
	}
	mustChange(t, f, a, "insert 1 y")
	f.Drop(a.OID)
	mustChange(t, f, a, "insert 1 z")
	if got := names(f.Cut()); got != "a" {
		t.Errorf("after a drop and a change: got segments %q", got)
	}
}

func TestFailedChangeCountsForNothing(t *testing.T) {
	t.Parallel()
	f := fold.New(fold.Config{})
	rel := relation(1, change.IdentityDefault, "a* v")
	if err := f.Change(rel, rowOf([]string{"insert", "-", "x"}), 1); !errors.Is(err, fold.ErrNullKey) {
		t.Fatal(err)
	}
	if !f.Empty() || len(f.Cut()) != 0 || f.Bytes() != 0 {
		t.Errorf("empty %t, %d bytes", f.Empty(), f.Bytes())
	}
}

func TestTableWithoutColumns(t *testing.T) {
	t.Parallel()
	f := fold.New(fold.Config{})
	mustChange(t, f, relation(1, change.IdentityNothing, ""), "insert", "insert")
	s := f.Cut()
	if len(s) != 1 || s[0].Inserts.Len() != 2 || len(s[0].Inserts.Images[1]) != 0 {
		t.Errorf("got %d segments", len(s))
	}
}

// TestChangeTakesValidTuplesOnly: what is no tuple of the relation's columns is
// refused, whatever the bytes.
func TestChangeTakesValidTuplesOnly(t *testing.T) {
	t.Parallel()
	rel := relation(1, change.IdentityNothing, "a b c")
	rapid.Check(t, func(t *rapid.T) {
		b := change.Tuple(rapid.SliceOf(rapid.SampledFrom([]byte("nnuttb\x00\x00\x00\x01\x02\xff"))).Draw(t, "tuple"))
		if rapid.Bool().Draw(t, "valid") {
			b = tuple(rapid.SliceOfN(rapid.SampledFrom([]string{"-", "~", "x", "''"}), 2, 4).Draw(t, "values")...)
			b = b[:rapid.IntRange(len(b)-1, len(b)).Draw(t, "length")]
		}
		var want error
		if b.Check(3) != nil {
			want = fold.ErrShape
		} else if b.HasUnchanged() {
			want = fold.ErrNoOldValue
		}
		err := fold.New(fold.Config{}).Change(rel, change.Row{Op: change.OpInsert, New: b}, 1)
		if !errors.Is(err, want) {
			t.Fatalf("got %v, want %v", err, want)
		}
	})
}

// TestW16WideTables: 1,600 columns, all of them unchanged but the key.
func TestW16WideTables(t *testing.T) {
	t.Parallel()
	f := fold.New(fold.Config{})
	rel := relation(1, change.IdentityDefault, "id*"+strings.Repeat(" c", 1599))
	mustChange(t, f, rel, "update 1"+strings.Repeat(" ~", 1599))
	mustChange(t, f, rel, "update 1"+strings.Repeat(" ~", 1598)+" x")
	mustChange(t, f, rel, "update K 1"+strings.Repeat(" -", 1599)+" N 2"+strings.Repeat(" ~", 1599))
	p := f.Cut()[0].Partials
	if want := "2" + strings.Repeat(" ~", 1598) + " x"; p.Len() != 1 || words(p.Images[0]) != want || words(p.Origins[0]) != "1" {
		t.Errorf("got %d partial rows", p.Len())
	}
}

// TestEqualHashesAreDifferentKeys: of so many keys about twenty pairs have the
// same 32 bits of hash; none is taken for the other.
func TestEqualHashesAreDifferentKeys(t *testing.T) {
	t.Parallel()
	const n = 400_000
	f := fold.New(fold.Config{})
	rel := relation(1, change.IdentityDefault, "id*")
	var image change.Tuple
	for i := range n {
		image = change.AppendValue(image[:0], change.Value{Kind: change.ValueText, Text: fmt.Append(nil, i)})
		if err := f.Change(rel, change.Row{Op: change.OpInsert, New: image}, 1); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.Cut()[0].Inserts.Len(); got != n {
		t.Errorf("got %d rows of %d", got, n)
	}
}
