package redshift_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walshift/walshift/test/redshift"
)

// start serves a database of its own and makes the loader.
func start(t *testing.T, cfg redshift.Config) *redshift.Server {
	t.Helper()
	srv, err := redshift.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := srv.CreateUser(t.Context(), loader, loaderPassword); err != nil {
		t.Fatal(err)
	}
	return srv
}

func connect(t *testing.T, srv *redshift.Server) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), srv.DSN(loader, loaderPassword, ""))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.WithoutCancel(t.Context())) })
	return c
}

func mustExec(t *testing.T, c *pgx.Conn, sql string) {
	t.Helper()
	if _, err := c.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func wantCode(t *testing.T, err error, code string) *pgconn.PgError {
	t.Helper()
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != code {
		t.Fatalf("got %v, want SQLSTATE %s", err, code)
	}
	return pg
}

func TestStartup(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	t.Run("parameter status", func(t *testing.T) {
		t.Parallel()
		c := connect(t, env.rs).PgConn()
		for name, want := range map[string]string{
			"server_version": "8.0.2", "standard_conforming_strings": "", "client_encoding": "UNICODE", "max_varchar_size": "65535", "is_superuser": "off",
		} {
			if got := c.ParameterStatus(name); got != want {
				t.Errorf("%s = %q, want %q", name, got, want)
			}
		}
	})
	t.Run("unknown parameter", func(t *testing.T) {
		t.Parallel()
		for _, p := range []string{"IntervalStyle=iso_8601", "standard_conforming_strings=on", "extra_float_digits=3", "search_path=x"} {
			_, err := pgx.Connect(ctx, env.rs.DSN(loader, loaderPassword, "")+"&"+p)
			wantCode(t, err, "42704")
		}
		c, err := pgx.Connect(ctx, env.rs.DSN(loader, loaderPassword, "")+"&application_name=x")
		if err != nil {
			t.Fatal(err)
		}
		c.Close(ctx)
	})
	t.Run("wrong password, user, database", func(t *testing.T) {
		t.Parallel()
		for dsn, code := range map[string]string{
			env.rs.DSN(loader, "wrong", ""): "28000", env.rs.DSN("nobody", "x", ""): "28000", env.rs.DSN(loader, loaderPassword, "zzz"): "3D000",
		} {
			_, err := pgx.Connect(ctx, dsn)
			wantCode(t, err, code)
		}
	})
}

func TestPgxModes(t *testing.T) {
	t.Parallel()
	c := connect(t, env.rs)
	ctx := t.Context()
	mustExec(t, c, "CREATE SCHEMA modes; SET search_path TO modes; CREATE TABLE t (a int, n decimal(10,2), v varchar(5), s super, b varbyte(4))")
	mustExec(t, c, "INSERT INTO t VALUES (1, 1.5, 'x', json_parse('{\"a\":1}'), 'ab')")
	var a int
	var v, s, b string
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeExec, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe} {
		if err := c.QueryRow(ctx, "SELECT a, v, s, b FROM t WHERE a = $1", mode, 1).Scan(&a, &v, &s, &b); err != nil || s != `{"a":1}` || b != "6162" {
			t.Fatalf("%v: %v %q %q", mode, err, s, b)
		}
	}
	if err := c.QueryRow(ctx, "SELECT 1", pgx.QueryExecModeSimpleProtocol).Scan(&a); err == nil {
		t.Fatal("pgx took the simple protocol for a query: standard_conforming_strings must not be reported")
	}
	var n string
	if err := c.QueryRow(ctx, "SELECT n FROM t", pgx.QueryExecModeExec).Scan(&n); err != nil || n != "1.50" {
		t.Fatalf("numeric as text: %q %v", n, err)
	}
	err := c.QueryRow(ctx, "SELECT n FROM t", pgx.QueryExecModeDescribeExec).Scan(&n)
	wantCode(t, err, "0A000")
	rows, err := c.Query(ctx, "SELECT v, s, b, n FROM t", pgx.QueryExecModeExec)
	if err != nil {
		t.Fatal(err)
	}
	rows.Close()
	for i, oid := range []uint32{1043, 4000, 6551, 1700} {
		if got := rows.FieldDescriptions()[i].DataTypeOID; got != oid {
			t.Errorf("column %d has type %d, want %d", i, got, oid)
		}
	}
	if tag, err := c.Exec(ctx, "SELECT 1"); err != nil || tag.String() != "SELECT" {
		t.Errorf("tag %q %v", tag, err)
	}
	tx, err := c.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(ctx, "UPDATE t SET a = $1", pgx.QueryExecModeExec, 7); err != nil {
		t.Fatal(err)
	}
	_, err = tx.Exec(ctx, "UPDATE t SET a = 1 RETURNING a")
	wantCode(t, err, "42601")
	_, err = tx.Exec(ctx, "SELECT 1")
	wantCode(t, err, "25P02")
	if err := tx.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.QueryRow(ctx, "SELECT a FROM t", pgx.QueryExecModeExec).Scan(&a); err != nil || a != 1 {
		t.Fatalf("after rollback: %d %v", a, err)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	c := connect(t, env.rs)
	_, err := c.Exec(t.Context(), "SELECT '"+strings.Repeat("x", 16<<20)+"'")
	wantCode(t, err, "54001")
	params := make([]any, 40000)
	for i := range params {
		params[i] = "1"
	}
	_, err = c.Exec(t.Context(), "SELECT $1::int WHERE 1 IN ("+cols(40000)+")", append([]any{pgx.QueryExecModeExec}, params...)...)
	wantCode(t, err, "54001")
}

func cols(n int) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		if i > 1 {
			b.WriteByte(',')
		}
		b.WriteString("$")
		b.WriteString(big.NewInt(int64(i)).String())
	}
	return b.String()
}

