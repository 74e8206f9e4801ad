package e2e_test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walshift/walshift/test/world"
)

// wrongPassword stands for what an operator mistyped: as secret as the right
// one.
const wrongPassword = "wr0ng-canary-pw"

// secrets are all passwords and keys of a world.
func secrets(w *world.World) []string {
	return []string{
		w.Source.ReplicatorPassword(), w.Source.OwnerPassword(), password(w.TargetDSN()), w.S3.SecretKey(), wrongPassword,
	}
}

func password(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		return err.Error()
	}
	p, _ := u.User.Password()
	return p
}

// altered returns a DSN with one thing changed.
func altered(t *testing.T, dsn string, change func(u *url.URL, q url.Values)) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	change(u, q)
	u.RawQuery = q.Encode()
	return u.String()
}

// closedAddr returns an address on which nobody listens.
func closedAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return addr
}

// everything describes what stands on all three sides: slots, publications and
// relations of the source, buckets and objects, schemas, relations and users'
// tables of the warehouse.
func everything(t *testing.T, w *world.World) []string {
	t.Helper()
	const relations = `SELECT n.nspname, c.relname, c.relkind, c.relfilenode, c.reltuples FROM pg_class c
		JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1, 2`
	var out []string
	for _, side := range []struct {
		name, dsn string
		queries   []string
	}{
		{"source", w.Source.SuperuserDSN(), []string{
			"SELECT slot_name FROM pg_replication_slots ORDER BY 1", "SELECT pubname FROM pg_publication ORDER BY 1",
			"SELECT nspname FROM pg_namespace ORDER BY 1", relations,
		}},
		{"warehouse", w.Backend.SuperuserDSN("dev"), []string{
			"SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_' ORDER BY 1", relations,
		}},
	} {
		for _, q := range side.queries {
			rows, err := world.Side{DSN: side.dsn}.Rows(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rows {
				out = append(out, side.name+" "+r)
			}
		}
	}
	return append(out, objects(t, w)...)
}

// objects lists all buckets and what they hold.
func objects(t *testing.T, w *world.World) []string {
	t.Helper()
	client := w.S3.Client()
	buckets, err := client.ListBuckets(t.Context(), &s3.ListBucketsInput{})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, b := range buckets.Buckets {
		out = append(out, "bucket "+aws.ToString(b.Name))
		page, err := client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: b.Name})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			out = append(out, "object "+aws.ToString(o.Key))
		}
	}
	return out
}

// refusal is a start that has to fail.
type refusal struct {
	name     string
	sections map[string]string
	env      []string
	prepare  func(t *testing.T)
	code     int
	want     []string // in the last line of the output
}

// refused starts the daemon and checks that it ends soon, with one clear line
// and without having changed anything.
func refused(t *testing.T, w *world.World, r *refusal) {
	t.Helper()
	if r.prepare != nil {
		r.prepare(t)
	}
	before := everything(t, w)
	usual := w.Sections
	w.Sections = maps.Clone(usual)
	maps.Copy(w.Sections, r.sections)
	defer func() { w.Sections = usual }()
	started := time.Now()
	d := startDaemon(t, w, r.env...)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	err := d.Wait(ctx)
	took := time.Since(started)
	if ctx.Err() != nil || took > 20*time.Second {
		t.Errorf("it took %s to end (%v)", took, err)
		d.Kill()
	}
	if code := d.ExitCode(); code != r.code {
		t.Errorf("exit code %d, want %d", code, r.code)
	}
	text := d.Log()
	_, last, _ := strings.Cut(text, "walshift: ")
	last = strings.TrimSpace(last)
	if r.code == 1 && strings.Contains(last, "\n") {
		t.Errorf("the error has more than one line:\n%s", last)
	}
	for _, want := range r.want {
		if !strings.Contains(last, want) {
			t.Errorf("the error does not say %q:\n%s", want, last)
		}
	}
	for _, s := range secrets(w) {
		if strings.Contains(text, s) {
			t.Errorf("the output shows the secret %q:\n%s", s, text)
		}
	}
	if after := everything(t, w); !slices.Equal(before, after) {
		t.Errorf("something was changed:%s", world.Difference(before, after))
	}
	t.Log(last)
}

func sourceSection(dsn string) map[string]string {
	return map[string]string{"source": fmt.Sprintf("{dsn: %q}", dsn)}
}

func houseSection(dsn string) map[string]string {
	return map[string]string{"redshift": fmt.Sprintf("{dsn: %q, iam_role: default}", dsn)}
}

// execOn runs statements on a session of its own.
func execOn(t *testing.T, dsn string, statements ...string) {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	for _, s := range statements {
		if _, err := conn.Exec(t.Context(), s).ReadAll(); err != nil {
			t.Fatalf("running %q: %v", s, err)
		}
	}
}

