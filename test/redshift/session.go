package redshift

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/walshift/walshift/test/redshift/internal/sqlrule"
)

// errCut says that a fault has cut the connection.
var errCut = errors.New("connection cut by a fault")

// maxMessage lets a statement above the limit be refused by name.
const maxMessage = 64 << 20

// session is one client connection and its backend session.
type session struct {
	srv  *Server
	raw  net.Conn // as accepted; closing it ends the session
	conn net.Conn // raw, or TLS over it
	cl   *pgproto3.Backend
	b    *backend
	user string
	role role
	key  []byte
	once sync.Once
	gone chan struct{}
	busy atomic.Bool

	msgs chan clientEvent
	ack  chan struct{}

	stmtMu     sync.Mutex
	stmtCancel context.CancelFunc

	// settings are those that PostgreSQL does not know.
	settings map[string]string

	tx         txState
	prepared   map[string]*prepared
	portals    map[string]*portal
	nameSeq    int
	skipToSync bool
	// portal says that the extended protocol runs the statement, whose result is
	// described already.
	portal bool

	copyCount, copyID int64
	// leader says that the statement reads what only the leader node has, whose
	// types are not all Redshift's own.
	leader bool
}

type clientEvent struct {
	msg pgproto3.FrontendMessage
	err error
}

// serve runs one client connection to its end.
func (s *Server) serve(conn net.Conn) {
	c := &session{
		srv: s, raw: conn, conn: conn, gone: make(chan struct{}), msgs: make(chan clientEvent), ack: make(chan struct{}),
		settings: map[string]string{}, prepared: map[string]*prepared{}, portals: map[string]*portal{}, copyID: -1,
	}
	defer c.drop()
	stop := context.AfterFunc(s.ctx, c.drop)
	defer stop()
	if err := c.startup(); err != nil {
		return
	}
	defer c.end()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer c.drop()
	wg.Add(2)
	go func() { defer wg.Done(); c.b.read() }()
	go func() { defer wg.Done(); c.read() }()
	if err := c.prologue(); err != nil {
		return
	}
	_ = c.loop()
}

// drop cuts the connection on both sides.
func (c *session) drop() {
	c.once.Do(func() {
		close(c.gone)
		c.raw.Close()
		c.stmtMu.Lock()
		b := c.b
		c.stmtMu.Unlock()
		if b != nil {
			b.close()
		}
		c.cancelStatement()
	})
}

func (c *session) end() {
	c.srv.mu.Lock()
	delete(c.srv.sessions, c.b.pid)
	c.srv.mu.Unlock()
	if c.srv.ctx.Err() == nil {
		_ = c.srv.record("DELETE FROM rs_internal.sessions WHERE pid = $1", int(c.b.pid))
	}
}

// read hands the client's messages to loop one after the other.
func (c *session) read() {
	for {
		msg, err := c.cl.Receive()
		select {
		case c.msgs <- clientEvent{msg, err}:
		case <-c.gone:
			return
		}
		if err != nil {
			return
		}
		select {
		case <-c.ack:
		case <-c.gone:
			return
		}
	}
}

// loop serves messages until one side goes away.
func (c *session) loop() error {
	for {
		c.b.release()
		idle, stop := c.idleTimer()
		select {
		case e := <-c.msgs:
			stop()
			if e.err != nil {
				return e.err
			}
			c.busy.Store(true)
			err := c.message(e.msg)
			c.busy.Store(false)
			if err != nil {
				return err
			}
			select {
			case c.ack <- struct{}{}:
			case <-c.gone:
				return errCut
			}
		case e := <-c.b.msgs:
			stop()
			if err := c.asynchronous(e); err != nil {
				return err
			}
		case <-idle:
			return c.fatal("57P01", "session ended by idle timeout")
		case <-c.gone:
			stop()
			return errCut
		}
	}
}

func (c *session) idleTimer() (<-chan time.Time, func()) {
	if c.srv.cfg.IdleTimeout <= 0 {
		return nil, func() {}
	}
	t := time.NewTimer(c.srv.cfg.IdleTimeout)
	return t.C, func() { t.Stop() }
}

// asynchronous handles what the backend sends while no statement runs.
func (c *session) asynchronous(e backendEvent) error {
	msg, err := c.b.took(e)
	if err != nil {
		return c.fatal("57P01", "terminating connection due to administrator command")
	}
	if m, ok := msg.(*pgproto3.ErrorResponse); ok {
		return c.fatal(m.Code, m.Message)
	}
	return nil
}

func (c *session) fatal(code, message string) error {
	c.cl.Send(&pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: code, Message: message})
	_ = c.cl.Flush()
	return fmt.Errorf("ending session: %s", message)
}

// message handles one message of the client.
func (c *session) message(msg pgproto3.FrontendMessage) error {
	if err := c.srv.cfg.Faults.wait(c.srv.ctx); err != nil {
		return err
	}
	switch m := msg.(type) {
	case *pgproto3.Query:
		return c.simpleQuery(m.String)
	case *pgproto3.Terminate:
		return errCut
	case *pgproto3.Sync:
		return c.sync()
	case *pgproto3.Flush:
		return c.cl.Flush()
	case *pgproto3.Parse, *pgproto3.Bind, *pgproto3.Describe, *pgproto3.Execute, *pgproto3.Close:
		if c.skipToSync {
			return nil
		}
		err := c.extended(msg)
		return c.extendedError(err)
	case *pgproto3.FunctionCall:
		return c.fatal("08P01", "function calls are not supported")
	}
	return nil // copy messages of an aborted copy
}

// statementContext gives a context that a cancel request ends.
func (c *session) statementContext() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(c.srv.ctx)
	c.stmtMu.Lock()
	c.stmtCancel = cancel
	c.stmtMu.Unlock()
	return ctx, func() {
		c.stmtMu.Lock()
		c.stmtCancel = nil
		c.stmtMu.Unlock()
		cancel()
	}
}

func (c *session) cancelStatement() {
	c.stmtMu.Lock()
	defer c.stmtMu.Unlock()
	if c.stmtCancel != nil {
		c.stmtCancel()
	}
}

// sleep waits, unless the statement is cancelled or the connection cut.
func (c *session) sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return refusal("57014", "canceling statement due to user request")
	case <-c.gone:
		return errCut
	}
}

// options tells the rules what they need to know of this session.
func (c *session) options() sqlrule.Options {
	var b [6]byte
	_, _ = rand.Read(b[:])
	return sqlrule.Options{
		Database:        c.srv.database,
		CaseInsensitive: c.srv.cfg.CaseInsensitive,
		CaseSensitive:   isOn(c.settings["enable_case_sensitive_identifier"]),
		Superuser:       c.role.superuser,
		Unique:          hex.EncodeToString(b[:]),
		Builtin:         func(name string) bool { return c.srv.builtin[name] },
		Describe:        c.describeQuery,
		LateView:        c.lateView,
		Long:            c.srv.longName,
	}
}

func isOn(v string) bool { return v == "on" || v == "true" || v == "1" || v == "t" || v == "yes" }
