package e2e_test

import (
	"strings"
	"testing"
	"time"

	"github.com/walshift/walshift/test/world"
)

// TestTeardownAndFreshStart: teardown refuses beside a running daemon and
// without --yes, then leaves nothing of the pipeline on any side, and a fresh
// start loads everything again.
func TestTeardownAndFreshStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, world.Config{DDL: mainDDL})
	d := streaming(t, w)
	identical(t, w, mainTables())

	if out, code, err := w.Command(t.Context(), "teardown", "--drop-targets"); err != nil || code != 1 || !strings.Contains(out, "--yes") {
		t.Errorf("without --yes: exit code %d, %v\n%s", code, err, out)
	}
	if out, code, err := w.Command(t.Context(), "teardown", "--yes"); err != nil || code != 1 || !strings.Contains(out, "in use") {
		t.Errorf("beside a running daemon: exit code %d, %v\n%s", code, err, out)
	}
	exec(t, w, `UPDATE items SET name = 'still replicated'`)
	identical(t, w, mainTables())
	if err := d.Stop(within(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}

	out, code, err := w.Command(t.Context(), "teardown", "--yes", "--drop-targets")
	if err != nil || code != 0 {
		t.Fatalf("teardown: exit code %d, %v\n%s", code, err, out)
	}
	slots, err := w.SourceSide().Rows(t.Context(), "SELECT slot_name FROM pg_replication_slots")
	if err != nil || len(slots) != 0 {
		t.Errorf("slots after the teardown: %v, %v", slots, err)
	}
	if _, err := w.TargetSide().Rows(t.Context(), "SELECT * FROM items"); err == nil {
		t.Error("a target table is still there")
	}
	if out, code, err := w.Command(t.Context(), "teardown", "--yes"); err != nil || code != 0 {
		t.Errorf("a second teardown: exit code %d, %v\n%s", code, err, out)
	}

	streaming(t, w)
	exec(t, w, `DELETE FROM pairs WHERE a < 5`)
	identical(t, w, mainTables())
}
