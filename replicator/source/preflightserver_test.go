package source_test

import (
	"strings"
	"testing"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/source"
	"github.com/walshift/walshift/test/cluster"
)

func preflight(t *testing.T, s *source.Server) *source.Plan {
	t.Helper()
	p, _ := s.Preflight(t.Context())
	if p == nil {
		t.Fatal("no plan")
	}
	return p
}

// wants checks a finding's level and text.
func wants(t *testing.T, p *source.Plan, id string, level change.Level, text string) {
	t.Helper()
	if got := findings(p.Findings.Of(level), id); !strings.Contains(got, text) || got == "" {
		t.Errorf("%s: want %s with %q, found %s", id, level, text, findings(p.Findings, id))
	}
}

// TestPreflightRetention: both ways to lose, on a server of its own.
func TestPreflightRetention(t *testing.T) {
	t.Parallel()
	started.Store(true)
	pg := cluster.RunPostgres(t, cluster.PostgresConfig{Settings: map[string]string{"max_slot_wal_keep_size": "64MB", "max_replication_slots": "1"}})
	w := newWorldOn(t, pg, "CREATE TABLE t (id int PRIMARY KEY)")
	w.publish()
	p := preflight(t, w.server())
	wants(t, p, "source.max_slot_wal_keep_size", change.LevelWarn, "64 MB: a short outage")
	wants(t, p, "source.max_replication_slots", change.LevelWarn, "SET max_replication_slots = 2;")
	wants(t, p, "source.slot", change.LevelPass, "doesn't exist yet")
	w.admin("ALTER SYSTEM SET max_slot_wal_keep_size = '20GB'")
	w.admin("SELECT pg_reload_conf()")
	w.admin("SELECT pg_create_logical_replication_slot('" + w.cfg.Slot + "', 'test_decoding')")
	p = preflight(t, w.server())
	wants(t, p, "source.max_slot_wal_keep_size", change.LevelPass, "20480 MB")
	wants(t, p, "source.slot", change.LevelFail, "test_decoding")
	if w.major() >= 18 {
		w.admin("ALTER SYSTEM SET idle_replication_slot_timeout = '1h'")
		w.admin("SELECT pg_reload_conf()")
		wants(t, preflight(t, w.server()), "source.idle_replication_slot_timeout", change.LevelWarn, "1h0m0s")
	}
}

// TestW13PreparedTransaction: what a new slot would wait for is named, with the
// statement that ends it.
func TestW13PreparedTransaction(t *testing.T) {
	t.Parallel()
	started.Store(true)
	pg := cluster.RunPostgres(t, cluster.PostgresConfig{})
	w := newWorldOn(t, pg, "CREATE TABLE t (id int PRIMARY KEY)")
	w.publish()
	wants(t, preflight(t, w.server()), "source.transactions", change.LevelPass, "none for long")
	w.exec("BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'it''s mine'")
	p := preflight(t, w.server())
	wants(t, p, "source.transactions", change.LevelWarn, `prepared transaction "it's mine"`)
	wants(t, p, "source.transactions", change.LevelWarn, "ROLLBACK PREPARED 'it''s mine'")
	w.exec("ROLLBACK PREPARED 'it''s mine'")
}

// TestT10Encoding: a database that can be converted is warned about and read
// right; one without an encoding is refused.
func TestT10Encoding(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "CREATE TABLE t (id int PRIMARY KEY)")
	for encoding, level := range map[string]change.Level{"LATIN1": change.LevelWarn, "SQL_ASCII": change.LevelFail} {
		db := w.src.Database + "_" + strings.ToLower(encoding)
		w.admin("CREATE DATABASE " + db + " TEMPLATE template0 ENCODING '" + encoding + "' LC_COLLATE 'C' LC_CTYPE 'C'")
		other := *w
		other.super = w.connect(strings.Replace(w.src.SuperuserDSN(), "/"+w.src.Database+"?", "/"+db+"?", 1))
		if got := other.text("SELECT current_database()"); got != db {
			t.Fatalf("connected to %s", got)
		}
		other.admin("SET client_encoding = 'UTF8'")
		other.admin("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'caf\u00e9')")
		other.admin("CREATE PUBLICATION " + w.src.Publication + " FOR TABLE t; GRANT SELECT ON t TO " + w.src.Replicator)
		other.cfg.DSN = strings.Replace(w.cfg.DSN, "/"+w.src.Database+"?", "/"+db+"?", 1)
		other.cfg.Slot = w.cfg.Slot + strings.ToLower(encoding)
		p := preflight(t, other.server())
		wants(t, p, "source.encoding", level, encoding)
		if (level == change.LevelFail) != (len(p.Problems) > 0) {
			t.Errorf("%s: %v", encoding, p.Problems)
		}
		if level == change.LevelFail {
			continue
		}
		s := other.server()
		k := other.keeper(s, other.slot(s))
		read := strings.Join(other.snapshot(k, 0)["public.t"], "")
		st := other.stream(s)
		other.admin("INSERT INTO t VALUES (2, 'caf\u00e9')")
		txs, _ := decode(t, st, func(x tx) bool { return len(x.rows) > 0 })
		if streamed := strings.Join(txs[len(txs)-1].rows, ""); !strings.Contains(read, "caf\u00e9") || !strings.Contains(streamed, "caf\u00e9") {
			t.Errorf("%s is read as %q and streamed as %q", encoding, read, streamed)
		}
	}
}

