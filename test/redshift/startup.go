package redshift

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/walshift/walshift/test/redshift/internal/sqlrule"
)

const startupLimit = 20 * time.Second

// startup does TLS, authentication and the backend's login. Cancel requests
// end here.
func (c *session) startup() error {
	if err := c.conn.SetDeadline(time.Now().Add(startupLimit)); err != nil {
		return fmt.Errorf("setting deadline: %w", err)
	}
	c.cl = pgproto3.NewBackend(c.conn, c.conn)
	params, err := c.startupMessage()
	if err != nil {
		return err
	}
	if err := c.srv.cfg.Faults.wait(c.srv.ctx); err != nil {
		return err
	}
	c.user = params["user"]
	for _, f := range c.srv.cfg.Faults.strike(Login, c.user, "") {
		if err := c.loginFault(f); err != nil {
			return err
		}
	}
	if err := c.checkParams(params); err != nil {
		return err
	}
	if db := params["database"]; db != "" && db != c.srv.database || db == "" && c.user != c.srv.database {
		return c.fatal("3D000", fmt.Sprintf("database %q does not exist", db))
	}
	r, err := c.srv.role(c.user)
	if err != nil && !errors.Is(err, errNoRole) {
		return c.fatal("XX000", "reading the user failed")
	}
	ok, authErr := c.authenticate(r)
	if authErr != nil {
		return authErr
	}
	if err != nil || !ok || !r.login {
		return c.fatal("28000", fmt.Sprintf("password authentication failed for user %q", c.user))
	}
	c.role = r
	ctx, cancel := context.WithTimeout(c.srv.ctx, startupLimit)
	defer cancel()
	b, err := dialBackend(ctx, c.srv.cfg.Backend)
	if err != nil {
		return c.fatal("08006", "the cluster is not available")
	}
	c.stmtMu.Lock()
	c.b = b
	c.stmtMu.Unlock()
	c.key = make([]byte, 4)
	if _, err := rand.Read(c.key); err != nil {
		return fmt.Errorf("making cancel key: %w", err)
	}
	select {
	case <-c.gone:
		b.close()
		return errCut
	default:
	}
	if params["application_name"] != "" {
		c.settings["application_name"] = params["application_name"]
	}
	c.settings["client_encoding"] = "UNICODE"
	if strings.EqualFold(params["client_encoding"], "utf8") || strings.EqualFold(params["client_encoding"], "utf-8") {
		c.settings["client_encoding"] = "UTF8"
	}
	if err := c.conn.SetDeadline(time.Time{}); err != nil {
		return fmt.Errorf("clearing deadline: %w", err)
	}
	c.cl.SetMaxBodyLen(maxMessage)
	c.srv.mu.Lock()
	c.srv.sessions[b.pid] = c
	c.srv.mu.Unlock()
	return nil
}

