package replicator

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Window says at which times of the week something may run. The zero Window is
// always open. It is immutable and safe for concurrent use.
//
// A span opens when the clock of its zone first shows its beginning on one of
// its days, and closes when that clock first shows its end, on the next day if
// the end is not after the beginning. So a time that daylight saving skips
// counts as the moment of the change, and an hour that comes twice neither
// opens nor closes a span twice.
type Window struct {
	spans []span
}

// span is one stretch of time on some days of the week.
type span struct {
	text     string
	days     [7]bool // by time.Weekday
	from, to int     // minutes after midnight; to is above 24 h when it lies on the next day
	zone     *time.Location
}

const (
	minutesPerDay = 24 * 60
	// windowHorizon is how far ahead Open looks for a change. A span is open at
	// least every week; if daylight saving swallows it, a week later.
	windowHorizon = 16
)

// ParseWindow reads spans such as "22:00-06:00", "sat,sun 00:00-24:00" and
// "mon-fri 22:00-06:00 Europe/Berlin". Without days a span holds on each day,
// without a zone its times are UTC. A window is open while any of its spans
// is; without spans it always is.
func ParseWindow(specs ...string) (Window, error) {
	var w Window
	var errs []error
	for _, spec := range specs {
		s, err := parseSpan(spec)
		if err != nil {
			errs = append(errs, fmt.Errorf("%q: %w", spec, err))
			continue
		}
		w.spans = append(w.spans, s)
	}
	if len(errs) > 0 {
		return Window{}, errors.Join(errs...)
	}
	return w, nil
}

func parseSpan(spec string) (span, error) {
	s := span{zone: time.UTC}
	fields := strings.Fields(spec)
	s.text = strings.Join(fields, " ")
	hours := slices.IndexFunc(fields, func(f string) bool { return strings.Contains(f, ":") })
	if hours < 0 || hours > 1 || len(fields) > hours+2 {
		return s, errors.New("want [days] HH:MM-HH:MM [time zone], for instance mon-fri 22:00-06:00 Europe/Berlin")
	}
	for day := range s.days {
		s.days[day] = hours == 0
	}
	if hours == 1 {
		if err := s.parseDays(fields[0]); err != nil {
			return s, err
		}
	}
	if err := s.parseHours(fields[hours]); err != nil {
		return s, err
	}
	if len(fields) == hours+1 {
		return s, nil
	}
	name := fields[hours+1]
	zone, err := time.LoadLocation(name)
	if err != nil || strings.EqualFold(name, "local") { // which zone that is, the host would say
		return s, fmt.Errorf("no time zone is called %q: want a name such as Europe/Berlin or UTC", name)
	}
	s.zone = zone
	return s, nil
}

// parseDays reads "mon-fri", "sat,sun" and mixtures of them.
func (s *span) parseDays(text string) error {
	names := []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
	for part := range strings.SplitSeq(strings.ToLower(text), ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, to := slices.Index(names, first), slices.Index(names, last)
		if from < 0 || to < 0 {
			return fmt.Errorf("no days are called %q: want mon, tue, wed, thu, fri, sat, sun, ranges such as mon-fri, and commas", part)
		}
		for day := from; ; day = (day + 1) % len(names) {
			s.days[day] = true
			if day == to {
				break
			}
		}
	}
	return nil
}

// parseHours reads "22:00-06:00".
func (s *span) parseHours(text string) error {
	from, to, _ := strings.Cut(text, "-")
	var okFrom, okTo bool
	s.from, okFrom = parseClock(from)
	s.to, okTo = parseClock(to)
	switch {
	case !okFrom || !okTo || s.from == minutesPerDay:
		return fmt.Errorf("no hours are written %q: want HH:MM-HH:MM, from 00:00 to 24:00", text)
	case s.from == s.to:
		return errors.New("the span ends where it begins: write 00:00-24:00 for a whole day")
	case s.to < s.from:
		s.to += minutesPerDay
	}
	return nil
}

func parseClock(text string) (int, bool) {
	h, m, ok := strings.Cut(text, ":")
	hour, errH := strconv.ParseUint(h, 10, 8)
	minute, errM := strconv.ParseUint(m, 10, 8)
	n := int(hour)*60 + int(minute)
	return n, ok && errH == nil && errM == nil && len(h) <= 2 && len(m) == 2 && minute < 60 && n <= minutesPerDay
}

// Open reports whether the window is open at t, and when that changes next;
// the zero time if it never does.
func (w Window) Open(t time.Time) (open bool, changes time.Time) {
	if len(w.spans) == 0 {
		return true, time.Time{}
	}
	stretches := w.around(t)
	// The first stretch that ends after t holds t or comes next; neighbours
	// that touch are one.
	i := slices.IndexFunc(stretches, func(s [2]time.Time) bool { return s[1].After(t) })
	if i < 0 {
		return false, time.Time{}
	}
	if stretches[i][0].After(t) {
		return false, stretches[i][0]
	}
	if end := stretches[i][1]; end.Before(t.AddDate(0, 0, windowHorizon-3)) {
		return true, end
	}
	return true, time.Time{} // it does not close within two weeks, so it never does
}

// around returns the window's stretches from before t up to the horizon,
// joined where they touch, in order.
func (w Window) around(t time.Time) [][2]time.Time {
	var all [][2]time.Time
	for i := range w.spans {
		s := &w.spans[i]
		year, month, today := t.In(s.zone).Date()
		for d := -2; d <= windowHorizon; d++ {
			if !s.days[time.Date(year, month, today+d, 0, 0, 0, 0, time.UTC).Weekday()] {
				continue
			}
			from := firstShown(s.zone, time.Date(year, month, today+d, 0, s.from, 0, 0, time.UTC))
			to := firstShown(s.zone, time.Date(year, month, today+d, 0, s.to, 0, 0, time.UTC))
			if from.Before(to) {
				all = append(all, [2]time.Time{from, to})
			}
		}
	}
	slices.SortFunc(all, func(a, b [2]time.Time) int { return a[0].Compare(b[0]) })
	var joined [][2]time.Time
	for _, s := range all {
		if n := len(joined); n > 0 && !s[0].After(joined[n-1][1]) {
			if s[1].After(joined[n-1][1]) {
				joined[n-1][1] = s[1]
			}
			continue
		}
		joined = append(joined, s)
	}
	return joined
}

// firstShown returns the first instant at which the clock of a zone shows wall, or
// a later time where wall is skipped. wall is that reading as if it were UTC.
func firstShown(zone *time.Location, wall time.Time) time.Time {
	// Two days before, every zone's clock shows an earlier time: the largest
	// step that a zone ever made was a day.
	at := wall.Add(-48 * time.Hour).In(zone)
	for {
		_, offset := at.Zone()
		shown := wall.Add(-time.Duration(offset) * time.Second)
		_, ends := at.ZoneBounds()
		if shown.Before(at) {
			shown = at
		}
		if ends.IsZero() || shown.Before(ends) {
			return shown.UTC()
		}
		at = ends
	}
}

// String returns the spans as ParseWindow reads them, and "always" for the
// zero Window.
func (w Window) String() string {
	if len(w.spans) == 0 {
		return "always"
	}
	texts := make([]string, len(w.spans))
	for i := range w.spans {
		texts[i] = w.spans[i].text
	}
	return strings.Join(texts, "; ")
}
