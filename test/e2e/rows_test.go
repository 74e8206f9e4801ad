package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/walshift/walshift/test/world"
)

// rowsWorld is the world of this file. Its server decodes with so little memory that
// most transactions would be streamed to a client that takes them in progress.
var rowsWorld = &shared{ //nolint:gochecknoglobals // one per process, ended by TestMain
	cfg: world.Config{Race: true, Settings: map[string]string{"logical_decoding_work_mem": "64kB"}, DDL: r3DDL + r4DDL + r5DDL +
		r6DDL + r7DDL + v10DDL + otherDDL},
	prepare: func(t *testing.T, s *shared) {
		t.Helper()
		exec(t, s.w, inheritedDDL)
		superuser(t, s.w, `ALTER PUBLICATION walshift_shop ADD TABLE ONLY inh_alone, inh_both, inh_both_child`)
		if s.major >= 15 {
			exec(t, s.w, v9DDL)
			superuser(t, s.w, `ALTER PUBLICATION walshift_shop ADD TABLE v9 (id, a, v) WHERE (a > 10 AND id % 7 <> 0), v9_large WHERE (a > 10)`)
		}
		if s.major >= 18 {
			exec(t, s.w, `CREATE TABLE r6_virtual (id int PRIMARY KEY, a int, g int GENERATED ALWAYS AS (a * 2) VIRTUAL, z text)`)
			superuser(t, s.w, `ALTER PUBLICATION walshift_shop ADD TABLE r6_virtual; ALTER PUBLICATION walshift_shop SET (publish_generated_columns = stored)`)
		}
	},
}

const r3DDL = `
CREATE TABLE r3 (id int PRIMARY KEY, code text NOT NULL UNIQUE, a int NOT NULL, b text NOT NULL, big text NOT NULL);
ALTER TABLE r3 REPLICA IDENTITY USING INDEX r3_code_key; ALTER TABLE r3 ALTER big SET STORAGE EXTERNAL;
INSERT INTO r3 SELECT i, 'c'||i, i, 'b'||i, repeat(md5(i::text), 100) FROM generate_series(1, 60) i;
CREATE TABLE r3_pair (x int NOT NULL, other text NOT NULL, y text NOT NULL, last int NOT NULL);
CREATE UNIQUE INDEX r3_pair_key ON r3_pair (y, x); ALTER TABLE r3_pair REPLICA IDENTITY USING INDEX r3_pair_key;
INSERT INTO r3_pair SELECT i, 'o'||i, 'y'||i%5, i FROM generate_series(1, 60) i;`

// TestR3KTupleNulls: the old tuple of a delete or a key change has NULL for all
// columns but the identity's, whatever their values are and wherever they
// stand.
func TestR3KTupleNulls(t *testing.T) {
	t.Parallel()
	s := rowsWorld.use(t)
	tables := map[string]string{"r3": "id, code, a, b, big", "r3_pair": "x, other, y, last"}
	s.same(t, tables,
		`DELETE FROM r3 WHERE id BETWEEN 1 AND 9; DELETE FROM r3_pair WHERE x BETWEEN 1 AND 9`,
		`UPDATE r3 SET code = 'new '||id WHERE id BETWEEN 10 AND 14`,           // all else is kept
		`UPDATE r3 SET code = upper(code), b = '' WHERE id BETWEEN 15 AND 19`,  // big is kept
		`UPDATE r3_pair SET y = y||'!' WHERE x BETWEEN 10 AND 19`,              // half of the key
		`UPDATE r3_pair SET x = x + 1000, last = -1 WHERE x BETWEEN 20 AND 29`, // the other half
		`BEGIN; UPDATE r3 SET code = 'gone' WHERE id = 20; DELETE FROM r3 WHERE id = 20; COMMIT`,
		`BEGIN; DELETE FROM r3 WHERE id = 21; INSERT INTO r3 VALUES (21, 'c21', 0, '', ''); COMMIT`,
		`BEGIN; DELETE FROM r3_pair WHERE x = 31; UPDATE r3_pair SET x = 31, y = 'y1' WHERE x = 32; COMMIT`)
	s.same(t, tables, `DELETE FROM r3 WHERE code LIKE 'new %'`, `DELETE FROM r3_pair WHERE y LIKE '%!'`,
		`UPDATE r3 SET a = a + 1`, `UPDATE r3_pair SET last = last + 1`)
}

