package source_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/source"
)

// ddlCase is a change of the table that %s stands for: other and unlike are
// names that nobody else uses, min the first version that knows it.
type ddlCase struct {
	name, create, ddl string
	want              string // of the reason; "" for a harmless change
	min               int
}

const (
	plainTable = "CREATE TABLE %s (id int PRIMARY KEY, n int DEFAULT 7, t text); INSERT INTO %[1]s SELECT i, i, 'x' FROM generate_series(1, 20) i"
	// fixedTable has no TOAST relation.
	fixedTable = "CREATE TABLE %s (id int PRIMARY KEY, n int DEFAULT 7, m int); INSERT INTO %[1]s SELECT i, i, i FROM generate_series(1, 20) i"
	rootTable  = `CREATE TABLE %s (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
CREATE TABLE %[1]s_a PARTITION OF %[1]s FOR VALUES FROM (0) TO (10);
CREATE TABLE %[1]s_b PARTITION OF %[1]s FOR VALUES FROM (10) TO (20);
CREATE TABLE %[1]s_spare (id int PRIMARY KEY, n int); INSERT INTO %[1]s SELECT i, i FROM generate_series(1, 19) i`
	enumTable = `CREATE TYPE %s_mood AS ENUM ('sad', 'ok'); CREATE DOMAIN %[1]s_dom AS %[1]s_mood[];
CREATE TYPE %[1]s_pair AS (a int, m %[1]s_mood); CREATE TABLE %[1]s (id int PRIMARY KEY, d %[1]s_dom, p %[1]s_pair);
INSERT INTO %[1]s VALUES (1, '{sad}', '(1,sad)')`
)

