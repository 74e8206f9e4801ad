package redshift_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/walshift/walshift/checkpoint"
	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift"
)

func start(rels ...change.Relation) redshift.Start {
	s := redshift.Start{Epoch: 1, Seq: 1, X: 0x700}
	for i := range rels {
		s.Rels = append(s.Rels, &rels[i])
	}
	return s
}

// begun returns a warehouse whose pipeline has just begun.
func begun(t *testing.T, f *fake) *redshift.Warehouse {
	t.Helper()
	w := f.warehouse(nil)
	f.answer = func(sql string) (reply, bool) {
		if strings.HasPrefix(sql, "UPDATE \"walshift\".\"fence_shop\"\nSET epoch = 1, seq = 1") {
			f.fence = fakeFence{"1", "1", word(sql, `txn = '([^']*)'`), "0/700"}
		}
		return reply{}, false
	}
	if err := w.Begin(t.Context(), start(orders(), single())); err != nil {
		t.Fatal(err)
	}
	return w
}

// TestFirstLoadStatements pins what a pipeline's beginning sends.
func TestFirstLoadStatements(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.relations = append(f.relations, []string{"walshift", "positions_crm", "r"}, []string{"walshift", "stg_shop_0123456789abcdef_0", "r"})
	interrupted := liveRow("1001", "orders", "loaded")
	interrupted[11] = "0"
	unfinished := []string{"1003", "public", "single", "loading", "0/100", "0/100", "", "public", "single", "_walshift_1003_ab", "0", "0"}
	f.positions = [][]string{interrupted, unfinished}
	w := begun(t, f)
	golden(t, "begin.golden", f.statements())

	rel, pad := orders(), single()
	files := []change.File{file(change.KindInsert, "a", 3, 1, 2), file(change.KindInsert, "b", 4, 1, 2)}
	n, err := w.Load(t.Context(), &rel, 0x700, files)
	if err != nil || n != 7 {
		t.Fatalf("%d rows, %v", n, err)
	}
	padded := file(change.KindInsert, "c", 2, 1)
	padded.Pad = true
	if n, err = w.Load(t.Context(), &pad, 0x700, []change.File{padded}); err != nil || n != 2 {
		t.Fatalf("%d rows, %v", n, err)
	}
	golden(t, "load.golden", f.statements())
	// Loading a loaded table again is nothing.
	if n, err = w.Load(t.Context(), &rel, 0x700, files); err != nil || n != 7 || strings.Contains(f.statements(), "CREATE") {
		t.Fatalf("again: %d rows, %v", n, err)
	}
	f.answer = func(sql string) (reply, bool) {
		return reply{tag: "UPDATE", n: 2}, strings.Contains(sql, "was_live = TRUE\nWHERE state")
	}
	if err := w.GoLive(t.Context()); err != nil {
		t.Fatal(err)
	}
	golden(t, "golive.golden", f.statements())
	if err := w.GoLive(t.Context()); err != nil {
		t.Fatalf("again: %v", err)
	}
	if _, err := w.Apply(t.Context(), redshift.Run{After: 1, Batches: []*change.Manifest{batch(8)}}); err != nil {
		t.Fatalf("applying to live tables: %v", err)
	}
}

// TestBeginSparesLiveTables: what has been live is dropped by nobody.
func TestBeginSparesLiveTables(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"live", "stopped"} {
		f := newFake(t)
		f.positions = [][]string{liveRow("1001", "orders", state)}
		err := f.warehouse(nil).Begin(t.Context(), start(orders()))
		if change.ScopeOf(err) != change.ScopeFatal || !strings.Contains(err.Error(), "public.orders") {
			t.Errorf("%s: %v", state, err)
		}
		if log := f.statements(); strings.Contains(log, "DROP") || strings.Contains(log, "DELETE") || !strings.Contains(log, "ROLLBACK") {
			t.Errorf("%s: statements:\n%s", state, log)
		}
	}
}

// TestGoLiveWaitsForAll: half a pipeline is never live.
func TestGoLiveWaitsForAll(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	w := begun(t, f)
	rel := orders()
	if _, err := w.Load(t.Context(), &rel, 0x700, nil); err != nil {
		t.Fatal(err)
	}
	f.statements()
	if err := w.GoLive(t.Context()); change.ScopeOf(err) != change.ScopeLoop {
		t.Errorf("error %v", err)
	}
	if log := f.statements(); strings.Contains(log, "UPDATE") {
		t.Errorf("statements:\n%s", log)
	}
}

// TestLoadCounts (S4): rows of the files and rows that COPY loaded agree, or
// the table is not loaded.
func TestLoadCounts(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	w := begun(t, f)
	f.answer = func(sql string) (reply, bool) {
		return reply{rows: [][]string{{"2"}}}, strings.HasPrefix(sql, "SELECT pg_last_copy_count")
	}
	rel := orders()
	_, err := w.Load(t.Context(), &rel, 0x700, []change.File{file(change.KindInsert, "a", 3, 1, 2)})
	if change.ScopeOf(err) != change.ScopeTable {
		t.Errorf("error %v", err)
	}
	if log := f.statements(); strings.Contains(log, "RENAME") {
		t.Errorf("the shadow was renamed:\n%s", log)
	}
}

