package load

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Options are those of the COPY that concern values.
type Options struct {
	// Format is TEXT, CSV, FIXEDWIDTH, JSON or AVRO.
	Format string
	// JSON is auto, auto ignorecase or noshred, of JSON and AVRO; Paths, if not
	// nil, stand instead of it.
	JSON  string
	Paths []Path
	// Widths are those of FIXEDWIDTH, in characters.
	Widths []int
	// Compression is GZIP, ZSTD, BZIP2 or empty; Encoding UTF8, UTF16, UTF16LE,
	// UTF16BE, ISO88591 or empty.
	Compression, Encoding string
	Delimiter, Quote      byte
	Null                  string
	DefaultNull           bool
	// DateFormat and TimeFormat are auto, epochsecs, epochmillisecs, empty or
	// masks that [CheckMask] takes.
	DateFormat, TimeFormat                               string
	AcceptInvalid, BlanksAsNull, EmptyAsNull             bool
	InvalidChar                                          byte
	Escape, FillRecord, IgnoreBlankLines, RemoveQuotes   bool
	RoundDec, TrimBlanks, TruncateColumns, AcceptAnyDate bool
	// TruncateSuper is json_parse_truncate_strings.
	TruncateSuper bool
	IgnoreHeader  int
	// MaxError is the number of failures at which the load fails.
	MaxError int
}

const blanks = " \t\n\v\f\r"

func isChar(c *Column) bool { return c.Type == "varchar" || c.Type == "char" }

// isNull applies the rules that tell NULL from the empty string.
func (o *Options) isNull(f field, c *Column) bool {
	documents := o.Format == "JSON" || o.Format == "AVRO"
	switch {
	case f.missing: // FILLRECORD
		return c.Type != "varchar" || o.EmptyAsNull
	case f.marker:
		return documents || o.DefaultNull
	case documents:
	case string(f.data) == o.Null: // compared after unquoting: quotes protect nothing
		return true
	case o.Format == "FIXEDWIDTH" && o.Null != "" && string(bytes.TrimRight(f.data, " ")) == o.Null:
		return true
	}
	if len(f.data) == 0 {
		return !isChar(c) || o.EmptyAsNull
	}
	if !isChar(c) || o.BlanksAsNull { // blank fields of other types are always NULL
		return len(bytes.Trim(f.data, blanks)) == 0
	}
	return false
}

// appendValue checks v by the rules of the column's type and appends it to dst
// in PostgreSQL's COPY text format.
func (o *Options) appendValue(dst, v []byte, c *Column) ([]byte, *Failure) {
	switch c.Type {
	case "varchar", "char":
		return o.appendText(dst, v, c)
	case "smallint":
		return appendInt(dst, v, 16)
	case "integer":
		return appendInt(dst, v, 32)
	case "bigint":
		return appendInt(dst, v, 64)
	case "decimal":
		return o.appendDecimal(dst, v, c)
	case "real":
		return appendFloat(dst, v, 32)
	case "double precision":
		return appendFloat(dst, v, 64)
	case "boolean":
		return appendBool(dst, v)
	case "date":
		return o.appendDate(dst, v)
	case "timestamp", "timestamptz":
		return o.appendTimestamp(dst, v, c.Type == "timestamptz")
	case "time", "timetz":
		return appendTime(dst, v, c.Type == "timetz")
	case "super":
		return o.appendSuper(dst, v)
	case "varbyte":
		return appendVarbyte(dst, v, c)
	}
	return dst, fail(CodeDataType, "Data type %s cannot be loaded", c.Type)
}

func appendEscaped(dst, v []byte) []byte {
	for _, b := range v {
		switch b {
		case '\\':
			dst = append(dst, '\\', '\\')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, b)
		}
	}
	return dst
}

