package e2e_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walshift/walshift/test/redshift"
	"github.com/walshift/walshift/test/world"
)

// TestRandomWorkload is promise P1 itself: one writer commits random
// transactions on random tables and notes after each commit where the log
// stands and what the tables hold; whatever applied LSN is then seen on the
// warehouse, the tables hold there what they held at the last commit at or
// below it, while the daemon is killed and the warehouse fails.
// WALSHIFT_SOAK_SECONDS says for how long, WALSHIFT_SEED repeats schema and
// statements.
func TestRandomWorkload(t *testing.T) { //nolint:tparallel // its rounds come one after the other
	t.Parallel()
	seconds := numberFrom(t, "WALSHIFT_SOAK_SECONDS", 60)
	seed := uint64(numberFrom(t, "WALSHIFT_SEED", int(time.Now().UnixNano()%1_000_000)))
	t.Logf("WALSHIFT_SEED=%d for %d s", seed, seconds)
	deadline := time.Now().Add(time.Duration(seconds) * time.Second)
	for round := 0; round == 0 || time.Now().Before(deadline); round++ {
		r := rand.New(rand.NewPCG(seed, uint64(round)))
		until := time.Now().Add(min(time.Until(deadline), 90*time.Second))
		t.Run(fmt.Sprintf("round_%d", round), func(t *testing.T) { randomRound(t, r, until) })
		if t.Failed() {
			return
		}
	}
}

// randomColumn is a column of a random table. literal draws a value as SQL.
type randomColumn struct {
	name, ddl string
	literal   func(r *rand.Rand) string
}

// randomTable is a table of a random schema; keys columns come first.
type randomTable struct {
	name    string
	keys    int
	columns []randomColumn
	// size is how many rows it should have about.
	size int
}

func quoted(v string) string { return "'" + strings.ReplaceAll(v, "'", "''") + "'" }

// awkward are texts that some step might take for something else.
func awkward(r *rand.Rand) string {
	return []string{
		"", " ", "a", "a ", "A", "\t", `\`, `\N`, `\\`, `"`, `""`, "'", ",", "null", "NULL", "~N", "é", "𝄞", "line\nbreak", "cr\r\n", "x,y", "0", "\u00a0",
	}[r.IntN(23)]
}

// kinds are the types of random columns; those before keyKinds may be keys.
const keyKinds = 8

func randomKind(r *rand.Rand, key bool) (ddl string, literal func(r *rand.Rand) string) {
	n := keyKinds
	if !key {
		n += 6
	}
	number := func(format string, limit int) func(r *rand.Rand) string {
		return func(r *rand.Rand) string { return fmt.Sprintf(format, r.IntN(limit)) }
	}
	switch r.IntN(n) {
	case 0:
		return "bigint", number("%d", 60)
	case 1:
		return "integer", func(r *rand.Rand) string { return fmt.Sprint(r.IntN(60) - 30) }
	case 2:
		return "text", func(r *rand.Rand) string { return quoted(awkward(r) + fmt.Sprint(r.IntN(4))[:r.IntN(2)]) }
	case 3:
		return "varchar(20)", func(r *rand.Rand) string { return quoted(awkward(r) + fmt.Sprint(r.IntN(9))) }
	case 4:
		return "uuid", number("md5('%d')::uuid", 60)
	case 5:
		return "date", number("date '2024-02-28' + %d", 60)
	case 6:
		return "numeric(12,3)", func(r *rand.Rand) string { return fmt.Sprintf("%d.%03d", r.IntN(20)-10, r.IntN(5)*125) }
	case 7:
		return "timestamptz", number("timestamptz '2024-03-31 01:59:58.999999+01' + %d * interval '1.000001 second'", 60)
	case 8:
		return "boolean", func(r *rand.Rand) string { return []string{"true", "false"}[r.IntN(2)] }
	case 9:
		return "double precision", func(r *rand.Rand) string { return []string{"0", "-0.1", "1e300", "3.5", "1e-7"}[r.IntN(5)] }
	case 10:
		return "timestamp", number("timestamp '0001-01-01 00:00:00' + %d * interval '100 days 1 microsecond'", 6000)
	case 11:
		return "smallint", number("%d", 30000)
	case 12:
		return "time", number("time '00:00:00' + %d * interval '1439.000001 second'", 60)
	}
	// Values that TOAST keeps out of line, so that updates don't send them.
	return "text", func(r *rand.Rand) string {
		return fmt.Sprintf("(SELECT string_agg(md5(i::text||'%d'), '') FROM generate_series(1, %d) i)", r.IntN(1000), 70+r.IntN(300))
	}
}

