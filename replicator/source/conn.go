package source

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

const (
	// senderTimeout pins wal_sender_timeout on replication sessions, so that
	// whoever sends status replies knows the interval whatever the server's
	// setting: one per third of it is plenty, and keeps the walsender on its
	// fast path, which it leaves when a reply is older than half of it.
	senderTimeout = 60 * time.Second
	// copyReadSize is the read size of snapshot sessions; the driver's own
	// 8 KiB would mean a system call per few rows.
	copyReadSize = 256 << 10
)

// Server is a handle on the source. It holds no connection; each operation
// opens the sessions that it needs. It is safe for concurrent use.
type Server struct {
	cfg Config
	cc  *pgx.ConnConfig
	// temporary makes slots that end with their session.
	temporary bool
}

// New returns a handle for a valid configuration. It does no I/O.
func New(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cc, err := parseDSN(cfg.DSN)
	if err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	cc.ConnectTimeout = cfg.ConnectTimeout
	cc.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	cc.DialFunc = dial
	cc.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		return pgproto3.NewFrontend(bufio.NewReaderSize(r, copyReadSize), w)
	}
	delete(cc.RuntimeParams, "replication")
	return &Server{cfg: cfg, cc: cc}, nil
}

// pinned are the settings of every session. They travel in the startup packet,
// which beats what ALTER ROLE and ALTER DATABASE SET, and what the connection
// string asks for (pitfalls V14, W14). lc_monetary and the settings that not
// every version has follow in [afterConnect].
func pinned(role string) map[string]string {
	return map[string]string{
		"application_name": "walshift/" + role,
		// Text of values.
		"client_encoding":       "UTF8",
		"DateStyle":             "ISO, YMD",
		"IntervalStyle":         "postgres",
		"TimeZone":              "UTC",
		"extra_float_digits":    "3",
		"bytea_output":          "hex",
		"xmloption":             "content",
		"quote_all_identifiers": "off", // text of reg* types
		"search_path":           "",    // text of reg* types, and what names mean
		// Meaning of our statements.
		"standard_conforming_strings": "on",
		"transform_null_equals":       "off",
		"row_security":                "off", // fail rather than read less (V2)
		// Ends of sessions, statements and transactions.
		"statement_timeout":                   "0",
		"lock_timeout":                        "0",
		"idle_in_transaction_session_timeout": "0",
		"default_transaction_read_only":       "off",
		"default_transaction_isolation":       "read committed",
		"default_transaction_deferrable":      "off",
		// A vanished daemon must not hold a snapshot for hours (N3).
		"tcp_keepalives_idle":     "60",
		"tcp_keepalives_interval": "15",
		"tcp_keepalives_count":    "4",
		// Gentle on the source: one process per session.
		"jit":                             "off",
		"max_parallel_workers_per_gather": "0",
		"synchronize_seqscans":            "off",
	}
}

// afterConnect pins what the startup packet can't.
func afterConnect(ctx context.Context, pc *pgconn.PgConn) error {
	// Not in the startup packet, so that RESET still tells the database's own
	// value: the scale of money depends on it (see checkMoney).
	sql := "SET lc_monetary = 'C'"
	v := majorVersion(pc)
	if v >= 14 {
		sql += "; SET idle_session_timeout = 0"
	}
	if v >= 17 {
		sql += "; SET transaction_timeout = 0"
	}
	if _, err := pc.Exec(ctx, sql).ReadAll(); err != nil {
		return fmt.Errorf("pinning session settings: %w", err)
	}
	return nil
}

// majorVersion reads the server's major version from its greeting, which may
// be "15.18 (Debian 15.18-0+deb12u1)" or "18beta1"; 0 if it says none.
func majorVersion(pc *pgconn.PgConn) int {
	s := pc.ParameterStatus("server_version")
	end := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(s)
	}
	n, err := strconv.Atoi(s[:end])
	if err != nil {
		return 0
	}
	return n
}

// connect opens a regular session. The caller closes it.
func (s *Server) connect(ctx context.Context, role string) (*pgx.Conn, error) {
	cc := s.cc.Copy()
	maps.Copy(cc.RuntimeParams, pinned(role))
	cc.RuntimeParams["lock_timeout"] = strconv.FormatInt(s.cfg.LockTimeout.Milliseconds(), 10)
	cc.AfterConnect = afterConnect
	conn, err := pgx.ConnectConfig(ctx, cc)
	if err != nil {
		return nil, classify("connecting to the source", err)
	}
	return conn, nil
}

// connectReplication opens a session with the replication protocol. The caller
// closes it.
func (s *Server) connectReplication(ctx context.Context, role string) (*pgconn.PgConn, error) {
	cc := s.cc.Copy()
	maps.Copy(cc.RuntimeParams, pinned(role))
	cc.RuntimeParams["replication"] = "database"
	cc.RuntimeParams["wal_sender_timeout"] = strconv.FormatInt(senderTimeout.Milliseconds(), 10)
	cc.AfterConnect = afterConnect
	// The stream reads the socket itself afterwards: nothing may be left in a
	// buffer of the driver.
	cc.BuildFrontend = pgproto3.NewFrontend
	pc, err := pgconn.ConnectConfig(ctx, &cc.Config)
	if err != nil {
		return nil, classify("opening a replication connection to the source", err)
	}
	return pc, nil
}

// closeTimeout bounds polite goodbyes.
const closeTimeout = 5 * time.Second

// closing returns a context for closing a session that outlives a cancelled
// parent for a moment.
func closing(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
}

func closeConn(ctx context.Context, c interface{ Close(context.Context) error }) {
	cctx, cancel := closing(ctx)
	defer cancel()
	_ = c.Close(cctx) // the session is given up either way
}

// wait sleeps for d or until ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// dial connects with TCP keepalives on, and wraps the socket so that the
// stream can read it in batches.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 4},
		Control:         setUserTimeout,
	}
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return newSocket(c), nil
}

var errUnexpectedReply = errors.New("unexpected reply of the server")
