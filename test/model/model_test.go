package model_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/fold"
	"github.com/walshift/walshift/sink/redshift/compact"
)

//nolint:gochecknoglobals // test flags
var (
	cases = flag.Int("cases", 20_000, "scripts that each property is held against")
	seed  = flag.Uint64("seed", 0, "begin of the random numbers; 0 takes any")
)

// run is a script while it is played.
type run struct {
	source   source
	target   table
	segments []*change.Segment
	// broken is a fault for the tests of the test itself.
	broken func(*change.Segment)
}

func newRun(s *schema, f *fold.Folder) *run {
	return &run{source: source{schema: s, rows: table{}, folder: f, commit: 1}, target: table{}}
}

// cut ends the open segments.
func (r *run) cut() {
	for _, seg := range r.source.folder.Cut() {
		if r.broken != nil {
			r.broken(seg)
		}
		r.segments = append(r.segments, seg)
	}
}

// bySegment applies what was cut, segment by segment.
func (r *run) bySegment() error {
	for _, seg := range r.segments {
		if err := r.target.segment(r.source.schema, seg); err != nil {
			return err
		}
	}
	return nil
}

// byCompact folds what was cut once more, and applies the outcome.
func (r *run) byCompact() error {
	if len(r.segments) == 0 {
		return nil
	}
	t := compact.New(r.source.rel, marker)
	for _, seg := range r.segments {
		if err := t.Add(seg.Truncate, files(r.source.schema, seg)); err != nil {
			return fmt.Errorf("folding segments: %w", err)
		}
	}
	return r.target.result(r.source.schema, t.Result())
}

// play plays a script; apply brings what was cut so far to the target, after
// which it must equal the source. Folding by segments is compared after each
// cut, folding at apply after each "apply", as the script has them.
func (r *run) play(script []step, apply func() error, at string) (err error) {
	defer func() {
		for _, seg := range r.segments {
			seg.Release()
		}
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	compare := func() error {
		r.cut()
		if err := apply(); err != nil {
			return err
		}
		for _, seg := range r.segments {
			seg.Release()
		}
		r.segments = nil
		if d := r.target.differs(r.source.rows); d != "" {
			return fmt.Errorf("the target differs: %s", d)
		}
		return nil
	}
	for i, st := range script {
		switch st.what {
		case "apply", at:
			err = compare()
		case "cut":
			r.cut()
		default:
			err = r.source.play(st)
		}
		if err != nil {
			return fmt.Errorf("at line %d, %s: %w", i+1, st, err)
		}
	}
	return compare()
}

// check is checkDrawn for tables with a key.
func check(t *testing.T, play func(*schema, *fold.Folder, []step) error) {
	t.Helper()
	checkDrawn(t, drawSchema, drawScript, play)
}

// checkDrawn plays random scripts on all processors, and prints the shortest
// part of the first one that fails.
func checkDrawn(
	t *testing.T, table func(*rand.Rand) *schema, draw func(*rand.Rand, *schema) []step,
	play func(*schema, *fold.Folder, []step) error,
) {
	t.Helper()
	begin := *seed
	if begin == 0 {
		begin = rand.Uint64()
	}
	var next atomic.Int64
	var failed atomic.Bool
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			f := fold.New(fold.Config{})
			for n := next.Add(1); n <= int64(*cases) && !failed.Load(); n = next.Add(1) {
				random := rand.New(rand.NewPCG(begin, uint64(n)))
				s := table(random)
				script := draw(random, s)
				if play(s, f, script) == nil {
					continue
				}
				failed.Store(true)
				short, err := shortest(s, script, play)
				t.Errorf("-seed %d, case %d: %v\n%s", begin, n, err, text(s, short))
				return
			}
		})
	}
	wg.Wait()
}

// shortest shrinks a failing script, and returns why it still fails. A folder
// that has failed may be in any state, so each try gets a new one.
func shortest(s *schema, script []step, play func(*schema, *fold.Folder, []step) error) ([]step, error) {
	fails := func(part []step) bool { return play(s, fold.New(fold.Config{}), part) != nil }
	script = shrink(script, fails)
	return script, play(s, fold.New(fold.Config{}), script)
}

// TestR1R2R4R5FoldedSegmentsEqualRowByRow: cut anywhere into segments, applied
// as the design says, any script leaves the rows that it leaves row by row:
// TOASTed values (R1, R2), changes of keys, chains and swaps (R4), TRUNCATE
// (R5).
func TestR1R2R4R5FoldedSegmentsEqualRowByRow(t *testing.T) {
	t.Parallel()
	check(t, func(s *schema, f *fold.Folder, script []step) error {
		r := newRun(s, f)
		return r.play(script, r.bySegment, "cut")
	})
}

// TestR1R2R4R5FoldedRunsEqualRowByRow: the same for segments that apply folds
// once more, in runs of any length.
func TestR1R2R4R5FoldedRunsEqualRowByRow(t *testing.T) {
	t.Parallel()
	check(t, func(s *schema, f *fold.Folder, script []step) error {
		r := newRun(s, f)
		return r.play(script, r.byCompact, "apply")
	})
}

// TestFailuresShrink: with a fault in what is folded, scripts fail, and what is
// printed of them is short.
func TestFailuresShrink(t *testing.T) {
	t.Parallel()
	play := func(s *schema, f *fold.Folder, script []step) error {
		r := newRun(s, f)
		r.broken = func(seg *change.Segment) { // an unchanged value becomes NULL
			for i, image := range seg.Partials.Images {
				if values := row(image); len(seg.Partials.Origins) > 0 && slices.Contains(values, kept) {
					for c := range values {
						values[c] = strings.ReplaceAll(values[c], kept, null)
					}
					seg.Upserts.Images = append(seg.Upserts.Images, (&source{schema: s}).tuple(values))
					seg.Partials.Existed[i] = true
				}
			}
			seg.Partials = change.Rows{}
		}
		return r.play(script, r.bySegment, "cut")
	}
	found := 0
	for n := range uint64(2000) {
		random := rand.New(rand.NewPCG(1, n))
		s := drawSchema(random)
		script := drawScript(random, s)
		if play(s, fold.New(fold.Config{}), script) == nil {
			continue
		}
		found++
		short, err := shortest(s, script, play)
		if err == nil || len(short) > 9 {
			t.Fatalf("%d of %d steps are left, %v:\n%s", len(short), len(script), err, text(s, short))
		}
		if found == 1 {
			t.Logf("%v\n%s", err, text(s, short))
		}
	}
	if found < 100 {
		t.Fatalf("the fault was seen in %d scripts of 2,000", found)
	}
}