func ddlCases() []ddlCase {
	return []ddlCase{
		{name: "vacuum full", create: plainTable, ddl: "VACUUM FULL %s"},
		{name: "cluster", create: plainTable, ddl: "CLUSTER %s USING %[1]s_pkey"},
		{name: "vacuum full, no toast", create: fixedTable, ddl: "VACUUM FULL %s"},
		{name: "vacuum full erases a missing value", create: fixedTable + "; ALTER TABLE %[1]s ADD c int DEFAULT 5", ddl: "VACUUM FULL %s"},
		{name: "vacuum full erases one without a default", create: fixedTable + "; ALTER TABLE %[1]s ADD c int DEFAULT 5; ALTER TABLE %[1]s ALTER c DROP DEFAULT", ddl: "VACUUM FULL %s"},
		{name: "vacuum full and statistics, no toast", create: fixedTable, ddl: "VACUUM FULL %s; ALTER TABLE %[1]s ALTER n SET STATISTICS 9"},
		{name: "truncate", create: plainTable, ddl: "TRUNCATE %s"},
		{name: "analyze", create: plainTable, ddl: "ANALYZE %s; VACUUM FREEZE %[1]s; REINDEX TABLE %[1]s"},
		{name: "default", create: plainTable, ddl: "ALTER TABLE %s ALTER n SET DEFAULT 9; ALTER TABLE %[1]s ALTER t SET DEFAULT 'x'"},
		{name: "statistics", create: plainTable, ddl: "ALTER TABLE %s ALTER n SET STATISTICS 9; ALTER TABLE %[1]s ALTER n SET (n_distinct = 5); ALTER TABLE %[1]s SET (fillfactor = 50)"},
		{name: "storage", create: plainTable, ddl: "ALTER TABLE %s ALTER t SET STORAGE EXTERNAL"},
		{name: "compression", create: plainTable, ddl: "ALTER TABLE %s ALTER t SET COMPRESSION pglz", min: 14},
		{name: "index", create: plainTable, ddl: "CREATE INDEX ON %s (n); CREATE UNIQUE INDEX ON %[1]s (n)"},
		{name: "grants and comments", create: plainTable, ddl: "GRANT SELECT ON %s TO public; GRANT SELECT (n) ON %[1]s TO public; COMMENT ON COLUMN %[1]s.n IS 'x'"},
		{name: "owner", create: plainTable, ddl: "ALTER TABLE %s OWNER TO CURRENT_USER"},
		{name: "trigger and check", create: plainTable, ddl: "ALTER TABLE %s ADD CHECK (id > 0); CREATE RULE r AS ON DELETE TO %[1]s WHERE id < 0 DO INSTEAD NOTHING"},
		{name: "tablespace", create: plainTable, ddl: "ALTER TABLE %s SET TABLESPACE pg_default"},
		{name: "generated, unpublished", create: plainTable, ddl: "ALTER TABLE %s ADD g int GENERATED ALWAYS AS (n * 2) STORED"},
		{name: "dropped, unpublished", create: plainTable + "; ALTER TABLE %[1]s ADD g int GENERATED ALWAYS AS (n * 2) STORED", ddl: "ALTER TABLE %s DROP g"},

		{name: "V6 using", create: plainTable, ddl: "ALTER TABLE %s ALTER n TYPE int USING n * 100", want: `column "n" was rewritten`},
		{name: "V6 using, no toast", create: fixedTable, ddl: "ALTER TABLE %s ALTER m TYPE int USING m * 100", want: `column "m" was rewritten`},
		{name: "V6 using on a missing value", create: fixedTable + "; ALTER TABLE %[1]s ADD c int DEFAULT 5", ddl: "ALTER TABLE %s ALTER c TYPE int USING c * 100", want: `column "c" was rewritten`},
		{name: "V6 using, then vacuum full", create: plainTable, ddl: "ALTER TABLE %s ALTER n TYPE int USING n * 100; VACUUM FULL %[1]s", want: `column "n" was rewritten`},
		{name: "using, then truncate", create: fixedTable, ddl: "ALTER TABLE %s ALTER n TYPE int USING n * 100; TRUNCATE %[1]s", want: `column "n" was rewritten`},
		{name: "R9 default", create: plainTable, ddl: "ALTER TABLE %s ADD c int DEFAULT 5", want: `column "c" was added`},
		{name: "R9 volatile default", create: plainTable, ddl: "ALTER TABLE %s ADD c float DEFAULT random()", want: `column "c" was added`},
		{name: "R10 new column", create: plainTable, ddl: "ALTER TABLE %s ADD c int", want: `column "c" was added`},
		{name: "R11 drop and add", create: plainTable, ddl: "ALTER TABLE %s DROP t; ALTER TABLE %[1]s ADD t text", want: `column "t" (attnum 4) stands where "t" (attnum 3) was`},
		{name: "R11 rename", create: plainTable, ddl: "ALTER TABLE %s RENAME n TO m", want: `column "n" was renamed to "m"`},
		{name: "drop column", create: plainTable, ddl: "ALTER TABLE %s DROP t", want: `column "t" was removed`},
		{name: "type", create: plainTable, ddl: "ALTER TABLE %s ALTER n TYPE bigint", want: `type of column "n" was int4`},
		{name: "type there and back", create: plainTable, ddl: "ALTER TABLE %s ALTER n TYPE bigint; ALTER TABLE %[1]s ALTER n TYPE int", want: `column "n" was rewritten`},
		{name: "not null", create: plainTable, ddl: "ALTER TABLE %s ALTER n SET NOT NULL", want: `NOT NULL of column "n"`},
		{name: "identity", create: plainTable, ddl: "ALTER TABLE %s REPLICA IDENTITY NOTHING", want: "replica identity was DEFAULT, is NOTHING"},
		{name: "key", create: plainTable, ddl: "ALTER TABLE %s DROP CONSTRAINT %[1]s_pkey", want: "key was (id), is ()"},
		{name: "rename table", create: plainTable, ddl: "ALTER TABLE %s RENAME TO %[1]s_new", want: "is now named"},
		{name: "W8 dropped", create: plainTable, ddl: "DROP TABLE %s", want: "the table was dropped"},
		{name: "W8 created again", create: plainTable, ddl: "DROP TABLE %s; CREATE TABLE %[1]s (id int PRIMARY KEY, n int, t text)", want: "was dropped and created again: its oid was"},

		{name: "enum add", create: enumTable, ddl: "ALTER TYPE %s_mood ADD VALUE 'new'; ALTER TYPE %[1]s_mood ADD VALUE 'between' BEFORE 'ok'"},
		{name: "V6 enum rename", create: enumTable, ddl: "ALTER TYPE %s_mood RENAME VALUE 'ok' TO 'fine'", want: "_mood was renamed: older rows"},
		{name: "composite", create: enumTable, ddl: "ALTER TYPE %s_pair ADD ATTRIBUTE c int", want: "composite type"},
		{name: "composite rename", create: enumTable, ddl: "ALTER TYPE %s_pair RENAME ATTRIBUTE a TO z"},

		{name: "R8 created as a partition", create: rootTable, ddl: "CREATE TABLE %s_c PARTITION OF %[1]s FOR VALUES FROM (20) TO (30); INSERT INTO %[1]s VALUES (20, 1)"},
		{name: "R8 created as a partition, granted", create: rootTable, ddl: "CREATE TABLE %s_c PARTITION OF %[1]s FOR VALUES FROM (20) TO (30); INSERT INTO %[1]s VALUES (20, 1); GRANT SELECT ON %[1]s_c TO public"},
		{name: "R8 attached empty", create: rootTable, ddl: "ALTER TABLE %s ATTACH PARTITION %[1]s_spare FOR VALUES FROM (20) TO (30)"},
		{name: "R8 attached empty and filled", create: rootTable, ddl: "ALTER TABLE %s ATTACH PARTITION %[1]s_spare FOR VALUES FROM (20) TO (30); INSERT INTO %[1]s VALUES (20, 1)"},
		{name: "R8 subpartitioned", create: rootTable, ddl: "CREATE TABLE %s_c PARTITION OF %[1]s FOR VALUES FROM (20) TO (30) PARTITION BY RANGE (id); CREATE TABLE %[1]s_d PARTITION OF %[1]s_c DEFAULT"},
		{name: "R8 attached with rows", create: rootTable, ddl: "INSERT INTO %s_spare VALUES (20, 1); ALTER TABLE %[1]s ATTACH PARTITION %[1]s_spare FOR VALUES FROM (20) TO (30)", want: "_spare was attached: rows"},
		{name: "R8 filled and attached in one", create: rootTable, ddl: "BEGIN; CREATE TABLE %s_c (id int PRIMARY KEY, n int); INSERT INTO %[1]s_c VALUES (21, 1); ALTER TABLE %[1]s ATTACH PARTITION %[1]s_c FOR VALUES FROM (20) TO (30); COMMIT", want: "_c was attached: rows"},
		{name: "R8 made by a query and attached in one", create: rootTable, ddl: "BEGIN; CREATE TABLE %s_c AS SELECT 21 AS id, 1 AS n; ALTER TABLE %[1]s_c ALTER id SET NOT NULL; ALTER TABLE %[1]s ATTACH PARTITION %[1]s_c FOR VALUES FROM (20) TO (30); COMMIT", want: "_c was attached: rows"},
		{name: "V10 attached with another identity", create: rootTable, ddl: "ALTER TABLE %s ATTACH PARTITION %[1]s_spare FOR VALUES FROM (20) TO (30); ALTER TABLE %[1]s_spare REPLICA IDENTITY NOTHING", want: "has the identity ()"},
		{name: "R8 detached", create: rootTable, ddl: "ALTER TABLE %s DETACH PARTITION %[1]s_b", want: "_b was detached"},
		{name: "R8 detached and attached", create: rootTable, ddl: "ALTER TABLE %s DETACH PARTITION %[1]s_b; ALTER TABLE %[1]s ATTACH PARTITION %[1]s_b FOR VALUES FROM (10) TO (20)", want: "_b was detached, and attached again"},
		{name: "V13 dropped", create: rootTable, ddl: "DROP TABLE %s_b", want: "was dropped: its rows"},
		{name: "V13 leaf truncated", create: rootTable, ddl: "TRUNCATE %s_b", want: "_b was replaced, by TRUNCATE, which is not in the stream"},
		{name: "V13 leaf truncated and filled", create: rootTable, ddl: "TRUNCATE %s_b; INSERT INTO %[1]s VALUES (15, 1); VACUUM FULL %[1]s_b", want: "_b was replaced, by TRUNCATE"},
		{name: "leaf vacuum full", create: rootTable, ddl: "VACUUM FULL %s_b; CLUSTER %[1]s_a USING %[1]s_a_pkey"},
		{name: "leaf grants", create: rootTable, ddl: "GRANT SELECT ON %s_b TO public; ANALYZE %[1]s; CREATE INDEX ON %[1]s (n)"},
		{name: "R8 root rewritten", create: rootTable, ddl: "ALTER TABLE %s ALTER n TYPE int USING n * 100", want: `column "n" was rewritten`},
		{name: "V7 leaf unlogged and back", create: rootTable, ddl: "ALTER TABLE %s_b SET UNLOGGED; ALTER TABLE %[1]s_b SET LOGGED", want: "_b was replaced, by TRUNCATE"},
		{name: "V7 leaf unlogged", create: rootTable, ddl: "ALTER TABLE %s_b SET UNLOGGED", want: "_b is no longer LOGGED"},
		{name: "V10 leaf identity", create: rootTable, ddl: "ALTER TABLE %s_b REPLICA IDENTITY FULL", want: "the replica identity of partition"},
	}
}

