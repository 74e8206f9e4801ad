package e2e_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/walshift/walshift/test/world"
)

// The matrix of unchanged TOAST values: every way in which an update leaves
// them out of the stream, for every kind of identity, in one batch and over
// many. All large columns are stored out of line and uncompressed, so that an
// update which does not touch one never carries it.

// toastFunctions make values: texts below 64 KB, documents of about so many
// KB, bytes. A document holds what a way through another form would change.
const toastFunctions = `
CREATE FUNCTION big_text(i int) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT rpad('', 9000 + i * 100, md5(i::text) || E'é"\\,\n') $$;
CREATE FUNCTION big_raw(i int) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$ SELECT convert_to(rpad('', 66000 + i, md5(i::text)), 'UTF8') $$;
CREATE FUNCTION big_doc(i int, kb int) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT jsonb_agg(jsonb_build_object('i', g, 'dec', 1.10, 'n', 12345678901234567890.1234567890123456, 'big', 12345678901234567890123456789012345678,
    'e', '[{},[[]],null,""]'::jsonb, 't', E'\\"/\b\n\té😀\x01' || rpad('', 850, md5(g::text || i))))
  FROM generate_series(1, kb) g $$;
CREATE FUNCTION big_key(i int) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT i || string_agg(md5(i::text || g), '') || repeat('x', 3000) FROM generate_series(1, 66) g $$;
`

// toastTable is a table of the matrix: its key's column, type and value for an i.
type toastTable struct {
	name, column, typ, key, ddl string
	multiset                    bool
}

func toastedTables() []toastTable {
	return []toastTable{
		{name: "by_default", column: "k", typ: "bigint PRIMARY KEY", key: "%d"},
		{name: "by_index", column: "k", typ: "text NOT NULL UNIQUE", key: "'code %d'", ddl: "ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_k_key"},
		{name: "by_large", column: "k", typ: "text NOT NULL UNIQUE", key: "big_key(%d)", ddl: "ALTER TABLE by_large REPLICA IDENTITY USING INDEX by_large_k_key"},
		{name: "by_full", column: "k", typ: "bigint NOT NULL UNIQUE", key: "%d", ddl: "ALTER TABLE by_full REPLICA IDENTITY FULL"},
		{name: "by_row", column: "k", typ: "bigint NOT NULL", key: "%d", ddl: "ALTER TABLE by_row REPLICA IDENTITY FULL", multiset: true},
	}
}

func (d *toastTable) create() string {
	return fmt.Sprintf(`CREATE TABLE %[1]s (id bigint, %[2]s %[3]s, n int, txt text, doc jsonb, raw bytea, small text);
ALTER TABLE %[1]s ALTER txt SET STORAGE EXTERNAL, ALTER doc SET STORAGE EXTERNAL, ALTER raw SET STORAGE EXTERNAL; %[4]s;
`, d.name, d.column, d.typ, d.ddl)
}

// fill replaces the table's rows by twelve, of which the sixth has a
// document of so many KB.
func (d *toastTable) fill(kb int) string {
	key := strings.Replace(d.key, "%d", "i", 1)
	if strings.HasPrefix(d.key, "'") {
		key = "'code ' || i"
	}
	return fmt.Sprintf(`TRUNCATE %[1]s; INSERT INTO %[1]s SELECT i, %[2]s, 0, big_text(i), big_doc(i, CASE WHEN i = 6 THEN %[3]d ELSE 70 END), big_raw(i), 's'
  FROM generate_series(1, 12) i`, d.name, key, kb)
}

// row is the condition that finds row i, set the assignment that moves one there.
func (d *toastTable) row(i int) string { return " WHERE " + d.set(i) }
func (d *toastTable) set(i int) string { return d.column + " = " + fmt.Sprintf(d.key, i) }

func (d *toastTable) update(i int, set string) string {
	return "UPDATE " + d.name + " SET " + set + d.row(i)
}

