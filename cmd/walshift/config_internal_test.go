package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
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
  watch_interval: 7s
  publication: {name: "Other Pub", mode: managed}
  tables: {include: ["a.*", "b.c"], exclude: [a.secret]}
snapshot: {mode: never, lsn: 16/B374D848, parallelism: 4, file_bytes: 16MiB, rows_per_second: 9, window: "01:00-02:00"}
log: {url: "s3://lake", region: us-east-1, endpoint: "http://127.0.0.1:9000", kms_key: k, compression: gzip, retention: 36h}
redshift: {dsn: host=dw user=loader, iam_role: "arn:aws:iam::1:role/x", session: {query_group: etl, statement_timeout: 5m}}
target: {schemas: {public: lake, "odd.name": odd}, existing: adopt}
batch: {interval: 1s, max_age: 2s, max_bytes: 64MiB}
apply: {strategy: merge, check_counts: false, sessions: 7, parked_retry: 5s, window: ["sat,sun 00:00-24:00", "mon 22:00-06:00 Europe/Berlin"]}
values: {oversize: fail, unbounded_numeric: decimal, nan: fail, infinity: fail, out_of_range: fail, empty_bytes: fail, accept: [nan]}
limits: {memory: 1GiB, spool_dir: /spool, spool: 3GiB}
http: {listen: "[::1]:80", web_config: w.yaml}
logging: {level: warn, format: console}
`)
	if err != nil {
		t.Fatal(err)
	}
	want := fileConfig{
		Pipeline: "shop",
		Source: sourceSection{
			DSN: "host=db user=walshift", Slot: "other_slot", SlotTimeout: 90 * time.Second, WatchInterval: 7 * time.Second,
			Publication: publicationSection{Name: "Other Pub", Mode: "managed"},
			Tables:      tablesSection{Include: []string{"a.*", "b.c"}, Exclude: []string{"a.secret"}},
		},
		Snapshot: snapSection{
			Mode: "never", LSN: "16/B374D848", Parallelism: 4, FileBytes: 16 << 20, RowsPerSecond: 9, Window: windowSpecs{"01:00-02:00"},
		},
		Log: logSection{
			URL: "s3://lake", Region: "us-east-1", Endpoint: "http://127.0.0.1:9000", KMSKey: "k",
			Compression: "gzip", Retention: 36 * time.Hour,
		},
		Redshift: houseSection{
			DSN: "host=dw user=loader", IAMRole: "arn:aws:iam::1:role/x",
			Session: sessionSection{QueryGroup: "etl", StatementTimeout: 5 * time.Minute},
		},
		Target: targetSection{Schemas: map[string]string{"public": "lake", "odd.name": "odd"}, Existing: "adopt"},
		Batch:  batchSection{Interval: time.Second, MaxAge: 2 * time.Second, MaxBytes: 64 << 20},
		Apply:  applySection{Strategy: "merge", Sessions: 7, ParkedRetry: 5 * time.Second, Window: windowSpecs{"sat,sun 00:00-24:00", "mon 22:00-06:00 Europe/Berlin"}},
		Values: valuesSection{
			Oversize: "fail", UnboundedNumeric: "decimal", NaN: "fail", Infinity: "fail", OutOfRange: "fail", EmptyBytes: "fail",
			Accept: []string{"nan"},
		},
		Limits:  limitsSection{Memory: 1 << 30, SpoolDir: "/spool", Spool: 3 << 30},
		HTTP:    httpSection{Listen: "[::1]:80", WebConfig: "w.yaml"},
		Logging: loggingSection{Level: "warn", Format: "console"},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	for _, s := range settings() {
		each(reflect.ValueOf(want), s.key, "", func(key string, v reflect.Value) {
			if v.IsZero() && !s.pending && key != "apply.check_counts" {
				t.Errorf("this test leaves %s out", key)
			}
		})
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	got := strings.Join(faults(t, `
pipeline: "Shop!"
sourc: {}
Limits: {memory: 1GiB}
parallelism: 3
source:
  dns: postgres://x:canary@db
  dsn: ""
  slot: Bad-Slot
  slot_timeout: 1ms
  publication: {mode: automatic}
  tables: {include: []}
