package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/test/world"
)

const resumeDDL = `
CREATE TABLE keyed (id int PRIMARY KEY, v text);
CREATE TABLE added (id int, v text);
INSERT INTO keyed SELECT i, 'first' FROM generate_series(1, 100) i;`

func resumeTables() map[string]string { return map[string]string{"keyed": "id, v", "added": "id, v"} }

// TestS17BeginOrder: a transaction that began before the staged position, by
// its first LSN and its xid, and commits after a restart, is not lost.
func TestS17BeginOrder(t *testing.T) {
	t.Parallel()
	w := plainWorld(t, world.Config{DDL: resumeDDL})
	d := streaming(t, w)
	early, err := pgx.Connect(t.Context(), w.Source.OwnerDSN())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = early.Close(within(t, 5*time.Second)) }()
	for _, q := range []string{"BEGIN", "INSERT INTO added VALUES (1, 'began first')", "UPDATE keyed SET v = 'began first' WHERE id = 1"} {
		if _, err := early.Exec(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	exec(t, w, `INSERT INTO added VALUES (2, 'committed first')`, `UPDATE keyed SET v = 'committed first' WHERE id = 2`)
	if err := w.WaitApplied(t.Context(), 30*time.Second); err != nil {
		t.Fatal(err)
	}
	d.Kill()
	d = streaming(t, w)
	exec(t, w, `INSERT INTO added VALUES (3, 'between')`)
	if err := w.WaitApplied(t.Context(), 30*time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := early.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	d.Kill()
	startDaemon(t, w)
	identical(t, w, resumeTables())
}

// killedAt runs a daemon that is built to die at a seam's n-th pass, and
// changes rows until it has.
func killedAt(t *testing.T, w *world.World, seam change.Seam, pass int, statement string) {
	t.Helper()
	d := startDaemon(t, w, "WALSHIFT_KILL_AT="+string(seam), fmt.Sprintf("WALSHIFT_KILL_PASS=%d", pass))
	limit := within(t, 60*time.Second)
	for {
		exec(t, w, statement)
		select {
		case <-d.Done():
			if !d.Killed() {
				t.Fatalf("it ended by itself:\n%s", d.LogTail(20))
			}
			return
		case <-limit.Done():
			t.Fatalf("seam %s was not passed %d times\n%s", seam, pass, d.LogTail(20))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// TestS18WholeTransactions: killed in the middle of a transaction of many rows
// at one commit position, it begins with that transaction's first row again:
// none is missing, none is there twice, also without a key.
func TestS18WholeTransactions(t *testing.T) {
	t.Parallel()
	w := plainWorld(t, world.Config{DDL: resumeDDL, Tags: "walshift_seams"})
	streaming(t, w).Kill()
	for _, pass := range []int{1, 37, 250, 999} {
		killedAt(t, w, change.SeamRowReceived, pass,
			`BEGIN; INSERT INTO added SELECT i, 'row '||i FROM generate_series(1, 400) i;
			 UPDATE keyed SET v = v || '!' ; INSERT INTO added SELECT * FROM keyed; COMMIT`)
	}
	startDaemon(t, w)
	identical(t, w, resumeTables())
}

// TestS19ServerSendsFromItsOwnPosition: what was staged but not confirmed is
// sent again after a restart, and dropped, whole transactions at a time.
func TestS19ServerSendsFromItsOwnPosition(t *testing.T) {
	t.Parallel()
	w := plainWorld(t, world.Config{DDL: resumeDDL, Tags: "walshift_seams"})
	streaming(t, w).Kill()
	for range 3 {
		killedAt(t, w, change.SeamStaged, 2, `INSERT INTO added SELECT i, 'once' FROM generate_series(1, 50) i`)
		confirmed, err := pglogrepl.ParseLSN(superuser(t, w, "SELECT confirmed_flush_lsn FROM pg_replication_slots"))
		if err != nil {
			t.Fatal(err)
		}
		flushed, err := pglogrepl.ParseLSN(superuser(t, w, "SELECT pg_current_wal_flush_lsn()"))
		if err != nil {
			t.Fatal(err)
		}
		if confirmed >= flushed {
			t.Fatalf("everything is confirmed (%s): nothing would be sent again", confirmed)
		}
	}
	startDaemon(t, w)
	identical(t, w, resumeTables())
}
