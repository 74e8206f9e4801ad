package e2e_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/walshift/walshift/test/world"
)

// hugeDDL makes and fills the tables that TestS9HugeTransaction changes: a
// number and a text as key, about n/2 rows together, texts that don't compress.
// Every hundredth item has a value that stays in TOAST, every thousandth one of
// many chunks.
func hugeDDL(n int) string {
	return fmt.Sprintf(`
CREATE FUNCTION noise(seed text, chunks int) RETURNS text LANGUAGE sql IMMUTABLE AS
  $$ SELECT string_agg(md5(seed||i), '') FROM generate_series(1, chunks) i $$;
CREATE TABLE items (id bigint PRIMARY KEY, n int NOT NULL, name text, at timestamptz, big text);
ALTER TABLE items ALTER COLUMN big SET STORAGE EXTERNAL;
CREATE TABLE words (k text PRIMARY KEY, id bigint NOT NULL, v text);
INSERT INTO items SELECT i, 0, md5(i::text), timestamptz '2024-01-01' + i * interval '1.001 second',
  CASE WHEN i %% 1000 = 0 THEN noise(i::text, 800) WHEN i %% 100 = 0 THEN noise(i::text, 90) END FROM generate_series(1, %d) i;
INSERT INTO words SELECT md5('w'||i), i, md5(i::text) FROM generate_series(1, %d) i;`, n*45/100, n*12/100)
}

// hugeTransaction changes at least n rows in one transaction, each kind of
// change in pieces that take turns.
func hugeTransaction(n int) []string {
	const turns = 10
	out := []string{"BEGIN"}
	for i := range turns {
		part := func(of int) (from, to int) { return i*of/turns + 1, (i + 1) * of / turns }
		add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
		from, to := part(n * 45 / 100)
		add(`INSERT INTO items SELECT i, 1, md5('new'||i), clock_timestamp(), CASE WHEN i %% 100 = 0 THEN noise(i::text, 90) END
			FROM generate_series(%d, %d) i`, 10*n+from, 10*n+to)
		from, to = part(n * 40 / 100) // of the items that are there: the others stay
		add(`UPDATE items SET n = n + 1, name = md5(name) WHERE id BETWEEN %d AND %d AND id %% 4 <> 3`, from, to)
		add(`DELETE FROM items WHERE id BETWEEN %d AND %d AND id %% 4 = 3`, from, to)
		add(`UPDATE items SET big = noise('u'||id, 90) WHERE id BETWEEN %d AND %d AND id %% 400 = 200`, from, to)
		add(`UPDATE items SET id = -id WHERE id BETWEEN %d AND %d AND id %% 50 = 0`, from, to) // keys of kept values too
		add(`SAVEPOINT s; DELETE FROM words WHERE id %% %d = %d; ROLLBACK TO s`, 100*turns, i)
		from, to = part(n * 10 / 100)
		add(`UPDATE words SET v = md5(v) WHERE id BETWEEN %d AND %d AND id %% 2 = 0`, from, to)
		add(`DELETE FROM words WHERE id BETWEEN %d AND %d AND id %% 8 = 3`, from, to)
		add(`INSERT INTO words SELECT md5('n'||i)||' ', i, NULL FROM generate_series(%d, %d) i`, 10*n+from, 10*n+to)
	}
	return append(out, "COMMIT")
}

