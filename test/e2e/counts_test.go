package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/walshift/walshift/test/world"
)

// meddling is something that somebody does to a target, and the next change of
// the source that must not be applied over it.
type meddling struct {
	table string
	// edit meddles with the target, next changes the source, mend undoes edit.
	edit, next, mend string
	// says are words of the error.
	says string
}

// Each table has the same rows: id (or k, a text), v, big in TOAST.
func meddlings() []meddling {
	return []meddling{
		{ // V18: a value that is kept has no row to be taken from
			table: "kept_without_row", edit: "DELETE FROM %s WHERE id = 5", next: "UPDATE %s SET v = 'next' WHERE id IN (5, 6)",
			mend: "INSERT INTO %s (id, v, big) VALUES (5, 'v5', REPEAT('5', 3000))",
			says: "1 rows instead of 2",
		},
		{ // V18: the row is there twice
			table: "kept_twice", edit: "INSERT INTO %s (id, v, big) VALUES (5, 'twice', 'x')", next: "UPDATE %s SET v = 'next' WHERE id IN (5, 6)",
			mend: "DELETE FROM %s WHERE v = 'twice'", says: "3 rows instead of 2",
		},
		{ // V18: under a key that changes
			table: "kept_moved", edit: "UPDATE %s SET id = 999 WHERE id = 5", next: "UPDATE %s SET id = 105 WHERE id = 5",
			mend: "UPDATE %s SET id = 5 WHERE id = 999", says: "0 rows instead of 1",
		},
		{ // V22: a complete row that is not there
			table: "updated_gone", edit: "DELETE FROM %s WHERE id = 5", next: "UPDATE %s SET v = 'next', big = 'short' WHERE id BETWEEN 4 AND 6",
			mend: "INSERT INTO %s (id, v, big) VALUES (5, 'v5', 'any')", says: "2 rows instead of 3",
		},
		{ // V22: a duplicate of what is deleted
			table: "deleted_twice", edit: "INSERT INTO %s (id, v) VALUES (5, 'twice')", next: "DELETE FROM %s WHERE id = 5",
			mend: "DELETE FROM %s WHERE v = 'twice'", says: "2 rows instead of 1",
		},
		{ // V22: what is deleted is gone
			table: "deleted_gone", edit: "DELETE FROM %s WHERE id BETWEEN 5 AND 7", next: "DELETE FROM %s WHERE id BETWEEN 1 AND 8",
			mend: "INSERT INTO %s (id, v) VALUES (5, 'a'), (6, 'b'), (7, 'c')", says: "5 rows instead of 8",
		},
		{ // V22: the key of a text was edited by a blank only
			table: "text_blank", edit: "UPDATE %s SET k = 'k5 ' WHERE k = 'k5'", next: "UPDATE %s SET v = 'next', big = '' WHERE k = 'k5'",
			mend: "UPDATE %s SET k = 'k5' WHERE k = 'k5 '", says: "0 rows instead of 1",
		},
		{ // V18: one of many
			table: "kept_one_of_many", edit: "DELETE FROM %s WHERE id = 50", next: "UPDATE %s SET v = 'next'",
			mend: "INSERT INTO %s (id, v, big) VALUES (50, 'v50', REPEAT('50', 3000))", says: "59 rows instead of 60",
		},
	}
}

func countsDDL() string {
	var b strings.Builder
	for _, m := range meddlings() {
		key, value := "id int", "i"
		if m.table == "text_blank" {
			key, value = "k text", "'k'||i"
		}
		fmt.Fprintf(&b, "CREATE TABLE %s (%s PRIMARY KEY, v text, big text); ALTER TABLE %s ALTER big SET STORAGE EXTERNAL;\n", m.table, key, m.table)
		fmt.Fprintf(&b, "INSERT INTO %s SELECT %s, 'v'||i, repeat(i::text, 3000) FROM generate_series(1, 60) i;\n", m.table, value)
	}
	return b.String() + "CREATE TABLE untouched (id int PRIMARY KEY, v text, big text); INSERT INTO untouched SELECT i, 'v'||i FROM generate_series(1, 60) i;"
}

func keyOf(m *meddling) string {
	if m.table == "text_blank" {
		return "k"
	}
	return "id"
}

// TestV18KeptWithoutRow and TestV22ForeignWriter: the next change of a row with
// which somebody has meddled rolls back and stops its table, by both ways of
// applying.
func TestV18KeptWithoutRow(t *testing.T) {
	t.Parallel()
	meddled(t, "auto")
}

func TestV22ForeignWriter(t *testing.T) {
	t.Parallel()
	meddled(t, "merge")
}

// meddled changes the source where somebody has meddled with the target: each
// table stops with both counts and stays as it is, all others go on; with the
// targets mended a retry brings everything up.
func meddled(t *testing.T, strategy string) {
	t.Helper()
	w := plainWorld(t, world.Config{DDL: countsDDL()})
	w.Sections["batch"] = "{interval: 150ms, max_age: 500ms}"
	w.Sections["apply"] = "{strategy: " + strategy + "}"
	d := streaming(t, w)
	all := map[string]string{"untouched": "id, v, big"}
	for _, m := range meddlings() {
		all[m.table] = keyOf(&m) + ", v, big"
	}
	identical(t, w, all)
	before := make(map[string][]string)
	for _, m := range meddlings() {
		execOn(t, w.TargetDSN(), fmt.Sprintf(m.edit, "public."+m.table))
		before[m.table] = target(t, w, "SELECT "+all[m.table]+" FROM "+m.table)
		exec(t, w, fmt.Sprintf(m.next, m.table), "UPDATE untouched SET v = v||'!' WHERE id % 7 = 1")
	}
	s := shared{w: w, d: d}
	for _, m := range meddlings() {
		says(t, s.stopped(t, "public."+m.table), m.says+": the target is not what the log left there", "walshift retry")
	}
	eventually(t, time.Minute, "the other tables go on", func() bool {
		diff, err := w.Compare(t.Context(), "untouched", all["untouched"])
		return err == nil && diff == ""
	})
	for _, m := range meddlings() {
		if diff := world.Difference(before[m.table], target(t, w, "SELECT "+all[m.table]+" FROM "+m.table)); diff != "" {
			t.Errorf("%s was changed although it is stopped: %s", m.table, diff)
		}
		exec(t, w, "UPDATE "+m.table+" SET v = v||'?' WHERE v LIKE 'v1%'") // missed while it is stopped
		execOn(t, w.TargetDSN(), fmt.Sprintf(m.mend, "public."+m.table))
	}
	commanded(t, w, 0, "public.deleted_gone follows again", "retry")
	identical(t, w, all)
}
