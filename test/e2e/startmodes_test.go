package e2e_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/test/world"
)

// modeDDL is small: these tests start often.
const modeDDL = `
CREATE TABLE items (id int PRIMARY KEY, name text, price numeric(12,2), doc jsonb);
CREATE TABLE single (k text PRIMARY KEY);
INSERT INTO items SELECT i, 'item '||i, i/7.0, jsonb_build_object('i', i) FROM generate_series(1, 300) i;
INSERT INTO single VALUES (''), (' '), ('a');`

func modeTables() map[string]string {
	return map[string]string{"items": "id, name, price", "single": "k"}
}

// runOnce runs the daemon to its end and returns its output and exit code.
func runOnce(t *testing.T, w *world.World) (output string, code int) {
	t.Helper()
	out, code, err := w.Command(within(t, 2*time.Minute), "run")
	if err != nil {
		t.Fatal(err)
	}
	return out, code
}

// loadedAt is the position that `run` prints as its last line.
func loadedAt(t *testing.T, output string) string {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(output), "\n")
	last := lines[len(lines)-1]
	if !regexp.MustCompile(`^[0-9A-F]+/[0-9A-F]+$`).MatchString(last) {
		t.Fatalf("the last line is no position: %q in\n%s", last, output)
	}
	return last
}

func slotNames(t *testing.T, w *world.World) string {
	t.Helper()
	return superuser(t, w, "SELECT coalesce(string_agg(slot_name, ' ' ORDER BY slot_name), '') FROM pg_replication_slots")
}

func states(t *testing.T, w *world.World) string {
	t.Helper()
	return first(t, w.Backend.SuperuserDSN("dev"),
		"SELECT string_agg(DISTINCT state || ' ' || applied_lsn, ', ') FROM walshift.freshness")
}

func refuses(t *testing.T, w *world.World, words ...string) {
	t.Helper()
	out, code := runOnce(t, w)
	if code != 1 {
		t.Errorf("exit code %d, want 1:\n%s", code, out)
	}
	_, said, _ := strings.Cut(out, "walshift: ")
	for _, word := range words {
		if !strings.Contains(said, word) {
			t.Errorf("the error does not say %q:\n%s", word, said)
		}
	}
}

// daemonStatus reads what world.Status leaves out.
func daemonStatus(t *testing.T, d *world.Daemon, into any) {
	t.Helper()
	_, body, err := d.Get(t.Context(), "/status")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		t.Fatal(err)
	}
}

// TestOnlyThenNever: a load that nothing follows leaves the tables, a state
// that says so, and nothing else; it is not undone by chance; and with a slot
// that is older than it, replication goes on from its position.
func TestOnlyThenNever(t *testing.T) {
	t.Parallel()
	w := plainWorld(t, world.Config{DDL: modeDDL, Tags: "walshift_seams"})
	old := superuser(t, w, "SELECT lsn FROM pg_create_logical_replication_slot('walshift_shop', 'pgoutput')")
	exec(t, w, `UPDATE items SET name = 'after the slot' WHERE id <= 20`, `DELETE FROM items WHERE id = 30`)
	w.Sections["snapshot"] = "{mode: only}"
	out, code := runOnce(t, w)
	if code != 0 {
		t.Fatalf("exit code %d:\n%s", code, out)
	}
	at := loadedAt(t, out)
	if !strings.Contains(out, `"load_complete"`) || !strings.Contains(out, fmt.Sprintf(`"lsn":%q`, at)) {
		t.Errorf("the log does not say that it is loaded at %s:\n%s", at, out)
	}
	compare(t, w, modeTables())
	if got := slotNames(t, w); got != "walshift_shop" {
		t.Errorf("slots %q, want only the one that was there", got)
	}
	if left := objects(t, w); len(left) > 1 { // the bucket itself
		t.Errorf("objects are left: %v", left)
	}
	if got, want := states(t, w), "loaded "+at; got != want {
		t.Errorf("walshift.freshness says %q, want %q", got, want)
	}

	refuses(t, w, "as of "+at, "target.existing to truncate")
	delete(w.Sections, "snapshot")
	refuses(t, w, "as of "+at, "target.existing to truncate", "snapshot.mode to never")
	compare(t, w, modeTables())

	exec(t, w, `UPDATE items SET price = 1 WHERE id % 3 = 0`, `INSERT INTO single VALUES ('b')`, `DELETE FROM items WHERE id = 31`)
	never := func(lsn string) { w.Sections["snapshot"] = fmt.Sprintf("{mode: never, lsn: %s}", lsn) }
	never("0/10")
	refuses(t, w, "is confirmed up to "+old, "can't be read any more")
	never("FFFF/0")
	refuses(t, w, "the source has only come to")
	never(old)
	refuses(t, w, "as of "+at, "not as exact at "+old)
	never(at)
	d := streaming(t, w)
	identical(t, w, modeTables())
	var st struct {
		Tables []struct {
			Name       string `json:"name"`
			State      string `json:"state"`
			Unverified bool   `json:"unverified"`
		} `json:"tables"`
	}
	daemonStatus(t, d, &st)
	for _, tab := range st.Tables {
		if !tab.Unverified || tab.State != "live" {
			t.Errorf("table %s is %s, unverified %t", tab.Name, tab.State, tab.Unverified)
		}
	}
	d.Kill()
	exec(t, w, `UPDATE items SET name = 'while down'`)
	delete(w.Sections, "snapshot") // a restart needs no mode
	d = streaming(t, w)
	identical(t, w, modeTables())
	daemonStatus(t, d, &st)
	if len(st.Tables) != 2 || !st.Tables[0].Unverified {
		t.Errorf("after a restart the tables count as verified: %+v", st.Tables)
	}
}

