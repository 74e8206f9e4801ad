package stage

import "unicode/utf8"

// Limits of SUPER (redshift-facts 1.10).
const (
	// maxJSONString bounds each string inside a document, in bytes, unless
	// the cluster opted in to more.
	maxJSONString = 65535
	// maxDepth bounds the nesting of arrays and objects.
	maxDepth = 1000
	// maxDigits is DECIMAL's precision, doubleDigits what every double keeps,
	// doublePower the power of ten within which doubles are normal.
	maxDigits, doubleDigits, doublePower = 38, 15, 307
)

// document is a JSON text being checked. It allocates nothing.
type document struct {
	b     []byte
	i     int
	depth int
	// object holds a bit per level: set in an object, clear in an array.
	object [maxDepth/64 + 1]uint64
}

// checkJSON reports whether v, valid UTF-8, is one JSON text that SUPER holds.
func checkJSON(v []byte) reason {
	d := document{b: v}
	for {
		opened, r := d.value()
		if r != fits {
			return r
		}
		if opened {
			continue
		}
		if done, r := d.next(); done || r != fits {
			return r
		}
	}
}

// blank skips white space and returns the byte after it, 0 at the end.
func (d *document) blank() byte {
	for d.i < len(d.b) {
		switch d.b[d.i] {
		case ' ', '\t', '\n', '\r':
			d.i++
		default:
			return d.b[d.i]
		}
	}
	return 0
}

// value reads one value, or the opening of a container that is not empty.
func (d *document) value() (opened bool, r reason) {
	switch b := d.blank(); b {
	case '{', '[':
		return d.open(b)
	case '"':
		return false, d.text()
	case 't':
		return false, d.word("true")
	case 'f':
		return false, d.word("false")
	case 'n':
		return false, d.word("null")
	default:
		return false, d.number()
	}
}

func (d *document) open(b byte) (bool, reason) {
	d.i++
	if d.depth++; d.depth > maxDepth {
		return false, jsonTooDeep
	}
	word, bit := d.depth/64, uint64(1)<<(d.depth%64)
	d.object[word] &^= bit
	end := byte(']')
	if b == '{' {
		d.object[word] |= bit
		end = '}'
	}
	if d.blank() == end {
		d.i++
		d.depth--
		return false, fits
	}
	if b == '{' {
		return true, d.key()
	}
	return true, fits
}

// next follows a value: it closes containers, and steps over a comma to where
// the next value begins. It is done at the end of the text.
func (d *document) next() (done bool, r reason) {
	for d.depth > 0 {
		object := d.object[d.depth/64]&(1<<(d.depth%64)) != 0
		switch b := d.blank(); {
		case b == ',':
			d.i++
			if object {
				return false, d.key()
			}
			return false, fits
		case b == '}' && object, b == ']' && !object:
			d.i++
			d.depth--
		default:
			return false, notJSON
		}
	}
	if d.blank(); d.i != len(d.b) {
		return false, notJSON
	}
	return true, fits
}

func (d *document) key() reason {
	if d.blank() != '"' {
		return notJSON
	}
	if r := d.text(); r != fits {
		return r
	}
	if d.blank() != ':' {
		return notJSON
	}
	d.i++
	return fits
}

func (d *document) word(w string) reason {
	if len(d.b)-d.i < len(w) || string(d.b[d.i:d.i+len(w)]) != w {
		return notJSON
	}
	d.i += len(w)
	return fits
}

// text reads a string and counts the bytes that it stands for.
func (d *document) text() reason {
	n := 0
	for d.i++; d.i < len(d.b); d.i++ {
		switch b := d.b[d.i]; {
		case b == '"':
			d.i++
			if n > maxJSONString {
				return jsonStringTooLong
			}
			return fits
		case b < ' ':
			return notJSON
		case b == '\\':
			size, r := d.escape()
			if r != fits {
				return r
			}
			n += size
		default:
			n++
		}
	}
	return notJSON
}

