package checkpoint_test

import (
	"testing"

	"github.com/walshift/walshift/checkpoint"
)

// TestResume: a stopped table follows again only from exactly where it stands.
func TestResume(t *testing.T) {
	t.Parallel()
	stopped := checkpoint.Table{State: checkpoint.Stopped, X: 100, Applied: 120, Reason: "why"}
	got, err := stopped.Resume(120, 150)
	if err != nil || got.State != checkpoint.Live || got.Applied != 150 || got.Reason != "" {
		t.Errorf("resumed as %+v, %v", got, err)
	}
	live := stopped
	live.State = checkpoint.Live
	if _, err := live.Resume(120, 150); err == nil {
		t.Error("a live table was resumed: its batches would be applied twice")
	}
	if _, err := stopped.Resume(110, 150); err == nil {
		t.Error("batches below the table's position were accepted: they would be applied twice")
	}
	if _, err := stopped.Resume(130, 150); err == nil {
		t.Error("batches above the table's position were accepted: some would be left out")
	}
	if _, err := stopped.Resume(120, 110); err == nil {
		t.Error("the position went back")
	}
}