func randomSchema(r *rand.Rand) []*randomTable {
	var tables []*randomTable
	for i := range 3 + r.IntN(5) {
		t := &randomTable{name: fmt.Sprintf("t%d", i), size: 5 + r.IntN(40)}
		if r.IntN(6) > 0 {
			t.keys = 1 + r.IntN(2)
		}
		for c := range max(t.keys, 1) + 1 + r.IntN(6) {
			col := randomColumn{name: fmt.Sprintf("c%d", c)}
			col.ddl, col.literal = randomKind(r, c < t.keys)
			t.columns = append(t.columns, col)
		}
		tables = append(tables, t)
	}
	return tables
}

func (t *randomTable) ddl() string {
	var parts, keys []string
	for i, c := range t.columns {
		parts = append(parts, c.name+" "+c.ddl)
		if i < t.keys {
			keys = append(keys, c.name)
		}
	}
	if t.keys > 0 {
		parts = append(parts, "PRIMARY KEY ("+strings.Join(keys, ", ")+")")
	}
	text := fmt.Sprintf("CREATE TABLE %s (%s);\n", t.name, strings.Join(parts, ", "))
	for _, c := range t.columns {
		if c.ddl == "text" {
			text += fmt.Sprintf("ALTER TABLE %s ALTER %s SET STORAGE EXTERNAL;\n", t.name, c.name)
		}
	}
	return text
}

func (t *randomTable) list() string {
	var names []string
	for _, c := range t.columns {
		names = append(names, c.name)
	}
	return strings.Join(names, ", ")
}

func (t *randomTable) value(r *rand.Rand, c int) string {
	if c >= t.keys && r.IntN(5) == 0 {
		return "NULL"
	}
	return t.columns[c].literal(r)
}

// insert inserts rows whose keys may be there already.
func (t *randomTable) insert(r *rand.Rand) string {
	var rows []string
	for range 1 + r.IntN(4) {
		var values []string
		for c := range t.columns {
			values = append(values, t.value(r, c))
		}
		rows = append(rows, "("+strings.Join(values, ", ")+")")
	}
	text := fmt.Sprintf("INSERT INTO %s (%s) VALUES %s", t.name, t.list(), strings.Join(rows, ", "))
	if t.keys > 0 {
		text += " ON CONFLICT DO NOTHING"
	}
	return text
}

// row picks one row that is there, by its place.
func (t *randomTable) row(r *rand.Rand) string {
	return fmt.Sprintf("ctid = (SELECT ctid FROM %s ORDER BY c0, ctid OFFSET %d LIMIT 1)", t.name, r.IntN(t.size))
}

// statement draws one change. Every key column may change too, also to a key
// that another row has just left.
func (t *randomTable) statement(r *rand.Rand) string {
	if t.keys == 0 {
		return t.insert(r)
	}
	switch n := r.IntN(100); {
	case n < 30:
		return t.insert(r)
	case n < 55: // some of the other columns
		var set []string
		for c := t.keys; c < len(t.columns); c++ {
			if r.IntN(2) == 0 {
				set = append(set, t.columns[c].name+" = "+t.value(r, c))
			}
		}
		if len(set) == 0 {
			set = append(set, "c0 = c0")
		}
		return fmt.Sprintf("UPDATE %s SET %s WHERE %s", t.name, strings.Join(set, ", "), t.row(r))
	case n < 70:
		c := r.IntN(t.keys)
		return fmt.Sprintf("UPDATE %s SET %s = %s WHERE %s", t.name, t.columns[c].name, t.columns[c].literal(r), t.row(r))
	case n < 78:
		return t.swap(r)
	case n < 88:
		return fmt.Sprintf("DELETE FROM %s WHERE %s", t.name, t.row(r))
	case n < 92:
		return fmt.Sprintf("UPDATE %s SET c0 = c0 WHERE c0 IN (SELECT c0 FROM %s LIMIT %d)", t.name, t.name, 1+r.IntN(9))
	case n < 95:
		return fmt.Sprintf("DELETE FROM %s WHERE ctid IN (SELECT ctid FROM %s ORDER BY c0 LIMIT %d)", t.name, t.name, t.size/2)
	case n < 97:
		return "TRUNCATE " + t.name
	}
	return t.insert(r)
}