func (o *Options) appendText(dst, v []byte, c *Column) ([]byte, *Failure) {
	if at := bytes.IndexByte(v, 0); at >= 0 {
		return dst, failAt(at, CodeNulByte, "Invalid null byte - field longer than 1 byte")
	}
	if c.Type == "char" {
		for i, b := range v {
			if b >= 0x80 {
				return dst, failAt(i, CodeChar, "Multibyte character not supported for CHAR (Hint: Try using VARCHAR). Invalid char: % x", v[i:i+charLen(v[i:])])
			}
		}
	} else {
		if o.AcceptInvalid {
			v = replaceInvalid(v, o.InvalidChar)
		} else if at, reason := badUTF8(v); at >= 0 {
			return dst, failAt(at, CodeUTF8, "String contains invalid or unsupported UTF8 codepoints. Bad UTF8 hex sequence: %x (error %d)", v[at:at+1], reason)
		}
		if o.TrimBlanks {
			v = bytes.TrimRight(v, blanks)
		}
	}
	if c.Len > 0 && len(v) > c.Len {
		if !o.TruncateColumns {
			return dst, fail(CodeTooLong, "String length exceeds DDL length")
		}
		n := c.Len
		for n > 0 && !utf8.RuneStart(v[n]) {
			n--
		}
		v = v[:n]
	}
	return appendEscaped(dst, v), nil
}

func failAt(at, code int, format string, args ...any) *Failure {
	f := fail(code, format, args...)
	f.Position = at
	return f
}

// charLen is the length of the character at the beginning of v; a byte that
// begins none stands alone.
func charLen(v []byte) int {
	_, n := utf8.DecodeRune(v)
	return n
}

// badUTF8 finds the first byte that is no UTF-8 and gives the number of the
// reason (multibyte character load errors): 1 more than four bytes, 2
// incomplete, 3 no first byte, 4 no trailing byte, 5 a surrogate, 6 beyond
// U+10FFFF or longer than it need be.
func badUTF8(v []byte) (at, reason int) {
	if utf8.Valid(v) {
		return -1, 0
	}
	for {
		r, n := utf8.DecodeRune(v[at:])
		if r == utf8.RuneError && n <= 1 {
			break
		}
		at += n
	}
	b := v[at]
	var want int
	switch {
	case b < 0xc0 || b >= 0xfe:
		return at, 3
	case b >= 0xf8:
		return at, 1
	case b >= 0xf0:
		want = 3
	case b >= 0xe0:
		want = 2
	default:
		want = 1
	}
	for i := at + 1; i <= at+want; i++ {
		if i == len(v) {
			return at, 2
		}
		if v[i]&0xc0 != 0x80 {
			return at, 4
		}
	}
	if b == 0xed {
		return at, 5
	}
	return at, 6
}

// replaceInvalid puts by in place of every byte of an invalid character. Under
// ACCEPTINVCHARS these are also the code points that are none of a character:
// U+FDD0 to U+FDEF and the last two of every plane.
func replaceInvalid(v []byte, by byte) []byte {
	out := make([]byte, 0, len(v))
	for len(v) > 0 {
		r, n := utf8.DecodeRune(v)
		if r == utf8.RuneError && n == 1 || r >= 0xfdd0 && r <= 0xfdef || r&0xfffe == 0xfffe {
			for range n {
				out = append(out, by)
			}
		} else {
			out = append(out, v[:n]...)
		}
		v = v[n:]
	}
	return out
}

func appendInt(dst, v []byte, bits int) ([]byte, *Failure) {
	for i, b := range v {
		if (b < '0' || b > '9') && (i > 0 || len(v) == 1 || b != '-' && b != '+') {
			return dst, badDigit(b, i, intName(bits))
		}
	}
	n, err := strconv.ParseInt(string(v), 10, bits)
	if err != nil {
		return dst, fail(CodeOverflow, "Overflow (%s valid range %d to %d)", intName(bits), int64(-1)<<(bits-1), int64(1)<<(bits-1)-1)
	}
	return strconv.AppendInt(dst, n, 10), nil
}

func badDigit(b byte, at int, typ string) *Failure {
	if b >= 0x80 || b < ' ' {
		b = '.'
	}
	return failAt(at, CodeDigit, "Invalid digit, Value '%c', Pos %d, Type: %s", b, at, typ)
}