const r4DDL = `
CREATE TABLE r4 (id int PRIMARY KEY, v text, big text); ALTER TABLE r4 ALTER big SET STORAGE EXTERNAL;
INSERT INTO r4 SELECT i, 'v'||i, repeat(md5(i::text), 100) FROM generate_series(1, 60) i;
CREATE TABLE r4_pair (v text, b text, big text, a int, PRIMARY KEY (a, b)); ALTER TABLE r4_pair ALTER big SET STORAGE EXTERNAL;
INSERT INTO r4_pair SELECT 'v'||i, 'b'||i%7, repeat(md5(i::text), 100), i/7 FROM generate_series(1, 69) i;`

// TestR4KeyChanges: rows take keys from each other in one batch, by chains and
// cycles, with values that stay in TOAST throughout; no row is left under a key
// that it had.
func TestR4KeyChanges(t *testing.T) {
	t.Parallel()
	s := rowsWorld.use(t)
	tables := map[string]string{"r4": "id, v, big", "r4_pair": "v, b, big, a"}
	changes := []string{
		// A chain: each row takes the key that the next has just left.
		`DO $$ BEGIN DELETE FROM r4 WHERE id = 20; FOR i IN REVERSE 19..10 LOOP UPDATE r4 SET id = i + 1 WHERE id = i; END LOOP; END $$`,
		// Cycles of two and of three.
		`BEGIN; UPDATE r4 SET id = 0 WHERE id = 30; UPDATE r4 SET id = 30 WHERE id = 31; UPDATE r4 SET id = 31 WHERE id = 0; COMMIT`,
		`BEGIN; UPDATE r4 SET id = 0 WHERE id = 33; UPDATE r4 SET id = 33, v = 'b' WHERE id = 34; UPDATE r4 SET id = 34 WHERE id = 35;
			UPDATE r4 SET id = 35, v = 'c' WHERE id = 0; COMMIT`,
		// There and back again; into the place of a deleted row; over a new one.
		`BEGIN; UPDATE r4 SET id = 1040 WHERE id = 40; UPDATE r4 SET v = 'away' WHERE id = 1040; UPDATE r4 SET id = 40 WHERE id = 1040; COMMIT`,
		`BEGIN; DELETE FROM r4 WHERE id = 41; UPDATE r4 SET id = 41 WHERE id = 42; INSERT INTO r4 VALUES (42, 'new', NULL); COMMIT`,
		`BEGIN; INSERT INTO r4 VALUES (900, 'x', repeat('y', 4000)); UPDATE r4 SET id = 901 WHERE id = 900; UPDATE r4 SET id = 900 WHERE id = 43;
			UPDATE r4 SET v = 'moved' WHERE id IN (900, 901); COMMIT`,
		`BEGIN; UPDATE r4 SET id = 902 WHERE id = 44; DELETE FROM r4 WHERE id = 902; COMMIT`,
		`BEGIN; UPDATE r4 SET id = 903 WHERE id = 45; INSERT INTO r4 VALUES (45, 'second', ''); DELETE FROM r4 WHERE id = 45; COMMIT`,
		// Of a composite key one part, the other, both; two rows swap a part.
		`UPDATE r4_pair SET a = a + 100 WHERE a = 1`, `UPDATE r4_pair SET b = b||' ' WHERE a = 2`, `UPDATE r4_pair SET b = 'n'||b, a = -a WHERE a = 3`,
		`BEGIN; UPDATE r4_pair SET a = -50 WHERE a = 4 AND b = 'b1'; UPDATE r4_pair SET a = 4 WHERE a = 5 AND b = 'b1';
			UPDATE r4_pair SET a = 5, v = NULL WHERE a = -50 AND b = 'b1'; COMMIT`,
		`UPDATE r4_pair SET b = '' WHERE a = 6 AND b = 'b0'`,
	}
	s.same(t, tables, changes...)
	for _, sql := range []string{
		`UPDATE r4 SET id = -id`, `UPDATE r4 SET v = NULL, id = -id WHERE id % 2 = 0`, `UPDATE r4_pair SET a = a + 1000, b = b||a`,
	} { // one in each batch
		s.same(t, tables, sql)
	}
}

