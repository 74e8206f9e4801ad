package e2e_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walshift/walshift/test/world"
)

// misfitRow is a value with a policy: what a policy makes of it, and what is
// kept.
type misfitRow struct {
	table, typ, value string
	reason            string
	// target is an expression of v on the target, want its text; "" is NULL.
	target, want string
	// inline is the original in the incident; "" where it is an object.
	inline string
}

func policyRows() []misfitRow {
	const kept = "substring(v, 1, 14)"
	return []misfitRow{
		{"m_nan", "numeric(10,2)", "'NaN'", "nan", "v", "", "NaN"},
		{"m_nanf", "float8", "'NaN'", "nan", "v", "", "NaN"},
		{"m_inf", "timestamptz", "'infinity'", "infinite", "v", "9999-12-31 23:59:59.999999+00", "infinity"},
		{"m_ninf", "date", "'-infinity'", "infinite", "v", "0001-01-01", "-infinity"},
		{"m_bc", "date", "'0044-03-15 BC'", "before_year_1", "v", "", "0044-03-15 BC"},
		{"m_far", "timestamp", "'10000-01-01'", "after_year_9999", "v", "", "10000-01-01 00:00:00"},
		{"m_24", "time", "'24:00:00'", "hour_24", "v", "", "24:00:00"},
		{"m_digits", "numeric", "'123456789012345678901234567890123'", "too_many_digits", "v", "", "123456789012345678901234567890123"},
		{"m_scale", "numeric", "'0.0000000000000000001'", "too_many_digits", "v", "", "0.0000000000000000001"},
		{"m_empty", "bytea", `'\x'`, "empty_bytes", "v", "", `\x`},
		{"m_text", "text", "'row-canary' || repeat('x', 70000)", "too_long", kept, "walshift:kept:", ""},
		{"m_four", "text", "repeat('😀', 16384)", "too_long", kept, "walshift:kept:", ""},
		{"m_string", "jsonb", `to_jsonb('row-canary' || repeat('x', 70000))`, "json_string_too_long", "substring(json_serialize(v), 2, 14)", "walshift:kept:", ""},
		{"m_number", "jsonb", `'{"n": 1e400}'`, "json_number_too_long", "substring(json_serialize(v), 2, 14)", "walshift:kept:", ""},
		{"m_nul", "json", `'"\u0000"'`, "json_nul", "substring(json_serialize(v), 2, 14)", "walshift:kept:", `"\u0000"`},
		{"m_bytes", "bytea", "decode(repeat('ab', 1024001), 'hex')", "too_long", "v", "", ""},
		{"m_row", "jsonb", "(SELECT jsonb_agg(repeat('x', 60000)) FROM generate_series(1, 80))", "row_too_long", "substring(json_serialize(v), 2, 14)", "walshift:kept:", ""},
	}
}

func (m *misfitRow) insert(id int) string {
	typ, _, _ := strings.Cut(m.typ, "(")
	return fmt.Sprintf("INSERT INTO %s (id, v, note) SELECT %d, (%s)::%s, 'row %d'", m.table, id, m.value, typ, id)
}

// TestT4T5T9Policies: a value that Redshift can't hold gets what its policy
// says, in the first load and in the stream; the rest of its row and the other
// rows are exact, an incident names it, and its original is kept.
func TestT4T5T9Policies(t *testing.T) {
	t.Parallel()
	var ddl strings.Builder
	for _, m := range policyRows() {
		fmt.Fprintf(&ddl, "CREATE TABLE %s (id int PRIMARY KEY, v %s, note text); INSERT INTO %s VALUES (3, NULL, 'plain'); %s;\n", m.table, m.typ, m.table, m.insert(1))
	}
	w := plainWorld(t, world.Config{DDL: ddl.String()})
	d := streaming(t, w)
	for _, m := range policyRows() {
		exec(t, w, m.insert(2))
	}
	if err := w.WaitApplied(t.Context(), 60*time.Second); err != nil {
		t.Fatal(err)
	}
	for _, m := range policyRows() {
		checkPolicy(t, w, &m)
	}
	n := first(t, w.TargetDSN(), "SELECT COUNT(*) FROM walshift.incidents WHERE state = 'open'")
	if want := fmt.Sprint(2 * len(policyRows())); n != want {
		t.Errorf("%s open incidents, want %s", n, want)
	}
	if strings.Contains(d.Log(), "row-canary") {
		t.Error("a row's value is in the log")
	}
	incidentsCommand(t, w)
}

