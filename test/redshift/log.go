package redshift

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/walshift/walshift/test/redshift/internal/sqlrule"
)

// counters are the server's totals.
type counters struct {
	statements, errors, copies, commits, rows, copiedBytes, textBytes atomic.Int64
}

// Stats are totals since the start.
type Stats struct {
	Statements  int64 `json:"statements"`
	Errors      int64 `json:"errors"`
	Copies      int64 `json:"copies"`
	Commits     int64 `json:"commits"`
	Rows        int64 `json:"rows"`
	CopiedBytes int64 `json:"copied_bytes"`
	TextBytes   int64 `json:"text_bytes"`
	Sessions    int   `json:"sessions"`
}

// Stats tells what the stand-in has done so far.
func (s *Server) Stats() Stats {
	c := &s.counters
	s.mu.Lock()
	n := len(s.sessions)
	s.mu.Unlock()
	return Stats{
		Statements: c.statements.Load(), Errors: c.errors.Load(), Copies: c.copies.Load(), Commits: c.commits.Load(),
		Rows: c.rows.Load(), CopiedBytes: c.copiedBytes.Load(), TextBytes: c.textBytes.Load(), Sessions: n,
	}
}

// log reports a finished statement.
func (c *session) log(st *sqlrule.Statement, out outcome, started time.Time, err error) {
	c.srv.sent.add(c.settings["application_name"], c.user, st.SQL)
	n := &c.srv.counters
	n.statements.Add(1)
	n.textBytes.Add(int64(len(st.SQL)))
	if err != nil {
		n.errors.Add(1)
	}
	if st.Kind == sqlrule.Copy && err == nil {
		n.copies.Add(1)
		n.rows.Add(out.rows)
		n.copiedBytes.Add(out.bytes)
	}
	c.srv.history.add(historyRow{
		user: c.user, pid: int(c.b.pid), kind: string(st.Kind), started: started, took: time.Since(started), rows: out.rows, sql: clip(st.SQL, historyText), err: err,
	})
	if c.srv.cfg.Log == nil {
		return
	}
	rec := Statement{
		Session: int(c.b.pid), User: c.user, SQL: st.SQL, Kind: string(st.Kind), Rows: out.rows, Bytes: int64(len(st.SQL)),
		Started: started, Duration: time.Since(started),
	}
	if st.Kind == sqlrule.Copy {
		rec.Bytes = out.bytes
	}
	if err != nil {
		rec.Error = err.Error()
		var r *sqlrule.Refusal
		var b *backendError
		switch {
		case errors.As(err, &r):
			rec.SQLState = r.Code
		case errors.As(err, &b):
			rec.SQLState = translate(b.resp).Code
		}
	}
	c.srv.cfg.Log(rec)
}

// statementsEnv names the folder that statements are collected in, if set:
// every stand-in leaves a file of JSON lines there. See package
// test/statements, which reads them.
const statementsEnv = "WALSHIFT_STATEMENTS"

// collection is what clients sent that gave an application name, each text
// once.
type collection struct {
	mu   sync.Mutex
	file *os.File
	seen map[sent]bool
	err  error
}

// sent is one line of the collection.
type sent struct {
	Side string `json:"side"`
	App  string `json:"app"`
	User string `json:"user"`
	SQL  string `json:"sql"`
}

func (c *collection) open() error {
	dir := os.Getenv(statementsEnv)
	if dir == "" {
		return nil
	}
	var err error
	if c.file, err = os.CreateTemp(dir, "redshift-*.jsonl"); err != nil {
		return fmt.Errorf("collecting statements: %w", err)
	}
	c.seen = map[sent]bool{}
	return nil
}

func (c *collection) add(app, user, sql string) {
	s := sent{Side: "redshift", App: app, User: user, SQL: sql}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file == nil || c.err != nil || app == "" || c.seen[s] {
		return
	}
	c.seen[s] = true
	line, err := json.Marshal(s)
	if err == nil {
		_, err = c.file.Write(append(line, '\n'))
	}
	c.err = err
}

func (c *collection) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file == nil {
		return nil
	}
	err := errors.Join(c.err, c.file.Close())
	c.file = nil
	if err != nil {
		return fmt.Errorf("collecting statements: %w", err)
	}
	return nil
}
