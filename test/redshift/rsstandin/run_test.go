package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/walshift/walshift/test/cluster"
)

// TestRun starts the command, logs in, and ends it as SIGTERM would.
func TestRun(t *testing.T) {
	t.Parallel()
	pg, err := cluster.StartPostgres(t.Context(), cluster.PostgresConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pg.Stop(); err != nil {
			t.Error(err)
		}
	})
	ctx, stop := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan error, 1)
	logFile := filepath.Join(t.TempDir(), "log")
	go func() {
		done <- run(ctx, []string{
			"-backend", pg.SuperuserDSN("standin"), "-listen", "127.0.0.1:0", "-control", "127.0.0.1:0", "-user", "loader", "-password", "x",
			"-profile", "ra3", "-log", logFile, "-grammar=false",
		}, w)
	}()
	lines := bufio.NewScanner(r)
	if !lines.Scan() {
		t.Fatal("no address was printed")
	}
	c, err := pgx.Connect(ctx, "postgres://loader:x@"+lines.Text()+"/standin?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := c.Exec(ctx, "CREATE TEMP TABLE t (a int)"); err != nil || time.Since(began) < 400*time.Millisecond {
		t.Errorf("CREATE TABLE under ra3: %v after %v", err, time.Since(began))
	}
	if !lines.Scan() {
		t.Fatal("no control address was printed")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+lines.Text()+"/stats", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || !strings.Contains(string(body), `"statements":1`) {
		t.Errorf("stats %s %v", body, err)
	}
	http.DefaultClient.CloseIdleConnections()
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
