package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/walshift/walshift/test/world"
)

// checkReport is the documented JSON of `walshift check --json`.
type checkReport struct {
	Format   int            `json:"format"`
	Pipeline string         `json:"pipeline"`
	Result   string         `json:"result"`
	Counts   map[string]int `json:"counts"`
	Findings []struct {
		ID     string `json:"id"`
		Level  string `json:"level"`
		Table  string `json:"table"`
		Seen   string `json:"seen"`
		Remedy string `json:"remedy"`
	} `json:"findings"`
	Plan *struct {
		Summary string `json:"summary"`
		Rows    int64  `json:"rows"`
		Bytes   int64  `json:"bytes"`
		Tables  []struct {
			Table   string   `json:"table"`
			Target  string   `json:"target"`
			State   string   `json:"state"`
			Mode    string   `json:"mode"`
			Key     []string `json:"key"`
			Rows    int64    `json:"rows"`
			Bytes   int64    `json:"bytes"`
			Refused []string `json:"refused"`
		} `json:"tables"`
	} `json:"plan"`
}

// runCheck runs check --json, and makes sure that nothing has been changed.
func runCheck(t *testing.T, w *world.World, wantCode int) checkReport {
	t.Helper()
	before := everything(t, w)
	out, code, err := w.Command(t.Context(), "check", "--json")
	if err != nil || code != wantCode {
		t.Fatalf("exit code %d, want %d (%v)\n%s", code, wantCode, err, out)
	}
	if after := everything(t, w); !slices.Equal(before, after) {
		t.Errorf("something was changed: %s", world.Difference(before, after))
	}
	if code == 1 { // the error's line on stderr follows
		out = out[:strings.LastIndex(out, "walshift: ")]
	}
	var r checkReport
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, f := range r.Findings {
		if (f.Level == "fail") && f.Remedy == "" {
			t.Errorf("%s fails without a remedy: %s", f.ID, f.Seen)
		}
	}
	return r
}

// levels returns the level of each id, the gravest where there are several.
func (r *checkReport) levels() map[string]string {
	rank := []string{"pass", "skipped", "warn", "fail"}
	out := map[string]string{}
	for _, f := range r.Findings {
		if slices.Index(rank, f.Level) >= slices.Index(rank, out[f.ID]) {
			out[f.ID] = f.Level
		}
	}
	return out
}

func (r *checkReport) finding(id, table string) string {
	for _, f := range r.Findings {
		if f.ID == id && f.Table == table {
			return f.Level + ": " + f.Seen + " → " + f.Remedy
		}
	}
	return ""
}

