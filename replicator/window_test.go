package replicator_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the test must not depend on the host's zones

	"pgregory.net/rapid"

	"github.com/walshift/walshift/replicator"
)

func window(t rapid.TB, specs ...string) replicator.Window {
	t.Helper()
	w, err := replicator.ParseWindow(specs...)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestWindow(t *testing.T) {
	t.Parallel()
	const never = ""
	for _, c := range []struct {
		name, specs, at string
		open            bool
		changes         string
	}{
		{"none", "", "2026-05-01T12:00:00Z", true, never},
		{"before", "22:00-06:00", "2026-05-01T21:59:59Z", false, "2026-05-01T22:00:00Z"},
		{"beginning", "22:00-06:00", "2026-05-01T22:00:00Z", true, "2026-05-02T06:00:00Z"},
		{"after midnight", "22:00-06:00", "2026-05-02T05:59:59Z", true, "2026-05-02T06:00:00Z"},
		{"end", "22:00-06:00", "2026-05-02T06:00:00Z", false, "2026-05-02T22:00:00Z"},
		{"all days are always", "00:00-24:00", "2026-05-02T06:00:00Z", true, never},
		{"two halves are always", "00:00-12:00; 12:00-00:00", "2026-05-02T06:00:00Z", true, never},
		{"weekend as one", "sat,sun 00:00-24:00", "2026-05-01T12:00:00Z", false, "2026-05-02T00:00:00Z"},
		{"in the weekend", "sat,sun 00:00-24:00", "2026-05-02T12:00:00Z", true, "2026-05-04T00:00:00Z"},
		{"days of the beginning count", "fri 22:00-06:00", "2026-05-02T03:00:00Z", true, "2026-05-02T06:00:00Z"},
		{"a day later", "fri 22:00-06:00", "2026-05-03T03:00:00Z", false, "2026-05-08T22:00:00Z"},
		{"week that wraps", "Sat-Mon 10:00-11:00", "2026-05-04T10:30:00Z", true, "2026-05-04T11:00:00Z"},
		{"week that wraps, out", "sat-mon 10:00-11:00", "2026-05-05T10:30:00Z", false, "2026-05-09T10:00:00Z"},
		{"zone", "08:00-09:00 Asia/Kolkata", "2026-05-05T02:29:00Z", false, "2026-05-05T02:30:00Z"},
		{"overlap", "08:00-10:00; 09:00-11:00", "2026-05-05T08:30:00Z", true, "2026-05-05T11:00:00Z"},
		// Berlin, 2026-03-29: 02:00 becomes 03:00 (01:00 UTC).
		{"spring: over the gap", "01:00-04:00 Europe/Berlin", "2026-03-29T00:30:00Z", true, "2026-03-29T02:00:00Z"},
		{"spring: begins in the gap", "02:30-04:00 Europe/Berlin", "2026-03-29T00:59:59Z", false, "2026-03-29T01:00:00Z"},
		{"spring: ends in the gap", "01:00-02:30 Europe/Berlin", "2026-03-29T00:30:00Z", true, "2026-03-29T01:00:00Z"},
		{"spring: all in the gap", "02:10-02:50 Europe/Berlin", "2026-03-29T00:30:00Z", false, "2026-03-30T00:10:00Z"},
		{"spring: a weekly one in the gap", "sun 02:10-02:50 Europe/Berlin", "2026-03-28T12:00:00Z", false, "2026-04-05T00:10:00Z"},
		// Berlin, 2026-10-25: 03:00 becomes 02:00 (01:00 UTC); 02:30 comes twice.
		{"autumn: over the hour that comes twice", "01:00-04:00 Europe/Berlin", "2026-10-25T00:30:00Z", true, "2026-10-25T03:00:00Z"},
		{"autumn: begins at the first", "02:30-04:00 Europe/Berlin", "2026-10-25T00:29:00Z", false, "2026-10-25T00:30:00Z"},
		{"autumn: ends at the first", "01:00-02:30 Europe/Berlin", "2026-10-25T00:00:00Z", true, "2026-10-25T00:30:00Z"},
		{"autumn: does not open again", "01:00-02:30 Europe/Berlin", "2026-10-25T01:10:00Z", false, "2026-10-26T00:00:00Z"},
		// Midnight itself is skipped in Beirut on 2026-03-29, a whole day in Samoa on 2011-12-30.
		{"no midnight", "00:00-06:00 Asia/Beirut", "2026-03-28T21:30:00Z", false, "2026-03-28T22:00:00Z"},
		{"no friday", "fri 08:00-20:00 Pacific/Apia", "2011-12-29T12:00:00Z", false, "2012-01-05T18:00:00Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var specs []string
			if c.specs != "" {
				specs = strings.Split(c.specs, ";")
			}
			at, err := time.Parse(time.RFC3339, c.at)
			if err != nil {
				t.Fatal(err)
			}
			open, changes := window(t, specs...).Open(at)
			got := never
			if !changes.IsZero() {
				got = changes.UTC().Format(time.RFC3339)
			}
			if open != c.open || got != c.changes {
				t.Errorf("open %t until %q, want %t until %q", open, got, c.open, c.changes)
			}
		})
	}
}

