package deploy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/walshift/walshift/test/world"
)

// exposed returns the types of a scrape's own metrics, of those that have
// samples.
func exposed(scrape string) map[string]string {
	out := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (walshift_\w+) (\w+)$`).FindAllStringSubmatch(scrape, -1) {
		out[m[1]] = m[2]
	}
	return out
}

// TestScrapeOfARunningDaemon: after some traffic a daemon exposes exactly what
// docs/metrics.md lists, promtool has nothing to say against it, the figures
// are those of the traffic, and looking sends nobody a statement.
func TestScrapeOfARunningDaemon(t *testing.T) {
	t.Parallel()
	w, err := world.Start(t.Context(), world.Config{
		DDL:      `CREATE TABLE orders (id int PRIMARY KEY, note text); CREATE TABLE events (id int PRIMARY KEY);`,
		Settings: map[string]string{"max_slot_wal_keep_size": "1GB", "log_statement": "all"},
	})
	t.Cleanup(func() {
		if err := w.Stop(); err != nil {
			t.Errorf("stopping the world: %v", err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if err := w.SQL(ctx, "INSERT INTO orders SELECT i, 'first' FROM generate_series(1, 100) i"); err != nil {
		t.Fatal(err)
	}
	d, err := w.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.UntilStreaming(ctx); err != nil {
		t.Fatal(err)
	}
	err = w.SQL(ctx, "INSERT INTO orders VALUES (101, 'a'), (102, 'b')", "UPDATE orders SET note = 'c' WHERE id = 1",
		"DELETE FROM orders WHERE id = 2", "TRUNCATE events")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WaitApplied(ctx, 2*time.Minute); err != nil {
		t.Fatal(err)
	}
	slotSeen := func(s world.Status) bool { return strings.Contains(scrape(t, d), "\nwalshift_slot_active 1\n") }
	if err := d.Until(ctx, "the slot has been looked at", slotSeen); err != nil {
		t.Fatal(err)
	}

	text := scrape(t, d)
	promtool(t, text, "check", "metrics")
	docs, found := documented(t), exposed(text)
	for name, kind := range docs {
		if found[name] != kind {
			t.Errorf("%s is documented as %s, and exposed as %q", name, kind, found[name])
		}
	}
	for name := range found {
		if _, ok := docs[name]; !ok {
			t.Errorf("%s is exposed and not documented", name)
		}
	}
	for _, line := range []string{
		`walshift_table_changes_total{operation="insert",table="public.orders"} 2`,
		`walshift_table_changes_total{operation="update",table="public.orders"} 1`,
		`walshift_table_changes_total{operation="delete",table="public.orders"} 1`,
		`walshift_table_changes_total{operation="truncate",table="public.events"} 1`,
		`walshift_table_live{table="public.orders"} 1`,
		`walshift_tables{state="live"} 2`,
		`walshift_tables{state="stopped"} 0`,
		`walshift_loaded_rows_total 100`,
		`walshift_lag_transactions{stage="applied"} 0`,
		`walshift_state{state="ok"} 1`,
		`walshift_slot_active 1`,
		fmt.Sprintf("walshift_slot_limit_bytes %v", float64(1<<30)),
		`walshift_memory_limit_bytes 5.36870912e+08`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("the scrape lacks %s", line)
		}
	}
	for _, positive := range []string{
		`walshift_redshift_statements_total{statement="copy"}`, `walshift_redshift_statements_total{statement="commit"}`,
		`walshift_redshift_statement_seconds_count{statement="copy"}`, `walshift_redshift_connections_total{result="ok"}`,
		`walshift_s3_requests_total{operation="PutObject",result="ok"}`, `walshift_apply_seconds_count`,
		`walshift_batch_seal_seconds_count`, `walshift_segment_upload_seconds_count`, `walshift_lsn_bytes{position="applied"}`,
		`walshift_source_last_seen_timestamp_seconds`, `walshift_table_last_change_timestamp_seconds{table="public.orders"}`,
	} {
		m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(positive) + ` ([0-9.e+]+)$`).FindStringSubmatch(text)
		if m == nil || m[1] == "0" {
			t.Errorf("%s is %q, want more than 0", positive, m)
		}
	}
	lookingIsFree(t, w, d)
	statusSaysIt(ctx, t, w, d)
}

// statusSaysIt reads the status as people and scripts do, before and after
// Redshift goes away.
func statusSaysIt(ctx context.Context, t *testing.T, w *world.World, d *world.Daemon) {
	t.Helper()
	show := func(args ...string) string {
		t.Helper()
		out, code, err := w.Command(ctx, append([]string{"status"}, args...)...)
		if err != nil || code != 0 {
			t.Fatalf("status %q: exit code %d, %v\n%s", args, code, err, out)
		}
		return out
	}
	text := show()
	for _, want := range []string{"pipeline shop: ok\ncaught up\n", "held by pid ", "limit 1.0 GiB", "public.orders  live"} {
		if !strings.Contains(text, want) {
			t.Errorf("status lacks %q:\n%s", want, text)
		}
	}
	var parsed struct{ Pipeline, Summary string }
	if err := json.Unmarshal([]byte(show("--json")), &parsed); err != nil || parsed.Pipeline != "shop" || parsed.Summary != "caught up" {
		t.Errorf("status --json: %+v, %v", parsed, err)
	}
	if err := w.HaltTarget(); err != nil {
		t.Fatal(err)
	}
	if err := w.SQL(ctx, "INSERT INTO orders VALUES (1000, 'late')"); err != nil {
		t.Fatal(err)
	}
	waits := regexp.MustCompile(`waiting for Redshift: connection refused, (next try in \d+ s|trying now)\n`)
	err := d.Until(ctx, "it waits for Redshift", func(s world.Status) bool { return s.State == "waiting" && waits.MatchString(show()) })
	if err != nil {
		t.Fatalf("%v\n%s", err, show())
	}
	if text := scrape(t, d); !strings.Contains(text, "\nwalshift_state{state=\"waiting\"} 1\n") ||
		strings.Contains(text, "\nwalshift_waiting_seconds{part=\"apply\"} 0\n") {
		t.Error("the metrics do not say that apply waits")
	}
	if err := w.RestartTarget(ctx); err != nil {
		t.Fatal(err)
	}
	if err := d.Until(ctx, "it does not wait any more", func(s world.Status) bool { return s.State == "ok" }); err != nil {
		t.Fatal(err)
	}
}

func scrape(t *testing.T, d *world.Daemon) string {
	t.Helper()
	code, body, err := d.Get(t.Context(), "/metrics")
	if err != nil || code != 200 {
		t.Fatalf("scraping: HTTP status %d, %v", code, err)
	}
	return string(body)
}

// lookingIsFree scrapes and asks for the status many times, and counts what
// source and warehouse have got meanwhile: what the daemon sends anyway every
// ten seconds, and nothing that grows with the looks (promise P8).
func lookingIsFree(t *testing.T, w *world.World, d *world.Daemon) {
	t.Helper()
	const looks = 200
	sourceStatements := func() int {
		log, err := w.PG.Log()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(log, "statement: ") + strings.Count(log, "execute ")
	}
	source, target := sourceStatements(), w.Target.Stats().Statements
	for range looks {
		scrape(t, d)
		for _, path := range []string{"/status", "/healthz", "/readyz"} {
			if _, _, err := d.Get(t.Context(), path); err != nil {
				t.Fatal(err)
			}
		}
	}
	// A batch of a keepalive may have been applied meanwhile; looks sent one
	// statement each would be 800.
	if n := sourceStatements() - source; n > looks/4 {
		t.Errorf("%d looks sent the source %d statements", 4*looks, n)
	}
	if n := w.Target.Stats().Statements - target; n > looks/4 {
		t.Errorf("%d looks sent Redshift %d statements", 4*looks, n)
	}
}