func (c *session) loginFault(f Fault) error {
	switch f.Do {
	case Delay:
		return c.sleep(c.srv.ctx, f.Delay)
	case Cut:
		return errCut
	default:
		return c.fatal(or(f.SQLState, "28000"), or(f.Message, "login refused"))
	}
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// startupMessage answers TLS requests and cancel requests until the real
// startup message comes.
func (c *session) startupMessage() (map[string]string, error) {
	for {
		msg, err := c.cl.ReceiveStartupMessage()
		if err != nil {
			return nil, fmt.Errorf("receiving startup message: %w", err)
		}
		switch m := msg.(type) {
		case *pgproto3.SSLRequest:
			if err := c.offerTLS(); err != nil {
				return nil, err
			}
		case *pgproto3.GSSEncRequest:
			if _, err := c.conn.Write([]byte{'N'}); err != nil {
				return nil, fmt.Errorf("refusing encryption: %w", err)
			}
		case *pgproto3.CancelRequest:
			c.srv.cancelSession(m.ProcessID, m.SecretKey)
			return nil, errCut
		case *pgproto3.StartupMessage:
			return m.Parameters, nil
		default:
			return nil, fmt.Errorf("receiving startup message: unexpected %T", msg)
		}
	}
}

func (c *session) offerTLS() error {
	answer := byte('N')
	if c.srv.tls != nil {
		answer = 'S'
	}
	if _, err := c.conn.Write([]byte{answer}); err != nil {
		return fmt.Errorf("answering TLS request: %w", err)
	}
	if c.srv.tls == nil {
		return nil
	}
	t := tls.Server(c.conn, c.srv.tls)
	if err := t.HandshakeContext(c.srv.ctx); err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	c.conn = t
	c.cl = pgproto3.NewBackend(t, t)
	return nil
}

// checkParams refuses what Redshift does not know in a startup packet.
func (c *session) checkParams(params map[string]string) error {
	for k := range params {
		switch k {
		case "user", "database", "application_name", "client_encoding", "client_protocol_version", "driver_version", "os_version", "plugin_name":
		default:
			return c.fatal("42704", fmt.Sprintf("unrecognized configuration parameter %q", k))
		}
	}
	return nil
}

// prologue configures the backend session and tells the client that it is in.
func (c *session) prologue() error {
	setup := "SET standard_conforming_strings = off; SET escape_string_warning = off; SET backslash_quote = on; SET client_encoding = 'UTF8';" +
		" SET default_transaction_isolation = 'repeatable read'; SET timezone = 'UTC'; SET datestyle = 'ISO, MDY'; SET extra_float_digits = 0;" +
		" SET bytea_output = 'hex'; SET intervalstyle = 'postgres'; SET deadlock_timeout = '200ms'; SET jit = off; SET lock_timeout = 0;" +
		" SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET xmloption = 'content'; SET client_min_messages = 'warning';" +
		" SET search_path = '$user', public; SET check_function_bodies = off; SET row_security = on;" +
		" SET rs.db_collation = '" + c.collation() + "';" +
		" SET application_name = " + sqlrule.QuoteText(or(c.settings["application_name"], "redshift")) + ";" +
		" INSERT INTO rs_internal.sessions VALUES (pg_backend_pid(), " + sqlrule.QuoteText(c.user) + ", now() AT TIME ZONE 'UTC')" +
		" ON CONFLICT (pid) DO UPDATE SET username = excluded.username, started = excluded.started;" +
		" SET SESSION AUTHORIZATION " + quoteRole(c.user)
	_, failure, err := c.b.query(setup)
	if err != nil {
		return err
	}
	if failure != nil {
		return c.fatal(failure.Code, failure.Message)
	}
	c.cl.Send(&pgproto3.AuthenticationOk{})
	super := "off"
	if c.role.superuser {
		super = "on"
	}
	for _, p := range [][2]string{
		{"application_name", c.settings["application_name"]},
		{"client_encoding", c.settings["client_encoding"]},
		{"datestyle", "ISO, MDY"},
		{"integer_datetimes", "on"},
		{"is_superuser", super},
		{"server_encoding", "UNICODE"},
		{"server_version", "8.0.2"},
		{"session_authorization", c.user},
		{"TimeZone", "UTC"},
		{"timezone_abbreviations", "default"},
		{"padb_version", "1.0.187211"},
		{"padb_revision", "2f16ba2e"},
		{"max_numeric_precision", "38"},
		{"max_varchar_size", "65535"},
		{"datashare_enabled", "on"},
		{"session_id", strconv.Itoa(int(c.b.pid))},
	} {
		c.cl.Send(&pgproto3.ParameterStatus{Name: p[0], Value: p[1]})
	}
	c.cl.Send(&pgproto3.BackendKeyData{ProcessID: c.b.pid, SecretKey: c.key})
	c.cl.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	return c.cl.Flush()
}

// collation is what db_collation() tells.
func (c *session) collation() string {
	if c.srv.cfg.CaseInsensitive {
		return "case_insensitive"
	}
	return "case_sensitive"
}

func quoteRole(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// cancelSession serves a cancel request.
func (s *Server) cancelSession(pid uint32, key []byte) {
	s.mu.Lock()
	c := s.sessions[pid]
	s.mu.Unlock()
	if c == nil || subtle.ConstantTimeCompare(c.key, key) != 1 {
		return
	}
	c.cancelStatement()
	c.b.cancel(s.ctx)
}
