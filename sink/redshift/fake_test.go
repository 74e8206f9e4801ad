package redshift_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// reply is what the fake answers to one statement.
type reply struct {
	rows [][]string // results, all as text
	tag  string
	n    int64
	// code and message make it an error; cut closes the connection instead.
	code, message string
	cut           bool
}

// fake is a server that knows walshift's statements by heart: enough of
// Redshift to look at the order of statements and to lose answers. What the
// statements mean is tested against the stand-in (test/redshift).
type fake struct {
	t  *testing.T
	ln net.Listener

	mu         sync.Mutex
	log        []string
	startups   []map[string]string
	fence      fakeFence
	positions  [][]string
	loadErrors [][]string
	relations  [][]string
	manifests  map[string][]change.File
	records    map[string]string // of data files, by key
	put        []string          // records put together
	copied     int64
	sessions   [][]string
	conns      map[net.Conn]bool
	pids       int
	// answer may answer a statement in the fake's place.
	answer func(sql string) (reply, bool)
}

type fakeFence struct{ epoch, seq, txn, lsn string }

func newFake(t *testing.T) *fake {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{
		t: t, ln: ln, conns: make(map[net.Conn]bool), manifests: make(map[string][]change.File),
		records: make(map[string]string),
		fence:   fakeFence{"3", "7", "start", "0/700"},
		relations: [][]string{
			{"walshift", "fence_shop", "r"}, {"walshift", "positions_shop", "r"}, {"walshift", "incidents_shop", "r"}, {"walshift", "acks_shop", "r"},
		},
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			f.mu.Lock()
			f.conns[c] = true
			f.mu.Unlock()
			wg.Go(func() { f.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		f.cutAll()
		wg.Wait()
	})
	return f
}

// cutAll closes all connections, as a firewall does.
func (f *fake) cutAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		_ = c.Close()
		delete(f.conns, c)
	}
}

func (f *fake) dsn() string {
	return fmt.Sprintf("postgres://loader:hunter2@%s/dev?sslmode=disable", f.ln.Addr())
}

// ReadRecords implements redshift.Files. Files without records are too large,
// so that they go by themselves.
func (f *fake) ReadRecords(_ context.Context, file *change.File, _ int64) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if records, ok := f.records[file.Key]; ok {
		return []byte(records), nil
	}
	return nil, change.ErrTooLarge
}

// OpenRecords implements redshift.Files.
func (f *fake) OpenRecords(_ context.Context, file *change.File) (io.ReadCloser, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return io.NopCloser(strings.NewReader(f.records[file.Key])), nil
}

// PutRecords implements redshift.Files.
func (f *fake) PutRecords(_ context.Context, name, marker string, rows int64, records []byte) (change.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.put = append(f.put, string(records))
	return change.File{Key: "copy/" + name, Rows: rows, NullMarker: marker, Compression: "zstd", Bytes: int64(len(records))}, nil
}

// PutCopyManifest implements redshift.Files.
func (f *fake) PutCopyManifest(_ context.Context, name string, files []change.File) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	url := "s3://bucket/" + name
	if f.manifests[url] != nil {
		return "", errors.New("manifest written twice")
	}
	f.manifests[url] = files
	return url, nil
}

// warehouse returns a Warehouse on the fake.
func (f *fake) warehouse(adjust func(c *redshift.Config)) *redshift.Warehouse {
	f.t.Helper()
	cfg := redshift.DefaultConfig()
	cfg.DSN, cfg.IAMRole, cfg.Pipeline = f.dsn(), "arn:aws:iam::123456789012:role/loader", "shop"
	cfg.StagingSessions = 1 // one order of statements
	if adjust != nil {
		adjust(&cfg)
	}
	w, err := redshift.New(cfg, f, zap.NewNop())
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { w.Close(context.WithoutCancel(f.t.Context())) })
	return w
}

