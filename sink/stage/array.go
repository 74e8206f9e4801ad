package stage

import (
	"bytes"
	"strings"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// The texts of arrays, composites and hstore, rewritten as JSON for SUPER. The
// writers append to dst, allocate only to grow it, and check the grammar as far
// as they must to lose nothing; the limits of SUPER are checkJSON's to check.

// shape is how the text of an array or a composite becomes JSON.
type shape struct {
	// form is FormArray or FormRow; that of a field may be FormPlain.
	form sqltext.Form
	// element is the kind of an array's elements, or of a plain field.
	element   sqltext.Element
	delimiter byte
	// names are the names of a composite's fields, as JSON with a colon, and
	// fields the fields; of an array those of its elements. Both are nil where
	// there are none, or nobody knows them.
	names  []string
	fields []shape
}

// give gives a shape the fields that the catalog knows.
func (s *shape) give(fields []change.Field) {
	for i := range fields {
		f := &fields[i]
		s.names = append(s.names, string(appendJSONString(nil, []byte(f.Name)))+":")
		element, isArray := strings.CutPrefix(f.Type, "_")
		part := shape{form: sqltext.FormPlain, element: sqltext.ElementOf(f.Type)}
		switch {
		case f.TypeKind == "c":
			part.form = sqltext.FormRow
		case f.TypeKind != "b":
			part.element = sqltext.ElementText
		case isArray:
			part = shape{form: sqltext.FormArray, element: sqltext.ElementOf(element), delimiter: sqltext.Delimiter(element)}
		}
		part.give(f.Fields)
		s.fields = append(s.fields, part)
	}
}

// appendArray appends the JSON of an array as array_out prints it:
// [2:4]={1,NULL,"a b"}. The bounds are there when a first subscript is not 1.
func (s *shape) appendArray(dst, v []byte, m *scratch) ([]byte, reason) {
	if len(v) > 0 && v[0] == '[' {
		end := bytes.IndexByte(v, '=')
		if end < 0 || !isBounds(v[:end]) {
			return dst, notArray
		}
		dst = append(dst, `{"bounds": "`...)
		dst = append(dst, v[:end]...)
		dst = append(dst, `", "elements": `...)
		dst, r := s.appendElements(dst, v[end+1:], m)
		return append(dst, '}'), r
	}
	return s.appendElements(dst, v, m)
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

func (s *shape) appendElements(dst, v []byte, m *scratch) ([]byte, reason) {
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
		case b == s.delimiter:
			dst = append(dst, ',')
			i++
		default:
			var n int
			var r reason
			if dst, n, r = s.appendElement(dst, v[i:], m); r != fits {
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
func (s *shape) appendElement(dst, v []byte, m *scratch) ([]byte, int, reason) {
	if s.fields != nil && v[0] != 'N' { // NULL; a composite begins with a bracket or a quote
		return s.appendRowElement(dst, v, m)
	}
	if v[0] == '"' {
		return s.appendQuotedElement(dst, v)
	}
	n := 0
	for n < len(v) && v[n] != s.delimiter && v[n] != '}' && v[n] != '{' && v[n] != '"' {
		n++
	}
	text := v[:n]
	if string(text) == "NULL" {
		return append(dst, "null"...), n, fits
	}
	return s.appendScalar(dst, text), n, fits
}

// appendRowElement appends a composite that is an array's element.
func (s *shape) appendRowElement(dst, v []byte, m *scratch) ([]byte, int, reason) {
	begin, n := len(m.parts), 0
	defer func() { m.parts = m.parts[:begin] }()
	if v[0] != '"' { // nothing in it needs quotes
		for n < len(v) && v[n] != s.delimiter && v[n] != '}' {
			n++
		}
		dst, r := s.appendRow(dst, v[:n], m)
		return dst, n, r
	}
	for n = 1; n < len(v) && v[n] != '"'; n++ {
		if v[n] == '\\' {
			if n++; n == len(v) {
				return dst, 0, notArray
			}
		}
		m.parts = append(m.parts, v[n])
	}
	if n >= len(v) {
		return dst, 0, notArray
	}
	dst, r := s.appendRow(dst, m.parts[begin:], m)
	return dst, n + 1, r
}

// appendScalar appends an element that stands without quotes: numbers,
// booleans and plain words.
func (s *shape) appendScalar(dst, text []byte) []byte {
	switch {
	case s.element == sqltext.ElementNumber && exactNumber(text),
		s.element == sqltext.ElementJSON && len(text) > 0: // a number, true, false or null
		return append(dst, text...)
	case s.element == sqltext.ElementBool && string(text) == "t":
		return append(dst, "true"...)
	case s.element == sqltext.ElementBool && string(text) == "f":
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
func (s *shape) appendQuotedElement(dst, v []byte) ([]byte, int, reason) {
	document := s.element == sqltext.ElementJSON
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

// appendRow appends the JSON of a composite as record_out prints it:
// (1,,"a ""b\\c"). A field without anything is NULL.
func (s *shape) appendRow(dst, v []byte, m *scratch) ([]byte, reason) {
	if len(v) < 2 || v[0] != '(' {
		return dst, notRow
	}
	opening, closing := byte('['), byte(']')
	if s.fields != nil {
		opening, closing = '{', '}'
	}
	dst = append(dst, opening)
	for i, field := 1, 0; ; field++ {
		var n int
		var r reason
		switch {
		case s.fields == nil:
			dst, n, r = appendFieldJSON(dst, v[i:])
		case field >= len(s.fields):
			return dst, otherFields
		default:
			dst, n, r = s.fields[field].appendField(append(dst, s.names[field]...), v[i:], m)
		}
		if r != fits {
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
			if s.fields != nil && field != len(s.fields)-1 {
				return dst, otherFields
			}
			return append(dst, closing), fits
		default:
			return dst, notRow
		}
	}
}

// appendField appends the field that v begins with, of the shape s, and returns
// how many bytes it took.
func (s *shape) appendField(dst, v []byte, m *scratch) ([]byte, int, reason) {
	if s.form == sqltext.FormPlain && s.element == sqltext.ElementText || len(v) == 0 || v[0] == ',' || v[0] == ')' {
		return appendFieldJSON(dst, v)
	}
	begin := len(m.parts)
	defer func() { m.parts = m.parts[:begin] }()
	var n int
	var ok bool
	if m.parts, n, ok = appendFieldText(m.parts, v); !ok {
		return dst, 0, notRow
	}
	text := m.parts[begin:]
	var r reason
	switch s.form {
	case sqltext.FormArray:
		dst, r = s.appendArray(dst, text, m)
	case sqltext.FormRow:
		dst, r = s.appendRow(dst, text, m)
	default:
		dst = s.appendScalar(dst, text)
	}
	return dst, n, r
}

// appendFieldText appends the text of the field that v begins with, which is
// not NULL. Inside quotes both the quote and the backslash are doubled.
func appendFieldText(dst, v []byte) (out []byte, n int, ok bool) {
	quoted := v[0] == '"'
	i := 0
	if quoted {
		i = 1
	}
	for ; i < len(v); i++ {
		switch b := v[i]; {
		case !quoted && (b == ',' || b == ')'):
			return dst, i, true
		case quoted && (b == '"' || b == '\\'):
			if i++; i == len(v) || v[i] != b {
				return dst, i, b == '"'
			}
		}
		dst = append(dst, v[i])
	}
	return dst, 0, false
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
