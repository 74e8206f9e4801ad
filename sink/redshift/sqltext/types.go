package sqltext

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
)

// Limits of Redshift's types, in bytes unless said otherwise (r_Character_types,
// r_Numeric_types201, r_VARBYTE_type, limitations-super).
const (
	// MaxVarchar is the widest VARCHAR that a table can have.
	MaxVarchar = 65535
	// MaxVarbyte is the widest VARBYTE that every Redshift of the last years
	// takes; the newest take 16,777,216.
	MaxVarbyte = 1_024_000
	// MaxSuper is the size of one SUPER value.
	MaxSuper = 16 << 20
	// MaxColumns is the number of columns of one table.
	MaxColumns = 1600

	// MaxGeometry is the size of one GEOMETRY or GEOGRAPHY
	// (spatial-limitations).
	MaxGeometry = 1_048_447

	maxPrecision = 38 // digits of DECIMAL
	maxScale     = 37
	// unboundedScale is the scale of numeric without a precision where nothing
	// is known of the data: 20 digits before the point and 18 after it.
	unboundedScale = 18
	// A character has at most 4 bytes in UTF-8.
	bytesPerCharacter = 4
	// varhdrsz is what PostgreSQL adds to the typmod of varchar, bpchar and
	// numeric (VARHDRSZ in its c.h).
	varhdrsz = 4
)

// Form says how a value's text must look in a file that COPY reads into the
// column.
type Form int

// The forms. In each, "text" is what PostgreSQL sends with DateStyle ISO.
const (
	// FormPlain is the value's text as it is, at most MaxBytes long.
	FormPlain Form = iota
	// FormBool is t or f.
	FormBool
	// FormHex is hexadecimal digits without a prefix; MaxBytes counts the
	// bytes that they stand for.
	FormHex
	// FormJSON is a JSON text, which COPY parses into SUPER.
	FormJSON
	// FormDecimal is a decimal number that fits Precision and Scale; digits
	// that don't fit must be refused, for COPY would cut them silently.
	FormDecimal
	// FormDate is YYYY-MM-DD.
	FormDate
	// FormTimestamp is a date and time without a zone.
	FormTimestamp
	// FormTimestampTZ is a date and time with an offset.
	FormTimestampTZ
	// FormTime is a time of day.
	FormTime
	// FormTimeTZ is a time of day with an offset.
	FormTimeTZ
	// FormFloat is a floating point number; NaN and the infinities have no
	// spelling that COPY dependably takes.
	FormFloat
	// FormInt is an integer.
	FormInt
	// FormArray is a PostgreSQL array, written as a JSON array: see
	// [Mapping.Element].
	FormArray
	// FormRow is a composite value, written as a JSON object of its fields, each
	// as an element of an array would be; or, where their names are not known,
	// as an array of strings and nulls.
	FormRow
	// FormHstore is an hstore, written as a JSON object of strings and nulls.
	FormHstore
	// FormGeometry is the hexadecimal digits of an EWKB; MaxBytes counts the
	// bytes that they stand for.
	FormGeometry
)

// Element says how the elements of an array are written into JSON.
type Element int

// The kinds of elements. NULL is null in each.
const (
	// ElementText is a string that holds the element's text.
	ElementText Element = iota
	// ElementNumber is a number where SUPER holds it exactly, else a string of
	// its text: NaN, the infinities, -0, and more digits than fit.
	ElementNumber
	// ElementBool is true or false.
	ElementBool
	// ElementJSON is the document itself.
	ElementJSON
)

// SourceColumn is what the mapping must know of a PostgreSQL column.
type SourceColumn struct {
	// Type is pg_type.typname of the base type ("int4", "_text").
	Type string
	// Kind is pg_type.typtype of the base type: b, e, c, r or m. A domain
	// ("d") must have been resolved.
	Kind string
	// Typmod is the type modifier; -1 means none.
	Typmod int32
	// Key says that the column belongs to the replica identity: it is mapped
	// so that different values stay different.
	Key bool
	// NumericText maps numeric without a precision to text (values.
	// unbounded_numeric: text). Otherwise it is DECIMAL(38,NumericScale), 0
	// standing for 18.
	NumericText  bool
	NumericScale int
}

