package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/test/world"
)

// ownPublication lets walshift run as the tables' owner and make its own
// publication.
func ownPublication(t *testing.T, w *world.World) {
	t.Helper()
	superuser(t, w, "DROP PUBLICATION "+w.Source.Publication)
	superuser(t, w, "ALTER ROLE "+w.Source.Owner+" REPLICATION")
	w.Sections["source"] = fmt.Sprintf("{dsn: %q, publication: {mode: managed}}", w.Source.OwnerDSN())
}

func published(t *testing.T, w *world.World) string {
	t.Helper()
	return superuser(t, w, "SELECT coalesce(string_agg(tablename, ' ' ORDER BY tablename), '') FROM pg_publication_tables")
}

// TestS12ManagedPublication: walshift makes the publication at the first start,
// without tables that publishing would break, adds nothing later, and drops at
// the end what it made and nothing else.
func TestS12ManagedPublication(t *testing.T) { //nolint:tparallel // its parts share one world
	t.Parallel()
	w := plainWorld(t, world.Config{DDL: modeDDL + `
		CREATE TABLE events (at timestamptz, what text);
		CREATE TABLE notes (id int NOT NULL, note text);
		CREATE UNIQUE INDEX notes_id ON notes (id);
		CREATE UNLOGGED TABLE scratch (id int PRIMARY KEY);
		CREATE TABLE parted (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
		CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (100);
		CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (100) TO (200);
		INSERT INTO parted SELECT i, 'v' FROM generate_series(1, 150) i;`, Tags: "walshift_seams"})
	ownPublication(t, w)
	before := everything(t, w)
	refuses(t, w, "public.events has no primary key", `ALTER TABLE "public"."events" ADD PRIMARY KEY (…);`,
		`ALTER TABLE "public"."notes" REPLICA IDENTITY USING INDEX "notes_id";`)
	if after := everything(t, w); world.Difference(before, after) != "" {
		t.Errorf("something was changed:%s", world.Difference(before, after))
	}
	exec(t, w, `ALTER TABLE notes REPLICA IDENTITY USING INDEX notes_id`)
	w.Sections["source"] = fmt.Sprintf("{dsn: %q, publication: {mode: managed}, tables: {exclude: [public.events]}}", w.Source.OwnerDSN())

	t.Run("a check that fails takes it away again", func(t *testing.T) { //nolint:paralleltest // they share a world
		execOn(t, w.TargetDSN(), "CREATE TABLE public.notes (id INT)")
		refuses(t, w, "public.notes exists already")
		if got := published(t, w); got != "" {
			t.Errorf("published: %s", got)
		}
		execOn(t, w.TargetDSN(), "DROP TABLE public.notes")
	})
	for _, seam := range change.ModeSeams()[:3] { // checked, before the commit, created
		killAt(t, w, seam, 1)
		if got, want := published(t, w) != "", seam == change.SeamPublicationCreated; got != want {
			t.Errorf("published after a kill at %s: %t", seam, got)
		}
	}
	// What was selected has changed since the kill: nothing depends on it yet.
	exec(t, w, `CREATE TABLE late (id int PRIMARY KEY)`)
	d := streaming(t, w)
	tables := modeTables()
	tables["notes"], tables["parted"], tables["late"] = "id, note", "id, v", "id"
	exec(t, w, `UPDATE parted SET id = id + 100 WHERE id = 60`, `INSERT INTO notes VALUES (1, 'n')`, `INSERT INTO late VALUES (1)`)
	identical(t, w, tables)
	if got := published(t, w); got != "items late notes parted single" {
		t.Errorf("published: %s", got)
	}
	exec(t, w, `CREATE TABLE later (id int PRIMARY KEY)`, `INSERT INTO events VALUES (now(), 'x')`, `UPDATE events SET what = 'y'`)
	d.Kill()
	d = streaming(t, w)
	identical(t, w, tables)
	if got := published(t, w); strings.Contains(got, "later") {
		t.Errorf("a table was added by itself: %s", got)
	}
	if err := d.Stop(within(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}
	out, code, err := w.Command(t.Context(), "teardown", "--yes", "--drop-targets")
	if err != nil || code != 0 || !strings.Contains(out, "dropped publication walshift_shop") {
		t.Fatalf("teardown: %d, %v\n%s", code, err, out)
	}
	if got := superuser(t, w, "SELECT count(*) FROM pg_publication"); got != "0" {
		t.Errorf("%s publications are left", got)
	}

	// One that somebody else made is used, and stays.
	superuser(t, w, "CREATE PUBLICATION walshift_shop FOR TABLE single WITH (publish_via_partition_root = true)")
	d = streaming(t, w)
	identical(t, w, map[string]string{"single": "k"})
	d.Kill()
	if out, code, err := w.Command(t.Context(), "teardown", "--yes", "--drop-targets"); err != nil || code != 0 {
		t.Fatalf("teardown: %d, %v\n%s", code, err, out)
	}
	if got := published(t, w); got != "single" {
		t.Errorf("published after the teardown: %q", got)
	}
}

// TestManagedNeedsRights: a role that may not make the publication is told what
// the DBA can do.
func TestManagedNeedsRights(t *testing.T) {
	t.Parallel()
	w := plainWorld(t, world.Config{DDL: modeDDL})
	superuser(t, w, "DROP PUBLICATION "+w.Source.Publication)
	w.Sections["source"] = fmt.Sprintf("{dsn: %q, publication: {mode: managed}}", w.Source.ReplicatorDSN())
	refuses(t, w, "may not make publications", `GRANT CREATE ON DATABASE "shop"`, "does not own 2 of the tables",
		`CREATE PUBLICATION "walshift_shop" FOR TABLE "public"."items", "public"."single"`)
}
