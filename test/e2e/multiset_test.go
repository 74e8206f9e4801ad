package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/walshift/walshift/test/world"
)

const multisetDDL = `
CREATE TABLE visits (at timestamptz, who text, n int);
ALTER TABLE visits REPLICA IDENTITY FULL;
INSERT INTO visits SELECT '2026-11-22 10:00+00', 'visitor ' || i % 40, i % 3 FROM generate_series(1, 600) i;
INSERT INTO visits SELECT NULL, NULL, NULL FROM generate_series(1, 7);
CREATE TABLE words (w text);
ALTER TABLE words REPLICA IDENTITY FULL;
INSERT INTO words SELECT w FROM unnest(ARRAY[NULL, '', ' ', 'a', 'a ', 'A', '"', ',', E'\\N', E'line\nbreak', 'null', '0']) w, generate_series(1, 5);
CREATE TABLE "All Sorts" (
  "I" smallint, b bigint, yes boolean, f4 real, f8 double precision, d date, tz timestamptz, t time,
  n numeric(12,2), vc varchar(40), u uuid, bin bytea, jb jsonb, j json, a int[], big text);
ALTER TABLE "All Sorts" REPLICA IDENTITY FULL;
ALTER TABLE "All Sorts" ALTER COLUMN big SET STORAGE EXTERNAL, ALTER COLUMN jb SET STORAGE EXTERNAL;
CREATE TABLE keyed (id int PRIMARY KEY, v text);`

// allSorts are rows of every type, each three times, and such as differ only in
// what Redshift's equality can't see or can't hold.
const allSorts = `INSERT INTO "All Sorts" SELECT r.* FROM (VALUES
  (1::smallint, 9223372036854775807, true, 0.1::real, 0.1::float8, date '2024-02-29', timestamptz '2026-11-22 10:00:00.000001+00',
   time '23:59:59.999999', 1.50, 'a', md5('u')::uuid, '\x00ff5c'::bytea, '{"a":[1,"x"]}'::jsonb, '{"b":2}'::json, ARRAY[1,NULL,3], repeat('x', 9000)),
  (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (2, 0, false, 0, 0, NULL, NULL, NULL, 0, 'a ', NULL, NULL, 'null', NULL, '{}', ''),
  (2, 0, false, '-0', '-0', NULL, NULL, NULL, 0, 'a ', NULL, NULL, 'null', NULL, '{}', ''),
  (2, 0, false, 'NaN', 'NaN', NULL, NULL, NULL, NULL, 'a', NULL, NULL, 'null', NULL, '{}', ''),
  (2, 0, false, NULL, NULL, NULL, NULL, NULL, NULL, 'a', NULL, NULL, 'null', NULL, '{}', ''),
  (3, 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, (SELECT jsonb_agg(md5(i::text)) FROM generate_series(1, 3000) i), NULL, NULL, NULL)
) r, generate_series(1, 3)`

const (
	sortsCommon = `"I", b, yes, d, tz, t, n, vc, octet_length(vc), u, big, `
	sortsSource = sortsCommon + `NULLIF(f4, 'NaN'), NULLIF(f8, 'NaN'), encode(bin, 'hex'),
		replace(replace(jb::text, ', ', ','), ': ', ':'), j, array_to_json(a)`
	sortsTarget = sortsCommon + `f4, f8, from_varbyte(bin, 'hex'), jb, j, a`
)

func multisets(t *testing.T, w *world.World) {
	t.Helper()
	if err := w.WaitApplied(t.Context(), 90*time.Second); err != nil {
		t.Fatal(err)
	}
	for table, columns := range map[string][2]string{
		"visits":      {"at, who, n", "at, who, n"},
		"words":       {"w, octet_length(w)", "w, octet_length(w)"},
		`"All Sorts"`: {sortsSource, sortsTarget},
	} {
		diff, err := w.CompareMultiset(t.Context(), table, columns[0], columns[1])
		if err != nil {
			t.Fatal(err)
		}
		if diff != "" {
			t.Errorf("%s differs: %s", table, diff)
		}
	}
	compare(t, w, map[string]string{"keyed": "id, v"})
}

// some is a condition for n rows out of those that meet another.
func some(n int, table, where string) string {
	return fmt.Sprintf("ctid = ANY (ARRAY(SELECT ctid FROM %s WHERE %s LIMIT %d))", table, where, n)
}

