package source_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/source"
)

// TestV10ProvenKeys: under FULL an index proves a key only if no two rows can
// have the same values in it at any moment, and none a NULL; all other tables
// are multisets.
func TestV10ProvenKeys(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, ddl, index, key string }{
		{"prim", "(v text, id int PRIMARY KEY)", "prim_pkey", "id"},
		{"wide_primary", "(a int, b int, u int NOT NULL UNIQUE, PRIMARY KEY (b, a))", "wide_primary_pkey", "a b"},
		{"uniq", "(id int NOT NULL UNIQUE, v text)", "uniq_id_key", "id"},
		{"narrowest", "(a int NOT NULL, b int NOT NULL, c int NOT NULL, UNIQUE (a, b), UNIQUE (c), UNIQUE (b))", "narrowest_c_key", "c"},
		{"included", "(v text NOT NULL, id int NOT NULL, UNIQUE (id) INCLUDE (v))", "included_id_v_key", "id"},
		{"deferrable_", "(id int PRIMARY KEY DEFERRABLE, v text)", "", ""},
		{"deferrable_beside", "(id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, u int NOT NULL UNIQUE)", "deferrable_beside_u_key", "u"},
		{"nullable", "(id int UNIQUE, v text)", "", ""},
		{"half_nullable", "(a int NOT NULL, b int, UNIQUE (a, b))", "", ""},
		{"none", "(v text)", "", ""},
		{"partial", "(id int NOT NULL); CREATE UNIQUE INDEX ON partial (id) WHERE id > 0", "", ""},
		{"expression", "(id int NOT NULL); CREATE UNIQUE INDEX ON expression ((id + 0))", "", ""},
		{"half_expression", "(id int NOT NULL, w text NOT NULL); CREATE UNIQUE INDEX ON half_expression (id, lower(w))", "", ""},
		{"excluded", "(id int NOT NULL, EXCLUDE USING btree (id WITH =))", "", ""},
		{"plain", "(id int NOT NULL); CREATE INDEX ON plain (id)", "", ""},
		{"generated", "(id int NOT NULL GENERATED ALWAYS AS (v + 1) STORED PRIMARY KEY, v int)", "", ""},
		{"parted", "(id int, d int, PRIMARY KEY (id, d)) PARTITION BY RANGE (d); " +
			"CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (9)", "parted_pkey", "id d"},
		{
			"parted_leaf_only", "(id int NOT NULL) PARTITION BY RANGE (id); " +
				"CREATE TABLE parted_leaf_only_1 PARTITION OF parted_leaf_only FOR VALUES FROM (0) TO (9); " +
				"ALTER TABLE parted_leaf_only_1 ADD PRIMARY KEY (id)", "", "",
		},
		{
			"parted_invalid", "(id int NOT NULL) PARTITION BY RANGE (id); " +
				"CREATE TABLE parted_invalid_1 PARTITION OF parted_invalid FOR VALUES FROM (0) TO (9); " +
				"CREATE UNIQUE INDEX ON ONLY parted_invalid (id)", "", "",
		},
	}
	var ddl strings.Builder
	for _, c := range cases {
		ddl.WriteString("CREATE TABLE " + c.name + " " + c.ddl + "; ALTER TABLE " + c.name + " REPLICA IDENTITY FULL;\n")
	}
	ddl.WriteString("CREATE TABLE invalid (id int NOT NULL); INSERT INTO invalid VALUES (1), (1); ALTER TABLE invalid REPLICA IDENTITY FULL;")
	w := newWorld(t, ddl.String())
	if _, err := w.owner.Exec(t.Context(), "CREATE UNIQUE INDEX CONCURRENTLY ON invalid (id)"); err == nil {
		t.Fatal("a unique index of equal rows was made")
	}
	cases = append(cases, struct{ name, ddl, index, key string }{name: "invalid"})
	w.publish()
	s := w.server()
	tables, err := w.catalog(s).Tables(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	candidates, _, err := s.Survey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		at := slices.IndexFunc(tables, func(x source.Table) bool { return x.Relation.Name == c.name })
		got := &tables[at]
		var key []string
		for _, k := range got.Relation.KeyColumns() {
			key = append(key, k.Name)
		}
		oid := w.text("SELECT coalesce((SELECT oid FROM pg_class WHERE relname = '" + c.index + "'), 0)::text")
		if got.KeyIndex != c.index || strings.Join(key, " ") != c.key || got.Relation.Multiset != (c.key == "") ||
			oid != fmt.Sprint(got.Relation.KeyIndex) {
			t.Errorf("%s: key (%s) by %q (%d), multiset %t; want (%s) by %q (%s)", c.name, strings.Join(key, " "),
				got.KeyIndex, got.Relation.KeyIndex, got.Relation.Multiset, c.key, c.index, oid)
		}
		at = slices.IndexFunc(candidates, func(x source.Candidate) bool { return x.Name == c.name })
		if m := candidates[at].Multiset(); m != got.Relation.Multiset {
			t.Errorf("%s: the candidate is a multiset: %t", c.name, m)
		}
	}
}

