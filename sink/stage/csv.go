package stage

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// Bit patterns that look at eight bytes at once.
const (
	ones   = 0x0101010101010101
	highs  = 0x8080808080808080
	blanks = ones * ' '
	quotes = ones * '"'
	commas = ones * ','
)

// needsCare reports whether v holds anything but printable ASCII without
// comma and quote. One pass; most values need no more.
func needsCare(v []byte) bool {
	if len(v) < 8 {
		for _, b := range v {
			if b < ' ' || b >= utf8.RuneSelf || b == '"' || b == ',' {
				return true
			}
		}
		return false
	}
	last := v[len(v)-8:]
	for len(v) > 8 {
		if careful(binary.LittleEndian.Uint64(v)) {
			return true
		}
		v = v[8:]
	}
	return careful(binary.LittleEndian.Uint64(last))
}

// careful is needsCare for eight bytes: (x-n)&^x has a high bit set if, and
// below the first hit only if, a byte of x is less than n's.
func careful(x uint64) bool {
	q, c := x^quotes, x^commas
	return (x|(x-blanks)&^x|(q-ones)&^q|(c-ones)&^c)&highs != 0
}

// appendText appends any text as a CSV field. The marker, the empty value and
// everything that CSV or COPY would read otherwise is told apart:
// COPY skips blanks between delimiter and quote, so values that begin or end
// with one (or with any control character) are quoted too.
func appendText(dst, v, marker []byte) ([]byte, reason) {
	if len(v) == 0 {
		return append(dst, '"', '"'), fits
	}
	edge := v[0] <= ' ' || v[len(v)-1] <= ' '
	if !edge && !needsCare(v) {
		if len(v) == len(marker) && bytes.Equal(v, marker) {
			return dst, collides
		}
		return append(dst, v...), fits
	}
	quote := edge
	for _, b := range v {
		switch b {
		case ',', '"', '\r', '\n':
			quote = true
		case 0:
			return dst, holdsNUL
		}
	}
	if !utf8.Valid(v) {
		return dst, notUTF8
	}
	// A quoted marker may count as NULL, and one with blanks around it too:
	// neither is documented (redshift-facts 1.6), so neither is relied on.
	if len(v) >= len(marker) && bytes.Equal(bytes.TrimSpace(v), marker) {
		return dst, collides
	}
	if !quote {
		return append(dst, v...), fits
	}
	return appendQuoted(dst, v), fits
}

// appendQuoted appends v between quotes, with quotes in it doubled. A
// backslash is an ordinary character in COPY's CSV.
func appendQuoted(dst, v []byte) []byte {
	dst = append(dst, '"')
	for {
		i := bytes.IndexByte(v, '"')
		if i < 0 {
			break
		}
		dst = append(dst, v[:i+1]...)
		dst = append(dst, '"')
		v = v[i+1:]
	}
	dst = append(dst, v...)
	return append(dst, '"')
}
