package source_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/source"
	"github.com/walshift/walshift/test/cluster"
)

// shared is the server of all tests: each has a database of its own in it.
//
//nolint:gochecknoglobals // one server per test binary is the point
var shared = sync.OnceValues(func() (*cluster.Postgres, error) {
	return cluster.StartPostgres(context.Background(), cluster.PostgresConfig{Settings: map[string]string{
		"max_prepared_transactions": "10", "max_replication_slots": "60", "max_wal_senders": "60", "max_connections": "200",
	}})
})

//nolint:gochecknoglobals // numbers the databases and slots of tests
var serial atomic.Int64

func TestMain(m *testing.M) {
	code := m.Run()
	if started.Load() {
		if pg, err := shared(); err == nil {
			if err := pg.Stop(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
		}
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

//nolint:gochecknoglobals // so that short tests need no server
var started atomic.Bool

// world is one application's database with a least-privileged replicator.
type world struct {
	t     testing.TB
	src   *cluster.Source
	owner *pgx.Conn
	super *pgx.Conn
	cfg   source.Config
}

// newWorld creates a database with the tables of ddl, not yet published.
func newWorld(tb testing.TB, ddl string) *world {
	tb.Helper()
	started.Store(true)
	pg, err := shared()
	if err != nil {
		tb.Fatalf("starting PostgreSQL: %v", err)
	}
	return newWorldOn(tb, pg, ddl)
}

func newWorldOn(tb testing.TB, pg *cluster.Postgres, ddl string) *world {
	tb.Helper()
	n := serial.Add(1)
	src, err := pg.CreateSource(tb.Context(), cluster.SourceConfig{Database: fmt.Sprintf("db%d", n), DDL: ddl})
	if err != nil {
		tb.Fatalf("creating source: %v", err)
	}
	w := &world{t: tb, src: src}
	w.owner, w.super = w.connect(src.OwnerDSN()), w.connect(src.SuperuserDSN())
	w.cfg = source.Config{
		DSN: src.ReplicatorDSN(), Slot: fmt.Sprintf("slot%d", n), Publication: src.Publication,
		Include: []string{"public.*"},
	}
	tb.Cleanup(func() {
		ctx := context.Background()
		w.super.Exec(ctx, "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active AND database = current_database()")
		w.super.Exec(ctx, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database() AND NOT active")
	})
	return w
}

func (w *world) connect(dsn string) *pgx.Conn {
	w.t.Helper()
	c, err := pgx.Connect(w.t.Context(), dsn)
	if err != nil {
		w.t.Fatalf("connecting: %v", err)
	}
	w.t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

func (w *world) exec(sql string) {
	w.t.Helper()
	if _, err := w.owner.Exec(w.t.Context(), sql); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

func (w *world) admin(sql string) {
	w.t.Helper()
	if _, err := w.super.Exec(w.t.Context(), sql); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

// text returns the single value of a query, run as superuser.
func (w *world) text(sql string) string {
	w.t.Helper()
	var s string
	if err := w.super.QueryRow(w.t.Context(), sql).Scan(&s); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	return s
}

// major is the server's major version: the tests run against others than
// Debian's with WALSHIFT_PG_BIN.
func (w *world) major() int {
	w.t.Helper()
	n, err := strconv.Atoi(w.text("SELECT (current_setting('server_version_num')::int / 10000)::text"))
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (w *world) publish(tables ...string) {
	w.t.Helper()
	if err := w.src.Publish(w.t.Context(), tables...); err != nil {
		w.t.Fatalf("publishing: %v", err)
	}
}

func (w *world) server() *source.Server {
	w.t.Helper()
	s, err := source.New(w.cfg)
	if err != nil {
		w.t.Fatalf("New: %v", err)
	}
	return s
}

// slot creates the slot and closes its session at the test's end.
func (w *world) slot(s *source.Server) *source.SlotSession {
	w.t.Helper()
	sess, err := s.CreateSlot(w.t.Context())
	if err != nil {
		w.t.Fatalf("CreateSlot: %v", err)
	}
	w.t.Cleanup(func() { sess.Close(context.Background()) })
	return sess
}

func (w *world) keeper(s *source.Server, sess *source.SlotSession) *source.Keeper {
	w.t.Helper()
	k, err := s.OpenKeeper(w.t.Context(), sess)
	if err != nil {
		w.t.Fatalf("OpenKeeper: %v", err)
	}
	w.t.Cleanup(func() { k.Close(context.Background()) })
	return k
}

func (w *world) stream(s *source.Server) *source.Stream {
	w.t.Helper()
	st, err := s.StartStream(w.t.Context(), 0, false)
	if err != nil {
		w.t.Fatalf("StartStream: %v", err)
	}
	w.t.Cleanup(func() { st.Close(context.Background()) })
	return st
}

func (w *world) catalog(s *source.Server) *source.Catalog {
	w.t.Helper()
	c, err := s.OpenCatalog(w.t.Context())
	if err != nil {
		w.t.Fatalf("OpenCatalog: %v", err)
	}
	w.t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

// snapshot reads all published tables: rows as text by table name.
func (w *world) snapshot(k *source.Keeper, partBytes int64) map[string][]string {
	w.t.Helper()
	tables, err := k.Tables(w.t.Context())
	if err != nil {
		w.t.Fatalf("Tables: %v", err)
	}
	r, err := k.OpenReader(w.t.Context())
	if err != nil {
		w.t.Fatalf("OpenReader: %v", err)
	}
	defer r.Close(w.t.Context())
	out := map[string][]string{}
	for i := range tables {
		name := tables[i].Relation.String()
		parts, err := k.Parts(w.t.Context(), &tables[i], partBytes)
		if err != nil {
			w.t.Fatalf("Parts: %v", err)
		}
		for _, p := range parts {
			n, err := r.Read(w.t.Context(), &p, func(t change.Tuple) error {
				if err := t.Check(len(p.Relation.Columns)); err != nil {
					return err
				}
				out[name] = append(out[name], show(t))
				return nil
			})
			if err != nil {
				w.t.Fatalf("Read %s: %v", &p, err)
			}
			_ = n
		}
	}
	return out
}

// show makes a tuple readable and comparable.
func show(t change.Tuple) string {
	var b strings.Builder
	for _, v := range t.Values(nil) {
		switch v.Kind {
		case change.ValueText:
			fmt.Fprintf(&b, "%q|", v.Text)
		default:
			fmt.Fprintf(&b, "%c|", v.Kind)
		}
	}
	return b.String()
}

// tx is one transaction of the stream.
type tx struct {
	end  pglogrepl.LSN
	rows []string // inserted and updated images
}

// decode reads whole transactions until stop says enough, and all relation
// messages on the way.
func decode(tb testing.TB, st *source.Stream, stop func(tx) bool) (txs []tx, rels map[string]*pglogrepl.RelationMessage) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	rels = map[string]*pglogrepl.RelationMessage{}
	var cur tx
	for {
		ev, err := st.Next(ctx)
		if err != nil {
			tb.Fatalf("Next: %v", err)
		}
		if ev.Kind == source.Keepalive {
			if ev.ReplyRequested {
				if err := st.SendStatus(source.Status{}); err != nil {
					tb.Fatalf("SendStatus: %v", err)
				}
			}
			continue
		}
		msg, err := pglogrepl.Parse(ev.Data)
		if err != nil {
			tb.Fatalf("Parse: %v", err)
		}
		switch m := msg.(type) {
		case *pglogrepl.RelationMessage:
			rels[m.Namespace+"."+m.RelationName] = m
		case *pglogrepl.BeginMessage:
			cur = tx{}
		case *pglogrepl.InsertMessage:
			cur.rows = append(cur.rows, show(tupleOf(m.Tuple)))
		case *pglogrepl.UpdateMessage:
			cur.rows = append(cur.rows, show(tupleOf(m.NewTuple)))
		case *pglogrepl.CommitMessage:
			cur.end = m.TransactionEndLSN
			txs = append(txs, cur)
			if stop(cur) {
				return txs, rels
			}
		}
	}
}

func tupleOf(d *pglogrepl.TupleData) change.Tuple {
	var t []byte
	for _, c := range d.Columns {
		t = change.AppendValue(t, change.Value{Kind: c.DataType, Text: c.Data})
	}
	return t
}

// message turns a decoded Relation message into what Resolve takes.
func message(m *pglogrepl.RelationMessage) *source.RelationMessage {
	out := &source.RelationMessage{
		OID: m.RelationID, Schema: m.Namespace, Name: m.RelationName, Identity: change.Identity(m.ReplicaIdentity),
	}
	for _, c := range m.Columns {
		out.Columns = append(out.Columns, source.MessageColumn{
			Name: c.Name, TypeOID: c.DataType, Typmod: c.TypeModifier, Key: c.Flags&1 != 0,
		})
	}
	return out
}
