package redshift_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/walshift/walshift/test/redshift"
)

// TestCaseInsensitiveDatabase serves a database whose text is compared without
// regard to case.
func TestCaseInsensitiveDatabase(t *testing.T) {
	t.Parallel()
	cfg := config("facts_ci")
	cfg.CaseInsensitive = true
	srv, err := redshift.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := srv.CreateUser(t.Context(), loader, loaderPassword); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), srv.DSN(loader, loaderPassword, ""))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	for _, sql := range []string{
		"CREATE TABLE t (a varchar(5), b varchar(5) COLLATE CASE_SENSITIVE, c varchar(5))",
		"INSERT INTO t VALUES ('Ab', 'Ab', 'x'), ('aB', 'aB', 'y')",
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	for sql, want := range map[string]string{
		"SELECT db_collation()":                       "case_insensitive",
		"SELECT count(*) FROM t WHERE a = 'AB'":       "2",
		"SELECT count(*) FROM t WHERE b = 'AB'":       "0",
		"SELECT count(DISTINCT a) FROM t":             "1",
		"SELECT count(*) FROM t WHERE a LIKE 'a%'":    "2",
		"SELECT count(*) FROM t x JOIN t y USING (a)": "4",
	} {
		var got string
		if err := conn.QueryRow(t.Context(), sql, pgx.QueryExecModeExec).Scan(&got); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", sql, got, err, want)
		}
	}
}

// TestTypeIDs checks the type ids that clients are told (redshift_connector,
// oids.py).
func TestTypeIDs(t *testing.T) {
	t.Parallel()
	conn, err := pgx.Connect(t.Context(), env.rs.DSN(loader, loaderPassword, ""))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), "CREATE TEMP TABLE ids (a interval year to month, b interval day to second, c super, d varbyte, e geometry, f geography, g hllsketch, h varchar(5), i text, j timetz)"); err != nil {
		t.Fatal(err)
	}
	rows, err := conn.Query(t.Context(), "SELECT * FROM ids", pgx.QueryExecModeExec)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for i, want := range []uint32{1188, 1190, 4000, 6551, 3000, 3001, 2935, 1043, 1043, 1266} {
		if f := rows.FieldDescriptions()[i]; f.DataTypeOID != want {
			t.Errorf("column %s has type %d, want %d", f.Name, f.DataTypeOID, want)
		}
	}
}