func (f *fake) serve(c net.Conn) {
	defer c.Close()
	b := pgproto3.NewBackend(c, c)
	start, err := b.ReceiveStartupMessage()
	if err != nil {
		return
	}
	f.mu.Lock()
	if m, ok := start.(*pgproto3.StartupMessage); ok {
		f.startups = append(f.startups, m.Parameters)
	}
	f.pids++
	s := &fakeSession{f: f, b: b, pid: 100 + f.pids, status: 'I'}
	f.mu.Unlock()
	b.Send(&pgproto3.AuthenticationOk{})
	b.Send(&pgproto3.ParameterStatus{Name: "server_version", Value: "8.0.2"})
	b.Send(&pgproto3.BackendKeyData{ProcessID: uint32(s.pid), SecretKey: []byte{0, 0, 0, 1}})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	for b.Flush() == nil && s.next() {
	}
}

type fakeSession struct {
	f      *fake
	b      *pgproto3.Backend
	pid    int
	status byte
	sql    string
	saved  *fakeFence
}

// next answers one message; false ends the connection.
func (s *fakeSession) next() bool {
	m, err := s.b.Receive()
	if err != nil {
		return false
	}
	switch m := m.(type) {
	case *pgproto3.Query:
		ok := s.run(m.String, true)
		s.b.Send(&pgproto3.ReadyForQuery{TxStatus: s.status})
		return ok
	case *pgproto3.Parse:
		s.sql = m.Query
		s.b.Send(&pgproto3.ParseComplete{})
	case *pgproto3.Bind:
		s.b.Send(&pgproto3.BindComplete{})
	case *pgproto3.Describe:
	case *pgproto3.Execute:
		return s.run(s.sql, true)
	case *pgproto3.Sync:
		s.b.Send(&pgproto3.ReadyForQuery{TxStatus: s.status})
	case *pgproto3.Terminate:
		return false
	}
	return true
}

func (s *fakeSession) run(sql string, describe bool) bool {
	s.f.mu.Lock()
	label, sql, ok := strings.Cut(sql, " */ ")
	if !ok || !strings.HasPrefix(label, "/* walshift/shop: ") {
		s.f.t.Errorf("statement without a label: %s", label)
	}
	r := s.execute(sql)
	s.f.mu.Unlock()
	if r.cut {
		return false
	}
	if r.code != "" {
		if s.status == 'T' {
			s.status = 'E'
		}
		s.b.Send(&pgproto3.ErrorResponse{Severity: "ERROR", Code: r.code, Message: r.message})
		return true
	}
	if len(r.rows) > 0 || r.tag == "SELECT" {
		if describe {
			d := &pgproto3.RowDescription{}
			width := 1
			if len(r.rows) > 0 {
				width = len(r.rows[0])
			}
			for range width {
				d.Fields = append(d.Fields, pgproto3.FieldDescription{Name: []byte("c"), DataTypeOID: 25, DataTypeSize: -1})
			}
			s.b.Send(d)
		}
		for _, row := range r.rows {
			d := &pgproto3.DataRow{}
			for _, v := range row {
				if v == "<null>" {
					d.Values = append(d.Values, nil)
				} else {
					d.Values = append(d.Values, []byte(v))
				}
			}
			s.b.Send(d)
		}
		s.b.Send(&pgproto3.CommandComplete{CommandTag: fmt.Appendf(nil, "SELECT %d", len(r.rows))})
		return true
	}
	tag := r.tag
	if r.n >= 0 && (tag == "UPDATE" || tag == "DELETE") {
		tag = fmt.Sprintf("%s %d", tag, r.n)
	}
	if tag == "INSERT" {
		tag = fmt.Sprintf("INSERT 0 %d", r.n)
	}
	s.b.Send(&pgproto3.CommandComplete{CommandTag: []byte(tag)})
	return true
}