// watched are tables that have been looked at.
type watched struct {
	*world
	catalog *source.Catalog
	rels    map[string]*change.Relation
	look    source.Look
}

// watch looks at all published tables and returns what it saw. Rows that are
// there must be older than all that runs on the server, other tests' included.
func (w *world) watch() *watched {
	w.t.Helper()
	last := w.text("SELECT txid_current()::text")
	for w.text("SELECT (txid_snapshot_xmin(txid_current_snapshot()) > "+last+")::text") != "true" {
		if err := w.t.Context().Err(); err != nil {
			w.t.Fatal(err)
		}
	}
	out := &watched{world: w, catalog: w.catalog(w.server()), rels: map[string]*change.Relation{}}
	tables, err := out.catalog.Tables(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	var oids []uint32
	for i := range tables {
		out.rels[tables[i].Relation.Name] = tables[i].Relation
		oids = append(oids, tables[i].Relation.OID)
	}
	if out.look, err = out.catalog.Watch(w.t.Context(), oids); err != nil {
		w.t.Fatal(err)
	}
	return out
}

// judge says what has become of a table.
func (w *watched) judge(table string, truncates ...uint32) source.Verdict {
	w.t.Helper()
	rel := w.rels[table]
	now, err := w.catalog.Watch(w.t.Context(), []uint32{rel.OID})
	if err != nil {
		w.t.Fatal(err)
	}
	v, err := w.catalog.Judge(w.t.Context(), rel, w.look.Of(rel.OID), now.Marks[rel.OID], truncates)
	if err != nil {
		w.t.Fatalf("judging %s: %v", table, err)
	}
	return v
}

// TestDDLByTheCatalog: what each DDL leaves in the catalog is judged as it
// should be: V6, R8 to R11, V10, V13, W8, and what must not stop a table.
func TestDDLByTheCatalog(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	cases := ddlCases()
	for i, c := range cases {
		w.steps(fmt.Sprintf(c.create, fmt.Sprintf("c%d", i)))
	}
	w.publishRoots()
	seen := w.watch()
	for i, c := range cases {
		if c.min <= w.major() {
			w.steps(fmt.Sprintf(c.ddl, fmt.Sprintf("c%d", i)))
		}
	}
	for i, c := range cases {
		if c.min > w.major() {
			continue
		}
		v := seen.judge(fmt.Sprintf("c%d", i))
		if (v.Reason == "") != (c.want == "") || !strings.Contains(v.Reason, c.want) {
			t.Errorf("%s: %q, want %q", c.name, v.Reason, c.want)
		}
		if v.Reason != "" && v.Code == "" {
			t.Errorf("%s: no code", c.name)
		}
	}
}

// steps runs statements one by one: VACUUM can't stand in a list.
func (w *world) steps(sql string) {
	w.t.Helper()
	for s := range strings.SplitSeq(sql, ";") {
		w.exec(s)
	}
}

// publishRoots publishes all tables but partitions and spare ones, by name.
func (w *world) publishRoots() {
	w.t.Helper()
	w.admin("CREATE PUBLICATION " + w.src.Publication + " FOR TABLE " +
		w.text("SELECT string_agg(oid::regclass::text, ', ') FROM pg_class WHERE relnamespace = 'public'::regnamespace "+
			"AND relkind IN ('r', 'p') AND NOT relispartition AND relname NOT LIKE '%spare'") +
		" WITH (publish_via_partition_root = true)")
}

// TestRootTruncateIsKnown: a TRUNCATE of the whole table replaces the storage of
// every partition; its transaction, which the stream brings, tells.
func TestRootTruncateIsKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fmt.Sprintf(rootTable, "root"))
	w.publishRoots()
	seen := w.watch()
	w.steps("BEGIN; TRUNCATE root; COMMIT")
	if v := seen.judge("root"); !v.Wait || !strings.Contains(v.Reason, "by TRUNCATE") {
		t.Errorf("before the stream has brought it: %+v", v)
	}
	known := w.xid("SELECT xmin::text FROM pg_class WHERE relname = 'root_a'")
	if v := seen.judge("root", known); v.Reason != "" {
		t.Errorf("afterwards: %+v", v)
	}
	w.exec("TRUNCATE root_a")
	if v := seen.judge("root", known); !strings.Contains(v.Reason, "root_a was replaced") {
		t.Errorf("after another one of a partition: %+v", v)
	}
}

