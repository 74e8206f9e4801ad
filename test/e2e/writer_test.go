package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walshift/walshift/test/world"
)

// loadDDL makes the tables that a writer writes: a number and a text key (so
// that MERGE and delete-insert both work), values that stay in TOAST, a table
// without a key, one that is emptied now and then.
const loadDDL = `
CREATE TABLE items (id bigint PRIMARY KEY, n int NOT NULL, name text, big text);
ALTER TABLE items ALTER COLUMN big SET STORAGE EXTERNAL;
CREATE TABLE pairs (a int NOT NULL, b text NOT NULL, note text, PRIMARY KEY (a, b));
CREATE TABLE events (at timestamptz, n bigint, what text);
CREATE TABLE scratch (id bigint PRIMARY KEY, v text);
INSERT INTO items SELECT i, 0, 'item '||i, repeat(md5(i::text), 120) FROM generate_series(1,150) i;
INSERT INTO pairs SELECT i, 'b'||i%7, NULL FROM generate_series(1,60) i;
INSERT INTO events SELECT now(), i, 'before' FROM generate_series(1,20) i;
INSERT INTO scratch SELECT -i, 'before' FROM generate_series(1,20) i;`

func loadTables() map[string]string {
	return map[string]string{"items": "id, n, name, big", "pairs": "a, b, note", "events": "at, n, what", "scratch": "id, v"}
}

// writer is one client of the source that writes without a rest. The same seed
// gives the same statements.
type writer struct {
	dsn string
	// begin comes first in each session.
	begin string
	// every is the pause between two transactions.
	every time.Duration
	// hardy writers connect again when the server goes away.
	hardy bool

	rng  *rand.Rand
	next int
	quit chan struct{}
	done chan error
	// committed counts transactions.
	committed atomic.Int64
}

// startWriter starts a writer on w's source. halt must be called.
func startWriter(t *testing.T, w *world.World, seed uint64, set ...func(*writer)) *writer {
	t.Helper()
	l := &writer{
		dsn: w.Source.OwnerDSN(), every: 12 * time.Millisecond, next: int(seed%1000+1) * 1_000_000,
		rng: rand.New(rand.NewPCG(seed, 1)), quit: make(chan struct{}), done: make(chan error, 1),
	}
	for _, f := range set {
		f(l)
	}
	ctx := context.WithoutCancel(t.Context())
	go func() { l.done <- l.run(ctx) }()
	t.Cleanup(func() { _ = l.end() })
	return l
}

// halt ends the writer; everything that it wrote is committed then.
func (l *writer) halt(t *testing.T) {
	t.Helper()
	if err := l.end(); err != nil {
		t.Fatalf("the writer ended: %v", err)
	}
}

func (l *writer) end() error {
	select {
	case <-l.quit:
		return nil
	default:
	}
	close(l.quit)
	return <-l.done
}

// until waits for so many more transactions.
func (l *writer) until(t *testing.T, more int64) {
	t.Helper()
	ctx := within(t, 30*time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for from := l.committed.Load(); l.committed.Load() < from+more; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("the writer committed %d of %d transactions", l.committed.Load()-from, more)
		}
	}
}

func (l *writer) run(ctx context.Context) error {
	tick := time.NewTicker(l.every)
	defer tick.Stop()
	var conn *pgconn.PgConn
	defer func() {
		if conn != nil {
			_ = conn.Close(ctx)
		}
	}()
	for {
		select {
		case <-l.quit:
			return nil
		case <-tick.C:
		}
		var err error
		if conn == nil {
			if conn, err = pgconn.Connect(ctx, l.dsn); err == nil && l.begin != "" {
				_, err = conn.Exec(ctx, l.begin).ReadAll()
			}
		}
		if err == nil {
			err = l.write(ctx, conn)
		}
		if err == nil {
			continue
		}
		if !l.hardy {
			return err
		}
		if conn != nil {
			_ = conn.Close(ctx)
		}
		conn = nil
	}
}

// write runs one transaction; a duplicate key only rolls it back.
func (l *writer) write(ctx context.Context, conn *pgconn.PgConn) error {
	_, err := conn.Exec(ctx, l.transaction()).ReadAll()
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "23505" {
		_, err = conn.Exec(ctx, "ROLLBACK").ReadAll()
		return err
	}
	if err == nil {
		l.committed.Add(1)
	}
	return err
}

func (l *writer) transaction() string {
	if l.rng.IntN(50) == 0 {
		return fmt.Sprintf("BEGIN; INSERT INTO scratch VALUES (%d, 'gone'); TRUNCATE scratch; INSERT INTO scratch VALUES (%d, 'first'); COMMIT", l.id(), l.id())
	}
	var b strings.Builder
	b.WriteString("BEGIN;")
	for range 1 + l.rng.IntN(4) {
		b.WriteString(l.statement())
		b.WriteString(";")
	}
	switch l.rng.IntN(25) {
	case 0:
		b.WriteString("ROLLBACK")
	case 1:
		fmt.Fprintf(&b, "SAVEPOINT a; DELETE FROM pairs; UPDATE items SET id = id + 7000000000; ROLLBACK TO a; %s; COMMIT", l.statement())
	default:
		b.WriteString("COMMIT")
	}
	return b.String()
}

func (l *writer) id() int {
	l.next++
	return l.next
}

// statement is one change. Where it needs a row it takes one that is there.
func (l *writer) statement() string {
	some := func(column, table string) string {
		return fmt.Sprintf("(SELECT %s FROM %s ORDER BY %s OFFSET %d LIMIT 1)", column, table, column, l.rng.IntN(60))
	}
	item, pair := some("id", "items"), some("a", "pairs")
	id, n := l.id(), l.rng.IntN(1000)
	switch l.rng.IntN(14) {
	case 0, 1: // big stays in TOAST
		return fmt.Sprintf("UPDATE items SET n = n + 1, name = 'kept %d' WHERE id = %s", n, item)
	case 2:
		return fmt.Sprintf("UPDATE items SET big = repeat('%d', 900) WHERE id = %s", 100+n%900, item)
	case 3:
		return fmt.Sprintf("INSERT INTO items VALUES (%d, %d, E'new \"%d\",\\n\\\\', repeat('x', %d))", id, n, n, 10*n)
	case 4:
		return "DELETE FROM items WHERE id = " + item
	case 5: // the key changes and big is kept
		return fmt.Sprintf("UPDATE items SET id = %d WHERE id = %s", id, item)
	case 6: // two rows swap their keys
		return fmt.Sprintf(`WITH k AS (SELECT min(id) lo, max(id) hi FROM items) UPDATE items SET id = %d FROM k WHERE id = k.hi;
			WITH k AS (SELECT min(id) lo FROM items) UPDATE items SET n = n + 1, id = %d FROM k WHERE id = k.lo`, id, l.id())
	case 7:
		return fmt.Sprintf("INSERT INTO pairs VALUES (%d, 'b%d ', NULL), (%d, '', 'n')", id, n, id)
	case 8:
		return fmt.Sprintf("UPDATE pairs SET note = 'n%d' WHERE a = %s", n, pair)
	case 9:
		return fmt.Sprintf("UPDATE pairs SET b = b || '!' WHERE a = %s", pair)
	case 10:
		return "DELETE FROM pairs WHERE a = " + pair
	case 11, 12:
		return fmt.Sprintf("INSERT INTO events VALUES (now(), %d, 'one'), (NULL, NULL, '')", id)
	}
	return fmt.Sprintf("INSERT INTO scratch VALUES (%d, 'v%d'), (%d, NULL); UPDATE scratch SET v = 'w' WHERE id = %d", id, n, l.id(), id)
}