// swap lets two rows take each other's keys by way of a third.
func (t *randomTable) swap(r *rand.Rand) string {
	a := fmt.Sprintf("(SELECT c0 FROM %s ORDER BY c0 LIMIT 1)", t.name)
	b := fmt.Sprintf("(SELECT c0 FROM %s ORDER BY c0 DESC LIMIT 1)", t.name)
	if t.keys > 1 {
		return fmt.Sprintf("DELETE FROM %s WHERE c0 = %s", t.name, b)
	}
	return fmt.Sprintf(`CREATE TEMP TABLE swap ON COMMIT DROP AS SELECT %s AS a, %s AS b, %s AS free;
		UPDATE %s SET c0 = swap.free FROM swap WHERE c0 = swap.a AND swap.a <> swap.b;
		UPDATE %s SET c0 = swap.a FROM swap WHERE c0 = swap.b AND swap.a <> swap.b;
		UPDATE %s SET c0 = swap.b FROM swap WHERE c0 = swap.free AND swap.a <> swap.b; DROP TABLE swap`,
		a, b, t.columns[0].literal(r), t.name, t.name, t.name)
}

// commit is what the writer noted of one: it ended between from and to.
type commit struct {
	from, to pglogrepl.LSN
	tables   map[string][]string // rows as text, sorted
	script   string
}

// chronicle writes and remembers.
type chronicle struct {
	tables []*randomTable
	rng    *rand.Rand
	conn   *pgconn.PgConn

	mu      sync.Mutex
	commits []commit
	// compared, vague and distinct count sightings and the LSNs among them.
	compared, vague int
	distinct        map[pglogrepl.LSN]bool
}

func (o *chronicle) query(ctx context.Context, sql string) ([]*pgconn.Result, error) {
	return o.conn.Exec(ctx, sql).ReadAll()
}

func (o *chronicle) position(ctx context.Context) (pglogrepl.LSN, error) {
	res, err := o.query(ctx, "SELECT pg_current_wal_insert_lsn()")
	if err != nil {
		return 0, err
	}
	return pglogrepl.ParseLSN(string(res[0].Rows[0][0]))
}

// content reads a table as text: long values by their digest.
func content(res *pgconn.Result) []string {
	rows := make([]string, 0, len(res.Rows))
	for _, row := range res.Rows {
		var b strings.Builder
		for _, v := range row {
			switch {
			case v == nil:
				b.WriteString("∅|")
			case len(v) > 100:
				fmt.Fprintf(&b, "%d:%x|", len(v), sha256.Sum256(v))
			default:
				fmt.Fprintf(&b, "%d:%s|", len(v), v)
			}
		}
		rows = append(rows, b.String())
	}
	slices.Sort(rows)
	return rows
}

// step runs one random transaction and notes it, if it was committed.
func (o *chronicle) step(ctx context.Context) error {
	var script []string
	touched := make(map[string]*randomTable)
	draw := func() string {
		t := o.tables[o.rng.IntN(len(o.tables))]
		touched[t.name] = t
		return t.statement(o.rng)
	}
	script = append(script, "BEGIN")
	for range 1 + o.rng.IntN(6) {
		if o.rng.IntN(6) == 0 {
			script = append(script, "SAVEPOINT s", draw(), draw(), "ROLLBACK TO s")
		}
		script = append(script, draw())
	}
	if o.rng.IntN(12) == 0 {
		script = append(script, "SELECT pg_logical_emit_message(true, 'other', 'x')")
	}
	for _, sql := range script {
		if _, err := o.query(ctx, sql); err != nil {
			pg, ok := errors.AsType[*pgconn.PgError](err)
			if !ok || !strings.HasPrefix(pg.Code, "23") && pg.Code[:2] != "22" && pg.Code != "42P07" {
				return fmt.Errorf("%.200s: %w", sql, err)
			}
			_, err := o.query(ctx, "ROLLBACK")
			return err
		}
	}
	if o.rng.IntN(15) == 0 {
		_, err := o.query(ctx, "ROLLBACK")
		return err
	}
	from, err := o.position(ctx)
	if err != nil {
		return err
	}
	if _, err := o.query(ctx, "COMMIT"); err != nil {
		return err
	}
	to, err := o.position(ctx)
	if err != nil {
		return err
	}
	return o.note(ctx, from, to, touched, strings.Join(script, ";\n"))
}

