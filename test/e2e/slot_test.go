package e2e_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/klauspost/compress/zstd"

	"github.com/walshift/walshift/test/cluster"
	"github.com/walshift/walshift/test/redshift"
	"github.com/walshift/walshift/test/world"
)

const slotDDL = `CREATE TABLE single (k text PRIMARY KEY); INSERT INTO single VALUES ('a');`

// waiting starts a pipeline, stops it in order and leaves changes for it to
// find. It returns the position that the log had reached at least.
func waiting(t *testing.T, cfg world.Config) (*world.World, pglogrepl.LSN) {
	t.Helper()
	cfg.DDL = slotDDL
	w := plainWorld(t, cfg)
	d := streaming(t, w)
	exec(t, w, `INSERT INTO single VALUES ('b')`)
	identical(t, w, map[string]string{"single": "k"})
	st, err := d.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Stop(within(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}
	exec(t, w, `INSERT INTO single VALUES ('unseen')`)
	return w, lsn(t, st.Staged)
}

func lsn(t *testing.T, text string) pglogrepl.LSN {
	t.Helper()
	l, err := pglogrepl.ParseLSN(text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// stops starts the daemon, which must end by itself with an error that says
// all of want, while the warehouse stays as it is. It returns the error.
func stops(t *testing.T, w *world.World, want ...string) string {
	t.Helper()
	before := target(t, w, "SELECT k FROM single")
	d := startDaemon(t, w)
	ctx := within(t, 30*time.Second)
	if err := d.Wait(ctx); ctx.Err() != nil {
		d.Kill()
		t.Fatalf("it did not stop: %v\n%s", err, d.LogTail(20))
	}
	code := 1
	if strings.Contains(d.Log(), "the source is another server") {
		code = 7
	}
	if d.ExitCode() != code {
		t.Errorf("exit code %d, want %d", d.ExitCode(), code)
	}
	_, last, _ := strings.Cut(d.Log(), "\nwalshift: ")
	for _, s := range append(want, "remedy: ") {
		if !strings.Contains(last, s) {
			t.Errorf("the error does not say %q: %s", s, last)
		}
	}
	if diff := world.Difference(before, target(t, w, "SELECT k FROM single")); diff != "" {
		t.Errorf("the target has changed: %s", diff)
	}
	t.Log(strings.TrimSpace(last))
	return last
}

func target(t *testing.T, w *world.World, query string) []string {
	t.Helper()
	rows, err := w.TargetSide().Rows(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// atStake checks that an error names a range that begins where the log ends.
func atStake(t *testing.T, text string, staged pglogrepl.LSN) {
	t.Helper()
	m := regexp.MustCompile(`\(([0-9A-F]+/[0-9A-F]+), ([0-9A-F]+/[0-9A-F]+|…)\]`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no range of LSNs in: %s", text)
	}
	from := lsn(t, m[1])
	if from < staged {
		t.Errorf("the range begins at %s, the log had reached %s", from, staged)
	}
	if m[2] != "…" && lsn(t, m[2]) <= from {
		t.Errorf("the range %s is empty", m[0])
	}
}

func slots(t *testing.T, w *world.World) string {
	t.Helper()
	return superuser(t, w, "SELECT count(*) FROM pg_replication_slots")
}

func TestS1SlotGone(t *testing.T) {
	t.Parallel()
	w, staged := waiting(t, world.Config{})
	superuser(t, w, "SELECT pg_drop_replication_slot('walshift_shop')")
	before := objects(t, w)
	for range 2 { // nor does a second start go on over the gap
		atStake(t, stops(t, w, "the replication slot does not exist", "can't be read any more", "start afresh"), staged)
	}
	if n := slots(t, w); n != "0" {
		t.Errorf("%s slots were made", n)
	}
	if diff := world.Difference(before, objects(t, w)); diff != "" {
		t.Errorf("the log was changed: %s", diff)
	}
}

func TestS3SlotLost(t *testing.T) {
	t.Parallel()
	w, staged := waiting(t, world.Config{Settings: map[string]string{
		"max_slot_wal_keep_size": "1MB", "min_wal_size": "32MB", "max_wal_size": "32MB",
	}})
	for range 10 {
		superuser(t, w, "SELECT pg_logical_emit_message(false, 'x', 'y'); SELECT pg_switch_wal()")
		superuser(t, w, "CHECKPOINT")
	}
	if s := superuser(t, w, "SELECT wal_status FROM pg_replication_slots"); s != "lost" {
		t.Fatalf("the slot is %s, not lost", s)
	}
	atStake(t, stops(t, w, "the replication slot is lost", "start afresh"), staged)
}

func TestS7ConfirmedBeyondLog(t *testing.T) {
	t.Parallel()
	w, staged := waiting(t, world.Config{})
	superuser(t, w, "SELECT pg_replication_slot_advance('walshift_shop', pg_current_wal_lsn())")
	before := objects(t, w)
	atStake(t, stops(t, w, "the slot is confirmed beyond the log's end", "start afresh"), staged)
	if diff := world.Difference(before, objects(t, w)); diff != "" {
		t.Errorf("the log was changed: %s", diff)
	}
}

func TestP6OtherSystemIdentifier(t *testing.T) {
	t.Parallel()
	w, staged := waiting(t, world.Config{})
	other, err := cluster.StartPostgres(t.Context(), cluster.PostgresConfig{OwnIdentity: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := other.Stop(); err != nil {
			t.Error(err)
		}
	})
	src, err := other.CreateSource(t.Context(), cluster.SourceConfig{Database: world.Pipeline, DDL: slotDDL})
	if err != nil {
		t.Fatal(err)
	}
	if err := src.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	usual := w.Sections
	w.Sections = sourceSection(src.ReplicatorDSN())
	before := objects(t, w)
	atStake(t, stops(t, w, "system identifier is", "the log belongs to", "source.dsn"), staged)
	if n := first(t, src.SuperuserDSN(), "SELECT count(*) FROM pg_replication_slots"); n != "0" {
		t.Errorf("%s slots were made on the other server", n)
	}
	if diff := world.Difference(before, objects(t, w)); diff != "" {
		t.Errorf("the log was changed: %s", diff)
	}
	w.Sections = usual
	startDaemon(t, w)
	identical(t, w, map[string]string{"single": "k"})
}

// TestS11PublicationGone: changes were written while there was no publication,
// which no later one can bring back.
func TestS11PublicationGone(t *testing.T) {
	t.Parallel()
	w, staged := waiting(t, world.Config{})
	superuser(t, w, "DROP PUBLICATION walshift_shop")
	exec(t, w, `INSERT INTO single VALUES ('unpublished')`)
	atStake(t, stops(t, w, "publication", "load all tables again"), staged)
	superuser(t, w, "CREATE PUBLICATION walshift_shop FOR TABLE single")
	exec(t, w, `INSERT INTO single VALUES ('published again')`)
	atStake(t, stops(t, w, "publication", "load all tables again"), staged)
}

// TestW13LongTransactionBlocksSlot: the start names the session for which the
// slot's creation waits, and leaves nothing behind.
func TestW13LongTransactionBlocksSlot(t *testing.T) {
	t.Parallel()
	w := plainWorld(t, world.Config{DDL: slotDDL})
	conn, err := pgconn.Connect(t.Context(), w.Source.OwnerDSN())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), "BEGIN; INSERT INTO single VALUES ('open')").ReadAll(); err != nil {
		t.Fatal(err)
	}
	usual := w.Sections
	limited := map[string]string{"source": fmt.Sprintf("{dsn: %q, slot_timeout: 2s}", w.Source.ReplicatorDSN())}
	refused(t, w, &refusal{code: 1, sections: limited, want: []string{
		"creating slot walshift_shop", fmt.Sprintf("waiting for the transaction of pid %d", conn.PID()), "end the transactions",
	}})
	w.Sections = usual
	if _, err := conn.Exec(t.Context(), "COMMIT").ReadAll(); err != nil {
		t.Fatal(err)
	}
	streaming(t, w)
	identical(t, w, map[string]string{"single": "k"})
}

// TestV12DanglingPrepared: a prepared transaction has no process; its gid is
// named.
func TestV12DanglingPrepared(t *testing.T) {
	t.Parallel()
	w := plainWorld(t, world.Config{DDL: slotDDL})
	execOn(t, w.Source.OwnerDSN(), "BEGIN", "INSERT INTO single VALUES ('prepared')", "PREPARE TRANSACTION 'dangling-7'")
	limited := map[string]string{"source": fmt.Sprintf("{dsn: %q, slot_timeout: 2s}", w.Source.ReplicatorDSN())}
	refused(t, w, &refusal{code: 1, sections: limited, want: []string{
		"creating slot walshift_shop", `prepared transaction "dangling-7" of shop_owner in database "shop"`, "ROLLBACK PREPARED",
	}})
	execOn(t, w.Source.OwnerDSN(), "COMMIT PREPARED 'dangling-7'")
	streaming(t, w)
	identical(t, w, map[string]string{"single": "k"})
}

// TestSecondDaemonIsRefused: a second daemon of the same pipeline waits while
// the first streams, does no harm, and takes over when the first has gone.
func TestSecondDaemonIsRefused(t *testing.T) {
	t.Parallel()
	w := plainWorld(t, world.Config{DDL: slotDDL})
	d1 := streaming(t, w)
	t.Cleanup(d1.Kill)
	usual := w.Sections
	w.Sections = map[string]string{"http": `{listen: ""}`}
	d2 := startDaemon(t, w)
	w.Sections = usual
	for deadline := within(t, 30*time.Second); strings.Count(d2.Log(), "in use by another session") < 2; {
		select {
		case <-deadline.Done():
			t.Fatalf("the second daemon does not say that the slot is in use:\n%s", d2.LogTail(20))
		case <-d2.Done():
			t.Fatalf("the second daemon ended:\n%s", d2.LogTail(20))
		case <-time.After(50 * time.Millisecond):
		}
	}
	for i := range 3 {
		exec(t, w, fmt.Sprintf(`INSERT INTO single VALUES ('by the first %d')`, i))
		identical(t, w, map[string]string{"single": "k"})
	}
	select {
	case <-d1.Done():
		t.Fatalf("the first daemon ended:\n%s", d1.LogTail(20))
	default:
	}
	d1.Kill()
	exec(t, w, `INSERT INTO single VALUES ('by the second')`, `DELETE FROM single WHERE k = 'a'`)
	until(t, 60*time.Second, "the second daemon takes over", func() bool {
		diff, err := w.Compare(t.Context(), "single", "k")
		return err == nil && diff == ""
	})
}

// TestSecondDaemonDuringFirstLoad: a second daemon takes the first one's
// unfinished load for nobody's, unless it looks closely: it must neither drop
// the slot nor delete the log.
func TestSecondDaemonDuringFirstLoad(t *testing.T) {
	t.Parallel()
	w := plainWorld(t, world.Config{DDL: mainDDL, Standin: func(c *redshift.Config) {
		c.Profile.Copy, c.Profile.Commit = 2*time.Second, time.Second
	}})
	d1 := startDaemon(t, w)
	t.Cleanup(d1.Kill)
	if err := d1.Until(within(t, 60*time.Second), "it loads", func(s world.Status) bool { return s.Phase == "loading" }); err != nil {
		t.Fatal(err)
	}
	until(t, 30*time.Second, "the first has the slot", func() bool { return strings.Contains(d1.Log(), "capture_started") })
	usual := w.Sections
	w.Sections = map[string]string{"http": `{listen: ""}`}
	d2 := startDaemon(t, w)
	w.Sections = usual
	ctx := within(t, 60*time.Second)
	if err := d2.Wait(ctx); ctx.Err() != nil || d2.ExitCode() != 1 {
		t.Fatalf("the second daemon did not refuse: %v\n%s", err, d2.LogTail(20))
	}
	if text := d2.Log(); !strings.Contains(text, "another walshift is loading this pipeline") || !strings.Contains(text, "nothing has been changed") {
		t.Errorf("the second daemon's error: %s", text)
	}
	if err := d1.UntilStreaming(within(t, 60*time.Second)); err != nil {
		t.Fatal(err)
	}
	exec(t, w, `UPDATE items SET name = 'still here'`)
	identical(t, w, mainTables())
}

// until waits for a condition.
func until(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := within(t, limit); !ok(); {
		select {
		case <-deadline.Done():
			t.Fatalf("waiting until %s: %v", what, context.Cause(deadline))
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// TestS5IdleDatabaseOtherTraffic: while the published tables are quiet, the
// slot follows the traffic of other tables and databases.
func TestS5IdleDatabaseOtherTraffic(t *testing.T) {
	t.Parallel()
	w := plainWorld(t, world.Config{
		DDL: slotDDL + `CREATE TABLE elsewhere (id int)`, Publish: []string{"single"},
	})
	d := streaming(t, w)
	superuser(t, w, "CREATE DATABASE other")
	other := w.PG.SuperuserDSN("other")
	execOn(t, other, "CREATE TABLE t (id int)")
	for _, write := range []func(){
		func() { exec(t, w, `INSERT INTO elsewhere SELECT generate_series(1, 20000)`) },
		func() { execOn(t, other, "INSERT INTO t SELECT generate_series(1, 20000)") },
	} {
		write()
		end := superuser(t, w, "SELECT pg_current_wal_lsn()")
		until(t, 60*time.Second, "the slot has followed", func() bool {
			return superuser(t, w, "SELECT confirmed_flush_lsn >= '"+end+"' FROM pg_replication_slots") == "t"
		})
		st, err := d.Status(t.Context())
		if err != nil || lsn(t, st.Staged) < lsn(t, end) {
			t.Errorf("confirmed beyond the log: staged %s, %s was confirmed (%v)", st.Staged, end, err)
		}
	}
	d.Kill()
	startDaemon(t, w) // the log has what was confirmed
	identical(t, w, map[string]string{"single": "k"})
}

// TestS14ClientSideFilter: a published table that the configuration leaves out
// reaches neither log nor warehouse, and one that is left out later stops the
// daemon instead of flowing on.
func TestS14ClientSideFilter(t *testing.T) {
	t.Parallel()
	w := plainWorld(t, world.Config{
		DDL: slotDDL + `CREATE TABLE hidden (id int PRIMARY KEY, v text); INSERT INTO hidden VALUES (1, 'private-canary')`,
	})
	source := func(exclude string) map[string]string {
		return map[string]string{"source": fmt.Sprintf("{dsn: %q, tables: {exclude: [%s]}}", w.Source.ReplicatorDSN(), exclude)}
	}
	w.Sections = source("public.hidden")
	d := streaming(t, w)
	exec(t, w, `INSERT INTO hidden VALUES (2, 'private-canary')`, `UPDATE hidden SET v = v || '!'`, `INSERT INTO single VALUES ('b')`,
		`BEGIN; INSERT INTO hidden VALUES (3, 'private-canary'); INSERT INTO single VALUES ('c'); COMMIT`, `TRUNCATE hidden`)
	identical(t, w, map[string]string{"single": "k"})
	if n := first(t, w.Backend.SuperuserDSN("dev"), "SELECT count(*) FROM pg_class WHERE relname LIKE '%hidden%'"); n != "0" {
		t.Errorf("%s relations of the table on the warehouse", n)
	}
	for name, text := range logged(t, w) {
		if strings.Contains(text, "canary") || strings.Contains(text, "hidden") {
			t.Errorf("%s holds something of the table", name)
		}
	}
	if !strings.Contains(d.Log(), "public.hidden") {
		t.Error("no warning that the publication holds a table which is left out")
	}
	if err := d.Stop(within(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}
	exec(t, w, `INSERT INTO single VALUES ('d')`)
	w.Sections = source("public.single, public.hidden")
	stops(t, w, "public.single", "the configuration now leaves out", "select the tables again")
	w.Sections = source("public.hidden")
	startDaemon(t, w)
	identical(t, w, map[string]string{"single": "k"})
}

// logged returns the objects of the log by name, decompressed.
func logged(t *testing.T, w *world.World) map[string]string {
	t.Helper()
	dec, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	found := map[string]string{}
	err = filepath.WalkDir(w.S3.Dir(), func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if plain, err := dec.DecodeAll(b, nil); err == nil {
			b = plain
		} else if !slices.Contains([]string{".json", ".manifest"}, filepath.Ext(path)) {
			t.Errorf("can't read %s: %v", path, err)
		}
		found[path] = string(b)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatal("the log is empty")
	}
	return found
}
