package redshift_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift"
)

// mixed is a run with everything that an apply can meet.
func mixed() []*change.Manifest {
	partial := file(change.KindPartial, "partial", 3, 1, 2)
	partial.Origin, partial.KeptColumns, partial.Kept, partial.Existed = []int16{1}, []int16{2}, 3, 2
	padded := file(change.KindInsert, "padded", 4, 1)
	padded.Pad = true
	other := file(change.KindInsert, "other-marker", 5, 1, 2)
	other.NullMarker = "~~"
	halted := orders()
	halted.OID, halted.Name = 1004, "halted"
	return []*change.Manifest{
		batch(8,
			change.SegmentFiles{Relation: orders(), Files: []change.File{
				file(change.KindInsert, "a", 1, 1, 2), file(change.KindUpsert, "b", 2, 1, 2),
				partial, file(change.KindDelete, "d", 1, 1),
			}},
			change.SegmentFiles{Relation: notes(), Files: []change.File{file(change.KindUpsert, "n", 6, 1, 3)}},
			change.SegmentFiles{Relation: halted, Files: []change.File{file(change.KindInsert, "h", 9, 1, 2)}},
		),
		batch(9, change.SegmentFiles{Relation: orders(), Files: []change.File{file(change.KindInsert, "e", 7, 1, 2), other}}),
		batch(10),
		batch(11,
			change.SegmentFiles{Relation: orders(), Truncate: true, Files: []change.File{file(change.KindInsert, "f", 8, 1, 2)}},
			change.SegmentFiles{Relation: single(), Files: []change.File{padded}},
		),
	}
}

// counts answers with the rows that the manifests of mixed promise.
func counts(sql string) (reply, bool) {
	var n int64
	switch {
	case strings.HasPrefix(sql, "UPDATE \"walshift\".\"stg"):
		return reply{tag: "UPDATE", n: 3}, true
	case strings.HasPrefix(sql, "SELECT COUNT(*)\nFROM"):
		return reply{rows: [][]string{{"2"}}}, true // of upserts and partials alike
	case strings.HasPrefix(sql, "DELETE FROM \"public\".\"notes\""), strings.HasPrefix(sql, "INSERT INTO \"public\".\"notes\""):
		n = 6
	case strings.HasPrefix(sql, "INSERT INTO \"public\".\"single\""):
		n = 4
	case strings.HasPrefix(sql, "DELETE FROM \"public\".\"orders\"\nUSING"):
		n = 1
	default:
		return reply{}, false
	}
	return reply{tag: sql[:6], n: n}, true
}

// TestApplyStatements pins which statements one run becomes, and their order.
func TestApplyStatements(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	w := arrived(t, f, nil)
	golden(t, "arrive.golden", f.statements())
	f.answer = counts
	r, err := w.Apply(t.Context(), redshift.Run{After: 7, Batches: mixed()})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "apply.golden", f.statements())
	if r.Rows != 37 || r.Batches != 4 || r.Copies != 8 || r.Commits != 2 {
		t.Errorf("result %+v", r)
	}
	if f.fence.seq != "11" || f.fence.lsn != "0/B00" {
		t.Errorf("fence %+v", f.fence)
	}
	// The fence must be found where the last apply left it.
	f.answer = nil
	if _, err := w.Apply(t.Context(), redshift.Run{After: 11, Batches: []*change.Manifest{batch(12)}}); err != nil {
		t.Fatal(err)
	}
	golden(t, "apply-empty.golden", f.statements())
}

// TestApplyDeleteInsert pins the other strategy.
func TestApplyDeleteInsert(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	w := arrived(t, f, func(c *redshift.Config) {
		c.Strategy, c.CheckCounts, c.Region, c.IAMRole = redshift.StrategyDeleteInsert, false, "eu-west-1", "default"
	})
	f.statements()
	run := redshift.Run{After: 7, Batches: []*change.Manifest{
		batch(8, change.SegmentFiles{Relation: orders(), Files: []change.File{file(change.KindUpsert, "b", 1, 1, 2)}}),
	}}
	if _, err := w.Apply(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	golden(t, "apply-delete-insert.golden", f.statements())
}

// TestCountsStopTheTable (V18, V22, A9): each count that differs rolls back
// and is a fault of its table.
func TestCountsStopTheTable(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]string{
		"fill": "UPDATE \"walshift\".\"stg", "existed": "SELECT COUNT(*)\nFROM",
		"delete": "DELETE FROM \"public\".\"orders\"\nUSING", "insert": "INSERT INTO \"public\".\"notes\"",
		"replace": "DELETE FROM \"public\".\"notes\"", "copy": "SELECT pg_last_copy_count",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			w := arrived(t, f, nil)
			f.answer = func(sql string) (reply, bool) {
				if strings.HasPrefix(sql, wrong) {
					if strings.HasPrefix(sql, "SELECT") {
						return reply{rows: [][]string{{"99"}}}, true
					}
					return reply{tag: sql[:6], n: 99}, true
				}
				return counts(sql)
			}
			_, err := w.Apply(t.Context(), redshift.Run{After: 7, Batches: mixed()})
			fault, ok := errors.AsType[*change.Fault](err)
			if !ok || fault.Scope != change.ScopeTable || fault.TableOID == 0 || fault.Seq != 8 || fault.Remedy == "" {
				t.Fatalf("fault %+v of %v", fault, err)
			}
			if f.fence.seq != "7" {
				t.Errorf("fence moved to %s", f.fence.seq)
			}
			// The caller marks the table and goes on without it.
			f.answer = counts
			if err := w.Stop(t.Context(), fault.TableOID, err.Error()); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Apply(t.Context(), redshift.Run{After: 7, Batches: mixed()}); err != nil {
				t.Fatal(err)
			}
			if log := f.statements(); !strings.Contains(log, "DROP TABLE IF EXISTS \"walshift\".\"stg_shop_ID_0\"") {
				t.Errorf("staging tables are left:\n%s", log)
			}
		})
	}
}

