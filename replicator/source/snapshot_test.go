package source_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/source"
)

// allTypes has the types that values are usually of, and awkward values.
const allTypes = `
CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s "fine"\');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN cents AS numeric(12,2) CHECK (VALUE >= 0);
CREATE DOMAIN price AS cents;
CREATE TABLE every (
 id bigint PRIMARY KEY, i2 int2, i4 int4, f4 float4, f8 float8, n numeric, n2 numeric(10,3), b bool, t text, v varchar(40), c char(6),
 nm name, ch "char", d date, tm time, tmz timetz, ts timestamp, tsz timestamptz(3), iv interval, u uuid, by bytea, js json, jb jsonb, x xml,
 ip inet, ci cidr, ma macaddr, ma8 macaddr8, bi bit(5), vb varbit, mo money, oi oid, rc regclass, rp regprocedure, rt regtype, pt point,
 ln line, ls lseg, bx box, pa path, po polygon, ci2 circle, ts1 tsvector, tq tsquery, lsn pg_lsn, xi xid, snap txid_snapshot, jp jsonpath,
 e mood, co pair, ar int[], at text[], ab box[], r4 int4range, rn numrange, rts tstzrange, mr int4multirange, pr price, ad price[])`

const allRows = `INSERT INTO every VALUES
(1, -32768, 2147483647, 1.1, 0.1, 1.10, 1.5, true, E'tab\t nl\n cr\r bs\b ff\f vt\v back\\slash \\N \\. "q" ''s'' é😀', '', 'ab',
 'Name', 'x', '2024-02-29', '24:00:00', '12:00:00.5+05:30', '2024-01-01 00:00:00.000001', '2024-01-01 12:00:00.123456+05:45',
 '-1 year 2 days -00:00:00.000001', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '\x00ff5c0a', '{"a" : 1.0, "a":2}', '{"b":1.0,"a":[1e3]}', '<a>ü</a>',
 '10.0.0.1/8', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', B'10101', B'1', '1234.5', 4000000000,
 'public.every', 'pg_catalog.lower(text)', 'public.mood', '(1.5,2)', '{1,2,3}', '[(0,0),(1,1)]', '(2,2),(0,0)', '[(0,0),(1,1)]', '((0,0),(1,1),(1,0))',
 '<(0,0),2.5>', 'a:1 b', 'a & !b', '16/B374D848', '7', '10:20:10,14', '$.a[*]', E'it''s "fine"\\', '(1,"x ""y""")', '{{1,NULL},{3,4}}', '{a,"b c",NULL,"NULL",""}',
 '{(2,2),(0,0);(3,3),(1,1)}', '[1,5)', '(,1.50]', '[2024-01-01 12:00+05,infinity)', '{[1,3),[7,9)}', 12.3, '{1,2.50}'),
(2, NULL, NULL, 'NaN', '-Infinity', 'NaN', NULL, false, '', ' ', '', '', '', 'infinity', '00:00', '00:00+00', '-infinity', '0044-03-15 00:00:00+00 BC', '0',
 '00000000-0000-0000-0000-000000000000', '', 'null', 'null', '', '::1', '::/0', NULL, NULL, B'00000', B'', '-0.01', 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
 NULL, '', '', '0/0', NULL, NULL, '$', 'sad', '(,)', '{}', '{}', '{}', 'empty', '(,)', 'empty', '{}', 0, '{}'),
(3, NULL, NULL, 3.4028235e38, 5e-324, 'Infinity', -0.001, NULL, NULL, NULL, NULL, NULL, NULL, '0001-01-01 BC', NULL, NULL, '294276-12-31 23:59:59.999999', NULL,
 '178000000 years', NULL, repeat('ab', 3000)::bytea, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '4711', NULL, '4711', NULL, NULL, NULL, NULL, NULL, NULL,
 NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)`

