package stage_test

import (
	"testing"
)

// TestControl: what operators asked for is there until it is removed, also when
// the log is cleared for a start from scratch; a teardown removes it.
func TestControl(t *testing.T) {
	t.Parallel()
	l := open(t, newFakeS3(t).config())
	ctx := t.Context()
	if b, err := l.ReadControl(ctx, "pause"); err != nil || b != nil {
		t.Fatalf("before: %q, %v", b, err)
	}
	if err := l.RemoveControl(ctx, "pause"); err != nil {
		t.Errorf("removing what is not there: %v", err)
	}
	for _, body := range []string{`{"reason":"a"}`, `{"reason":"b"}`} {
		if err := l.WriteControl(ctx, "pause", []byte(body)); err != nil {
			t.Fatal(err)
		}
		if b, err := l.ReadControl(ctx, "pause"); err != nil || string(b) != body {
			t.Errorf("read %q, %v; want %q", b, err, body)
		}
	}
	if n, err := l.Clear(ctx); err != nil || n != 0 {
		t.Errorf("clearing removed %d objects, %v", n, err)
	}
	if b, err := l.ReadControl(ctx, "pause"); err != nil || b == nil {
		t.Errorf("after clearing: %q, %v", b, err)
	}
	if n, err := l.DeleteAll(ctx, false); err != nil || n != 1 {
		t.Errorf("deleting removed %d objects, %v", n, err)
	}
	if _, err := l.ReadControl(ctx, "../log/1"); err == nil {
		t.Error("a name that leads elsewhere was accepted")
	}
	if err := l.Ping(ctx); err != nil {
		t.Errorf("ping: %v", err)
	}
}