func (o *chronicle) note(ctx context.Context, from, to pglogrepl.LSN, touched map[string]*randomTable, script string) error {
	c := commit{from: from, to: to, script: script}
	if n := len(o.commits); n > 0 {
		c.tables = maps.Clone(o.commits[n-1].tables)
	} else {
		c.tables = make(map[string][]string)
	}
	for name, t := range touched {
		res, err := o.query(ctx, "SELECT "+t.list()+" FROM "+name)
		if err != nil {
			return err
		}
		c.tables[name] = content(res[0])
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.commits = append(o.commits, c)
	return nil
}

// at returns the last commit at or below an applied LSN, and its place; vague
// says that the LSN lies where that commit may have ended or not.
func (o *chronicle) at(lsn pglogrepl.LSN) (i int, vague bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	i = sort.Search(len(o.commits), func(n int) bool { return o.commits[n].to > lsn })
	vague = i < len(o.commits) && o.commits[i].from < lsn
	return i - 1, vague
}

// look compares what the warehouse shows with the commit of its applied LSN.
func (o *chronicle) look(ctx context.Context, dsn string) (string, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return "", nil // the warehouse is being tormented: look again later
	}
	defer func() { _ = conn.Close(ctx) }()
	sql := "BEGIN; SELECT DISTINCT applied_lsn, state FROM walshift.freshness;"
	for _, t := range o.tables {
		sql += "SELECT " + t.list() + " FROM " + t.name + ";"
	}
	results, err := conn.PgConn().Exec(ctx, sql+"COMMIT").ReadAll()
	if err != nil || len(results) != len(o.tables)+3 {
		return "", nil
	}
	state := results[1].Rows
	if len(state) != 1 || string(state[0][1]) != "live" {
		return fmt.Sprintf("freshness shows %q", state), nil
	}
	lsn, err := pglogrepl.ParseLSN(string(state[0][0]))
	if err != nil {
		return "", err
	}
	i, vague := o.at(lsn)
	if o.distinct[lsn] || i < 0 {
		return "", nil
	}
	o.distinct[lsn] = true
	diff := o.compare(i, results[2:])
	if diff != "" && vague { // the LSN may be just the end of the next commit
		o.vague++
		diff = o.compare(i+1, results[2:])
	} else {
		o.compared++
	}
	if diff != "" {
		return fmt.Sprintf("at applied LSN %s, commit %d: %s", lsn, i, diff), nil
	}
	return "", nil
}

func (o *chronicle) compare(i int, results []*pgconn.Result) string {
	o.mu.Lock()
	want := o.commits[i].tables
	o.mu.Unlock()
	for n, t := range o.tables {
		if diff := world.Difference(slices.Clone(want[t.name]), content(results[n])); diff != "" {
			return "table " + t.name + ": " + diff
		}
	}
	return ""
}

// save writes schema and script to a file that outlives the test.
func (o *chronicle) save(t *testing.T) {
	t.Helper()
	var b strings.Builder
	for _, table := range o.tables {
		b.WriteString(table.ddl())
	}
	for i, c := range o.commits {
		fmt.Fprintf(&b, "-- commit %d, %s to %s\n%s;\nCOMMIT;\n", i, c.from, c.to, c.script)
	}
	path := filepath.Join(os.TempDir(), fmt.Sprintf("walshift-random-%d.sql", time.Now().UnixNano()))
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err == nil {
		t.Logf("schema and statements: %s", path)
	}
}

