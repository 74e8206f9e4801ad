package e2e_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/test/redshift"
	"github.com/walshift/walshift/test/world"
)

// TestRandomWorkload is promise P1 itself: one writer commits random
// transactions on random tables and notes after each commit where the log
// stands and what the tables hold; at each applied LSN that the warehouse comes
// to, the tables hold there what they held at the last commit at or below it,
// while the daemon is killed, at random and at seams, and the warehouse fails.
// Every third round has three writers instead, and compares the end.
// WALSHIFT_SOAK_SECONDS says for how long, WALSHIFT_SEED repeats schema and
// statements. A failing round is shrunk to a short script.
func TestRandomWorkload(t *testing.T) { //nolint:tparallel // its rounds come one after the other
	t.Parallel()
	seconds := numberFrom(t, "WALSHIFT_SOAK_SECONDS", 150)
	seed := uint64(numberFrom(t, "WALSHIFT_SEED", int(time.Now().UnixNano()%1_000_000)))
	first := numberFrom(t, "WALSHIFT_ROUND", 0)
	t.Logf("WALSHIFT_SEED=%d for %d s", seed, seconds)
	deadline := time.Now().Add(time.Duration(seconds) * time.Second)
	for round := first; round == first || time.Now().Before(deadline); round++ {
		t.Run(fmt.Sprintf("round_%d", round), func(t *testing.T) {
			rd := newRound(t, rand.New(rand.NewPCG(seed, uint64(round))), round)
			rd.run(time.Now().Add(min(max(time.Until(deadline), 10*time.Second), 45*time.Second)))
		})
		if t.Failed() {
			return
		}
	}
}

// round is one random schema and what happens to it.
type round struct {
	t        *testing.T
	o        *chronicle
	w        *world.World
	faults   *redshift.Injector
	c        *rand.Rand // decides all that is not the writer's
	d        *world.Daemon
	sections map[string]string
	writers  int
	kills    int
	killed   time.Time
	loaded   []string // what to load, instead of random rows
}

// newRound draws a schema and settings, and loads it.
func newRound(t *testing.T, r *rand.Rand, number int) *round {
	t.Helper()
	o := newChronicle(randomSchema(r), r)
	c := rand.New(rand.NewPCG(r.Uint64(), 3))
	rd := &round{t: t, o: o, c: c, faults: new(redshift.Injector), writers: 1, sections: map[string]string{
		"batch":  fmt.Sprintf("{interval: %dms, max_age: 1s, max_bytes: %dMiB}", 100+c.IntN(600), 1+c.IntN(4)),
		"apply":  fmt.Sprintf("{strategy: %s}", []string{"auto", "auto", "merge", "delete_insert"}[c.IntN(4)]),
		"limits": fmt.Sprintf("{memory: %dMiB}", 64<<c.IntN(3)),
	}}
	if number%3 == 2 {
		rd.writers = 3
	}
	rd.start()
	return rd
}

// start makes the world, fills the tables and waits for their first load.
func (rd *round) start() {
	t := rd.t
	t.Helper()
	ctx := t.Context()
	var w *world.World
	w = plainWorld(t, world.Config{
		DDL: ddl(rd.o.tables), Tags: "walshift_seams",
		// Transactions above 64 kB are sent before they end.
		Settings: map[string]string{"logical_decoding_work_mem": "64kB"},
		Standin: func(c *redshift.Config) {
			c.Faults = rd.faults
			if rd.writers == 1 {
				c.Log = func(s redshift.Statement) { rd.o.watch(ctx, s, func() string { return w.TargetDSN() }) }
			}
		},
	})
	rd.w = w
	maps.Copy(w.Sections, rd.sections)
	var err error
	if rd.o.conn, err = pgconn.Connect(ctx, w.Source.OwnerDSN()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rd.o.conn.Close(context.WithoutCancel(ctx)) })
	if err := rd.o.fill(ctx, rd.loaded); err != nil {
		t.Fatal(err)
	}
	rd.d = streaming(t, w)
	if err := w.WaitApplied(ctx, time.Minute); err != nil {
		t.Fatal(err)
	}
}

func (rd *round) run(until time.Time) {
	t := rd.t
	t.Helper()
	ctx := t.Context()
	rd.killed = time.Now()
	problem := ""
	for problem == "" && time.Now().Before(until) {
		if err := rd.write(ctx); err != nil {
			save(t, rd.o.tables, rd.o.commits)
			t.Fatal(err)
		}
		rd.torment()
		rd.kill()
		problem = rd.o.judge()
	}
	rd.faults.Clear()
	if problem == "" {
		problem = rd.end(ctx)
	}
	o := rd.o
	if problem != "" {
		save(t, o.tables, o.commits)
		t.Errorf("%s\n%s", problem, rd.d.LogTail(20))
		if rd.writers == 1 {
			shrink(t, rd.sections, o)
		}
		return
	}
	t.Logf("%d commits in %d tables (%s), %d writers, %d kills: %d fenced commits of the warehouse, %d compared with one commit, "+
		"%d with one of two, %d moved nothing, %d unseen", len(o.commits), len(o.tables), kindsOf(o.tables), rd.writers, rd.kills,
		o.applied, o.compared, o.vague, o.quiet, o.missed)
	if rd.writers == 1 && 10*(o.compared+o.quiet) < 9*o.applied {
		t.Errorf("only %d of %d applied batches compared", o.compared+o.quiet, o.applied)
	}
}