// TestRootTruncateInSubtransaction: the partitions then carry the number of a
// subtransaction, which the stream does not tell; that all of them carry the
// same, above one that it does tell, does.
func TestRootTruncateInSubtransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fmt.Sprintf(rootTable, "root"))
	w.publishRoots()
	old := w.xid("SELECT pg_current_xact_id()::xid::text")
	w.exec("SELECT pg_current_xact_id()")
	seen := w.watch()
	for _, sql := range []string{
		"BEGIN", "CREATE TABLE top AS SELECT pg_current_xact_id()::xid::text AS xid",
		"DO $$ BEGIN TRUNCATE root; EXCEPTION WHEN division_by_zero THEN NULL; END $$", "COMMIT",
	} {
		w.exec(sql)
	}
	top := w.xid("SELECT xid FROM top")
	if sub := w.xid("SELECT xmin::text FROM pg_class WHERE relname = 'root_a'"); sub == top {
		t.Fatal("no subtransaction")
	}
	if v := seen.judge("root", top); v.Reason != "" {
		t.Errorf("truncated by a subtransaction of %d: %+v", top, v)
	}
	for _, x := range []uint32{old, top + 1000} {
		if v := seen.judge("root", x); !strings.Contains(v.Reason, "by TRUNCATE") {
			t.Errorf("explained by transaction %d, where %d did it: %+v", x, top, v)
		}
	}
	w.exec("TRUNCATE root_a")
	if v := seen.judge("root", top); !strings.Contains(v.Reason, "was replaced") {
		t.Errorf("after another one of a partition: %+v", v)
	}
}

