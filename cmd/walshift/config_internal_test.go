package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

const minimal = `
pipeline: shop
source: {dsn: "postgres://walshift:pw-canary@db:5432/shop"}
log: {url: "s3://lake/prefix", region: eu-central-1}
redshift: {dsn: "postgres://loader:pw-canary@dw:5439/dw"}
`

// load writes a configuration file and loads it.
func load(t *testing.T, text string) (fileConfig, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "walshift.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return loadConfig(path)
}

// faults loads a configuration that must be refused as a usage error, and
// returns the report's lines without the first, which names the file.
func faults(t *testing.T, text string) []string {
	t.Helper()
	_, err := load(t, text)
	if err == nil {
		t.Fatalf("accepted:\n%s", text)
	}
	e, ok := errors.AsType[*exitCodeError](err)
	if !ok || e.code != exitUsage {
		t.Errorf("error %v is not one of usage", err)
	}
	if strings.Contains(err.Error(), "canary") {
		t.Errorf("the error shows a secret: %v", err)
	}
	all := strings.Split(err.Error(), "\n")
	for i := range all {
		all[i] = strings.TrimSpace(all[i])
	}
	return all[1:]
}

func TestMinimalConfigHasTheDefaults(t *testing.T) {
	t.Parallel()
	c, err := load(t, minimal)
	if err != nil {
		t.Fatal(err)
	}
	want := defaultFileConfig()
	want.Pipeline = "shop"
	want.Source.DSN = "postgres://walshift:pw-canary@db:5432/shop"
	want.Source.Slot, want.Source.Publication.Name = "walshift_shop", "walshift_shop"
	want.Log.URL, want.Log.Region = "s3://lake/prefix", "eu-central-1"
	want.Redshift.DSN = "postgres://loader:pw-canary@dw:5439/dw"
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

// TestEmptySectionsKeepTheirDefaults: a section whose lines are commented out.
func TestEmptySectionsKeepTheirDefaults(t *testing.T) {
	t.Parallel()
	want, err := load(t, minimal)
	if err != nil {
		t.Fatal(err)
	}
	got, err := load(t, minimal+"apply:\nhttp: {listen: }\nlimits:\ntarget: {schemas: }\nbatch: {}\n")
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
}

func TestEveryKeyIsRead(t *testing.T) {
	t.Parallel()
	c, err := load(t, `
pipeline: shop
source:
  dsn: host=db user=walshift
  slot: other_slot
  slot_timeout: 90s
  publication: {name: "Other Pub", mode: existing}
  tables: {include: ["a.*", "b.c"], exclude: [a.secret]}
snapshot: {mode: initial, parallelism: 4, file_bytes: 16MiB}
log: {url: "s3://lake", region: us-east-1, endpoint: "http://127.0.0.1:9000", kms_key: k, compression: gzip, retention: 36h}
redshift: {dsn: host=dw user=loader, iam_role: "arn:aws:iam::1:role/x", session: {query_group: etl, statement_timeout: 5m}}
target: {schemas: {public: lake, "odd.name": odd}, existing: refuse}
batch: {interval: 1s, max_age: 2s, max_bytes: 64MiB}
apply: {strategy: merge, check_counts: false, sessions: 7}
limits: {memory: 1GiB}
http: {listen: "[::1]:80", web_config: w.yaml}
logging: {level: warn, format: console}
`)
	if err != nil {
		t.Fatal(err)
	}
	want := fileConfig{
		Pipeline: "shop",
		Source: sourceSection{
			DSN: "host=db user=walshift", Slot: "other_slot", SlotTimeout: 90 * time.Second,
			Publication: publicationSection{Name: "Other Pub", Mode: "existing"},
			Tables:      tablesSection{Include: []string{"a.*", "b.c"}, Exclude: []string{"a.secret"}},
		},
		Snapshot: snapSection{Mode: "initial", Parallelism: 4, FileBytes: 16 << 20},
		Log: logSection{
			URL: "s3://lake", Region: "us-east-1", Endpoint: "http://127.0.0.1:9000", KMSKey: "k",
			Compression: "gzip", Retention: 36 * time.Hour,
		},
		Redshift: houseSection{
			DSN: "host=dw user=loader", IAMRole: "arn:aws:iam::1:role/x",
			Session: sessionSection{QueryGroup: "etl", StatementTimeout: 5 * time.Minute},
		},
		Target:  targetSection{Schemas: map[string]string{"public": "lake", "odd.name": "odd"}, Existing: "refuse"},
		Batch:   batchSection{Interval: time.Second, MaxAge: 2 * time.Second, MaxBytes: 64 << 20},
		Apply:   applySection{Strategy: "merge", Sessions: 7},
		Limits:  limitsSection{Memory: 1 << 30},
		HTTP:    httpSection{Listen: "[::1]:80", WebConfig: "w.yaml"},
		Logging: loggingSection{Level: "warn", Format: "console"},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	var unset func(path string, v reflect.Value)
	unset = func(path string, v reflect.Value) {
		for i := range v.NumField() {
			key := path + v.Type().Field(i).Tag.Get("koanf")
			switch f := v.Field(i); {
			case f.Kind() == reflect.Struct:
				unset(key+".", f)
			case f.IsZero() && key != "apply.check_counts":
				t.Errorf("this test leaves %s out", key)
			}
		}
	}
	unset("", reflect.ValueOf(want))
}

func TestAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	got := strings.Join(faults(t, `
pipeline: "Shop!"
sourc: {}
Limits: {memory: 1GiB}
source:
  dns: postgres://x:canary@db
  dsn: ""
  slot: Bad-Slot
  slot_timeout: 1ms
  publication: {mode: managed}
  tables: {include: []}
snapshot: {mode: never, parallelism: 99, file_bytes: 1kB}
log: {url: http://lake, compression: lz4, retention: 5ms, endpoint: {}}
redshift: {dsn: [canary, x], iam_role: "", session: {statement_timeout: canary}}
target: {existing: adopt, schemas: [canary]}
batch: {interval: 1ms, max_age: 2h, max_bytes: 1B}
apply: {strategy: magic, sessions: 0, check_counts: perhaps canary}
limits: {memory: canary}
http: {listen: nowhere}
logging: {level: loud, format: xml}
`), "\n") + "\n"
	for _, want := range []string{
		`unknown key "sourc"`, `unknown key "source.dns"`, `unknown key "Limits"`,
		"pipeline: must be 1 to 41 of", "source.dsn: must be set", "source.slot: must be", "source.slot_timeout: must be at least 1s",
		`source.publication.mode: "managed" is not one of existing`, "source.tables.include: must name",
		`snapshot.mode: "never" is not one of initial`, "snapshot.parallelism: must be 1 to 32", "snapshot.file_bytes: must be 1MiB to 1GiB",
		"log.url: must be s3://bucket/prefix", "log.region: must be set", `log.compression: "lz4" is not one of zstd, gzip`,
		"log.retention: must be 0s", "log.endpoint: want text",
		"redshift.dsn: want text", "redshift.iam_role: must be", "redshift.session.statement_timeout: want a duration such as",
		`target.existing: "adopt" is not one of refuse`, "target.schemas: want a section",
		"batch.interval: 1ms is not between", "batch.max_age: 2h0m0s is not between", "batch.max_bytes: 1 is not between",
		`apply.strategy: "magic" is not one of auto, merge, delete_insert`, "apply.sessions: must be 1 to 32",
		"apply.check_counts: want true or false", "limits.memory: want a size such as 512MiB",
		"http.listen: must be host:port", `logging.level: "loud" is not one of`, `logging.format: "xml" is not one of`,
	} {
		if strings.Count(got, want) != 1 {
			t.Errorf("the report holds %q %d times:\n%s", want, strings.Count(got, want), got)
		}
	}
}

// TestPackagesFaultsAreReported: what only the packages know comes with the
// same report, once each.
func TestPackagesFaultsAreReported(t *testing.T) {
	t.Parallel()
	got := faults(t, `
pipeline: shop
source: {dsn: "postgres://u:canary%@db/x"}
log: {url: "s3://lake/a//b", region: r, endpoint: lake.local}
redshift: {dsn: "postgres://u:canary%@dw/x", iam_role: me}
target: {schemas: {public: walshift}}
limits: {memory: 1MiB}
`)
	text := strings.Join(got, "\n")
	for _, want := range []string{
		"source.dsn is not a valid connection string", `log: log url "s3://lake/a//b"`, `log: endpoint "lake.local"`,
		"redshift.dsn can't be parsed", `redshift.iam_role is "me"`, "target.schemas: public: schema walshift", "limits.memory: 1048576 is below",
	} {
		if strings.Count(text, want) != 1 {
			t.Errorf("the report holds %q %d times:\n%s", want, strings.Count(text, want), text)
		}
	}
	if len(got) != 7 {
		t.Errorf("%d faults reported, want 7:\n%s", len(got), text)
	}
}

func TestEnvironment(t *testing.T) {
	tricky := "p@ss: 'w\"o#r{d}, [x] & *y !z %\n\\ ${HOME} $1 — é"
	t.Setenv("WALSHIFT_TEST_TRICKY", tricky)
	t.Setenv("WALSHIFT_TEST_EMPTY", "")
	t.Setenv("WALSHIFT_TEST_N", "3")
	t.Setenv("WALSHIFT_TEST_BOOL", "false")
	t.Setenv("WALSHIFT_TEST_SIZE", "2GiB")
	t.Setenv("WALSHIFT_TEST_AGE", "3s")
	c, err := load(t, minimal+`
http: {listen: "${WALSHIFT_TEST_EMPTY}"}
snapshot: {parallelism: "${WALSHIFT_TEST_N}"}
apply: {check_counts: "${WALSHIFT_TEST_BOOL}"}
limits: {memory: "${WALSHIFT_TEST_SIZE}"}
batch: {interval: "${WALSHIFT_TEST_AGE}"}
target: {schemas: {public: "a ${WALSHIFT_TEST_TRICKY} b"}}
`)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.Target.Schemas["public"], "a "+tricky+" b"; got != want {
		t.Errorf("expanded to %q, want %q", got, want)
	}
	if c.HTTP.Listen != "" || c.Snapshot.Parallelism != 3 || c.Apply.CheckCounts ||
		c.Limits.Memory != 2<<30 || c.Batch.Interval != 3*time.Second {
		t.Errorf("typed values out of the environment: %+v", c)
	}
}

func TestMissingVariablesAreAllNamed(t *testing.T) {
	t.Parallel()
	got := faults(t, `
pipeline: shop
source: {dsn: "${WALSHIFT_NO_SUCH_B}", tables: {include: ["${WALSHIFT_NO_SUCH_A}.*"]}}
log: {url: "s3://lake", region: "${WALSHIFT_NO_SUCH_B}"}
redshift: {dsn: host=dw user=x}
`)
	if len(got) < 2 || got[0] != "environment variable WALSHIFT_NO_SUCH_A is not set" ||
		got[1] != "environment variable WALSHIFT_NO_SUCH_B is not set" {
		t.Errorf("report: %q", got)
	}
}

// TestSecretsStayOut: whatever place a secret is put into by mistake, the
// report does not show it.
func TestSecretsStayOut(t *testing.T) {
	t.Setenv("WALSHIFT_TEST_SECRET", "pw-canary-42")
	type broken struct{ name, text string }
	cases := []broken{
		{"scalar file", "pw-canary"},
		{"list file", "- pw-canary"},
		{"broken YAML", "source: {dsn: 'postgres://u:pw-canary@db\nlog: ["},
		{"unknown anchor", "source: {dsn: *pw-canary}"},
		{"tag", "pipeline: !!int pw-canary"},
		{"bad section", minimal + "\nbatch: pw-canary"},
		{"bad DSNs", strings.ReplaceAll(minimal, "@", "%zz@")},
	}
	for _, key := range []string{
		"batch: {interval: %}", "batch: {max_bytes: %}", "limits: {memory: %}", "apply: {sessions: %}", "apply: {check_counts: %}",
		"apply: {strategy: %}", "logging: {level: %}", "logging: {format: %}", "http: {listen: %}", "target: {existing: %}",
		"target: {schemas: %}", "snapshot: {mode: %}", "snapshot: {parallelism: %}",
	} {
		section, _, _ := strings.Cut(key, ":")
		cases = append(cases, broken{section, minimal + "\n" + strings.ReplaceAll(key, "%", `"${WALSHIFT_TEST_SECRET}"`)})
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { faults(t, c.text) })
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]byteSize{
		"0": 0, "4096": 4096, "1B": 1, "1kB": 1000, "1KiB": 1024, "512MiB": 512 << 20, "3 GiB": 3 << 30, "2TB": 2e12, "1TiB": 1 << 40,
	} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1.5GiB", "1 M", "1mib", "1KB", "1iB", "9999999TiB", "0x10", "1MiBMiB", "1 GiB x", "9223372036854775808"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q is taken for %d", text, got)
		}
	}
}