func TestCancel(t *testing.T) {
	t.Parallel()
	in := &redshift.Injector{}
	cfg := config("cancel")
	cfg.Faults = in
	srv := start(t, cfg)
	c := connect(t, srv)
	mustExec(t, c, "CREATE TABLE t (a int)")
	in.Add(redshift.Fault{Name: "slow", At: redshift.BeforeStatement, Do: redshift.Delay, Delay: time.Hour, Match: "slow"})
	done := make(chan error, 1)
	go func() {
		_, err := c.PgConn().Exec(context.Background(), "SELECT 'slow'").ReadAll()
		done <- err
	}()
	for in.Fired("slow") == 0 {
		if t.Context().Err() != nil {
			t.Fatal("the fault never struck")
		}
	}
	if err := c.PgConn().CancelRequest(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantCode(t, <-done, "57014")
	mustExec(t, c, "SELECT 1")
}

func TestTerminateBackend(t *testing.T) {
	t.Parallel()
	zombie, successor := connect(t, env.rs), connect(t, env.rs)
	ctx := t.Context()
	mustExec(t, zombie, "CREATE SCHEMA zombie; CREATE TABLE zombie.fence (a int)")
	mustExec(t, zombie, "BEGIN; LOCK zombie.fence")
	var seen int
	pid := int(zombie.PgConn().PID())
	if err := successor.QueryRow(ctx, "SELECT count(DISTINCT pid) FROM svv_transactions WHERE pid = $1", pgx.QueryExecModeExec, pid).Scan(&seen); err != nil || seen != 1 {
		t.Fatalf("svv_transactions shows %d: %v", seen, err)
	}
	other, err := pgx.Connect(ctx, env.rs.DSN("other", loaderPassword, ""))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(ctx)
	var ok bool
	if err := other.QueryRow(ctx, "SELECT pg_terminate_backend($1)", pgx.QueryExecModeExec, pid).Scan(&ok); err != nil || ok {
		t.Fatalf("another user ended the session: %v %v", ok, err)
	}
	if err := successor.QueryRow(ctx, "SELECT pg_terminate_backend($1)", pgx.QueryExecModeExec, pid).Scan(&ok); err != nil || !ok {
		t.Fatalf("terminate: %v %v", ok, err)
	}
	mustExec(t, successor, "BEGIN; LOCK zombie.fence; COMMIT")
	if _, err := zombie.Exec(ctx, "SELECT 1"); err == nil {
		t.Fatal("the session lives")
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cfg := config("tls")
	cfg.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
	srv := start(t, cfg)
	c := connect(t, srv)
	if _, ok := c.PgConn().Conn().(*tls.Conn); !ok {
		t.Fatal("no TLS")
	}
	mustExec(t, c, "SELECT 1")
}
