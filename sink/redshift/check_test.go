package redshift_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift"
)

// found returns level and text of a check's findings.
func found(f change.Findings, id string) string {
	var b strings.Builder
	for i := range f {
		if f[i].ID == id {
			fmt.Fprintf(&b, "%s: %s → %s\n", f[i].Level, f[i].Seen, f[i].Remedy)
		}
	}
	return b.String()
}

// answers replies to statements that begin with its keys.
func answers(f *fake, rows map[string][][]string) {
	f.answer = func(sql string) (reply, bool) {
		for prefix, r := range rows {
			if strings.HasPrefix(sql, prefix) {
				return reply{rows: r, tag: "SELECT"}, true
			}
		}
		return reply{}, false
	}
}

// TestInspectSystemViews: what a server says that has more to say than the
// stand-in.
func TestInspectSystemViews(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.relations = [][]string{
		{"walshift", "positions_shop", "r"}, {"walshift", "fence_shop", "r"}, {"walshift", "positions_crm", "r"}, {"public", "notes", "r"},
	}
	answers(f, map[string][][]string{
		"SELECT u.usename, current_database()": {{"loader", "dev", "1"}},
		"SELECT version()":                     {{"PostgreSQL 8.0.2 on i686, Redshift 1.0.7"}},
		"SELECT TO_CHAR(GETDATE()":             {{time.Now().UTC().Add(-time.Hour).Format(time.DateTime)}},
		"SELECT isolation_level":               {{"Serializable"}},
		"SELECT db_collation":                  {{"case_insensitive"}},
		"SHOW enable_case_sensitive":           {{"on"}},
		"SELECT u.usename, n.nspname":          {{"alice", "public", "notes"}, {"alice", "public", "other"}},
		"SELECT target_schema":                 {{"public", "notes"}},
		"SELECT CAST(SUM(capacity)":            {{"1000", "990"}},
		"SELECT COUNT(*) FROM pg_class":        {{"9900"}},
		"SELECT table_oid":                     nil,
	})
	notes, w := notes(), f.warehouse(nil)
	got, err := w.Inspect(t.Context(), []*change.Relation{&notes}, 100<<20)
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{
		"redshift.version":          "pass: Redshift 1.0.7",
		"redshift.clock":            "warn: the server's clock differs from this machine's by 1h0m",
		"redshift.isolation":        `warn: SERIALIZABLE: readers and writers`,
		"redshift.collation":        "warn: the database ignores case",
		"redshift.case_sensitivity": "warn: names keep their case",
		"redshift.privileges":       "warn: user loader is a superuser",
		"redshift.writers":          `warn: user alice may write "public"."notes": a table that others write stops being the source's → REVOKE INSERT, UPDATE, DELETE ON "public"."notes" FROM "alice";`,
		"redshift.pipelines":        "fail: pipeline crm writes target public.notes too",
		"redshift.disk":             "warn: 10 of 1000 MB are free, the source's tables have about 100 MB",
		"redshift.tables":           "warn: 9900 in the database, 1 to come",
		"redshift.target":           "fail: target public.notes exists already",
	} {
		if text := found(got, id); !strings.HasPrefix(text, want) {
			t.Errorf("%s: want %q, found %q", id, want, text)
		}
	}
	for _, id := range redshift.CheckIDs() {
		if !got.Found(id) && id != redshift.CheckCopy {
			t.Errorf("%s is not made", id)
		}
	}
}

// TestInspectHidden: what the user may not see is skipped, and without the
// source's tables so is what hangs on them.
func TestInspectHidden(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	hidden := []string{"SELECT version()", "SELECT TO_CHAR", "SELECT isolation_level", "SELECT CAST(SUM", "SELECT COUNT(*) FROM pg_class"}
	f.answer = func(sql string) (reply, bool) {
		for _, prefix := range hidden {
			if strings.HasPrefix(sql, prefix) {
				return reply{code: "42501", message: "permission denied"}, true
			}
		}
		return reply{}, false
	}
	got, err := f.warehouse(nil).Inspect(t.Context(), nil, 0)
	if err != nil || len(got.Of(change.LevelFail)) > 0 {
		t.Fatalf("%v, %v", got.Of(change.LevelFail), err)
	}
	for _, id := range []string{
		"redshift.version", "redshift.clock", "redshift.isolation", "redshift.disk", "redshift.tables", "redshift.names", "redshift.types",
		"redshift.columns", "redshift.target", "redshift.writers",
	} {
		if text := found(got, id); !strings.HasPrefix(text, "skipped: ") {
			t.Errorf("%s: %q", id, text)
		}
	}
}

// TestW16WideTable: a table that fits Redshift, but not with staging's columns.
func TestW16WideTable(t *testing.T) {
	t.Parallel()
	wide := orders()
	for i := range 1597 {
		wide.Columns = append(wide.Columns, change.Column{Attnum: int16(i + 3), Name: fmt.Sprintf("c%d", i), Type: "int4", TypeKind: "b"})
	}
	f := newFake(t)
	f.answer = nil
	got, err := f.warehouse(nil).Inspect(t.Context(), []*change.Relation{&wide}, 0)
	if err != nil || !strings.Contains(found(got, "redshift.columns"), "it has 1599 columns, 1598 can be replicated") {
		t.Errorf("%s, %v", found(got, "redshift.columns"), err)
	}
	wide.Columns = wide.Columns[:1598]
	if got, err = f.warehouse(nil).Inspect(t.Context(), []*change.Relation{&wide}, 0); err != nil || !strings.HasPrefix(found(got, "redshift.columns"), "pass") {
		t.Errorf("%s, %v", found(got, "redshift.columns"), err)
	}
}

// TestCheckCopy: the statements of a COPY that is tried, and what becomes of
// one that fails.
func TestCheckCopy(t *testing.T) {
	t.Parallel()
	file := change.File{Key: "copy/check.csv.zst", Rows: 2, NullMarker: "_NULL_", Compression: "zstd"}
	for name, c := range map[string]struct {
		refuse, code string
		rows         int64
		level        change.Level
		want         string
	}{
		"good":     {level: change.LevelPass, rows: 2, want: "COPY reads"},
		"few":      {level: change.LevelFail, rows: 1, want: "1 instead of 2"},
		"denied":   {refuse: "COPY", code: "XX000", level: change.LevelFail, rows: 2, want: "COPY failed"},
		"no table": {refuse: "CREATE TEMPORARY", code: "42501", level: change.LevelSkipped, rows: 2, want: "may not make temporary tables"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.manifests["s3://bucket/m"] = []change.File{{Rows: c.rows}}
			f.answer = func(sql string) (reply, bool) {
				return reply{code: c.code, message: "no"}, c.refuse != "" && strings.HasPrefix(sql, c.refuse)
			}
			got := f.warehouse(nil).CheckCopy(t.Context(), file, "s3://bucket/m")
			if got.Level != c.level || !strings.Contains(got.Seen, c.want) || (got.Level != change.LevelPass && got.Remedy == "") {
				t.Errorf("%+v", got)
			}
			log := f.statements()
			if !strings.HasSuffix(strings.TrimSpace(log), "ROLLBACK") || strings.Contains(log, "COMMIT") {
				t.Errorf("not rolled back:\n%s", log)
			}
		})
	}
}
