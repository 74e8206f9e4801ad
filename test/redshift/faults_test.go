package redshift_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/walshift/walshift/test/redshift"
)

func faulty(t *testing.T, database string) (*redshift.Server, *redshift.Injector) {
	t.Helper()
	cfg := config(database)
	cfg.Faults = &redshift.Injector{}
	return start(t, cfg), cfg.Faults
}

func count(t *testing.T, c *pgx.Conn, table string) (n int) {
	t.Helper()
	if err := c.QueryRow(t.Context(), "SELECT count(*) FROM "+table, pgx.QueryExecModeExec).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestA2InjectedErrors(t *testing.T) {
	t.Parallel()
	srv, in := faulty(t, "injected")
	c := connect(t, srv)
	mustExec(t, c, "CREATE TABLE t (a int)")
	for action, code := range map[redshift.Action]string{redshift.Serialization: "XX000", redshift.NewerRelation: "XX000", redshift.Deadlock: "40P01"} {
		in.Add(redshift.Fault{Name: string(action), At: redshift.BeforeStatement, Do: action, Match: "insert into t", Skip: 1})
		mustExec(t, c, "INSERT INTO t VALUES (1)")
		mustExec(t, c, "BEGIN")
		_, err := c.Exec(t.Context(), "INSERT INTO t VALUES (2)")
		pg := wantCode(t, err, code)
		if code == "XX000" && pg.Message != string(action) {
			t.Errorf("message %q", pg.Message)
		}
		if action == redshift.Serialization && !strings.HasPrefix(pg.Detail, "Serializable isolation violation on table - ") {
			t.Errorf("detail %q", pg.Detail)
		}
		mustExec(t, c, "ROLLBACK")
		if in.Fired(string(action)) != 1 {
			t.Errorf("%s fired %d times", action, in.Fired(string(action)))
		}
		in.Clear()
	}
	if n := count(t, c, "t"); n != 3 {
		t.Errorf("%d rows", n)
	}
}

func TestA11ConnectionLostAtCommit(t *testing.T) {
	t.Parallel()
	srv, in := faulty(t, "lost")
	check := connect(t, srv)
	mustExec(t, check, "CREATE TABLE t (a int)")
	for i, at := range []redshift.Point{redshift.BeforeCommit, redshift.AfterCommit} {
		c := connect(t, srv)
		in.Add(redshift.Fault{Name: string(at), At: at, Do: redshift.Cut, Match: "into t"})
		mustExec(t, c, "BEGIN")
		mustExec(t, c, "INSERT INTO t VALUES (1)")
		if _, err := c.Exec(t.Context(), "COMMIT"); err == nil {
			t.Fatal("COMMIT was answered")
		}
		if n := count(t, check, "t"); n != i {
			t.Errorf("%s: %d rows, want %d", at, n, i)
		}
	}
	c := connect(t, srv) // an implicit commit
	in.Add(redshift.Fault{Name: "auto", At: redshift.AfterCommit, Do: redshift.Cut, Match: "values (5)"})
	if _, err := c.Exec(t.Context(), "INSERT INTO t VALUES (5)"); err == nil {
		t.Fatal("the statement was answered")
	}
	if n := count(t, check, "t"); n != 2 {
		t.Errorf("%d rows", n)
	}
}

func TestW12PauseLoginRefusalAndIdleDrop(t *testing.T) {
	t.Parallel()
	srv, in := faulty(t, "pause")
	c := connect(t, srv)
	in.Pause()
	done := make(chan error, 1)
	go func() {
		_, err := c.Exec(context.Background(), "SELECT 1")
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("answered during a pause: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	in.Resume()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	in.Add(redshift.Fault{At: redshift.Login, Do: redshift.Refuse, SQLState: "53300", Message: "too many connections"})
	_, err := pgx.Connect(t.Context(), srv.DSN(loader, loaderPassword, ""))
	wantCode(t, err, "53300")
	connect(t, srv)
	if n := srv.DropIdle(); n < 2 {
		t.Errorf("dropped %d sessions", n)
	}
	if _, err := c.Exec(t.Context(), "SELECT 1"); err == nil {
		t.Error("the session lives")
	}
}

func TestIdleTimeout(t *testing.T) {
	t.Parallel()
	cfg := config("idle")
	cfg.IdleTimeout = 50 * time.Millisecond
	srv := start(t, cfg)
	c := connect(t, srv)
	<-time.After(200 * time.Millisecond)
	if _, err := c.Exec(t.Context(), "SELECT 1"); err == nil {
		t.Error("the session lives")
	}
}

func TestCostsAndLog(t *testing.T) {
	t.Parallel()
	cfg := config("costs")
	cfg.Profile = redshift.Profile{DML: 30 * time.Millisecond, Commit: 60 * time.Millisecond}
	var logged atomic.Int64
	var slow atomic.Int64
	cfg.Log = func(s redshift.Statement) {
		logged.Add(1)
		if s.Kind == "INSERT" && s.Duration >= 30*time.Millisecond && s.Rows == 1 && s.Error == "" {
			slow.Add(1)
		}
	}
	srv := start(t, cfg)
	c := connect(t, srv)
	mustExec(t, c, "CREATE TABLE t (a int)")
	began := time.Now()
	mustExec(t, c, "INSERT INTO t VALUES (1)")
	if d := time.Since(began); d < 90*time.Millisecond {
		t.Errorf("INSERT with its COMMIT took %v", d)
	}
	_, err := c.Exec(t.Context(), "nonsense")
	wantCode(t, err, "42601")
	if logged.Load() != 3 || slow.Load() != 1 {
		t.Errorf("%d statements logged, %d inserts", logged.Load(), slow.Load())
	}
	if s := srv.Stats(); s.Statements != 3 || s.Errors != 1 || s.Commits != 2 {
		t.Errorf("stats %+v", s)
	}
}

func TestControl(t *testing.T) {
	t.Parallel()
	srv, in := faulty(t, "control")
	h := httptest.NewServer(srv.Control())
	defer h.Close()
	post := func(method, path, body string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, h.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%s %s: %s", method, path, res.Status)
		}
	}
	post("POST", "/faults", `{"name":"x","at":"before_statement","do":"refuse","sqlstate":"XX000","message":"disk full","match":"select 1"}`)
	c := connect(t, srv)
	_, err := c.Exec(t.Context(), "SELECT 1")
	wantCode(t, err, "XX000")
	if in.Fired("x") != 1 {
		t.Error("not counted")
	}
	post("PUT", "/profile?name=ra3", "")
	post("PUT", "/profile", `{"commit_ms":1}`)
	post("POST", "/pause", "")
	post("POST", "/resume", "")
	post("GET", "/stats", "")
	post("DELETE", "/faults", "")
	post("POST", "/drop-all", "")
}
