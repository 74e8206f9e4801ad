package source_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/test/cluster"
)

func TestPreflightGoodSource(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `CREATE TABLE a (id int PRIMARY KEY, m money); CREATE TABLE b (id int NOT NULL, u int NOT NULL UNIQUE);
		ALTER TABLE b REPLICA IDENTITY USING INDEX b_u_key; INSERT INTO a SELECT g, 1 FROM generate_series(1, 1000) g; ANALYZE a;
		CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10)`)
	w.publish()
	w.makeHostile()
	p, err := w.server().Preflight(t.Context())
	if err != nil {
		t.Fatalf("Preflight: %v", err)
	}
	// The server has no limit on what slots hold, as by default.
	if len(p.Warnings) != 1 || p.Warnings[0].ID != "source.max_slot_wal_keep_size" || len(p.Tables) != 3 || len(p.Unselected) != 0 || p.Identity.FlushLSN == 0 || p.Identity.Timeline != 1 {
		t.Errorf("plan %+v", p)
	}
	if rows, bytes := p.Estimates(); rows != 1000 || bytes < 8192 {
		t.Errorf("estimates %d rows, %d bytes", rows, bytes)
	}
	rels := p.Relations()
	if rels[1].Identity != change.IdentityIndex || !slices.Equal(rels[1].Keys, []int{1}) {
		t.Errorf("b: %+v", rels[1])
	}
}

// findings returns the findings of an id as one text.
func findings(list []change.Finding, id string) string {
	var b strings.Builder
	for _, f := range list {
		if f.ID == id {
			b.WriteString(f.String() + "\n")
		}
	}
	return b.String()
}

func TestPreflightNamesAllProblems(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `CREATE TABLE full_ (id int PRIMARY KEY); ALTER TABLE full_ REPLICA IDENTITY FULL;
		CREATE TABLE nokey (id int); CREATE TABLE nothing (id int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING;
		CREATE TABLE rls (id int PRIMARY KEY); ALTER TABLE rls ENABLE ROW LEVEL SECURITY; INSERT INTO rls VALUES (1);
		CREATE TABLE denied (id int PRIMARY KEY, secret int); REVOKE SELECT ON denied FROM PUBLIC;
		CREATE TABLE gen (id int PRIMARY KEY, g int GENERATED ALWAYS AS (id) STORED);
		CREATE TABLE left_out (id int PRIMARY KEY); CREATE TABLE forgotten (id int PRIMARY KEY);
		CREATE UNLOGGED TABLE unlogged_ (id int PRIMARY KEY); CREATE TABLE keyless_list (id int PRIMARY KEY, a int);
		CREATE TABLE part (id int NOT NULL, u int NOT NULL) PARTITION BY RANGE (id); CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (9);
		CREATE TABLE part2 PARTITION OF part FOR VALUES FROM (9) TO (19); ALTER TABLE part2 ADD PRIMARY KEY (id);
		CREATE TABLE deferred (id int PRIMARY KEY DEFERRABLE); CREATE TABLE homeless (id int);
		CREATE TABLE indexed (id int, u int NOT NULL UNIQUE, v int UNIQUE);`)
	w.exec("REVOKE SELECT ON denied FROM " + w.src.Replicator)
	list, without := "keyless_list (a)", "keyless_list: the publication's column list"
	if w.major() < 15 {
		list, without = "keyless_list", ""
	}
	w.admin("CREATE PUBLICATION " + w.src.Publication + ` FOR TABLE full_, nokey, nothing, rls, denied, gen, left_out, part, deferred,
		` + list + ` WITH (publish = 'insert, update')`)
	w.cfg.Exclude = []string{"public.left_*"}
	w.cfg.Include = append(w.cfg.Include, "public.absent", "nosuch.*")
	p, err := w.server().Preflight(t.Context())
	var pe *change.FindingsError
	if !errors.As(err, &pe) || change.ScopeOf(err) != change.ScopeFatal || p == nil || len(pe.Failed) != len(p.Problems) {
		t.Fatalf("Preflight: %v", err)
	}
	for check, wants := range map[string][]string{
		"source.publication":      {"publish all operations", "part1: partitions are published one by one"},
		"source.replica_identity": {without},
		"source.row_security":     {"rls"},
		"source.privileges":       {`denied: no SELECT on "public"."denied" ("id", "secret")`, `GRANT SELECT ON "public"."denied" TO`},
		"source.include":          {"public.absent"},
	} {
		got := findings(p.Problems, check)
		for _, want := range wants {
			if !strings.Contains(got, want) {
				t.Errorf("problems of %s lack %q: %s", check, want, got)
			}
		}
	}
	for check, wants := range map[string][]string{
		"source.replica_identity": {
			"nokey: DEFAULT gives no key (public.nokey has no primary key)", "ADD PRIMARY KEY", "nothing: NOTHING gives no key",
			`ALTER TABLE "public"."nothing" REPLICA IDENTITY DEFAULT;`, "deferred: DEFAULT gives no key (the primary key of public.deferred is DEFERRABLE",
		},
		"source.generated_columns": {"gen: left out: g"},
		"source.selection":         {"leaves out: public.left_out"},
		"source.unpublished": {
			"1 tables are selected and not published: public.forgotten", `ADD TABLE "public"."forgotten";`,
			"public.unlogged_: it is selected, not published, and may not be", `ALTER TABLE "public"."unlogged_" SET LOGGED;`,
			"public.homeless: it is selected, not published, and may not be: public.homeless has no primary key; the application's updates and deletes would fail",
			`ALTER TABLE "public"."indexed" REPLICA IDENTITY USING INDEX "indexed_u_key";`,
		},
		"source.include": {`"nosuch.*" selects no`},
	} {
		got := findings(p.Warnings, check)
		for _, want := range wants {
			if !strings.Contains(got, want) {
				t.Errorf("warnings of %s lack %q: %s", check, want, got)
			}
		}
	}
	for _, f := range p.Problems {
		if f.Remedy == "" {
			t.Errorf("no remedy: %s", f)
		}
	}
	// Via the root, the leaves' identities count.
	w.admin("ALTER PUBLICATION " + w.src.Publication + " SET (publish_via_partition_root = true)")
	p, _ = w.server().Preflight(t.Context())
	if got := findings(p.Problems, "source.replica_identity"); !strings.Contains(got, "partition public.part2 has the identity (id)") {
		t.Errorf("leaf with an identity of its own: %s", got)
	}
}