const r5DDL = `
CREATE TABLE r5 (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, v text);
CREATE TABLE r5_child (id int PRIMARY KEY, r5 int REFERENCES r5);
CREATE TABLE r5_other (id int PRIMARY KEY, v text); CREATE TABLE r5_empty (id int PRIMARY KEY);
CREATE TABLE r5_log (v text);
INSERT INTO r5 (v) SELECT 'first' FROM generate_series(1, 40); INSERT INTO r5_child SELECT i, i FROM generate_series(1, 40) i;
INSERT INTO r5_other SELECT i, 'first' FROM generate_series(1, 40) i; INSERT INTO r5_log VALUES ('first');`

// TestR5Truncate: a truncate stands where it stood, rows before it go, rows
// after it stay.
func TestR5Truncate(t *testing.T) {
	t.Parallel()
	s := rowsWorld.use(t)
	tables := map[string]string{"r5": "id, v", "r5_child": "id, r5", "r5_other": "id, v", "r5_empty": "id", "r5_log": "v"}
	s.same(t, tables, // undone, whole and in part
		`BEGIN; TRUNCATE r5, r5_child; INSERT INTO r5 (v) VALUES ('gone'); ROLLBACK`,
		`BEGIN; UPDATE r5 SET v = 'before'; SAVEPOINT s; TRUNCATE r5 CASCADE; INSERT INTO r5 VALUES (1, 'gone'); ROLLBACK TO s;
			UPDATE r5 SET v = v||' and after' WHERE id < 20; COMMIT`,
		`TRUNCATE r5_empty`)
	s.same(t, tables, // the same keys before and after; CASCADE empties a second table
		`BEGIN; INSERT INTO r5_child VALUES (100, 1); UPDATE r5 SET v = 'doomed'; TRUNCATE r5 RESTART IDENTITY CASCADE;
			INSERT INTO r5 (v) VALUES ('second'), ('second'); INSERT INTO r5_child VALUES (1, 1), (100, 2); COMMIT`,
		`BEGIN; SAVEPOINT s; TRUNCATE r5_other; RELEASE s; INSERT INTO r5_other VALUES (1, 'after the savepoint'); COMMIT`,
		`INSERT INTO r5_empty VALUES (1)`)
	s.same(t, tables, // twice in one transaction, and with several tables
		`BEGIN; INSERT INTO r5_other VALUES (2, 'a'); TRUNCATE r5_other, r5_log; INSERT INTO r5_other VALUES (2, 'b'), (3, 'b');
			INSERT INTO r5_log VALUES ('b'); TRUNCATE r5_empty, r5_other, r5_log; INSERT INTO r5_other VALUES (3, 'c'); UPDATE r5_other SET id = 2; COMMIT`,
		`BEGIN; DELETE FROM r5_child; DELETE FROM r5; TRUNCATE r5_child, r5; COMMIT`,
		`BEGIN; TRUNCATE r5_empty; COMMIT`, `TRUNCATE r5_empty`, `INSERT INTO r5_log VALUES ('last'), ('last')`)
	s.same(t, tables, `UPDATE r5_other SET v = 'd'`, `INSERT INTO r5 VALUES (1, 'third')`)
}

