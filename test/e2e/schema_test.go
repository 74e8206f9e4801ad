package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"

	"github.com/walshift/walshift/test/world"
)

// The catalog watch is tested by one story, which the tests below read: each
// kind of DDL that the stream does not show is run twice, on one table while the
// daemon runs and on another while it is down, beside DDL that must not stop
// anything. %[1]s is the table.

const (
	plainDDL = "CREATE TABLE %[1]s (id int PRIMARY KEY, n int, t text)"
	treeDDL  = `CREATE TABLE %[1]s (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
CREATE TABLE %[1]s_p1 PARTITION OF %[1]s FOR VALUES FROM (0) TO (100); CREATE TABLE %[1]s_p2 PARTITION OF %[1]s FOR VALUES FROM (100) TO (200)`
	enumDDL = "CREATE TYPE %[1]s_mood AS ENUM ('sad', 'ok'); CREATE TABLE %[1]s (id int PRIMARY KEY, m %[1]s_mood)"
	// spareDDL makes a table that can become a partition, and is not published.
	spareDDL = "CREATE TABLE spare.%[1]s_p3 (id int PRIMARY KEY, n int)"
)

// deed is a DDL with what it leads to.
type deed struct {
	create, ddl string
	dba         bool // the DBA's, not the application's
	want        string
}

func deeds() map[string]deed {
	return map[string]deed{
		"attached":  {create: treeDDL + "; " + spareDDL, ddl: "INSERT INTO spare.%[1]s_p3 VALUES (200, 1); ALTER TABLE %[1]s ATTACH PARTITION spare.%[1]s_p3 FOR VALUES FROM (200) TO (300)", want: "was attached: rows that it had before"},
		"detached":  {create: treeDDL, ddl: "ALTER TABLE %[1]s DETACH PARTITION %[1]s_p2", want: "was detached"},
		"cut":       {create: treeDDL, ddl: "TRUNCATE %[1]s_p2", want: "was replaced, by TRUNCATE, which is not in the stream"},
		"lost":      {create: treeDDL, ddl: "DROP TABLE %[1]s_p2", want: "was dropped: its rows are gone"},
		"defaulted": {create: plainDDL, ddl: "ALTER TABLE %[1]s ADD c int DEFAULT 5", want: `column "c" was added`},
		"widened":   {create: plainDDL, ddl: "ALTER TABLE %[1]s ADD c int", want: `column "c" was added`},
		"swapped":   {create: plainDDL, ddl: "ALTER TABLE %[1]s DROP t; ALTER TABLE %[1]s ADD t text", want: `column "t" (attnum 4) stands where "t" (attnum 3) was`},
		"renamed":   {create: plainDDL, ddl: "ALTER TABLE %[1]s RENAME n TO m", want: `column "n" was renamed to "m"`},
		"rewritten": {create: plainDDL, ddl: "ALTER TABLE %[1]s ALTER n TYPE int USING n * 100", want: `column "n" was rewritten, as by ALTER TABLE … TYPE … USING: rows changed without being in the stream`},
		"moody":     {create: enumDDL, ddl: "ALTER TYPE %[1]s_mood RENAME VALUE 'ok' TO 'fine'", want: "_mood was renamed"},
		"away":      {create: plainDDL, ddl: "ALTER PUBLICATION walshift_shop DROP TABLE %[1]s; INSERT INTO %[1]s VALUES (900); ALTER PUBLICATION walshift_shop ADD TABLE %[1]s", dba: true, want: "left publication"},
		"taken":     {create: plainDDL, ddl: "ALTER PUBLICATION walshift_shop DROP TABLE %[1]s", dba: true, want: "was taken out of publication"},
		"reborn":    {create: plainDDL, ddl: "DROP TABLE %[1]s; " + plainDDL, want: "was dropped and created again: its oid was"},

		"calm": {create: plainDDL + `; CREATE TYPE %[1]s_mood AS ENUM ('sad'); ALTER TABLE %[1]s ADD m %[1]s_mood`, ddl: `VACUUM FULL %[1]s; CLUSTER %[1]s USING %[1]s_pkey; ANALYZE %[1]s;
ALTER TABLE %[1]s ALTER n SET DEFAULT 9; CREATE INDEX ON %[1]s (n); ALTER TYPE %[1]s_mood ADD VALUE 'new'; ALTER TABLE %[1]s ALTER n SET STATISTICS 50`},
		"grown": {create: treeDDL + "; " + spareDDL, ddl: `VACUUM FULL %[1]s_p1; CREATE TABLE %[1]s_p4 PARTITION OF %[1]s FOR VALUES FROM (300) TO (400);
INSERT INTO %[1]s VALUES (300, 1); ALTER TABLE %[1]s ATTACH PARTITION spare.%[1]s_p3 FOR VALUES FROM (200) TO (300); INSERT INTO %[1]s VALUES (200, 1)`},
		"emptied": {create: treeDDL, ddl: "TRUNCATE %[1]s; INSERT INTO %[1]s VALUES (150, 1)"},
		"quiet":   {create: plainDDL, ddl: "UPDATE %[1]s SET n = n + 1; DELETE FROM %[1]s WHERE id = 3"},
	}
}

