package redshift

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/walshift/walshift/test/redshift/internal/sqlrule"
	"github.com/walshift/walshift/test/redshift/internal/store"
)

// Server is a running stand-in.
type Server struct {
	cfg      Config
	database string
	ln       net.Listener
	oids     store.OIDs
	s3       *objects
	builtin  map[string]bool
	ctx      context.Context //nolint:containedctx // the life of the sessions, ended by Close
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	tls      *tls.Config

	adminMu sync.Mutex
	admin   *pgx.Conn

	mu       sync.Mutex
	sessions map[uint32]*session
	profile  Profile
	late     map[sqlrule.Name]string
	long     map[string]string
	tables   map[uint32]*tableState

	queries  atomic.Int64
	commits  atomic.Uint64
	counters counters
	history  history
	sent     collection
}

// tableState is what the server knows of a table beside PostgreSQL.
type tableState struct {
	// written is the number of the last commit that wrote it exclusively.
	written uint64
	// loading is held by a COPY: those into one table queue.
	loading chan struct{}
}

// Start prepares the backend and serves until Close. ctx bounds only the start.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	parsed, err := pgx.ParseConfig(cfg.Backend)
	if err != nil {
		return nil, fmt.Errorf("parsing backend dsn: %w", err)
	}
	s := &Server{
		cfg: cfg, database: parsed.Database, s3: newObjects(cfg.S3), profile: cfg.Profile, tls: cfg.TLS,
		sessions: map[uint32]*session{}, late: map[sqlrule.Name]string{}, long: map[string]string{}, tables: map[uint32]*tableState{},
	}
	if s.oids, err = store.Prepare(ctx, cfg.Backend); err != nil {
		return nil, err
	}
	if s.admin, err = pgx.ConnectConfig(ctx, parsed); err != nil {
		return nil, fmt.Errorf("connecting to backend: %w", err)
	}
	if err := s.learn(ctx); err != nil {
		s.admin.Close(ctx)
		return nil, err
	}
	listen := cfg.Listen
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	var lc net.ListenConfig
	if s.ln, err = lc.Listen(ctx, "tcp", listen); err != nil {
		s.admin.Close(ctx)
		return nil, fmt.Errorf("listening on %s: %w", listen, err)
	}
	if err := s.sent.open(); err != nil {
		s.admin.Close(ctx)
		return nil, errors.Join(err, s.ln.Close())
	}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.wg.Go(s.accept)
	return s, nil
}

// learn reads what the rules need to know of the backend.
func (s *Server) learn(ctx context.Context) error {
	names, err := s.strings(ctx, "SELECT DISTINCT proname::text FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace")
	if err != nil {
		return err
	}
	s.builtin = make(map[string]bool, len(names))
	for _, n := range names {
		s.builtin[n] = true
	}
	rows, err := s.admin.Query(ctx, "SELECT schema_name, view_name, definition FROM rs_internal.late_views")
	if err != nil {
		return fmt.Errorf("reading late-binding views: %w", err)
	}
	var n sqlrule.Name
	var def string
	if _, err = pgx.ForEachRow(rows, []any{&n.Schema, &n.Table, &def}, func() error { s.late[n] = def; return nil }); err != nil {
		return fmt.Errorf("reading late-binding views: %w", err)
	}
	var short, long string
	rows, err = s.admin.Query(ctx, "SELECT short, long FROM rs_internal.long_names")
	if err != nil {
		return fmt.Errorf("reading long names: %w", err)
	}
	if _, err = pgx.ForEachRow(rows, []any{&short, &long}, func() error { s.long[short] = long; return nil }); err != nil {
		return fmt.Errorf("reading long names: %w", err)
	}
	var last int64
	if err := s.admin.QueryRow(ctx, "SELECT coalesce(max(query_id), 100) FROM rs_internal.load_history").Scan(&last); err != nil {
		return fmt.Errorf("reading last query id: %w", err)
	}
	s.queries.Store(last)
	return nil
}

func (s *Server) strings(ctx context.Context, sql string) ([]string, error) {
	rows, err := s.admin.Query(ctx, sql)
	if err != nil {
		return nil, fmt.Errorf("reading backend catalog: %w", err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("reading backend catalog: %w", err)
	}
	return out, nil
}

// Addr is the address that clients connect to, host:port.
func (s *Server) Addr() string { return s.ln.Addr().String() }

// Database is the name of the database.
func (s *Server) Database() string { return s.database }

// DSN gives a URL for a client. With TLS configured it asks for TLS without
// checking the certificate.
func (s *Server) DSN(user, password, dbname string) string {
	if dbname == "" {
		dbname = s.database
	}
	mode := "disable"
	if s.tls != nil {
		mode = "require"
	}
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(user, password), Host: s.Addr(), Path: "/" + dbname,
		RawQuery: "sslmode=" + mode,
	}
	return u.String()
}

// SetProfile changes what statements cost from now on.
func (s *Server) SetProfile(p Profile) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.profile = p
}

func (s *Server) costs() Profile {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.profile
}

// DropIdle ends all sessions that are not running a statement, as Redshift
// ends idle ones, and returns how many these were.
func (s *Server) DropIdle() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, c := range s.sessions {
		if !c.busy.Load() {
			c.drop()
			n++
		}
	}
	return n
}

// DropAll cuts every session at once, like a restart of the cluster.
func (s *Server) DropAll() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.sessions {
		c.drop()
	}
	return len(s.sessions)
}

// Close ends all sessions, waits for their goroutines and closes the backend
// connections. Data and users stay in the backend.
func (s *Server) Close() error {
	err := s.ln.Close()
	s.cancel()
	s.DropAll()
	s.wg.Wait()
	s.s3.http.CloseIdleConnections()
	s.adminMu.Lock()
	defer s.adminMu.Unlock()
	ctx, done := context.WithTimeout(context.WithoutCancel(s.ctx), 5*time.Second)
	defer done()
	return errors.Join(err, s.sent.close(), s.admin.Close(ctx))
}

func (s *Server) accept() {
	for {
		conn, err := s.ln.Accept()
		if err != nil {
			return
		}
		s.wg.Go(func() { s.serve(conn) })
	}
}

// record runs a statement on the connection that is no client's.
func (s *Server) record(sql string, args ...any) error {
	s.adminMu.Lock()
	defer s.adminMu.Unlock()
	if _, err := s.admin.Exec(s.ctx, sql, args...); err != nil {
		return fmt.Errorf("recording in the backend: %w", err)
	}
	return nil
}

func (s *Server) table(oid uint32) *tableState {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tables[oid]
	if t == nil {
		t = &tableState{loading: make(chan struct{}, 1)}
		s.tables[oid] = t
	}
	return t
}

// longName notes a name that was shortened for PostgreSQL.
func (s *Server) longName(short, long string) {
	s.mu.Lock()
	known := s.long[short] == long
	s.long[short] = long
	s.mu.Unlock()
	if !known {
		_ = s.record("INSERT INTO rs_internal.long_names VALUES ($1, $2) ON CONFLICT DO NOTHING", short, long)
	}
}