snapshot: {mode: sometimes, parallelism: 99, file_bytes: 1kB, window: [always], rows_per_second: -5, lsn: now}
log: {url: http://lake, compression: lz4, retention: 5ms, endpoint: {}}
redshift: {dsn: [canary, x], iam_role: "", session: {statement_timeout: soon}, grants: [{to: group bi}, {to: bi, privileges: [insert]}]}
target: {existing: drop, schemas: [canary], case_sensitive: maybe}
batch: {interval: 1ms, max_age: 2h, max_bytes: 1B}
apply: {strategy: magic, sessions: 0, check_counts: perhaps, parked_retry: 1ms}
values: {nan: zero}
tables: [{match: "", columns: {note: {nan: x, nna: fail}}}, 7]
limits: {memory: "1:canary@x"}
http: {listen: nowhere}
logging: {level: loud, format: xml}
`), "\n") + "\n"
	for _, want := range []string{
		`unknown key "sourc": did you mean source?`, `unknown key "source.dns": did you mean source.dsn?`,
		`unknown key "Limits": did you mean limits?`, `unknown key "parallelism": did you mean snapshot.parallelism?`,
		`unknown key "tables[0].columns[note].nna": did you mean tables[0].columns[note].nan?`,
		`pipeline: "Shop!" is not 1 to 41 of`, "source.dsn: must be set", `source.slot: "Bad-Slot" is not`,
		`source.slot_timeout: "1ms" is not at least 1s`,
		`source.publication.mode: "automatic" is not one of existing, managed`, "source.tables.include: must name",
		`snapshot.mode: "sometimes" is not one of initial, only, never`, "snapshot.parallelism: 99 is not between 1 and 32",
		`snapshot.file_bytes: "1kB" is not between 1MiB and 1GiB`, `snapshot.rows_per_second: -5 is not 0 (no limit) or at least 1`,
		`snapshot.window[0]: "always" is not [days] HH:MM-HH:MM`, `snapshot.lsn: "now" is not a position`,
		`log.url: "http://lake" is not s3://bucket/prefix`, "log.region: must be set", `log.compression: "lz4" is not one of zstd, gzip`,
		`log.retention: "5ms" is not 0s (for ever) or at least 1s`, "log.endpoint: want text",
		"redshift.dsn: want text", `redshift.iam_role: "" is not default or`,
		`redshift.session.statement_timeout: "soon" is not a duration such as`,
		`redshift.grants[1].to: "bi" is not user NAME, group NAME`,
		`redshift.grants[1].privileges[0]: "insert" is not one of select`,
		`target.existing: "drop" is not one of refuse, truncate, adopt`, "target.schemas: want a section", `target.case_sensitive: "maybe" is not true or false`,
		`batch.interval: "1ms" is not between 100ms and 1h`, `batch.max_age: "2h" is not between 100ms and 1h`,
		`batch.max_bytes: "1B" is not between 1MiB and 16GiB`,
		`apply.strategy: "magic" is not one of auto, merge, delete_insert`, "apply.sessions: 0 is not between 1 and 32",
		`apply.check_counts: "perhaps" is not true or false`, "limits.memory: want a size such as 512MiB",
		`apply.parked_retry: "1ms" is not between 1s and 24h`,
		`values.nan: "zero" is not one of set_null, fail`,
		"tables[0].match: must be set, for instance public.orders", `tables[0].columns[note].nan: "x" is not one of set_null, fail`,
		"tables[1]: want a section of keys and values",
		`http.listen: "nowhere" is not host:port`, `logging.level: "loud" is not one of`, `logging.format: "xml" is not one of`,
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
redshift: {dsn: "postgres://u:canary%@dw/x", session: {statement_timeout: 1500us}}
target: {schemas: {public: walshift}}
batch: {interval: 30s, max_age: 5s}
`)
	text := strings.Join(got, "\n")
	for _, want := range []string{
		"source.dsn is not a valid connection string", `log: log url "s3://lake/a//b"`, `log: endpoint "lake.local"`,
		"redshift.dsn can't be parsed", `redshift.session.statement_timeout is 1.5ms`, "target.schemas: public: schema walshift",
		"batch.max_age: 5s is not between batch.interval (30s) and 1h",
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
	if want := []string{
		"environment variable WALSHIFT_NO_SUCH_A is not set (source.tables.include[0])",
		"environment variable WALSHIFT_NO_SUCH_B is not set (log.region, source.dsn)",
	}; !slices.Equal(got, want) {
		t.Errorf("report: %q\nwant %q", got, want)
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
		"target: {schemas: %}", "snapshot: {mode: %}", "snapshot: {parallelism: %}", "snapshot: {window: %}", "snapshot: {window: [%]}",
		"apply: {parked_retry: %}", "values: {nan: %}", "tables: %", "tables: [{match: a, columns: {b: {nan: %}}}]",
		"redshift: {grants: [{to: %}]}", "source: {slot: %}", "log: {endpoint: %}", "pipeline: %",
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
