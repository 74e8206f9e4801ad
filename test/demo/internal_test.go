package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/walshift/walshift/test/demo/compare"
)

// interfaceOf serves what a daemon would.
func interfaceOf(t *testing.T, answers map[string]string) *daemon {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, found := answers[r.URL.Path]
		if !found {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		if _, err := w.Write([]byte(answer)); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	return &daemon{address: strings.TrimPrefix(server.URL, "http://")}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	d := interfaceOf(t, map[string]string{
		"/status": `{"state": "ok", "applied_lsn": "1/2C", "lag_transactions": 1234, "lag_seconds": 0.52, "added": [],
			"tables": [{"name": "public.a", "state": "live", "rows_loaded": 1000, "rows_estimated": 1200, "changes": {"inserts": 7, "updates": 5}},
			           {"name": "public.b", "state": "loading", "rows_loaded": 10, "rows_estimated": 99}]}`,
		"/metrics": "# HELP walshift_x y\nwalshift_loaded_rows_total 1e+06\nwalshift_applied_rows_total 17\n" +
			"walshift_applied_batches_total 9\nwalshift_warehouse_commits_total 4\nwalshift_staged_rows_total{kind=\"insert\"} 3\n",
	})
	s, err := d.status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.live() {
		t.Error("a table that is loading counts as live")
	}
	if s.applied() != 1<<32+0x2c {
		t.Errorf("applied is %s", s.applied())
	}
	if got := s.loadProgress(); got != "1,010 of about 1,299 rows, 1 of 2 tables live" {
		t.Errorf("the load's progress is %q", got)
	}
	if got := s.streamProgress(); got != "ok: 12 row changes, 1,234 transactions behind, lag 0.5 s" {
		t.Errorf("the stream's progress is %q", got)
	}
	s.Tables[1].State = tableLive
	if !s.live() {
		t.Error("two live tables count as not live")
	}
	if (&status{State: stateOK}).live() {
		t.Error("no tables count as live")
	}

	got, err := d.totals(t.Context())
	if want := (totals{rows: 1_000_017, batches: 9, commits: 4}); err != nil || got != want {
		t.Errorf("totals are %+v, %v", got, err)
	}
	if _, err := interfaceOf(t, nil).status(t.Context()); err == nil {
		t.Error("an error's body was taken for a status")
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	side := compare.Side{Rows: 1234567, Hash: strings.Repeat("ab", 32)}
	same := compare.Result{Table: compare.Table{Name: "accounts"}, Source: side, Target: side}
	other := same
	other.Table.Name, other.Target.Hash, other.Difference = "tellers", strings.Repeat("cd", 32), "row 7, tid = 8"

	var text strings.Builder
	err := report(&text, []compare.Result{same}, totals{rows: 5, batches: 6, commits: 7}, 1500*time.Millisecond)
	if err != nil || !strings.HasSuffix(text.String(), "\nidentical\n") || !strings.Contains(text.String(), "1,234,567") {
		t.Errorf("report of equal sides: %v\n%s", err, text.String())
	}

	text.Reset()
	err = report(&text, []compare.Result{same, other}, totals{}, time.Second)
	if err == nil || !strings.Contains(err.Error(), "table tellers differs: row 7, tid = 8") || strings.Contains(text.String(), "identical") {
		t.Errorf("report of different sides: %v\n%s", err, text.String())
	}
	if err := report(&text, nil, totals{}, time.Second); err == nil {
		t.Error("nothing compared counts as identical")
	}
}

func TestTerminalWithoutTTY(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	out := newTerminal(&text)
	out.step("step %d", 1)
	out.progress("too early")
	out.last = out.last.Add(-plainInterval)
	out.progress("progress %d", 2)
	out.end()
	if got := text.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "step 1") ||
		!strings.Contains(got, "progress 2") || strings.ContainsAny(got, "\r\033") {
		t.Errorf("wrote %q", got)
	}
}

func TestThousands(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -123456: "-123,456", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("%d is written %s", n, got)
		}
	}
}
