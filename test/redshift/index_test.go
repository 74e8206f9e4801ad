package redshift_test

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/walshift/walshift/test/redshift/conform"
)

// TestFactsIndex holds the cases against the index of facts: every fact that a
// client can observe is named by a case, and no case names another.
func TestFactsIndex(t *testing.T) {
	t.Parallel()
	entries, err := conform.LoadIndex("facts")
	if err != nil {
		t.Fatal(err)
	}
	if files, err := filepath.Glob("facts/index/*.yaml"); err != nil || len(files) != 8 {
		t.Errorf("index files %v, want those of sections 1 to 7 and 9 (%v)", files, err)
	}
	cases, err := conform.Load("facts")
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string][]string{}
	for _, c := range cases {
		for _, id := range c.IDs {
			shown[id] = append(shown[id], c.Name())
		}
	}
	known := map[string]bool{}
	for _, e := range entries {
		t.Run(e.ID+" "+e.Says, func(t *testing.T) {
			t.Parallel()
			switch by := shown[e.ID]; {
			case e.Says == "" || e.Mark == "":
				t.Error("fact lacks its text or its mark")
			case e.NotObservable != "" && len(by) > 0:
				t.Errorf("fact is called not observable and shown by %v", by)
			case e.NotObservable == "" && len(by) == 0:
				t.Error("no case shows the fact")
			default:
				t.Logf("shown by %v%s", by, e.NotObservable)
			}
		})
		if known[e.ID] {
			t.Errorf("fact %s is listed twice", e.ID)
		}
		known[e.ID] = true
	}
	for _, c := range cases {
		if dup := slices.Clone(c.IDs); len(slices.Compact(slices.Sorted(slices.Values(dup)))) != len(c.IDs) {
			t.Errorf("%s names a fact twice", c.Name())
		}
		for _, id := range c.IDs {
			if !known[id] {
				t.Errorf("%s names fact %s, which is not in the index", c.Name(), id)
			}
		}
	}
}