// TestCheckGood: nothing fails in a world that setup has prepared, nothing is
// changed, the daemon starts; check agrees while it runs.
func TestCheckGood(t *testing.T) {
	t.Parallel()
	w := plainWorld(t, world.Config{DDL: mainDDL + ` ANALYZE items;`, Settings: map[string]string{"max_slot_wal_keep_size": "10GB"}})
	out, code, err := w.Command(t.Context(), "check")
	t.Logf("%s", out)
	if err != nil || code != 0 {
		t.Fatalf("exit code %d (%v)", code, err)
	}
	for _, want := range []string{
		"Source (PostgreSQL)\n  pass     source.connection ", "Log (S3)\n  pass     s3.connection ", "Warehouse (Redshift)\n  pass     redshift.connection ",
		"\nPlan\n  TABLE ", "  public.items     public.items     mirror        id    ~500 ", "inserts only", "\n  5 tables will be loaded, about ",
		"(4 never analyzed", "\nwarn: ", " 0 failed, ",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	r := runCheck(t, w, 0)
	if r.Format != 1 || r.Pipeline != world.Pipeline || r.Result != "warn" || r.Counts["fail"] != 0 || r.Plan == nil || len(r.Plan.Tables) != 5 {
		t.Errorf("%+v", r)
	}
	levels := r.levels()
	for id, level := range map[string]string{
		"source.replica_identity": "warn", // events has no key
		"source.publication":      "pass", "source.pooler": "pass", "source.slot": "pass", "s3.conditional_put": "pass", "s3.delete": "pass",
		"s3.lifecycle": "skipped", "redshift.copy": "pass", "redshift.privileges": "pass", "redshift.disk": "skipped", "redshift.writers": "pass",
	} {
		if levels[id] != level {
			t.Errorf("%s is %q, want %s: %s", id, levels[id], level, r.finding(id, ""))
		}
	}
	streaming(t, w)
	r = runningCheck(t, w)
	if r.Counts["fail"] != 0 || !strings.Contains(r.finding("source.slot", ""), "in use by process") ||
		!strings.Contains(r.finding("s3.log", ""), "under way") || !strings.Contains(r.Plan.Summary, "5 tables replicated already") {
		t.Errorf("beside the daemon: %+v", r)
	}
}

// runningCheck is runCheck beside a daemon, which changes things itself.
func runningCheck(t *testing.T, w *world.World) checkReport {
	t.Helper()
	out, code, err := w.Command(t.Context(), "check", "--json")
	var r checkReport
	if err != nil || code != 0 {
		t.Fatalf("exit code %d (%v)\n%s", code, err, out)
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestCheckFindsAll: each side has faults, all are named, the plan says what is
// refused, and run refuses by the same ids.
func TestCheckFindsAll(t *testing.T) {
	t.Parallel()
	w := plainWorld(t, world.Config{
		DDL: `CREATE TABLE good (id int PRIMARY KEY, tags text[]); CREATE TABLE folded ("Id" int, id int PRIMARY KEY);
			CREATE TABLE there (id int PRIMARY KEY); CREATE TABLE later (id int PRIMARY KEY); CREATE TABLE homeless (n int);
			CREATE TABLE hidden (id int PRIMARY KEY); ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;`,
	})
	superuser(t, w, `ALTER PUBLICATION walshift_shop DROP TABLE later, homeless`)
	superuser(t, w, `REVOKE SELECT ON good FROM `+w.Source.Replicator)
	execOn(t, w.TargetDSN(), `CREATE TABLE public.there (id int)`)
	held := leaveOpen(t, w)
	defer held()
	r := runCheck(t, w, 1)
	levels := r.levels()
	for id, want := range map[[2]string]string{
		{"source.privileges", "public.good"}:      `fail: no SELECT on "public"."good"`,
		{"source.row_security", "public.hidden"}:  "BYPASSRLS",
		{"source.unpublished", ""}:                `ALTER PUBLICATION "walshift_shop" ADD TABLE "public"."later";`,
		{"source.unpublished", "public.homeless"}: "the application's updates and deletes would fail",
		{"redshift.names", "public.folded"}:       `columns "Id" and "id" are one name`,
		{"redshift.target", "public.there"}:       "target public.there exists already",
		{"source.max_slot_wal_keep_size", ""}:     "no limit",
	} {
		if got := r.finding(id[0], id[1]); !strings.Contains(got, want) {
			t.Errorf("%s lacks %q: %s", id, want, got)
		}
	}
	if levels["redshift.copy"] != "pass" || r.Result != "fail" {
		t.Errorf("checks ended at the first fail: %v", levels)
	}
	if want := "0 tables will be loaded, about 0 B; 4 refused: public.folded, public.good, public.hidden, public.there"; r.Plan.Summary != want {
		t.Errorf("summary %q, want %q", r.Plan.Summary, want)
	}
	d := startDaemon(t, w)
	if err := d.Wait(within(t, 60*time.Second)); err == nil || d.ExitCode() != 1 {
		t.Errorf("run: %v", err)
	}
	for _, f := range r.Findings {
		if f.Level == "fail" && strings.HasPrefix(f.ID, "source.") && !strings.Contains(d.Log(), f.ID+" of "+f.Table) {
			t.Errorf("run does not refuse %s of %s", f.ID, f.Table)
		}
	}
}

// leaveOpen leaves a prepared transaction on the source.
func leaveOpen(t *testing.T, w *world.World) (end func()) {
	t.Helper()
	superuser(t, w, `BEGIN; INSERT INTO public.later VALUES (1); PREPARE TRANSACTION 'left behind'`)
	return func() { superuser(t, w, `ROLLBACK PREPARED 'left behind'`) }
}

// TestCheckUnreachable: an unreachable side is one fail, the rest of it is
// skipped, the other sides are checked.
func TestCheckUnreachable(t *testing.T) {
	t.Parallel()
	w := plainWorld(t, world.Config{DDL: `CREATE TABLE t (id int PRIMARY KEY);`})
	closed := "127.0.0.1:1"
	for side, section := range map[string][2]string{
		"source":   {"source", fmt.Sprintf("{dsn: %q}", "postgres://x@"+closed+"/shop?sslmode=disable")},
		"s3":       {"log", fmt.Sprintf("{url: %q, region: %q, endpoint: %q}", "s3://lake/test", "eu-central-1", "http://"+closed)},
		"redshift": {"redshift", fmt.Sprintf("{dsn: %q, iam_role: default}", "postgres://x@"+closed+"/dev?sslmode=disable")},
	} {
		w.Sections = map[string]string{section[0]: section[1]}
		r := runCheck(t, w, 1)
		passed := 0
		for _, f := range r.Findings {
			its := strings.HasPrefix(f.ID, side+".")
			switch {
			case its && f.ID == side+".connection" && f.Level == "fail":
			case its && f.Level != "skipped", !its && f.Level == "fail":
				t.Errorf("%s unreachable: %s is %s: %s", side, f.ID, f.Level, f.Seen)
			case f.Level == "pass":
				passed++
			}
		}
		if passed < 10 || r.Counts["fail"] != 1 || (side == "source") != (r.Plan == nil) {
			t.Errorf("%s unreachable: %d checks of the others pass, %v", side, passed, r.Counts)
		}
	}
	w.Sections = map[string]string{"batch": "{interval: never}"}
	if out, code, err := w.Command(context.WithoutCancel(t.Context()), "check"); code != 2 || err != nil {
		t.Errorf("bad configuration: exit code %d (%v)\n%s", code, err, out)
	}
}
