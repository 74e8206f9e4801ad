package load

import (
	"strconv"
	"time"
)

// moment is a date with or without a time, as read.
type moment struct {
	year, month, day int
	bc               bool
	clock            []byte // HH:MI:SS[.ffffff]
	zone             string // as PostgreSQL reads it, empty if there was none
}

// valid checks the calendar. Years beyond 9999 are refused.
func (m *moment) valid() bool {
	y := m.year
	if m.bc {
		y = 1 - y
	}
	t := time.Date(y, time.Month(m.month), m.day, 0, 0, 0, 0, time.UTC)
	return m.year >= 1 && m.year <= 9999 && (!m.bc || m.year <= 4713) && t.Month() == time.Month(m.month) && t.Day() == m.day
}

// append gives the moment as PostgreSQL reads it.
func (m *moment) append(dst []byte, clock, zone bool) []byte {
	dst = pad(dst, m.year, 4)
	dst = pad(append(dst, '-'), m.month, 2)
	dst = pad(append(dst, '-'), m.day, 2)
	if clock {
		dst = append(dst, ' ')
		if m.clock == nil {
			dst = append(dst, "00:00:00"...)
		}
		dst = append(dst, m.clock...)
		switch {
		case zone && m.zone == "":
			dst = append(dst, "+00"...)
		case zone:
			dst = append(dst, m.zone...)
		}
	}
	if m.bc {
		dst = append(dst, " BC"...)
	}
	return dst
}

func pad(dst []byte, n, width int) []byte {
	text := strconv.Itoa(n)
	for range width - len(text) {
		dst = append(dst, '0')
	}
	return append(dst, text...)
}

func (o *Options) appendDate(dst, v []byte) ([]byte, *Failure) {
	m, ok := o.date(v)
	switch {
	case ok:
		return m.append(dst, false, false), nil
	case o.AcceptAnyDate:
		return dst, null()
	}
	return dst, fail(CodeDate, "Invalid Date Format - length must be 10 or more")
}

func (o *Options) date(v []byte) (moment, bool) {
	switch o.DateFormat {
	case "":
		s := scan{v: v, ok: true}
		m := s.isoDate()
		return m, s.done() && m.valid()
	case "auto":
		return recognise(v) // a time is cut
	}
	return readMask(o.DateFormat, v)
}

func (o *Options) appendTimestamp(dst, v []byte, tz bool) ([]byte, *Failure) {
	var m moment
	var ok bool
	switch o.TimeFormat {
	case "epochsecs", "epochmillisecs":
		m, ok = epoch(v, o.TimeFormat == "epochmillisecs")
	case "auto":
		m, ok = recognise(v)
	case "":
		m, ok = plainTimestamp(v)
	default:
		m, ok = readMask(o.TimeFormat, v)
	}
	switch {
	case ok:
		return m.append(dst, true, tz), nil // TIMESTAMP ignores the zone
	case o.AcceptAnyDate:
		return dst, null()
	}
	shown := o.TimeFormat
	if shown == "" {
		shown = "YYYY-MM-DD HH24:MI:SS"
	}
	return dst, fail(CodeTimestamp, "Invalid timestamp format or value [%s]", shown)
}

// plainTimestamp reads YYYY-MM-DD HH:MI:SS with a fraction and an offset.
func plainTimestamp(v []byte) (moment, bool) {
	s := scan{v: v, ok: true}
	m := s.isoDate()
	s.lit(' ')
	m.clock = s.clock()
	m.zone = s.zone(false)
	return m, s.done() && m.valid()
}

func epoch(v []byte, millis bool) (moment, bool) {
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil {
		return moment{}, false
	}
	const far = 1 << 50 // beyond year 9999 in both units
	if n > far || n < -far {
		return moment{}, false
	}
	t := time.Unix(n, 0)
	if millis {
		t = time.UnixMilli(n)
	}
	t = t.UTC()
	m := moment{year: t.Year(), month: int(t.Month()), day: t.Day(), clock: t.AppendFormat(nil, "15:04:05.000")}
	return m, m.valid()
}

func appendTime(dst, v []byte, tz bool) ([]byte, *Failure) {
	s := scan{v: v, ok: true}
	clock := s.clock()
	z := s.zone(false)
	if !s.done() {
		return dst, fail(CodeTimestamp, "Invalid time format or value")
	}
	dst = append(dst, clock...)
	if tz {
		if z == "" {
			z = "+00"
		}
		dst = append(dst, z...)
	}
	return dst, nil
}
