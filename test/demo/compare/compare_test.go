package compare_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/walshift/walshift/test/cluster"
	"github.com/walshift/walshift/test/demo/compare"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const sourceDDL = `
	CREATE TABLE keyed (b text, a text, id int, flag bool, code char(5), at timestamptz, n numeric, PRIMARY KEY (id, b));
	INSERT INTO keyed SELECT 'k' || i, CASE WHEN i % 3 = 0 THEN NULL WHEN i % 3 = 1 THEN '' ELSE 'É' || i END,
		i / 2, i % 2 = 0, i % 7, timestamptz '2026-01-31 12:00:00Z' + i * interval '0.1 s', i / 8.0
	FROM generate_series(1, 1000) i;
	CREATE TABLE keyless (x int, y text);
	INSERT INTO keyless SELECT i / 2 % 50, NULLIF(i % 5, 0) FROM generate_series(1, 500) i;
	CREATE TABLE hashed (j json);
	INSERT INTO hashed SELECT NULLIF(i % 5, 0)::text::json FROM generate_series(1, 50) i;
	CREATE TABLE empty (id int PRIMARY KEY);`

// The target writes the same values in its own way and order.
const targetDDL = `
	CREATE SCHEMA copy;
	CREATE TABLE copy.keyed (id int, b varchar(100), a varchar(100), flag text, code varchar(20), at timestamptz(3), n numeric, extra int);
	INSERT INTO copy.keyed SELECT i / 2, 'k' || i, CASE WHEN i % 3 = 0 THEN NULL WHEN i % 3 = 1 THEN '' ELSE 'É' || i END,
		i % 2 = 0, i % 7, timestamptz '2026-01-31 12:00:00Z' + i * interval '0.1 s', i / 8.0
	FROM generate_series(1000, 1, -1) i;
	CREATE TABLE copy.keyless (y varchar(100), x int);
	INSERT INTO copy.keyless SELECT NULLIF(i % 5, 0), i / 2 % 50 FROM generate_series(500, 1, -1) i;
	CREATE TABLE copy.hashed (_walshift_row varchar(32), j json);
	INSERT INTO copy.hashed SELECT md5((i % 5)::text), NULLIF(i % 5, 0)::text::json FROM generate_series(50, 1, -1) i;
	CREATE TABLE copy.empty (id int);`

// sides starts both sides with equal rows.
func sides(t *testing.T) (pg *cluster.Postgres, source *cluster.Source, target string) {
	t.Helper()
	pg = cluster.RunPostgres(t, cluster.PostgresConfig{Settings: map[string]string{
		"DateStyle": "SQL, DMY", "TimeZone": "Asia/Kolkata", // what the database's owner likes
	}})
	source, err := pg.CreateSource(t.Context(), cluster.SourceConfig{DDL: sourceDDL})
	if err != nil {
		t.Fatal(err)
	}
	if err := source.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := pg.Psql(t.Context(), pg.SuperuserDSN("postgres"), "CREATE DATABASE warehouse"); err != nil {
		t.Fatal(err)
	}
	target = pg.SuperuserDSN("warehouse")
	if _, err := pg.Psql(t.Context(), target, targetDDL); err != nil {
		t.Fatal(err)
	}
	return pg, source, target
}

func compareSides(t *testing.T, source *cluster.Source, target string) map[string]compare.Result {
	t.Helper()
	left, err := pgx.Connect(t.Context(), source.ReplicatorDSN())
	if err != nil {
		t.Fatal(err)
	}
	defer left.Close(t.Context())
	right, err := pgx.Connect(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	defer right.Close(t.Context())
	tables, err := compare.Published(t.Context(), left, source.Publication)
	if err != nil {
		t.Fatal(err)
	}
	results, err := compare.Tables(t.Context(), left, right, "copy", tables)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]compare.Result{}
	for _, result := range results {
		byName[result.Table.Name] = result
	}
	return byName
}

