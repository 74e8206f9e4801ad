package cluster_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/walshift/walshift/test/cluster"
)

// value runs a query for a single text.
func value(t *testing.T, dsn, query string) string {
	t.Helper()
	conn := connect(t, dsn)
	defer conn.Close(t.Context())
	var text string
	if err := conn.QueryRow(t.Context(), query).Scan(&text); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return text
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestPostgresSettings(t *testing.T) {
	t.Parallel()
	pg := cluster.RunPostgres(t, cluster.PostgresConfig{
		Settings: map[string]string{"log_statement": "all", "application_name": "it's here"},
	})
	for setting, want := range map[string]string{
		"wal_level": "logical", "max_replication_slots": "20", "max_wal_senders": "20",
		"max_prepared_transactions": "10", "synchronous_commit": "on", "fsync": "off",
		"application_name": "it's here", "server_encoding": "UTF8",
	} {
		if got := value(t, pg.SuperuserDSN("postgres"), "SELECT current_setting('"+setting+"')"); got != want {
			t.Errorf("%s is %q, want %q", setting, got, want)
		}
	}
	log, err := pg.Log()
	if err != nil || !strings.Contains(log, "current_setting('wal_level')") {
		t.Errorf("the log holds no statement: %v\n%s", err, log)
	}
}

func TestPostgresKeepsDataAndAddress(t *testing.T) {
	t.Parallel()
	pg := cluster.RunPostgres(t, cluster.PostgresConfig{})
	dsn := pg.SuperuserDSN("postgres")
	if _, err := pg.Psql(t.Context(), dsn, "CREATE TABLE t (id int); INSERT INTO t VALUES (1);"); err != nil {
		t.Fatal(err)
	}

	for name, end := range map[string]func(){"halt": pg.Halt, "kill": pg.Kill} {
		client := connect(t, dsn)
		if _, err := client.Exec(t.Context(), "INSERT INTO t VALUES (1)"); err != nil {
			t.Fatal(err)
		}
		end()
		if err := client.Ping(t.Context()); err == nil {
			t.Errorf("%s: the client is still served", name)
		}
		if _, err := pgx.Connect(t.Context(), dsn); err == nil {
			t.Errorf("%s: the server still takes connections", name)
		}
		if err := pg.Restart(t.Context()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if err := pg.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := value(t, dsn, "SELECT count(*)::text FROM t"); got != "3" {
		t.Errorf("%s rows survived, want 3", got)
	}
}

func TestPostgresLeavesNothing(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*cluster.Postgres){
		"after stop": func(*cluster.Postgres) {},
		"after kill": func(pg *cluster.Postgres) { pg.Kill() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := openFolder(t)
			pg, err := cluster.StartPostgres(t.Context(), cluster.PostgresConfig{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			pids := processesOf(t, dir)
			segment := sharedMemory(t, pids)
			if segment == "" {
				t.Fatal("no segment of shared memory is attached: the test proves nothing")
			}
			end(pg)
			for range 2 {
				if err := pg.Stop(); err != nil {
					t.Fatal(err)
				}
			}
			for _, pid := range pids {
				if running(pid) {
					t.Errorf("process %s still runs", pid)
				}
			}
			if segments, err := os.ReadFile("/proc/sysvipc/shm"); err != nil || strings.Contains(string(segments), segment) {
				t.Errorf("segment %s is left, or unknown: %v", segment, err)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("files are left: %v, %v", left, err)
			}
		})
	}
}

// sharedMemory returns the id of the System V segment that one of the processes
// made, with its key: together they name it for good.
func sharedMemory(t *testing.T, pids []string) string {
	t.Helper()
	text, err := os.ReadFile("/proc/sysvipc/shm")
	if err != nil {
		t.Fatal(err)
	}
	const creator = 4
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if slices.Contains(pids, fields[creator]) {
			return line[:strings.Index(line, fields[1])+len(fields[1])]
		}
	}
	return ""
}

func TestPostgresIdentity(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 2 {
		pg := cluster.RunPostgres(t, cluster.PostgresConfig{OwnIdentity: true})
		seen[value(t, pg.SuperuserDSN("postgres"), "SELECT system_identifier::text FROM pg_control_system()")] = true
	}
	if len(seen) != 2 {
		t.Errorf("two clusters have the identifiers %v", seen)
	}
}

func TestPostgresTLS(t *testing.T) {
	t.Parallel()
	ca, err := cluster.NewCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Issue("127.0.0.1", "localhost")
	if err != nil {
		t.Fatal(err)
	}
	pg := cluster.RunPostgres(t, cluster.PostgresConfig{TLS: cert})
	source, err := pg.CreateSource(t.Context(), cluster.SourceConfig{})
	if err != nil {
		t.Fatal(err)
	}
	dsn := source.ReplicatorDSN()
	if !strings.Contains(dsn, "verify-full") {
		t.Fatalf("the DSN %s does not verify", dsn)
	}
	const query = "SELECT ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
	if got := value(t, dsn, query); got != "true" {
		t.Errorf("pg_stat_ssl.ssl is %s", got)
	}

	stranger, err := cluster.NewCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"another authority": strings.ReplaceAll(dsn, strings.ReplaceAll(ca.File(), "/", "%2F"), stranger.File()),
		"plain":             strings.ReplaceAll(dsn, "verify-full", "disable"),
	} {
		if bad == dsn {
			t.Fatalf("%s: the DSN is unchanged", name)
		}
		if conn, err := pgx.Connect(t.Context(), bad); err == nil {
			conn.Close(t.Context())
			t.Errorf("%s: was let in", name)
		}
	}
}

func TestClientsReportErrors(t *testing.T) {
	t.Parallel()
	pg := cluster.RunPostgres(t, cluster.PostgresConfig{})
	dsn := pg.SuperuserDSN("postgres")
	if _, err := pg.Psql(t.Context(), dsn, "SELECT 1/0; SELECT 2;"); err == nil || !strings.Contains(err.Error(), "division by zero") {
		t.Errorf("psql: %v", err)
	}
	if _, err := pg.Pgbench(t.Context(), dsn, "-i", "-s", "1", "-q"); err != nil {
		t.Errorf("pgbench -i: %v", err)
	}
	report, err := pg.Pgbench(t.Context(), dsn, "-n", "-c", "1", "-t", "5")
	if err != nil || !strings.Contains(report, "5/5") {
		t.Errorf("pgbench: %v\n%s", err, report)
	}
}

func TestPostgresIsMissing(t *testing.T) {
	t.Setenv("WALSHIFT_PG_BIN", t.TempDir())
	if _, err := cluster.StartPostgres(t.Context(), cluster.PostgresConfig{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
}

func TestPostgresStartIsCancelled(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := cluster.StartPostgres(ctx, cluster.PostgresConfig{Dir: dir}); err == nil {
		t.Fatal("it started")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("files are left: %v, %v", left, err)
	}
}