func (d *toastTable) insert(i int, values string) string {
	return fmt.Sprintf("INSERT INTO %s VALUES (%d, %s, %s)", d.name, i, fmt.Sprintf(d.key, i), values)
}

// unchanged are updates that leave large values as they are (R1), some behind
// an insert or another update of the same row (R2).
func (d *toastTable) unchanged() []string {
	return []string{
		d.update(1, "n = n + 1"),
		d.update(2, "doc = big_doc(102, 80)") + ";" + d.update(2, "n = n + 1"), // doc is known, the rest is kept
		d.update(6, "small = 'above a megabyte'"),
		d.update(6, "raw = NULL, txt = ''"),
		d.update(6, "n = 66"),
		d.insert(20, "1, big_text(20), big_doc(20, 75), big_raw(20), 'new'") + ";" + d.update(20, "n = 2"),
		d.update(20, "small = 'again'"),
		d.update(3, "doc = NULL") + ";" + d.update(3, "n = 3"),
		d.update(3, "txt = 'short'"),
		"DELETE FROM " + d.name + d.row(4) + ";" + d.insert(4, "4, big_text(44), big_doc(44, 72), big_raw(44), NULL"),
		d.update(4, "n = n * 2"),
	}
}

// moves are changes of keys by rows that keep their large values (R4): to a
// new key and on, swaps, cycles, chains over a key that is freed on the way.
func (d *toastTable) moves() []string {
	return []string{
		d.update(1, d.set(31)),
		d.update(31, d.set(32)+", n = 9") + ";" + d.update(32, d.set(33)),
		strings.Join([]string{d.update(2, d.set(99)), d.update(3, d.set(2)), d.update(99, d.set(3))}, ";"), // a swap
		strings.Join([]string{ // a cycle
			d.update(4, d.set(99)), d.update(5, d.set(4)), d.update(6, d.set(5)), d.update(99, d.set(6)),
		}, ";"),
		"DELETE FROM " + d.name + d.row(8) + ";" + d.update(9, d.set(8)) + ";" + d.update(10, d.set(9)+", n = 10"), // onto freed keys
		d.update(11, d.set(51)+", doc = big_doc(51, 71)") + ";" + d.update(51, d.set(11)+", small = 'back'"),
		"DELETE FROM " + d.name + d.row(12) + ";" + d.update(7, d.set(12)) + ";" + d.insert(7, "7, 't', '{}', '\\x00', NULL"),
	}
}

// toastWorld starts a world with the tables of the matrix.
func toastWorld(t *testing.T, tables []toastTable, sections map[string]string) *world.World {
	t.Helper()
	var ddl strings.Builder
	ddl.WriteString(toastFunctions)
	for i := range tables {
		ddl.WriteString(tables[i].create())
	}
	w := plainWorld(t, world.Config{DDL: ddl.String()})
	maps.Copy(w.Sections, sections)
	return w
}

// toastIdentical waits and compares all tables, whole values. Redshift prints
// documents without blanks, and those here have none inside of strings.
func toastIdentical(t *testing.T, w *world.World, tables []toastTable) {
	t.Helper()
	if err := w.WaitApplied(t.Context(), 4*time.Minute); err != nil {
		t.Fatal(err)
	}
	for _, d := range tables {
		query := func(doc, raw string) string {
			return fmt.Sprintf("SELECT id, %s, n, txt, %s, %s, small FROM %s", d.column, doc, raw, d.name)
		}
		source, err := w.SourceSide().Rows(t.Context(), query("replace(replace(doc::text, ', ', ','), ': ', ':')", "encode(raw, 'hex')"))
		if err != nil {
			t.Fatal(err)
		}
		target, err := w.TargetSide().Rows(t.Context(), query("doc", `"raw"`))
		if err != nil {
			t.Fatal(err)
		}
		if diff := world.Difference(source, target); diff != "" {
			t.Fatalf("%s differs: %s", d.name, diff)
		}
	}
}

