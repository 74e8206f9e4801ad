package redshift_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
)

// TestSuperuserViews looks at what only superusers may see.
func TestSuperuserViews(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	admin, err := pgx.Connect(ctx, env.pg.SuperuserDSN("facts"))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(ctx)
	if _, err := admin.Exec(ctx, "CREATE ROLE boss SUPERUSER LOGIN PASSWORD 'scram'"); err != nil { // stored as SCRAM, asked for in clear text
		t.Fatal(err)
	}
	c, err := pgx.Connect(ctx, env.rs.DSN("boss", "scram", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	mustExec(t, c, "CREATE SCHEMA boss; CREATE TABLE boss.empty (a int); CREATE TABLE boss.full_one (a int DISTKEY, b varchar(7) SORTKEY); INSERT INTO boss.full_one VALUES (1, 'x'); ANALYZE boss.full_one")
	var names, style, sortkey string
	if err := c.QueryRow(ctx, "SELECT \"table\", diststyle, sortkey1 FROM svv_table_info WHERE schema = 'boss'", pgx.QueryExecModeExec).Scan(&names, &style, &sortkey); err != nil {
		t.Fatal(err)
	}
	if names != "full_one" || style != "KEY(a)" || sortkey != "b" {
		t.Errorf("%s %s %s", names, style, sortkey)
	}
	if n := count(t, c, "svv_table_info WHERE schema = 'boss'"); n != 1 {
		t.Errorf("%d rows: empty tables must not be shown", n)
	}
	var level string
	if err := c.QueryRow(ctx, "SELECT rtrim(isolation_level) FROM stv_db_isolation_level WHERE rtrim(db_name) = current_database()", pgx.QueryExecModeExec).Scan(&level); err != nil || level != "Snapshot Isolation" {
		t.Errorf("%q %v", level, err)
	}
	if err := c.QueryRow(ctx, "SHOW server_version", pgx.QueryExecModeExec).Scan(&level); err != nil || level != "8.0.2" {
		t.Errorf("%q %v", level, err)
	}
}