// TestOnlyKilled kills a load that nothing follows at each of its steps: until
// it is finished the next start begins anew; then it says what is there.
func TestOnlyKilled(t *testing.T) {
	t.Parallel()
	w := plainWorld(t, world.Config{DDL: modeDDL, Tags: "walshift_seams"})
	ownPublication(t, w)
	w.Sections["snapshot"] = "{mode: only, rows_per_second: 100000}"
	for _, seam := range []change.Seam{
		change.SeamKeeperOpen, change.SeamOnceBegun, change.SeamLoadCopied, change.SeamLoadCommitted, change.SeamOnceLoaded,
	} {
		killAt(t, w, seam, 1)
		eventually(t, 20*time.Second, "no slot is left after a kill at "+string(seam), func() bool { return slotNames(t, w) == "" })
	}
	killAt(t, w, change.SeamOnceFinished, 1)
	at := strings.TrimPrefix(states(t, w), "loaded ")
	refuses(t, w, "as of "+at)
	compare(t, w, modeTables())
	nothingLeft(t, w)

	w.Sections["target"] = "{existing: truncate}"
	exec(t, w, `UPDATE single SET k = 'later' WHERE k = 'a'`)
	killAt(t, w, change.SeamOnceBegun, 1)
	out, code := runOnce(t, w)
	if code != 0 || loadedAt(t, out) == at {
		t.Fatalf("exit code %d:\n%s", code, out)
	}
	compare(t, w, modeTables())
	nothingLeft(t, w)
}

// nothingLeft checks that a load that nothing follows has tidied up.
func nothingLeft(t *testing.T, w *world.World) {
	t.Helper()
	if got := superuser(t, w, "SELECT count(*) FROM pg_publication"); got != "0" {
		t.Errorf("%s publications are left", got)
	}
	if left := objects(t, w); len(left) > 1 {
		t.Errorf("objects are left: %v", left)
	}
}

