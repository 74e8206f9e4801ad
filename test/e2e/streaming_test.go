package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/walshift/walshift/test/world"
)

// streamedDDL are tables for transactions that the source streams while they
// are in progress, as it does with what exceeds logical_decoding_work_mem.
const streamedDDL = `CREATE TABLE rows (id bigint PRIMARY KEY, batch int NOT NULL, v text);
	CREATE TABLE small (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text);
	INSERT INTO rows SELECT -i, 0, repeat('old', 30) FROM generate_series(1, 300) i;`

func streamedTables() map[string]string {
	return map[string]string{"rows": "id, batch, v", "small": "id, v"}
}

// streamedWorld is a world whose source streams as soon as it may.
func streamedWorld(t *testing.T, cfg world.Config) *world.World {
	t.Helper()
	cfg.DDL = streamedDDL
	cfg.Settings = map[string]string{
		"logical_decoding_work_mem": "64kB", "max_prepared_transactions": "8", "wal_sender_timeout": "5s",
	}
	w := plainWorld(t, cfg)
	if version := superuser(t, w, "SHOW server_version_num"); version < "140000" {
		t.Skip("PostgreSQL 13 does not stream transactions in progress")
	}
	return w
}

// inProgress is what status says of transactions in progress.
type inProgress struct {
	Streaming    bool   `json:"streaming"`
	Reason       string `json:"reason"`
	Bytes        int64  `json:"bytes"`
	Transactions int    `json:"transactions"`
}

func spoolOf(t *testing.T, d *world.Daemon) inProgress {
	t.Helper()
	code, body, err := d.Get(t.Context(), "/status")
	if err != nil || code != http.StatusOK {
		t.Fatalf("status: %d, %v", code, err)
	}
	var st struct {
		Spool inProgress `json:"spool"`
	}
	if err := json.Unmarshal(body, &st); err != nil {
		t.Fatal(err)
	}
	return st.Spool
}