const r6DDL = `
CREATE TABLE r6 (id int PRIMARY KEY, a int, g int GENERATED ALWAYS AS (a * 2) STORED, z text);
INSERT INTO r6 (id, a, z) SELECT i, i, 'z'||i FROM generate_series(1, 20) i;`

// TestR6GeneratedColumns: alike in snapshot and stream, left out or, where the
// publication has them, with their values. Virtual columns are never there.
func TestR6GeneratedColumns(t *testing.T) {
	t.Parallel()
	s := rowsWorld.use(t)
	columns := "id a z"
	if s.major >= 18 {
		columns = "id a g z"
		s.same(t, map[string]string{"r6_virtual": "id, a, z"}, `INSERT INTO r6_virtual (id, a, z) VALUES (1, 2, 'x'), (2, NULL, '')`,
			`UPDATE r6_virtual SET a = 7 WHERE id = 1`)
		if got := columnsOf(t, s.w, "r6_virtual"); got != "id a z" {
			t.Errorf("r6_virtual has the columns %s", got)
		}
	}
	list := strings.ReplaceAll(columns, " ", ", ")
	compare(t, s.w, map[string]string{"r6": list})
	s.same(t, map[string]string{"r6": list}, `INSERT INTO r6 (id, a, z) VALUES (21, NULL, NULL), (22, 5, 'n')`,
		`UPDATE r6 SET a = a + 1 WHERE id < 10`, `UPDATE r6 SET z = '' WHERE id = 10`, `UPDATE r6 SET id = 111, a = 9 WHERE id = 11`,
		`DELETE FROM r6 WHERE id = 12`)
	if got := columnsOf(t, s.w, "r6"); got != columns {
		t.Errorf("the target has the columns %s, want %s", got, columns)
	}
	if s.major < 18 {
		says(t, s.d.Log(), "source.generated_columns", "left out: g")
	}
}

const r7DDL = `
CREATE TABLE r7 (id int, region text, v text, big text, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE r7_eu PARTITION OF r7 FOR VALUES IN ('eu') PARTITION BY RANGE (id);
CREATE TABLE r7_eu_low PARTITION OF r7_eu FOR VALUES FROM (0) TO (100);
CREATE TABLE r7_eu_high PARTITION OF r7_eu FOR VALUES FROM (100) TO (10000);
CREATE TABLE r7_us (big text, gone int, v text, region text NOT NULL, id int NOT NULL);
ALTER TABLE r7_us DROP COLUMN gone; ALTER TABLE r7 ATTACH PARTITION r7_us FOR VALUES IN ('us');
CREATE TABLE r7_rest PARTITION OF r7 DEFAULT;
ALTER TABLE r7 ALTER big SET STORAGE EXTERNAL; ALTER TABLE r7_us ALTER big SET STORAGE EXTERNAL; ALTER TABLE r7_rest ALTER big SET STORAGE EXTERNAL;
INSERT INTO r7 SELECT i, (array['eu', 'us', 'asia'])[1+i%3], 'v'||i, repeat(md5(i::text), 100) FROM generate_series(1, 150) i;`

