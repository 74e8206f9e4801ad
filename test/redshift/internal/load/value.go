package load

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Options are those of the COPY that concern values.
type Options struct {
	// Format is TEXT, CSV or JSON.
	Format                                               string
	JSON                                                 string
	Compression                                          string
	Delimiter, Quote                                     byte
	Null                                                 string
	DefaultNull                                          bool
	DateFormat, TimeFormat                               string
	AcceptInvalid, BlanksAsNull, EmptyAsNull             bool
	InvalidChar                                          byte
	Escape, FillRecord, IgnoreBlankLines, RemoveQuotes   bool
	RoundDec, TrimBlanks, TruncateColumns, AcceptAnyDate bool
	IgnoreHeader, MaxError                               int
}

func isChar(c *Column) bool { return c.Type == "varchar" || c.Type == "char" }

// isNull applies the rules that tell NULL from the empty string.
func (o *Options) isNull(f field, c *Column) bool {
	if f.marker && o.DefaultNull {
		return true
	}
	if string(f.data) == o.Null { // compared after unquoting: quotes protect nothing
		return true
	}
	if len(f.data) == 0 {
		return !isChar(c) || o.EmptyAsNull
	}
	if o.BlanksAsNull && isChar(c) && len(bytes.TrimLeft(f.data, " \t")) == 0 {
		return true
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
		return appendSuper(dst, v)
	case "varbyte":
		return appendVarbyte(dst, v, c)
	case "interval year to month", "interval day to second":
		return appendEscaped(dst, v), nil
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
	if bytes.IndexByte(v, 0) >= 0 {
		return dst, fail(CodeNulByte, "Invalid null byte - field longer than 1 byte")
	}
	if !utf8.Valid(v) {
		if !o.AcceptInvalid || c.Type != "varchar" {
			return dst, fail(CodeUTF8, "String contains invalid or unsupported UTF8 codepoints. Bad UTF8 hex sequence")
		}
		v = replaceInvalid(v, o.InvalidChar)
	}
	if o.TrimBlanks && c.Type == "varchar" {
		v = bytes.TrimRight(v, " ")
	}
	if c.Type == "char" {
		for _, b := range v {
			if b >= 0x80 {
				return dst, fail(CodeChar, "CHAR string contains invalid ASCII char")
			}
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

func replaceInvalid(v []byte, by byte) []byte {
	out := make([]byte, 0, len(v))
	for len(v) > 0 {
		r, n := utf8.DecodeRune(v)
		if r == utf8.RuneError && n == 1 {
			out = append(out, by)
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
			return dst, fail(CodeDigit, "Invalid digit, Pos %d, Type: %s", i, intName(bits))
		}
	}
	n, err := strconv.ParseInt(string(v), 10, bits)
	if err != nil {
		return dst, fail(CodeOverflow, "Overflow, Type: %s", intName(bits))
	}
	return strconv.AppendInt(dst, n, 10), nil
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
	for i, b := range []byte(whole + frac) {
		if b < '0' || b > '9' {
			return dst, fail(CodeDigit, "Invalid digit, Pos %d, Type: Decimal", i)
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
			return dst, fail(CodeFloat, "Invalid character, Pos %d, Type: Float", i)
		}
	}
	if _, err := strconv.ParseFloat(string(v), bits); err != nil {
		return dst, fail(CodeFloat, "Invalid or overflowing FLOAT format")
	}
	return append(dst, v...), nil
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
			return dst, fail(CodeDigit, "Invalid hex digit, Pos %d, Type: Varbyte", i)
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
