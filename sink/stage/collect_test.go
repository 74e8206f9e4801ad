package stage_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/stage"
)

const hour = time.Hour

// batches commits the batches, each with a data file, one hour apart.
func batches(t *testing.T, f *fakeS3, l *stage.Log, seqs ...uint64) {
	t.Helper()
	for _, s := range seqs {
		m := manifest(s)
		entry, err := l.WriteSegment(t.Context(), s, m.Attempt, 0, &change.Segment{
			Relation: relation([]int{0}, "int4", "text"), Inserts: change.Rows{Images: []change.Tuple{tuple("1", "a")}},
		})
		if err != nil {
			t.Fatal(err)
		}
		m.Segments = []change.SegmentFiles{entry}
		if err := l.Commit(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		f.clock.advance(hour)
	}
}

// left names what is left: manifests and data by number, the rest by folder.
func left(tb testing.TB, f *fakeS3) string {
	tb.Helper()
	var names []string
	for _, k := range f.keys(tb) {
		folder, rest, _ := strings.Cut(k, "/")
		if folder == "log" || folder == "data" {
			rest = strings.TrimLeft(rest[:20], "0")
		}
		names = append(names, folder+" "+rest)
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}

func TestCollect(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		seq       uint64
		retention time.Duration
		want      string
	}{
		"nothing applied":  {0, 0, "data 1, data 2, data 3, data 4, log 1, log 2, log 3, log 4"},
		"applied up to 3":  {3, 0, "data 3, data 4, log 3, log 4"},
		"all applied":      {5, 0, "data 4, log 4"},
		"beyond":           {1 << 60, 0, "data 4, log 4"},
		"too young":        {5, 4*hour + 1, "data 1, data 2, data 3, data 4, log 1, log 2, log 3, log 4"},
		"two of four old":  {5, 3 * hour, "data 3, data 4, log 3, log 4"},
		"old and unneeded": {2, 2 * hour, "data 2, data 3, data 4, log 2, log 3, log 4"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeS3(t)
			l := open(t, f.config())
			batches(t, f, l, 1, 2, 3, 4)
			h := stage.Horizon{Seq: c.seq, Retention: c.retention, Now: f.clock.Now()}
			n, err := l.Collect(t.Context(), h)
			if got := left(t, f); err != nil || got != c.want {
				t.Errorf("left: %s; %v", got, err)
			}
			if n.Manifests != n.Data || n.Manifests != int64(4-strings.Count(c.want, "log")) {
				t.Errorf("counted %+v", n)
			}
			if n, err = l.Collect(t.Context(), h); err != nil || n != (stage.Collected{}) {
				t.Errorf("again: %+v, %v", n, err)
			}
		})
	}
}

// TestCollectOrphans: data of attempts that died goes with the batches of its
// number; data for a batch that isn't committed yet stays.
func TestCollectOrphans(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	l := open(t, f.config())
	batches(t, f, l, 1, 2, 3)
	f.store(t, "pre/shop/data/00000000000000000002-dead/0000-insert-00.csv.zst", []byte("x"))
	f.store(t, "pre/shop/data/00000000000000000003-dead/0000-insert-00.csv.zst", []byte("x"))
	f.store(t, "pre/shop/data/00000000000000000004-open/0000-insert-00.csv.zst", []byte("x"))
	f.store(t, "pre/shop/data/readme", []byte("x"))
	f.store(t, "pre/shop/kept/abc", []byte("x"))
	n, err := l.Collect(t.Context(), stage.Horizon{Seq: 3, Now: f.clock.Now()})
	if err != nil || n.Manifests != 2 || n.Data != 3 {
		t.Errorf("counted %+v, %v", n, err)
	}
	for _, k := range f.keys(t) {
		if strings.Contains(k, "00002-") || strings.Contains(k, "00001-") {
			t.Errorf("%s is left", k)
		}
	}
	if got, want := len(f.keys(t)), 1+1+1+1+1+1; got != want {
		t.Errorf("%d objects left, want %d: %v", got, want, f.keys(t))
	}
}