// write lets the writers commit some transactions.
func (rd *round) write(ctx context.Context) error {
	if rd.writers == 1 {
		for range 1 + rd.c.IntN(25) {
			if err := rd.o.step(ctx); err != nil {
				return err
			}
		}
		return nil
	}
	var wg sync.WaitGroup
	errs := make([]error, rd.writers)
	for i := range errs {
		r := rand.New(rand.NewPCG(rd.c.Uint64(), uint64(i)))
		wg.Go(func() {
			errs[i] = rd.writeBeside(ctx, r)
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// writeBeside is one of several writers.
func (rd *round) writeBeside(ctx context.Context, r *rand.Rand) error {
	conn, err := pgconn.Connect(ctx, rd.w.Source.OwnerDSN())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	for range 1 + r.IntN(15) {
		open, err := play(ctx, conn, transaction(r, rd.o.tables))
		if err != nil {
			return err
		}
		if open {
			if _, err := query(ctx, conn, "COMMIT"); err != nil {
				return err
			}
		}
	}
	return nil
}

// kill kills the daemon now and then, and starts it again, sometimes so that
// it dies by itself at a seam.
func (rd *round) kill() {
	rd.endedBySeam()
	if rd.d.Running() && (time.Since(rd.killed) < 4*time.Second || rd.c.IntN(6) > 0) {
		return
	}
	rd.d.Kill()
	var env []string
	if all := change.Seams(); rd.c.IntN(2) == 0 {
		from := slices.Index(all, change.SeamStreamStarted)
		env = []string{
			"WALSHIFT_KILL_AT=" + string(all[from+rd.c.IntN(len(all)-from)]), fmt.Sprintf("WALSHIFT_KILL_PASS=%d", 1+rd.c.IntN(9)),
		}
	}
	rd.d, rd.killed = startDaemon(rd.t, rd.w, env...), time.Now()
	rd.kills++
}

// endedBySeam fails if the daemon has ended in another way than by SIGKILL, as
// a seam does it.
func (rd *round) endedBySeam() {
	if !rd.d.Running() && !rd.d.Killed() {
		save(rd.t, rd.o.tables, rd.o.commits)
		rd.t.Fatalf("the daemon ended by itself:\n%s", rd.d.LogTail(30))
	}
}

// end waits until all is applied, and compares.
func (rd *round) end(ctx context.Context) string {
	rd.endedBySeam()
	rd.d.Kill() // it may be one that is to die at a seam
	rd.d = startDaemon(rd.t, rd.w)
	if err := rd.w.WaitApplied(ctx, 2*time.Minute); err != nil {
		return err.Error()
	}
	if problem := rd.o.judge(); problem != "" {
		return problem
	}
	return rd.differs(ctx)
}

// differs compares what both sides hold now.
func (rd *round) differs(ctx context.Context) string {
	for _, t := range rd.o.tables {
		source, err := rd.rows(ctx, rd.w.Source.OwnerDSN(), t, false)
		if err != nil {
			return err.Error()
		}
		target, err := rd.rows(ctx, rd.w.TargetDSN(), t, true)
		if err != nil {
			return err.Error()
		}
		if diff := world.Difference(source, target); diff != "" {
			return "at the end, table " + t.name + ": " + diff
		}
	}
	return ""
}

func (rd *round) rows(ctx context.Context, dsn string, t *randomTable, target bool) ([]string, error) {
	conn, err := pgconn.Connect(ctx, dsn)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }()
	res, err := query(ctx, conn, "SELECT "+t.list(target)+" FROM "+t.name)
	if err != nil {
		return nil, err
	}
	return t.content(res[0]), nil
}

// torment arms a fault of the warehouse now and then.
func (rd *round) torment() {
	name := "random"
	rd.faults.Remove(name)
	switch rd.c.IntN(12) {
	case 0:
		rd.faults.Add(redshift.Fault{Name: name, At: redshift.BeforeCommit, Do: redshift.Serialization, Match: "fence_"})
	case 1:
		rd.faults.Add(redshift.Fault{Name: name, At: redshift.BeforeCommit, Do: redshift.Cut, Match: "fence_"})
	case 2:
		rd.faults.Add(redshift.Fault{Name: name, At: redshift.AfterCommit, Do: redshift.Cut, Match: "fence_"})
	case 3:
		rd.faults.Add(redshift.Fault{Name: name, At: redshift.AfterStatement, Do: redshift.Cut, Match: "stg_"})
	case 4:
		rd.faults.Add(redshift.Fault{Name: name, At: redshift.BeforeStatement, Do: redshift.Deadlock, Match: "positions_"})
	}
}

func kindsOf(tables []*randomTable) string {
	names := []string{"keyed", "full", "index", "partitioned", "inserts", "multiset"}
	var list []string
	for _, t := range tables {
		list = append(list, names[t.kind])
	}
	return strings.Join(list, " ")
}
