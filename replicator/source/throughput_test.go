package source_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"

	"github.com/walshift/walshift/replicator/source"
)

// TestThroughput compares the bare loop with pg_recvlogical to /dev/null on the
// same backlogs over TCP, in turns. It runs only when WALSHIFT_BENCH is set,
// and says numbers instead of judging them: they depend on the machine.
func TestThroughput(t *testing.T) {
	if os.Getenv("WALSHIFT_BENCH") == "" {
		t.Skip("set WALSHIFT_BENCH=1 to measure")
	}
	for name, fill := range map[string]string{
		"a small rows": `DO $$ BEGIN FOR i IN 1..60000 LOOP
			UPDATE a SET n = n + 1 WHERE id = i %% 1000; UPDATE a SET n = n + 1 WHERE id = (i*7) %% 1000;
			INSERT INTO h VALUES (i, 3, 4, 5, now(), 'x'); INSERT INTO h VALUES (i, 3, 4, 5, now(), 'x'); COMMIT; END LOOP; END $$`,
		"b wide rows": `DO $$ BEGIN FOR i IN 1..300 LOOP
			INSERT INTO w SELECT g, repeat(md5(g::text), 15) FROM generate_series(1, 1000) g; COMMIT; END LOOP; END $$`,
		"c one transaction": `INSERT INTO h SELECT g, 3, 4, 5, now(), 'x' FROM generate_series(1, 600000) g`,
	} {
		t.Run(name, func(t *testing.T) { measure(t, string(bytes.ReplaceAll([]byte(fill), []byte("%%"), []byte("%")))) })
	}
}

func measure(t *testing.T, fill string) {
	t.Helper()
	w := newWorld(t, `CREATE TABLE a (id int PRIMARY KEY, n int, f char(40)); INSERT INTO a SELECT g, 0, '' FROM generate_series(0, 999) g;
		CREATE TABLE h (a int, b int, c int, d int, e timestamptz, f char(22)); CREATE TABLE w (id int, t text)`)
	w.publish()
	w.admin("SELECT pg_create_logical_replication_slot('" + w.cfg.Slot + "', 'pgoutput')")
	w.exec(fill)
	w.exec("INSERT INTO h (a) VALUES (-1)")
	end := w.text("SELECT pg_current_wal_insert_lsn()::text")
	pg, _ := shared()
	for range rounds() {
		slots := []string{w.cfg.Slot + "_p", w.cfg.Slot + "_w", w.cfg.Slot + "_u"}
		for _, slot := range slots {
			w.admin("SELECT pg_copy_logical_replication_slot('" + w.cfg.Slot + "', '" + slot + "')")
		}
		start := time.Now()
		cmd := exec.CommandContext(t.Context(), filepath.Join(pg.Bin(), "pg_recvlogical"), "-d", w.src.ReplicatorDSN(),
			"-S", slots[0], "--start", "--no-loop", "-o", "proto_version=2", "-o",
			"publication_names="+w.cfg.Publication, "-f", "-", "-E", end, "-F", "0", "-s", "0")
		cmd.Stdout, cmd.Stderr = io.Discard, os.Stderr
		null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdout = null
		peerDone := watchSender(t, w, slots[0])
		if err := cmd.Run(); err != nil {
			t.Logf("pg_recvlogical: %v", err)
		}
		null.Close()
		peer := time.Since(start)
		peerCPU := <-peerDone
		tcpDone := watchSender(t, w, slots[1])
		tcp, rows := drain(t, w, slots[1], w.src.ReplicatorDSN(), end)
		tcpCPU := <-tcpDone
		unixDone := watchSender(t, w, slots[2])
		unix, _ := drain(t, w, slots[2], w.src.ReplicatorSocketDSN(), end)
		unixCPU := <-unixDone
		for _, slot := range slots {
			w.admin("SELECT pg_drop_replication_slot('" + slot + "')")
		}
		rate := func(d time.Duration) float64 { return float64(rows) / d.Seconds() / 1000 }
		t.Logf("%d rows: pg_recvlogical %.0f k/s, walshift TCP %.0f k/s (%.2f times), Unix %.0f k/s",
			rows, rate(peer), rate(tcp), peer.Seconds()/tcp.Seconds(), rate(unix))
		t.Logf("   walsender CPU s per million rows: pg_recvlogical %s, TCP %s, Unix %s",
			peerCPU.per(rows), tcpCPU.per(rows), unixCPU.per(rows))
	}
}

// cpu is a process's time in user and kernel mode, in ticks of 10 ms.
type cpu struct{ user, system int }

func (c cpu) per(rows int) string {
	f := 10_000 / float64(rows)
	return fmt.Sprintf("%.2f user + %.2f system", float64(c.user)*f, float64(c.system)*f)
}

// watchSender follows the CPU time of the slot's walsender until it ends.
func watchSender(t *testing.T, w *world, slot string) <-chan cpu {
	t.Helper()
	c := w.connect(w.src.SuperuserDSN())
	out := make(chan cpu, 1)
	go func() {
		var last cpu
		pid := 0
		for start := time.Now(); time.Since(start) < 2*time.Minute; {
			if pid == 0 {
				_ = c.QueryRow(t.Context(), "SELECT active_pid FROM pg_replication_slots WHERE slot_name = $1 AND active", slot).Scan(&pid)
			} else {
				b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
				if err != nil {
					break
				}
				f := strings.Fields(string(b[bytes.LastIndexByte(b, ')'):]))
				last.user, _ = strconv.Atoi(f[12])
				last.system, _ = strconv.Atoi(f[13])
			}
			select {
			case <-t.Context().Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
		out <- last
	}()
	return out
}

func drain(t *testing.T, w *world, slot, dsn, end string) (time.Duration, int) {
	t.Helper()
	cfg := w.cfg
	cfg.Slot, cfg.DSN = slot, dsn
	s, err := source.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	limit, err := pglogrepl.ParseLSN(end)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	st, err := s.StartStream(t.Context(), 0, false)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close(t.Context())
	rows := 0
	for {
		ev, err := st.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if ev.Kind == source.Keepalive {
			if ev.WALEnd >= limit {
				return time.Since(start), rows
			}
			continue
		}
		switch ev.Data[0] {
		case 'I', 'U', 'D':
			rows++
		case 'C':
			if ev.WALEnd >= limit {
				return time.Since(start), rows
			}
		}
	}
}

func rounds() int {
	if n, err := strconv.Atoi(os.Getenv("WALSHIFT_BENCH")); err == nil && n > 0 {
		return n
	}
	return 1
}
