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
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walshift/walshift/test/redshift"
	"github.com/walshift/walshift/test/world"
)

// commit is what the writer noted of one: it ended between from and to.
type commit struct {
	from, to pglogrepl.LSN
	tables   map[string][]string // rows as text, sorted
	script   []string
}

// sighting is what the warehouse held at an applied LSN.
type sighting struct {
	lsn    pglogrepl.LSN
	state  string
	tables [][]string
}

// chronicle writes and remembers, and compares what the warehouse showed with
// what it remembers.
type chronicle struct {
	tables []*randomTable
	rng    *rand.Rand
	conn   *pgconn.PgConn
	// commits are the writer's alone, in order.
	commits []commit

	mu sync.Mutex
	// fenced are the sessions of the warehouse whose transaction holds the
	// fence; applied counts their commits, missed those that were not seen.
	fenced          map[int]bool
	applied, missed int
	seen            []sighting
	last            pglogrepl.LSN

	// compared, vague and quiet count sightings: of one commit, of one of two,
	// and of an LSN that was seen already.
	compared, vague, quiet int
	live                   bool // the first load was seen to be complete
}

func newChronicle(tables []*randomTable, r *rand.Rand) *chronicle {
	return &chronicle{tables: tables, rng: r, fenced: make(map[int]bool)}
}

func query(ctx context.Context, conn *pgconn.PgConn, sql string) ([]*pgconn.Result, error) {
	return conn.Exec(ctx, sql).ReadAll()
}

func (o *chronicle) position(ctx context.Context) (pglogrepl.LSN, error) {
	res, err := query(ctx, o.conn, "SELECT pg_current_wal_insert_lsn()")
	if err != nil {
		return 0, err
	}
	return pglogrepl.ParseLSN(string(res[0].Rows[0][0]))
}

// content reads a table as text: long values by their digest.
func (t *randomTable) content(res *pgconn.Result) []string {
	rows := make([]string, 0, len(res.Rows))
	for _, row := range res.Rows {
		var b strings.Builder
		for i, v := range row {
			if v == nil {
				b.WriteString("∅|")
				continue
			}
			text := string(v)
			if canon := t.columns[i].canon; canon != nil {
				text = canon(text)
			}
			if len(text) > 100 {
				text = fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
			}
			fmt.Fprintf(&b, "%d:%s|", len(text), text)
		}
		rows = append(rows, b.String())
	}
	slices.Sort(rows)
	return rows
}

// play runs a transaction up to its COMMIT, and reports whether it is open
// still: a statement that the tables' constraints refuse ends it.
func play(ctx context.Context, conn *pgconn.PgConn, script []string) (bool, error) {
	for _, sql := range script {
		if _, err := query(ctx, conn, sql); err != nil {
			pg, ok := errors.AsType[*pgconn.PgError](err)
			if !ok || !strings.HasPrefix(pg.Code, "23") && pg.Code[:2] != "22" && pg.Code != "42P07" && pg.Code[:2] != "40" {
				return false, fmt.Errorf("%.300s: %w", sql, err)
			}
			_, err := query(ctx, conn, "ROLLBACK")
			return false, err
		}
	}
	return true, nil
}

// step runs one random transaction and notes it, if it was committed.
func (o *chronicle) step(ctx context.Context) error {
	script := transaction(o.rng, o.tables)
	if o.rng.IntN(15) == 0 {
		script = append(script, "ROLLBACK", "BEGIN")
	}
	open, err := play(ctx, o.conn, script)
	if err != nil || !open {
		return err
	}
	return o.commit(ctx, script)
}

func (o *chronicle) commit(ctx context.Context, script []string) error {
	from, err := o.position(ctx)
	if err != nil {
		return err
	}
	if _, err := query(ctx, o.conn, "COMMIT"); err != nil {
		return err
	}
	to, err := o.position(ctx)
	if err != nil {
		return err
	}
	return o.note(ctx, from, to, script)
}

// note remembers what the tables hold now; those that the script doesn't name
// hold what they held.
func (o *chronicle) note(ctx context.Context, from, to pglogrepl.LSN, script []string) error {
	c := commit{from: from, to: to, script: script, tables: make(map[string][]string)}
	if n := len(o.commits); n > 0 {
		c.tables = maps.Clone(o.commits[n-1].tables)
	}
	text := strings.Join(script, ";")
	for _, t := range o.tables {
		if c.tables[t.name] != nil && !strings.Contains(text, t.name) {
			continue
		}
		res, err := query(ctx, o.conn, "SELECT "+t.list(false)+" FROM "+t.name)
		if err != nil {
			return err
		}
		c.tables[t.name] = t.content(res[0])
	}
	o.commits = append(o.commits, c)
	return nil
}

// fill writes the rows that the first load finds: random ones, if none are
// given.
func (o *chronicle) fill(ctx context.Context, script []string) error {
	if script == nil {
		for _, t := range o.tables {
			for range t.size / 3 {
				script = append(script, t.insert(o.rng))
			}
		}
	}
	for _, sql := range script {
		if _, err := query(ctx, o.conn, sql); err != nil {
			return fmt.Errorf("%.300s: %w", sql, err)
		}
	}
	here, err := o.position(ctx)
	if err != nil {
		return err
	}
	return o.note(ctx, here, here, script)
}