// execute answers a statement; f.mu is held.
func (s *fakeSession) execute(sql string) reply {
	f := s.f
	f.log = append(f.log, fmt.Sprintf("%d: %s", s.pid-100, sql))
	if f.answer != nil {
		if r, ok := f.answer(sql); ok {
			return r
		}
	}
	has := func(prefix string) bool { return strings.HasPrefix(sql, prefix) }
	one := func(v string) reply { return reply{rows: [][]string{{v}}} }
	switch {
	case has("BEGIN"):
		s.status, s.saved = 'T', &fakeFence{}
		*s.saved = f.fence
		return reply{tag: "BEGIN"}
	case has("ROLLBACK"):
		if s.saved != nil {
			f.fence, s.saved = *s.saved, nil
		}
		s.status = 'I'
		return reply{tag: "ROLLBACK"}
	case s.status == 'E':
		return reply{code: "25P02", message: "current transaction is aborted"}
	case has("COMMIT"):
		s.status, s.saved = 'I', nil
		return reply{tag: "COMMIT"}
	case has("SELECT pg_backend_pid"):
		return one(fmt.Sprint(s.pid))
	case has("SELECT pg_last_copy_count"):
		return one(fmt.Sprint(f.copied))
	case has("SELECT pg_terminate_backend"):
		return one("t")
	case has("SHOW"):
		return one("off")
	case has("SELECT db_collation"):
		return reply{code: "42883", message: "function db_collation() does not exist"}
	case has("SELECT n.nspname"):
		return reply{rows: f.relations, tag: "SELECT"}
	case has("SELECT nspname"):
		return reply{rows: [][]string{{"public"}, {"walshift"}}, tag: "SELECT"}
	case has("SELECT epoch, seq"):
		return reply{rows: [][]string{{f.fence.epoch, f.fence.seq, f.fence.txn, f.fence.lsn, "<null>"}}}
	case has("SELECT table_oid"):
		return reply{rows: f.positions, tag: "SELECT"}
	case has("SELECT DISTINCT pid"):
		return reply{rows: f.sessions, tag: "SELECT"}
	case has("SELECT file_name"):
		return reply{rows: f.loadErrors, tag: "SELECT"}
	case has("SELECT CASE WHEN has_"), has("SELECT COUNT(*) FROM \"walshift\".\"fence"), has("SELECT 1"):
		return one("1")
	case has("UPDATE \"walshift\".\"fence_shop\""):
		return f.moveFence(sql)
	case has("COPY"):
		f.copied = 0
		for _, file := range f.manifests[word(sql, `FROM '([^']*)'`)] {
			f.copied += file.Rows
		}
		return reply{tag: "COPY"}
	}
	return reply{tag: strings.Fields(sql)[0], n: 1}
}

// moveFence knows the UPDATEs of MoveFence and RaiseEpoch.
func (f *fake) moveFence(sql string) reply {
	if strings.Contains(sql, "WHERE epoch <") {
		f.fence.epoch, f.fence.txn = word(sql, `epoch = (\d+)`), word(sql, `txn = '([^']*)'`)
		return reply{tag: "UPDATE", n: 1}
	}
	set, where, _ := strings.Cut(sql, "WHERE")
	if where == "" {
		return reply{tag: "UPDATE", n: 1}
	}
	want := fakeFence{word(where, `epoch = (\d+)`), word(where, `seq = (\d+)`), word(where, `txn = '([^']*)'`), f.fence.lsn}
	if want != f.fence {
		return reply{tag: "UPDATE", n: 0}
	}
	f.fence.seq, f.fence.txn, f.fence.lsn = word(set, `seq = (\d+)`), word(set, `txn = '([^']*)'`), word(set, `applied_lsn = '([^']*)'`)
	return reply{tag: "UPDATE", n: 1}
}

func word(s, pattern string) string {
	m := regexp.MustCompile(pattern).FindStringSubmatch(s)
	if m == nil {
		return ""
	}
	return m[1]
}

// statements returns what was sent since the last call, ids redacted.
func (f *fake) statements() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	text := strings.Join(f.log, "\n") + "\n"
	f.log = nil
	return regexp.MustCompile(`([_'-])[0-9a-f]{16}([_'"-])`).ReplaceAllString(text, "${1}ID${2}")
}

// liveRow is a position as ReadPositions shows it.
func liveRow(oid, name, state string) []string {
	return []string{oid, "public", name, state, "0/100", "0/700", "", "public", name, "", "1", "1"}
}
