package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/test/world"
)

// resting is what status says of a hold.
type resting struct {
	State    string `json:"state"`
	Paused   bool   `json:"paused"`
	Applying bool   `json:"applying"`
	Hold     *struct {
		Kind, Reason string
		Until        *time.Time
	} `json:"hold"`
}

// commanded runs a subcommand and checks its exit code and output.
func commanded(t *testing.T, w *world.World, code int, want string, args ...string) {
	t.Helper()
	out, got, err := w.Command(within(t, 2*time.Minute), args...)
	if err != nil || got != code || !strings.Contains(out, want) {
		t.Errorf("%v: exit code %d, want %d, and %q (%v):\n%s", args, got, code, want, err, out)
	}
}

// TestPause: a pause stops apply and nothing else, outlives kills, is shown
// with its reason, and ends with unpause; waiting meanwhile fails at once.
func TestPause(t *testing.T) {
	t.Parallel()
	w := plainWorld(t, world.Config{DDL: modeDDL, Tags: "walshift_seams"})
	w.Sections["batch"] = "{interval: 150ms, max_age: 500ms}"
	d := streaming(t, w)
	identical(t, w, modeTables())
	commanded(t, w, 0, "paused", "pause", "--reason", "resize \x1b[31mat noon")
	rows := func() string { return first(t, w.TargetDSN(), "SELECT count(*) FROM single") }
	paused := func(d *world.Daemon) {
		t.Helper()
		var st resting
		eventually(t, 20*time.Second, "the pause is shown", func() bool {
			if _, _, err := d.Get(t.Context(), "/status"); err != nil {
				return false
			}
			daemonStatus(t, d, &st)
			return st.Paused
		})
		if st.Hold == nil || st.Hold.Reason != "apply is paused: resize [31mat noon" || st.Applying {
			t.Errorf("status says %+v, %+v", st, st.Hold)
		}
	}
	paused(d)
	at := status(t, d).StagedSeq
	exec(t, w, `INSERT INTO single VALUES ('while paused')`, `UPDATE items SET name = 'paused'`)
	eventually(t, 20*time.Second, "capture goes on", func() bool { return status(t, d).StagedSeq > at })
	began := time.Now()
	commanded(t, w, 1, "apply is paused: resize", "wait", "--timeout", "60s")
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("wait took %s to say that it is vain", took)
	}
	commanded(t, w, 3, "not applied", "wait", "--timeout", "1s", "--through-window")
	if got := rows(); got != "3" {
		t.Errorf("%s rows on the target while paused", got)
	}
	d.Kill()
	d = startDaemon(t, w)
	paused(d)
	exec(t, w, `INSERT INTO single VALUES ('after a kill')`)
	commanded(t, w, 0, "unpaused", "unpause")
	identical(t, w, modeTables())
	commanded(t, w, 0, "unpaused", "unpause") // there is none: fine
	d.Kill()

	// Killed in the middle of asking: what was recorded counts.
	for _, c := range []struct {
		seam change.Seam
		ask  string
		want bool
	}{{change.SeamControlWritten, "pause", true}, {change.SeamControlRemoved, "unpause", false}} {
		d, err := w.Run(t.Context(), "WALSHIFT_KILL_AT="+string(c.seam))
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, 30*time.Second, "the daemon answers", func() bool { _, _, err := d.Get(t.Context(), "/status"); return err == nil })
		if err := d.UntilStreaming(within(t, 30*time.Second)); err != nil {
			t.Fatal(err)
		}
		commanded(t, w, 1, "daemon", c.ask)
		_ = d.Wait(within(t, 20*time.Second))
		d = streaming(t, w)
		var st resting
		daemonStatus(t, d, &st)
		if st.Paused != c.want {
			t.Errorf("after a kill at %s: paused %t, want %t", c.seam, st.Paused, c.want)
		}
		d.Kill()
	}
}

// TestPauseIsNotForPages: what changes something is neither taken by GET nor
// from a browser.
func TestPauseIsNotForPages(t *testing.T) {
	t.Parallel()
	w := plainWorld(t, world.Config{DDL: modeDDL, Tags: "walshift_seams"})
	d := streaming(t, w)
	for _, path := range []string{"/pause", "/unpause", "/retry"} {
		if code, _, err := d.Get(t.Context(), path); err != nil || code != http.StatusMethodNotAllowed {
			t.Errorf("GET %s: %d, %v", path, code, err)
		}
		for _, header := range []string{"Origin", "Sec-Fetch-Site"} {
			if code := d.Post(t, path, "{}", header, "null"); code != http.StatusForbidden {
				t.Errorf("POST %s with %s: %d", path, header, code)
			}
		}
	}
	if code := d.Post(t, "/pause", `{"why": "x"}`, "", ""); code != http.StatusBadRequest {
		t.Errorf("a request with an unknown field: %d", code)
	}
	if code := d.Post(t, "/retry", `{"tables": ["no.such"]}`, "", ""); code != http.StatusNotFound {
		t.Errorf("an unknown table: %d", code)
	}
	var st resting
	daemonStatus(t, d, &st)
	if st.Paused {
		t.Error("one of them was taken")
	}
}

// closedNow is a window that opens in two hours.
func closedNow() string {
	from := time.Now().UTC().Add(2 * time.Hour)
	return fmt.Sprintf("%02d:00-%02d:30", from.Hour(), from.Hour())
}

