package model_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/fold"
)

// drawMultiset draws a table without a key, whose old tuples are whole rows.
func drawMultiset(r *rand.Rand) *schema {
	s := drawSchema(r)
	s.rel.Identity, s.rel.Keys, s.rel.Multiset = change.IdentityFull, nil, true
	return s
}

// drawCopies draws steps over few rows, so that there are copies of them: the
// key of a step is the whole row that it names.
func drawCopies(r *rand.Rand, s *schema) []step {
	images := [][]string{s.row(r), s.row(r), s.row(r)}
	some := func() []string { return images[r.IntN(len(images))] }
	script := make([]step, 0, 40)
	for range 4 + r.IntN(30) {
		switch what := r.IntN(20); {
		case what < 7:
			script = append(script, step{"insert", nil, some()})
		case what < 11:
			script = append(script, step{"update", some(), some()})
		case what < 15:
			script = append(script, step{"delete", some(), nil})
		case what < 16:
			script = append(script, step{what: "truncate"})
		default:
			script = append(script, step{what: "cut"})
		}
	}
	return script
}

// copies is a table without a key: its images, and how many there are of each.
type copies map[string]int64

// segment takes away and adds what a segment says.
func (c copies) segment(seg *change.Segment) error {
	if seg.Truncate {
		clear(c)
	}
	if seg.Deletes.Len()+seg.Upserts.Len()+seg.Partials.Len() > 0 {
		return fmt.Errorf("a multiset has rows that need a key")
	}
	seen := map[string]bool{}
	for _, part := range []struct {
		rows change.Rows
		sign int64
	}{{seg.Removed, -1}, {seg.Inserts, 1}} {
		for i, image := range part.rows.Images {
			r := row(image)
			n := part.rows.Copies[i]
			if n < 1 || seen[name(r)] || slices.Contains(r, kept) {
				return fmt.Errorf("%d copies of %q, named before: %t", n, r, seen[name(r)])
			}
			seen[name(r)] = true
			if c[name(r)] += part.sign * n; c[name(r)] < 0 {
				return fmt.Errorf("%d copies of %q are taken away from fewer", n, r)
			}
		}
	}
	maps.DeleteFunc(c, func(_ string, n int64) bool { return n == 0 })
	return nil
}

// playCopies plays a script of a table without a key.
func playCopies(s *schema, f *fold.Folder, script []step) (err error) {
	src := &source{schema: s, folder: f, commit: 1}
	held, target := copies{}, copies{}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	do := func(st step) error {
		switch {
		case st.what == "truncate":
			clear(held)
			f.Truncate(s.rel, src.commit)
			return nil
		case st.what != "insert" && held[name(st.key)] == 0:
			return nil
		}
		out := change.Row{Op: map[string]change.Op{"insert": change.OpInsert, "update": change.OpUpdate, "delete": change.OpDelete}[st.what]}
		if st.key != nil {
			out.OldKind, out.Old = src.old(st.key)
			held[name(st.key)]--
		}
		if st.with != nil {
			sent := slices.Clone(st.with)
			for i := range sent {
				if st.key != nil && s.toast[i] && toasted(sent[i]) && sent[i] == st.key[i] {
					sent[i] = kept
				}
			}
			out.New = src.tuple(sent)
			held[name(st.with)]++
		}
		maps.DeleteFunc(held, func(_ string, n int64) bool { return n == 0 })
		return src.change(out)
	}
	for i, st := range append(slices.Clone(script), step{what: "cut"}) {
		if st.what != "cut" {
			err = do(st)
		} else {
			for _, seg := range f.Cut() {
				if err == nil {
					err = target.segment(seg)
				}
				seg.Release()
			}
			if err == nil && !maps.Equal(target, held) {
				err = fmt.Errorf("the target holds %v, want %v", target, held)
			}
		}
		if err != nil {
			return fmt.Errorf("at line %d, %s: %w", i+1, st, err)
		}
	}
	return nil
}

// TestV10FoldedMultisetsEqualRowByRow: tables without a key keep as many copies
// of each row as the source has, wherever they are cut into segments.
func TestV10FoldedMultisetsEqualRowByRow(t *testing.T) {
	t.Parallel()
	checkDrawn(t, drawMultiset, drawCopies, playCopies)
}