// metric reads a metric without labels.
func metric(t *testing.T, d *world.Daemon, name string) (v float64) {
	t.Helper()
	_, body, err := d.Get(t.Context(), "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(body)) {
		if rest, ok := strings.CutPrefix(line, "walshift_"+name+" "); ok {
			_, _ = fmt.Sscan(rest, &v)
			return v
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// open opens a session on the source, for a transaction that stays open.
func open(t *testing.T, w *world.World) func(statements ...string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), w.Source.OwnerDSN())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return func(statements ...string) {
		t.Helper()
		for _, s := range statements {
			if _, err := conn.Exec(t.Context(), s); err != nil {
				t.Fatalf("running %.80q: %v", s, err)
			}
		}
	}
}

// insert inserts rows of some 100 bytes.
func insert(batch, from, n int) string {
	return fmt.Sprintf("INSERT INTO rows SELECT i, %d, repeat(md5(i::text), 3) FROM generate_series(%d, %d) i", batch, from, from+n-1)
}

func untilSpooled(t *testing.T, d *world.Daemon, transactions int) {
	t.Helper()
	eventually(t, 60*time.Second, "the spool holds transactions", func() bool {
		s := spoolOf(t, d)
		return s.Transactions == transactions && (s.Bytes > 0) == (transactions > 0)
	})
}

// TestW9TenThousandAbortedSubtransactions: savepoints and exception blocks, most
// of them rolled back, nested and released, in one streamed transaction.
func TestW9TenThousandAbortedSubtransactions(t *testing.T) {
	t.Parallel()
	w := streamedWorld(t, world.Config{})
	w.Sections["limits"] = "{memory: 128MiB}"
	d := streaming(t, w)
	tx := open(t, w)
	began := time.Now()
	tx("BEGIN", `DO $$
		BEGIN
			FOR i IN 1..12000 LOOP
				BEGIN
					INSERT INTO rows VALUES (i, 1, repeat(md5(i::text), 4));
					BEGIN
						UPDATE rows SET v = v || 'x' WHERE id = -1 - i % 300;
						IF i % 5 = 0 THEN RAISE EXCEPTION 'inner'; END IF;
					EXCEPTION WHEN raise_exception THEN
						DELETE FROM rows WHERE id = i - 7;
					END;
					IF i % 6 <> 0 THEN RAISE EXCEPTION 'outer'; END IF;
				EXCEPTION WHEN raise_exception THEN NULL;
				END;
			END LOOP;
		END $$`)
	for i := range 200 {
		name := fmt.Sprintf("s%d", i)
		tx("SAVEPOINT "+name, insert(2, 100_000+i*100, 50), "SAVEPOINT inner_one", insert(3, 200_000+i*100, 50))
		if i%3 == 0 {
			tx("ROLLBACK TO SAVEPOINT inner_one")
		}
		if i%4 == 0 {
			tx("ROLLBACK TO SAVEPOINT " + name)
		}
		tx("RELEASE SAVEPOINT " + name)
	}
	untilSpooled(t, d, 1)
	tx("COMMIT")
	identical(t, w, streamedTables())
	if n := metric(t, d, "streamed_transactions_total"); n != 1 {
		t.Errorf("%v transactions were streamed, want 1", n)
	}
	if got := spoolOf(t, d); got != (inProgress{Streaming: true}) {
		t.Errorf("after the commit: %+v", got)
	}
	t.Logf("took %s, peak memory %d MiB", time.Since(began).Round(time.Millisecond), peakMemory(t, d)>>20)
	if peak := peakMemory(t, d); peak > 128<<20 {
		t.Errorf("peak memory %d MiB is above limits.memory", peak>>20)
	}
}

// TestS9LargeTransactionStreamed: transactions larger than the memory, several
// at once, are spooled while small ones get through, and appear whole or not at
// all. One is rolled back.
func TestS9LargeTransactionStreamed(t *testing.T) {
	t.Parallel()
	w := streamedWorld(t, world.Config{})
	w.Sections["limits"] = "{memory: 64MiB}"
	d := streaming(t, w)
	const large, each, steps = 4, 25_000, 5
	txs := make([]func(...string), large)
	for i := range txs {
		txs[i] = open(t, w)
		txs[i]("BEGIN")
	}
	for step := range steps {
		for i, tx := range txs {
			tx(insert(i+1, i*each+step*each/steps, each/steps))
			exec(t, w, fmt.Sprintf("INSERT INTO small (v) VALUES ('%d.%d')", step, i))
		}
	}
	untilSpooled(t, d, large)
	// What is in progress holds nothing back.
	before := status(t, d)
	exec(t, w, "INSERT INTO small (v) VALUES ('beside')")
	identical(t, w, map[string]string{"small": "id, v"})
	if after := status(t, d); lsnOf(t, after.Staged) <= lsnOf(t, before.Staged) {
		t.Errorf("staged position %s, before %s", after.Staged, before.Staged)
	}
	confirmed := superuser(t, w, "SELECT confirmed_flush_lsn FROM pg_replication_slots")
	if lsnOf(t, confirmed) <= lsnOf(t, before.Staged)-1 {
		t.Errorf("confirmed %s, staged before %s", confirmed, before.Staged)
	}
	// The commits, each seen whole or not at all.
	for i, tx := range txs {
		switch i {
		case 1:
			tx("ROLLBACK")
		default:
			tx("COMMIT")
		}
		exec(t, w, "UPDATE small SET v = v || '.' WHERE id % 3 = 0")
		for range 3 {
			counts, err := w.TargetSide().Rows(t.Context(), "SELECT count(*) FROM rows WHERE batch > 0 GROUP BY batch")
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range counts {
				if n != fmt.Sprintf("5:%d|", each) {
					t.Errorf("a transaction of %d rows shows as %s", each, n)
				}
			}
		}
	}
	identical(t, w, streamedTables())
	untilSpooled(t, d, 0)
	if peak := peakMemory(t, d); peak > 64<<20 {
		t.Logf("peak memory %d MiB, with limits.memory 64 MiB", peak>>20)
	}
	if n := metric(t, d, "streamed_transactions_total"); n != large-1 {
		t.Errorf("%v transactions were streamed, want %d", n, large-1)
	}
	// An end does not wait for what is in progress.
	txs[0]("BEGIN", insert(9, 500_000, 5000))
	untilSpooled(t, d, 1)
	if err := d.Stop(within(t, 20*time.Second)); err != nil {
		t.Errorf("orderly end: %v\n%s", err, d.LogTail(20))
	}
	if strings.Contains(d.Log(), "capture_ended_unsealed") {
		t.Error("the end waited for the transaction in progress")
	}
	txs[0]("COMMIT")
	startDaemon(t, w)
	identical(t, w, streamedTables())
}

// TestV12PreparedTransactionsAreStreamed: a large prepared transaction is
// streamed, stays in progress over PREPARE, and comes whole at COMMIT PREPARED,
// or not at all.
func TestV12PreparedTransactionsAreStreamed(t *testing.T) {
	t.Parallel()
	w := streamedWorld(t, world.Config{})
	d := streaming(t, w)
	tx := open(t, w)
	tx("BEGIN", insert(1, 1, 5000), "PREPARE TRANSACTION 'kept'")
	tx("BEGIN", insert(2, 10_000, 5000), "PREPARE TRANSACTION 'dropped'")
	tx("BEGIN", insert(3, 20_000, 5000), "PREPARE TRANSACTION 'over a restart'")
	untilSpooled(t, d, 3)
	exec(t, w, "INSERT INTO small (v) VALUES ('between')")
	if err := w.WaitApplied(t.Context(), 60*time.Second); err != nil {
		t.Fatal(err)
	}
	counts, err := w.TargetSide().Rows(t.Context(), "SELECT count(*) FROM rows WHERE batch > 0")
	if err != nil || fmt.Sprint(counts) != "[1:0|]" {
		t.Errorf("prepared rows on the target: %v, %v", counts, err)
	}
	tx("COMMIT PREPARED 'kept'", "ROLLBACK PREPARED 'dropped'")
	identical(t, w, streamedTables())
	untilSpooled(t, d, 1)
	d.Kill()
	tx("COMMIT PREPARED 'over a restart'")
	startDaemon(t, w)
	identical(t, w, streamedTables())
}

// TestV15StreamedRelation: a table changes in an aborted subtransaction of a
// streamed transaction. The table as it was announced there leaves no trace.
func TestV15StreamedRelation(t *testing.T) {
	t.Parallel()
	w := streamedWorld(t, world.Config{})
	d := streaming(t, w)
	tx := open(t, w)
	tx("BEGIN", insert(1, 1, 3000), "SAVEPOINT s",
		"ALTER TABLE rows ADD COLUMN more int DEFAULT 7", "ALTER TABLE rows ALTER COLUMN batch TYPE bigint", insert(2, 10_000, 3000))
	untilSpooled(t, d, 1)
	tx("ROLLBACK TO SAVEPOINT s", "UPDATE rows SET v = v || '!' WHERE id % 2 = 0", insert(3, 20_000, 3000),
		"SAVEPOINT s", "TRUNCATE rows", insert(4, 30_000, 3000), "ROLLBACK TO SAVEPOINT s", insert(5, 40_000, 100))
	exec(t, w, "INSERT INTO small (v) VALUES ('meanwhile')")
	tx("COMMIT")
	exec(t, w, "UPDATE rows SET v = 'after' WHERE id = 1")
	identical(t, w, streamedTables())
	// The transaction as a whole is rolled back, with a change of the table.
	tx("BEGIN", "ALTER TABLE rows DROP COLUMN v", "INSERT INTO rows SELECT i, 6 FROM generate_series(50000, 60000) i")
	untilSpooled(t, d, 1)
	tx("ROLLBACK")
	exec(t, w, insert(7, 70_000, 10))
	identical(t, w, streamedTables())
	// TRUNCATE in its place.
	tx("BEGIN", insert(8, 80_000, 3000), "TRUNCATE rows", insert(9, 90_000, 3000), "COMMIT")
	identical(t, w, streamedTables())
	if n := metric(t, d, "streamed_transactions_total"); n != 2 {
		t.Errorf("%v transactions were streamed, want 2", n)
	}
}

// TestSpoolFullFallsBack: what does not fit is left to the source, nothing is
// lost, and streaming comes back.
func TestSpoolFullFallsBack(t *testing.T) {
	t.Parallel()
	w := streamedWorld(t, world.Config{})
	w.Sections["limits"] = "{spool: 1MiB}"
	d := streaming(t, w)
	tx, other := open(t, w), open(t, w)
	other("BEGIN", insert(1, 1, 3000))
	tx("BEGIN", insert(2, 10_000, 20_000))
	exec(t, w, "INSERT INTO small (v) VALUES ('beside')")
	eventually(t, 60*time.Second, "streaming is off", func() bool {
		s := spoolOf(t, d)
		return !s.Streaming && strings.Contains(s.Reason, "the spool is full")
	})
	if n := metric(t, d, "streaming_fallbacks_total"); n != 1 {
		t.Errorf("%v fallbacks, want 1", n)
	}
	if s := spoolOf(t, d); s.Bytes != 0 || s.Transactions != 0 {
		t.Errorf("the spool still holds %+v", s)
	}
	tx(insert(2, 50_000, 1000), "COMMIT")
	other("COMMIT")
	identical(t, w, streamedTables())
	if !strings.Contains(d.Log(), "streaming_off") {
		t.Error("the log does not say that streaming is off")
	}
	// The next connection streams again.
	superuser(t, w, "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots")
	eventually(t, 60*time.Second, "streaming is back", func() bool { return spoolOf(t, d).Streaming })
	tx("BEGIN", insert(3, 100_000, 3000))
	untilSpooled(t, d, 1)
	tx("COMMIT")
	identical(t, w, streamedTables())
	if n := metric(t, d, "streamed_transactions_total"); n != 1 {
		t.Errorf("%v transactions were streamed, want 1", n)
	}
}

// TestKillsWhileStreaming kills the daemon while a transaction is in the spool,
// and in the middle of its replay.
func TestKillsWhileStreaming(t *testing.T) {
	t.Parallel()
	w := streamedWorld(t, world.Config{Tags: "walshift_seams"})
	d := streaming(t, w)
	tx := open(t, w)
	tx("BEGIN", insert(1, 1, 3000))
	exec(t, w, "INSERT INTO small (v) VALUES ('beside')")
	untilSpooled(t, d, 1)
	d.Kill()
	tx(insert(1, 10_000, 3000))
	d = streaming(t, w)
	untilSpooled(t, d, 1) // it came again, from its beginning
	tx("UPDATE rows SET v = 'once' WHERE id % 2 = 0", "DELETE FROM rows WHERE id % 7 = 0", "COMMIT")
	identical(t, w, streamedTables())
	d.Kill()
	// Only rows of the replay pass the seam.
	tx("BEGIN", insert(2, 50_000, 8000), "COMMIT")
	for _, pass := range []int{1, 4000, 8000} {
		killAt(t, w, "row-received", pass)
	}
	startDaemon(t, w)
	identical(t, w, streamedTables())
}

// TestStreamingNeedsAFolder: a folder that was named must be usable; without a
// spool everything is as it was.
func TestStreamingNeedsAFolder(t *testing.T) {
	t.Parallel()
	w := streamedWorld(t, world.Config{})
	w.Sections["limits"] = "{spool: 0}"
	d := streaming(t, w)
	exec(t, w, insert(1, 1, 5000))
	identical(t, w, streamedTables())
	if s := spoolOf(t, d); s.Streaming || s.Reason != "limits.spool is 0" {
		t.Errorf("without a spool: %+v", s)
	}
	if err := d.Stop(within(t, 30*time.Second)); err != nil {
		t.Errorf("orderly end: %v", err)
	}
	w.Sections["limits"] = "{spool_dir: /dev/null/spool}"
	out, code, err := w.Command(t.Context(), "run")
	if err != nil || code != 1 || !strings.Contains(out, "limits.spool_dir") || !strings.Contains(out, "WS4001") {
		t.Errorf("run: exit code %d, %v\n%s", code, err, out)
	}
	out, code, err = w.Command(t.Context(), "check")
	if err != nil || code != 1 || !strings.Contains(out, "limits.spool_dir") {
		t.Errorf("check: exit code %d, %v\n%s", code, err, out)
	}
}
