package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"

	"github.com/walshift/walshift/test/redshift"
	"github.com/walshift/walshift/test/world"
)

// injected returns a world whose warehouse obeys the injector.
func injected(t *testing.T, cfg world.Config) (*world.World, *redshift.Injector) {
	t.Helper()
	in := &redshift.Injector{}
	hook := cfg.Standin
	cfg.Standin = func(c *redshift.Config) {
		c.Faults = in
		if hook != nil {
			hook(c)
		}
	}
	w := newWorld(t, cfg)
	w.Sections["batch"] = "{interval: 150ms, max_age: 1s}"
	t.Cleanup(in.Clear)
	return w, in
}

// eventually polls until ok says so.
func eventually(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	ctx := within(t, limit)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: not within %s", what, limit)
		}
	}
}

// steady polls for so long that ok keeps saying so.
func steady(t *testing.T, d time.Duration, what string, ok func() bool) {
	t.Helper()
	end := time.After(d)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-end:
			return
		case <-tick.C:
			if !ok() {
				t.Fatalf("%s: no longer", what)
			}
		}
	}
}

func lsnOf(t *testing.T, text string) pglogrepl.LSN {
	t.Helper()
	lsn, err := pglogrepl.ParseLSN(text)
	if err != nil {
		t.Fatalf("LSN %q: %v", text, err)
	}
	return lsn
}

func status(t *testing.T, d *world.Daemon) world.Status {
	t.Helper()
	s, err := d.Status(t.Context())
	if err != nil {
		t.Fatalf("reading the status: %v\n%s", err, d.LogTail(20))
	}
	return s
}

// copies tells by the statements that the warehouse runs whether a COPY ever
// ran outside of an explicit transaction.
type copies struct {
	mu    sync.Mutex
	open  map[int]bool
	n     int
	wrong []string
}

func (c *copies) see(s redshift.Statement) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch word, _, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(s.SQL)), " "); word {
	case "BEGIN":
		c.open[s.Session] = true
	case "COMMIT", "ROLLBACK":
		c.open[s.Session] = false
	case "COPY":
		if c.n++; !c.open[s.Session] {
			c.wrong = append(c.wrong, s.SQL)
		}
	}
}

// spread strikes n times with room to recover between: the back-off of
// failures in a row is not what is tested.
func spread(name string, n int, f redshift.Fault) []redshift.Fault {
	out := make([]redshift.Fault, n)
	for i := range out {
		out[i] = f
		out[i].Name = fmt.Sprint(name, i)
		out[i].Skip = f.Skip + 7*i
		if f.Match != "" {
			out[i].Skip = f.Skip + 2*i
		}
	}
	return out
}

