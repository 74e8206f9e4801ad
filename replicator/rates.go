package replicator

import (
	"time"

	"github.com/jackc/pglogrepl"
)

const (
	// measureEvery is how often the positions are noted, rateWindow the time
	// that rates are taken over: long enough to hold several applies, which
	// move the applied position in steps.
	measureEvery = 5 * time.Second
	rateWindow   = 5 * time.Minute
	// rateAfter is the shortest time that a rate is taken over.
	rateAfter = 2 * measureEvery
	// maxMarks bounds the memory of where the source's log has been.
	maxMarks = 120
	// maxForecast is the longest time that is worth foretelling.
	maxForecast = 30 * 24 * time.Hour
)

// reading is where everything stood at one moment. Times carry the monotonic
// clock, so that setting the machine's clock bends no rate.
type reading struct {
	at                        time.Time
	server, captured, applied pglogrepl.LSN
	// safe is the WAL that may still be written before the slot is lost, -1
	// where there is no limit or nothing is known.
	safe int64
}

// mark is a position of the source's log and when it was first seen there.
type mark struct {
	at  time.Time
	lsn pglogrepl.LSN
}

// meter takes rates from readings of the last minutes. Pure: time comes with
// the readings. Not safe for concurrent use.
type meter struct {
	readings []reading // oldest first
	// marks are positions that are not captured yet, oldest first, spacing apart.
	marks   []mark
	spacing time.Duration
}

// note adds a reading. What lies before a step back (a first load that began
// again) is forgotten.
func (m *meter) note(r reading) {
	if n := len(m.readings); n > 0 {
		last := m.readings[n-1]
		if r.server < last.server || r.applied < last.applied {
			m.readings, m.marks = nil, nil
		}
	}
	m.readings = append(m.readings, r)
	drop := 0
	for drop < len(m.readings)-1 && r.at.Sub(m.readings[drop].at) > rateWindow {
		drop++
	}
	m.readings = m.readings[drop:]
	m.mark(r)
}

// mark keeps the positions above the captured one. When there are too many
// every second one goes, the oldest never, and the next come as far apart.
func (m *meter) mark(r reading) {
	passed := 0
	for passed < len(m.marks) && m.marks[passed].lsn <= r.captured {
		passed++
	}
	m.marks = m.marks[passed:]
	n := len(m.marks)
	switch {
	case r.server <= r.captured:
	case n == 0:
		m.marks, m.spacing = append(m.marks, mark{r.at, r.server}), 0
	case m.marks[n-1].lsn < r.server && r.at.Sub(m.marks[n-1].at) >= m.spacing:
		m.marks = append(m.marks, mark{r.at, r.server})
	}
	if len(m.marks) <= maxMarks {
		return
	}
	m.spacing = max(2*m.spacing, 2*measureEvery)
	kept := m.marks[:0]
	for i, k := range m.marks {
		if i%2 == 0 {
			kept = append(kept, k)
		}
	}
	m.marks = kept
}

// uncaptured returns for how long the source's log has been above captured.
func (m *meter) uncaptured(now time.Time, captured pglogrepl.LSN) time.Duration {
	for _, k := range m.marks {
		if k.lsn > captured {
			return max(0, now.Sub(k.at))
		}
	}
	return 0
}

// growth returns how much f's value grows per second, 0 when that can't be
// said yet or it shrinks. f is asked for readings it knows nothing of too, and
// returns false there.
func (m *meter) growth(f func(reading) (int64, bool)) float64 {
	first, last := -1, -1
	for i := range m.readings {
		if _, ok := f(m.readings[i]); ok {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	if first < 0 {
		return 0
	}
	from, to := m.readings[first], m.readings[last]
	span := to.at.Sub(from.at)
	a, _ := f(from)
	b, _ := f(to)
	if span < rateAfter || b <= a {
		return 0
	}
	return float64(b-a) / span.Seconds()
}

func (m *meter) rates() Rates {
	position := func(get func(reading) pglogrepl.LSN) float64 {
		return m.growth(func(r reading) (int64, bool) { return int64(get(r)), get(r) > 0 })
	}
	return Rates{
		WAL:      position(func(r reading) pglogrepl.LSN { return r.server }),
		Captured: position(func(r reading) pglogrepl.LSN { return r.captured }),
		Applied:  position(func(r reading) pglogrepl.LSN { return r.applied }),
	}
}

// toLimit foretells when the slot's limit is reached; false if it is not being
// approached.
func (m *meter) toLimit(safe int64) (time.Duration, bool) {
	loss := m.growth(func(r reading) (int64, bool) { return -r.safe, r.safe >= 0 })
	return forecast(safe, loss)
}

// toCatchUp foretells when apply reaches the end of the source's log, which
// moves on meanwhile; false if it doesn't gain on it.
func (m *meter) toCatchUp(backlog int64) (time.Duration, bool) {
	r := m.rates()
	return forecast(backlog, r.Applied-r.WAL)
}

// forecast returns how long a distance takes at a rate per second.
func forecast(distance int64, rate float64) (time.Duration, bool) {
	if distance <= 0 {
		return 0, true
	}
	if rate <= 0 {
		return 0, false
	}
	seconds := float64(distance) / rate
	if seconds > maxForecast.Seconds() {
		return 0, false
	}
	return time.Duration(seconds * float64(time.Second)), true
}