// TestR7Partitions: one target for all leaves, whatever their order of columns,
// and rows that move between them.
func TestR7Partitions(t *testing.T) {
	t.Parallel()
	s := rowsWorld.use(t)
	tables := map[string]string{"r7": "id, region, v, big"}
	compare(t, s.w, tables)
	s.same(t, tables,
		`UPDATE r7 SET v = 'kept' WHERE id < 20`, `DELETE FROM r7 WHERE id BETWEEN 21 AND 25`,
		`UPDATE r7 SET region = 'us' WHERE region = 'eu' AND id < 60`,              // to another leaf, big untouched
		`UPDATE r7 SET id = id + 1000 WHERE region = 'eu' AND id > 90`,             // within and between the sub-partitions
		`UPDATE r7 SET region = 'mars', v = NULL WHERE region = 'us' AND id > 120`, // to the default
		`UPDATE r7 SET region = 'eu' WHERE region = 'asia' AND id BETWEEN 61 AND 80`,
		`BEGIN; UPDATE r7 SET region = 'us' WHERE id = 66; UPDATE r7 SET region = 'moon', v = 'x' WHERE id = 66; DELETE FROM r7 WHERE id = 69; COMMIT`,
		`INSERT INTO r7_us (big, v, region, id) VALUES (NULL, '', 'us', 5000)`, `UPDATE r7_us SET v = 'by the leaf' WHERE id < 9`)
	s.same(t, tables, `BEGIN; INSERT INTO r7 VALUES (7000, 'eu', 'gone', ''); TRUNCATE r7; INSERT INTO r7 VALUES (7000, 'eu', 'new', 'b'), (7001, 'us', '', NULL); COMMIT`,
		`UPDATE r7 SET region = 'us' WHERE id = 7000`)
	if n := first(t, s.w.TargetDSN(), "SELECT count(*) FROM svv_tables WHERE table_name LIKE 'r7\\\\_%'"); n != "0" {
		t.Errorf("%s leaves have targets of their own", n)
	}
}

const v9DDL = `
CREATE TABLE v9 (id int, secret text, a int, v text, PRIMARY KEY (id, a));
CREATE TABLE v9_large (id int, a int, v text, big text, PRIMARY KEY (id, a)); ALTER TABLE v9_large ALTER big SET STORAGE EXTERNAL;
INSERT INTO v9 SELECT i, 'hush'||i, i, 'v'||i FROM generate_series(1, 40) i;
INSERT INTO v9_large SELECT i, i, 'v'||i, repeat(md5(i::text), 100) FROM generate_series(1, 30) i;`

// TestV9RowFilter: a filter and a column list hold alike for snapshot and
// stream; rows that enter or leave by an update appear and go. One that enters
// with a value that the stream leaves out stops its table, and no other.
func TestV9RowFilter(t *testing.T) {
	t.Parallel()
	s := rowsWorld.use(t)
	if s.major < 15 {
		t.Skip("row filters and column lists came with PostgreSQL 15")
	}
	same := func(table, columns, filter string) {
		t.Helper()
		src, err := s.w.SourceSide().Rows(t.Context(), "SELECT "+columns+" FROM "+table+" WHERE "+filter)
		if err != nil {
			t.Fatal(err)
		}
		if diff := world.Difference(src, target(t, s.w, "SELECT "+columns+" FROM "+table)); diff != "" {
			t.Errorf("%s differs: %s", table, diff)
		}
	}
	const filter = "a > 10 AND id % 7 <> 0"
	same("v9", "id, a, v", filter)
	same("v9_large", "id, a, v, big", "a > 10")
	exec(t, s.w, `UPDATE v9 SET a = a + 10 WHERE id BETWEEN 4 AND 9`, `UPDATE v9 SET a = a - 30, v = 'out' WHERE id BETWEEN 20 AND 29`,
		`UPDATE v9 SET v = 'in', secret = 'x' WHERE id > 30`, `UPDATE v9 SET secret = 'y'`, `UPDATE v9 SET id = id + 100 WHERE id IN (14, 33, 35)`,
		`DELETE FROM v9 WHERE id IN (1, 11, 36)`, `INSERT INTO v9 VALUES (201, 's', 5, ''), (202, 's', 50, NULL), (203, 's', 11, ' ')`,
		`UPDATE v9_large SET a = -a WHERE id BETWEEN 15 AND 20`, `UPDATE v9_large SET v = 'kept' WHERE a > 10`)
	s.arrived(t)
	same("v9", "id, a, v", filter)
	same("v9_large", "id, a, v, big", "a > 10")
	if got := columnsOf(t, s.w, "v9"); got != "id a v" {
		t.Errorf("the target has the columns %s", got)
	}
	before := target(t, s.w, "SELECT id, a, v, big FROM v9_large")
	exec(t, s.w, `UPDATE v9_large SET a = 100 WHERE id = 5`, `UPDATE v9 SET v = 'goes on'`)
	says(t, s.stopped(t, "public.v9_large"), "unchanged value without an old one", "FULL")
	s.arrived(t)
	same("v9", "id, a, v", filter)
	if diff := world.Difference(before, target(t, s.w, "SELECT id, a, v, big FROM v9_large")); diff != "" {
		t.Errorf("the stopped table is not as it was: %s", diff)
	}
}