func randomRound(t *testing.T, r *rand.Rand, until time.Time) {
	t.Helper()
	o := &chronicle{tables: randomSchema(r), rng: r, distinct: make(map[pglogrepl.LSN]bool)}
	var ddl strings.Builder
	for _, table := range o.tables {
		ddl.WriteString(table.ddl())
	}
	faults := new(redshift.Injector)
	w := plainWorld(t, world.Config{DDL: ddl.String(), Standin: func(c *redshift.Config) { c.Faults = faults }})
	// One place for every decision that is not the writer's.
	c := rand.New(rand.NewPCG(r.Uint64(), 3))
	w.Sections["batch"] = fmt.Sprintf("{interval: %dms, max_age: 1s, max_bytes: %dMiB}", 100+c.IntN(600), 1+c.IntN(4))
	w.Sections["apply"] = fmt.Sprintf("{strategy: %s}", []string{"auto", "auto", "merge", "delete_insert"}[c.IntN(4)])
	w.Sections["limits"] = fmt.Sprintf("{memory: %dMiB}", 64<<c.IntN(3))
	ctx := t.Context()
	var err error
	if o.conn, err = pgconn.Connect(ctx, w.Source.OwnerDSN()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = o.conn.Close(context.WithoutCancel(ctx)) }()
	all := make(map[string]*randomTable)
	for _, table := range o.tables {
		all[table.name] = table
		for range table.size / 3 {
			if _, err := o.query(ctx, table.insert(r)); err != nil {
				t.Fatal(err)
			}
		}
	}
	here, err := o.position(ctx)
	if err == nil {
		err = o.note(ctx, here, here, all, "-- the first load")
	}
	if err != nil {
		t.Fatal(err)
	}
	d := streaming(t, w)
	if err := w.WaitApplied(ctx, time.Minute); err != nil {
		t.Fatal(err)
	}
	kills, last := 0, time.Now()
	for time.Now().Before(until) {
		for range 1 + c.IntN(25) {
			if err := o.step(ctx); err != nil {
				o.save(t)
				t.Fatal(err)
			}
		}
		torment(c, faults)
		if time.Since(last) > 4*time.Second && c.IntN(6) == 0 {
			d.Kill()
			d, last = startDaemon(t, w), time.Now()
			kills++
		}
		diff, err := o.look(ctx, w.TargetDSN())
		if err != nil {
			t.Fatal(err)
		}
		if diff != "" {
			o.save(t)
			t.Fatalf("%s\n%s", diff, d.LogTail(20))
		}
	}
	faults.Clear()
	if err := w.WaitApplied(ctx, 2*time.Minute); err != nil {
		o.save(t)
		t.Fatal(err)
	}
	if diff, err := o.look(ctx, w.TargetDSN()); err != nil || diff != "" {
		o.save(t)
		t.Fatalf("at the end: %s %v", diff, err)
	}
	check := make(map[string]string)
	for _, table := range o.tables {
		check[table.name] = table.list()
	}
	compare(t, w, check)
	t.Logf("%d commits in %d tables, %d kills: %d applied positions seen, %d compared with one commit, %d with one of two",
		len(o.commits), len(o.tables), kills, len(o.distinct), o.compared, o.vague)
	if 10*o.compared < 9*len(o.distinct) {
		t.Errorf("only %d of %d applied positions compared", o.compared, len(o.distinct))
	}
	d.Kill()
}

// torment arms a fault of the warehouse now and then.
func torment(r *rand.Rand, faults *redshift.Injector) {
	name := "random"
	faults.Remove(name)
	switch r.IntN(12) {
	case 0:
		faults.Add(redshift.Fault{Name: name, At: redshift.BeforeCommit, Do: redshift.Serialization, Match: "fence_"})
	case 1:
		faults.Add(redshift.Fault{Name: name, At: redshift.BeforeCommit, Do: redshift.Cut, Match: "fence_"})
	case 2:
		faults.Add(redshift.Fault{Name: name, At: redshift.AfterCommit, Do: redshift.Cut, Match: "fence_"})
	case 3:
		faults.Add(redshift.Fault{Name: name, At: redshift.AfterStatement, Do: redshift.Cut, Match: "stg_"})
	case 4:
		faults.Add(redshift.Fault{Name: name, At: redshift.BeforeStatement, Do: redshift.Deadlock, Match: "positions_"})
	}
}
