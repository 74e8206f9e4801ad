package conform

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jackc/pgx/v5/pgconn"
)

// run is one case under way.
type run struct {
	t           *Target
	schema      string
	folder      string
	objects     map[string]string
	conns       map[string]*pgconn.PgConn
	running     map[string]chan outcome
	differences []Difference
}

// outcome is what a step brought back.
type outcome struct {
	rows [][]*string
	tag  string
	err  error
}

// all makes the case's schema and objects and goes through its steps.
func (r *run) all(ctx context.Context, c Case) error {
	ctx, cancel := context.WithTimeout(ctx, r.t.Timeout)
	defer cancel()
	if err := r.put(ctx, c); err != nil {
		return err
	}
	conn, err := r.conn(ctx, "")
	if err != nil {
		return err
	}
	if err := conn.Exec(ctx, "CREATE SCHEMA "+r.schema).Close(); err != nil {
		return fmt.Errorf("creating schema %s: %w", r.schema, err)
	}
	for i, s := range c.Steps {
		if err := r.step(ctx, fmt.Sprintf("step %d: %.120s", i+1, s.SQL), s); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	return nil
}

// put writes the case's objects.
func (r *run) put(ctx context.Context, c Case) error {
	for pass := range 2 { // the second sees the sizes of the first
		for key, body := range c.Objects {
			if strings.Contains(body, "{{size") != (pass == 1) {
				continue
			}
			text, err := r.expand(body)
			if err != nil {
				return fmt.Errorf("object %s: %w", key, err)
			}
			if r.objects[key], err = pack(key, text); err != nil {
				return err
			}
		}
	}
	for key, body := range r.objects {
		full := r.folder + "/" + key
		if _, err := r.t.S3.PutObject(ctx, &s3.PutObjectInput{Bucket: &r.t.Bucket, Key: &full, Body: strings.NewReader(body)}); err != nil {
			return fmt.Errorf("writing object %s: %w", full, err)
		}
	}
	return nil
}

// step runs one step and keeps the differences; an error ends the case.
func (r *run) step(ctx context.Context, name string, s Step) error {
	conn, err := r.conn(ctx, s.Session)
	if err != nil {
		return err
	}
	sql, err := r.expand(s.SQL)
	if err != nil {
		return err
	}
	switch {
	case s.Join:
		ch := r.running[s.Session]
		if ch == nil {
			return fmt.Errorf("session %q has no step in the background", s.Session)
		}
		return r.compare(name, s, <-ch)
	case s.Background:
		ch := make(chan outcome, 1)
		r.running[s.Session] = ch
		go func() { ch <- execute(ctx, conn, sql, s) }()
		return nil
	default:
		return r.compare(name, s, execute(ctx, conn, sql, s))
	}
}

// conn opens a session, or returns the one that is open.
func (r *run) conn(ctx context.Context, name string) (*pgconn.PgConn, error) {
	if c := r.conns[name]; c != nil {
		return c, nil
	}
	dsn := r.t.DSN
	if name == otherSession {
		dsn = r.t.OtherDSN
	}
	c, err := connect(ctx, dsn)
	if err != nil {
		return nil, err
	}
	r.conns[name] = c
	if err := c.Exec(ctx, "SET search_path TO "+r.schema+", public").Close(); err != nil {
		return nil, fmt.Errorf("setting search_path: %w", err)
	}
	return c, nil
}

// connect keeps the DSN's parts out of its error.
func connect(ctx context.Context, dsn string) (*pgconn.PgConn, error) {
	c, err := pgconn.Connect(ctx, dsn)
	if err == nil {
		return c, nil
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return nil, fmt.Errorf("connecting: %s %s", pg.Code, pg.Message)
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("connecting: %w", ctx.Err())
	}
	return nil, errConnect
}

var errConnect = errors.New("connecting: no answer from the server of the DSN, or it speaks no TLS that the DSN accepts; try psql with it")

func execute(ctx context.Context, c *pgconn.PgConn, sql string, s Step) outcome {
	var results []*pgconn.Result
	var err error
	if s.Params != nil || s.Extended {
		params := make([][]byte, len(s.Params))
		for i, p := range s.Params {
			params[i] = []byte(p)
		}
		res := c.ExecParams(ctx, sql, params, nil, nil, nil).Read()
		results, err = []*pgconn.Result{res}, res.Err
	} else {
		results, err = c.Exec(ctx, sql).ReadAll()
	}
	out := outcome{err: err}
	if len(results) == 0 {
		return out
	}
	last := results[len(results)-1]
	out.tag = last.CommandTag.String()
	for _, row := range last.Rows {
		vals := make([]*string, len(row))
		for i, v := range row {
			if v != nil {
				str := string(v)
				vals[i] = &str
			}
		}
		out.rows = append(out.rows, vals)
	}
	return out
}

// clean drops the case's schemas and objects.
func (r *run) clean(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.t.Timeout)
	defer cancel()
	for _, c := range r.conns {
		_ = c.Close(ctx) // it may be broken, by the case's own doing
	}
	for key := range r.objects {
		full := r.folder + "/" + key
		if _, err := r.t.S3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &r.t.Bucket, Key: &full}); err != nil {
			return fmt.Errorf("deleting object %s: %w; delete the folder yourself", full, err)
		}
	}
	if len(r.conns) == 0 {
		return nil // nothing was made
	}
	c, err := connect(ctx, r.t.DSN)
	if err != nil {
		return fmt.Errorf("dropping schema %s: %w; drop it yourself", r.schema, err)
	}
	defer func() { _ = c.Close(ctx) }()
	own := fmt.Sprintf("SELECT nspname FROM pg_namespace WHERE nspname = '%s' OR substring(nspname, 1, %d) = '%s_'", r.schema, len(r.schema)+1, r.schema)
	for _, row := range execute(ctx, c, own, Step{}).rows {
		if err := c.Exec(ctx, `DROP SCHEMA "`+*row[0]+`" CASCADE`).Close(); err != nil {
			return fmt.Errorf("dropping schema %s: %w; drop it yourself", *row[0], err)
		}
	}
	return nil
}