// TestFirstStartRefusals: whatever is wrong at the very first start, walshift
// says so at once and changes nothing; when it is right, the start succeeds.
//
//nolint:tparallel // the cases share one world, one after the other
func TestFirstStartRefusals(t *testing.T) {
	t.Parallel()
	w := plainWorld(t, world.Config{DDL: `CREATE TABLE single (k text PRIMARY KEY); INSERT INTO single VALUES ('a')`})
	source, house := w.Source.ReplicatorDSN(), w.TargetDSN()
	closed := closedAddr(t)
	logSection := func(bucket, endpoint string) map[string]string {
		return map[string]string{"log": fmt.Sprintf("{url: %q, region: %q, endpoint: %q}", "s3://"+bucket+"/test", w.S3.Region(), endpoint)}
	}
	at := func(addr string) func(*url.URL, url.Values) {
		return func(u *url.URL, _ url.Values) { u.Host = addr }
	}
	wrong := func(u *url.URL, _ url.Values) { u.User = url.UserPassword(u.User.Username(), wrongPassword) }
	elsewhere := func(u *url.URL, _ url.Values) { u.Path = "/nowhere" }
	for _, r := range []refusal{
		{
			name: "bad configuration", code: 2,
			sections: map[string]string{"batch": "{intervall: 1s, max_bytes: 1}", "apply": "{sessions: 0}"},
			want:     []string{"walshift.yaml", `unknown key "batch.intervall"`, "batch.max_bytes", "apply.sessions: 0 is not between 1 and 32"},
		},
		{
			name: "bad DSN", code: 2, sections: sourceSection("postgres://x:" + wrongPassword + "%zz@db/shop"),
			want: []string{"source.dsn", "not a valid connection string"},
		},
		{
			name: "source unreachable", code: 1, sections: sourceSection(altered(t, source, at(closed))),
			want: []string{"connecting to the source", "connection refused", "remedy", "source.dsn", "nothing has been changed"},
		},
		{
			name: "source password wrong", code: 1, sections: sourceSection(altered(t, source, wrong)),
			want: []string{"connecting to the source", "password authentication failed", "user and password in source.dsn"},
		},
		{
			name: "source database missing", code: 1, sections: sourceSection(altered(t, source, elsewhere)),
			want: []string{"connecting to the source", "name an existing database in source.dsn"},
		},
		{
			name: "publication missing", code: 1,
			sections: map[string]string{"source": fmt.Sprintf("{dsn: %q, publication: {name: absent}}", source)},
			want:     []string{"checking the source", `"absent" doesn't exist in database shop`, `CREATE PUBLICATION "absent"`},
		},
		{
			name: "replication not allowed", code: 1,
			prepare: func(t *testing.T) {
				t.Helper()
				superuser(t, w, "ALTER ROLE "+w.Source.Replicator+" NOREPLICATION")
				t.Cleanup(func() { superuser(t, w, "ALTER ROLE "+w.Source.Replicator+" REPLICATION") })
			},
			want: []string{"checking the source", "may not start replication", "REPLICATION; on Amazon RDS"},
		},
		{
			name: "bucket unreachable", code: 1, sections: logSection(world.Bucket, "http://"+closed),
			want: []string{"opening log s3://lake/test", "connection refused", "log.endpoint", "nothing has been changed"},
		},
		{
			name: "bucket missing", code: 1, sections: logSection("absent", w.S3.Endpoint()),
			want: []string{"opening log s3://absent/test", "create bucket absent, or correct log.url"},
		},
		{
			name: "bucket's secret wrong", code: 1, env: []string{"AWS_SECRET_ACCESS_KEY=" + wrongPassword},
			want: []string{"opening log s3://lake/test", "credentials for the log"},
		},
		{
			name: "bucket's key unknown", code: 1, env: []string{"AWS_ACCESS_KEY_ID=nobody"},
			want: []string{"opening log s3://lake/test", "access key ID", "remedy"},
		},
		{
			name: "warehouse unreachable", code: 1, sections: houseSection(altered(t, house, at(closed))),
			want: []string{"connecting to the warehouse", "connection refused", "redshift.dsn", "nothing has been changed"},
		},
		{
			name: "warehouse password wrong", code: 1, sections: houseSection(altered(t, house, wrong)),
			want: []string{"connecting to the warehouse", "user and password in redshift.dsn"},
		},
		{
			name: "warehouse database missing", code: 1, sections: houseSection(altered(t, house, elsewhere)),
			want: []string{"connecting to the warehouse", "the database in redshift.dsn"},
		},
		{
			name: "target exists", code: 1,
			prepare: func(t *testing.T) {
				t.Helper()
				execOn(t, house, "CREATE TABLE public.single (k varchar(10))", "INSERT INTO public.single VALUES ('mine')")
				t.Cleanup(func() { first(t, house, "DROP TABLE public.single") })
			},
			want: []string{"public.single", "exists already", "drop or rename it", "target.schemas", "nothing has been changed"},
		},
	} {
		t.Run(r.name, func(t *testing.T) { refused(t, w, &r) })
	}
	d := streaming(t, w)
	identical(t, w, map[string]string{"single": "k"})
	d.Kill()
}

// TestMissingConfigFile: no file, no start.
func TestMissingConfigFile(t *testing.T) {
	t.Parallel()
	binary, err := world.Build(t.Context(), false, "")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "none.yaml")
	out, code := command(t, binary, "run", "-c", path)
	if code != 2 || !strings.Contains(out, path) {
		t.Errorf("exit code %d: %s", code, out)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	out, code = command(t, binary, "run", "-c", path)
	for _, key := range []string{"pipeline:", "source.dsn:", "log.url:", "log.region:", "redshift.dsn:"} {
		if code != 2 || !strings.Contains(out, key) {
			t.Errorf("exit code %d, %s is not named: %s", code, key, out)
		}
	}
}

// command runs the binary to its end.
func command(t *testing.T, binary string, args ...string) (output string, code int) {
	t.Helper()
	cmd := osexec.CommandContext(t.Context(), binary, args...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}
