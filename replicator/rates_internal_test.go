package replicator

import (
	"math"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"
	"pgregory.net/rapid"
)

// feed notes a reading every step; f gives server, captured, applied and safe
// at a time since the beginning.
func feed(m *meter, from, to time.Duration, f func(s float64) (server, captured, applied, safe float64)) time.Time {
	start := time.Unix(1000, 0)
	for at := from; at <= to; at += measureEvery {
		s, c, a, safe := f(at.Seconds())
		m.note(reading{
			at: start.Add(at), server: pglogrepl.LSN(s), captured: pglogrepl.LSN(c), applied: pglogrepl.LSN(a), safe: int64(safe),
		})
	}
	return start.Add(to)
}

func near(got, want float64) bool { return math.Abs(got-want) <= 0.01*math.Abs(want)+0.01 }

func TestRatesAndForecasts(t *testing.T) {
	t.Parallel()
	var m meter
	feed(&m, 0, 2*time.Minute, func(s float64) (float64, float64, float64, float64) {
		return 1e9 + 1000*s, 1e9 + 1000*s, 1e8 + 3000*s, 1e6 - 500*s
	})
	r := m.rates()
	if !near(r.WAL, 1000) || !near(r.Captured, 1000) || !near(r.Applied, 3000) {
		t.Errorf("rates %+v", r)
	}
	if d, ok := m.toCatchUp(1 << 20); !ok || !near(d.Seconds(), float64(1<<20)/2000) {
		t.Errorf("caught up in %s, %v", d, ok)
	}
	if d, ok := m.toLimit(940_000); !ok || !near(d.Seconds(), 940_000/500) {
		t.Errorf("limit in %s, %v", d, ok)
	}
	if d, ok := m.toCatchUp(0); !ok || d != 0 {
		t.Errorf("nothing left, but %s, %v", d, ok)
	}
}

// TestNoForecast: what is not approached is not foretold.
func TestNoForecast(t *testing.T) {
	t.Parallel()
	var behind, idle, single meter
	feed(&behind, 0, time.Minute, func(s float64) (float64, float64, float64, float64) {
		return 1e9 + 3000*s, 1e9 + 3000*s, 1e8 + 1000*s, 1e6 + 10*s
	})
	feed(&idle, 0, time.Minute, func(float64) (float64, float64, float64, float64) { return 1e9, 1e9, 0, -1 })
	feed(&single, 0, 0, func(float64) (float64, float64, float64, float64) { return 1e9, 1e9, 1e8, 1e6 })
	for name, m := range map[string]*meter{"falling behind": &behind, "idle": &idle, "one reading": &single} {
		if d, ok := m.toCatchUp(1000); ok {
			t.Errorf("%s: caught up in %s", name, d)
		}
		if d, ok := m.toLimit(1000); ok {
			t.Errorf("%s: limit in %s", name, d)
		}
	}
}

// TestRatesForgetOldTimes: a rate is that of the last minutes, and a first load
// that began again does not bend it.
func TestRatesForgetOldTimes(t *testing.T) {
	t.Parallel()
	var m meter
	feed(&m, 0, time.Hour, func(s float64) (float64, float64, float64, float64) { return 1e9 + 1e6*s, 1e9, 1, -1 })
	feed(&m, time.Hour+measureEvery, 2*time.Hour, func(s float64) (float64, float64, float64, float64) {
		return 1e10 + 10*s, 1e9, 1, -1
	})
	if r := m.rates(); !near(r.WAL, 10) {
		t.Errorf("the rate of an hour ago is still felt: %+v", r)
	}
	if n := len(m.readings); n > int(rateWindow/measureEvery)+2 {
		t.Errorf("%d readings are kept", n)
	}
	feed(&m, 2*time.Hour+measureEvery, 2*time.Hour+time.Minute, func(s float64) (float64, float64, float64, float64) {
		return 1e6 + 7*s, 1e6, 1, -1
	})
	if r := m.rates(); !near(r.WAL, 7) {
		t.Errorf("after a step back: %+v", r)
	}
}

// TestUncapturedTime: the time for which the source's log is ahead is found
// however long it lasts, in bounded memory, and ends with the capture.
func TestUncapturedTime(t *testing.T) {
	t.Parallel()
	var m meter
	end := feed(&m, 0, 10*time.Hour, func(s float64) (float64, float64, float64, float64) { return 1e9 + 100*s, 1e9, 1, -1 })
	if got := m.uncaptured(end, 1e9).Hours(); !near(got, 10) {
		t.Errorf("ahead for %f hours", got)
	}
	if len(m.marks) > maxMarks {
		t.Errorf("%d marks are kept", len(m.marks))
	}
	half := m.uncaptured(end, 1e9+100*5*3600).Hours()
	if half < 4.5 || half > 5 {
		t.Errorf("ahead of the middle for %f hours", half)
	}
	if got := m.uncaptured(end, 2e9); got != 0 {
		t.Errorf("caught up, and ahead for %s", got)
	}
}

// TestRatesAreNumbers: whatever is read, no figure is NaN, infinite or negative.
func TestRatesAreNumbers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var m meter
		now := time.Unix(1000, 0)
		for range rapid.IntRange(0, 40).Draw(t, "readings") {
			now = now.Add(time.Duration(rapid.IntRange(0, 600).Draw(t, "step")) * time.Second)
			position := func(name string) pglogrepl.LSN {
				return pglogrepl.LSN(rapid.Uint64Range(0, math.MaxInt64).Draw(t, name))
			}
			m.note(reading{
				at: now, server: position("server"), captured: position("captured"), applied: position("applied"),
				safe: rapid.Int64Range(-1, math.MaxInt64).Draw(t, "safe"),
			})
		}
		backlog := rapid.Int64Range(0, math.MaxInt64).Draw(t, "backlog")
		r := m.rates()
		catchUp, _ := m.toCatchUp(backlog)
		limit, _ := m.toLimit(backlog)
		for _, v := range []float64{r.WAL, r.Captured, r.Applied, catchUp.Seconds(), limit.Seconds(), m.uncaptured(now, 5).Seconds()} {
			if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
				t.Fatalf("%f among %+v, %s, %s", v, r, catchUp, limit)
			}
		}
	})
}