// TestTargetFaults: what Redshift does to a client under load, one after the
// other against one daemon.
func TestTargetFaults(t *testing.T) { //nolint:tparallel // its parts share one daemon
	t.Parallel()
	seen := &copies{open: map[int]bool{}}
	w, in := injected(t, world.Config{DDL: loadDDL, Standin: func(c *redshift.Config) { c.Log = seen.see }})
	d := streaming(t, w)
	strike := func(t *testing.T, faults ...redshift.Fault) {
		t.Helper()
		l := startWriter(t, w, uint64(len(t.Name())))
		for _, f := range faults {
			in.Add(f)
		}
		for _, f := range faults {
			eventually(t, 60*time.Second, "fault "+f.Name+" strikes", func() bool { return in.Fired(f.Name) > 0 })
		}
		l.until(t, 20)
		l.halt(t)
		identical(t, w, loadTables())
		if s := status(t, d); s.State != "ok" {
			t.Errorf("state %s: %s", s.State, s.Problem)
		}
	}
	unanswered := func() int { return strings.Count(d.Log(), `"commit_unanswered"`) }
	succeeded := func() int { return strings.Count(d.Log(), `"commit_had_succeeded"`) }

	t.Run("W10CommitCutBefore", func(t *testing.T) {
		was := succeeded()
		strike(t, spread("before", 4, redshift.Fault{At: redshift.BeforeCommit, Do: redshift.Cut, Match: "using \"walshift\""})...)
		if unanswered() < 4 || succeeded() != was {
			t.Errorf("%d COMMITs unanswered, %d of them found committed", unanswered(), succeeded()-was)
		}
	})
	t.Run("W10CommitCutAfter", func(t *testing.T) {
		was := succeeded()
		strike(t, spread("after", 4, redshift.Fault{At: redshift.AfterCommit, Do: redshift.Cut, Match: "using \"walshift\""})...)
		if n := succeeded() - was; n != 4 {
			t.Errorf("%d COMMITs found committed, want 4", n)
		}
	})
	t.Run("W10AnyCommitCut", func(t *testing.T) {
		strike(t, append(spread("any-before", 4, redshift.Fault{At: redshift.BeforeCommit, Do: redshift.Cut}),
			spread("any-after", 4, redshift.Fault{At: redshift.AfterCommit, Do: redshift.Cut, Skip: 3})...)...)
	})
	for _, action := range []redshift.Action{redshift.Serialization, redshift.NewerRelation, redshift.Deadlock} {
		t.Run("Retried"+string(action), func(t *testing.T) {
			var faults []redshift.Fault
			for i, match := range []string{"insert into", "delete from", "copy ", "lock table"} {
				faults = append(faults, redshift.Fault{
					Name: string(action) + match, At: redshift.BeforeStatement, Do: action, Match: match, Skip: 2 * i,
				})
			}
			strike(t, append(faults, redshift.Fault{Name: string(action) + "commit", At: redshift.BeforeCommit, Do: action, Skip: 12})...)
		})
	}
	t.Run("W12IdleSessionsDropped", func(t *testing.T) {
		for i := range 5 {
			exec(t, w, fmt.Sprintf("UPDATE items SET n = n + 1, name = 'idle %d'", i))
			identical(t, w, loadTables())
			if w.Target.DropIdle() == 0 {
				t.Error("no session was idle")
			}
		}
		l := startWriter(t, w, 12)
		steady(t, 2*time.Second, "dropping", func() bool { w.Target.DropIdle(); return true })
		l.halt(t)
		identical(t, w, loadTables())
	})
	t.Run("W11NoAutocommitCopy", func(t *testing.T) {
		seen.mu.Lock()
		defer seen.mu.Unlock()
		if seen.n == 0 || len(seen.wrong) > 0 {
			t.Errorf("of %d COPYs %d ran outside of a transaction: %.200q", seen.n, len(seen.wrong), seen.wrong)
		}
	})
}

// TestApplyParksOnPermanentError: a fault of the warehouse that stays is
// apply's own: capture goes on, and the probe stays green.
func TestApplyParksOnPermanentError(t *testing.T) {
	t.Parallel()
	w, _ := injected(t, world.Config{DDL: loadDDL})
	d := streaming(t, w)
	identical(t, w, loadTables())
	goesOn := func(t *testing.T, d *world.Daemon) {
		t.Helper()
		end := lsnOf(t, superuser(t, w, "SELECT pg_current_wal_flush_lsn()"))
		err := d.Until(within(t, 30*time.Second), "capture goes on", func(s world.Status) bool {
			staged, err := pglogrepl.ParseLSN(s.Staged)
			return err == nil && staged >= end
		})
		if err != nil {
			t.Fatal(err)
		}
		if code, body, err := d.Get(t.Context(), "/healthz"); err != nil || code != http.StatusOK {
			t.Errorf("healthz: %d %s %v", code, body, err)
		}
	}
	state := func(t *testing.T, d *world.Daemon, want string) {
		t.Helper()
		if err := d.Until(within(t, 30*time.Second), "state is "+want, func(s world.Status) bool { return s.State == want }); err != nil {
			t.Fatal(err)
		}
	}
	l := startWriter(t, w, 5)
	first(t, w.Backend.SuperuserDSN("dev"), "REVOKE ALL ON public.items FROM loader")
	state(t, d, "parked")
	l.until(t, 50)
	goesOn(t, d)
	d.Kill() // it starts, parks again and captures
	d = startDaemon(t, w)
	state(t, d, "parked")
	l.until(t, 50)
	goesOn(t, d)
	if err := d.Stop(within(t, 30*time.Second)); err != nil {
		t.Errorf("orderly end while parked: %v\n%s", err, d.LogTail(20))
	}
	first(t, w.Backend.SuperuserDSN("dev"), "GRANT ALL ON public.items TO loader")
	d = startDaemon(t, w)
	l.halt(t)
	identical(t, w, loadTables())

	l = startWriter(t, w, 6)
	first(t, w.Backend.SuperuserDSN("dev"), "DROP TABLE public.items")
	state(t, d, "degraded")
	l.until(t, 50)
	l.halt(t)
	goesOn(t, d)
	others := loadTables()
	delete(others, "items")
	eventually(t, 30*time.Second, "the other tables go on", func() bool {
		for table, columns := range others {
			if diff, err := w.Compare(t.Context(), table, columns); err != nil || diff != "" {
				return false
			}
		}
		return true
	})
}

