package redshift_test

import (
	"strings"
	"testing"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift"
)

// TestSharedStatements pins what small segments of several tables and batches
// become: one COPY for all, and what is needed per table.
func TestSharedStatements(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	w := arrived(t, f, nil)
	f.statements()
	add := func(f *fake, kind change.Kind, key, records string, columns ...int16) change.File {
		file := file(kind, key, int64(strings.Count(records, "\n")), columns...)
		f.records[file.Key] = records
		return file
	}
	partial := add(f, change.KindPartial, "kept", "5,~,5,1\n", 1, 2)
	partial.Origin, partial.KeptColumns, partial.Kept = []int16{1}, []int16{2}, 1
	gone := add(f, change.KindDelete, "gone", "1,1\n", 1)
	gone.Pad = true
	padded := add(f, change.KindInsert, "padded", "3,1\n", 1)
	padded.Pad = true
	run := redshift.Run{After: 7, Batches: []*change.Manifest{
		batch(8,
			change.SegmentFiles{Relation: orders(), Files: []change.File{add(f, change.KindInsert, "a", "1,one\n2,\"t,wo\"\n", 1, 2)}},
			change.SegmentFiles{Relation: notes(), Files: []change.File{add(f, change.KindUpsert, "n", "slug,\"{\"\"a\"\": 1}\"\n", 1, 3)}},
		),
		batch(9, change.SegmentFiles{Relation: orders(), Files: []change.File{gone, partial, add(f, change.KindUpsert, "b", "2,~\n", 1, 2)}}),
		batch(10, change.SegmentFiles{Relation: single(), Truncate: true, Files: []change.File{padded}}),
	}}
	f.answer = func(sql string) (reply, bool) {
		for prefix, n := range map[string]int64{
			"UPDATE \"walshift\".\"stg": 1, "DELETE FROM \"public\".\"notes\"": 1, "INSERT INTO \"public\".\"notes\"": 1,
			"DELETE FROM \"public\".\"orders\"": 1, "INSERT INTO \"public\".\"orders\"": 2, "INSERT INTO \"public\".\"single\"": 1,
		} {
			if strings.HasPrefix(sql, prefix) {
				return reply{tag: sql[:6], n: n}, true
			}
		}
		return reply{}, false
	}
	r, err := w.Apply(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "apply-shared.golden", f.statements()+strings.Join(f.put, "\n"))
	if r.Rows != 7 || r.Copies != 1 || r.Commits != 2 {
		t.Errorf("result %+v", r)
	}
}
