package stage

import (
	"bytes"

	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// The texts of arrays, composites and hstore, rewritten as JSON for SUPER. The
// writers append to dst, allocate only to grow it, and check the grammar as far
// as they must to lose nothing; the limits of SUPER are checkJSON's to check.

// appendArrayJSON appends the JSON of an array as array_out prints it:
// [2:4]={1,NULL,"a b"}. The bounds are there when a first subscript is not 1.
func (c *column) appendArrayJSON(dst, v []byte) ([]byte, reason) {
	if len(v) > 0 && v[0] == '[' {
		end := bytes.IndexByte(v, '=')
		if end < 0 || !isBounds(v[:end]) {
			return dst, notArray
		}
		dst = append(dst, `{"bounds": "`...)
		dst = append(dst, v[:end]...)
		dst = append(dst, `", "elements": `...)
		dst, r := c.appendElements(dst, v[end+1:])
		return append(dst, '}'), r
	}
	return c.appendElements(dst, v)
}

// isBounds takes [-1:2][0:1].
func isBounds(v []byte) bool {
	for _, b := range v {
		if !isDigit(b) && b != '[' && b != ']' && b != ':' && b != '-' {
			return false
		}
	}
	return v[len(v)-1] == ']'
}

func (c *column) appendElements(dst, v []byte) ([]byte, reason) {
	depth := 0
	for i := 0; i < len(v); {
		switch b := v[i]; {
		case b == '{':
			depth++
			dst = append(dst, '[')
			i++
		case b == '}':
			depth--
			dst = append(dst, ']')
			i++
			if depth == 0 {
				if i != len(v) {
					return dst, notArray
				}
				return dst, fits
			}
		case depth == 0:
			return dst, notArray
		case b == c.delimiter:
			dst = append(dst, ',')
			i++
		default:
			var n int
			var r reason
			if dst, n, r = c.appendElement(dst, v[i:]); r != fits {
				return dst, r
			}
			i += n
		}
		if depth < 0 {
			return dst, notArray
		}
	}
	return dst, notArray
}

// appendElement appends the element that v begins with, and returns how many
// bytes it took.
func (c *column) appendElement(dst, v []byte) ([]byte, int, reason) {
	if v[0] == '"' {
		return c.appendQuotedElement(dst, v)
	}
	n := 0
	for n < len(v) && v[n] != c.delimiter && v[n] != '}' && v[n] != '{' && v[n] != '"' {
		n++
	}
	text := v[:n]
	if string(text) == "NULL" {
		return append(dst, "null"...), n, fits
	}
	return c.appendScalar(dst, text), n, fits
}

// appendScalar appends an element that stands without quotes: numbers,
// booleans and plain words.
func (c *column) appendScalar(dst, text []byte) []byte {
	switch {
	case c.element == sqltext.ElementNumber && exactNumber(text),
		c.element == sqltext.ElementJSON && len(text) > 0: // a number, true, false or null
		return append(dst, text...)
	case c.element == sqltext.ElementBool && string(text) == "t":
		return append(dst, "true"...)
	case c.element == sqltext.ElementBool && string(text) == "f":
		return append(dst, "false"...)
	}
	dst = append(dst, '"')
	for _, b := range text {
		dst = appendJSONByte(dst, b)
	}
	return append(dst, '"')
}

// appendQuotedElement appends "…", in which a backslash makes the next byte
// literal.
func (c *column) appendQuotedElement(dst, v []byte) ([]byte, int, reason) {
	document := c.element == sqltext.ElementJSON
	if !document {
		dst = append(dst, '"')
	}
	for i := 1; i < len(v); i++ {
		b := v[i]
		switch b {
		case '"':
			if !document {
				dst = append(dst, '"')
			}
			return dst, i + 1, fits
		case '\\':
			if i++; i == len(v) {
				return dst, 0, notArray
			}
			b = v[i]
		}
		if document {
			dst = append(dst, b)
		} else {
			dst = appendJSONByte(dst, b)
		}
	}
	return dst, 0, notArray
}

// appendRowJSON appends the JSON of a composite as record_out prints it:
// (1,,"a ""b\\c"). A field without anything is NULL.
func appendRowJSON(dst, v []byte) ([]byte, reason) {
	if len(v) < 2 || v[0] != '(' {
		return dst, notRow
	}
	dst = append(dst, '[')
	for i := 1; ; {
		var n int
		var r reason
		if dst, n, r = appendFieldJSON(dst, v[i:]); r != fits {
			return dst, r
		}
		i += n
		switch {
		case i == len(v):
			return dst, notRow
		case v[i] == ',':
			dst = append(dst, ',')
			i++
		case v[i] == ')' && i == len(v)-1:
			return append(dst, ']'), fits
		default:
			return dst, notRow
		}
	}
}

// appendFieldJSON appends the field that v begins with, and returns how many
// bytes it took. Inside quotes both the quote and the backslash are doubled.
func appendFieldJSON(dst, v []byte) ([]byte, int, reason) {
	if len(v) == 0 {
		return dst, 0, notRow
	}
	if v[0] == ',' || v[0] == ')' {
		return append(dst, "null"...), 0, fits
	}
	dst = append(dst, '"')
	if v[0] != '"' {
		for i, b := range v {
			if b == ',' || b == ')' {
				return append(dst, '"'), i, fits
			}
			dst = appendJSONByte(dst, b)
		}
		return dst, 0, notRow
	}
	for i := 1; i < len(v); i++ {
		if b := v[i]; b == '"' || b == '\\' {
			if i++; i == len(v) || v[i] != b {
				if b == '\\' {
					return dst, 0, notRow
				}
				return append(dst, '"'), i, fits
			}
		}
		dst = appendJSONByte(dst, v[i])
	}
	return dst, 0, notRow
}

// appendHstoreJSON appends the JSON of an hstore as its output function prints
// it: "a"=>"1", "b"=>NULL.
func appendHstoreJSON(dst, v []byte) ([]byte, reason) {
	dst = append(dst, '{')
	for i := 0; len(v) > 0; i++ {
		if i > 0 {
			if !bytes.HasPrefix(v, []byte(", ")) {
				return dst, notHstore
			}
			dst, v = append(dst, ','), v[2:]
		}
		var ok bool
		if dst, v, ok = appendHstoreText(dst, v); !ok || !bytes.HasPrefix(v, []byte("=>")) {
			return dst, notHstore
		}
		dst, v = append(dst, ':'), v[2:]
		if rest, isNull := bytes.CutPrefix(v, []byte("NULL")); isNull {
			dst, v = append(dst, "null"...), rest
			continue
		}
		if dst, v, ok = appendHstoreText(dst, v); !ok {
			return dst, notHstore
		}
	}
	return append(dst, '}'), fits
}

// appendHstoreText appends "…", in which a backslash makes the next byte
// literal, and returns what follows it.
func appendHstoreText(dst, v []byte) (out, rest []byte, ok bool) {
	if len(v) == 0 || v[0] != '"' {
		return dst, v, false
	}
	dst = append(dst, '"')
	for i := 1; i < len(v); i++ {
		b := v[i]
		if b == '"' {
			return append(dst, '"'), v[i+1:], true
		}
		if b == '\\' {
			if i++; i == len(v) {
				break
			}
			b = v[i]
		}
		dst = appendJSONByte(dst, b)
	}
	return dst, v, false
}

// appendJSONByte appends a byte of a JSON string.
func appendJSONByte(dst []byte, b byte) []byte {
	const hex = "0123456789abcdef"
	switch {
	case b == '"' || b == '\\':
		return append(dst, '\\', b)
	case b >= ' ':
		return append(dst, b)
	case b == '\n':
		return append(dst, '\\', 'n')
	case b == '\t':
		return append(dst, '\\', 't')
	case b == '\r':
		return append(dst, '\\', 'r')
	}
	return append(dst, '\\', 'u', '0', '0', hex[b>>4], hex[b&15])
}

// exactNumber reports whether text is a JSON number that SUPER holds exactly.
// Its scalars have no negative zero.
func exactNumber(text []byte) bool {
	if len(text) == 0 || text[0] != '-' && !isDigit(text[0]) {
		return false
	}
	d := document{b: text}
	if d.number() != fits || d.i != len(text) {
		return false
	}
	if text[0] != '-' {
		return true
	}
	for _, b := range text { // up to the exponent
		if b|0x20 == 'e' {
			break
		}
		if b >= '1' && b <= '9' {
			return true
		}
	}
	return false
}
