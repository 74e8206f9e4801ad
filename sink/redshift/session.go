package redshift

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// parseDSN reads the DSN and takes out what Redshift refuses: it knows few of
// PostgreSQL's startup parameters, and those from the environment are none of
// its business. Errors do not quote the DSN, which holds a password; neither do
// they wrap pgx's, which redacts with best effort only.
func parseDSN(c *Config) (*pgx.ConnConfig, error) {
	p, err := pgx.ParseConfig(c.DSN)
	if err != nil {
		return nil, errors.New("redshift.dsn can't be parsed (not shown, for it may hold a password): " +
			"give postgres://user:password@host:5439/database?sslmode=verify-full, with special characters percent-encoded")
	}
	p.RuntimeParams = map[string]string{"application_name": "walshift/" + c.Pipeline}
	p.DefaultQueryExecMode = pgx.QueryExecModeExec
	p.StatementCacheCapacity, p.DescriptionCacheCapacity = 0, 0
	p.ConnectTimeout, p.Tracer = c.ConnectTimeout, c.Tracer
	// Firewalls in front of Redshift forget idle connections within minutes.
	dialer := &net.Dialer{
		Timeout:         c.ConnectTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 6},
	}
	p.DialFunc = dialer.DialContext
	return p, nil
}

// session is one connection to Redshift. It is used by one goroutine at a time.
type session struct {
	conn *pgx.Conn
	// pid is pg_backend_pid(), which pg_terminate_backend takes.
	pid int64
	// registered says that the pid is in the sessions table.
	registered bool
	// idle is when a staging session went back to the pool.
	idle time.Time
	// statements counts what was sent, for Result.
	statements int64
	// label says in each statement whose it is and what it is part of, for the
	// one who reads SYS_QUERY_HISTORY.
	label string
}

// labelled returns the text to send.
func (s *session) labelled(sql string) string { return s.label + sql }

// begins sets the label: the pipeline and what is being done. Neither may end
// the comment.
func (s *session) begins(pipeline, what string) {
	s.label = "/* walshift/" + pipeline + ": " + what + " */ "
}

// connect opens a session with the parameters of the configuration.
func connect(ctx context.Context, c *Config) (*session, error) {
	p, err := parseDSN(c)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("connecting to Redshift: %w", err)
	}
	s := &session{conn: conn}
	s.begins(c.Pipeline, "session")
	if err := s.prepare(ctx, c); err != nil {
		s.close(ctx)
		return nil, fmt.Errorf("setting up a session: %w", err)
	}
	return s, nil
}

func (s *session) prepare(ctx context.Context, c *Config) error {
	run := s.exec(ctx)
	if c.QueryGroup != "" {
		if _, err := run(sqltext.Set("query_group", c.QueryGroup)); err != nil {
			return err
		}
	}
	if c.StatementTimeout > 0 {
		ms := strconv.FormatInt(c.StatementTimeout.Milliseconds(), 10)
		if _, err := run(sqltext.Set("statement_timeout", ms)); err != nil {
			return err
		}
	}
	pid, err := s.number(ctx)(sqltext.BackendPID(), nil)
	s.pid = pid
	return err
}

// close ends the session, waiting a second at most for its goodbye.
func (s *session) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = s.conn.Close(ctx) // what was wanted of the session is over
}

// alive asks the server for an answer: sessions are dropped after four idle
// hours, and by firewalls sooner (W12).
func (s *session) alive(ctx context.Context) bool {
	if s == nil || s.conn.IsClosed() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err := s.exec(ctx)("SELECT 1", nil)
	return err == nil
}

// exec returns a function that runs a statement as a builder of sqltext
// returns it, by the simple protocol (pgx uses it where there are no
// arguments), and gives the affected rows.
func (s *session) exec(ctx context.Context) func(sql string, err error) (int64, error) {
	return func(sql string, err error) (int64, error) {
		if err != nil {
			return 0, err
		}
		s.statements++
		tag, err := s.conn.Exec(ctx, s.labelled(sql))
		if err != nil {
			return 0, statementError(err)
		}
		return tag.RowsAffected(), nil
	}
}

// record is one row of a result, as text: which types Redshift gives its system
// columns is not for this program to depend on. It is valid until the next row.
type record [][]byte

func (r record) null(i int) bool   { return r[i] == nil }
func (r record) text(i int) string { return string(r[i]) }

func (r record) number(i int) (int64, error) {
	return strconv.ParseInt(strings.TrimSpace(r.text(i)), 10, 64)
}

// query returns a function that runs a query for the given number of columns
// and gives each row to scan. Results come as text: Redshift's binary numeric
// is its own.
func (s *session) query(ctx context.Context, columns int, scan func(r record) error) func(sql string, err error) error {
	return func(sql string, err error) error {
		if err != nil {
			return err
		}
		s.statements++
		rows, err := s.conn.Query(ctx, s.labelled(sql), pgx.QueryExecModeExec)
		if err != nil {
			return statementError(err)
		}
		defer rows.Close()
		for rows.Next() {
			r := rows.RawValues()
			if len(r) != columns {
				return fmt.Errorf("reading a query's result: %d columns instead of %d", len(r), columns)
			}
			if err := scan(r); err != nil {
				return fmt.Errorf("reading a query's result: %w", err)
			}
		}
		return statementError(rows.Err())
	}
}

// number runs a query for a single number.
func (s *session) number(ctx context.Context) func(sql string, err error) (int64, error) {
	return func(sql string, err error) (int64, error) {
		numbers, err := s.numbers(ctx)(sql, err)
		if err == nil && len(numbers) != 1 {
			err = fmt.Errorf("reading a number: %d rows instead of 1", len(numbers))
		}
		if err != nil {
			return 0, err
		}
		return numbers[0], nil
	}
}

// numbers runs a query for one column of numbers.
func (s *session) numbers(ctx context.Context) func(sql string, err error) ([]int64, error) {
	return func(sql string, err error) ([]int64, error) {
		var out []int64
		err = s.query(ctx, 1, func(r record) error {
			n, err := r.number(0)
			out = append(out, n)
			return err
		})(sql, err)
		return out, err
	}
}

// texts runs a query for one text column.
func (s *session) texts(ctx context.Context) func(sql string, err error) ([]string, error) {
	return func(sql string, err error) ([]string, error) {
		var out []string
		err = s.query(ctx, 1, func(r record) error {
			out = append(out, r.text(0))
			return nil
		})(sql, err)
		return out, err
	}
}

// transaction runs body between BEGIN and COMMIT. For work that nobody sees
// before it is used: a lost answer to this COMMIT is just an error.
func (s *session) transaction(ctx context.Context, body func() error) error {
	run := s.exec(ctx)
	if _, err := run("BEGIN", nil); err != nil {
		return err
	}
	if err := body(); err != nil {
		s.rollback(ctx)
		return err
	}
	if _, err := run("COMMIT", nil); err != nil {
		s.rollback(ctx)
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}

// rollback ends a failed transaction. Where that fails the session is closed,
// so that no later statement can run inside the old transaction.
func (s *session) rollback(ctx context.Context) {
	if s.conn.IsClosed() {
		return
	}
	if _, err := s.exec(ctx)("ROLLBACK", nil); err != nil {
		s.close(ctx)
	}
}