// TestN8W14TextBySnapshotEqualsStream: each value has the same text by both
// ways, under settings that would bend it.
func TestN8W14TextBySnapshotEqualsStream(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	types, rows := allTypes, allRows
	if w.major() < 14 { // neither multiranges nor infinite numerics yet
		types = strings.Replace(types, "int4multirange", "text", 1)
		rows = strings.Replace(rows, "5e-324, 'Infinity'", "5e-324, 'NaN'", 1)
	}
	w.exec(types)
	w.publish()
	w.makeHostile()
	first := w.server()
	w.slot(first).Close(t.Context())
	w.exec(rows)
	st := w.stream(first)
	txs, rels := decode(t, st, func(x tx) bool { return len(x.rows) > 0 })
	byStream := txs[len(txs)-1].rows

	w.cfg.Slot += "b"
	second := w.server()
	k := w.keeper(second, w.slot(second))
	bySnapshot := w.snapshot(k, 0)["public.every"]
	if len(byStream) != 3 || !slices.Equal(byStream, bySnapshot) {
		t.Errorf("texts differ:\nstream   %v\nsnapshot %v", byStream, bySnapshot)
	}
	if !strings.Contains(byStream[0], `"2024-01-01 06:15:00.123+00"`) || !strings.Contains(byStream[0], `"public.every"`) {
		t.Errorf("settings are not pinned: %s", byStream[0])
	}
	// The catalog knows what the Relation message says, and more.
	rel, err := w.catalog(second).Resolve(t.Context(), message(rels["public.every"]))
	if err != nil {
		t.Fatalf("Resolve: %v", err)
	}
	col := func(name string) change.Column {
		i := slices.IndexFunc(rel.Columns, func(c change.Column) bool { return c.Name == name })
		return rel.Columns[i]
	}
	if c := col("pr"); c.Type != "numeric" || c.TypeKind != "b" || c.Typmod != 12<<16|2+4 {
		t.Errorf("domain over domain: %+v", c)
	}
	if c := col("e"); c.Type != "mood" || c.TypeKind != "e" {
		t.Errorf("enum: %+v", c)
	}
	if c := col("ar"); c.Type != "_int4" || c.NotNull {
		t.Errorf("array: %+v", c)
	}
	if !col("id").NotNull || !slices.Equal(rel.Keys, []int{0}) || rel.Identity != change.IdentityDefault {
		t.Errorf("key: %+v %v", col("id"), rel.Keys)
	}
}

// TestV3Boundary: visible in a slot's snapshot if and only if the transaction's
// end LSN is at or below the slot's consistent point.
func TestV3Boundary(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "CREATE TABLE t (id bigserial PRIMARY KEY, w int)")
	w.publish()
	observer := w.server()
	w.slot(observer).Close(t.Context())

	// Each slot lets this many writes go, so that the table stays small.
	const perSlot, slots = 150, 30
	var (
		wg      sync.WaitGroup
		written atomic.Int64
		tokens  = make(chan struct{}, perSlot*slots)
	)
	for i := range 4 {
		c, err := pgx.Connect(t.Context(), w.src.OwnerDSN())
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer c.Close(context.Background())
			for range tokens {
				if _, err := c.Exec(t.Context(), "INSERT INTO t (w) VALUES ($1)", i); err != nil {
					t.Errorf("writing: %v", err)
					return
				}
				written.Add(1)
			}
		})
	}
	type shot struct {
		x    pglogrepl.LSN
		seen map[string]bool
	}
	var shots []shot
	base := w.cfg.Slot
	for i := range slots {
		for range perSlot {
			tokens <- struct{}{}
		}
		w.cfg.Slot = fmt.Sprintf("%s_%d", base, i)
		s := w.server()
		sess, err := s.CreateSlot(t.Context())
		if err != nil {
			t.Fatalf("CreateSlot: %v", err)
		}
		k := w.keeper(s, sess)
		sess.Close(t.Context())
		sh := shot{x: sess.ConsistentPoint, seen: map[string]bool{}}
		for _, row := range w.snapshot(k, 256<<10)["public.t"] {
			sh.seen[row] = true
		}
		k.Close(t.Context())
		if err := s.DropSlot(t.Context()); err != nil {
			t.Fatalf("DropSlot: %v", err)
		}
		shots = append(shots, sh)
	}
	close(tokens)
	wg.Wait()
	w.exec("INSERT INTO t (w) VALUES (-1)")
	st := w.stream(observer)
	txs, _ := decode(t, st, func(x tx) bool { return len(x.rows) > 0 && strings.Contains(x.rows[0], `"-1"`) })
	// Before 15 transactions without a published change are sent empty.
	txs = slices.DeleteFunc(txs, func(x tx) bool { return len(x.rows) == 0 })
	if len(txs) < int(written.Load()) || written.Load() != perSlot*slots {
		t.Fatalf("%d transactions in the stream, %d written", len(txs), written.Load())
	}
	between := 0
	for _, sh := range shots {
		for _, x := range txs {
			if sh.seen[x.rows[0]] != (x.end <= sh.x) {
				t.Errorf("row %s with end LSN %s: visible %t at X %s", x.rows[0], x.end, sh.seen[x.rows[0]], sh.x)
			}
		}
		if n := len(sh.seen); n > 0 && n < len(txs) {
			between++
		}
	}
	if between < 20 {
		t.Errorf("only %d of %d slots were created among the writes", between, len(shots))
	}
}