const v10DDL = `
CREATE TABLE v10 (id int PRIMARY KEY, v text, code varchar(9) NOT NULL, big text);
CREATE UNIQUE INDEX v10_code ON v10 (code); ALTER TABLE v10 REPLICA IDENTITY USING INDEX v10_code; ALTER TABLE v10 ALTER big SET STORAGE EXTERNAL;
INSERT INTO v10 SELECT i, 'v'||i, 'c'||i, repeat(md5(i::text), 100) FROM generate_series(1, 40) i;
CREATE TABLE v10_toasted (k text PRIMARY KEY, v text, n int); ALTER TABLE v10_toasted ALTER k SET STORAGE EXTERNAL, ALTER v SET STORAGE EXTERNAL;
INSERT INTO v10_toasted SELECT repeat(md5(i::text), 70)||i, repeat('v', 3000), i FROM generate_series(1, 20) i;`

// TestV10IdentityIsNotPrimaryKey: the identity is the key, whatever the primary
// key does; a key that is stored in TOAST is one as well.
func TestV10IdentityIsNotPrimaryKey(t *testing.T) {
	t.Parallel()
	s := rowsWorld.use(t)
	tables := map[string]string{"v10": "id, v, code, big", "v10_toasted": "k, v, n"}
	s.same(t, tables,
		`UPDATE v10 SET id = id + 1000 WHERE id < 5`, // no old tuple
		`BEGIN; UPDATE v10 SET id = -1 WHERE id = 10; UPDATE v10 SET id = 10 WHERE id = 11; UPDATE v10 SET id = 11 WHERE id = -1; COMMIT`,
		`UPDATE v10 SET code = 'n'||id, id = id + 2000 WHERE id BETWEEN 12 AND 14`,
		`BEGIN; DELETE FROM v10 WHERE id = 15; INSERT INTO v10 VALUES (15, 'again', 'other', NULL), (16000, 'again', 'c15', ''); COMMIT`,
		`DELETE FROM v10 WHERE id IN (1001, 20, 21)`,
		`UPDATE v10_toasted SET n = n + 1`, `UPDATE v10_toasted SET v = NULL WHERE n = 3`, `UPDATE v10_toasted SET k = k||'!' WHERE n IN (4, 5)`,
		`UPDATE v10_toasted SET k = 'short' WHERE n = 6`, `DELETE FROM v10_toasted WHERE n > 15`)
	s.same(t, tables, `UPDATE v10 SET id = -id`, `UPDATE v10_toasted SET k = k||k WHERE k = 'short'`, `UPDATE v10_toasted SET n = 0`)
}

// otherDDL is of the smaller tests below.
const otherDDL = `
CREATE TABLE v12 (id int PRIMARY KEY, v text);
CREATE TABLE w9 (id int PRIMARY KEY, n int NOT NULL, v text); INSERT INTO w9 SELECT i, 0, '' FROM generate_series(1, 100) i;
CREATE TABLE messages (id int PRIMARY KEY, v text);
CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY); INSERT INTO unlogged VALUES (1);`

