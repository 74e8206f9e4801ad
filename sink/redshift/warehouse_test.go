package redshift_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/walshift/walshift/checkpoint"
	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift"
)

// orders has a numeric key, notes a text key and a document.
func orders() change.Relation {
	return change.Relation{
		OID: 1001, Schema: "public", Name: "orders", Identity: change.IdentityDefault, Keys: []int{0},
		Columns: []change.Column{
			{Attnum: 1, Name: "id", Type: "int8", TypeKind: "b", Typmod: -1},
			{Attnum: 2, Name: "note", Type: "text", TypeKind: "b", Typmod: -1},
		},
	}
}

func notes() change.Relation {
	return change.Relation{
		OID: 1002, Schema: "public", Name: "notes", Identity: change.IdentityDefault, Keys: []int{0},
		Columns: []change.Column{
			{Attnum: 1, Name: "slug", Type: "text", TypeKind: "b", Typmod: -1},
			{Attnum: 3, Name: "body", Type: "jsonb", TypeKind: "b", Typmod: -1},
		},
	}
}

func single() change.Relation {
	return change.Relation{
		OID: 1003, Schema: "public", Name: "single", Identity: change.IdentityDefault, Keys: []int{0},
		Columns: []change.Column{{Attnum: 1, Name: "id", Type: "int8", TypeKind: "b", Typmod: -1}},
	}
}

func file(kind change.Kind, key string, rows int64, columns ...int16) change.File {
	return change.File{
		Kind: kind, Key: "data/8-aa/" + key, Rows: rows, Existed: rows, Columns: columns,
		NullMarker: "~", Compression: "zstd", Bytes: 10,
	}
}

func batch(seq uint64, segments ...change.SegmentFiles) *change.Manifest {
	return &change.Manifest{
		Seq: seq, Prev: change.LSN(seq-1) * 0x100, Begin: change.LSN(seq-1) * 0x100, End: change.LSN(seq) * 0x100,
		LastCommit: time.Date(2026, 11, 22, 18, 0, int(seq), 1000, time.UTC), Segments: segments,
	}
}

// arrived returns a warehouse that owns the fake's fence, with live tables.
func arrived(t *testing.T, f *fake, adjust func(c *redshift.Config)) *redshift.Warehouse {
	t.Helper()
	f.positions = [][]string{
		liveRow("1001", "orders", "live"), liveRow("1002", "notes", "live"), liveRow("1003", "single", "live"),
		liveRow("1004", "halted", "stopped"),
	}
	w := f.warehouse(adjust)
	st, err := w.Arrive(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	if !st.Known || st.Seq != 7 || st.Applied != 0x700 || len(st.Tables) != 4 || st.Tables[3].State != checkpoint.Stopped {
		t.Fatalf("state %+v", st)
	}
	return w
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run with UPDATE_GOLDEN=1 to write it)", err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s", path, got)
	}
}

// TestW10CommitAnswerLost (A11): whether COMMIT had taken effect is read from
// the fence, under its lock, in a new session.
func TestW10CommitAnswerLost(t *testing.T) {
	t.Parallel()
	for name, committed := range map[string]bool{"committed": true, "rolled back": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			w := arrived(t, f, nil)
			before := f.fence
			lost := false
			f.answer = func(sql string) (reply, bool) {
				if sql != "COMMIT" || lost || f.fence.seq != "8" {
					return reply{}, false
				}
				lost = true
				if !committed {
					f.fence = before
				}
				return reply{cut: true}, true
			}
			run := redshift.Run{After: 7, Batches: []*change.Manifest{batch(8)}}
			_, err := w.Apply(t.Context(), run)
			if committed != (err == nil) {
				t.Fatalf("error %v", err)
			}
			if !committed && change.ScopeOf(err) != change.ScopeRetry {
				t.Fatalf("scope %v of %v", change.ScopeOf(err), err)
			}
			log := f.statements()
			if i, j := strings.LastIndex(log, "LOCK TABLE"), strings.LastIndex(log, "SELECT epoch"); i > j || j < 0 {
				t.Errorf("fence was not read under its lock:\n%s", log)
			}
			next := redshift.Run{After: 8, Batches: []*change.Manifest{batch(9)}}
			if !committed {
				next = run
			}
			if _, err := w.Apply(t.Context(), next); err != nil {
				t.Fatalf("going on: %v", err)
			}
		})
	}
}

