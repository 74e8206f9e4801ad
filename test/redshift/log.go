package redshift

import (
	"errors"
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
