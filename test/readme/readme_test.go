// Package readme_test does what README tells a newcomer to do with a database
// of their own: it takes the section's commands and configuration out of the
// file and runs them, in order, in one shell, against a PostgreSQL, an S3
// server and the Redshift stand-in. Only names of places are replaced, by the
// table in world.places.
package readme_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/walshift/walshift/test/cluster"
	"github.com/walshift/walshift/test/redshift"
)

const (
	module  = "../.."
	heading = "Your own database"
)

// block is what stands between two fences.
type block struct{ language, text string }

// section returns the blocks of one section of README.
func section(t *testing.T, title string) []block {
	t.Helper()
	readme, err := os.ReadFile(filepath.Join(module, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(readme), "\n## "+title+"\n")
	text, _, _ = strings.Cut(text, "\n## ")
	if !ok {
		t.Fatalf("README has no section %q", title)
	}
	var blocks []block
	for _, m := range regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		blocks = append(blocks, block{language: m[1], text: m[2]})
	}
	return blocks
}

// world is what stands in for the newcomer's servers.
type world struct {
	source, backend *cluster.Postgres
	s3              *cluster.S3
	house           *redshift.Server
	ca              *cluster.CA
	// listen is a free address: another daemon may run on this machine.
	listen, dir string
}

// places are the names in README that stand for the reader's own, and what
// stands in their place here. Nothing else of its commands is changed.
func (w *world) places() [][2]string {
	return [][2]string{
		{"pipeline: shop\n", fmt.Sprintf("pipeline: shop\nhttp: {listen: %q}\nlimits: {spool_dir: %q}\n", w.listen, filepath.Join(w.dir, "spool"))},
		{"db.example.com:5432", fmt.Sprintf("127.0.0.1:%d", w.source.Port())},
		{"cluster.example.com:5439/dw", w.house.Addr() + "/" + w.house.Database()},
		{"s3://my-bucket/walshift, region: eu-central-1", fmt.Sprintf("s3://my-bucket/walshift, region: %s, endpoint: %q", w.s3.Region(), w.s3.Endpoint())},
	}
}

func start(t *testing.T) *world {
	t.Helper()
	ctx := t.Context()
	w := &world{dir: t.TempDir()}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	must(err)
	w.listen = l.Addr().String()
	must(l.Close())
	w.ca, err = cluster.NewCA(w.dir)
	must(err)
	cert, err := w.ca.Issue("127.0.0.1")
	must(err)
	w.source = cluster.RunPostgres(t, cluster.PostgresConfig{TLS: cert})
	w.backend = cluster.RunPostgres(t, cluster.PostgresConfig{})
	w.s3, err = cluster.StartS3(ctx, cluster.S3Config{})
	must(err)
	t.Cleanup(func() {
		if err := w.s3.Stop(); err != nil {
			t.Error(err)
		}
	})
	must(w.s3.CreateBucket(ctx, "my-bucket"))
	pair, err := tls.LoadX509KeyPair(cert.CertFile, cert.KeyFile)
	must(err)
	w.house, err = redshift.Start(ctx, redshift.Config{
		Backend: w.backend.SuperuserDSN("dev"),
		S3: redshift.S3{
			Endpoint: w.s3.Endpoint(), Region: w.s3.Region(), PathStyle: true, AccessKey: w.s3.AccessKey(), Secret: w.s3.SecretKey(),
		},
		TLS: &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
	})
	must(err)
	t.Cleanup(func() {
		if err := w.house.Close(); err != nil {
			t.Error(err)
		}
	})
	// The newcomer's own: a database with tables, and two administrators.
	_, err = w.source.Psql(ctx, w.source.SuperuserDSN("postgres"), "CREATE DATABASE shop")
	must(err)
	_, err = w.source.Psql(ctx, w.source.SuperuserDSN("shop"), `
		CREATE TABLE customers (id bigint PRIMARY KEY, name text NOT NULL);
		CREATE TABLE orders (id bigint PRIMARY KEY, customer bigint REFERENCES customers, total numeric(10,2));
		CREATE TABLE notes (note text);
		INSERT INTO customers SELECT n, 'customer ' || n FROM generate_series(1, 100) n;
		INSERT INTO orders SELECT n, 1 + n % 100, n / 7.0 FROM generate_series(1, 1000) n;`)
	must(err)
	_, err = w.source.Psql(ctx, w.source.SuperuserDSN("shop"), "ALTER ROLE postgres PASSWORD '"+adminPassword+"'")
	must(err)
	_, err = w.backend.Psql(ctx, w.backend.SuperuserDSN("postgres"), "CREATE ROLE admin LOGIN SUPERUSER PASSWORD '"+adminPassword+"'")
	must(err)
	return w
}

// adminPassword is what both administrators' psql takes from the environment.
const adminPassword = "the-administrators"

