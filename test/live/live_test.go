package main

import (
	"bytes"
	"crypto/tls"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jackc/pgx/v5"

	"github.com/walshift/walshift/test/cluster"
	"github.com/walshift/walshift/test/redshift"
)

const (
	loader   = "live_loader"
	password = "p%w'l1ve$-secret"
	bucket   = "elsewhere"
)

// standIn starts what the command takes for a real cluster: TLS, a DSN, a
// bucket. It sets the environment, and returns the DSN and the database's own.
func standIn(t *testing.T) (dsn, backend string, store *cluster.S3) {
	t.Helper()
	ca, err := cluster.NewCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Issue("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(cert.CertFile, cert.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	store = cluster.RunS3(t, cluster.S3Config{})
	if err := store.CreateBucket(t.Context(), bucket); err != nil {
		t.Fatal(err)
	}
	pg := cluster.RunPostgres(t, cluster.PostgresConfig{})
	backend = pg.SuperuserDSN("dev")
	house, err := redshift.Start(t.Context(), redshift.Config{
		Backend: backend, TLS: &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
		S3: redshift.S3{
			Endpoint: store.Endpoint(), Region: store.Region(), PathStyle: true, AccessKey: store.AccessKey(), Secret: store.SecretKey(),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := house.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := house.CreateUser(t.Context(), loader, password); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(house.DSN(loader, password, ""))
	if err != nil {
		t.Fatal(err)
	}
	u.RawQuery = url.Values{"sslmode": {"verify-full"}, "sslrootcert": {cert.CAFile}}.Encode()
	for name, value := range map[string]string{
		"DSN": u.String(), "OTHER_DSN": "", "BUCKET": bucket, "IAM_ROLE": "arn:aws:iam::123456789012:role/load",
		"REGION": store.Region(), "ENDPOINT": store.Endpoint(), "AWS_ACCESS_KEY_ID": store.AccessKey(), "AWS_SECRET_ACCESS_KEY": store.SecretKey(),
		"AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	return u.String(), backend, store
}

const testFacts = `
- fact: a holds
  ids: [U1]
  mark: unsure
  objects: {f.gz: "1|{{schema}}\n"}
  steps:
    - sql: CREATE TABLE t (a int, b varchar(60)); CREATE SCHEMA {{schema}}_more; CREATE TABLE {{schema}}_more.x (a int)
    - sql: COPY t FROM '{{s3}}/f' {{role}} GZIP
    - sql: SELECT a, b FROM t
      rows: [["1", "{{schema}}"]]
- fact: b is otherwise
  ids: [U2, S1]
  mark: "doc: somewhere; unsure in detail"
  steps:
    - sql: CREATE TABLE t (a int); INSERT INTO t VALUES (7)
    - {sql: BEGIN, session: x}
    - {sql: LOCK t, session: x}
    - sql: SELECT 40 + 2
      rows: [["43"]]
    - {sql: SELECT nothing, code: "42P01"}
- fact: c needs what a cluster lacks
  ids: [U3]
  mark: unsure
  needs: [injection]
  steps: [{sql: SELECT 1}]
- fact: d is sure
  ids: [S1]
  mark: "doc: r_SELECT"
  steps: [{sql: SELECT 1, rows: [["1"]]}, {sql: "GRANT USAGE ON SCHEMA public TO {{other}}"}]
- fact: e is sure too
  mark: "doc: r_SELECT"
  steps: [{sql: SELECT 1, rows: [["1"]]}]
- fact: f is not asked for
  mark: unsure
  steps: [{sql: SELECT 1}]
`

const testIndex = `
- {id: U1, says: first of the index, mark: unsure}
- {id: U4, says: shown by nothing, mark: partly unsure}
- {id: U5, says: shown by no client, mark: unsure, not_observable: a matter of time}
- {id: S1, says: sure, mark: "doc: x"}
`

// TestLiveAgainstTheStandIn runs the command as against a real cluster: the
// report says what came of each fact and of the main job, no secret is in it,
// and nothing stays behind.
//
//nolint:paralleltest // it sets the environment
func TestLiveAgainstTheStandIn(t *testing.T) {
	dsn, backend, store := standIn(t)
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "index"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"facts.yaml": testFacts, "index/all.yaml": testIndex} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := schemas(t, backend)
	var out bytes.Buffer
	file := filepath.Join(dir, "report.md")
	err := run(t.Context(), []string{"-facts", dir, "-run", "facts/[a-e] |main job", "-traffic", "2s", "-report", file}, &out)
	if err == nil || err.Error() != "1 cases are otherwise on this cluster" {
		t.Errorf("the run's error: %v\n%s", err, out.String())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Redshift 1.0.", "settled otherwise: 1\n\n- U2, S1 b is otherwise\n", `step 4: SELECT 40 + 2: got rows "42", want rows "43"`, `step 5: SELECT nothing: got error 42703 `,
		"not settled: 3\n\n- U4 shown by nothing\n      no case that ran shows it\n- U5 shown by no client\n      not observable: a matter of time\n- U3 c needs what a cluster lacks\n      skipped: the target lacks injection\n",
		"settled as assumed: 1\n\n- U1 first of the index\n", "- not settled: facts/d is sure\n      skipped: the target lacks second_user\n",
		"2 of 5 cases gave what they say.", "Both sides are identical: 100", "## Left behind\n\nNothing.\n",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the report does not say %q:\n%s", want, text)
		}
	}
	for _, secret := range []string{dsn, password, url.QueryEscape(password), url.PathEscape(password), strings.TrimPrefix(url.UserPassword("", password).String(), ":")} {
		if strings.Contains(out.String(), secret) || strings.Contains(string(text), secret) {
			t.Errorf("%q is printed", secret)
		}
	}
	if after := schemas(t, backend); after != before {
		t.Errorf("schemas and tables before: %s\nafter: %s", before, after)
	}
	objects, err := store.Client().ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: new(bucket)})
	if err != nil || len(objects.Contents) != 0 {
		t.Errorf("%d objects stay in the bucket, %v", len(objects.Contents), err)
	}
}

// schemas lists all schemas and tables of the stand-in's database.
func schemas(t *testing.T, dsn string) (all string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	err = conn.QueryRow(t.Context(), `SELECT (SELECT string_agg(nspname, ' ' ORDER BY nspname) FROM pg_namespace WHERE nspname !~ '^pg_')
		|| ' ' || coalesce((SELECT string_agg(oid::regclass::text, ' ' ORDER BY oid) FROM pg_class
		WHERE relkind IN ('r', 'v') AND relnamespace = 'public'::regnamespace), '')`).Scan(&all)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestNoConnection: what can't be reached is told without its secrets.
//
//nolint:paralleltest // it sets the environment
func TestNoConnection(t *testing.T) {
	for name, dsn := range map[string]string{
		"no server":    "postgres://u:" + url.QueryEscape(password) + "@127.0.0.1:1/db?sslmode=disable",
		"no DSN":       "postgres://u:" + password + "@127.0.0.1:1/db",
		"keywords":     `host=127.0.0.1 port=1 user=u password='` + strings.ReplaceAll(password, "'", `\'`) + `' sslmode=disable`,
		"not anything": password,
	} {
		for key, value := range map[string]string{
			"DSN": dsn, "OTHER_DSN": "", "BUCKET": bucket, "IAM_ROLE": "default", "REGION": "eu-central-1",
			"ENDPOINT": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_MAX_ATTEMPTS": "1",
		} {
			t.Setenv(key, value)
		}
		var out bytes.Buffer
		err := run(t.Context(), nil, &out)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		if said := out.String() + err.Error(); strings.Contains(said, password) || strings.Contains(said, url.QueryEscape(password)) {
			t.Errorf("%s: the password is printed: %s", name, said)
		}
		if name != "no DSN" && name != "not anything" && !strings.Contains(err.Error(), "connecting to the cluster") {
			t.Errorf("%s: %v", name, err)
		}
	}
	t.Setenv("BUCKET", "")
	if err := run(t.Context(), nil, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "BUCKET is not set") {
		t.Errorf("without a bucket: %v", err)
	}
}