// TestTruncateKeepsTables: target tables that exist are kept with what depends
// on them, and their rows are replaced at once; those that can't hold the rows
// are refused, all in one list. New ones get the grants.
func TestTruncateKeepsTables(t *testing.T) {
	t.Parallel()
	w := plainWorld(t, world.Config{DDL: modeDDL, Tags: "walshift_seams"})
	house := w.TargetDSN()
	if err := w.Target.CreateUser(t.Context(), "analyst", "analyst-pw"); err != nil {
		t.Fatal(err)
	}
	w.Sections["target"] = "{existing: truncate}"
	w.Sections["redshift"] = fmt.Sprintf("{dsn: %q, iam_role: default, grants: [{to: user analyst}]}", house)
	execOn(t, house,
		"CREATE TABLE public.items (price DECIMAL(10,2), id BIGINT NOT NULL, name VARCHAR(100), doc SUPER, must INT NOT NULL)",
		"CREATE VIEW public.single AS SELECT 1 AS k")
	refuses(t, w, `"price" is numeric(10,2)`, `"name" is character varying(100)`, `"must" is not replicated, NOT NULL`, "public.single is not a table")
	execOn(t, house, "DROP VIEW public.single", "DROP TABLE public.items",
		"CREATE TABLE public.items (price DECIMAL(20,4), id BIGINT NOT NULL, name VARCHAR(65535), doc SUPER, loaded DATE DEFAULT '2020-01-01', note VARCHAR(9))",
		"INSERT INTO public.items (id, name, note) VALUES (7, 'mine', 'mine'), (8, 'mine', NULL)",
		"CREATE VIEW public.cheap AS SELECT id, name FROM public.items WHERE price < 2")
	for _, seam := range []change.Seam{change.SeamLoadCopied, change.SeamLoadBeforeCommit, change.SeamLoadCommitted} {
		killAt(t, w, seam, 1)
	}
	d := streaming(t, w)
	tables := map[string]string{"items": "id, name, doc ->> 'i'", "single": "k"}
	tables["items"] = "id, name"
	identical(t, w, tables)
	exec(t, w, `UPDATE items SET price = 1, name = 'changed' WHERE id < 10`, `DELETE FROM items WHERE id > 200`, `INSERT INTO items VALUES (1000, 'new', 0.5, '[]')`)
	identical(t, w, tables)
	if got := first(t, house, "SELECT count(*) FROM public.cheap"); got != first(t, w.Source.OwnerDSN(), "SELECT count(*) FROM items WHERE price < 2") {
		t.Errorf("the view shows %s rows", got)
	}
	if got := first(t, house, "SELECT count(*) FROM public.items WHERE note IS NOT NULL OR loaded <> '2020-01-01'"); got != "0" {
		t.Errorf("%s rows have something in the table's own columns", got)
	}
	if got := first(t, w.Target.DSN("analyst", "analyst-pw", ""), "SELECT count(*) FROM public.single"); got != "3" {
		t.Errorf("the analyst sees %s rows", got)
	}
	if err := d.Stop(within(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}
	out, code, err := w.Command(t.Context(), "teardown", "--yes", "--drop-targets")
	if err != nil || code != 0 {
		t.Fatalf("teardown: %d, %v\n%s", code, err, out)
	}
	if got := first(t, house, "SELECT count(*) FROM public.cheap"); got == "0" {
		t.Error("the teardown emptied a table that it did not make")
	}
}

// TestNeverRefusals: without a slot, a table or a column there is nothing to
// begin from; and nothing is changed.
func TestNeverRefusals(t *testing.T) {
	t.Parallel()
	w := plainWorld(t, world.Config{DDL: modeDDL, Tags: "walshift_seams"})
	house := w.TargetDSN()
	lsn := superuser(t, w, "SELECT pg_current_wal_lsn()")
	w.Sections["snapshot"] = fmt.Sprintf("{mode: never, lsn: %s}", lsn)
	before := everything(t, w)
	refuses(t, w, "there is no slot walshift_shop", "pg_create_logical_replication_slot('walshift_shop', 'pgoutput')")
	if after := everything(t, w); !slices.Equal(before, after) {
		t.Errorf("something was changed:%s", world.Difference(before, after))
	}
	superuser(t, w, "SELECT pg_create_logical_replication_slot('walshift_shop', 'pgoutput')")
	refuses(t, w, "is confirmed up to")
	lsn = superuser(t, w, "SELECT pg_current_wal_lsn()")
	w.Sections["snapshot"] = fmt.Sprintf("{mode: never, lsn: %s}", lsn)
	execOn(t, house, "CREATE TABLE public.items (id INTEGER NOT NULL, name VARCHAR(65535), price DECIMAL(12,2))")
	refuses(t, w, "public.single does not exist", `"doc" (SUPER) is missing`)

	execOn(t, house, "DROP TABLE public.items",
		"CREATE TABLE public.items (id INTEGER NOT NULL, name VARCHAR(65535), price DECIMAL(12,2), doc SUPER)",
		"CREATE TABLE public.single (k VARCHAR(65535) NOT NULL)",
		"INSERT INTO public.single VALUES (''), (' '), ('a')")
	rows := make([]string, 0, 300)
	for i := 1; i <= 300; i++ {
		rows = append(rows, fmt.Sprintf("(%d, 'item %d', %d / 7.0)", i, i, i))
	}
	execOn(t, house, "INSERT INTO public.items (id, name, price) VALUES "+strings.Join(rows, ", "))
	exec(t, w, `UPDATE items SET name = 'after', price = 3 WHERE id % 2 = 0`, `UPDATE single SET k = 'c' WHERE k = 'a'`)
	for _, seam := range []change.Seam{change.SeamAdopted, change.SeamAdoptedLog} {
		killAt(t, w, seam, 1)
	}
	streaming(t, w)
	identical(t, w, modeTables())
}