// TestSurveyObstacles: what may not be published, and the statement that helps.
func TestSurveyObstacles(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `CREATE TABLE fine (id int PRIMARY KEY); CREATE TABLE full_ (id int); ALTER TABLE full_ REPLICA IDENTITY FULL;
		CREATE TABLE nokey (id int); CREATE TABLE uniq (id int NOT NULL UNIQUE); CREATE UNLOGGED TABLE unlogged_ (id int PRIMARY KEY);
		CREATE TABLE nothing (id int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING;
		CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id);
		CREATE TABLE parts1 PARTITION OF parts FOR VALUES FROM (0) TO (9);
		CREATE TABLE odd (id int PRIMARY KEY, u int NOT NULL) PARTITION BY RANGE (id);
		CREATE TABLE odd1 PARTITION OF odd FOR VALUES FROM (0) TO (9); CREATE UNIQUE INDEX odd1_u ON odd1 (u);
		ALTER TABLE odd1 REPLICA IDENTITY USING INDEX odd1_u;
		CREATE TABLE homeless (id int) PARTITION BY RANGE (id); CREATE TABLE homeless1 PARTITION OF homeless FOR VALUES FROM (0) TO (9);`)
	w.publish("fine")
	found, pub, err := w.server().Survey(t.Context())
	if err != nil || !pub.Exists || !pub.Everything || !pub.ViaRoot || pub.AllTables {
		t.Fatalf("Survey: %+v, %v", pub, err)
	}
	want := map[string][2]string{
		"fine": {}, "full_": {}, "parts": {},
		"nokey":     {"no primary key", `ALTER TABLE "public"."nokey" ADD PRIMARY KEY (…);`},
		"uniq":      {"no primary key", `REPLICA IDENTITY USING INDEX "uniq_id_key";`},
		"unlogged_": {"unlogged", "SET LOGGED;"},
		"nothing":   {"NOTHING", "REPLICA IDENTITY DEFAULT;"},
		"odd":       {"public.odd1 has the replica identity (u), the table itself (id)", `"odd1" REPLICA IDENTITY DEFAULT;`},
		"homeless":  {"public.homeless1 has no primary key", `"homeless1" ADD PRIMARY KEY`},
	}
	for i := range found {
		c := &found[i]
		o, hindered := c.Obstacle()
		expected, ok := want[c.Name]
		delete(want, c.Name)
		if !ok || hindered != (expected[0] != "") || !strings.Contains(o.Reason, expected[0]) || !strings.Contains(o.Help, expected[1]) {
			t.Errorf("%s: %+v", c, o)
		}
		if c.Published != (c.Name == "fine") || c.Owner != w.src.Owner {
			t.Errorf("%+v", c)
		}
		// What may be published is proven by the application's own statements.
		if _, err := w.super.Exec(t.Context(), "CREATE PUBLICATION probe FOR TABLE "+c.SQL()); err != nil {
			if !hindered || o.Harms {
				t.Errorf("publishing %s: %v", c, err)
			}
			continue
		}
		_, err := w.owner.Exec(t.Context(), "INSERT INTO "+c.SQL()+" (id"+map[bool]string{true: ", u"}[c.Name == "odd"]+
			") VALUES (1"+map[bool]string{true: ", 1"}[c.Name == "odd"]+"); UPDATE "+c.SQL()+" SET id = 2; DELETE FROM "+c.SQL())
		if (err != nil) != o.Harms {
			t.Errorf("%s: harms is %t, the application's update says %v", c, o.Harms, err)
		}
		w.admin("DROP PUBLICATION probe")
	}
	if len(want) > 0 {
		t.Errorf("not found: %v", want)
	}
}