func (w *world) xid(sql string) uint32 {
	w.t.Helper()
	n, err := strconv.ParseUint(w.text(sql), 10, 32)
	if err != nil {
		w.t.Fatal(err)
	}
	return uint32(n)
}

// TestV7PublicationByTheCatalog: each way in which a table can have left the
// publication for a while stops it; the others only where they are concerned.
func TestV7PublicationByTheCatalog(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, sql, a, b string
		min             int
	}{
		{name: "dropped and added", sql: "ALTER PUBLICATION %[1]s DROP TABLE a; ALTER PUBLICATION %[1]s ADD TABLE a", a: "left publication"},
		{name: "dropped", sql: "ALTER PUBLICATION %[1]s DROP TABLE a", a: "was taken out of publication"},
		{name: "narrowed and restored", sql: "ALTER PUBLICATION %[1]s SET (publish = 'insert'); ALTER PUBLICATION %[1]s SET (publish = 'insert, update, delete, truncate')", a: "was altered", b: "was altered"},
		{name: "made anew", sql: "DROP PUBLICATION %[1]s; CREATE PUBLICATION %[1]s FOR TABLE a, b", a: "dropped and created again", b: "dropped and created again"},
		{name: "gone", sql: "DROP PUBLICATION %[1]s", a: "was dropped", b: "was dropped"},
		{name: "filter", sql: "ALTER PUBLICATION %[1]s SET TABLE a WHERE (id > 1), b", a: "row filter was altered", min: 15},
		{name: "column list", sql: "ALTER PUBLICATION %[1]s SET TABLE a (id), b", a: "column list", min: 15},
		{name: "another table", sql: "ALTER PUBLICATION %[1]s ADD TABLE c"},
		{name: "another publication", sql: "CREATE PUBLICATION %[1]s_other FOR ALL TABLES; COMMENT ON PUBLICATION %[1]s IS 'x'"},
		{name: "unlogged", sql: "ALTER PUBLICATION %[1]s DROP TABLE a; ALTER TABLE a SET UNLOGGED", a: "was taken out"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "CREATE TABLE a (id int PRIMARY KEY, n int); CREATE TABLE b (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY)")
			if w.major() < c.min {
				t.Skip("needs a newer PostgreSQL")
			}
			w.admin("CREATE PUBLICATION " + w.src.Publication + " FOR TABLE a, b")
			seen := w.watch()
			for s := range strings.SplitSeq(fmt.Sprintf(c.sql, w.src.Publication), ";") {
				w.admin(s)
			}
			for table, want := range map[string]string{"a": c.a, "b": c.b} {
				if v := seen.judge(table); (v.Reason == "") != (want == "") || !strings.Contains(v.Reason, want) {
					t.Errorf("table %s: %q, want %q", table, v.Reason, want)
				}
			}
		})
	}
}