// TestCommitLostAndServerGone: while nobody can tell what became of COMMIT,
// nothing else is written; the answer is found later.
func TestCommitLostAndServerGone(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	w := arrived(t, f, nil)
	gone := false
	f.answer = func(sql string) (reply, bool) {
		gone = gone || sql == "COMMIT"
		return reply{cut: true}, gone
	}
	if err := w.Stop(t.Context(), 1001, "why"); change.ScopeOf(err) != change.ScopeRetry {
		t.Fatalf("error %v", err)
	}
	if _, err := w.Apply(t.Context(), redshift.Run{After: 7, Batches: []*change.Manifest{batch(8)}}); change.ScopeOf(err) != change.ScopeRetry {
		t.Fatalf("applying in doubt: %v", err)
	}
	f.mu.Lock()
	f.answer = nil // the transaction had been committed: the fence carries its id
	f.positions[0] = liveRow("1001", "orders", "stopped")
	f.mu.Unlock()
	f.statements()
	if err := w.Stop(t.Context(), 1001, "why"); err != nil {
		t.Fatal(err)
	}
	if log := f.statements(); strings.Contains(log, "UPDATE") {
		t.Errorf("the table was stopped twice:\n%s", log)
	}
}

// TestFenceTakenOver: a higher epoch ends this process, an unexplained move
// parks it, and neither writes.
func TestFenceTakenOver(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		now   fakeFence
		scope change.Scope
		err   error
	}{
		"superseded": {fakeFence{"4", "7", "other", "0/700"}, change.ScopeFatal, checkpoint.ErrSuperseded},
		"moved":      {fakeFence{"3", "9", "other", "0/900"}, change.ScopeLoop, checkpoint.ErrFenceMoved},
		"same place": {fakeFence{"3", "7", "other", "0/700"}, change.ScopeLoop, checkpoint.ErrFenceMoved},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			w := arrived(t, f, nil)
			f.mu.Lock()
			f.fence = c.now
			f.mu.Unlock()
			_, err := w.Apply(t.Context(), redshift.Run{After: 7, Batches: []*change.Manifest{batch(8)}})
			if !errors.Is(err, c.err) || change.ScopeOf(err) != c.scope {
				t.Fatalf("error %v", err)
			}
			if f.fence != c.now {
				t.Errorf("fence was moved to %+v", f.fence)
			}
			if name == "superseded" {
				if _, err := w.Arrive(t.Context(), 3); !errors.Is(err, checkpoint.ErrSuperseded) {
					t.Errorf("arriving: %v", err)
				}
			}
		})
	}
}

// TestFrozenPredecessorIsEnded: a session that holds the fence's lock too long
// is ended by its pid, and the lock tried once more.
func TestFrozenPredecessorIsEnded(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.sessions = [][]string{{"77"}}
	release := make(chan struct{})
	ended := false
	f.answer = func(sql string) (reply, bool) {
		switch {
		case strings.HasPrefix(sql, "LOCK") && !ended:
			f.mu.Unlock()
			<-release // until the client gives up
			f.mu.Lock()
			return reply{cut: true}, true
		case sql == "SELECT pg_terminate_backend(77)":
			ended = true
		}
		return reply{}, false
	}
	w := f.warehouse(func(c *redshift.Config) { c.LockWait = 50 * time.Millisecond })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := w.Arrive(ctx, 5)
		done <- err
	}()
	err := <-done
	close(release)
	if err != nil {
		t.Fatal(err)
	}
	if !ended || f.fence.epoch != "5" {
		t.Errorf("ended %t, fence %+v", ended, f.fence)
	}
}

// TestW12IdleSessionDropped: the connection is looked at before each batch.
func TestW12IdleSessionDropped(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	w := arrived(t, f, nil)
	f.cutAll()
	if _, err := w.Apply(t.Context(), redshift.Run{After: 7, Batches: []*change.Manifest{batch(8)}}); err != nil {
		t.Fatal(err)
	}
	for _, p := range f.startups {
		delete(p, "user")
		delete(p, "database")
		if len(p) != 1 || p["application_name"] != "walshift/shop" {
			t.Errorf("startup parameters %v", p)
		}
	}
}