// TestV10DroppedProofIsSeen: the stream announces the same table without its
// primary key; only the catalog tells.
func TestV10DroppedProofIsSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "CREATE TABLE t (id int PRIMARY KEY, v text, u int NOT NULL); ALTER TABLE t REPLICA IDENTITY FULL")
	w.publish()
	s := w.server()
	w.slot(s).Close(t.Context())
	cat := w.catalog(s)
	stream := w.stream(s)
	relation := func() (*source.RelationMessage, *change.Relation) {
		t.Helper()
		w.exec("INSERT INTO t VALUES ((SELECT count(*) FROM t), 'v', (SELECT count(*) FROM t))")
		_, rels := decode(t, stream, func(x tx) bool { return len(x.rows) > 0 })
		msg := message(rels["public.t"])
		rel, err := cat.Resolve(t.Context(), msg)
		if err != nil {
			t.Fatal(err)
		}
		return msg, rel
	}
	before, proven := relation()
	if !proven.HasKey() || proven.KeyIndex == 0 || proven.Multiset {
		t.Fatalf("%+v", proven)
	}
	for _, step := range []struct{ do, want string }{
		{"ALTER TABLE t DROP CONSTRAINT t_pkey", "key was (id), is ()"},
		{"ALTER TABLE t ADD UNIQUE (u)", "key was (id), is (u)"},
		{"ALTER TABLE t ADD PRIMARY KEY (id)", "the unique index that proves key (id) was oid"},
		{"ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t ADD PRIMARY KEY (id) DEFERRABLE; ALTER TABLE t DROP CONSTRAINT t_u_key", "key was (id), is ()"},
	} {
		w.exec(step.do)
		now, rel := relation()
		if fmt.Sprint(now) != fmt.Sprint(before) {
			t.Errorf("%s: the announcement differs: %+v, was %+v", step.do, now, before)
		}
		if d := proven.Diff(rel); !strings.Contains(d, step.want) {
			t.Errorf("%s: difference %q, want %q", step.do, d, step.want)
		}
	}
}