// escape reads the escape at d.i and leaves d.i on its last byte.
func (d *document) escape() (size int, r reason) {
	if d.i++; d.i == len(d.b) {
		return 0, notJSON
	}
	switch d.b[d.i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 1, fits
	case 'u':
	default:
		return 0, notJSON
	}
	r1, ok := d.hex4(d.i + 1)
	if !ok {
		return 0, notJSON
	}
	d.i += 4
	switch {
	case r1 == 0: // some ways into Redshift cut a string there (redshift-facts 1.7)
		return 0, jsonNUL
	case r1 < 0xd800 || r1 > 0xdfff:
		return utf8.RuneLen(r1), fits
	case r1 > 0xdbff || len(d.b)-d.i < 3 || d.b[d.i+1] != '\\' || d.b[d.i+2] != 'u':
		return 0, jsonSurrogate
	}
	r2, ok := d.hex4(d.i + 3)
	if !ok || r2 < 0xdc00 || r2 > 0xdfff {
		return 0, jsonSurrogate
	}
	d.i += 6
	return 4, fits
}

func (d *document) hex4(i int) (v rune, ok bool) {
	if len(d.b)-i < 4 {
		return 0, false
	}
	for _, b := range d.b[i : i+4] {
		switch {
		case isDigit(b):
			b -= '0'
		case b|0x20 >= 'a' && b|0x20 <= 'f':
			b = b | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		v = v<<4 | rune(b)
	}
	return v, true
}

// number reads a number. SUPER keeps it as a scalar of Redshift: exactly if it
// fits DECIMAL(38), or if a double gives the same digits back.
func (d *document) number() reason {
	if d.i < len(d.b) && d.b[d.i] == '-' {
		d.i++
	}
	whole := d.b[d.i : d.i+digits(d.b[d.i:])]
	if len(whole) == 0 || len(whole) > 1 && whole[0] == '0' {
		return notJSON
	}
	d.i += len(whole)
	var fraction []byte
	if d.i < len(d.b) && d.b[d.i] == '.' {
		d.i++
		fraction = d.b[d.i : d.i+digits(d.b[d.i:])]
		if len(fraction) == 0 {
			return notJSON
		}
		d.i += len(fraction)
	}
	exponent, r := d.exponent()
	if r != fits {
		return r
	}
	high, low, zero := powers(whole, fraction)
	if zero {
		return fits
	}
	high, low = high+exponent, low+exponent
	decimal := max(high+1, 0)+max(-low, 0) <= maxDigits && -low < maxDigits
	double := high-low < doubleDigits && high <= doublePower && high >= -doublePower
	if !decimal && !double {
		return jsonNumberTooLong
	}
	return fits
}

func (d *document) exponent() (int, reason) {
	if d.i == len(d.b) || d.b[d.i]|0x20 != 'e' {
		return 0, fits
	}
	d.i++
	negative := false
	if d.i < len(d.b) && (d.b[d.i] == '+' || d.b[d.i] == '-') {
		negative = d.b[d.i] == '-'
		d.i++
	}
	n := digits(d.b[d.i:])
	if n == 0 {
		return 0, notJSON
	}
	v := 0
	for _, b := range d.b[d.i : d.i+n] {
		// Far beyond every limit already; and it must not overflow.
		v = min(v*10+int(b-'0'), 1<<40)
	}
	d.i += n
	if negative {
		v = -v
	}
	return v, fits
}

// powers returns the powers of ten of the first and last digit that is not 0.
func powers(whole, fraction []byte) (high, low int, zero bool) {
	zero = true
	note := func(power int) {
		if zero {
			high, zero = power, false
		}
		low = power
	}
	for i, b := range whole {
		if b != '0' {
			note(len(whole) - 1 - i)
		}
	}
	for i, b := range fraction {
		if b != '0' {
			note(-1 - i)
		}
	}
	return high, low, zero
}