func TestMissingFile(t *testing.T) {
	t.Parallel()
	_, err := loadConfig("/nonexistent/walshift.yaml")
	if err == nil || !strings.Contains(err.Error(), "/nonexistent/walshift.yaml") || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("error: %v", err)
	}
}

func TestConfigFromEnvironment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "other.yaml")
	t.Setenv("WALSHIFT_CONFIG", path)
	if _, err := loadConfig(""); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("WALSHIFT_CONFIG is not heeded: %v", err)
	}
}

// keys returns the dotted paths of every setting.
func keys(prefix string, t reflect.Type) []string {
	var out []string
	for f := range t.Fields() {
		key := prefix + f.Tag.Get("koanf")
		if f.Type.Kind() == reflect.Struct {
			out = append(out, keys(key+".", f.Type)...)
			continue
		}
		out = append(out, key)
	}
	return out
}

// TestReadmeListsEveryKey compares README's table with the configuration, both
// ways. A name that begins with a dot shares all but the last part with the
// name before it.
func TestReadmeListsEveryKey(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "\n## Configuration\n")
	section, _, _ = strings.Cut(section, "\n## ")
	listed := map[string]bool{}
	for line := range strings.Lines(section) {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		cell, _, _ := strings.Cut(line[2:], "|")
		last := ""
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
			name := m[1]
			if strings.HasPrefix(name, ".") {
				name = last[:strings.LastIndex(last, ".")] + name
			}
			last = name
			listed[name] = true
		}
	}
	for _, key := range keys("", reflect.TypeFor[fileConfig]()) {
		if !listed[key] {
			t.Errorf("README's table lacks %s", key)
		}
		delete(listed, key)
	}
	for key := range listed {
		t.Errorf("README lists %s, which is no setting", key)
	}
}