// Mapping is the Redshift side of a column.
type Mapping struct {
	// DDL is the type as CREATE TABLE takes it.
	DDL  string
	Form Form
	// MaxBytes is the length of the longest value that fits, for text,
	// VARBYTE and SUPER; 0 for types of fixed size.
	MaxBytes int
	// Precision and Scale are those of FormDecimal.
	Precision, Scale int
	// Element and Delimiter are those of FormArray.
	Element   Element
	Delimiter byte
	// Exact says that the Redshift type means the same as the source's. Where
	// it is false the value is carried as text (or, for timetz, json and
	// jsonb, in a type that keeps the meaning and not the spelling).
	Exact bool
	// Equality says that "=" on Redshift holds for two values exactly if it
	// holds on the source: numbers, dates, times, booleans and uuid. Text is
	// not among them, for Redshift ignores trailing blanks.
	Equality bool
}

// Large reports whether values may be above 64 KB, which breaks joins that
// carry them (error 8001).
func (m Mapping) Large() bool { return m.Super() || m.Form == FormHex || m.Form == FormGeometry }

// Super reports whether the column is a SUPER.
func (m Mapping) Super() bool { return m.DDL == superType }

const superType = "SUPER"

// Text reports whether the column is a VARCHAR.
func (m Mapping) Text() bool { return strings.HasPrefix(m.DDL, "VARCHAR") }

// ErrUnknownType reports a source type without a mapping.
var ErrUnknownType = errors.New("source type has no Redshift mapping")

// MapType returns the Redshift type for a source column. The error wraps
// ErrUnknownType.
func MapType(c SourceColumn) (Mapping, error) {
	switch c.Kind {
	case "b":
		if element, ok := strings.CutPrefix(c.Type, "_"); ok { // arrays, by PostgreSQL's own naming
			return mapArray(element, c.Key), nil
		}
		return mapBase(c)
	case "e":
		// A label is at most NAMEDATALEN-1 = 63 bytes; custom builds go higher.
		return text(256, false), nil
	case "c":
		return super(FormRow, c.Key), nil
	case "r", "m":
		return text(MaxVarchar, false), nil
	}
	return Mapping{}, fmt.Errorf("%w: type %q of kind %q", ErrUnknownType, c.Type, c.Kind)
}

// mapArray maps an array by the name of its element type. A type of the user
// that is named like a built-in one does no harm: whatever is not written like
// a number, for instance, becomes a string.
func mapArray(element string, key bool) Mapping {
	m := super(FormArray, key)
	if key {
		return m
	}
	m.Element = ElementOf(element)
	m.Delimiter = Delimiter(element)
	return m
}

// ElementOf says how values of a type are written into JSON, as elements of an
// array and as fields of a composite.
func ElementOf(typ string) Element {
	switch typ {
	case "int2", "int4", "int8", "oid", "float4", "float8", "numeric":
		return ElementNumber
	case "bool":
		return ElementBool
	case "json", "jsonb":
		return ElementJSON
	}
	return ElementText
}

// Delimiter returns what stands between the elements of a type's array:
// pg_type.typdelim.
func Delimiter(typ string) byte {
	switch typ {
	case "box":
		return ';'
	case "geometry", "geography": // as PostGIS declares them
		return ':'
	}
	return ','
}

// super is a SUPER, or the source's text where the column is a key: SUPER has
// no equality to build on.
func super(form Form, key bool) Mapping {
	if key {
		return text(MaxVarchar, false)
	}
	return Mapping{DDL: superType, Form: form, MaxBytes: MaxSuper}
}

func mapBase(c SourceColumn) (Mapping, error) {
	switch c.Type {
	case "int2":
		return exact("SMALLINT", FormInt), nil
	case "int4":
		return exact("INTEGER", FormInt), nil
	case "int8", "oid": // oid is unsigned and has 32 bits
		return exact("BIGINT", FormInt), nil
	case "bool":
		return exact("BOOLEAN", FormBool), nil
	case "float4":
		return exact("REAL", FormFloat), nil
	case "float8":
		return exact("DOUBLE PRECISION", FormFloat), nil
	case "numeric":
		if c.NumericText && c.Typmod < varhdrsz {
			return text(MaxVarchar, true), nil
		}
		return mapNumeric(c), nil
	case "date":
		return exact("DATE", FormDate), nil
	case "timestamp":
		return exact("TIMESTAMP", FormTimestamp), nil
	case "timestamptz":
		return exact("TIMESTAMPTZ", FormTimestampTZ), nil
	case "time":
		return exact("TIME", FormTime), nil
	case "uuid":
		m := text(36, true)
		m.Equality = true // one spelling, one length, no blanks
		return m, nil
	case "varchar", "bpchar":
		return mapCharacters(c.Typmod), nil
	case "text":
		return text(MaxVarchar, true), nil
	case "name":
		return text(256, true), nil
	case "char":
		return text(bytesPerCharacter, true), nil
	}
	return mapOther(c)
}