// TestWindows: outside apply.window batches wait on S3, outside
// snapshot.window nothing is begun.
func TestWindows(t *testing.T) {
	t.Parallel()
	w := plainWorld(t, world.Config{DDL: modeDDL, Tags: "walshift_seams"})
	w.Sections["snapshot"] = fmt.Sprintf("{window: %q}", closedNow())
	before := everything(t, w)
	d := startDaemon(t, w)
	held := func(d *world.Daemon, kind string) {
		t.Helper()
		var st resting
		eventually(t, 20*time.Second, kind+" is shown", func() bool {
			if _, _, err := d.Get(t.Context(), "/status"); err == nil {
				daemonStatus(t, d, &st)
			}
			return st.Hold != nil
		})
		if until := st.Hold.Until; st.Hold.Kind != kind || st.Paused || until == nil || time.Until(*until) < time.Hour {
			t.Errorf("status says %+v", st.Hold)
		}
		commanded(t, w, 1, kind[:4], "wait", "--timeout", "60s")
	}
	held(d, "snapshot_window")
	if err := d.Stop(within(t, 30*time.Second)); err != nil {
		t.Errorf("stopping while it waits: %v", err)
	}
	after := everything(t, w)
	if diff := world.Difference(before, after); diff != "" {
		t.Errorf("outside its window the first load changed something:%s", diff)
	}

	delete(w.Sections, "snapshot")
	w.Sections["apply"] = fmt.Sprintf("{window: %q}", closedNow())
	d = streaming(t, w) // the first load has a window of its own
	held(d, "apply_window")
	exec(t, w, `INSERT INTO single VALUES ('later')`)
	commanded(t, w, 3, "not applied", "wait", "--timeout", "1s", "--through-window")
	if got := first(t, w.TargetDSN(), "SELECT count(*) FROM single"); got != "3" {
		t.Errorf("%s rows on the target outside the window", got)
	}
	d.Kill()
	w.Sections["apply"] = `{window: "00:00-24:00"}`
	startDaemon(t, w)
	identical(t, w, modeTables())
}

// TestRetry: a table that apply had to stop follows again once its cause is
// mended, with all that it missed; one that is not mended stays stopped; one
// that capture has left can't be tried again.
func TestRetry(t *testing.T) {
	t.Parallel()
	w := plainWorld(t, world.Config{DDL: modeDDL + `CREATE TABLE other (id int PRIMARY KEY, v text); INSERT INTO other VALUES (1, 'x');`, Tags: "walshift_seams"})
	w.Sections["log"] = fmt.Sprintf("{url: %q, region: %q, endpoint: %q, retention: 1s}",
		"s3://"+world.Bucket+"/test", w.S3.Region(), w.S3.Endpoint())
	w.Sections["batch"] = "{interval: 150ms, max_age: 500ms}"
	d := streaming(t, w)
	identical(t, w, modeTables())
	stopped := func(d *world.Daemon, table string) {
		t.Helper()
		err := d.Until(within(t, 30*time.Second), table+" is stopped", func(s world.Status) bool {
			for _, tab := range s.Tables {
				if tab.Name == table && tab.State == "stopped" {
					return true
				}
			}
			return false
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	execOn(t, w.TargetDSN(), "DELETE FROM public.items WHERE id = 5") // somebody's slip
	exec(t, w, `UPDATE items SET name = 'five' WHERE id = 5`)
	stopped(d, "public.items")
	for i := range 5 {
		exec(t, w, fmt.Sprintf(`UPDATE items SET name = 'missed %d' WHERE id %% 5 = %d`, i, i), fmt.Sprintf(`INSERT INTO single VALUES ('s%d')`, i))
		at := status(t, d).AppliedSeq
		eventually(t, 20*time.Second, "the others go on", func() bool { return status(t, d).AppliedSeq > at })
	}
	exec(t, w, `DELETE FROM items WHERE id > 250`)
	commanded(t, w, 5, "still stopped", "retry", "public.items")
	d.Kill()
	d = startDaemon(t, w)
	stopped(d, "public.items")
	// Retention is a second: what the stopped table has missed must be kept.
	eventually(t, 20*time.Second, "a collection has been", func() bool { return strings.Contains(d.Log(), "log_collected") })
	execOn(t, w.TargetDSN(), "INSERT INTO public.items (id, name, price) VALUES (5, 'item 5', 5 / 7.0)")
	commanded(t, w, 0, "public.items follows again", "retry")
	identical(t, w, modeTables())
	exec(t, w, `UPDATE items SET price = 9 WHERE id < 100`)
	identical(t, w, modeTables())

	exec(t, w, `ALTER TABLE other ADD COLUMN more int`, `INSERT INTO other VALUES (2, 'y', 3)`)
	stopped(d, "public.other")
	commanded(t, w, 5, "can't be tried again: capture left it at", "retry", "public.other")
}

// TestLogAwayAtRestart: a restart waits for S3 and says so; there is a log, so
// this is no first start.
func TestLogAwayAtRestart(t *testing.T) {
	t.Parallel()
	w := plainWorld(t, world.Config{DDL: modeDDL, Tags: "walshift_seams"})
	d := streaming(t, w)
	identical(t, w, modeTables())
	d.Kill()
	exec(t, w, `UPDATE items SET name = 'while down'`)
	w.S3.Halt()
	d = startDaemon(t, w)
	var st struct {
		State   string `json:"state"`
		Waiting []struct {
			Part string `json:"part"`
		} `json:"waiting"`
	}
	eventually(t, 60*time.Second, "status says that the log is waited for", func() bool {
		if _, _, err := d.Get(t.Context(), "/status"); err != nil {
			return false
		}
		daemonStatus(t, d, &st)
		return len(st.Waiting) == 1 && st.Waiting[0].Part == "log"
	})
	if err := w.S3.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	commanded(t, w, 0, "asked for another try", "retry")
	identical(t, w, modeTables())
}
