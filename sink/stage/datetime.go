package stage

import (
	"bytes"
	"encoding/binary"
)

// Patterns of eight bytes for like, first byte lowest, and for each the limits
// of its bytes.
const (
	dateHead   = 0x2d30302d30303030 // "0000-00-"
	dateLimit  = 0x7f76767f76767676
	dayHour    = 0x30303a3030203030 // "00 00:00"
	clock      = 0x30303a30303a3030 // "00:00:00"
	clockLimit = 0x76767f76767f7676
)

// like reports whether v begins like the pattern: with any digit where that
// has a 0, else with the same byte. Digits differ from '0' by an XOR of at most
// 9, so a byte that is too large overflows into its high bit when the limit is
// added: 0x7f-9 for digits, 0x7f for the others.
func like(v []byte, pattern, limit uint64) bool {
	x := binary.LittleEndian.Uint64(v) ^ pattern
	return (x|(x+limit))&highs == 0
}

// checkDate takes "2024-02-29". PostgreSQL prints years above 9999 with more
// digits, and years before 1 with " BC" at the end of the whole value.
func checkDate(v []byte) reason {
	if len(v) == 10 && like(v, dateHead, dateLimit) && isDigit(v[8]) && isDigit(v[9]) {
		return fits
	}
	switch n := digits(v); {
	case infinity(v):
		return infinite
	case bytes.HasSuffix(v, []byte(" BC")):
		return beforeChrist
	case n > 4 && n < len(v) && v[n] == '-':
		return yearTooHigh
	}
	return notDate
}

// checkTimestamp takes a date, a blank and a time of day.
func checkTimestamp(v []byte, zone bool) reason {
	if len(v) >= 19 && like(v, dateHead, dateLimit) && like(v[8:], dayHour, clockLimit) &&
		checkTime(v[11:], zone) == fits {
		return fits
	}
	i := bytes.IndexByte(v, ' ')
	if i < 0 || bytes.HasSuffix(v, []byte(" BC")) {
		if r := checkDate(v); r != fits {
			return r
		}
		return notTime
	}
	if r := checkDate(v[:i]); r != fits {
		return r
	}
	if i+1 == len(v) {
		return notTime
	}
	return checkTime(v[i+1:], zone)
}

// checkTime takes "23:59:59.999999", with a zone "+05" or "-03:30" or without.
func checkTime(v []byte, zone bool) reason {
	if len(v) < 8 || !like(v, clock, clockLimit) {
		return notTime
	}
	if v[0] == '2' && v[1] == '4' {
		return hour24
	}
	v = v[8:]
	if len(v) > 0 && v[0] == '.' {
		n := digits(v[1:])
		if n == 0 || n > 6 {
			return notTime
		}
		v = v[1+n:]
	}
	if !zone {
		if len(v) > 0 {
			return notTime
		}
		return fits
	}
	if len(v) < 3 || (v[0] != '+' && v[0] != '-') || digits(v[1:]) != 2 {
		return notTime
	}
	if v = v[3:]; len(v) > 0 && (len(v) != 3 || v[0] != ':' || digits(v[1:]) != 2) {
		return notTime
	}
	return fits
}
