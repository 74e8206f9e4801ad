package fold_test

import (
	"maps"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/walshift/walshift/replicator/change"
)

// apply does to a target what the sink does with a segment, in its order:
// truncate, fill partial rows, delete, merge, insert; and checks on the way the
// numbers that the sink checks against the manifest.
func apply(t *rapid.T, tg target, s *change.Segment) {
	if s.Truncate {
		clear(tg.rows)
		clear(tg.count)
	}
	if !s.Relation.HasKey() {
		if s.Deletes.Len()+s.Upserts.Len()+s.Partials.Len() > 0 {
			t.Fatal("a table without a key has more than inserts")
		}
		for n, i := range s.Removed.Images {
			if tg.count[words(i)] -= int(s.Removed.Copies[n]); tg.count[words(i)] < 0 {
				t.Fatalf("%d copies of %s are taken away of too few", s.Removed.Copies[n], words(i))
			}
			if tg.count[words(i)] == 0 {
				delete(tg.count, words(i))
			}
		}
		for n, i := range s.Inserts.Images {
			copies := 1
			if s.Relation.Multiset {
				copies = int(s.Inserts.Copies[n])
			}
			tg.count[words(i)] += copies
		}
		return
	}
	staged, moved := fill(t, tg, s)
	for _, key := range s.Deletes.Images {
		if _, ok := tg.rows[words(key)]; !ok {
			t.Fatalf("delete of key %s, which is not there", words(key))
		}
		delete(tg.rows, words(key))
	}
	for _, i := range s.Upserts.Images {
		key := keyWords(s.Relation, i)
		if staged[key] != nil {
			t.Fatalf("key %s is staged twice", key)
		}
		staged[key] = strings.Fields(words(i))
	}
	existed := 0
	for key := range staged {
		if _, ok := tg.rows[key]; ok {
			existed++
		} else if !moved[key] {
			t.Fatalf("merge of key %s, which should be there", key)
		}
	}
	if existed+len(moved) != len(staged) {
		t.Fatalf("%d of %d merged keys are there, and %d should not", existed, len(staged), len(moved))
	}
	maps.Copy(tg.rows, staged)
	for _, i := range s.Inserts.Images {
		key := keyWords(s.Relation, i)
		if _, ok := tg.rows[key]; ok {
			t.Fatalf("insert of key %s, which is there", key)
		}
		tg.rows[key] = strings.Fields(words(i))
	}
}

// fill completes the partial rows from the target, and returns them by key
// with the keys that did not exist.
func fill(t *rapid.T, tg target, s *change.Segment) (staged map[string][]string, moved map[string]bool) {
	staged, moved = map[string][]string{}, map[string]bool{}
	origins := map[string]bool{}
	for n, i := range s.Partials.Images {
		origin, key := words(s.Partials.Origins[n]), keyWords(s.Relation, i)
		row := tg.rows[origin]
		if row == nil || origins[origin] || staged[key] != nil {
			t.Fatalf("partial row of key %s has origin %s, there %t, used %t", key, origin, row != nil, origins[origin])
		}
		origins[origin] = true
		image := strings.Fields(words(i))
		if !slices.Contains(image, "~") {
			t.Fatalf("partial row of key %s keeps nothing", key)
		}
		for c := range image {
			if image[c] == "~" {
				image[c] = row[c]
			}
		}
		staged[key] = image
		if !s.Partials.Existed[n] {
			moved[key] = true
		}
	}
	return staged, moved
}

// compareTarget checks that the target has what the source has.
func (w *world) compareTarget(t *rapid.T, s *source) {
	tg := w.targets[s.rel.OID]
	if !s.rel.HasKey() {
		count := map[string]int{}
		for _, r := range s.rows {
			count[strings.Join(r.values, " ")]++
		}
		if !maps.Equal(count, tg.count) {
			t.Fatalf("table has rows %v, want %v", tg.count, count)
		}
		return
	}
	if len(tg.rows) != len(s.rows) {
		t.Fatalf("table has %d rows, want %d", len(tg.rows), len(s.rows))
	}
	for key, r := range s.rows {
		if !slices.Equal(tg.rows[key], r.values) {
			t.Fatalf("row %s is %q, want %q", key, tg.rows[key], r.values)
		}
	}
}