// TestV2RowSecurity: preflight names the table, and a reader fails rather than
// reads less.
func TestV2RowSecurity(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 11)")
	w.publish()
	s := w.server()
	k := w.keeper(s, w.slot(s))
	w.exec("ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (id <= 5)")
	tables, err := k.Tables(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	parts, err := k.Parts(t.Context(), &tables[0], 0)
	if err != nil {
		t.Fatal(err)
	}
	r, err := k.OpenReader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close(t.Context())
	rows, err := r.Read(t.Context(), &parts[0], func(change.Tuple) error { return nil })
	var f *change.Fault
	if !errors.As(err, &f) || f.Scope != change.ScopeTable || f.Remedy == "" {
		t.Errorf("%d rows read, error %v", rows, err)
	}
	p, _ := s.Preflight(t.Context())
	if got := findings(p.Problems, "source.row_security"); !strings.Contains(got, "public.t") {
		t.Errorf("preflight: %v", p.Problems)
	}
	w.admin("ALTER ROLE " + w.src.Replicator + " BYPASSRLS")
	if p, err := s.Preflight(t.Context()); err != nil {
		t.Errorf("with BYPASSRLS: %v %v", p.Problems, err)
	}
}

func TestPreflightServer(t *testing.T) {
	t.Parallel()
	started.Store(true)
	pg := cluster.RunPostgres(t, cluster.PostgresConfig{Settings: map[string]string{
		"wal_level": "replica", "max_replication_slots": "0", "max_wal_senders": "1", "lc_monetary": "C",
	}})
	w := newWorldOn(t, pg, "CREATE TABLE t (id int PRIMARY KEY)")
	w.admin("ALTER ROLE " + w.src.Replicator + " NOREPLICATION")
	p, err := w.server().Preflight(t.Context())
	if p == nil || err == nil {
		t.Fatalf("Preflight: %+v, %v", p, err)
	}
	for _, check := range []string{
		"source.wal_level", "source.max_replication_slots", "source.max_wal_senders", "source.replication", "source.publication",
	} {
		if findings(p.Problems, check) == "" {
			t.Errorf("%s is not named: %v", check, err)
		}
	}
}