// TestV12PreparedTransactions: a prepared transaction arrives whole, when it is
// committed, also where everything around it was confirmed long before.
func TestV12PreparedTransactions(t *testing.T) {
	t.Parallel()
	s := rowsWorld.use(t)
	tables := map[string]string{"v12": "id, v"}
	exec(t, s.w, `INSERT INTO v12 VALUES (1, 'before')`,
		`BEGIN; INSERT INTO v12 SELECT i, repeat('x', 100) FROM generate_series(100, 2000) i; UPDATE v12 SET v = 'prepared' WHERE id = 1; PREPARE TRANSACTION 'kept'`,
		`BEGIN; INSERT INTO v12 VALUES (3, 'undone'); PREPARE TRANSACTION 'undone'`)
	prepared := superuser(t, s.w, "SELECT pg_current_wal_insert_lsn()")
	for range 2 {
		s.same(t, tables, `INSERT INTO v12 SELECT 10 + count(*), 'between' FROM v12`)
	}
	eventually(t, time.Minute, "what follows the prepared transactions is confirmed", func() bool {
		exec(t, s.w, "SELECT pg_logical_emit_message(true, 'walshift-test', '')")
		return superuser(t, s.w, "SELECT confirmed_flush_lsn > '"+prepared+"' FROM pg_replication_slots") == "t"
	})
	if s.major >= 14 && superuser(t, s.w, "SELECT two_phase FROM pg_replication_slots") != "f" {
		t.Error("the slot decodes at PREPARE")
	}
	s.same(t, tables, `ROLLBACK PREPARED 'undone'`, `UPDATE v12 SET v = 'after' WHERE id = 10`, `COMMIT PREPARED 'kept'`,
		`UPDATE v12 SET v = v||'!' WHERE id IN (1, 100)`)
}

// TestW9Subtransactions: thousands of subtransactions in one transaction, some
// of them undone, by savepoints and by exception blocks.
func TestW9Subtransactions(t *testing.T) {
	t.Parallel()
	s := rowsWorld.use(t)
	s.same(t, map[string]string{"w9": "id, n, v"}, `
		DO $$ BEGIN
		  FOR i IN 1..3000 LOOP
		    BEGIN
		      INSERT INTO w9 VALUES (1000 + i, i, repeat('v', 60));
		      UPDATE w9 SET n = n + 1 WHERE id = 1 + i % 100;
		      IF i % 3 = 0 THEN RAISE EXCEPTION 'undone'; END IF;
		      IF i % 5 = 0 THEN PERFORM 1 / 0; END IF;
		    EXCEPTION WHEN raise_exception OR division_by_zero THEN
		      INSERT INTO w9 VALUES (-i, i, 'instead');
		    END;
		  END LOOP; END $$`,
		`BEGIN; SAVEPOINT a; UPDATE w9 SET v = 'a' WHERE id < 50; SAVEPOINT b; DELETE FROM w9; SAVEPOINT c; INSERT INTO w9 VALUES (1, 1, 'c');
			ROLLBACK TO b; UPDATE w9 SET v = v||'b' WHERE id < 20; RELEASE a; SAVEPOINT d; UPDATE w9 SET id = id + 100000; ROLLBACK TO d; COMMIT`,
		`BEGIN; SAVEPOINT a; DELETE FROM w9; ROLLBACK TO a; COMMIT`)
}

// TestMessagesAndEmptyTransactions: what has no rows leaves no trace, and the
// position moves past it.
func TestMessagesAndEmptyTransactions(t *testing.T) {
	t.Parallel()
	s := rowsWorld.use(t)
	for _, transactional := range []bool{true, false} {
		emit := func(bytes int) string {
			return fmt.Sprintf("SELECT pg_logical_emit_message(%t, 'other', repeat('m', %d))", transactional, bytes)
		}
		s.same(t, map[string]string{"messages": "id, v"},
			emit(0), emit(20<<20), "BEGIN; "+emit(10)+"; ROLLBACK",
			fmt.Sprintf(`BEGIN; %s; INSERT INTO messages SELECT count(*), 'between' FROM messages; SAVEPOINT s; %s; ROLLBACK TO s; %s; COMMIT`, emit(10), emit(1<<20), emit(10)),
			"BEGIN; COMMIT", "BEGIN; SELECT txid_current(); COMMIT", "BEGIN; SAVEPOINT s; INSERT INTO messages VALUES (-1, ''); ROLLBACK TO s; COMMIT",
			"CREATE TABLE passing (id int); DROP TABLE passing")
	}
}

