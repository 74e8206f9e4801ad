package load

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// maskPart cuts the first element off a mask: a date or time part in upper
// case, or a separator.
func maskPart(mask string) (part, rest string) {
	for _, p := range [...]string{"YYYY", "YY", "MON", "MM", "MI", "DD", "HH24", "HH12", "HH", "SS", "AM", "PM"} {
		if len(mask) >= len(p) && strings.EqualFold(mask[:len(p)], p) {
			return p, mask[len(p):]
		}
	}
	return mask[:1], mask[1:]
}

// CheckMask says whether COPY's DATEFORMAT or TIMEFORMAT may be this text
// (DATEFORMAT and TIMEFORMAT strings). auto and the epochs are not masks.
func CheckMask(mask string) error {
	seen := map[string]bool{}
	for rest := mask; rest != ""; {
		var part string
		part, rest = maskPart(rest)
		if len(part) == 1 {
			if c := part[0] | 0x20; c >= 'a' && c <= 'z' || part[0] >= '0' && part[0] <= '9' {
				return fmt.Errorf("invalid date or time format %q at %q", mask, part+rest)
			}
			continue
		}
		kind := maskKind(part)
		if seen[kind] {
			return fmt.Errorf("invalid date or time format %q: two parts for the same", mask)
		}
		seen[kind] = true
	}
	if !seen["Y"] || !seen["M"] || !seen["D"] {
		return fmt.Errorf("invalid date or time format %q: year, month and day are needed", mask)
	}
	return nil
}

func maskKind(part string) string {
	switch part {
	case "YYYY", "YY":
		return "Y"
	case "MON", "MM":
		return "M"
	case "DD":
		return "D"
	case "HH24", "HH12", "HH":
		return "H"
	case "AM", "PM":
		return "A"
	}
	return part
}

// readMask reads a value by a mask that CheckMask took. HH is HH24 here.
func readMask(mask string, v []byte) (moment, bool) {
	var m moment
	s := scan{v: v, ok: true}
	h, mi, sec, half, hasHalf, twelve := 0, 0, 0, 0, false, false
	var frac []byte
	for rest := mask; rest != "" && s.ok; {
		var part string
		switch part, rest = maskPart(rest); part {
		case "YYYY":
			m.year = s.digits(4)
		case "YY":
			m.year = century(s.digits(2))
		case "MM":
			m.month = s.digits(2)
		case "MON":
			m.month = s.month()
		case "DD":
			m.day = s.digits(2)
		case "HH", "HH24", "HH12":
			h = s.digits(2)
			twelve = part == "HH12"
		case "MI":
			mi = s.digits(2)
		case "SS":
			sec = s.digits(2)
			frac = s.fraction()
		case "AM", "PM":
			half, hasHalf = s.meridian()
		default:
			s.lit(part[0])
		}
	}
	if twelve || hasHalf {
		s.ok = s.ok && h >= 1 && h <= 12
		h = h%12 + half
	}
	if !s.done() || h > 23 || mi > 59 || sec > 59 {
		return m, false
	}
	m.clock = pad(nil, h, 2)
	m.clock = pad(append(m.clock, ':'), mi, 2)
	m.clock = append(pad(append(m.clock, ':'), sec, 2), frac...)
	return m, m.valid()
}

// meridian reads AM or PM and gives the hours to add.
func (s *scan) meridian() (int, bool) {
	if len(s.v) < 2 {
		s.ok = false
		return 0, false
	}
	word := strings.ToUpper(string(s.v[:2]))
	s.v = s.v[2:]
	s.ok = s.ok && (word == "AM" || word == "PM")
	if word == "PM" {
		return 12, true
	}
	return 0, true
}

// recognise reads the forms that 'auto' knows (using automatic recognition with
// DATEFORMAT and TIMEFORMAT). One that could be read in two ways is refused.
func recognise(v []byte) (moment, bool) {
	for _, form := range [...]func([]byte) (moment, bool){isoForm, julianForm, namedForm, unixForm, slashForm, dotForm, compactForm, dayOfYearForm} {
		if m, ok := form(v); ok && m.valid() {
			return m, true
		}
	}
	return moment{}, false
}

// rest reads what may follow a date: a time and a zone.
func (s *scan) rest(m *moment, sep string) {
	if len(s.v) == 0 {
		return
	}
	s.ok = s.ok && strings.IndexByte(sep, s.v[0]) >= 0
	s.v = s.v[1:]
	m.clock = s.clock()
	m.zone = s.zone(true)
}