// TestS8FeedbackGoesOn: while S3 or the warehouse is away, the walsender hears
// from walshift and does not time out.
func TestS8FeedbackGoesOn(t *testing.T) { //nolint:tparallel // its parts share one daemon
	t.Parallel()
	w, in := injected(t, world.Config{DDL: loadDDL, Settings: map[string]string{"wal_sender_timeout": "2s"}})
	d := streaming(t, w)
	const walsender = "SELECT pid FROM pg_stat_replication"
	for _, c := range []struct {
		name       string
		away, back func() error
	}{
		{"S3Halted", func() error { w.S3.Halt(); return nil }, func() error { return w.S3.Restart(t.Context()) }},
		{"S3Paused", func() error { w.S3.Pause(); return nil }, func() error { w.S3.Resume(); return nil }},
		{"TargetPaused", func() error { in.Pause(); return nil }, func() error { in.Resume(); return nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := startWriter(t, w, 8)
			l.until(t, 20)
			pid, staged := superuser(t, w, walsender), status(t, d).Staged
			if err := c.away(); err != nil {
				t.Fatal(err)
			}
			steady(t, 6*time.Second, "the walsender lives", func() bool { return superuser(t, w, walsender) == pid })
			if c.name == "TargetPaused" && lsnOf(t, status(t, d).Staged) <= lsnOf(t, staged) {
				t.Error("capture waits for the warehouse")
			}
			if err := c.back(); err != nil {
				t.Fatal(err)
			}
			l.halt(t)
			identical(t, w, loadTables())
			if now := superuser(t, w, walsender); now != pid {
				t.Errorf("the walsender was replaced: %s, then %s", pid, now)
			}
		})
	}
	if log, err := w.PG.Log(); err != nil || strings.Contains(log, "due to replication timeout") {
		t.Errorf("a walsender timed out (%v)", err)
	}
}

// TestSourceRestart: PostgreSQL crashes and is restarted under load.
func TestSourceRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, world.Config{DDL: loadDDL})
	w.Sections["batch"] = "{interval: 150ms, max_age: 1s}"
	d := streaming(t, w)
	l := startWriter(t, w, 3, func(l *writer) { l.hardy = true })
	for i, end := range []func(){w.PG.Kill, w.PG.Halt, w.PG.Kill} {
		l.until(t, 50)
		// Two outages within one back-off would be one to the daemon.
		err := d.Until(within(t, 60*time.Second), "capture runs", func(world.Status) bool {
			return strings.Count(d.Log(), `"capture_started"`) > i
		})
		if err != nil {
			t.Fatal(err)
		}
		end()
		if err := w.PG.Restart(t.Context()); err != nil {
			t.Fatalf("restart %d: %v", i, err)
		}
	}
	l.until(t, 50)
	l.halt(t)
	identical(t, w, loadTables())
	if n := strings.Count(d.Log(), `"capture_started"`); n < 4 {
		t.Errorf("capture started %d times, want 4", n)
	}
}

