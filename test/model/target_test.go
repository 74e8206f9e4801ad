package model_test

import (
	"fmt"
	"maps"
	"slices"

	"github.com/walshift/walshift/replicator/change"
)

// segment does to the target what docs/design.md 2.2 says of a segment:
// truncate, fill the partial rows by their origin keys, delete, merge, insert;
// every number that apply checks is checked.
func (t table) segment(s *schema, seg *change.Segment) error {
	if seg.Truncate {
		clear(t)
	}
	staged := table{}
	for i, image := range seg.Partials.Images {
		filled, err := t.fill(s, row(image), name(row(seg.Partials.Origins[i])))
		if err != nil {
			return err
		}
		key := name(s.keyOf(filled))
		if _, there := t[key]; there != seg.Partials.Existed[i] {
			return fmt.Errorf("the partial row %v existed: %t", filled, there)
		}
		if staged[key] != nil {
			return fmt.Errorf("key %s is staged twice", key)
		}
		staged[key] = filled
	}
	for _, image := range seg.Upserts.Images {
		r := row(image)
		key := name(s.keyOf(r))
		if t[key] == nil || staged[key] != nil {
			return fmt.Errorf("the upsert %v finds no row, or its key is staged twice", r)
		}
		staged[key] = r
	}
	for _, key := range seg.Deletes.Images {
		k := name(row(key))
		if t[k] == nil || staged[k] != nil {
			return fmt.Errorf("the delete of %s finds no row, or its key is staged too", k)
		}
		delete(t, k)
	}
	maps.Copy(t, staged)
	for _, image := range seg.Inserts.Images {
		r := row(image)
		key := name(s.keyOf(r))
		if t[key] != nil {
			return fmt.Errorf("the insert %v finds a row", r)
		}
		t[key] = r
	}
	return nil
}

// fill completes a row with the values that it keeps of its origin.
func (t table) fill(_ *schema, r []string, origin string) ([]string, error) {
	base := t[origin]
	if base == nil {
		return nil, fmt.Errorf("there is nothing under %s to fill %v from", origin, r)
	}
	if !slices.Contains(r, kept) {
		return nil, fmt.Errorf("the partial row %v keeps nothing", r)
	}
	r = slices.Clone(r)
	for i := range r {
		if r[i] == kept {
			r[i] = base[i]
		}
	}
	return r, nil
}

// differs says how the tables differ, "" if they don't.
func (t table) differs(want table) string {
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if !slices.Equal(t[key], want[key]) {
			return fmt.Sprintf("row %s is %q, want %q", key, t[key], want[key])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(t)) {
		if want[key] == nil {
			return fmt.Sprintf("row %s is there, %q", key, t[key])
		}
	}
	return ""
}