// TestWindowAgreesWithTheClock compares Open with a reading of the clock minute
// by minute, away from the changes of daylight saving, and its two answers with
// each other everywhere.
func TestWindowAgreesWithTheClock(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
		first, last := rapid.IntRange(0, 6).Draw(t, "first"), rapid.IntRange(0, 6).Draw(t, "last")
		from, to := rapid.IntRange(0, 1439).Draw(t, "from"), rapid.IntRange(0, 1440).Draw(t, "to")
		if from == to {
			to++
		}
		zone := rapid.SampledFrom([]string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"}).Draw(t, "zone")
		spec := fmt.Sprintf("%s-%s %02d:%02d-%02d:%02d %s", names[first], names[last], from/60, from%60, to/60, to%60, zone)
		w := window(t, spec)
		if w.String() != spec {
			t.Fatalf("%q is written back as %q", spec, w.String())
		}
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Date(2026, 1, 1, 0, rapid.IntRange(0, 365*1440).Draw(t, "minute"), 0, 0, time.UTC)
		open, changes := w.Open(at)
		local := at.In(loc)
		if starts, ends := local.AddDate(0, 0, -2).ZoneBounds(); starts.Before(at.AddDate(0, 0, -4)) && (ends.IsZero() || ends.After(at.AddDate(0, 0, 2))) {
			if want := openByClock(local, [2]int{first, last}, from, to); open != want {
				t.Fatalf("%s at %s: open %t, want %t", spec, local, open, want)
			}
		}
		if changes.IsZero() {
			if from != 0 || to != 1440 || (last+1)%7 != first {
				t.Fatalf("%s at %s: never changes", spec, local)
			}
			return
		}
		before, sameChange := w.Open(changes.Add(-time.Nanosecond))
		after, _ := w.Open(changes)
		if !changes.After(at) || before != open || after == open || !sameChange.Equal(changes) {
			t.Fatalf("%s at %s: open %t, changes %s, but open %t just before and %t then", spec, local, open, changes, before, after)
		}
	})
}

// openByClock reads a wall clock: the day of a span is that of its beginning.
func openByClock(at time.Time, days [2]int, from, to int) bool {
	holds := func(day int) bool {
		for d := days[0]; ; d = (d + 1) % 7 {
			if d == day {
				return true
			}
			if d == days[1] {
				return false
			}
		}
	}
	minute, today := at.Hour()*60+at.Minute(), int(at.Weekday())
	if from < to {
		return holds(today) && minute >= from && minute < to
	}
	return (holds(today) && minute >= from) || (holds((today+6)%7) && minute < to)
}

func TestWindowRefusals(t *testing.T) {
	t.Parallel()
	for spec, want := range map[string]string{
		"":                             "want [days] HH:MM-HH:MM",
		"always":                       "want [days] HH:MM-HH:MM",
		"mon tue 22:00-06:00":          "want [days] HH:MM-HH:MM",
		"22:00-06:00 UTC UTC":          "want [days] HH:MM-HH:MM",
		"22:00":                        "no hours are written",
		"22-06:00":                     "no hours are written",
		"24:00-06:00":                  "no hours are written",
		"22:00-24:01":                  "no hours are written",
		"22:60-23:00":                  "no hours are written",
		"2:3-4:00":                     "no hours are written",
		"-1:00-4:00":                   "no hours are written",
		"22:00-22:00":                  "ends where it begins",
		"22:00-06:00 Europe/Atlantis":  `no time zone is called "Europe/Atlantis"`,
		"22:00-06:00 Local":            "no time zone is called",
		"22:00-06:00 ../../etc/passwd": "no time zone is called",
		"monday 22:00-06:00":           `no days are called "monday"`,
		"mon- 22:00-06:00":             "no days are called",
		"mon,,tue 22:00-06:00":         "no days are called",
	} {
		if w, err := replicator.ParseWindow("01:00-02:00", spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %s, error %v; want one with %q", spec, w, err, want)
		}
	}
}
