// Package e2e tests the daemon's binary from outside: real PostgreSQL, a real
// S3 server, the Redshift stand-in.
package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/walshift/walshift/test/world"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := errors.Join(rowsWorld.stop(), namesWorld.stop()); err != nil {
		fmt.Fprintln(os.Stderr, "stopping a shared world:", err)
		code = max(code, 1)
	}
	world.Cleanup()
	os.Exit(code)
}

// newWorld starts a world that lives as long as the test.
func newWorld(t *testing.T, cfg world.Config) *world.World {
	t.Helper()
	cfg.Race = true
	return plainWorld(t, cfg)
}

// within bounds a step of a test.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func startDaemon(t *testing.T, w *world.World, env ...string) *world.Daemon {
	t.Helper()
	d, err := w.Run(t.Context(), env...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(d.LogTail(60))
		}
	})
	return d
}

// streaming starts the daemon and waits for the end of the first load.
func streaming(t *testing.T, w *world.World) *world.Daemon {
	t.Helper()
	d := startDaemon(t, w)
	if err := d.UntilStreaming(within(t, 60*time.Second)); err != nil {
		t.Fatal(err)
	}
	return d
}

func exec(t *testing.T, w *world.World, statements ...string) {
	t.Helper()
	if err := w.SQL(t.Context(), statements...); err != nil {
		t.Fatal(err)
	}
}

// identical waits until everything is applied and compares tables: name and
// column list each.
func identical(t *testing.T, w *world.World, tables map[string]string) {
	t.Helper()
	if err := w.WaitApplied(t.Context(), 60*time.Second); err != nil {
		t.Fatal(err)
	}
	compare(t, w, tables)
}

func compare(t *testing.T, w *world.World, tables map[string]string) {
	t.Helper()
	for table, columns := range tables {
		diff, err := w.Compare(t.Context(), table, columns)
		if err != nil {
			t.Fatal(err)
		}
		if diff != "" {
			t.Errorf("%s differs: %s", table, diff)
		}
	}
}

const mainDDL = `
CREATE TABLE items (
  id bigint PRIMARY KEY, name text, price numeric(12,2), active boolean, made date,
  at timestamptz, stamp timestamp, ref uuid, big text, n smallint, f double precision, v varchar(20), c char(6));
ALTER TABLE items ALTER COLUMN big SET STORAGE EXTERNAL;
CREATE TABLE pairs (a int NOT NULL, b text NOT NULL, note text, PRIMARY KEY (a, b));
CREATE TABLE events (at timestamptz, what text);
CREATE TABLE "Odd name" ("Id" int PRIMARY KEY, "select" text, "with ""quote" text);
CREATE TABLE single (k text PRIMARY KEY);
INSERT INTO items SELECT i, 'item '||i, i/7.0, i%2=0, date '2024-01-01'+i, now(), localtimestamp,
  md5(i::text)::uuid, repeat(md5(i::text), 200), i%100, i/3.0, 'v'||i, 'c' FROM generate_series(1,500) i;
INSERT INTO pairs SELECT i%10, 'b'||i, NULL FROM generate_series(1,100) i;
INSERT INTO events SELECT now(), 'before '||i FROM generate_series(1,50) i;
INSERT INTO "Odd name" VALUES (1,'x','y');
INSERT INTO single VALUES (''),(' '),('a');`

func mainTables() map[string]string {
	return map[string]string{
		"items":      `id, name, price, active, made, at, stamp, ref, big, n, v, c`,
		"pairs":      `a, b, note`,
		"events":     `at, what`,
		`"Odd name"`: `"Id", "select", "with ""quote"`,
		"single":     `k`,
	}
}