// toastBatches runs steps in transactions and batches of their own, and compares
// now and then: what waits meanwhile is applied together.
func toastBatches(t *testing.T, w *world.World, tables []toastTable, steps [][]string) {
	t.Helper()
	for n, s := range steps {
		exec(t, w, s...)
		if n%4 == 3 || n == len(steps)-1 {
			toastIdentical(t, w, tables)
		}
	}
}

// toastSteps returns the steps of all tables: by step, one of each table.
func toastSteps(tables []toastTable, steps func(d *toastTable) []string) (out [][]string) {
	for i := range tables {
		for n, s := range steps(&tables[i]) {
			if n == len(out) {
				out = append(out, nil)
			}
			out[n] = append(out[n], s)
		}
	}
	return out
}

func refill(tables []toastTable, kb int) string {
	var all []string
	for i := range tables {
		all = append(all, tables[i].fill(kb))
	}
	return strings.Join(all, ";")
}

func flat(steps [][]string) string { return strings.Join(slices.Concat(steps...), ";") }

// TestR1UnchangedToast: in one transaction, and in batches of their own.
func TestR1UnchangedToast(t *testing.T) {
	t.Parallel()
	tables := toastedTables()
	w := toastWorld(t, tables, map[string]string{"batch": "{interval: 100ms, max_age: 300ms}"})
	streaming(t, w)
	exec(t, w, refill(tables, 1100))
	toastIdentical(t, w, tables)
	toastBatches(t, w, tables, toastSteps(tables, (*toastTable).unchanged))
	exec(t, w, "BEGIN;"+refill(tables, 71)+";"+flat(toastSteps(tables, (*toastTable).unchanged))+";COMMIT")
	toastIdentical(t, w, tables)
}

// TestR2InsertThenUpdateAcrossBatches: an insert with large values and updates
// that leave them out, folded together, cut apart by batches and by a kill.
func TestR2InsertThenUpdateAcrossBatches(t *testing.T) {
	t.Parallel()
	tables := toastedTables()
	w := toastWorld(t, tables, map[string]string{"batch": "{interval: 100ms, max_age: 200ms}"})
	d := streaming(t, w)
	for round, seconds := range []int{1, 3} {
		for i := range tables {
			tab := &tables[i]
			exec(t, w, "BEGIN; "+tab.insert(40+round, "1, big_text(1), big_doc(40, 80), big_raw(1), 'a'")+";"+tab.update(40+round, "n = 2")+"; COMMIT",
				tab.update(40+round, "n = 3, txt = 'short'"), tab.update(40+round, "small = 'b'"))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(seconds)*100*time.Millisecond)
		<-ctx.Done() // in the middle of whatever the daemon is doing
		cancel()
		d.Kill()
		for i := range tables {
			exec(t, w, tables[i].update(40+round, "raw = big_raw(5)"), tables[i].update(40+round, "n = 4"))
		}
		d = streaming(t, w)
		toastIdentical(t, w, tables)
	}
}

// TestR4KeysMoveWithToast: batch by batch, in one transaction, and as a backlog
// that a daemon finds when it starts.
func TestR4KeysMoveWithToast(t *testing.T) {
	t.Parallel()
	tables := toastedTables()
	w := toastWorld(t, tables, map[string]string{"batch": "{interval: 100ms, max_age: 300ms}"})
	d := streaming(t, w)
	exec(t, w, refill(tables, 120))
	steps := toastSteps(tables, (*toastTable).moves)
	toastBatches(t, w, tables, steps)
	exec(t, w, refill(tables, 120), "BEGIN;"+flat(steps)+";COMMIT")
	toastIdentical(t, w, tables)

	if err := d.Stop(within(t, 60*time.Second)); err != nil {
		t.Fatal(err)
	}
	exec(t, w, refill(tables, 120))
	for _, s := range slices.Concat(steps...) {
		exec(t, w, s)
	}
	streaming(t, w)
	toastIdentical(t, w, tables)
}