func TestV1ChangedTableIsNotReadAsEmpty(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `CREATE TABLE rewritten (id int PRIMARY KEY, n int); CREATE TABLE truncated (id int PRIMARY KEY, n int);
		CREATE TABLE vacuumed (id int PRIMARY KEY, n int); CREATE TABLE dropped (id int PRIMARY KEY, n int);
		CREATE TABLE swapped (id int PRIMARY KEY, n int); CREATE TABLE again (id int PRIMARY KEY, n int);
		CREATE TABLE renamed (id int PRIMARY KEY, n int); CREATE TABLE leaf (id int, n int) PARTITION BY RANGE (id);
		CREATE TABLE leaf_1 PARTITION OF leaf FOR VALUES FROM (0) TO (100);
		CREATE TABLE grown (id int PRIMARY KEY, n int); CREATE TABLE detached (id int, n int) PARTITION BY RANGE (id);
		CREATE TABLE detached_1 PARTITION OF detached FOR VALUES FROM (0) TO (100);`)
	all := []string{"rewritten", "truncated", "vacuumed", "dropped", "swapped", "again", "renamed", "leaf", "grown", "detached"}
	for _, name := range all {
		w.exec("INSERT INTO " + name + " SELECT g, g FROM generate_series(1, 10) g")
	}
	w.publish()
	s := w.server()
	k := w.keeper(s, w.slot(s))
	tables, err := k.Tables(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(tables) != len(all) {
		t.Fatalf("%d tables", len(tables))
	}
	w.exec("ALTER TABLE rewritten ALTER n TYPE bigint")
	w.exec("TRUNCATE truncated")
	w.exec("VACUUM FULL vacuumed")
	w.exec("DROP TABLE dropped")
	w.exec("ALTER TABLE swapped RENAME n TO old; ALTER TABLE swapped ADD n int")
	w.exec("DROP TABLE again; CREATE TABLE again (id int PRIMARY KEY, n int)")
	w.exec("ALTER TABLE renamed RENAME TO other")
	w.exec("TRUNCATE leaf_1")
	w.exec("ALTER TABLE grown ADD extra int DEFAULT 7; DELETE FROM grown")
	w.exec("ALTER TABLE detached DETACH PARTITION detached_1")
	unchanged := map[string]bool{"grown": true, "detached": true}
	for i := range tables {
		parts, err := k.Parts(t.Context(), &tables[i], 0)
		if err != nil {
			t.Fatalf("Parts: %v", err)
		}
		for _, p := range parts {
			r, err := k.OpenReader(t.Context())
			if err != nil {
				t.Fatalf("OpenReader: %v", err)
			}
			rows, err := r.Read(t.Context(), &p, func(change.Tuple) error { return nil })
			r.Close(t.Context())
			var f *change.Fault
			switch {
			case unchanged[p.Relation.Name]:
				if err != nil || rows != 10 {
					t.Errorf("%s: %d rows, %v", &p, rows, err)
				}
			case !errors.Is(err, source.ErrRewritten) || !errors.As(err, &f) || f.Scope != change.ScopeTable || f.TableOID != p.Relation.OID:
				t.Errorf("%s: %d rows, error %v", &p, rows, err)
			}
		}
	}
}

