package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/walshift/walshift/checkpoint"
	"github.com/walshift/walshift/replicator"
	"github.com/walshift/walshift/replicator/change"
)

// golden compares text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test ./cmd/walshift -update rewrites it); got\n%s", name, got)
	}
}

func at(text string) time.Time {
	v, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return v
}

// fullStatus has every field that a status may have.
func fullStatus() replicator.Status {
	started := at("2026-03-01T02:00:00Z")
	return replicator.Status{
		Pipeline: "shop", Phase: replicator.PhaseStreaming, State: replicator.StateOK, Summary: "replicating",
		Waiting: []replicator.Waiting{}, StartedAt: started, Uptime: 26*time.Hour + 5*time.Minute,
		Loops: []replicator.Loop{
			{Name: "capture", Seconds: 0.2, LimitSeconds: 300}, {Name: "apply", Seconds: 4, LimitSeconds: 7200},
		},
		ServerLSN: 0x16B374D848, CapturedLSN: 0x16B374D000, StagedLSN: 0x16B3700000, AppliedLSN: 0x16B3000000,
		StagedSeq: 8123, AppliedSeq: 8120, AppliedKnown: true,
		LagBytes: 7657544, LagTransactions: 1240, LagSeconds: 21.4,
		Lag: replicator.Lags{
			Captured: replicator.StageLag{Bytes: 2120},
			Staged:   replicator.StageLag{Bytes: 317512, Transactions: 40, Seconds: 3.21},
			Applied:  replicator.StageLag{Bytes: 7657544, Transactions: 1240, Seconds: 21.4},
		},
		Rates:          replicator.Rates{WAL: 1.25e6, Captured: 1.25e6, Applied: 1.5e6},
		CatchUpSeconds: new(30.6),
		Slot: replicator.SlotStatus{
			Known: true, RetainedBytes: 16 << 20, LimitBytes: new(int64(10 << 30)), SafeBytes: new(int64(10<<30 - 16<<20)),
			LimitSeconds: new(9000.0), ConfirmedFlush: 0x16B3700000, WALStatus: "reserved", ActivePID: 4711, CatalogXminAge: 1234,
		},
		SourceSeen: new(started.Add(26*time.Hour + 4*time.Minute + 55*time.Second)),
		Memory:     replicator.Memory{UsedBytes: 123 << 20, LimitBytes: 512 << 20},
		Spool:      replicator.SpoolStatus{Streaming: true, Bytes: 3 << 30, LimitBytes: 50 << 30, Transactions: 2},
		Tables: []replicator.TableStatus{
			{
				Name: "public.customers", OID: 1, State: checkpoint.Live, RowsLoaded: 1200345, RowsEstimated: 1200000,
				Changes: change.Counts{Inserts: 12034, Updates: 3, Deletes: 1}, LastChange: new(started.Add(26 * time.Hour)),
			},
			{Name: "public.orders", OID: 2, State: checkpoint.Live, RowsLoaded: 0, Changes: change.Counts{Truncates: 2}},
		},
	}
}

// troubled is a status with much that is wrong.
func troubled() replicator.Status {
	st := fullStatus()
	fault := "connecting to Redshift: password authentication failed (SQLSTATE 28P01)"
	st.State = replicator.StateParked
	st.Problem, st.Remedy = fault+" (remedy: correct user and password in redshift.dsn)", "correct user and password in redshift.dsn"
	st.Summary = "waiting for Redshift: login refused, next try in 20 s"
	st.Waiting = []replicator.Waiting{{Part: replicator.PartApply, For: "Redshift", Why: "login refused", Error: st.Problem, Seconds: 754, Tries: 13}}
	st.AppliedKnown, st.CatchUpSeconds, st.AppliedLSN = false, nil, 0
	st.Slot.ActivePID, st.Slot.WALStatus = 0, "extended"
	st.Slot.LimitSeconds, st.Slot.LimitBytes, st.Slot.SafeBytes = nil, nil, nil
	st.SourceSeen = new(st.StartedAt.Add(25 * time.Hour))
	st.Spool = replicator.SpoolStatus{LimitBytes: 50 << 30, Reason: "limits.spool is 0"}
	reason := "following the schema of table public.ledger: column \"amount\" numeric(12,2) became text"
	remedy := "undo the change, or run `walshift teardown` and start afresh to load the table in its new form"
	st.Tables = append(st.Tables, replicator.TableStatus{
		Name: "public.ledger", State: checkpoint.Stopped, Reason: reason + " (remedy: " + remedy + ")", Remedy: remedy,
	})
	return st
}

func loadingStatus() replicator.Status {
	st := fullStatus()
	st.Phase, st.State, st.Summary = replicator.PhaseLoading, replicator.StateLoading, "loading: 1 of 3 tables done"
	st.AppliedKnown, st.CatchUpSeconds = false, nil
	st.Tables[0].State, st.Tables[0].RowsLoaded = checkpoint.Loading, 612000
	st.Tables[1].State = checkpoint.Loaded
	st.Tables = append(st.Tables, replicator.TableStatus{Name: `public."Odd name"`, State: checkpoint.Loading, RowsLoaded: 9000, RowsEstimated: -1})
	return st
}

func TestRenderStatus(t *testing.T) {
	t.Parallel()
	empty := replicator.Status{Pipeline: "shop", State: replicator.StateStarting, Summary: "starting", StartedAt: at("2026-03-01T02:00:00Z")}
	for name, c := range map[string]struct {
		st replicator.Status
		v  statusView
	}{
		"plain":            {fullStatus(), statusView{}},
		"terminal":         {fullStatus(), statusView{Terminal: true, Color: true, Width: 120}},
		"narrow":           {fullStatus(), statusView{Terminal: true, Width: 60}},
		"loading-plain":    {loadingStatus(), statusView{}},
		"loading-terminal": {loadingStatus(), statusView{Terminal: true, Width: 120}},
		"trouble-plain":    {troubled(), statusView{}},
		"trouble-narrow":   {troubled(), statusView{Terminal: true, Color: true, Width: 50}},
		"short":            {troubled(), statusView{Terminal: true, Width: 120, Height: 22}},
		"starting":         {empty, statusView{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden(t, "testdata/status-"+name+".golden", renderStatus(&c.st, c.v))
		})
	}
}

// TestRenderFits: no line of prose leaves a terminal, whatever its width, and
// nothing but text goes to a file.
func TestRenderFits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		st := rapid.SampledFrom([]replicator.Status{fullStatus(), troubled(), loadingStatus()}).Draw(t, "status")
		width := rapid.IntRange(40, narrow-1).Draw(t, "width")
		for line := range strings.SplitSeq(renderStatus(&st, statusView{Terminal: true, Width: width}), "\n") {
			if n := utf8.RuneCountInString(line); n > max(width, 58) { // the table of stages needs that
				t.Errorf("%d columns in a terminal of %d: %q", n, width, line)
			}
		}
		if out := renderStatus(&st, statusView{}); strings.ContainsAny(out, "\x1b\r") || strings.Contains(out, "[#") {
			t.Errorf("escape sequences or bars in plain output: %q", out)
		}
	})
}

// TestOnScreen: the lines that a watch rewrites are cleared to their ends, and
// what stood below them too.
func TestOnScreen(t *testing.T) {
	t.Parallel()
	if got, want := onScreen("a\nb\n"), "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