// TestV7UnlistedTables: where the publication has all tables, or a schema's,
// PostgreSQL lets a table be UNLOGGED for a while; and it can leave the schema.
func TestV7UnlistedTables(t *testing.T) {
	t.Parallel()
	for _, scope := range []string{"ALL TABLES", "TABLES IN SCHEMA public"} {
		t.Run(scope, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "")
			if w.major() < 15 && scope != "ALL TABLES" {
				t.Skip("needs PostgreSQL 15")
			}
			moved := "by its schema, was moved"
			if scope == "ALL TABLES" {
				moved = ""
			}
			cases := []struct{ name, create, ddl, want string }{
				{"vacuumed", plainTable, "VACUUM FULL %s", ""},
				{"fixed", fixedTable, "VACUUM FULL %s; GRANT SELECT ON %[1]s TO public", ""},
				{"truncated", plainTable, "TRUNCATE %s", ""},
				{"cut", fixedTable, "TRUNCATE %s", "storage was replaced"},
				{"unlogged", plainTable, "ALTER TABLE %s SET UNLOGGED; ALTER TABLE %[1]s SET LOGGED", "storage was replaced"},
				{"unlogged2", fixedTable, "ALTER TABLE %s SET UNLOGGED; ALTER TABLE %[1]s SET LOGGED", "storage was replaced"},
				{"unlogged3", plainTable, "ALTER TABLE %s SET UNLOGGED", "no longer LOGGED"},
				{"moved", plainTable, "ALTER TABLE %s SET SCHEMA elsewhere; ALTER TABLE elsewhere.%[1]s SET SCHEMA public", moved},
			}
			for _, c := range cases {
				w.steps(fmt.Sprintf(c.create, c.name))
			}
			w.admin("CREATE SCHEMA elsewhere; GRANT ALL ON SCHEMA elsewhere TO public")
			w.admin("CREATE PUBLICATION " + w.src.Publication + " FOR " + scope)
			seen := w.watch()
			for _, c := range cases {
				w.steps(fmt.Sprintf(c.ddl, c.name))
				if v := seen.judge(c.name); (v.Reason == "") != (c.want == "") || !strings.Contains(v.Reason, c.want) {
					t.Errorf("%s: %q, want %q", c.name, v.Reason, c.want)
				}
			}
		})
	}
}