// The columns that all tables of a kind have.
func (d deed) columns() string {
	if strings.HasPrefix(d.create, treeDDL) {
		return "id, n"
	}
	return "id, n, t"
}

// story is what happened to the tables: reasons by table, "" for none.
type story struct {
	reasons  map[string]string
	differ   string // what of the harmless ones differs
	altered  map[string]string
	log      string
	newcomer bool
}

//nolint:gochecknoglobals // one story for the tests that read it
var told = sync.OnceValues(func() (s *story, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	var ddl strings.Builder
	ddl.WriteString("CREATE SCHEMA spare;\n")
	for name, d := range deeds() {
		for _, when := range []string{"_live", "_down"} {
			fmt.Fprintf(&ddl, d.create+";\n", name+when)
			if d.create != enumDDL {
				fmt.Fprintf(&ddl, "INSERT INTO %s SELECT i, i FROM generate_series(1, 199) i;\n", name+when)
			}
		}
	}
	w, err := world.Start(ctx, world.Config{DDL: ddl.String()})
	defer func() { err = errors.Join(err, w.Stop()) }()
	if err != nil {
		return nil, err
	}
	w.Sections["source"] = fmt.Sprintf("{dsn: %q, watch_interval: 200ms}", w.Source.ReplicatorDSN())
	if err := asDBA(ctx, w, "GRANT USAGE ON SCHEMA spare TO shop_repl; GRANT SELECT ON ALL TABLES IN SCHEMA spare TO shop_repl"); err != nil {
		return nil, err
	}
	s = &story{}
	return s, s.tell(ctx, w)
})

func (s *story) tell(ctx context.Context, w *world.World) error {
	d, err := w.Run(ctx)
	if err != nil {
		return err
	}
	defer func() { s.log += d.Log() }()
	if err := d.UntilStreaming(ctx); err != nil {
		return err
	}
	if err := perform(ctx, w, "_live"); err != nil {
		return err
	}
	if err := s.await(ctx, d, "_live"); err != nil {
		return err
	}
	if err := w.SQL(ctx, "CREATE TABLE newcomer (id int PRIMARY KEY)"); err != nil {
		return err
	}
	if err := asDBA(ctx, w, "ALTER PUBLICATION walshift_shop ADD TABLE newcomer"); err != nil {
		return err
	}
	if err := d.Until(ctx, "the new table is named", func(world.Status) bool {
		return strings.Contains(d.Log(), `"table_not_replicated"`) && strings.Contains(d.Log(), "public.newcomer")
	}); err != nil {
		return err
	}
	s.newcomer = true
	d.Kill()
	s.log = d.Log()
	if err := perform(ctx, w, "_down"); err != nil {
		return err
	}
	if d, err = w.Run(ctx); err != nil {
		return err
	}
	if err := s.await(ctx, d, "_down"); err != nil {
		return err
	}
	if err := s.compare(ctx, w, d); err != nil {
		return err
	}
	return s.alter(ctx, w, d)
}