// TestUnloggedAndTemporaryTables: an unlogged table is left out, and said so;
// temporary tables leave no trace.
func TestUnloggedAndTemporaryTables(t *testing.T) {
	t.Parallel()
	s := rowsWorld.use(t)
	s.same(t, map[string]string{"messages": "id, v"},
		`BEGIN; CREATE TEMP TABLE messages_new ON COMMIT DROP AS SELECT 1000 + i AS id FROM generate_series(1, 10) i; INSERT INTO unlogged VALUES (2);
			INSERT INTO messages SELECT id, 'by way of a temporary table' FROM messages_new; DELETE FROM messages_new; COMMIT`,
		`CREATE TEMP TABLE messages (id int); INSERT INTO pg_temp.messages VALUES (1)`)
	if n := first(t, s.w.TargetDSN(), "SELECT count(*) FROM svv_tables WHERE table_name IN ('unlogged', 'messages_new')"); n != "0" {
		t.Errorf("%s of them have a target", n)
	}
	says(t, s.d.Log(), "public.unlogged is unlogged: its changes are not in the WAL", "SET LOGGED")
}

const inheritedDDL = `
CREATE TABLE inh_alone (id int PRIMARY KEY, v text); CREATE TABLE inh_alone_child (more int, PRIMARY KEY (id)) INHERITS (inh_alone);
CREATE TABLE inh_both (id int PRIMARY KEY, v text); CREATE TABLE inh_both_child (more int, PRIMARY KEY (id)) INHERITS (inh_both);
INSERT INTO inh_alone VALUES (1, 'p'), (2, 'p'); INSERT INTO inh_alone_child VALUES (11, 'c', 1), (2, 'same key', 2);
INSERT INTO inh_both VALUES (1, 'p'), (2, 'p'); INSERT INTO inh_both_child VALUES (11, 'c', 1), (2, 'same key', 2);`

// TestInheritance: a table that others inherit from has its own rows alone on
// the warehouse, in snapshot and stream alike; children are tables of their own
// where they are published, and nowhere where they are not.
func TestInheritance(t *testing.T) {
	t.Parallel()
	s := rowsWorld.use(t)
	same := func() {
		t.Helper()
		for _, table := range []string{"inh_alone", "inh_both", "inh_both_child"} {
			src, err := s.w.SourceSide().Rows(t.Context(), "SELECT id, v FROM ONLY "+table)
			if err != nil {
				t.Fatal(err)
			}
			if diff := world.Difference(src, target(t, s.w, "SELECT id, v FROM "+table)); diff != "" {
				t.Errorf("%s differs: %s", table, diff)
			}
		}
	}
	same()
	for _, table := range []string{"inh_alone", "inh_both"} {
		exec(t, s.w, "UPDATE "+table+" SET v = v||'!'", "UPDATE ONLY "+table+" SET v = 'only' WHERE id = 2",
			"INSERT INTO "+table+"_child VALUES (12, 'stream', 3), (13, 'stream', 3); INSERT INTO "+table+" VALUES (3, 'x'), (13, 'x')",
			"DELETE FROM "+table+" WHERE id IN (11, 13)")
	}
	s.arrived(t)
	same()
	exec(t, s.w, "TRUNCATE ONLY inh_both; INSERT INTO inh_both VALUES (12, 'after')", "TRUNCATE inh_alone; INSERT INTO inh_alone_child VALUES (1, 'c', 1)")
	s.arrived(t)
	same()
	if n := first(t, s.w.TargetDSN(), "SELECT count(*) FROM svv_tables WHERE table_name = 'inh_alone_child'"); n != "0" {
		t.Error("an unpublished child has a target")
	}
}
