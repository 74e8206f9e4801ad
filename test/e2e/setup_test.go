package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/walshift/walshift/test/world"
)

const setupDDL = `
CREATE TABLE plain (id int PRIMARY KEY); CREATE TABLE "Odd ""name""" (id int PRIMARY KEY);
CREATE TABLE events (at timestamptz); CREATE TABLE indexed (id int NOT NULL UNIQUE, n int);
CREATE TABLE guarded (id int PRIMARY KEY); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE UNLOGGED TABLE scratch (id int PRIMARY KEY);
CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
CREATE TABLE "two
lines :walshift_password \\q" (id int PRIMARY KEY);`

// TestSetupScript: what the DBA is given for a database with everything in it,
// before anything is made; run as it is, it leaves a role without more rights
// than it names, and the application works as before (S12).
func TestSetupScript(t *testing.T) {
	t.Parallel()
	w := plainWorld(t, world.Config{DDL: setupDDL})
	superuser(t, w, "DROP PUBLICATION walshift_shop")
	exec(t, w, "CREATE TABLE \"harmless\nDROP TABLE plain; --\" (n int)")
	for _, sql := range []string{
		"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM shop_repl", "REVOKE ALL ON SCHEMA public FROM shop_repl",
		"REVOKE ALL ON DATABASE shop FROM shop_repl", "ALTER DEFAULT PRIVILEGES FOR ROLE shop_owner IN SCHEMA public REVOKE ALL ON TABLES FROM shop_repl",
		"DROP ROLE shop_repl",
	} {
		superuser(t, w, sql)
	}
	script, code, err := w.Command(t.Context(), "setup", "--print", "--only", "source", "--dsn", w.Source.SuperuserDSN())
	if err != nil || code != 0 {
		t.Fatalf("exit code %d (%v)\n%s", code, err, script)
	}
	path := filepath.Join("testdata", "setup.sql")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || script != string(want) {
		t.Errorf("%s differs (%v; UPDATE_GOLDEN=1 writes it); got:\n%s", path, err, script)
	}
	for range 2 { // it may be run again
		if err := w.Source.RunScript(t.Context(), script); err != nil {
			t.Fatal(err)
		}
		if script, _, err = w.Command(t.Context(), "setup", "--print", "--only", "source"); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(script, `-- "walshift_shop" exists, and holds every table that may be published.`) {
		t.Errorf("the second script makes a publication again:\n%s", script)
	}
	got := superuser(t, w, `SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_publication_tables WHERE pubname = 'walshift_shop'`)
	if got != "Odd \"name\" guarded parts plain two\nlines :walshift_password \\\\q" {
		t.Errorf("published: %s", got)
	}
	exec(t, w, "INSERT INTO events VALUES (now())", "UPDATE events SET at = now()", "DELETE FROM events",
		"INSERT INTO indexed VALUES (1, 1)", "UPDATE indexed SET n = 2", "UPDATE parts SET id = 1", "UPDATE scratch SET id = 1")
	if got := superuser(t, w, "SELECT concat_ws(' ', rolsuper, rolreplication, rolcreatedb, rolcreaterole, rolbypassrls) FROM pg_roles WHERE rolname = 'shop_repl'"); got != "f t f f f" {
		t.Errorf("the role's attributes: %s", got)
	}
	if got := superuser(t, w, `SELECT count(*) FROM information_schema.role_table_grants WHERE grantee = 'shop_repl'
		AND (privilege_type <> 'SELECT' OR table_name IN ('events', 'indexed', 'scratch'))`); got != "0" {
		t.Errorf("%s grants more than needed", got)
	}
}

// TestSetupManaged: with a managed publication the role gets what it takes to
// make one, and check sees that it can.
func TestSetupManaged(t *testing.T) {
	t.Parallel()
	w := plainWorld(t, world.Config{DDL: `CREATE TABLE plain (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY);`})
	superuser(t, w, "DROP PUBLICATION walshift_shop")
	w.Sections["source"] = strings.TrimSuffix(sourceSection(w.Source.ReplicatorDSN())["source"], "}") + ", publication: {mode: managed}}"
	r := runCheck(t, w, 1)
	if got := r.finding("source.publication", ""); !strings.Contains(got, `GRANT CREATE ON DATABASE "shop" TO "shop_repl";`) {
		t.Errorf("without the rights: %s", got)
	}
	script, code, err := w.Command(t.Context(), "setup", "--print", "--only", "source")
	if err != nil || code != 0 {
		t.Fatalf("exit code %d (%v)\n%s", code, err, script)
	}
	if err := w.Source.RunScript(t.Context(), script); err != nil {
		t.Fatal(err)
	}
	r = runCheck(t, w, 0)
	if got := r.finding("source.publication", ""); !strings.HasPrefix(got, "pass") || len(r.Plan.Tables) != 2 {
		t.Errorf("%s\n%+v", got, r.Plan)
	}
	streaming(t, w)
}
