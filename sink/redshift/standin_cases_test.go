package redshift_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"github.com/walshift/walshift/checkpoint"
	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift"
	standin "github.com/walshift/walshift/test/redshift"
)

// pipeline is a replicated set of models.
type pipeline struct {
	h      *house
	w      *redshift.Warehouse
	models []*model
	seq    uint64
}

const loadedAt = pglogrepl.LSN(0x100)

// load begins the pipeline with rows in its tables and makes it live.
func (h *house) load(t *testing.T, r *rand.Rand, w *redshift.Warehouse) *pipeline {
	t.Helper()
	ctx := t.Context()
	p := &pipeline{h: h, w: w, models: models(), seq: 1}
	begin := redshift.Start{Epoch: 1, Seq: 1, X: loadedAt}
	for _, m := range p.models {
		begin.Rels = append(begin.Rels, &m.rel)
	}
	if err := w.Check(ctx, begin.Rels); err != nil {
		t.Fatal(err)
	}
	if err := w.Begin(ctx, begin); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Arrive(ctx, 2); err != nil {
		t.Fatal(err)
	}
	for _, m := range p.models {
		m.rows = make(map[string][]string)
		var rows [][]string
		taken := make(map[string]bool)
		for range 8 {
			row := m.fresh(r, taken)
			rows = append(rows, row)
			m.rows[m.id(row)] = row
		}
		f := change.File{Kind: change.KindInsert, Columns: m.attnums(m.all()...), Pad: len(m.rel.Columns) == 1}
		n, err := w.Load(ctx, &m.rel, loadedAt, []change.File{h.file(t, f, rows[:3]), h.file(t, f, rows[3:])})
		if err != nil || n != 8 {
			t.Fatalf("loading %s: %d rows, %v", m.rel.Name, n, err)
		}
		m.compare(t, h)
	}
	if err := w.GoLive(ctx); err != nil {
		t.Fatal(err)
	}
	return p
}

// batch makes a batch with random segments.
func (p *pipeline) batch(t *testing.T, r *rand.Rand) *change.Manifest {
	t.Helper()
	p.seq++
	m := &change.Manifest{
		Seq: p.seq, Prev: change.LSN(p.seq-1) * 0x100, Begin: change.LSN(p.seq-1) * 0x100, End: change.LSN(p.seq) * 0x100,
		LastCommit: time.Date(2026, 11, 22, 18, 0, 0, int(p.seq)*1000, time.UTC),
	}
	for range r.IntN(4) {
		if s := p.models[r.IntN(len(p.models))].segment(t, p.h, r); s.Truncate || len(s.Files) > 0 {
			m.Segments = append(m.Segments, s)
		}
	}
	return m
}

// run makes a run of n batches.
func (p *pipeline) run(t *testing.T, r *rand.Rand, n int) redshift.Run {
	t.Helper()
	run := redshift.Run{After: p.seq}
	for range n {
		run.Batches = append(run.Batches, p.batch(t, r))
	}
	return run
}

func (p *pipeline) compare(t *testing.T) {
	t.Helper()
	for _, m := range p.models {
		m.compare(t, p.h)
	}
	for _, row := range p.h.rows(t, `SELECT "table", applied_lsn, state FROM walshift.freshness`) {
		if row[1] != pglogrepl.LSN(p.seq*0x100).String() || row[2] != "live" {
			t.Fatalf("freshness %q at batch %d", row, p.seq)
		}
	}
	if left := p.h.rows(t, `SELECT relname FROM pg_class WHERE relname LIKE 'stg_%' OR relname LIKE '\\_walshift%'`); len(left) > 0 {
		t.Fatalf("tables are left: %q", left)
	}
}

