package load

import (
	"bytes"
	"strings"
)

// scan reads digits, words and separators from a value.
type scan struct {
	v  []byte
	ok bool
}

// done reports whether all was read, and rightly.
func (s *scan) done() bool { return s.ok && len(s.v) == 0 }

func (s *scan) peek() byte {
	if len(s.v) == 0 {
		return 0
	}
	return s.v[0]
}

// digits reads exactly n digits.
func (s *scan) digits(n int) int {
	if len(s.v) < n {
		s.ok = false
		return 0
	}
	r := 0
	for _, b := range s.v[:n] {
		if b < '0' || b > '9' {
			s.ok = false
			return 0
		}
		r = r*10 + int(b-'0')
	}
	s.v = s.v[n:]
	return r
}

// run is the number of digits that come next.
func (s *scan) run() int {
	n := 0
	for n < len(s.v) && s.v[n] >= '0' && s.v[n] <= '9' {
		n++
	}
	return n
}

func (s *scan) lit(b byte) {
	if s.peek() != b || len(s.v) == 0 {
		s.ok = false
		return
	}
	s.v = s.v[1:]
}

func (s *scan) isoDate() moment {
	var m moment
	m.year = s.digits(4)
	s.lit('-')
	m.month = s.digits(2)
	s.lit('-')
	m.day = s.digits(2)
	return m
}

// clock reads HH:MI:SS[.ffffff]. 24:00 and leap seconds are refused.
func (s *scan) clock() []byte {
	begin := s.v
	h := s.digits(2)
	s.lit(':')
	m := s.digits(2)
	s.lit(':')
	sec := s.digits(2)
	s.fraction()
	s.ok = s.ok && h < 24 && m < 60 && sec < 60
	return begin[:len(begin)-len(s.v)]
}

// fraction reads up to six digits after a point.
func (s *scan) fraction() []byte {
	if s.peek() != '.' {
		return nil
	}
	begin := s.v
	s.v = s.v[1:]
	n := s.run()
	s.v = s.v[n:]
	s.ok = s.ok && n > 0 && n <= maxFractionDigits
	return begin[:n+1]
}

// zone reads an offset, or the name of a zone where names is set. It returns
// "" if there is none.
func (s *scan) zone(names bool) string {
	v := bytes.TrimLeft(s.v, " ")
	if len(v) == 0 {
		s.ok = s.ok && len(s.v) == 0
		s.v = v
		return ""
	}
	if names {
		if z := zoneOffset(strings.ToUpper(string(v))); z != "" {
			s.v = nil
			return z
		}
	}
	if v[0] != '+' && v[0] != '-' {
		s.ok = false
		return ""
	}
	z := scan{v: v[1:], ok: true}
	h, m := z.digits(2), 0
	if len(z.v) > 0 {
		if z.v[0] == ':' {
			z.v = z.v[1:]
		}
		m = z.digits(2)
	}
	if !z.done() || h > 15 || m > 59 {
		s.ok = false
		return ""
	}
	s.v = nil
	return string(v)
}

func zoneOffset(name string) string {
	switch name {
	case "Z", "UTC", "GMT":
		return "+00"
	case "EDT":
		return "-04"
	case "EST", "CDT":
		return "-05"
	case "CST", "MDT":
		return "-06"
	case "MST", "PDT":
		return "-07"
	case "PST":
		return "-08"
	}
	return ""
}

// month reads a month's name, abbreviated or whole.
func (s *scan) month() int {
	n := 0
	for n < len(s.v) && (s.v[n]|0x20 >= 'a' && s.v[n]|0x20 <= 'z') {
		n++
	}
	word := strings.ToLower(string(s.v[:n]))
	for i, name := range [...]string{
		"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december",
	} {
		if word == name || word == name[:3] {
			s.v = s.v[n:]
			return i + 1
		}
	}
	s.ok = false
	return 0
}

// century puts a year of two digits into 1970 to 2069.
func century(y int) int {
	const pivot = 70
	if y < pivot {
		return 2000 + y
	}
	return 1900 + y
}