// TestV10FullOfPartitions: what a leaf's changes carry its own identity
// decides, whatever the root's says.
func TestV10FullOfPartitions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `CREATE TABLE full_root (id int PRIMARY KEY) PARTITION BY RANGE (id);
		CREATE TABLE full_root_1 PARTITION OF full_root FOR VALUES FROM (0) TO (9);
		ALTER TABLE full_root REPLICA IDENTITY FULL;
		CREATE TABLE full_leaf (id int PRIMARY KEY) PARTITION BY RANGE (id);
		CREATE TABLE full_leaf_1 PARTITION OF full_leaf FOR VALUES FROM (0) TO (9);
		ALTER TABLE full_leaf_1 REPLICA IDENTITY FULL;
		CREATE TABLE both_full (id int PRIMARY KEY) PARTITION BY RANGE (id);
		CREATE TABLE both_full_1 PARTITION OF both_full FOR VALUES FROM (0) TO (9);
		ALTER TABLE both_full REPLICA IDENTITY FULL; ALTER TABLE both_full_1 REPLICA IDENTITY FULL`)
	w.publish()
	p, _ := w.server().Preflight(t.Context())
	got := findings(p.Problems, "source.replica_identity")
	for _, want := range []string{
		`public.full_root: partition public.full_root_1 has not REPLICA IDENTITY FULL as the table itself has`,
		`ALTER TABLE "public"."full_root_1" REPLICA IDENTITY FULL;`,
		`public.full_leaf: partition public.full_leaf_1 has REPLICA IDENTITY FULL, the table itself has not`,
		`ALTER TABLE "public"."full_leaf_1" REPLICA IDENTITY DEFAULT;`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("problems lack %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "both") {
		t.Error(got)
	}
	reasons := map[string]string{}
	for i := range p.Candidates {
		o, _ := p.Candidates[i].Obstacle()
		reasons[p.Candidates[i].Name] = o.Reason + " " + o.Help
		if o.Harms {
			t.Errorf("%s: publishing is said to harm: %s", &p.Candidates[i], o.Reason)
		}
	}
	if !strings.Contains(reasons["full_root"], `_1" REPLICA IDENTITY FULL;`) || !strings.Contains(reasons["full_leaf"], `_1" REPLICA IDENTITY DEFAULT;`) ||
		reasons["both_full"] != " " {
		t.Errorf("obstacles: %v", reasons)
	}
}

// TestPreflightFull: what preflight says of tables with REPLICA IDENTITY FULL.
func TestPreflightFull(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `CREATE TABLE proven (id int PRIMARY KEY, v text); ALTER TABLE proven REPLICA IDENTITY FULL;
		CREATE TABLE bag (v text); ALTER TABLE bag REPLICA IDENTITY FULL;
		CREATE TABLE taken (id int PRIMARY KEY, "_Walshift_Row" text)`)
	w.publish("proven", "bag", "taken")
	p, err := w.server().Preflight(t.Context())
	if err == nil || len(p.Problems) != 1 || !strings.Contains(p.Problems[0].String(), `public.taken: column "_Walshift_Row" has the name of walshift's own column`) {
		t.Errorf("problems %v", p.Problems)
	}
	const id = "source.replica_identity"
	if got := findings(p.Warnings, id); !strings.Contains(got, "public.bag: FULL, and no index proves a key: the table is replicated as a multiset") ||
		!strings.Contains(got, "primary key, or a unique index") {
		t.Errorf("warnings: %s", got)
	}
	if got := findings(p.Findings.Of(change.LevelPass), id); !strings.Contains(got, "public.proven: FULL; index proven_pkey proves that (id) is a key") {
		t.Errorf("passed: %s", got)
	}
}

// TestPreflightFullRefusesColumnLists: PostgreSQL takes no column list with
// FULL, and says so to the application alone.
func TestPreflightFullRefusesColumnLists(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "CREATE TABLE t (id int PRIMARY KEY, v text); ALTER TABLE t REPLICA IDENTITY FULL; INSERT INTO t VALUES (1)")
	if w.major() < 15 {
		t.Skip("no column lists before PostgreSQL 15")
	}
	w.admin("CREATE PUBLICATION " + w.src.Publication + " FOR TABLE t (id) WITH (publish_via_partition_root = true)")
	if _, err := w.owner.Exec(t.Context(), "UPDATE t SET v = 'x'"); err == nil {
		t.Fatal("PostgreSQL takes the update")
	}
	p, _ := w.server().Preflight(t.Context())
	if got := findings(p.Problems, "source.replica_identity"); !strings.Contains(got, "leaves out v: PostgreSQL refuses") {
		t.Errorf("problems: %s", got)
	}
}