func checkPolicy(t *testing.T, w *world.World, m *misfitRow) {
	t.Helper()
	rows := cells(t, w.TargetSide(), "SELECT id, "+m.target+", note FROM "+m.table)
	for _, id := range []string{"1", "2"} {
		row, ok := rows[id]
		if !ok {
			t.Errorf("%s: row %s is missing", m.table, id)
			continue
		}
		if string(row[0]) != m.want || string(row[1]) != "row "+id {
			t.Errorf("%s: row %s is %q, %q, want %q", m.table, id, row[0], row[1], m.want)
		}
	}
	if string(rows["3"][1]) != "plain" {
		t.Errorf("%s: row 3 is %q", m.table, rows["3"])
	}
	incidents := cells(t, w.TargetSide(), "SELECT row_key, reason, policy, column_name, original, object, bytes FROM walshift.incidents_shop WHERE table_name = '"+m.table+"'")
	for _, key := range []string{`{"id":"1"}`, `{"id":"2"}`} {
		e, ok := incidents[key]
		if !ok || string(e[0]) != m.reason || string(e[2]) != "v" {
			t.Errorf("%s: incident of %s: %q", m.table, key, e)
			continue
		}
		original, object := string(e[3]), string(e[4])
		if m.inline != "" && original != m.inline || m.inline == "" && object == "" {
			t.Errorf("%s: the incident of %s has the original %q and the object %q", m.table, key, original, object)
		}
		if object == "" {
			continue
		}
		body, err := os.ReadFile(filepath.Join(w.S3.Dir(), world.Bucket, "test", world.Pipeline, object))
		if err != nil {
			t.Errorf("%s: %v", m.table, err)
			continue
		}
		want := originalOf(t, w, m)
		if string(body) != want || fmt.Sprint(len(want)) != string(e[5]) {
			t.Errorf("%s: the object has %d bytes, the incident says %s, the source has %d", m.table, len(body), e[5], len(want))
		}
	}
}

func originalOf(t *testing.T, w *world.World, m *misfitRow) string {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), w.Source.OwnerDSN())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	res, err := conn.Exec(t.Context(), "SELECT v FROM "+m.table+" WHERE id = 1").ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return string(res[0].Rows[0][0])
}

// incidentsCommand lists, fetches and acknowledges.
func incidentsCommand(t *testing.T, w *world.World) {
	t.Helper()
	run := func(want int, args ...string) string {
		t.Helper()
		out, code, err := w.Command(t.Context(), append([]string{"incidents"}, args...)...)
		if err != nil || code != want {
			t.Fatalf("walshift incidents %v: exit code %d, want %d (%v): %s", args, code, want, err, out)
		}
		return out
	}
	list := run(6)
	if !strings.Contains(list, "m_text") || !strings.Contains(list, "too_long") || strings.Contains(list, "row-canary") {
		t.Errorf("the list: %s", list)
	}
	id := first(t, w.TargetDSN(), "SELECT id FROM walshift.incidents WHERE \"table\" = 'public.m_text'")
	if got := run(0, "get", id); !strings.HasPrefix(got, "row-canaryxxx") || len(got) != 70010 {
		t.Errorf("the original has %d bytes: %.40q", len(got), got)
	}
	run(0, "ack", id)
	run(1, "ack", "00000000000000000000")
	run(1, "get", "00000000000000000000")
	run(0, "ack", "--all")
	if out := run(0); strings.Contains(out, "m_text") {
		t.Errorf("the list after all are acknowledged: %s", out)
	}
	if out := run(0, "--all"); !strings.Contains(out, "m_text") {
		t.Errorf("the list of all: %s", out)
	}
}

// TestValuePolicies: the policies that are not the default, by table and column.
func TestValuePolicies(t *testing.T) {
	t.Parallel()
	w := plainWorld(t, world.Config{DDL: `
CREATE TABLE p (id int PRIMARY KEY, cut text, gone text, ts timestamp, r real, f8 float8, n numeric(5,2), bc date, hour time, whole numeric);
CREATE TABLE strict (id int PRIMARY KEY, v text, f float8);`})
	w.Sections["values"] = "{oversize: set_null, unbounded_numeric: text}"
	w.Sections["tables"] = `[{match: "*.p", values: {out_of_range: clamp}, columns: {cut: {oversize: truncate}, ts: {infinity: set_null}}},
  {match: public.strict, columns: {v: {oversize: fail}}}]`
	d := streaming(t, w)
	exec(t, w, `INSERT INTO p VALUES (1, 'a' || repeat('é', 40000), repeat('x', 70000), '-infinity', 'infinity', '-infinity', 1, '0044-03-15 BC', '24:00',
  '123456789012345678901234567890.12345678901234567890')`,
		`INSERT INTO strict VALUES (1, 'x', 'NaN')`)
	if err := w.WaitApplied(t.Context(), 60*time.Second); err != nil {
		t.Fatal(err)
	}
	side := w.TargetSide()
	side.Prepare = []string{"SET extra_float_digits = 2"}
	row := cells(t, side, "SELECT id, octet_length(cut), gone, ts, r, f8, bc, hour, whole FROM p")["1"]
	for i, want := range []string{
		"65535", "", "", "3.4028235e+38", "-1.7976931348623157e+308", "0001-01-01", "23:59:59.999999", "123456789012345678901234567890.12345678901234567890",
	} {
		if i >= len(row) || string(row[i]) != want {
			t.Errorf("column %d: %q, want %q", i, row, want)
		}
	}
	exec(t, w, `INSERT INTO strict VALUES (2, repeat('x', 70000), 1)`)
	if err := d.Until(within(t, 60*time.Second), "the strict table is stopped", func(s world.Status) bool {
		for _, tab := range s.Tables {
			if tab.Name == "public.strict" && tab.State == "stopped" {
				return true
			}
		}
		return false
	}); err != nil {
		t.Error(err)
	}
}