// TestR6R7SnapshotEqualsStream: columns, generated ones left out, row filter,
// column list, partitions with differing attnums and exotic names.
func TestR6R7W15SnapshotEqualsStream(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `
CREATE TABLE gen (id int PRIMARY KEY, a int, g int GENERATED ALWAYS AS (a * 2) STORED, z text);
CREATE TABLE "we""ird. tab'le" ("Id" int PRIMARY KEY, "se lect" text, "ü.""x" int);
CREATE TABLE filtered (id int PRIMARY KEY, secret text, a int);
CREATE TABLE parent (id int PRIMARY KEY, v text);
CREATE TABLE child (extra int) INHERITS (parent); ALTER TABLE child ADD PRIMARY KEY (id);
CREATE TABLE part (gone int, id int, v text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
ALTER TABLE part DROP COLUMN gone;
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10);
CREATE TABLE part_2 (v text, junk int, id int NOT NULL); ALTER TABLE part_2 DROP COLUMN junk;
ALTER TABLE part ATTACH PARTITION part_2 FOR VALUES FROM (10) TO (20);
CREATE TABLE part_3 PARTITION OF part FOR VALUES FROM (20) TO (100) PARTITION BY RANGE (id);
CREATE TABLE part_3a PARTITION OF part_3 FOR VALUES FROM (20) TO (100);`)
	limited, rows := `filtered (id, a) WHERE (id % 2 = 0), part WHERE (id <> 13)`, 1+1+3+1+1+39
	if w.major() < 15 {
		limited, rows = "filtered, part", 1+1+6+1+1+40
	}
	w.admin(`CREATE PUBLICATION ` + w.src.Publication + ` FOR TABLE gen, "we""ird. tab'le", ONLY parent, child,
		` + limited + ` WITH (publish_via_partition_root = true)`)
	first := w.server()
	w.slot(first).Close(t.Context())
	w.exec("BEGIN")
	w.exec(`INSERT INTO gen (id, a, z) VALUES (1, 5, 'x')`)
	w.exec(`INSERT INTO "we""ird. tab'le" VALUES (1, 'a', 2)`)
	w.exec(`INSERT INTO filtered SELECT g, 'hush', g FROM generate_series(1, 6) g`)
	w.exec(`INSERT INTO parent VALUES (1, 'p'); INSERT INTO child VALUES (2, 'c', 3)`)
	w.exec(`INSERT INTO part (id, v) SELECT g, 'v' || g FROM generate_series(1, 40) g`)
	w.exec("COMMIT")
	txs, rels := decode(t, w.stream(first), func(x tx) bool { return len(x.rows) > 0 })
	byStream := slices.Sorted(slices.Values(txs[len(txs)-1].rows))

	w.cfg.Slot += "b"
	second := w.server()
	k := w.keeper(second, w.slot(second))
	var bySnapshot []string
	for _, rows := range w.snapshot(k, 8192) {
		bySnapshot = append(bySnapshot, rows...)
	}
	slices.Sort(bySnapshot)
	if len(byStream) != rows || !slices.Equal(byStream, bySnapshot) {
		t.Errorf("rows differ:\nstream   %v\nsnapshot %v", byStream, bySnapshot)
	}
	cat := w.catalog(second)
	for name, m := range rels {
		rel, err := cat.Resolve(t.Context(), message(m))
		switch {
		case strings.HasPrefix(name, "public.part_"): // announced, never used
			if !errors.Is(err, source.ErrPartition) {
				t.Errorf("Resolve %s: %v", name, err)
			}
		case err != nil:
			t.Errorf("Resolve %s: %v", name, err)
		case !rel.HasKey():
			t.Errorf("%s has no key", name)
		}
	}
	if got := slices.Sorted(maps.Keys(rels)); len(got) != 9 {
		t.Errorf("relations %v", got)
	}
	part, err := cat.Table(t.Context(), rels["public.part"].RelationID)
	if err != nil || len(part.Storage) != 3 || !part.Partitioned || part.Relation.Columns[0].Attnum != 2 {
		t.Errorf("part: %+v, %v", part, err)
	}
}