// TestS20FalseDrained: `walshift wait` returns 0 only when all is there.
func TestS20FalseDrained(t *testing.T) { //nolint:tparallel // its parts share one daemon
	t.Parallel()
	w, in := injected(t, world.Config{DDL: loadDDL})
	d := streaming(t, w)
	wait := func(t *testing.T, limit string) int {
		t.Helper()
		out, code, err := w.Command(t.Context(), "wait", "--timeout", limit)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("exit code %d: %s", code, out)
		return code
	}
	t.Run("V11TargetPaused", func(t *testing.T) {
		identical(t, w, loadTables())
		in.Pause()
		exec(t, w, "UPDATE items SET n = n + 1")
		for range 2 {
			if code := wait(t, "2s"); code != 3 {
				t.Errorf("exit code %d with the warehouse paused, want 3", code)
			}
		}
		in.Resume()
		if code := wait(t, "30s"); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
		compare(t, w, loadTables())
	})
	t.Run("S20AsynchronousCommit", func(t *testing.T) {
		for i := range 15 {
			l := startWriter(t, w, uint64(100+i), func(l *writer) { l.begin, l.every = "SET synchronous_commit = off", time.Millisecond })
			l.until(t, 10)
			l.halt(t)
			identical(t, w, loadTables())
		}
	})
	t.Run("S20Idle", func(t *testing.T) {
		identical(t, w, loadTables())
		for range 3 {
			began := time.Now()
			if code := wait(t, "20s"); code != 0 {
				t.Errorf("exit code %d on an idle database, want 0", code)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("waiting on an idle database took %s", took)
			}
		}
	})
	t.Run("DaemonAway", func(t *testing.T) {
		d.Kill()
		if code := wait(t, "2s"); code == 0 {
			t.Error("exit code 0 without a daemon")
		}
	})
}

// TestShutdown: the first SIGTERM seals, stages and confirms; the second leaves
// at once.
func TestShutdown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, world.Config{DDL: loadDDL})
	w.Sections["batch"] = "{interval: 5s, max_age: 5s}" // so that something is open
	streaming(t, w).Kill()
	l := startWriter(t, w, 9)
	for i := range 3 {
		d := streaming(t, w)
		var captured pglogrepl.LSN
		err := d.Until(within(t, 30*time.Second), "a batch is open", func(s world.Status) bool {
			staged, err := pglogrepl.ParseLSN(s.Staged)
			captured, _ = pglogrepl.ParseLSN(s.Captured)
			return err == nil && captured > staged+10_000
		})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := d.Stop(within(t, 30*time.Second)); err != nil {
			t.Fatalf("orderly end %d: %v\n%s", i, err, d.LogTail(20))
		}
		confirmed, staged := superuser(t, w, "SELECT confirmed_flush_lsn FROM pg_replication_slots"), logEnd(t, w)
		if confirmed != staged {
			t.Errorf("the slot is confirmed up to %s, the log ends at %s", confirmed, staged)
		}
		if lsnOf(t, staged) < captured {
			t.Errorf("the log ends at %s, captured was %s", staged, captured)
		}
		t.Logf("ended in %s at %s", time.Since(began).Round(time.Millisecond), staged)
	}
	d := streaming(t, w)
	l.until(t, 30)
	w.S3.Pause()
	d.Signal(syscall.SIGTERM)
	if err := d.Until(within(t, 10*time.Second), "it is stopping", func(s world.Status) bool { return s.Phase == "stopping" }); err != nil {
		t.Fatal(err)
	}
	steady(t, time.Second, "the first signal waits for S3", func() bool {
		select {
		case <-d.Done():
			return false
		default:
			return true
		}
	})
	began := time.Now()
	d.Signal(syscall.SIGTERM)
	_ = d.Wait(within(t, 10*time.Second))
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the second signal took %s", took)
	}
	w.S3.Resume()
	startDaemon(t, w)
	l.halt(t)
	identical(t, w, loadTables())
}

// logEnd reads the end of the log's last batch from the S3 server's folder.
func logEnd(t *testing.T, w *world.World) string {
	t.Helper()
	manifests, err := filepath.Glob(filepath.Join(w.S3.Dir(), world.Bucket, "test", world.Pipeline, "log", "*.json"))
	if err != nil || len(manifests) == 0 {
		t.Fatalf("no manifests: %v", err)
	}
	text, err := os.ReadFile(slices.Max(manifests))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`"end":\s*"([^"]+)"`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("no end in %.300s", text)
	}
	return string(m[1])
}
