package stage_test

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/stage"
)

func manifestKey(seq uint64) string { return fmt.Sprintf("pre/shop/log/%020d.json", seq) }

// sequence returns n numbers from first on.
func sequence(first uint64, n int) []uint64 {
	list := make([]uint64, n)
	for i := range list {
		list[i] = first + uint64(i)
	}
	return list
}

// checkEnds stores manifests of the given numbers and asks for both ends.
func checkEnds(tb testing.TB, seqs []uint64, limit int) error {
	tb.Helper()
	f := newFakeS3(tb)
	defer f.Close()
	l := open(tb, f.config())
	defer l.Close()
	// Neighbours of the folder must not count.
	f.store(tb, "pre/shop/data/00000000000000000001-a/x", nil)
	f.store(tb, "pre/shop/snapshot/1/x", nil)
	f.store(tb, "pre/shop2/log/99999999999999999999.json", nil)
	var first, last uint64
	for i, s := range seqs {
		f.store(tb, manifestKey(s), []byte("{}"))
		if i == 0 || s < first {
			first = s
		}
		last = max(last, s)
	}
	f.count("")
	got, err := l.First(tb.Context())
	if n := f.count(""); err != nil || got != first || n != 1 {
		return fmt.Errorf("first is %d, want %d; %d requests; %w", got, first, n, err)
	}
	got, err = l.Last(tb.Context())
	if n := f.count(""); err != nil || got != last || n > limit {
		return fmt.Errorf("last is %d, want %d; %d requests of %d; %w", got, last, n, limit, err)
	}
	return nil
}

// TestLastRequests counts requests for dense logs, wherever they begin, and
// for spaces with holes.
func TestLastRequests(t *testing.T) {
	t.Parallel()
	powers := make([]uint64, 0, 64)
	for i := range 64 {
		powers = append(powers, 1<<i)
	}
	var clusters []uint64
	for _, p := range powers {
		clusters = append(clusters, sequence(p, 150)...)
	}
	for name, c := range map[string]struct {
		seqs  []uint64
		limit int
	}{
		"none":                {nil, 1},
		"one":                 {[]uint64{1}, 1},
		"ten":                 {sequence(1, 10), 1},
		"ninety-nine":         {sequence(1, 99), 1},
		"5,000":               {sequence(1, 5000), 16},
		"5,000, late":         {sequence(1<<40, 5000), 16},
		"5,000, at the end":   {sequence(math.MaxUint64-4999, 5000), 70},
		"start and end":       {append(sequence(1, 500), sequence(math.MaxUint64-499, 500)...), 70},
		"powers of two":       {powers, 70},
		"clusters at powers":  {clusters, 70},
		"the highest, alone":  {[]uint64{math.MaxUint64}, 1},
		"the highest of many": {append(sequence(1, 300), math.MaxUint64), 70},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := checkEnds(t, c.seqs, c.limit); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestLastOfAnySpace(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		var seqs []uint64
		for range rapid.IntRange(0, 6).Draw(rt, "runs") {
			shift := rapid.IntRange(0, 63).Draw(rt, "shift")
			begin := rapid.Uint64Range(1, math.MaxUint64-300).Draw(rt, "begin")>>shift + 1
			seqs = append(seqs, sequence(begin, rapid.IntRange(1, 250).Draw(rt, "length"))...)
		}
		slices.Sort(seqs)
		if err := checkEnds(t, slices.Compact(seqs), 70); err != nil {
			rt.Fatal(err)
		}
	})
}

// TestStrangeObject: what walshift did not write is not stepped over.
func TestStrangeObject(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	l := open(t, f.config())
	for _, name := range []string{"00000000000000000001.json.bak", "notes.txt", "00000000000000000000x.json"} {
		f.store(t, "pre/shop/log/"+name, nil)
		_, err := l.Last(t.Context())
		if change.ScopeOf(err) != change.ScopeLoop || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := f.backend.DeleteObject(bucket, "pre/shop/log/"+name); err != nil {
			t.Fatal(err)
		}
	}
}

