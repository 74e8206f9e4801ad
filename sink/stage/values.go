package stage

import (
	"bytes"
	"fmt"
	"math"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// column is what the encoder knows of a column.
type column struct {
	name   string
	attnum int16
	form   sqltext.Form
	// maxBytes bounds text, JSON, and the decoded bytes of FormHex.
	maxBytes int
	// precision and scale are FormDecimal's.
	precision, scale int
	// shape is that of FormArray and FormRow.
	shape shape
	// key says that no policy may touch the column's values.
	key bool
	// super says that the column is a SUPER.
	super bool
	// bits is the size of a FormFloat.
	bits int
	// values are the column's policies.
	values sqltext.Values
	// scratch is memory that the layout's columns share.
	scratch *scratch
	// voidIsNull says that COPY loads an empty field as NULL: every type but
	// the character types (redshift-facts 1.6).
	voidIsNull bool
	// flag is the column's place among the layout's kept columns, or -1.
	flag int
}

// scratch is memory for values that are rewritten before they are encoded.
type scratch struct {
	b []byte
	// parts holds the texts of elements and fields that are rewritten in turn.
	parts []byte
}

// newColumn returns the encoder's view of one column.
func newColumn(name string, m sqltext.Mapping, memory *scratch) column {
	c := column{
		name: name, form: m.Form, maxBytes: m.MaxBytes, precision: m.Precision, scale: m.Scale,
		shape: shape{form: m.Form, element: m.Element, delimiter: m.Delimiter}, super: m.Super(), voidIsNull: !m.Text(), flag: -1, bits: 64, scratch: memory,
	}
	if m.DDL == "REAL" {
		c.bits = 32
	}
	return c
}

// mapColumns returns the encoder's view of all columns of rel.
func mapColumns(rel *change.Relation, rules *sqltext.ValueRules) ([]column, error) {
	cols := make([]column, len(rel.Columns))
	memory := new(scratch)
	for i := range rel.Columns {
		src := &rel.Columns[i]
		values := rules.Of(rel.String(), src.Name)
		number := src.NumericForm(values.UnboundedNumeric == sqltext.NumericText)
		m, err := sqltext.MapType(sqltext.SourceColumn{
			Type: src.Type, Kind: src.TypeKind, Typmod: src.Typmod, Key: rel.IsKey(i),
			NumericText: number.Text, NumericScale: int(number.Scale),
		})
		if err != nil {
			return nil, &change.Fault{
				Scope: change.ScopeTable, Code: change.CodeValue, Op: "encoding rows", Table: rel.String(), TableOID: rel.OID,
				Err:    fmt.Errorf("mapping column %q: %w", src.Name, err),
				Remedy: "exclude the column or the table",
			}
		}
		cols[i] = newColumn(src.Name, m, memory)
		cols[i].shape.give(src.Fields)
		cols[i].attnum, cols[i].key, cols[i].values = src.Attnum, rel.IsKey(i), values
	}
	return cols, nil
}

// append appends the text v of a value as a CSV field.
func (c *column) append(dst, v, marker []byte) ([]byte, reason) {
	if len(v) == 0 && c.voidIsNull && c.form != sqltext.FormHstore { // an empty hstore has no text
		return dst, empty
	}
	var r reason
	switch c.form {
	case sqltext.FormHex:
		return c.appendHex(dst, v)
	case sqltext.FormDecimal:
		return c.appendDecimal(dst, v)
	case sqltext.FormPlain:
		if len(v) > c.maxBytes {
			return dst, tooLong
		}
		return appendText(dst, v, marker)
	case sqltext.FormJSON:
		return c.appendJSON(dst, v, marker)
	case sqltext.FormArray, sqltext.FormRow, sqltext.FormHstore:
		return c.appendAsJSON(dst, v, marker)
	case sqltext.FormGeometry:
		return c.appendGeometry(dst, v)
	case sqltext.FormInt:
		if !isInteger(v) { // COPY would take blanks for NULL
			return dst, notNumber
		}
		return appendText(dst, v, marker)
	case sqltext.FormBool:
		if len(v) != 1 || (v[0] != 't' && v[0] != 'f') {
			return dst, notBool
		}
	case sqltext.FormFloat:
		r = checkFloat(v)
	case sqltext.FormDate:
		r = checkDate(v)
	case sqltext.FormTimestamp:
		r = checkTimestamp(v, false)
	case sqltext.FormTimestampTZ:
		r = checkTimestamp(v, true)
	case sqltext.FormTime:
		r = checkTime(v, false)
	case sqltext.FormTimeTZ:
		r = checkTime(v, true)
	}
	if r != fits {
		return dst, r
	}
	return append(dst, v...), fits
}

// appendHex appends the hex digits of a bytea without the prefix, as COPY
// wants VARBYTE (redshift-facts 1.11).
func (c *column) appendHex(dst, v []byte) ([]byte, reason) {
	if len(v) < 2 || v[0] != '\\' || v[1] != 'x' || len(v)%2 != 0 {
		return dst, notHex
	}
	v = v[2:]
	if len(v) == 0 {
		if c.voidIsNull {
			return dst, emptyIsNull
		}
		return append(dst, '"', '"'), fits
	}
	for _, b := range v {
		if !isDigit(b) && (b < 'a' || b > 'f') {
			return dst, notHex
		}
	}
	if len(v)/2 > c.maxBytes {
		return dst, tooLong
	}
	return append(dst, v...), fits
}

// appendGeometry appends the hex digits of an EWKB.
func (c *column) appendGeometry(dst, v []byte) ([]byte, reason) {
	for _, b := range v {
		if !isDigit(b) && (b|0x20 < 'a' || b|0x20 > 'f') {
			return dst, notHex
		}
	}
	switch {
	case len(v)%2 != 0:
		return dst, notHex
	case len(v)/2 > c.maxBytes:
		return dst, tooLong
	}
	return append(dst, v...), fits
}

// appendAsJSON rewrites a value as JSON first.
func (c *column) appendAsJSON(dst, v, marker []byte) ([]byte, reason) {
	if len(v) > c.maxBytes { // its JSON is as long at least, but for quotes
		return dst, tooLong
	}
	s := c.scratch
	var r reason
	switch c.form {
	case sqltext.FormArray:
		s.b, r = c.shape.appendArray(s.b[:0], v, s)
	case sqltext.FormRow:
		s.b, r = c.shape.appendRow(s.b[:0], v, s)
	default:
		s.b, r = appendHstoreJSON(s.b[:0], v)
	}
	if r != fits {
		return dst, r
	}
	return c.appendJSON(dst, s.b, marker)
}

// appendJSON appends a document for SUPER after every check.
func (c *column) appendJSON(dst, v, marker []byte) ([]byte, reason) {
	if len(v) > c.maxBytes {
		return dst, tooLong
	}
	before := len(dst)
	dst, r := appendText(dst, v, marker)
	if r == fits {
		r = checkJSON(v)
	}
	if r != fits {
		return dst[:before], r
	}
	return dst, fits
}

func isDigit(b byte) bool { return b-'0' <= 9 }

// digits returns the number of digits that v begins with.
func digits(v []byte) int {
	n := 0
	for n < len(v) && isDigit(v[n]) {
		n++
	}
	return n
}

// isInteger reports whether v is an integer as PostgreSQL prints it.
func isInteger(v []byte) bool {
	if len(v) > 1 && v[0] == '-' {
		v = v[1:]
	}
	return len(v) > 0 && digits(v) == len(v)
}

// infinity reports whether v is PostgreSQL's text of an infinite date, time
// or (capitalised) number.
func infinity(v []byte) bool {
	if len(v) == 9 && v[0] == '-' {
		v = v[1:]
	}
	return len(v) == 8 && (v[0] == 'i' || v[0] == 'I') && string(v[1:]) == "nfinity"
}

func checkFloat(v []byte) reason {
	switch {
	case string(v) == "NaN":
		return notANumber
	case infinity(v):
		return infinite
	}
	for _, b := range v {
		if !isDigit(b) && b != '-' && b != '.' && b != 'e' && b != '+' {
			return notNumber
		}
	}
	return fits
}

// appendDecimal appends a numeric, without zeros that the column's scale has
// no place for: COPY cuts excess digits instead of rounding (pitfall W6).
func (c *column) appendDecimal(dst, v []byte) ([]byte, reason) {
	switch {
	case string(v) == "NaN":
		return dst, notANumber
	case infinity(v):
		return dst, infinite
	}
	whole := v
	if whole[0] == '-' {
		whole = whole[1:]
	}
	n := digits(whole)
	whole, fraction := whole[:n], whole[n:]
	if len(fraction) > 0 {
		if fraction[0] != '.' || digits(fraction[1:]) != len(fraction)-1 || len(fraction) == 1 {
			return dst, notNumber
		}
		fraction = fraction[1:]
	}
	if n == 0 {
		return dst, notNumber
	}
	if excess := len(fraction) - c.scale; excess > 0 {
		if len(bytes.TrimRight(fraction[c.scale:], "0")) > 0 {
			return dst, tooManyDigits
		}
		v, fraction = v[:len(v)-excess], fraction[:c.scale]
		if c.scale == 0 {
			v = v[:len(v)-1] // the point
		}
	}
	whole = bytes.TrimLeft(whole, "0")
	if len(whole) > c.precision-c.scale || c.exceedsInt64(whole, fraction) {
		return dst, tooManyDigits
	}
	return append(dst, v...), fits
}

// exceedsInt64 is the limit of DECIMAL(19, s): Redshift keeps it in 64 bits,
// so that it ends at 9223372036854775807 (redshift-facts 4.1).
func (c *column) exceedsInt64(whole, fraction []byte) bool {
	if c.precision != 19 {
		return false
	}
	var unscaled uint64 // 19 digits always fit
	for _, b := range whole {
		unscaled = unscaled*10 + uint64(b-'0')
	}
	for i := range c.scale {
		unscaled *= 10
		if i < len(fraction) {
			unscaled += uint64(fraction[i] - '0')
		}
	}
	return unscaled > math.MaxInt64
}