func intName(bits int) string {
	switch bits {
	case 16:
		return "Short"
	case 32:
		return "Integer"
	}
	return "Long"
}

// appendDecimal cuts fraction digits beyond the scale, or rounds them under
// ROUNDEC.
func (o *Options) appendDecimal(dst, v []byte, c *Column) ([]byte, *Failure) {
	s, neg := string(v), false
	if s != "" && (s[0] == '-' || s[0] == '+') {
		neg, s = s[0] == '-', s[1:]
	}
	whole, frac, _ := strings.Cut(s, ".")
	for i, b := range []byte(s) {
		if (b < '0' || b > '9') && i != len(whole) {
			return dst, badDigit(b, i+len(v)-len(s), "Decimal")
		}
	}
	if whole+frac == "" {
		return dst, fail(CodeDecimal, "Invalid DECIMAL format")
	}
	up := o.RoundDec && len(frac) > c.Scale && frac[c.Scale] >= '5'
	if len(frac) > c.Scale {
		frac = frac[:c.Scale]
	}
	digits := []byte(strings.TrimLeft(whole, "0") + frac + strings.Repeat("0", c.Scale-len(frac)))
	if up {
		digits = increment(digits)
	}
	digits = []byte(strings.TrimLeft(string(digits), "0"))
	if len(digits) > c.Prec || c.Prec == 19 && len(digits) == 19 && string(digits) > "9223372036854775807" {
		return dst, fail(CodeTooLong, "Numeric data overflow (result precision)")
	}
	if neg {
		dst = append(dst, '-')
	}
	for len(digits) <= c.Scale {
		digits = append([]byte{'0'}, digits...)
	}
	dst = append(dst, digits[:len(digits)-c.Scale]...)
	if c.Scale > 0 {
		dst = append(append(dst, '.'), digits[len(digits)-c.Scale:]...)
	}
	return dst, nil
}

func increment(digits []byte) []byte {
	for i := len(digits) - 1; i >= 0; i-- {
		if digits[i] < '9' {
			digits[i]++
			return digits
		}
		digits[i] = '0'
	}
	return append([]byte{'1'}, digits...)
}

// appendFloat refuses the names of NaN and the infinities: their loading is
// not dependable.
func appendFloat(dst, v []byte, bits int) ([]byte, *Failure) {
	for i, b := range v {
		if (b < '0' || b > '9') && strings.IndexByte("+-.eE", b) < 0 {
			return dst, failAt(i, CodeFloat, "Invalid character in FLOAT format, Pos %d", i)
		}
	}
	f, err := strconv.ParseFloat(string(v), bits)
	if err != nil || f == 0 && underflows(v) {
		return dst, fail(CodeFloat, "Invalid or overflowing FLOAT format")
	}
	return append(dst, v...), nil
}

// underflows reports whether a number that was read as zero is written as
// another.
func underflows(v []byte) bool {
	for _, b := range v {
		if b == 'e' || b == 'E' {
			break
		}
		if b >= '1' && b <= '9' {
			return true
		}
	}
	return false
}

func appendBool(dst, v []byte) ([]byte, *Failure) {
	switch strings.ToLower(string(v)) {
	case "t", "true", "y", "yes", "1":
		return append(dst, 't'), nil
	case "f", "false", "n", "no", "0":
		return append(dst, 'f'), nil
	}
	return dst, fail(CodeBoolean, "Unknown boolean format")
}

// appendVarbyte takes hex digits without a prefix.
func appendVarbyte(dst, v []byte, c *Column) ([]byte, *Failure) {
	if len(v)%2 != 0 {
		return dst, fail(CodeDigit, "Invalid hex string: odd number of digits, Type: Varbyte")
	}
	for i, b := range v {
		if !isHex(b) {
			return dst, badDigit(b, i, "Varbyte")
		}
	}
	if c.Len > 0 && len(v)/2 > c.Len {
		return dst, fail(CodeTooLong, "Varbyte length exceeds DDL length")
	}
	return append(append(dst, `\\x`...), v...), nil
}

func isHex(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F'
}