func commit(t *testing.T, l *stage.Log, seqs ...uint64) {
	t.Helper()
	for _, s := range seqs {
		if err := l.Commit(t.Context(), manifest(s)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadFrom(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	l := open(t, f.config())
	commit(t, l, 5, 6, 7, 8, 10)
	numbers := func(from uint64, limit int) ([]uint64, error) {
		batches, err := l.ReadFrom(t.Context(), from, limit)
		var n []uint64
		for _, b := range batches {
			n = append(n, b.Seq)
		}
		return n, err
	}
	if got, err := numbers(6, 2); err != nil || !slices.Equal(got, []uint64{6, 7}) {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := numbers(10, 100); err != nil || !slices.Equal(got, []uint64{10}) {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := numbers(11, 100); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := numbers(0, 1); err == nil {
		t.Error("batch 0 is none")
	}
}

// TestV21GapNamesRange: batches that vanished stop the pipeline, wherever the
// hole is, and the range is named.
func TestV21GapNamesRange(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	l := open(t, f.config())
	commit(t, l, 5, 6, 9)
	for from, text := range map[uint64]string{
		3: "batches 3 to 4 are missing",
		5: "batches 7 to 8 are missing, changes in (0/7000, 0/9000] are lost",
		7: "batches 7 to 8 are missing",
	} {
		_, err := l.ReadFrom(t.Context(), from, 100)
		if from == 5 {
			// Listed are 5, 6 and 9, and 7 isn't there to be read.
			text = "batch 7 is missing, changes after 0/7000 are lost"
		}
		if !errors.Is(err, stage.ErrGap) || change.ScopeOf(err) != change.ScopeFatal || !strings.Contains(err.Error(), text) {
			t.Errorf("from %d: %v", from, err)
		}
	}
	err := stage.CheckChain(manifest(6), manifest(9))
	if !errors.Is(err, stage.ErrGap) || !strings.Contains(err.Error(), "batches 7 to 8 are missing, changes in (0/7000, 0/9000] are lost") {
		t.Errorf("got %v", err)
	}
}

func TestCheckChain(t *testing.T) {
	t.Parallel()
	if err := stage.CheckChain(manifest(1), manifest(2)); err != nil {
		t.Error(err)
	}
	for name, edit := range map[string]func(*change.Manifest){
		"seq":      func(m *change.Manifest) { m.Seq = 1 },
		"prev":     func(m *change.Manifest) { m.Prev++ },
		"begin":    func(m *change.Manifest) { m.Begin-- },
		"pipeline": func(m *change.Manifest) { m.Pipeline = "other" },
		"source":   func(m *change.Manifest) { m.SystemID = "7" },
		"timeline": func(m *change.Manifest) { m.Timeline = 0 },
		"epoch":    func(m *change.Manifest) { m.Epoch = 0 },
	} {
		m := manifest(2)
		edit(m)
		err := stage.CheckChain(manifest(1), m)
		if !errors.Is(err, stage.ErrBrokenChain) || change.ScopeOf(err) != change.ScopeFatal || !strings.Contains(err.Error(), "0/2000") {
			t.Errorf("%s: %v", name, err)
		}
	}
	later := manifest(2)
	later.Epoch, later.Timeline = 2, 2
	if err := stage.CheckChain(manifest(1), later); err != nil {
		t.Error(err)
	}
}

// TestListingFails: an error on the way is one, not the end of the log.
func TestListingFails(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	l := open(t, f.config())
	commit(t, l, 1)
	f.inject(&fault{method: http.MethodGet, path: "/" + bucket, times: 3, code: 503, name: "SlowDown"})
	if n, err := l.Last(t.Context()); err == nil || n != 0 || change.ScopeOf(err) != change.ScopeRetry {
		t.Errorf("got %d, %v", n, err)
	}
}