// TestTargetExists: a table that is not ours is never replaced.
func TestTargetExists(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	w := begun(t, f)
	f.answer = func(sql string) (reply, bool) {
		return reply{code: "42P07", message: `relation "orders" already exists`}, strings.Contains(sql, "RENAME TO")
	}
	rel := orders()
	_, err := w.Load(t.Context(), &rel, 0x700, nil)
	if change.ScopeOf(err) != change.ScopeTable || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("error %v", err)
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	w := arrived(t, f, nil)
	f.statements()
	long := strings.Repeat("é", 3000) + "\x00"
	if err := w.Stop(t.Context(), 1001, long); err != nil {
		t.Fatal(err)
	}
	log := f.statements()
	if reason := word(log, `reason = '([^']*)'`); len(reason) != 4096 || strings.Trim(reason, "é") != "" {
		t.Errorf("reason of %d bytes", len(reason))
	}
	if err := w.Stop(t.Context(), 1001, "again"); err != nil || strings.Contains(f.statements(), "UPDATE") {
		t.Errorf("stopping twice: %v", err)
	}
	if err := w.Stop(t.Context(), 4711, "why"); change.ScopeOf(err) != change.ScopeLoop {
		t.Errorf("unknown table: %v", err)
	}
}

// TestPeekUnknown: a Redshift that has never seen the pipeline is no error,
// and nothing is changed in it.
func TestPeekUnknown(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.relations = nil
	w := f.warehouse(nil)
	st, err := w.Peek(t.Context())
	if err != nil || st.Known {
		t.Errorf("peek: %+v, %v", st, err)
	}
	if st, err = w.Arrive(t.Context(), 2); err != nil || st.Known {
		t.Errorf("arrive: %+v, %v", st, err)
	}
	if log := f.statements(); strings.Contains(log, "CREATE") || strings.Contains(log, "INSERT") {
		t.Errorf("statements:\n%s", log)
	}
	f.relations = [][]string{{"walshift", "fence_shop", "r"}}
	f.positions = [][]string{liveRow("1001", "orders", "live")}
	if st, err = w.Peek(t.Context()); err != nil || !st.Known || st.Seq != 7 || st.Tables[0].State != checkpoint.Live {
		t.Errorf("peek: %+v, %v", st, err)
	}
}

// TestCheck: all problems in one error, and nothing but reads.
func TestCheck(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.relations = [][]string{{"walshift", "fence_shop", "r"}, {"public", "orders", "r"}, {"public", "notes", "v"}}
	f.positions = [][]string{liveRow("1002", "notes", "live")} // ours
	f.answer = func(sql string) (reply, bool) {
		return reply{rows: [][]string{{"0"}}}, strings.HasPrefix(sql, "SELECT CASE WHEN has_schema_privilege('public'")
	}
	w := f.warehouse(func(c *redshift.Config) { c.Schemas = map[string]string{"crm": "public"} })
	wide, folding, odd, upper, elsewhere := orders(), orders(), orders(), orders(), orders()
	wide.Name = "wide"
	for i := range 1597 {
		wide.Columns = append(wide.Columns, change.Column{Attnum: int16(i + 3), Name: fmt.Sprintf("c%d", i), Type: "int4", TypeKind: "b"})
	}
	folding.Name = "folding"
	folding.Columns = append(folding.Columns, change.Column{Attnum: 3, Name: "Note", Type: "int4", TypeKind: "b"})
	odd.Name = "odd"
	odd.Columns = append(odd.Columns,
		change.Column{Attnum: 3, Name: "shape", Type: "anyelement", TypeKind: "p"},
		change.Column{Attnum: 4, Name: "oid", Type: "int4", TypeKind: "b"})
	upper.Schema, upper.Name = "crm", "WIDE"
	elsewhere.Schema, elsewhere.Name = "walshift", "t"
	ours, theirs := notes(), orders()
	err := w.Check(t.Context(), []*change.Relation{&theirs, &ours, &wide, &folding, &odd, &upper, &elsewhere})
	fault, ok := errors.AsType[*change.Fault](err)
	if !ok || fault.Scope != change.ScopeFatal {
		t.Fatalf("error %v", err)
	}
	for _, want := range []string{
		"target public.orders exists already", "public.wide: it has 1599 columns, 1598 can", `columns "note" and "Note"`,
		`column "shape"`, `column "oid" is a system column`, "tables public.wide and crm.WIDE", "schema walshift is walshift's own",
		"schema public: the user may not",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q", want)
		}
	}
	if strings.Contains(err.Error(), "public.notes exists") {
		t.Error("our own target is refused")
	}
	if t.Failed() {
		t.Log(err)
	}
	for line := range strings.Lines(f.statements()) {
		if _, sql, ok := strings.Cut(line, ": "); ok && !strings.HasPrefix(sql, "SELECT") && !strings.HasPrefix(sql, "SHOW") {
			t.Errorf("not a read: %s", line)
		}
	}
	fine := notes()
	f.answer = nil
	if err := w.Check(t.Context(), []*change.Relation{&fine}); err != nil {
		t.Error(err)
	}
}