// watch is called by the stand-in after each statement: when a transaction that
// held the fence commits, it looks before the daemon may go on. dsn is asked for
// late, for the server has no address when it is configured.
func (o *chronicle) watch(ctx context.Context, s redshift.Statement, dsn func() string) {
	if !o.moved(s) {
		return
	}
	seen := o.look(ctx, dsn()) // its own statements come here too
	o.mu.Lock()
	defer o.mu.Unlock()
	o.applied++
	switch {
	case seen == nil:
		o.missed++
	case seen.lsn == o.last:
		o.quiet++ // a fenced transaction that moved no position
	default:
		o.last = seen.lsn
		o.seen = append(o.seen, *seen)
	}
}

// moved reports whether a statement has committed a transaction with the fence.
func (o *chronicle) moved(s redshift.Statement) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case strings.Contains(s.SQL, "LOCK") && strings.Contains(s.SQL, "fence_"):
		o.fenced[s.Session] = true
	case s.Kind == "COMMIT" && o.fenced[s.Session]:
		delete(o.fenced, s.Session)
		return s.Error == ""
	case s.Kind == "ROLLBACK":
		delete(o.fenced, s.Session)
	}
	return false
}

// look reads what the warehouse holds now; nil if it can't.
func (o *chronicle) look(ctx context.Context, dsn string) *sighting {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	conn, err := pgconn.Connect(ctx, dsn)
	if err != nil {
		return nil // the warehouse is being tormented
	}
	defer func() { _ = conn.Close(ctx) }()
	sql := "BEGIN; SELECT DISTINCT applied_lsn, state FROM walshift.freshness;"
	for _, t := range o.tables {
		sql += "SELECT " + t.list(true) + " FROM " + t.name + ";"
	}
	results, err := query(ctx, conn, sql+"COMMIT")
	if err != nil || len(results) != len(o.tables)+3 {
		if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "42P01" {
			return new(sighting) // the first load has not come to all tables
		}
		return nil
	}
	s := &sighting{}
	for _, row := range results[1].Rows {
		s.state += string(row[1])
		if s.lsn, err = pglogrepl.ParseLSN(string(row[0])); err != nil {
			s.state += err.Error()
		}
	}
	for i, t := range o.tables {
		s.tables = append(s.tables, t.content(results[i+2]))
	}
	return s
}

// at returns the place of the last commit at or below an applied LSN; vague
// says that the LSN lies where the next one may have ended or not.
func (o *chronicle) at(lsn pglogrepl.LSN) (i int, vague bool) {
	i = sort.Search(len(o.commits), func(n int) bool { return o.commits[n].to > lsn })
	return i - 1, i < len(o.commits) && o.commits[i].from < lsn
}

// judge compares all that was seen with the commits: call it between steps,
// when every commit is noted. It returns the first difference.
func (o *chronicle) judge() string {
	o.mu.Lock()
	seen := o.seen
	o.seen = nil
	o.mu.Unlock()
	for _, s := range seen {
		if s.state != "live" {
			if !o.live {
				o.quiet++ // the first load is going on
				continue
			}
			return fmt.Sprintf("at applied LSN %s freshness shows %q", s.lsn, s.state)
		}
		o.live = true
		i, vague := o.at(s.lsn)
		if i < 0 {
			o.quiet++
			continue
		}
		diff := o.compare(i, &s)
		if diff != "" && vague { // the LSN may be just the end of the next commit
			o.vague++
			diff = o.compare(i+1, &s)
		} else {
			o.compared++
		}
		if diff != "" {
			return fmt.Sprintf("at applied LSN %s, commit %d: %s", s.lsn, i, diff)
		}
	}
	return ""
}

func (o *chronicle) compare(i int, s *sighting) string {
	for n, t := range o.tables {
		if diff := world.Difference(slices.Clone(o.commits[i].tables[t.name]), slices.Clone(s.tables[n])); diff != "" {
			return "table " + t.name + ": " + diff
		}
	}
	return ""
}

// ddl is the schema as a script.
func ddl(tables []*randomTable) string {
	var b strings.Builder
	b.WriteString(randomDDL)
	for _, t := range tables {
		b.WriteString(t.ddl())
	}
	return b.String()
}

// save writes schema and script to a file that outlives the test.
func save(t *testing.T, tables []*randomTable, commits []commit) {
	t.Helper()
	var b strings.Builder
	b.WriteString(ddl(tables))
	for i, c := range commits {
		fmt.Fprintf(&b, "-- commit %d, %s to %s\n%s;\nCOMMIT;\n", i, c.from, c.to, strings.Join(c.script, ";\n"))
	}
	path := filepath.Join(os.TempDir(), fmt.Sprintf("walshift-random-%d.sql", time.Now().UnixNano()))
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err == nil {
		t.Logf("schema and statements: %s", path)
	}
}