func TestCollectSnapshotsAndCopies(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	l := open(t, f.config())
	rel := relation([]int{0}, "int4", "text")
	for _, attempt := range []string{"done", "busy"} {
		w, err := l.SnapshotFile(rel, 0x10, attempt, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(t.Context(), tuple("1", "a")); err != nil {
			t.Fatal(err)
		}
		files, err := w.Close(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.PutCopyManifest(t.Context(), attempt, files); err != nil {
			t.Fatal(err)
		}
	}
	h := stage.Horizon{Retention: 2 * hour, Now: f.clock.Now().Add(3 * hour)}
	if n, err := l.Collect(t.Context(), h); err != nil || n != (stage.Collected{}) {
		t.Errorf("without a word on snapshots: %+v, %v", n, err)
	}
	h.SnapshotNeeded = func(id stage.SnapshotID) bool {
		if id.OID != 4711 || id.X != 0x10 {
			t.Errorf("asked for %+v", id)
		}
		return id.Attempt == "busy"
	}
	if n, err := l.Collect(t.Context(), h); err != nil || n.Snapshots != 1 || n.Copies != 0 {
		t.Errorf("counted %+v, %v", n, err)
	}
	h.Now = f.clock.Now().Add(24 * hour)
	if n, err := l.Collect(t.Context(), h); err != nil || n.Snapshots != 0 || n.Copies != 2 {
		t.Errorf("counted %+v, %v", n, err)
	}
	if keys := f.keys(t); len(keys) != 1 || !strings.Contains(keys[0], "-busy/") {
		t.Errorf("left: %v", keys)
	}
}

// TestCollectStoppedHalfway: whichever request fails, every manifest that is
// left has its data, what is left is one run, and a second call ends the work.
func TestCollectStoppedHalfway(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		f := newFakeS3(t)
		defer f.Close()
		l := open(t, f.config())
		batches(t, f, l, 1, 2, 3, 4, 5)
		h := stage.Horizon{Seq: rapid.Uint64Range(1, 6).Draw(rt, "seq"), Now: f.clock.Now()}
		method := rapid.SampledFrom([]string{http.MethodGet, http.MethodPost}).Draw(rt, "method")
		skip := rapid.IntRange(0, 2).Draw(rt, "skip")
		passing := f.handler
		f.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == method {
				if skip--; skip == -1 {
					w.WriteHeader(http.StatusForbidden)
					return
				}
			}
			passing.ServeHTTP(w, r)
		})
		_, err := l.Collect(t.Context(), h)
		var logs, data []string
		for _, k := range f.keys(t) {
			folder, rest, _ := strings.Cut(k, "/")
			if folder == "log" {
				logs = append(logs, rest[:20])
			} else {
				data = append(data, rest[:20])
			}
		}
		for i, s := range logs {
			if !slices.Contains(data, s) {
				rt.Fatalf("manifest %s has no data after %v", s, err)
			}
			if i == 0 && s > fmt.Sprintf("%020d", h.Seq) {
				rt.Fatalf("manifest %s is the first, though %d is needed", s, h.Seq)
			}
		}
		if len(logs) == 0 || logs[len(logs)-1] != fmt.Sprintf("%020d", 5) {
			rt.Fatalf("the newest manifest is gone: %v", logs)
		}
		if _, err := l.Collect(t.Context(), h); err != nil {
			rt.Fatal(err)
		}
		if want := fmt.Sprintf("data %d", min(h.Seq, 5)); !strings.HasPrefix(left(t, f), want) {
			rt.Fatalf("left: %s", left(t, f))
		}
	})
}

func TestDeleteAll(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	l := open(t, f.config())
	batches(t, f, l, 1, 2)
	for i := range 2345 {
		f.store(t, fmt.Sprintf("pre/shop/snapshot/1/%04d", i), nil)
	}
	f.store(t, "pre/shop/kept/abc", nil)
	f.store(t, "pre/shop2/log/x", nil)
	n, err := l.DeleteAll(t.Context(), false)
	if err != nil || n != 2349 {
		t.Errorf("deleted %d, %v", n, err)
	}
	if keys := f.keys(t); !slices.Equal(keys, []string{"kept/abc", "pre/shop2/log/x"}) {
		t.Errorf("left: %v", keys)
	}
	if n, err = l.DeleteAll(t.Context(), true); err != nil || n != 1 {
		t.Errorf("deleted %d, %v", n, err)
	}
	if last, err := l.Last(t.Context()); last != 0 || err != nil {
		t.Errorf("last %d, %v", last, err)
	}
}

// TestDeleteRefused: one object of several that can't go is an error with a
// remedy, though the request as a whole is answered with 200.
func TestDeleteRefused(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	l := open(t, f.config())
	batches(t, f, l, 1)
	passing := f.handler
	f.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			passing.ServeHTTP(w, r)
			return
		}
		fmt.Fprint(w, `<DeleteResult><Error><Key>pre/shop/log/1</Key><Code>AccessDenied</Code></Error></DeleteResult>`)
	})
	n, err := l.DeleteAll(t.Context(), false)
	if n != 0 || change.ScopeOf(err) != change.ScopeLoop || !strings.Contains(err.Error(), "s3:DeleteObject") {
		t.Errorf("deleted %d, %v", n, err)
	}
}