// TestR8TablesWithoutKey: tables under REPLICA IDENTITY FULL without a key are
// multisets: equal rows, NULLs, all types, changes of some of several equal rows,
// truncates, kills.
func TestR8TablesWithoutKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, world.Config{DDL: multisetDDL + allSorts})
	d := streaming(t, w)
	multisets(t, w)

	exec(t, w,
		`DELETE FROM visits WHERE `+some(3, "visits", "who = 'visitor 7' AND n = 1"), // three of five
		`DELETE FROM visits WHERE `+some(2, "visits", "who IS NULL"),
		`UPDATE visits SET n = n + 1 WHERE `+some(4, "visits", "who = 'visitor 8'"),
		`DELETE FROM visits WHERE who = 'visitor 9'`,
		`INSERT INTO visits SELECT * FROM visits WHERE who = 'visitor 10'`,
		`BEGIN; INSERT INTO visits VALUES (NULL, 'comes and goes', 1); DELETE FROM visits WHERE who = 'comes and goes';
		 UPDATE visits SET who = 'visitor 11' WHERE who = 'visitor 12'; COMMIT`,
		`DELETE FROM words WHERE `+some(2, "words", "w = 'a '"), `DELETE FROM words WHERE `+some(4, "words", "w = ''"),
		`DELETE FROM words WHERE `+some(3, "words", "w IS NULL"), `UPDATE words SET w = 'a' WHERE w = 'A'`,
		`DELETE FROM "All Sorts" WHERE `+some(2, `"All Sorts"`, `f8::text = '-0'`),
		`DELETE FROM "All Sorts" WHERE `+some(1, `"All Sorts"`, `f8 = 'NaN'`),
		`DELETE FROM "All Sorts" WHERE `+some(1, `"All Sorts"`, `"I" = 3`),                      // beside a large document
		`UPDATE "All Sorts" SET vc = 'new' WHERE `+some(1, `"All Sorts"`, `"I" = 1 OR "I" = 3`), // big values stay in TOAST
		`DELETE FROM "All Sorts" WHERE `+some(2, `"All Sorts"`, `b IS NULL`),
		`INSERT INTO keyed VALUES (1, 'beside')`,
	)
	multisets(t, w)

	exec(t, w, `BEGIN; INSERT INTO words VALUES ('gone'); TRUNCATE words, visits; INSERT INTO words VALUES ('stays'), ('stays'), (NULL); COMMIT`,
		`INSERT INTO visits SELECT now(), 'again', 1 FROM generate_series(1, 5)`, `DELETE FROM visits WHERE `+some(3, "visits", "true"), allSorts)
	for round := range 3 {
		for i := range 4 {
			exec(t, w,
				`INSERT INTO visits SELECT NULL, 'round', i % 5 FROM generate_series(1, 40) i`,
				fmt.Sprintf(`DELETE FROM visits WHERE %s`, some(3+i, "visits", fmt.Sprintf("n = %d", i))),
				fmt.Sprintf(`UPDATE visits SET n = %d WHERE %s`, round, some(7, "visits", "who = 'round'")),
				`UPDATE words SET w = w || '.' WHERE `+some(1, "words", "w = 'stays'"), `INSERT INTO words VALUES ('stays')`,
			)
		}
		d.Kill()
		exec(t, w, fmt.Sprintf(`INSERT INTO keyed VALUES (%d, 'while it was away')`, 10+round), `DELETE FROM visits WHERE `+some(5, "visits", "n = 4"))
		d = startDaemon(t, w)
	}
	multisets(t, w)
	if err := d.Stop(within(t, 30*time.Second)); err != nil {
		t.Fatalf("orderly end: %v\n%s", err, d.LogTail(20))
	}
}

// TestV22MultisetEditedAndRetried: a row that somebody took out of a target
// stops its table; when it is back, `walshift retry` brings the table up.
func TestV22MultisetEditedAndRetried(t *testing.T) {
	t.Parallel()
	w := plainWorld(t, world.Config{DDL: multisetDDL + allSorts})
	d := streaming(t, w)
	first(t, w.TargetDSN(), `DELETE FROM words WHERE w = 'null'`)
	exec(t, w, `DELETE FROM words WHERE `+some(2, "words", "w = 'null'"), `INSERT INTO words VALUES ('later')`)
	err := d.Until(within(t, 60*time.Second), "words is stopped", func(s world.Status) bool {
		for _, tab := range s.Tables {
			if tab.Name == "public.words" && tab.State == "stopped" {
				return true
			}
		}
		return false
	})
	if err != nil {
		t.Fatal(err)
	}
	exec(t, w, `INSERT INTO keyed VALUES (1, 'others go on')`)
	hash := first(t, w.TargetDSN(), `SELECT _walshift_row FROM words WHERE w = 'a'`)
	if len(hash) != 32 {
		t.Fatalf("hash %q", hash)
	}
	// The hash of a row of one text column, as docs/design.md says it.
	gone := first(t, w.Source.SuperuserDSN(), `SELECT left(encode(sha256('\x000100000004'::bytea || convert_to('null', 'UTF8')), 'hex'), 32)`)
	for range 5 {
		first(t, w.TargetDSN(), `INSERT INTO words VALUES ('null', '`+gone+`')`)
	}
	if out, code, err := w.Command(t.Context(), "retry", "public.words"); err != nil || code != 0 {
		t.Fatalf("retry: exit code %d (%v): %s", code, err, out)
	}
	multisets(t, w)
}