// script makes one shell script of the section's blocks. The daemon runs in
// the background, as in a terminal of its own, and ends with the script.
func (w *world) script(t *testing.T, blocks []block) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("set -euo pipefail\n")
	used := map[string]bool{}
	var last string
	for i, bl := range blocks {
		text := bl.text
		for _, p := range w.places() {
			used[p[0]] = used[p[0]] || strings.Contains(text, p[0])
			text = strings.ReplaceAll(text, p[0], p[1])
		}
		fmt.Fprintf(&b, "echo '== block %d'\n", i)
		switch last = strings.TrimSpace(bl.text); {
		case bl.language == "yaml":
			fmt.Fprintf(&b, "cat >\"$WALSHIFT_CONFIG\" <<'END OF YAML'\n%sEND OF YAML\n", text)
		case bl.language != "sh":
			t.Fatalf("this test can't do %q", bl.language)
		case last == "walshift run":
			b.WriteString("walshift run >\"$RUN_LOG\" 2>&1 &\ntrap 'kill %1; wait' EXIT\n")
		default:
			b.WriteString(text)
		}
	}
	for _, p := range w.places() {
		if !used[p[0]] {
			t.Errorf("README's section does not name %q", p[0])
		}
	}
	if !strings.HasSuffix(last, "walshift wait\nwalshift status") {
		t.Errorf("the section ends with %q, not with wait and status", last)
	}
	return b.String()
}

func TestYourOwnDatabase(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("make is not installed")
	}
	w := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	clone := checkout(t, w.dir)
	log := filepath.Join(w.dir, "run.log")
	cmd := exec.CommandContext(ctx, "bash", "-c", w.script(t, section(t, heading)))
	cmd.Dir = clone
	cmd.Env = append(os.Environ(),
		"WALSHIFT_CONFIG="+filepath.Join(w.dir, "walshift.yaml"), "RUN_LOG="+log,
		"PATH="+w.source.Bin()+":"+os.Getenv("PATH"), // psql
		"PGPASSWORD="+adminPassword, "PGSSLROOTCERT="+w.ca.File(),
		"AWS_ACCESS_KEY_ID="+w.s3.AccessKey(), "AWS_SECRET_ACCESS_KEY="+w.s3.SecretKey(), "AWS_EC2_METADATA_DISABLED=true",
	)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	daemon, _ := os.ReadFile(log)
	if err != nil {
		t.Fatalf("%v\n%s\nthe daemon's log:\n%s", err, &out, daemon)
	}
	_, status, _ := strings.Cut(out.String(), "applied ")
	for _, table := range []string{"public.customers", "public.orders"} {
		if !regexp.MustCompile(regexp.QuoteMeta(table) + ` .*\blive\b`).MatchString(status) {
			t.Errorf("%s is not live:\n%s", table, status)
		}
	}
	for table, want := range map[string]int{"customers": 100, "orders": 1000} {
		if got := w.rows(t, table); got != want {
			t.Errorf("%s has %d rows on Redshift, want %d", table, got, want)
		}
	}
	if t.Failed() {
		t.Logf("%s", &out)
	}
}

// checkout is the newcomer's clone: the sources, without what was built there.
func checkout(t *testing.T, dir string) string {
	t.Helper()
	clone := filepath.Join(dir, "walshift")
	for _, name := range []string{"cmd", "replicator", "sink", "checkpoint"} {
		if err := os.CopyFS(filepath.Join(clone, name), os.DirFS(filepath.Join(module, name))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"Makefile", "go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(module, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(clone, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return clone
}

func (w *world) rows(t *testing.T, table string) int {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), w.backend.SuperuserDSN(w.house.Database()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	var n int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM public."+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestEveryCommandExists: each walshift command and flag that README names
// anywhere is one.
func TestEveryCommandExists(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile(filepath.Join(module, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "walshift")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./cmd/walshift")
	build.Dir = module
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	help := map[string]string{}
	code := strings.Join(regexp.MustCompile("(?ms)^```.*?^```$|`[^`\n]+`").FindAllString(string(readme), -1), "\n")
	for _, m := range regexp.MustCompile("(?m)(?:^`?|\\| )walshift ([a-z]+)([^`\n|]*)").FindAllStringSubmatch(code, -1) {
		command := m[1]
		if help[command] == "" {
			out, err := exec.CommandContext(t.Context(), binary, command, "--help").CombinedOutput()
			if err != nil || !strings.Contains(string(out), "walshift "+command) {
				t.Errorf("README names `walshift %s`, which is no command: %v\n%s", command, err, out)
			}
			help[command] = string(out)
		}
		for _, flag := range regexp.MustCompile(`--[a-z-]+`).FindAllString(m[2], -1) {
			if !strings.Contains(help[command], flag) {
				t.Errorf("README names %s of `walshift %s`, which has no such flag", flag, command)
			}
		}
	}
	if len(help) < 5 {
		t.Errorf("only %d commands were found", len(help))
	}
}