// applyFollowsTheModel: whatever a run of batches holds, the targets are
// what the source has become (P1, R1 to R5, W3, W4, W5, W7, W15).
func applyFollowsTheModel(t *testing.T, h *house) {
	t.Helper()
	for seed, strategy := range []redshift.Strategy{redshift.StrategyAuto, redshift.StrategyMerge} {
		t.Run(string(strategy), func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(seed), 7))
			w := h.warehouse(t, func(c *redshift.Config) {
				c.Strategy, c.Pipeline = strategy, "p_"+string(strategy)
			})
			p := h.load(t, r, w)
			for range 15 {
				run := p.run(t, r, 1+r.IntN(3))
				if _, err := w.Apply(t.Context(), run); err != nil {
					t.Fatal(err)
				}
				for _, m := range p.models {
					m.compare(t, h)
				}
			}
			if _, err := w.Teardown(t.Context(), true); err != nil { // make room for the next strategy
				t.Fatal(err)
			}
		})
	}
}

// faultsOnTheWay (A2, A11, W10, W12): whatever strikes, arriving and
// applying again leads to the same rows.
func faultsOnTheWay(t *testing.T, h *house) {
	t.Helper()
	r := rand.New(rand.NewPCG(3, 3))
	// Numbers goes by MERGE, the others share staging tables.
	w := h.warehouse(t, func(c *redshift.Config) { c.Strategy = redshift.StrategyMerge })
	p := h.load(t, r, w)
	p.compare(t)
	faults := []standin.Fault{
		{At: standin.BeforeStatement, Do: standin.Serialization, Match: "LOCK TABLE"},
		{At: standin.BeforeStatement, Do: standin.NewerRelation, Match: "MERGE"},
		{At: standin.BeforeStatement, Do: standin.Deadlock, Match: "DELETE FROM"},
		{At: standin.BeforeStatement, Do: standin.Cut, Match: "COPY"},
		{At: standin.AfterStatement, Do: standin.Cut, Match: "INSERT INTO"},
		{At: standin.BeforeCommit, Do: standin.Cut, Match: "fence_shop"},
		{At: standin.AfterCommit, Do: standin.Cut, Match: "fence_shop"},
		{At: standin.AfterCommit, Do: standin.Cut, Match: "stg_"},
	}
	for i, f := range faults {
		f.Name = fmt.Sprint(i)
		run := p.run(t, r, 4)
		h.faults.Add(f)
		_, err := w.Apply(t.Context(), run)
		for tries := 0; err != nil; tries++ {
			if change.ScopeOf(err) != change.ScopeRetry || tries > 5 {
				t.Fatalf("fault %+v: %v", f, err)
			}
			w.Reset(t.Context())
			var st redshift.State
			if st, err = w.Arrive(t.Context(), 2); err != nil {
				continue
			}
			if st.Seq == p.seq {
				break // applied, and only the answer was lost for good
			}
			_, err = w.Apply(t.Context(), run)
		}
		if h.faults.Fired(f.Name) == 0 {
			t.Logf("fault %+v had no occasion", f)
		}
		h.faults.Clear()
		p.compare(t)
		h.server.DropIdle()
		h.reader, err = pgx.Connect(t.Context(), h.dsn())
		if err != nil {
			t.Fatal(err)
		}
	}
}