func isoForm(v []byte) (moment, bool) {
	s := scan{v: v, ok: true}
	m := s.isoDate()
	s.rest(&m, " Tt")
	return m, s.done()
}

// julianForm reads J2451187, with or without a time.
func julianForm(v []byte) (moment, bool) {
	s := scan{v: v, ok: true}
	s.lit('J')
	n := s.run()
	if n < 1 || n > 7 {
		return moment{}, false
	}
	const unixEpoch = 2440588 // the day number of 1970-01-01
	t := time.Unix(0, 0).UTC().AddDate(0, 0, s.digits(n)-unixEpoch)
	m := moment{year: t.Year(), month: int(t.Month()), day: t.Day()}
	if m.year < 1 {
		m.year, m.bc = 1-m.year, true
	}
	s.rest(&m, " ")
	return m, s.done()
}

// namedForm reads Jan-08-95 BC, Jan-08-1999, March 31, 2003 and 31 Mar 2003.
func namedForm(v []byte) (moment, bool) {
	s := scan{v: v, ok: true}
	var m moment
	if s.run() > 0 { // 31 Mar 2003
		m.day = s.digits(2)
		s.lit(' ')
		m.month = s.month()
		s.lit(' ')
		m.year = s.digits(4)
		s.rest(&m, " ")
		return m, s.done()
	}
	m.month = s.month()
	if s.peek() == '-' {
		s.lit('-')
		m.day = s.digits(2)
		s.lit('-')
	} else {
		s.lit(' ')
		m.day = s.digits(2)
		s.lit(',')
		s.lit(' ')
	}
	n := s.run()
	if n != 2 && n != 4 {
		return m, false
	}
	m.year = s.digits(n)
	if bytes.Equal(s.v, []byte(" BC")) {
		m.bc, s.v = true, nil
	} else if n == 2 {
		m.year = century(m.year)
	}
	s.rest(&m, " ")
	return m, s.done()
}

// unixForm reads 17 Dec 07:37:16 1997 PST.
func unixForm(v []byte) (moment, bool) {
	s := scan{v: v, ok: true}
	var m moment
	m.day = s.digits(2)
	s.lit(' ')
	m.month = s.month()
	s.lit(' ')
	m.clock = s.clock()
	s.lit(' ')
	m.year = s.digits(4)
	m.zone = s.zone(true)
	return m, s.done()
}

// slashForm reads MM/DD/YYYY.
func slashForm(v []byte) (moment, bool) {
	s := scan{v: v, ok: true}
	var m moment
	m.month = s.digits(2)
	s.lit('/')
	m.day = s.digits(2)
	s.lit('/')
	m.year = s.digits(4)
	s.rest(&m, " ")
	return m, s.done()
}

// dotForm reads two numbers and a year between points. The documentation calls
// it DD.MM.YYYY and shows 12.17.1997: what is a day and what a month must be
// plain.
func dotForm(v []byte) (moment, bool) {
	s := scan{v: v, ok: true}
	var m moment
	a := s.digits(2)
	s.lit('.')
	b := s.digits(2)
	s.lit('.')
	m.year = s.digits(4)
	s.rest(&m, " ")
	switch {
	case a == b, a <= 12 && b > 12:
		m.month, m.day = a, b
	case a > 12 && b <= 12:
		m.month, m.day = b, a
	default:
		return m, false
	}
	return m, s.done()
}

// compactForm reads YYYYMMDD and YYMMDD, each with HHMISS or without.
func compactForm(v []byte) (moment, bool) {
	s := scan{v: v, ok: true}
	var m moment
	switch s.run() {
	case 8:
		m.year = s.digits(4)
	case 6:
		m.year = century(s.digits(2))
	default:
		return m, false
	}
	m.month, m.day = s.digits(2), s.digits(2)
	if len(s.v) == 0 {
		return m, s.ok
	}
	s.lit(' ')
	h, mi, sec := s.digits(2), s.digits(2), s.digits(2)
	if !s.done() || h > 23 || mi > 59 || sec > 59 {
		return m, false
	}
	m.clock = fmt.Appendf(nil, "%02d:%02d:%02d", h, mi, sec)
	return m, true
}

// dayOfYearForm reads YYYY.DDD.
func dayOfYearForm(v []byte) (moment, bool) {
	s := scan{v: v, ok: true}
	y := s.digits(4)
	s.lit('.')
	d := s.digits(3)
	if !s.done() || y < 1 || d < 1 {
		return moment{}, false
	}
	t := time.Date(y, 1, d, 0, 0, 0, 0, time.UTC)
	return moment{year: t.Year(), month: int(t.Month()), day: t.Day()}, t.Year() == y
}