// mapOther maps the types that change their kind on the way.
func mapOther(c SourceColumn) (Mapping, error) {
	switch c.Type {
	case "timetz":
		// Redshift keeps the instant and not the zone, so that 12:00+00 and
		// 13:00+01, which differ on the source, become equal.
		if c.Key {
			return text(32, false), nil
		}
		return Mapping{DDL: "TIMETZ", Form: FormTimeTZ}, nil
	case "bytea":
		if c.Key { // comparison of VARBYTE is nothing to build on; its text is
			return text(MaxVarchar, false), nil
		}
		return Mapping{
			DDL: fmt.Sprintf("VARBYTE(%d)", MaxVarbyte), Form: FormHex,
			MaxBytes: MaxVarbyte, Exact: true,
		}, nil
	case "json", "jsonb":
		return super(FormJSON, c.Key), nil
	case "hstore":
		return super(FormHstore, c.Key), nil
	case "geometry", "geography": // of PostGIS
		if c.Key {
			return text(MaxVarchar, false), nil
		}
		return Mapping{DDL: strings.ToUpper(c.Type), Form: FormGeometry, MaxBytes: MaxGeometry, Exact: true}, nil
	case "inet", "cidr", "macaddr", "macaddr8", "pg_lsn", "tid", "xid", "xid8", "cid":
		return text(64, false), nil
	case "interval", "money":
		return text(256, false), nil
	case "":
		return Mapping{}, fmt.Errorf("%w: it has no name", ErrUnknownType)
	}
	// Bits, XML, text search, geometry of PostgreSQL's own, names of objects,
	// system types, and what extensions bring: a base type's text is what its
	// own input function reads back.
	return text(MaxVarchar, false), nil
}

func exact(ddl string, form Form) Mapping {
	return Mapping{DDL: ddl, Form: form, Exact: true, Equality: true}
}

// text is a VARCHAR of n bytes, always written out: a bare one has 256.
func text(n int, isExact bool) Mapping {
	return Mapping{
		DDL: fmt.Sprintf("VARCHAR(%d)", n), Form: FormPlain,
		MaxBytes: n, Exact: isExact,
	}
}

// mapCharacters maps varchar(n) and char(n). CHAR is no target for the latter:
// it takes single-byte characters only.
func mapCharacters(typmod int32) Mapping {
	if typmod < varhdrsz {
		return text(MaxVarchar, true)
	}
	n := (int(typmod) - varhdrsz) * bytesPerCharacter
	return text(max(1, min(n, MaxVarchar)), true)
}

// mapNumeric maps numeric(p, s). PostgreSQL packs the precision into the upper
// 16 bits of typmod-4 and the scale into the lower 11, signed since 15 (its
// numeric.c, make_numeric_typmod).
func mapNumeric(c SourceColumn) Mapping {
	if c.Typmod < varhdrsz {
		return decimal(maxPrecision, cmp.Or(c.NumericScale, unboundedScale))
	}
	mod := c.Typmod - varhdrsz
	precision := int(mod >> 16 & 0xffff)
	scale := int(mod&0x7ff^0x400) - 0x400
	digits := precision
	switch {
	case scale < 0: // rounded to tens: all digits stand before the point
		digits, scale = precision-scale, 0
	case scale > precision: // only zeros between the point and the digits
		digits = scale
	}
	if digits > maxPrecision || scale > maxScale {
		// Text of a column with a fixed scale has one spelling per value.
		// Sign, leading zero and point come on top of the digits.
		return text(min(digits+3, MaxVarchar), false)
	}
	if digits == 19 {
		// Up to 19 digits are kept in 64 bits, whose largest number is
		// 9223372036854775807: not every number of 19 digits fits.
		digits = 20
	}
	return decimal(digits, scale)
}

func decimal(precision, scale int) Mapping {
	return Mapping{
		DDL:  fmt.Sprintf("DECIMAL(%d,%d)", precision, scale),
		Form: FormDecimal, Precision: precision, Scale: scale,
		Exact: true, Equality: true,
	}
}
