package source_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/source"
)

func TestConfigValidateReportsAll(t *testing.T) {
	t.Parallel()
	err := source.Config{
		DSN: "postgres://u:s3cr3t@h:notaport/db", Slot: "Bad-Slot", Include: []string{""}, ConnectTimeout: 1, ReadBuffer: 1,
	}.Validate()
	if err == nil {
		t.Fatal("Validate accepted nonsense")
	}
	for _, want := range []string{"source.dsn", "source.slot", "source.publication.name", "tables.include", "connect timeout", "read buffer"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q: %v", want, err)
		}
	}
	ok := source.Config{DSN: "host=/tmp dbname=x user=y", Slot: "s_1", Publication: "P"}
	if err := ok.Validate(); err != nil {
		t.Errorf("Validate: %v", err)
	}
}

func TestConfigNeverShowsPassword(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{
		"postgres://u:s3cr3t@h:notaport/db", "postgres://u:s3c%zzr3t@h/db?sslmode=s3cr3t",
		"host=h password=s3cr3t sslmode=nonsense", "password='s3cr3t", "postgres://a@u:s3cr3t@h:99999999/x",
	} {
		_, err := source.New(source.Config{DSN: dsn, Slot: "s", Publication: "p"})
		if err == nil {
			t.Errorf("New accepted %q", dsn)
		} else if strings.Contains(err.Error(), "s3c") {
			t.Errorf("password shown: %v", err)
		}
	}
	// A server that isn't there.
	s, err := source.New(source.Config{DSN: "host=127.0.0.1 port=1 user=u password=s3cr3t dbname=d", Slot: "s", Publication: "p"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.OpenCatalog(t.Context())
	if err == nil || strings.Contains(err.Error(), "s3c") || change.ScopeOf(err) != change.ScopeRetry {
		t.Errorf("OpenCatalog without a server: %v, scope %d", err, change.ScopeOf(err))
	}
}

func TestSelects(t *testing.T) {
	t.Parallel()
	cfg := source.Config{Include: []string{"public.*", `a.b."x`, "s?.t"}, Exclude: []string{"public.tmp*", "*.secret"}}
	for name, want := range map[string]bool{
		"public|orders": true, "public|tmp_1": false, "public|secret": false, "other|orders": false,
		"public|dots.in.name": true, `a.b|"x`: true, "s1|t": true, "s12|t": false, "public|": true, "publicx|y": false,
		"public|ünï*": true,
	} {
		schema, table, _ := strings.Cut(name, "|")
		if got := cfg.Selects(schema, table); got != want {
			t.Errorf("Selects(%q, %q) = %t", schema, table, got)
		}
	}
	if !(source.Config{}).Selects("any", "thing") {
		t.Error("an empty Include must select everything")
	}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code, routine string
		want          change.Scope
		is            error
	}{
		{"28P01", "", change.ScopeFatal, nil},
		{"42501", "", change.ScopeFatal, nil},
		{"57P03", "", change.ScopeRetry, nil},
		{"57P01", "", change.ScopeRetry, nil},
		{"53300", "", change.ScopeRetry, nil},
		{"08006", "", change.ScopeRetry, nil},
		{"XX000", "", change.ScopeRetry, nil},
		{"55P03", "", change.ScopeRetry, nil},
		{"58P01", "", change.ScopeFatal, source.ErrSlotLost},
		{"55006", "", change.ScopeRetry, source.ErrSlotActive},
		{"42704", "ReplicationSlotAcquire", change.ScopeFatal, source.ErrSlotMissing},
		{"42704", "get_publication_oid", change.ScopeFatal, source.ErrPublicationMissing},
		{"42710", "", change.ScopeFatal, source.ErrSlotExists},
		{"55000", "", change.ScopeFatal, nil},
		{"42601", "", change.ScopeFatal, nil},
	} {
		err := source.Classify("testing", &pgconn.PgError{Code: c.code, Routine: c.routine, Message: "m"})
		if change.ScopeOf(err) != c.want {
			t.Errorf("%s: scope %d, want %d", c.code, change.ScopeOf(err), c.want)
		}
		if c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %v is not %v", c.code, err, c.is)
		}
		var f *change.Fault
		if errors.As(err, &f) && f.Scope == change.ScopeFatal && f.Remedy == "" && c.code != "42601" {
			t.Errorf("%s: fatal without a remedy", c.code)
		}
	}
	if err := source.Classify("testing", nil); err != nil {
		t.Errorf("Classify(nil) = %v", err)
	}
}

func TestQueriesByVersion(t *testing.T) {
	t.Parallel()
	for major := 13; major <= 18; major++ {
		cat, slot, start := source.CatalogQuery(major), source.SlotQuery(major), source.StartCommand("s", `p"q'r`, major, true)
		if got := strings.Contains(cat, "p.rowfilter"); got != (major >= 15) {
			t.Errorf("%d: rowfilter asked for: %t", major, got)
		}
		if got := strings.Contains(slot, "two_phase"); got != (major >= 14) {
			t.Errorf("%d: two_phase asked for: %t", major, got)
		}
		if got := strings.Contains(slot, "invalidation_reason"); got != (major >= 17) {
			t.Errorf("%d: invalidation_reason asked for: %t", major, got)
		}
		if got := strings.Contains(start, "proto_version '2'"); got != (major >= 14) {
			t.Errorf("%d: %s", major, start)
		}
		if !strings.Contains(start, `publication_names '"p""q''r"'`) {
			t.Errorf("%d: publication badly quoted: %s", major, start)
		}
		if got := strings.Contains(start, "streaming 'on'"); got != (major >= 14) {
			t.Errorf("%d: streaming asked for: %t", major, got)
		}
		if plain := source.StartCommand("s", "p", major, false); strings.Contains(plain, "streaming") {
			t.Errorf("%d: streaming asked for: %s", major, plain)
		}
	}
}
