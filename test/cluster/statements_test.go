package cluster_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walshift/walshift/test/cluster"
)

// TestStatementsAreCollected: what the replicator's sessions send lands in the
// folder, whole and once, by whatever protocol; what the DBA and the
// application send does not.
//
//nolint:paralleltest // it sets the environment
func TestStatementsAreCollected(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("WALSHIFT_STATEMENTS", dir)
	pg, err := cluster.StartPostgres(t.Context(), cluster.PostgresConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pg.Stop() }()
	source, err := pg.CreateSource(t.Context(), cluster.SourceConfig{DDL: "CREATE TABLE secret_of_the_owner (a int)"})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), source.ReplicatorDSN()+"&application_name=walshift/test")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for range 2 {
		if err := conn.PgConn().Exec(t.Context(), "\nSELECT 1,\n\n\t'two';\nSELECT 3").Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Exec(t.Context(), "SELECT\n$1::text", "a\nvalue"); err != nil {
		t.Fatal(err)
	}
	if err := conn.PgConn().Exec(t.Context(), "SELECT refused FROM nothing").Close(); err == nil {
		t.Error("a statement about nothing succeeded")
	}
	wal, err := pgconn.Connect(t.Context(), source.ReplicatorDSN()+"&application_name=walshift/wal&replication=database")
	if err != nil {
		t.Fatal(err)
	}
	defer wal.Close(t.Context())
	if err := wal.Exec(t.Context(), "IDENTIFY_SYSTEM").Close(); err != nil {
		t.Fatal(err)
	}
	if err := pg.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := pg.Stop(); err != nil {
		t.Fatal(err)
	}
	got := collected(t, dir)
	for _, want := range []string{
		"walshift/test|\nSELECT 1,\n\n\t'two';\nSELECT 3|", "walshift/test|SELECT refused FROM nothing|",
		"walshift/test|SELECT\n$1::text|$1 = 'a\nvalue'", "walshift/wal|IDENTIFY_SYSTEM|",
	} {
		if n := strings.Count("\x00"+strings.Join(got, "\x00")+"\x00", "\x00"+want+"\x00"); n != 1 {
			t.Errorf("%q was collected %d times", want, n)
		}
	}
	if all := strings.Join(got, "\n"); strings.Contains(all, "secret_of_the_owner") {
		t.Errorf("statements of others were collected:\n%s", all)
	}
}

func collected(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "source-*.jsonl"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%d files of the collection, %v", len(files), err)
	}
	body, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(body)) {
		var s struct{ Side, App, User, SQL, Params string }
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatal(err)
		}
		if s.Side != "source" || s.User != "shop_repl" {
			t.Errorf("%s", line)
		}
		out = append(out, s.App+"|"+s.SQL+"|"+s.Params)
	}
	return out
}