// TestRowGetsThrough is the main job: snapshot, then inserts, updates,
// deletes, key changes, kept TOAST values, truncates; both sides identical.
func TestRowGetsThrough(t *testing.T) {
	t.Parallel()
	w := newWorld(t, world.Config{DDL: mainDDL})
	d := streaming(t, w)
	identical(t, w, mainTables())

	exec(t, w,
		`INSERT INTO items (id, name, big) SELECT i, 'new '||i, repeat('x', 5000) FROM generate_series(1001,1100) i`,
		`UPDATE items SET name = 'kept big' WHERE id BETWEEN 10 AND 40`, // big stays in TOAST
		`UPDATE items SET big = repeat('y', 9000) WHERE id = 41`,
		`DELETE FROM items WHERE id BETWEEN 50 AND 60`,
		`UPDATE items SET id = id + 5000 WHERE id BETWEEN 70 AND 80`, // key change with kept big
		`BEGIN; UPDATE items SET id = -1 WHERE id = 90; UPDATE items SET id = 90 WHERE id = 91;
		 UPDATE items SET id = 91 WHERE id = -1; COMMIT`, // swap with kept big
		`INSERT INTO items (id, name) VALUES (7777, ''), (7778, ' '), (7779, NULL), (7780, E'a"b,\nc\\d\te')`,
		`UPDATE pairs SET b = b || '!' WHERE a = 3`,
		`UPDATE pairs SET note = 'n', a = a + 100 WHERE a = 4`,
		`DELETE FROM pairs WHERE a = 5`,
		`INSERT INTO events VALUES (now(), 'after'), (NULL, NULL)`,
		`UPDATE "Odd name" SET "select" = 'z'`,
		`INSERT INTO single VALUES ('b')`, `DELETE FROM single WHERE k = 'a'`, `UPDATE single SET k = 'c' WHERE k = ''`,
	)
	identical(t, w, mainTables())

	exec(t, w,
		`BEGIN; INSERT INTO pairs VALUES (900,'gone',NULL); TRUNCATE pairs, events; INSERT INTO pairs VALUES (901,'stays',NULL); COMMIT`,
		`INSERT INTO events VALUES (now(), 'after the truncate')`,
	)
	identical(t, w, mainTables())

	if err := d.Stop(within(t, 30*time.Second)); err != nil {
		t.Fatalf("orderly end: %v\n%s", err, d.LogTail(20))
	}
}

// TestRestartGoesOn: an orderly stop, changes meanwhile, a kill under load.
func TestRestartGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, world.Config{DDL: mainDDL})
	d := streaming(t, w)
	exec(t, w, `UPDATE items SET name = 'one'`)
	if err := d.Stop(within(t, 30*time.Second)); err != nil {
		t.Fatalf("orderly end: %v\n%s", err, d.LogTail(20))
	}
	exec(t, w, `UPDATE items SET name = 'two' WHERE id < 100`, `DELETE FROM items WHERE id > 400`)
	for i := range 3 {
		d = streaming(t, w)
		for j := range 5 {
			exec(t, w, fmt.Sprintf(`UPDATE items SET name = 'round %d.%d', id = id + 1000 * %d WHERE id %% 7 = %d`, i, j, j+1, j))
		}
		d.Kill()
	}
	startDaemon(t, w)
	identical(t, w, mainTables())
}

// TestChangedTableStopsAlone: a schema change stops its table with the
// difference named; the others run on.
func TestChangedTableStopsAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, world.Config{DDL: mainDDL})
	d := streaming(t, w)
	exec(t, w, `ALTER TABLE pairs ADD COLUMN more int`, `INSERT INTO pairs VALUES (1,'x','y',2)`,
		`INSERT INTO single VALUES ('still here')`)
	err := d.Until(within(t, 30*time.Second), "pairs is stopped", func(s world.Status) bool {
		for _, tab := range s.Tables {
			if tab.Name == "public.pairs" && tab.State == "stopped" {
				return true
			}
		}
		return false
	})
	if err != nil {
		t.Fatal(err)
	}
	out, code, err := w.Command(t.Context(), "wait", "--timeout", "20s")
	if err != nil || code != 5 {
		t.Errorf("wait with a stopped table: exit code %d, want 5 (%v)\n%s", code, err, out)
	}
	tables := mainTables()
	delete(tables, "pairs")
	deadline := within(t, 30*time.Second)
	for {
		diff, err := w.Compare(deadline, "single", "k")
		if err != nil {
			t.Fatal(err)
		}
		if diff == "" {
			break
		}
	}
	compare(t, w, tables)
}