// TestW7ToastInSegments: transactions that become several segments, with a
// daemon that has little memory; a kept reference to a value that was too large
// for its column stays.
func TestW7ToastInSegments(t *testing.T) {
	t.Parallel()
	tables := toastedTables()[:2]
	w := toastWorld(t, tables, map[string]string{"limits": "{memory: 64MiB}"})
	streaming(t, w)
	exec(t, w, refill(tables, 150), "BEGIN;"+flat(toastSteps(tables, (*toastTable).unchanged))+";"+
		strings.Join(func() (more []string) {
			for i := range tables {
				more = append(more, fmt.Sprintf("UPDATE %s SET doc = big_doc(7, 150) WHERE id > 7", tables[i].name),
					fmt.Sprintf("UPDATE %s SET n = n + 1", tables[i].name))
			}
			return more
		}(), ";")+";"+flat(toastSteps(tables, (*toastTable).moves)[2:5])+";COMMIT")
	toastIdentical(t, w, tables)

	one := &tables[0]
	exec(t, w, one.update(2, "txt = repeat('kept out ', 20000), n = 100"))
	if err := w.WaitApplied(t.Context(), 60*time.Second); err != nil {
		t.Fatal(err)
	}
	query := "SELECT txt FROM by_default WHERE k = 2"
	reference := first(t, w.TargetDSN(), query)
	if reference == "" || len(reference) > 1000 {
		t.Fatalf("the reference is %.100q", reference)
	}
	exec(t, w, one.update(2, "n = 101"), one.update(2, one.set(72)))
	if err := w.WaitApplied(t.Context(), 60*time.Second); err != nil {
		t.Fatal(err)
	}
	if got := first(t, w.TargetDSN(), "SELECT txt FROM by_default WHERE k = 72 AND n = 101"); got != reference {
		t.Errorf("the reference was %q, is %.100q", reference, got)
	}
	exec(t, w, one.update(72, "txt = 'short'"))
	toastIdentical(t, w, tables)
}

// TestV18KeptToastWithoutRow: a row of the target that is gone has nothing to fill
// its update from. Its table stops, with its rows as they were, and alone.
func TestV18KeptToastWithoutRow(t *testing.T) {
	t.Parallel()
	tables := toastedTables()[:2]
	w := toastWorld(t, tables, map[string]string{"apply": "{check_counts: false}"})
	d := streaming(t, w)
	exec(t, w, refill(tables, 71))
	exec(t, w, tables[0].update(2, "n = 2")) // documents above 64 KB are known from now on
	toastIdentical(t, w, tables)
	first(t, w.TargetDSN(), "DELETE FROM by_default WHERE k = 1")
	exec(t, w, tables[0].update(1, "n = 5")+";"+tables[0].update(2, "n = 6")+";"+tables[1].update(1, "n = 5"))
	if err := d.Until(within(t, 60*time.Second), "by_default is stopped", func(s world.Status) bool {
		return slices.ContainsFunc(s.Tables, func(tab struct {
			Name   string `json:"name"`
			State  string `json:"state"`
			Reason string `json:"reason"`
		},
		) bool {
			return tab.Name == "public.by_default" && tab.State == "stopped" && strings.Contains(tab.Reason, "rows instead of")
		})
	}); err != nil {
		t.Fatal(err)
	}
	if n := first(t, w.TargetDSN(), "SELECT COUNT(*) FROM by_default WHERE n = 0 AND doc IS NOT NULL"); n != "10" {
		t.Errorf("%s untouched rows, want 10", n)
	}
	if err := d.Until(within(t, 60*time.Second), "the other table goes on", func(world.Status) bool {
		return first(t, w.TargetDSN(), "SELECT n FROM by_index WHERE k = 'code 1'") == "5"
	}); err != nil {
		t.Fatal(err)
	}
}