// perform runs all deeds on the tables of one kind, each that should be noticed
// in one transaction, for a look in between would see less.
func perform(ctx context.Context, w *world.World, when string) error {
	for name, d := range deeds() {
		sql := fmt.Sprintf(d.ddl, name+when)
		var err error
		switch {
		case d.want == "": // VACUUM can't run in a transaction
			err = w.SQL(ctx, strings.Split(sql, ";")...)
		case d.dba:
			err = asDBA(ctx, w, sql)
		default:
			_, err = w.SourceSide().Rows(ctx, sql)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// asDBA runs statements in one transaction.

func asDBA(ctx context.Context, w *world.World, sql string) error {
	_, err := world.Side{DSN: w.Source.SuperuserDSN()}.Rows(ctx, sql)
	return err
}

// reasonsOf returns why tables are stopped.
func reasonsOf(st world.Status) map[string]string {
	out := map[string]string{}
	for _, t := range st.Tables {
		if t.State == "stopped" {
			out[strings.TrimPrefix(t.Name, "public.")] = t.Reason
		}
	}
	return out
}

// await waits until all tables of a kind have stopped that should.
func (s *story) await(ctx context.Context, d *world.Daemon, when string) error {
	return d.Until(ctx, "the tables of kind "+when+" have stopped", func(st world.Status) bool {
		s.reasons = reasonsOf(st)
		for name, d := range deeds() {
			if d.want != "" && s.reasons[name+when] == "" {
				return false
			}
		}
		return true
	})
}

// caughtUp waits until all that is committed is applied: with tables that are
// stopped `walshift wait` would refuse.
func caughtUp(ctx context.Context, w *world.World, d *world.Daemon) error {
	rows, err := world.Side{DSN: w.Source.SuperuserDSN()}.Rows(ctx, "SELECT pg_current_wal_insert_lsn()")
	if err != nil {
		return err
	}
	_, text, _ := strings.Cut(strings.TrimSuffix(rows[0], "|"), ":")
	end, err := pglogrepl.ParseLSN(text)
	if err != nil {
		return err
	}
	return d.Until(ctx, "all is applied", func(st world.Status) bool {
		at, err := pglogrepl.ParseLSN(st.Applied)
		return err == nil && at >= end
	})
}

// compare compares the tables that should not have stopped.
func (s *story) compare(ctx context.Context, w *world.World, d *world.Daemon) error {
	if err := w.SQL(ctx, "UPDATE quiet_live SET n = -1", "INSERT INTO calm_down (id, m) VALUES (500, 'new')", "DELETE FROM grown_down WHERE id = 50"); err != nil {
		return err
	}
	if err := caughtUp(ctx, w, d); err != nil {
		return err
	}
	for name, d := range deeds() {
		for _, when := range []string{"_live", "_down"} {
			if d.want != "" {
				continue
			}
			diff, err := w.Compare(ctx, name+when, d.columns())
			if err != nil {
				return err
			}
			if diff != "" {
				s.differ += name + when + ": " + diff + "\n"
			}
		}
	}
	return nil
}

// alter narrows the publication for a moment.
func (s *story) alter(ctx context.Context, w *world.World, d *world.Daemon) error {
	for _, sql := range []string{
		"ALTER PUBLICATION walshift_shop SET (publish = 'insert')",
		"ALTER PUBLICATION walshift_shop SET (publish = 'insert, update, delete, truncate')",
	} {
		if err := asDBA(ctx, w, sql); err != nil {
			return err
		}
	}
	return d.Until(ctx, "all tables have stopped", func(st world.Status) bool {
		s.altered = reasonsOf(st)
		return len(s.altered) == len(st.Tables)
	})
}

// stopped checks that the tables of deeds have stopped for their reasons.
func stopped(t *testing.T, names ...string) {
	t.Helper()
	t.Parallel()
	s, err := told()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		for _, when := range []string{"_live", "_down"} {
			reason := s.reasons[name+when]
			if want := deeds()[name].want; !strings.Contains(reason, want) {
				t.Errorf("%s is stopped for %q, want %q", name+when, reason, want)
			}
			if !strings.Contains(reason, "WS13") || !strings.Contains(reason, "remedy: ") {
				t.Errorf("%s: code or remedy is missing in %q", name+when, reason)
			}
		}
	}
}

func TestR8LeafAttachedDetachedTruncated(t *testing.T) { //nolint:paralleltest // stopped is parallel
	stopped(t, "attached", "detached", "cut")
}

func TestV13LeafTruncateThroughRoot(t *testing.T) { //nolint:paralleltest // stopped is parallel
	stopped(t, "cut", "lost")
}

func TestR9AddColumnDefault(t *testing.T) { stopped(t, "defaulted") } //nolint:paralleltest // stopped is parallel

func TestR10NewColumn(t *testing.T) { stopped(t, "widened") } //nolint:paralleltest // stopped is parallel

func TestR11DropAddRename(t *testing.T) { stopped(t, "swapped", "renamed") } //nolint:paralleltest // stopped is parallel

func TestV6InvisibleDDL(t *testing.T) { stopped(t, "rewritten", "moody") } //nolint:paralleltest // stopped is parallel

func TestW8CreatedAgain(t *testing.T) { stopped(t, "reborn") } //nolint:paralleltest // stopped is parallel

func TestS13TableLeavesPublication(t *testing.T) { stopped(t, "taken") } //nolint:paralleltest // stopped is parallel

// TestV7PublicationGoneForAWhile: a table that was out of the publication for a
// moment stops; a publication that was narrowed for a moment stops them all.
func TestV7PublicationGoneForAWhile(t *testing.T) { //nolint:paralleltest // stopped is parallel
	stopped(t, "away")
	s, err := told()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"calm_live", "grown_down", "quiet_live", "emptied_live"} {
		if got := s.altered[name]; !strings.Contains(got, "was altered: changes made meanwhile") {
			t.Errorf("%s is stopped for %q", name, got)
		}
	}
}

// TestHarmlessDDLStopsNothing: the tables that saw only that are exact, with the
// others stopped beside them; a new table in the publication is named.
func TestHarmlessDDLStopsNothing(t *testing.T) {
	t.Parallel()
	s, err := told()
	if err != nil {
		t.Fatal(err)
	}
	for table, reason := range s.reasons {
		name, _, _ := strings.Cut(table, "_")
		if deeds()[name].want == "" {
			t.Errorf("%s is stopped: %s", table, reason)
		}
	}
	if s.differ != "" {
		t.Error(s.differ)
	}
	if !s.newcomer || !slices.Contains(strings.Split(s.log, `"`), "table_not_replicated") {
		t.Error("the log does not name the new table")
	}
}
