package load

import (
	"bytes"
	"strconv"
	"time"
)

// scan reads fixed-width digits and separators from a value.
type scan struct {
	v  []byte
	ok bool
}

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

func (s *scan) lit(b byte) {
	if len(s.v) == 0 || s.v[0] != b {
		s.ok = false
		return
	}
	s.v = s.v[1:]
}

func (s *scan) date() {
	y := s.digits(4)
	s.lit('-')
	m := s.digits(2)
	s.lit('-')
	d := s.digits(2)
	if s.ok {
		t := time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC)
		s.ok = y >= 1 && t.Month() == time.Month(m) && t.Day() == d
	}
}

// clock reads HH:MI[:SS[.ffffff]]. 24:00 and leap seconds are refused.
func (s *scan) clock() {
	h := s.digits(2)
	s.lit(':')
	m := s.digits(2)
	sec := 0
	if len(s.v) > 0 && s.v[0] == ':' {
		s.lit(':')
		sec = s.digits(2)
		if len(s.v) > 0 && s.v[0] == '.' {
			s.v = s.v[1:]
			n := 0
			for n < len(s.v) && s.v[n] >= '0' && s.v[n] <= '9' {
				n++
			}
			if n > maxFractionDigits {
				s.ok = false
				return
			}
			s.v = s.v[n:]
		}
	}
	s.ok = s.ok && h < 24 && m < 60 && sec < 60
}

// zone reads an offset, or Z and UTC where names is set. It returns "" if
// there is none.
func (s *scan) zone(names bool) string {
	v := bytes.TrimLeft(s.v, " ")
	if len(v) == 0 {
		s.v = v
		return ""
	}
	if names && (string(v) == "Z" || string(v) == "UTC" || string(v) == "z") {
		s.v = nil
		return "+00"
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
	if !z.ok || len(z.v) > 0 || h > 15 || m > 59 {
		s.ok = false
		return ""
	}
	s.v = nil
	return string(v)
}

func (o *Options) appendDate(dst, v []byte) ([]byte, *Failure) {
	s := scan{v: v, ok: true}
	s.date()
	if o.DateFormat == "auto" && s.ok && len(s.v) > 0 { // a timestamp is cut
		s.v = nil
		v = v[:10]
	}
	if !s.ok || len(s.v) > 0 {
		if o.AcceptAnyDate {
			return append(dst, `\N`...), nil
		}
		return dst, fail(CodeDate, "Invalid Date Format - length must be 10 or more")
	}
	return append(dst, v...), nil
}

func (o *Options) appendTimestamp(dst, v []byte, tz bool) ([]byte, *Failure) {
	bad := fail(CodeTimestamp, "Invalid timestamp format or value")
	if o.TimeFormat == "epochsecs" || o.TimeFormat == "epochmillisecs" {
		return appendEpoch(dst, v, o.TimeFormat == "epochmillisecs")
	}
	auto := o.TimeFormat == "auto"
	s := scan{v: v, ok: true}
	s.date()
	n := len(v) - len(s.v)
	if s.ok && len(s.v) == 0 {
		if !auto {
			return dst, bad
		}
		return append(append(dst, v...), " 00:00:00"...), nil
	}
	sep := byte(' ')
	if auto && s.ok && (s.v[0] == 'T' || s.v[0] == 't') {
		sep = s.v[0]
	}
	s.lit(sep)
	begin := len(v) - len(s.v)
	s.clock()
	end := len(v) - len(s.v)
	z := s.zone(auto)
	if !s.ok || len(s.v) > 0 {
		if o.AcceptAnyDate {
			return append(dst, `\N`...), nil
		}
		return dst, bad
	}
	dst = append(append(append(dst, v[:n]...), ' '), v[begin:end]...)
	if !tz {
		return dst, nil // a zone is ignored
	}
	if z == "" {
		z = "+00"
	}
	return append(dst, z...), nil
}

func appendEpoch(dst, v []byte, millis bool) ([]byte, *Failure) {
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil {
		return dst, fail(CodeTimestamp, "Invalid timestamp format or value")
	}
	t := time.Unix(n, 0)
	if millis {
		t = time.UnixMilli(n)
	}
	t = t.UTC()
	if t.Year() < 1 || t.Year() > 9999 {
		return dst, fail(CodeTimestamp, "Timestamp out of range")
	}
	return append(t.AppendFormat(dst, "2006-01-02 15:04:05.000"), "+00"...), nil
}

func appendTime(dst, v []byte, tz bool) ([]byte, *Failure) {
	s := scan{v: v, ok: true}
	s.clock()
	end := len(v) - len(s.v)
	z := s.zone(false)
	if !s.ok || len(s.v) > 0 {
		return dst, fail(CodeTimestamp, "Invalid time format or value")
	}
	dst = append(dst, v[:end]...)
	if tz {
		if z == "" {
			z = "+00"
		}
		dst = append(dst, z...)
	}
	return dst, nil
}
