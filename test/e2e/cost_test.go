package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"

	"github.com/walshift/walshift/test/redshift"
	"github.com/walshift/walshift/test/world"
)

// TestCostManyTables: under a cluster's costs, ten changes in each of 1, 10 and
// 200 tables become visible in one commit, the last within two minutes, with
// the daemon's own batch settings. It prints what an apply costs and why.
func TestCostManyTables(t *testing.T) {
	t.Parallel()
	const tables = 200
	var ddl, fill strings.Builder
	for i := range tables {
		fmt.Fprintf(&ddl, "CREATE TABLE t%03d (id bigint PRIMARY KEY, n int, v varchar(%d), at timestamptz, d numeric(12,2), k%d text);\n",
			i, 20+i%7*50, i%3)
		fmt.Fprintf(&fill, "INSERT INTO t%03d SELECT i, i, 'v'||i, now(), i/7.0, 'k' FROM generate_series(1, 20) i;\n", i)
	}
	w := plainWorld(t, world.Config{DDL: ddl.String()})
	w.Sections["batch"] = "{interval: 10s, max_age: 60s}"
	exec(t, w, fill.String())
	d := streaming(t, w)
	if err := w.WaitApplied(t.Context(), 2*time.Minute); err != nil {
		t.Fatal(err)
	}
	w.Target.SetProfile(redshift.ProfileRA3())
	p := redshift.ProfileRA3()
	for _, touched := range []int{1, 10, tables} {
		var tx strings.Builder
		tx.WriteString("BEGIN;\n")
		for i := range touched {
			fmt.Fprintf(&tx, "UPDATE t%03d SET n = n + 1 WHERE id %% 20 < 4; INSERT INTO t%03d SELECT max(id) + i, 0, '', now(), 1, NULL "+
				"FROM t%03d, generate_series(1, 3) i GROUP BY i; DELETE FROM t%03d WHERE id IN (SELECT id FROM t%03d ORDER BY id DESC OFFSET 3 LIMIT 3);\n",
				i, i, i, i, i)
		}
		tx.WriteString("COMMIT;\n")
		before := w.Target.Stats()
		took := visibleAfter(t, w, d, tx.String())
		after := w.Target.Stats()
		copies, commits := after.Copies-before.Copies, after.Commits-before.Commits
		writes := 2 * int64(touched)
		floor := 10*time.Second + p.TempTable + p.Copy + 2*p.Commit + time.Duration(writes+4)*p.DML
		t.Logf("%3d tables touched: %d statements, %d COPY, %d commits; visible after %s. One batch: up to 10s of batch.interval, "+
			"staging table %s + COPY %s + commit %s, then fence, positions, drop and %d DELETE and INSERT of %s each, commit %s: %s",
			touched, after.Statements-before.Statements, copies, commits, took.Round(100*time.Millisecond),
			p.TempTable, p.Copy, p.Commit, writes, p.DML, p.Commit, floor)
		if limit := 120 * time.Second; took > limit {
			t.Errorf("%d tables took %s, more than %s", touched, took, limit)
		}
		if commits > 3 { // the staging session's and the one that everybody sees, and a keepalive's at most
			t.Errorf("%d commits for one batch", commits)
		}
		if copies > 4 {
			t.Errorf("%d COPYs for %d tables of ten changes", copies, touched)
		}
	}
	w.Target.SetProfile(redshift.Profile{})
	check := make(map[string]string)
	for i := range tables {
		check[fmt.Sprintf("t%03d", i)] = fmt.Sprintf("id, n, v, at, d, k%d", i%3)
	}
	compare(t, w, check)
}

// visibleAfter runs a transaction and returns how long after its commit it is
// applied.
func visibleAfter(t *testing.T, w *world.World, d *world.Daemon, tx string) time.Duration {
	t.Helper()
	exec(t, w, tx)
	began := time.Now()
	end := lsnOf(t, superuser(t, w, "SELECT pg_current_wal_flush_lsn()"))
	err := d.Until(within(t, 10*time.Minute), "the changes are applied", func(s world.Status) bool {
		applied, err := pglogrepl.ParseLSN(s.Applied)
		return err == nil && applied >= end
	})
	if err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

// TestCostMillion: a million changes of one table are visible within thirty
// seconds of their last commit under a cluster's costs. WALSHIFT_MILLION sets
// how many changes.
func TestCostMillion(t *testing.T) {
	t.Parallel()
	changes := numberFrom(t, "WALSHIFT_MILLION", 100_000)
	w := plainWorld(t, world.Config{DDL: `CREATE TABLE rows (id bigint PRIMARY KEY, n int, v text)`})
	w.Sections["batch"] = "{interval: 10s, max_age: 60s}"
	exec(t, w, fmt.Sprintf("INSERT INTO rows SELECT i, 0, md5(i::text) FROM generate_series(1, %d) i", changes/2))
	d := streaming(t, w)
	if err := w.WaitApplied(t.Context(), 2*time.Minute); err != nil {
		t.Fatal(err)
	}
	w.Target.SetProfile(redshift.ProfileRA3())
	before := w.Target.Stats()
	took := visibleAfter(t, w, d, fmt.Sprintf("BEGIN; UPDATE rows SET n = n + 1; INSERT INTO rows "+
		"SELECT i, 0, md5(i::text) FROM generate_series(%d, %d) i; COMMIT", changes/2+1, changes))
	after := w.Target.Stats()
	t.Logf("%d changes of one table: %d statements, %d COPY, %d commits; visible after %s",
		changes, after.Statements-before.Statements, after.Copies-before.Copies, after.Commits-before.Commits, took.Round(100*time.Millisecond))
	if took > 30*time.Second {
		t.Errorf("%d changes took %s, more than 30 s", changes, took)
	}
	compare(t, w, map[string]string{"rows": "id, n, v"})
}
