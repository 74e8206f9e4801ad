package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"

	"github.com/walshift/walshift/test/world"
)

// TestCaptureWithoutWarehouse: with Redshift unreachable, capture starts, goes
// on and lets the source forget its WAL; later the backlog is applied in few
// commits. WALSHIFT_CHANGES sets how many changes.
func TestCaptureWithoutWarehouse(t *testing.T) {
	t.Parallel()
	changes := numberFrom(t, "WALSHIFT_CHANGES", 200_000)
	w := plainWorld(t, world.Config{DDL: `CREATE TABLE rows (id bigint PRIMARY KEY, n int, v text);
		CREATE TABLE log (n bigint, v text)`})
	w.Sections["batch"] = "{interval: 100ms, max_age: 100ms, max_bytes: 1MiB}"
	tables := map[string]string{"rows": "id, n, v", "log": "n, v"}
	d := streaming(t, w)
	identical(t, w, tables)
	before := status(t, d).StagedSeq
	if err := w.HaltTarget(); err != nil {
		t.Fatal(err)
	}
	if err := d.Stop(within(t, 30*time.Second)); err != nil {
		t.Errorf("orderly end without the warehouse: %v\n%s", err, d.LogTail(20))
	}
	d = startDaemon(t, w)
	const tx = 1000
	for i := 0; i < changes; i += tx {
		exec(t, w, changesOf(i, tx))
		switch i / tx {
		case changes / tx / 3: // rescheduled in the middle
			d.Kill()
			d = startDaemon(t, w)
		case changes / tx / 2:
			if err := d.Stop(within(t, 60*time.Second)); err != nil {
				t.Errorf("orderly end without the warehouse: %v\n%s", err, d.LogTail(20))
			}
			d = startDaemon(t, w)
		}
	}
	end := lsnOf(t, superuser(t, w, "SELECT pg_current_wal_flush_lsn()"))
	err := d.Until(within(t, 5*time.Minute), "all is staged", func(s world.Status) bool {
		staged, err := pglogrepl.ParseLSN(s.Staged)
		return err == nil && staged >= end
	})
	if err != nil {
		t.Fatal(err)
	}
	if code, body, err := d.Get(t.Context(), "/healthz"); err != nil || code != http.StatusOK {
		t.Errorf("healthz without the warehouse: %d %s %v", code, body, err)
	}
	batches := status(t, d).StagedSeq - before
	checkRetained(t, w, end)
	peak := peakMemory(t, d)
	t.Logf("%d changes in %d batches without a warehouse, peak memory %d MiB", changes, batches, peak>>20)
	if peak > 512<<20 {
		t.Errorf("peak memory %d MiB is above limits.memory", peak>>20)
	}
	if err := w.RestartTarget(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := w.WaitApplied(t.Context(), 5*time.Minute); err != nil {
		t.Fatal(err)
	}
	commits := w.Target.Stats().Commits
	t.Logf("applied in %s with %d commits", time.Since(began).Round(time.Millisecond), commits)
	if uint64(commits)*5 > batches {
		t.Errorf("%d commits for %d batches, want at most a fifth", commits, batches)
	}
	compare(t, w, tables)
}

// changesOf is one transaction of n changes.
func changesOf(i, n int) string {
	switch i / n % 4 {
	case 0, 1:
		return fmt.Sprintf("INSERT INTO rows SELECT i, 0, md5(i::text) FROM generate_series(%d, %d) i", i, i+n-1)
	case 2:
		return fmt.Sprintf("UPDATE rows SET n = n + 1 WHERE id >= %d AND id < %d", i-2*n, i-n)
	}
	return fmt.Sprintf("INSERT INTO log SELECT i, 'log '||i FROM generate_series(%d, %d) i", i, i+n-1)
}

// checkRetained: the slot has confirmed up to end, and the server keeps at most
// 64 MiB beside the segment in use. The server notices at the next record of
// running transactions, which a checkpoint writes.
func checkRetained(t *testing.T, w *world.World, end pglogrepl.LSN) {
	t.Helper()
	eventually(t, 30*time.Second, "the slot moves", func() bool {
		superuser(t, w, "CHECKPOINT")
		confirmed := superuser(t, w, "SELECT confirmed_flush_lsn FROM pg_replication_slots")
		kept, err := strconv.ParseInt(superuser(t, w, "SELECT pg_wal_lsn_diff(pg_current_wal_flush_lsn(), restart_lsn)::bigint FROM pg_replication_slots"), 10, 64)
		return err == nil && lsnOf(t, confirmed) >= end && kept <= 64<<20+16<<20
	})
}

// peakMemory is the most that the process had resident, in bytes.
func peakMemory(t *testing.T, d *world.Daemon) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.PID()))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(text)
	if m == nil {
		t.Fatal("no VmHWM")
	}
	kb, _ := strconv.ParseInt(string(m[1]), 10, 64)
	return kb << 10
}