// FuzzConfig: no file makes the loader panic, no error shows a value out of
// the environment, and what is accepted holds the rules.
func FuzzConfig(f *testing.F) {
	const secret = "pw-canary-7f3a"
	f.Setenv("WALSHIFT_FUZZ", secret)
	for _, seed := range []string{
		minimal, "", "pipeline: [", "a: &x {b: *x}", "source: {dsn: \"${WALSHIFT_FUZZ}\"}", "log: {url: \"${WALSHIFT_FUZZ}\"}",
		minimal + "limits: {memory: \"${WALSHIFT_FUZZ}\"}", minimal + "batch: {interval: 1s, max_age: 5s}",
		minimal + "target: {schemas: {\"a.b\": c}}", "? {a: b}\n: c", "<<: {pipeline: x}", "pipeline: !!binary aGk=", "1: 2", "~: ~",
	} {
		f.Add([]byte(seed))
	}
	path := filepath.Join(f.TempDir(), "walshift.yaml")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := loadConfig(path)
		switch {
		case err != nil && strings.Contains(err.Error(), secret):
			t.Fatalf("the error shows the secret: %v", err)
		case err == nil && (c.Pipeline == "" || c.Source.DSN == "" || c.Redshift.DSN == "" || c.Limits.Memory < 64<<20 || c.Batch.MaxAge < c.Batch.Interval):
			t.Fatalf("accepted: %+v", c)
		}
	})
}
