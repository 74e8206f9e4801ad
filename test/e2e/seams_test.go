package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/test/world"
)

// TestSeams kills the daemon with SIGKILL at every seam under load, starts it
// again, and compares both sides. A seam that is never hit fails. The seams are
// split into those of the first load, of capture and of apply.
func TestSeams(t *testing.T) {
	t.Parallel()
	all := change.Seams()
	if len(all) < 25 {
		t.Errorf("%d seams, want at least 25", len(all))
	}
	capture, apply := slices.Index(all, change.SeamStreamStarted), slices.Index(all, change.SeamArrived)
	if capture < 0 || apply < capture {
		t.Fatal("the list of seams is not in the order of the data path")
	}
	t.Run("load", func(t *testing.T) {
		t.Parallel()
		w := newSeamWorld(t)
		for i, seam := range all[:capture] {
			t.Run(string(seam), func(t *testing.T) { killFirstLoad(t, w, seam, i) }) //nolint:paralleltest // they share a world
		}
	})
	for name, seams := range map[string][]change.Seam{"capture": all[capture:apply], "apply": all[apply:]} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newSeamWorld(t)
			w.Sections["log"] = fmt.Sprintf("{url: %q, region: %q, endpoint: %q, retention: 1s}",
				"s3://"+world.Bucket+"/test", w.S3.Region(), w.S3.Endpoint())
			killRunning(t, w, seams)
		})
	}
}

func newSeamWorld(t *testing.T) *world.World {
	t.Helper()
	w := plainWorld(t, world.Config{DDL: loadDDL, Tags: "walshift_seams"})
	w.Sections["batch"] = "{interval: 150ms, max_age: 1s}"
	return w
}

// killAt runs the daemon until it dies at the n-th pass of a seam.
func killAt(t *testing.T, w *world.World, seam change.Seam, pass int) {
	t.Helper()
	d, err := w.Run(t.Context(), "WALSHIFT_KILL_AT="+string(seam), fmt.Sprintf("WALSHIFT_KILL_PASS=%d", pass))
	if err != nil {
		t.Fatal(err)
	}
	err = d.Wait(within(t, 30*time.Second))
	select {
	case <-d.Done():
	default:
		d.Kill()
		t.Fatalf("seam %s was not hit %d times: %v\n%s", seam, pass, err, d.LogTail(25))
	}
	if !d.Killed() {
		t.Fatalf("at seam %s the daemon ended by itself: %v\n%s", seam, err, d.LogTail(25))
	}
}

// killFirstLoad interrupts the first load of a pipeline of its own; the next
// start must begin it anew, and say so.
func killFirstLoad(t *testing.T, w *world.World, seam change.Seam, i int) {
	t.Helper()
	name := fmt.Sprintf("load%d", i)
	w.Sections["pipeline"] = name
	w.Sections["source"] = fmt.Sprintf("{dsn: %q, publication: {name: %q}}", w.Source.ReplicatorDSN(), w.Source.Publication)
	w.Sections["target"] = fmt.Sprintf("{schemas: {public: %s}}", name)
	l := startWriter(t, w, uint64(i))
	killAt(t, w, seam, 1)
	d, err := w.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Kill()
	if err := d.UntilStreaming(within(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}
	l.halt(t)
	if err := w.WaitApplied(t.Context(), 30*time.Second); err != nil {
		t.Fatal(err)
	}
	compareIn(t, w, name, loadTables())
	said, ok := map[change.Seam]string{
		change.SeamSlotBeforeCreate: "slot_created", // nothing had been made
		change.SeamSlotCreated:      "dropping_slot_of_unfinished_start",
		change.SeamKeeperOpen:       "dropping_slot_of_unfinished_start", // the log had not begun
		change.SeamGoLiveCommitted:  "finished_first_load_found",         // only the log did not know
	}[seam]
	if !ok {
		said = "interrupted_first_load_found"
	}
	if !strings.Contains(d.Log(), said) {
		t.Errorf("after a kill at %s the log does not say %s:\n%s", seam, said, d.LogTail(40))
	}
	if err := d.Stop(within(t, 30*time.Second)); err != nil {
		t.Errorf("orderly end: %v\n%s", err, d.LogTail(20))
	}
	superuser(t, w, fmt.Sprintf("SELECT pg_drop_replication_slot('walshift_%s')", name))
}

// killRunning kills at each seam in turn, with a run to recover after each.
func killRunning(t *testing.T, w *world.World, seams []change.Seam) {
	t.Helper()
	d := streaming(t, w)
	d.Kill()
	l := startWriter(t, w, 1)
	for i, seam := range seams {
		// Small segments share staging tables, and go by MERGE where it is asked for.
		w.Sections["apply"] = "{strategy: auto}"
		if i%2 == 0 && seam != change.SeamRecordsPut || seam == change.SeamApplyMerged {
			w.Sections["apply"] = "{strategy: merge}"
		}
		killAt(t, w, seam, passOf(seam, i))
		d, err := w.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := w.WaitApplied(t.Context(), 30*time.Second); err != nil {
			t.Fatalf("after a kill at %s: %v", seam, err)
		}
		if i%4 == 3 || i == len(seams)-1 {
			l.halt(t)
			identical(t, w, loadTables())
			l = startWriter(t, w, uint64(i+2))
		}
		if t.Failed() {
			t.Fatalf("after the kills up to %s:\n%s", seam, d.LogTail(60))
		}
		if i%2 == 0 {
			d.Kill()
		} else if err := d.Stop(within(t, 30*time.Second)); err != nil {
			t.Fatalf("orderly end: %v\n%s", err, d.LogTail(20))
		}
	}
	l.halt(t)
}

// passOf lets seams that are passed often be hit at different moments.
func passOf(seam change.Seam, i int) int {
	switch seam { //nolint:exhaustive // the others are passed again and again
	case change.SeamStreamStarted, change.SeamTakeoverWritten, change.SeamArrived,
		change.SeamCollectBefore, change.SeamCollectManifestsDeleted, change.SeamCollected:
		return 1
	case change.SeamBeforeConfirm, change.SeamConfirmed: // the first is at the start
		return 3
	}
	return 1 + i%3
}