// TestS9HugeTransaction: one transaction of far more than limits.memory is
// applied exactly, and all that the process has resident stays below that limit
// (P4), its program's pages included; Go's runtime takes its own limit softly,
// for which 4 MiB are allowed here. WALSHIFT_BIG_ROWS and WALSHIFT_BIG_MEMORY
// (MiB) scale it.
func TestS9HugeTransaction(t *testing.T) {
	t.Parallel()
	n := numberFrom(t, "WALSHIFT_BIG_ROWS", 500_000)
	limit := int64(numberFrom(t, "WALSHIFT_BIG_MEMORY", 64)) << 20
	patience := time.Duration(n/1000+120) * time.Second
	w := plainWorld(t, world.Config{DDL: hugeDDL(n), Settings: map[string]string{"max_wal_size": "8GB"}})
	w.Sections["limits"] = fmt.Sprintf("{memory: %dMiB}", limit>>20)
	d := startDaemon(t, w)
	own := watchMemory(t, d)
	if err := d.UntilStreaming(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	loaded, loadedOwn := peakMemory(t, d), own.Load()
	began := time.Now()
	exec(t, w, hugeTransaction(n)...)
	wrote := time.Since(began)
	if err := w.WaitApplied(t.Context(), patience); err != nil {
		t.Fatal(err)
	}
	took, peak, program := time.Since(began), peakMemory(t, d), resident(t, d, "RssFile")
	t.Logf("%d rows under %d MiB: first load's peak %d MiB, %d MiB of it its own; transaction written in %s, applied after %s, peak %d MiB, "+
		"%d MiB its own, %d MiB the program", n, limit>>20, loaded>>20, loadedOwn>>20, wrote.Round(time.Millisecond),
		took.Round(time.Millisecond), peak>>20, own.Load()>>20, program>>20)
	if peak > limit+4<<20 {
		t.Errorf("peak memory %d MiB is above limits.memory", peak>>20)
	}
	changed := 0
	for _, tab := range changesByTable(t, d) {
		changed += tab
	}
	if changed < n {
		t.Errorf("the transaction changed %d rows, want at least %d", changed, n)
	}
	compareRanges(t, w, "items", "id, n, name, at, big", n)
	compareRanges(t, w, "words", "k, id, v", n)
	if err := d.Stop(within(t, time.Minute)); err != nil {
		t.Errorf("orderly end: %v\n%s", err, d.LogTail(20))
	}
	t.Logf("the daemon used the processor for %s", d.CPU().Round(10*time.Millisecond))
}

// watchMemory keeps the most memory that the process had for itself, without
// pages of files, until the test ends.
func watchMemory(t *testing.T, d *world.Daemon) *atomic.Int64 {
	t.Helper()
	most := new(atomic.Int64)
	quit, done := make(chan struct{}), make(chan struct{})
	tick := time.NewTicker(10 * time.Millisecond)
	go func() {
		defer close(done)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				if now := residentOf(d, "RssAnon"); now > most.Load() {
					most.Store(now)
				}
			}
		}
	}()
	t.Cleanup(func() { close(quit); <-done })
	return most
}

// changesByTable says how many changes the daemon has seen of each table.
func changesByTable(t *testing.T, d *world.Daemon) map[string]int {
	t.Helper()
	var st struct {
		Tables []struct {
			Name    string         `json:"name"`
			Changes map[string]int `json:"changes"`
		} `json:"tables"`
	}
	daemonStatus(t, d, &st)
	out := map[string]int{}
	for _, tab := range st.Tables {
		for _, n := range tab.Changes {
			out[tab.Name] += n
		}
	}
	return out
}

// compareRanges compares a large table in ranges of its number id, so that the
// test holds little of it; n is about how many rows there are.
func compareRanges(t *testing.T, w *world.World, table, columns string, n int) {
	t.Helper()
	const step = 50_000
	ranges := []string{"id < 0"}
	for _, base := range []int{0, 10 * n} {
		for from := base; from <= base+n; from += step {
			ranges = append(ranges, fmt.Sprintf("id >= %d AND id < %d", from, from+step))
		}
	}
	rows := 0
	for _, r := range ranges {
		query := "SELECT " + columns + " FROM " + table + " WHERE " + r
		src, err := w.SourceSide().Rows(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		dst, err := w.TargetSide().Rows(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		if rows += len(src); world.Difference(src, dst) != "" {
			t.Errorf("%s differs where %s: %s", table, r, world.Difference(src, dst))
			return
		}
	}
	count := "SELECT count(*) FROM " + table
	if there, here := first(t, w.TargetDSN(), count), superuser(t, w, count); there != here || here != strconv.Itoa(rows) {
		t.Errorf("%s has %s rows on the source, %s on the target, %d compared", table, here, there, rows)
	}
}

// resident is a part of what the process has in memory now, in bytes.
func resident(t *testing.T, d *world.Daemon, part string) int64 {
	t.Helper()
	n := residentOf(d, part)
	if n == 0 {
		t.Fatalf("no %s of process %d", part, d.PID())
	}
	return n
}

// residentOf is RssAnon, RssFile or another line of a process's status, 0 where
// there is none.
func residentOf(d *world.Daemon, part string) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.PID()))
	if err != nil {
		return 0
	}
	m := regexp.MustCompile(part + `:\s+(\d+) kB`).FindSubmatch(text)
	if m == nil {
		return 0
	}
	kb, _ := strconv.ParseInt(string(m[1]), 10, 64)
	return kb << 10
}
