package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/walshift/walshift/test/world"
)

const fullDDL = `
CREATE TABLE docs (id int PRIMARY KEY, name text, big text, n int);
ALTER TABLE docs ALTER COLUMN big SET STORAGE EXTERNAL;
ALTER TABLE docs REPLICA IDENTITY FULL;
INSERT INTO docs SELECT i, 'doc '||i, repeat(md5(i::text), 200), i % 7 FROM generate_series(1, 300) i;
CREATE TABLE pairs (a int NOT NULL, b text NOT NULL, note text, UNIQUE (a, b));
ALTER TABLE pairs REPLICA IDENTITY FULL;
INSERT INTO pairs SELECT i % 10, 'b'||i, NULL FROM generate_series(1, 100) i;
CREATE TABLE parted (id int, d int, v text, PRIMARY KEY (id, d)) PARTITION BY RANGE (d);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (50);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (50) TO (100);
ALTER TABLE parted REPLICA IDENTITY FULL;
ALTER TABLE parted_1 REPLICA IDENTITY FULL;
ALTER TABLE parted_2 REPLICA IDENTITY FULL;
INSERT INTO parted SELECT i, i, 'v' FROM generate_series(0, 99) i;
CREATE TABLE indexed (id int PRIMARY KEY, code text NOT NULL UNIQUE, v text);
ALTER TABLE indexed REPLICA IDENTITY USING INDEX indexed_code_key;
INSERT INTO indexed SELECT i, 'code '||i, 'v' FROM generate_series(1, 50) i;
CREATE TABLE longkey (k text PRIMARY KEY, v int, big text);
ALTER TABLE longkey ALTER COLUMN k SET STORAGE EXTERNAL;
ALTER TABLE longkey ALTER COLUMN big SET STORAGE EXTERNAL;
INSERT INTO longkey SELECT repeat(md5(i::text), 70), i, repeat(md5(i::text), 90) FROM generate_series(1, 20) i;`

func fullTables() map[string]string {
	return map[string]string{
		"docs": "id, name, big, n", "pairs": "a, b, note", "parted": "id, d, v",
		"indexed": "id, code, v", "longkey": "k, v, big",
	}
}

// TestV10FullWithProvenKey: tables that are folded by a key that their replica
// identity doesn't name, or names beside the primary key, through all sorts of
// changes and kills; then the index that proves a key goes.
func TestV10FullWithProvenKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, world.Config{DDL: fullDDL})
	d := streaming(t, w)
	identical(t, w, fullTables())
	for round := range 3 {
		exec(t, w,
			fmt.Sprintf(`INSERT INTO docs SELECT i, 'new', repeat('x', 5000), 0 FROM generate_series(%d, %d) i`, 1000+100*round, 1040+100*round),
			`UPDATE docs SET n = n + 1 WHERE id % 3 = 0`,                         // big stays in TOAST
			`UPDATE docs SET id = id + 100000 WHERE id % 11 = 5 AND id < 100000`, // key change with kept big
			fmt.Sprintf(`DELETE FROM docs WHERE id %% 17 = %d`, round),
			`BEGIN; UPDATE docs SET id = -1 WHERE id = 21; UPDATE docs SET id = 21 WHERE id = 22;
			 UPDATE docs SET id = 22 WHERE id = -1; COMMIT`, // swap
			fmt.Sprintf(`BEGIN; DELETE FROM docs WHERE id = 30; INSERT INTO docs VALUES (30, 'again %d', NULL, NULL); COMMIT`, round),
			`UPDATE pairs SET note = coalesce(note, '') || 'n' WHERE a < 5`,
			fmt.Sprintf(`UPDATE pairs SET b = b || '!' WHERE a = %d`, round),
			fmt.Sprintf(`UPDATE parted SET d = (d + 50) %% 100 WHERE id %% 10 = %d`, round), // rows move between partitions
			fmt.Sprintf(`DELETE FROM parted WHERE id = %d`, 20+round),
			`UPDATE indexed SET id = id + 1000, v = v || 'x'`, // the primary key changes, the identity doesn't
			fmt.Sprintf(`UPDATE indexed SET code = code || '.' WHERE id %% 5 = %d`, round),
			fmt.Sprintf(`DELETE FROM indexed WHERE code LIKE 'code %d%%'`, 4+round),
			`UPDATE longkey SET v = v + 1 WHERE v % 2 = 0`, // the key is TOASTed, and so in a K tuple
			fmt.Sprintf(`UPDATE longkey SET k = k || 'x' WHERE v %% 7 = %d`, round),
			fmt.Sprintf(`DELETE FROM longkey WHERE v = %d`, 10+round),
		)
		if round == 1 {
			d.Kill()
			exec(t, w, `UPDATE docs SET name = 'while it was away' WHERE id BETWEEN 100 AND 120`, `TRUNCATE pairs`,
				`INSERT INTO pairs VALUES (1, 'after the truncate', NULL)`)
			d = startDaemon(t, w)
		}
	}
	identical(t, w, fullTables())

	exec(t, w, `ALTER TABLE docs DROP CONSTRAINT docs_pkey`, `INSERT INTO docs VALUES (1, 'a second of this key', NULL, NULL)`,
		`INSERT INTO pairs VALUES (77, 'still here', NULL)`)
	reason := ""
	err := d.Until(within(t, 60*time.Second), "docs is stopped", func(s world.Status) bool {
		for _, tab := range s.Tables {
			if tab.Name == "public.docs" && tab.State == "stopped" {
				reason = tab.Reason
				return true
			}
		}
		return false
	})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(reason, "key was (id), is ()") {
		t.Errorf("the reason is %q", reason)
	}
	others := fullTables()
	delete(others, "docs")
	deadline := within(t, 60*time.Second)
	for {
		diff, err := w.Compare(deadline, "pairs", "a, b, note")
		if err != nil {
			t.Fatal(err)
		}
		if diff == "" {
			break
		}
	}
	compare(t, w, others)
}