// takeover: a successor raises the epoch; its predecessor writes nothing
// more, wherever it stood.
func takeover(t *testing.T, h *house) {
	t.Helper()
	r := rand.New(rand.NewPCG(5, 5))
	old := h.warehouse(t, nil)
	p := h.load(t, r, old)
	run := p.run(t, r, 2)
	successor := h.warehouse(t, nil)
	st, err := successor.Arrive(t.Context(), 9)
	if err != nil || st.Seq != run.After || len(st.Tables) != len(p.models) || st.Tables[0].State != checkpoint.Live {
		t.Fatalf("state %+v, %v", st, err)
	}
	if _, err := old.Apply(t.Context(), run); change.ScopeOf(err) != change.ScopeFatal {
		t.Fatalf("the predecessor applied: %v", err)
	}
	if _, err := successor.Apply(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	p.compare(t)
}

// frozenZombieLosesItsLock: a predecessor that stands still inside its
// transaction is ended by its successor.
func frozenZombieLosesItsLock(t *testing.T, h *house) {
	t.Helper()
	r := rand.New(rand.NewPCG(6, 6))
	old := h.warehouse(t, nil)
	p := h.load(t, r, old)
	run := p.run(t, r, 2)
	h.faults.Add(standin.Fault{
		Name: "freeze", At: standin.BeforeStatement, Do: standin.Delay, Delay: time.Hour, Match: "UPDATE \"walshift\".\"positions_shop\"",
	})
	ctx, thaw := context.WithCancel(t.Context())
	defer thaw()
	frozen := make(chan error, 1)
	go func() {
		_, err := old.Apply(ctx, run)
		frozen <- err
	}()
	for h.faults.Fired("freeze") == 0 {
		select {
		case err := <-frozen:
			t.Fatalf("not frozen: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
	successor := h.warehouse(t, func(c *redshift.Config) { c.LockWait = 300 * time.Millisecond })
	if st, err := successor.Arrive(t.Context(), 9); err != nil || st.Seq != run.After {
		t.Fatalf("state %+v, %v", st, err)
	}
	thaw() // its session is gone: whatever it does now
	if err := <-frozen; err == nil {
		t.Fatal("the zombie applied")
	}
	if _, err := successor.Apply(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	p.compare(t)
}

// editedTargetStops (V18, V22): rows that somebody else changed are found
// by their number, the table stops, and the others go on.
func editedTargetStops(t *testing.T, h *house) {
	t.Helper()
	r := rand.New(rand.NewPCG(8, 8))
	w := h.warehouse(t, nil)
	p := h.load(t, r, w)
	m := p.models[0]
	h.rows(t, `DELETE FROM shop.numbers`)
	run := p.run(t, r, 1)
	var deletes [][]string
	for _, row := range m.rows {
		deletes = append(deletes, []string{row[0], row[2]})
	}
	run.Batches[0].Segments = []change.SegmentFiles{{Relation: m.rel, Files: []change.File{
		h.file(t, change.File{Kind: change.KindDelete, Columns: m.attnums(0, 2)}, deletes),
	}}}
	_, err := w.Apply(t.Context(), run)
	if change.ScopeOf(err) != change.ScopeTable {
		t.Fatalf("error %v", err)
	}
	if err := w.Stop(t.Context(), m.rel.OID, err.Error()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Apply(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	st, err := w.Peek(t.Context())
	if err != nil || st.Tables[0].State != checkpoint.Stopped || st.Tables[0].Applied != loadedAt ||
		st.Tables[1].Applied != st.Applied || !strings.Contains(st.Tables[0].Reason, "rows instead of") {
		t.Fatalf("state %+v, %v", st, err)
	}
}

// badFileExplained: what COPY refuses is told with column and line, never
// with the value.
func badFileExplained(t *testing.T, h *house) {
	t.Helper()
	r := rand.New(rand.NewPCG(9, 9))
	w := h.warehouse(t, nil)
	p := h.load(t, r, w)
	m := p.models[0]
	b := p.batch(t, r)
	bad := []string{"77", "note", "1.00", "2026-11-22 10:00:00+00", "t", strings.Repeat("secret", 20)}
	for _, kind := range []change.Kind{change.KindInsert, change.KindUpsert} {
		b.Segments = []change.SegmentFiles{{Relation: m.rel, Files: []change.File{
			h.file(t, change.File{Kind: kind, Columns: m.attnums(m.all()...)}, [][]string{bad}),
		}}}
		_, err := w.Apply(t.Context(), redshift.Run{After: 1, Batches: []*change.Manifest{b}})
		if change.ScopeOf(err) != change.ScopeTable || !strings.Contains(err.Error(), `column "body"`) ||
			!strings.Contains(err.Error(), "load error 1204") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// interruptedLoadStartsOver: what a first load left is gone after Begin,
// and a target that is somebody else's stays and is refused.
func interruptedLoadStartsOver(t *testing.T, h *house) {
	t.Helper()
	w := h.warehouse(t, nil)
	m := models()
	begin := redshift.Start{Epoch: 1, Seq: 1, X: loadedAt, Rels: []*change.Relation{&m[0].rel, &m[1].rel}}
	for round := range 2 {
		if err := w.Check(t.Context(), begin.Rels); err != nil {
			t.Fatal(round, err)
		}
		if err := w.Begin(t.Context(), begin); err != nil {
			t.Fatal(round, err)
		}
		if _, err := w.Arrive(t.Context(), 7); err != nil {
			t.Fatal(round, err)
		}
		if _, err := w.Load(t.Context(), &m[0].rel, loadedAt, nil); err != nil {
			t.Fatal(round, err)
		}
		h.faults.Add(standin.Fault{Name: "cut", At: standin.BeforeStatement, Do: standin.Cut, Match: "RENAME"})
		if _, err := w.Load(t.Context(), &m[1].rel, loadedAt, nil); change.ScopeOf(err) != change.ScopeRetry {
			t.Fatal(round, err)
		}
		h.faults.Clear()
		if n := len(h.rows(t, `SELECT relname FROM pg_class WHERE relname LIKE '\\_walshift\\_%'`)); n != 1 {
			t.Fatalf("%d shadows", n)
		}
	}
	h.rows(t, `CREATE TABLE shop.documents (mine INTEGER)`)
	if err := w.Check(t.Context(), begin.Rels); err == nil || !strings.Contains(err.Error(), "shop.documents exists already") {
		t.Fatalf("error %v", err)
	}
	if _, err := w.Load(t.Context(), &m[1].rel, loadedAt, nil); change.ScopeOf(err) != change.ScopeTable {
		t.Fatalf("error %v", err)
	}
	if rows := h.rows(t, `SELECT mine FROM shop.documents`); len(rows) != 0 {
		t.Fatal("the other's table was touched")
	}
}

// largeValues (W7): documents above 64 KB are written whole, and stay what they
// are where an update does not carry them.
func largeValues(t *testing.T, h *house) {
	t.Helper()
	r := rand.New(rand.NewPCG(10, 10))
	w := h.warehouse(t, nil)
	p := h.load(t, r, w)
	m := p.models[1]
	large := "[" + strings.Repeat(`"0123456789",`, 10_000) + "1]"
	m.rows = map[string][]string{"big": {large, "big", "00", "a"}}
	run := p.run(t, r, 1)
	m.rows = map[string][]string{"big": {large, "big", "00", "b"}}
	run.Batches[0].Segments = []change.SegmentFiles{{Relation: m.rel, Truncate: true, Files: []change.File{
		h.file(t, change.File{Kind: change.KindInsert, Columns: m.attnums(m.all()...)}, [][]string{{large, "big", "00", "a"}}),
	}}, {Relation: m.rel, Files: []change.File{
		h.file(t, change.File{Kind: change.KindUpsert, Columns: m.attnums(m.all()...), Existed: 1}, [][]string{m.rows["big"]}),
	}}}
	if _, err := w.Apply(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	m.compare(t, h)
	run = p.run(t, r, 1)
	run.Batches[0].Segments = []change.SegmentFiles{{Relation: m.rel, Files: []change.File{
		h.file(t, change.File{
			Kind: change.KindPartial, Columns: m.attnums(m.all()...), Origin: m.attnums(1), KeptColumns: m.attnums(0), Existed: 1, Kept: 1,
		}, [][]string{{null, "big", "00", "c", "big", "1"}}),
	}}}
	if _, err := w.Apply(t.Context(), run); err != nil {
		t.Fatalf("error %.3000v", err)
	}
	m.rows = map[string][]string{"big": {large, "big", "00", "c"}}
	m.compare(t, h)
}
