package cluster_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walshift/walshift/test/cluster"
)

func TestSourceRoles(t *testing.T) {
	t.Parallel()
	pg := cluster.RunPostgres(t, cluster.PostgresConfig{})
	source, err := pg.CreateSource(t.Context(), cluster.SourceConfig{
		Schema: "App's \"own\"",
		DDL:    "CREATE TABLE early (id int PRIMARY KEY); CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10)",
	})
	if err != nil {
		t.Fatal(err)
	}
	const schema = `"App's ""own"""`
	owner, replicator := source.OwnerDSN(), source.ReplicatorDSN()
	if _, err := pg.Psql(t.Context(), owner, "CREATE TABLE "+schema+".late (id int PRIMARY KEY); INSERT INTO "+schema+".late VALUES (7);"); err != nil {
		t.Fatal(err)
	}
	if err := source.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}

	published := value(t, source.SuperuserDSN(), "SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_publication_tables WHERE pubname = 'walshift_shop'")
	if published != "early late parts" {
		t.Errorf("published are %s", published)
	}
	for _, dsn := range []string{replicator, source.ReplicatorSocketDSN()} {
		if got := value(t, dsn, "SELECT id::text FROM "+schema+".late"); got != "7" {
			t.Errorf("a table made later holds %s", got)
		}
	}
	if got := value(t, source.SuperuserDSN(), "SELECT count(*)::text FROM pg_shdepend WHERE refobjid = 'shop_repl'::regrole AND deptype = 'o'"); got != "0" {
		t.Errorf("the replication role owns %s objects", got)
	}
	if got := value(t, source.SuperuserDSN(), "SELECT concat_ws(' ', rolsuper, rolcreatedb, rolcreaterole, rolbypassrls) FROM pg_roles WHERE rolname = 'shop_repl'"); got != "f f f f" {
		t.Errorf("the replication role has the attributes %s", got)
	}
	for _, refused := range []string{
		"INSERT INTO " + schema + ".late VALUES (8)", "CREATE TABLE " + schema + ".mine (id int)",
		"CREATE SCHEMA mine", "ALTER PUBLICATION walshift_shop DROP TABLE " + schema + ".late",
	} {
		if _, err := pg.Psql(t.Context(), replicator, refused); err == nil {
			t.Errorf("the replication role may: %s", refused)
		}
	}

	conn, err := pgconn.Connect(t.Context(), replicator+"&replication=database")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "CREATE_REPLICATION_SLOT s TEMPORARY LOGICAL pgoutput").ReadAll(); err != nil {
		t.Error(err)
	}
}

func TestSourcesShareRoles(t *testing.T) {
	t.Parallel()
	pg := cluster.RunPostgres(t, cluster.PostgresConfig{})
	for _, database := range []string{"one", "two"} {
		source, err := pg.CreateSource(t.Context(), cluster.SourceConfig{
			Database: database, Owner: "app", Replicator: "repl", DDL: "CREATE TABLE t (id int PRIMARY KEY)",
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := source.Publish(t.Context(), "t"); err != nil {
			t.Fatal(err)
		}
		if got := value(t, source.ReplicatorDSN(), "SELECT current_database() || count(*) FROM t"); got != database+"0" {
			t.Errorf("the replication role sees %s", got)
		}
	}
}

func TestSourceWithoutTables(t *testing.T) {
	t.Parallel()
	pg := cluster.RunPostgres(t, cluster.PostgresConfig{})
	source, err := pg.CreateSource(t.Context(), cluster.SourceConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := source.Publish(t.Context()); err == nil {
		t.Error("an empty publication was made")
	}
}