// TestCopyExplained: a failed COPY is told by table, column, line and reason,
// and the value stays out of the message.
func TestCopyExplained(t *testing.T) {
	t.Parallel()
	copyFails := func(code, message string) func(sql string) (reply, bool) {
		return func(sql string) (reply, bool) {
			if strings.HasPrefix(sql, "COPY") {
				return reply{code: code, message: message}, true
			}
			return reply{}, false
		}
	}
	stl := "Load into table 'stg' failed.  Check 'sys_load_error_detail' system table for details."
	for name, c := range map[string]struct {
		rows          [][]string
		code, message string
		scope         change.Scope
		says          []string
	}{
		"too long": {
			[][]string{{"s3://bucket/data/8-aa/b  ", "12", "c2 ", "varchar ", "1204"}},
			"XX000", stl, change.ScopeTable,
			[]string{"table public.orders", "batch 8", "line 12", `column "note"`, "too long", "remedy"},
		},
		"file gone": {
			[][]string{{"s3://bucket/data/8-aa/b", "0", "", "", "1212"}},
			"XX000", stl, change.ScopeLoop,
			[]string{"missing"},
		},
		"no access":    {nil, "XX000", "S3ServiceException:Access Denied,Status 403", change.ScopeLoop, []string{"iam_role"}},
		"conflict":     {nil, "XX000", "1023", change.ScopeRetry, []string{"1023"}},
		"deadlock":     {nil, "40P01", "deadlock detected", change.ScopeRetry, nil},
		"target gone":  {nil, "42P01", "relation does not exist", change.ScopeTable, nil},
		"value quoted": {nil, "22P02", `invalid input syntax for integer: "secret"`, change.ScopeTable, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			w := arrived(t, f, nil)
			f.loadErrors = c.rows
			f.answer = copyFails(c.code, c.message)
			_, err := w.Apply(t.Context(), redshift.Run{After: 7, Batches: []*change.Manifest{
				batch(8, change.SegmentFiles{Relation: orders(), Files: []change.File{file(change.KindUpsert, "b", 1, 1, 2)}}),
			}})
			if change.ScopeOf(err) != c.scope {
				t.Fatalf("scope %v of %v", change.ScopeOf(err), err)
			}
			for _, s := range c.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("error lacks %q: %v", s, err)
				}
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("error shows the value: %v", err)
			}
		})
	}
}

// TestRunMustFollow: a run that does not continue the fence is refused before
// any statement.
func TestRunMustFollow(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	w := arrived(t, f, nil)
	f.statements()
	gap := batch(10)
	for name, run := range map[string]redshift.Run{
		"empty":     {After: 7},
		"elsewhere": {After: 6, Batches: []*change.Manifest{batch(7)}},
		"gap":       {After: 7, Batches: []*change.Manifest{batch(8), gap}},
		"backwards": {After: 7, Batches: []*change.Manifest{batch(7)}},
	} {
		if _, err := w.Apply(t.Context(), run); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	raw := file(change.KindRaw, "r", 1, 1, 2)
	unknown := orders()
	unknown.OID = 4711
	for name, s := range map[string]change.SegmentFiles{
		"raw":     {Relation: orders(), Files: []change.File{raw}},
		"unknown": {Relation: unknown, Files: []change.File{file(change.KindInsert, "u", 1, 1, 2)}},
	} {
		if _, err := w.Apply(t.Context(), redshift.Run{After: 7, Batches: []*change.Manifest{batch(8, s)}}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if log := strings.TrimSpace(f.statements()); log != "" {
		t.Errorf("statements were sent:\n%s", log)
	}
}
