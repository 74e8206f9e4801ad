package e2e_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/walshift/walshift/test/world"
)

// numberFrom reads a number of the environment.
func numberFrom(t *testing.T, name string, usual int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestRandomKills kills the daemon at random moments under load: 20 times, or
// as often as WALSHIFT_KILLS says. WALSHIFT_SEED repeats a run's delays.
func TestRandomKills(t *testing.T) {
	t.Parallel()
	kills := numberFrom(t, "WALSHIFT_KILLS", 20)
	seed := uint64(numberFrom(t, "WALSHIFT_SEED", int(time.Now().UnixNano()%1_000_000)))
	t.Logf("%d kills, WALSHIFT_SEED=%d", kills, seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	w := plainWorld(t, world.Config{DDL: loadDDL})
	w.Sections["batch"] = "{interval: 150ms, max_age: 1s}"
	streaming(t, w).Kill()
	l := startWriter(t, w, seed)
	for i := range kills {
		d, err := w.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if rng.IntN(2) == 0 {
			if err := d.UntilStreaming(within(t, 30*time.Second)); err != nil {
				t.Fatalf("kill %d: %v", i, err)
			}
		}
		select {
		case <-time.After(time.Duration(50+rng.IntN(1450)) * time.Millisecond):
		case <-d.Done():
			t.Fatalf("kill %d: the daemon ended by itself:\n%s", i, d.LogTail(40))
		}
		d.Kill()
		if i%20 == 19 {
			l = settle(t, w, l, seed+uint64(i))
		}
	}
	settle(t, w, l, 0).halt(t)
	t.Logf("%d kills end identical", kills)
}

// settle ends the writer, lets a daemon catch up, compares both sides, and
// starts a writer again.
func settle(t *testing.T, w *world.World, l *writer, seed uint64) *writer {
	t.Helper()
	l.halt(t)
	d := startDaemon(t, w)
	identical(t, w, loadTables())
	if t.Failed() {
		t.FailNow()
	}
	d.Kill()
	return startWriter(t, w, seed)
}
