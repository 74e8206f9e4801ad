package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/walshift/walshift/test/world"
)

// typeOn returns the type of a target's column.
func typeOn(t *testing.T, w *world.World, table, column string) string {
	t.Helper()
	return first(t, w.TargetDSN(), fmt.Sprintf(`SELECT format_type(a.atttypid, a.atttypmod) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
 WHERE c.relname = '%s' AND a.attname = '%s'`, table, column))
}

const numericsDDL = `
CREATE TABLE money_like (id int PRIMARY KEY, v numeric, w numeric, x numeric, t numeric);
INSERT INTO money_like SELECT i, 1234567890123456789012345.67, i / 1e12, NULL, i FROM generate_series(1, 50) i;`

// TestT2UnboundedNumeric: the scale of a numeric without precision comes from
// its data, first load, stream and restart go by it, what doesn't fit is kept
// out and never rounded, and a setting that would change it is refused.
func TestT2UnboundedNumeric(t *testing.T) {
	t.Parallel()
	w := plainWorld(t, world.Config{DDL: numericsDDL})
	w.Sections["tables"] = `[{match: public.money_like, columns: {t: {unbounded_numeric: text}}}]`
	d := streaming(t, w)
	for column, want := range map[string]string{
		"v": "numeric(38,9)", "w": "numeric(38,12)", "x": "numeric(38,18)", "t": "character varying(65535)",
	} {
		if got := typeOn(t, w, "money_like", column); got != want {
			t.Errorf("column %s is %s, want %s", column, got, want)
		}
	}
	same := func(where string) {
		t.Helper()
		if err := w.WaitApplied(t.Context(), 60*time.Second); err != nil {
			t.Fatal(err)
		}
		src, err := w.SourceSide().Rows(t.Context(), "SELECT id, v::numeric(38,9), w::numeric(38,12), x::numeric(38,18), t FROM money_like"+where)
		if err != nil {
			t.Fatal(err)
		}
		dst, err := w.TargetSide().Rows(t.Context(), "SELECT id, v, w, x, t FROM money_like"+where)
		if err != nil {
			t.Fatal(err)
		}
		if diff := world.Difference(src, dst); diff != "" || len(src) < 50 {
			t.Errorf("%d rows on the source: %s", len(src), diff)
		}
	}
	same("")
	exec(t, w, `INSERT INTO money_like VALUES (100, -99999999999999999999999999999.999999999, 1e-12, 1e-18, 1e40), (101, 0.1234567890, 5, 5, 5)`,
		`UPDATE money_like SET v = v * 1000, w = w / 10 * 10 WHERE id < 10`)
	exec(t, w, `INSERT INTO money_like VALUES (200, 0.0000000001, 0.0000000000001, 1, 1), (201, 1e29, 1, 1e20, 1)`)
	same(" WHERE id < 200")
	got := cells(t, w.TargetSide(), "SELECT id, v, w, x FROM money_like WHERE id >= 200")
	if r := got["200"]; r == nil || r[0] != nil || r[1] != nil {
		t.Errorf("row 200 holds %q where its numbers don't fit", r)
	}
	if r := got["201"]; r == nil || r[0] != nil || r[2] != nil {
		t.Errorf("row 201 holds %q where its numbers don't fit", r)
	}
	if n := first(t, w.TargetDSN(), "SELECT COUNT(*) FROM walshift.incidents WHERE reason = 'too_many_digits'"); n != "4" {
		t.Errorf("%s incidents, want 4", n)
	}
	if err := d.Stop(within(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}

	// What was settled stays, whatever the data and the configuration say now.
	w.Sections["values"] = "{unbounded_numeric: text}"
	refuses(t, w, "public.money_like", `column "v"`, "DECIMAL(38,9)", "unbounded_numeric: decimal", "WS4006")
	delete(w.Sections, "values")
	tables := w.Sections["tables"]
	delete(w.Sections, "tables")
	refuses(t, w, `column "t"`, "text", "say text again")
	w.Sections["tables"] = tables
	streaming(t, w)
	exec(t, w, `INSERT INTO money_like VALUES (102, 12345678901234567890123456789.5, 0.000000000001, 2, 1e40)`)
	same(" WHERE id < 200")
}

// TestT2NumericOfKeptTarget: a target that is kept settles the scale.
func TestT2NumericOfKeptTarget(t *testing.T) {
	t.Parallel()
	w := plainWorld(t, world.Config{DDL: numericsDDL})
	first(t, w.TargetDSN(), `CREATE TABLE public.money_like (id integer, v decimal(38,10), w decimal(38,14), x decimal(38,18), t decimal(38,9))`)
	w.Sections["target"] = "{existing: truncate}"
	streaming(t, w)
	exec(t, w, `INSERT INTO money_like VALUES (100, 1.0123456789, 0.12345678901234, 1e-18, 1e20)`)
	if err := w.WaitApplied(t.Context(), 60*time.Second); err != nil {
		t.Fatal(err)
	}
	got := cells(t, w.TargetSide(), "SELECT id, v, w, x, t FROM money_like WHERE id = 100")["100"]
	if want := "1.0123456789 0.12345678901234 0.000000000000000001 100000000000000000000.000000000"; joined(got) != want {
		t.Errorf("%s, want %s", joined(got), want)
	}
	if typ := typeOn(t, w, "money_like", "v"); typ != "numeric(38,10)" {
		t.Errorf("column v is %s", typ)
	}
}

func joined(cells [][]byte) string {
	parts := make([]string, len(cells))
	for i := range cells {
		parts[i] = string(cells[i])
	}
	return strings.Join(parts, " ")
}

// TestP5AcceptedIncidents: what the configuration accepts is recorded, kept
// and counted, and leaves status green; what it does not accept does not. The
// tables of incidents that an earlier version has not made are made.
func TestP5AcceptedIncidents(t *testing.T) {
	t.Parallel()
	w := plainWorld(t, world.Config{DDL: `
CREATE TABLE spans (id int PRIMARY KEY, until timestamp, f float8);
INSERT INTO spans SELECT i, 'infinity', 1 FROM generate_series(1, 40) i;`})
	w.Sections["values"] = "{accept: [infinity]}"
	d := streaming(t, w)
	exec(t, w, `INSERT INTO spans SELECT i, 'infinity', 1 FROM generate_series(41, 60) i`)
	settled := func() {
		t.Helper()
		if err := w.WaitApplied(t.Context(), 60*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	settled()
	count := func(want string) {
		t.Helper()
		got := first(t, w.TargetDSN(), `SELECT COALESCE(SUM(CASE WHEN state = 'accepted' THEN 1 END), 0) || ' ' || COALESCE(SUM(CASE WHEN state = 'open' THEN 1 END), 0)
 FROM walshift.incidents WHERE policy IN ('clamp', 'set_null')`)
		if got != want {
			t.Errorf("accepted and open incidents: %s, want %s", got, want)
		}
	}
	count("60 0")
	green := func() bool {
		var s struct{ State string }
		daemonStatus(t, d, &s)
		return s.State == "ok"
	}
	until(t, 30*time.Second, "status is green with accepted incidents", green)
	_, metrics, err := d.Get(t.Context(), "/metrics")
	if err != nil || !strings.Contains(string(metrics), `walshift_incidents_total{state="accepted"} 60`) ||
		!strings.Contains(string(metrics), "walshift_incidents_open 0") {
		t.Errorf("the metrics (%v) don't count 60 accepted incidents", err)
	}
	if out, code, err := w.Command(t.Context(), "incidents", "--all"); err != nil || code != 0 || !strings.Contains(out, "accepted") {
		t.Errorf("walshift incidents: %d %v %s", code, err, out)
	}
	exec(t, w, `UPDATE spans SET f = 'NaN' WHERE id = 1`)
	settled()
	count("61 1") // the row's own infinity came once more
	until(t, 30*time.Second, "status is not green with an open incident", func() bool { return !green() })
	if err := d.Stop(within(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}

	for _, sql := range []string{"DROP VIEW walshift.incidents", "DROP TABLE walshift.incidents_shop", "DROP TABLE walshift.acks_shop"} {
		first(t, w.TargetDSN(), sql)
	}
	d = streaming(t, w)
	exec(t, w, `UPDATE spans SET f = 'NaN' WHERE id = 2`)
	settled()
	count("1 1")
}