func TestPartsCoverTheTable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, repeat('x', 500) FROM generate_series(1, 2000) g")
	w.publish()
	s := w.server()
	k := w.keeper(s, w.slot(s))
	w.exec("DELETE FROM t WHERE id > 1000; INSERT INTO t SELECT g, repeat('y', 500) FROM generate_series(3000, 5000) g")
	tables, err := k.Tables(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	parts, err := k.Parts(t.Context(), &tables[0], 64<<10)
	if err == nil && w.major() < 14 && len(parts) == 1 {
		t.Skip("PostgreSQL 13 can't scan a range of pages")
	}
	if err != nil || len(parts) < 15 || parts[len(parts)-1].To != 0 {
		t.Fatalf("%d parts, %v", len(parts), err)
	}
	var (
		mu   sync.Mutex
		ids  = map[string]int{}
		wg   sync.WaitGroup
		next = make(chan source.Part, len(parts))
	)
	for _, p := range parts {
		next <- p
	}
	close(next)
	for range 3 {
		wg.Go(func() {
			r, err := k.OpenReader(t.Context())
			if err != nil {
				t.Errorf("OpenReader: %v", err)
				return
			}
			defer r.Close(context.Background())
			for p := range next {
				if _, err := r.Read(t.Context(), &p, func(tu change.Tuple) error {
					v, _ := tu.Next()
					mu.Lock()
					defer mu.Unlock()
					ids[string(v.Text)]++
					return nil
				}); err != nil {
					t.Errorf("Read %s: %v", &p, err)
				}
			}
		})
	}
	wg.Wait()
	if len(ids) != 2000 || ids["1"] != 1 || ids["2000"] != 1 {
		t.Errorf("%d distinct rows", len(ids))
	}
	if err := k.Alive(t.Context()); err != nil {
		t.Errorf("Alive: %v", err)
	}
	r, err := k.OpenReader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close(t.Context())
	stop := errors.New("stop")
	if _, err := r.Read(t.Context(), &parts[0], func(change.Tuple) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("error of the callback: %v", err)
	}
}

// TestMissingValues: what rows older than a column have, as text, box[] too,
// whose elements aren't separated by commas.
func TestMissingValues(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);
		ALTER TABLE t ADD a text DEFAULT 'it''s, {"x"}', ADD b int[] DEFAULT '{1,2}', ADD c box DEFAULT '(1,1),(0,0)',
		ADD d timestamptz DEFAULT '2024-01-01 00:00+00', ADD e int, ADD f text DEFAULT ''`)
	w.publish()
	w.makeHostile()
	cat := w.catalog(w.server())
	tables, err := cat.Tables(t.Context())
	if err != nil || len(tables) != 1 {
		t.Fatalf("Tables: %v, %v", tables, err)
	}
	want := map[string]string{"a": `it's, {"x"}`, "b": "{1,2}", "c": "(1,1),(0,0)", "d": "2024-01-01 00:00:00+00", "f": ""}
	for _, c := range tables[0].Relation.Columns {
		v, ok := want[c.Name]
		if (c.Missing != nil) != ok || ok && *c.Missing != v {
			t.Errorf("column %s: missing value %v", c.Name, c.Missing)
		}
	}
}

func TestResolveNoticesNewerCatalog(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "CREATE TABLE t (id int PRIMARY KEY, a varchar(5), b int)")
	w.publish()
	s := w.server()
	w.slot(s).Close(t.Context())
	w.exec("INSERT INTO t VALUES (1)")
	_, rels := decode(t, w.stream(s), func(x tx) bool { return len(x.rows) > 0 })
	cat := w.catalog(s)
	msg := message(rels["public.t"])
	if _, err := cat.Resolve(t.Context(), msg); err != nil {
		t.Fatalf("Resolve: %v", err)
	}
	for _, step := range []struct{ do, undo, want string }{
		{"ALTER TABLE t RENAME b TO c", "ALTER TABLE t RENAME c TO b", "named"},
		{"ALTER TABLE t ADD d int", "ALTER TABLE t DROP d", "columns"},
		{"ALTER TABLE t ALTER a TYPE varchar(9)", "ALTER TABLE t ALTER a TYPE varchar(5)", "modifier"},
		{"ALTER TABLE t ALTER b TYPE bigint", "ALTER TABLE t ALTER b TYPE int", "oid"},
		{"ALTER TABLE t REPLICA IDENTITY FULL", "ALTER TABLE t REPLICA IDENTITY DEFAULT", "identity"},
		{"ALTER TABLE t DROP CONSTRAINT t_pkey", "ALTER TABLE t ADD PRIMARY KEY (id)", "key"},
		{"ALTER TABLE t RENAME TO u", "ALTER TABLE u RENAME TO t", "named"},
	} {
		w.exec(step.do)
		_, err := cat.Resolve(t.Context(), msg)
		var d *source.CatalogDiffersError
		if !errors.As(err, &d) || !strings.Contains(d.Difference, step.want) || change.ScopeOf(err) != change.ScopeTable {
			t.Errorf("%s: %v", step.do, err)
		}
		w.exec(step.undo)
		if _, err := cat.Resolve(t.Context(), msg); err != nil {
			t.Errorf("%s: %v", step.undo, err)
		}
	}
}