// Every difference is found, in its table alone, and undone again.
func TestCompare(t *testing.T) {
	t.Parallel()
	pg, source, target := sides(t)

	results := compareSides(t, source, target)
	for name, rows := range map[string]int64{"keyed": 1000, "keyless": 500, "hashed": 50, "empty": 0} {
		result, found := results[name]
		if !found || !result.Identical() || result.Source.Rows != rows {
			t.Errorf("%s: %+v", name, result)
		}
	}
	if results["keyed"].Source.Hash == results["empty"].Source.Hash {
		t.Error("a full table hashes as an empty one")
	}

	for _, change := range []struct{ table, statement, where string }{
		{"keyed", "UPDATE copy.keyed SET a = '' WHERE b = 'k999'", `b = "k999", id = "499": a is NULL on the source, "" on the target`},
		{"keyed", "UPDATE copy.keyed SET a = a || ' ' WHERE b = 'k2'", `a is "É2" on the source, "É2 " on the target`},
		{"keyed", "UPDATE copy.keyed SET at = at + interval '1 ms' WHERE b = 'k10'", "at is "},
		{"keyed", "UPDATE copy.keyed SET flag = 'false' WHERE b = 'k2'", "flag is "},
		{"keyed", "UPDATE copy.keyed SET n = 0.25 WHERE b = 'k2'", "n is "},
		{"keyed", "UPDATE copy.keyed SET id = 70 WHERE b = 'k1000'", "row "},
		{"keyed", "DELETE FROM copy.keyed WHERE b = 'k1000'", "row 1000: the target has ended"},
		{"keyed", "INSERT INTO copy.keyed VALUES (1000, 'more')", "row 1001: the source has ended"},
		{"keyed", "INSERT INTO copy.keyed SELECT * FROM copy.keyed WHERE b = 'k500'", `row 501, b = "k501", id = "250"`},
		{"keyless", "DELETE FROM copy.keyless WHERE ctid = (SELECT min(ctid) FROM copy.keyless WHERE x = 7)", `1 more on the source: x = "7"`},
		{"keyless", "INSERT INTO copy.keyless VALUES (NULL, 7)", `1 more on the target: x = "7", y = NULL`},
		{"keyless", "UPDATE copy.keyless SET x = x + 1", " more on the "},
		{"hashed", "UPDATE copy.hashed SET j = '3' WHERE j IS NULL", "10 more on the "},
		{"hashed", "UPDATE copy.hashed SET _walshift_row = md5('2') WHERE j::text = '3'", "in a row that differs"},
		{"hashed", "UPDATE copy.hashed SET _walshift_row = md5('9') WHERE ctid = (SELECT max(ctid) FROM copy.hashed)", "in an equal row"},
		{"hashed", "UPDATE copy.hashed SET _walshift_row = upper(_walshift_row)", "is no hash"},
		{"hashed", "UPDATE copy.hashed SET _walshift_row = NULL WHERE j::text = '3'", "is no hash"},
		{"empty", "INSERT INTO copy.empty VALUES (1)", `row 1: the source has ended, the target goes on with id = "1"`},
	} {
		if _, err := pg.Psql(t.Context(), target, "CREATE TABLE saved AS TABLE copy."+change.table+"; "+change.statement); err != nil {
			t.Fatal(err)
		}
		for name, result := range compareSides(t, source, target) {
			if result.Identical() == (name == change.table) {
				t.Errorf("%s: %s is identical: %t", change.statement, name, result.Identical())
			}
			if name == change.table && (result.Source.Hash == result.Target.Hash && !strings.Contains(change.statement, "_walshift_row") || !strings.Contains(result.Difference, change.where)) {
				t.Errorf("%s: hashes %s and %s, difference: %s", change.statement, result.Source.Hash, result.Target.Hash, result.Difference)
			}
		}
		restore := "TRUNCATE copy." + change.table + "; INSERT INTO copy." + change.table + " TABLE saved; DROP TABLE saved"
		if _, err := pg.Psql(t.Context(), target, restore); err != nil {
			t.Fatal(err)
		}
	}
	if result := compareSides(t, source, target)["keyed"]; !result.Identical() {
		t.Errorf("after all is undone: %s", result.Difference)
	}
}

func TestCompareReportsErrors(t *testing.T) {
	t.Parallel()
	pg, source, target := sides(t)
	if _, err := pg.Psql(t.Context(), target, "DROP TABLE copy.keyless"); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), source.ReplicatorDSN())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	other, err := pgx.Connect(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(t.Context())
	if _, err := compare.Published(t.Context(), conn, "no such"); err == nil {
		t.Error("a publication that does not exist has tables")
	}
	tables, err := compare.Published(t.Context(), conn, source.Publication)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := compare.Tables(t.Context(), conn, other, "copy", tables); err == nil || !strings.Contains(err.Error(), "table keyless") {
		t.Errorf("a missing table: %v", err)
	}
}
