package sqlrule

import (
	"strconv"

	"github.com/walshift/walshift/test/redshift/internal/lex"
)

// Limits of types (developer guide, character, numeric and VARBYTE types).
const (
	maxVarchar     = 65535
	maxChar        = 4096
	defaultVarchar = 256
	maxPrecision   = 38
	maxScale       = 37
	maxVarbyte     = 16777216
	defaultVarbyte = 64000
)

// Type is a column type.
type Type struct {
	// Base is Redshift's name: varchar, char, decimal, super, …
	Base string
	// Len is the length in bytes of character and binary types.
	Len int
	// Prec and Scale belong to decimal.
	Prec, Scale int
	// Backend is how PostgreSQL spells it.
	Backend string
}

// typeRefused tells the message for a type that Redshift lacks.
func typeRefused(name string) *Refusal {
	return refuse(CodeUndefinedType, "type %q does not exist", name)
}

// parseType takes a type. inColumn makes VARCHAR without a length VARCHAR(256),
// as in a table; in an expression it has no length.
func (c *compiler) parseType(inColumn bool) (Type, error) {
	t := c.at(0)
	if t.Kind == lex.Quoted {
		return Type{}, typeRefused(t.Val)
	}
	if t.Kind != lex.Word {
		return Type{}, syntaxAt(t)
	}
	c.i++
	name := t.Val
	if name == "pg_catalog" && c.accept(".") {
		name = c.at(0).Val
		c.i++
	}
	typ, err := c.namedType(name, inColumn)
	if err != nil {
		return Type{}, err
	}
	if c.is("[") || c.is("array") {
		return Type{}, refuse(CodeUnsupported, "array types are not supported: %s[]", name)
	}
	return typ, nil
}

func (c *compiler) namedType(name string, inColumn bool) (Type, error) {
	switch name {
	case "varchar", "nvarchar", "text":
		return c.varchar(name == "text", inColumn)
	case "character", "nchar", "char", "bpchar":
		if c.accept("varying") {
			return c.varchar(false, inColumn)
		}
		return c.char(name == "bpchar")
	case "smallint", "int2":
		return Type{Base: "smallint", Backend: "int2"}, nil
	case "integer", "int", "int4":
		return Type{Base: "integer", Backend: "int4"}, nil
	case "bigint", "int8":
		return Type{Base: "bigint", Backend: "int8"}, nil
	case "decimal", "numeric", "dec":
		return c.decimal()
	case "real", "float4":
		return Type{Base: "real", Backend: "float4"}, nil
	case "float8":
		return Type{Base: "double precision", Backend: "float8"}, nil
	case "float":
		return c.float()
	case "double":
		if err := c.expect("precision"); err != nil {
			return Type{}, err
		}
		return Type{Base: "double precision", Backend: "float8"}, nil
	case "boolean", "bool":
		return Type{Base: "boolean", Backend: "boolean"}, nil
	case "date":
		return Type{Base: "date", Backend: "date"}, nil
	case "timestamp", "time":
		return c.timeType(name)
	case "timestamptz", "timetz":
		return Type{Base: name, Backend: name}, nil
	case "interval":
		return c.interval(inColumn)
	case "super":
		return Type{Base: "super", Backend: "pg_catalog.super"}, nil
	case "varbyte", "varbinary", "binary":
		return c.varbyte(name)
	case "geometry", "geography", "hllsketch":
		return Type{Base: name, Backend: "pg_catalog." + name}, nil
	case "regclass", "regtype", "regproc", "oid", "name", "unknown":
		if !inColumn {
			return Type{Base: name, Backend: name}, nil
		}
	}
	return Type{}, typeRefused(name)
}

// args takes up to limit integers in parentheses.
func (c *compiler) args(limit int) ([]int, error) {
	if !c.accept("(") {
		return nil, nil
	}
	var out []int
	for {
		t := c.at(0)
		n, err := strconv.Atoi(t.Val)
		if err != nil || t.Kind != lex.Number || len(out) == limit {
			return nil, syntaxAt(t)
		}
		out = append(out, n)
		c.i++
		if !c.accept(",") {
			break
		}
	}
	return out, c.expect(")")
}

func (c *compiler) varchar(isText, inColumn bool) (Type, error) {
	n, given := 0, false
	switch {
	case c.is("(", "max", ")"):
		c.i += 3
		n, given = maxVarchar, true
	default:
		a, err := c.args(1)
		if err != nil {
			return Type{}, err
		}
		if len(a) == 1 {
			n, given = a[0], true
		}
	}
	switch {
	case given && isText:
		return Type{}, refuse(CodeSyntax, "type modifier is not allowed for type %q", "text")
	case given && n < 1:
		return Type{}, refuse(CodeBadParameter, "length for type character varying must be at least 1")
	case n > maxVarchar:
		return Type{}, refuse(CodeBadParameter, "length for type character varying cannot exceed %d", maxVarchar)
	case !given && inColumn:
		n = defaultVarchar
	}
	typ := Type{Base: "varchar", Len: n, Backend: "rs_types.varchar"}
	if n > 0 {
		typ.Backend += "(" + strconv.Itoa(n) + ")"
	}
	return typ, nil
}

func (c *compiler) char(bp bool) (Type, error) {
	a, err := c.args(1)
	if err != nil {
		return Type{}, err
	}
	n := 1
	if bp {
		n = defaultVarchar
	}
	if len(a) == 1 {
		n = a[0]
	}
	if n < 1 || n > maxChar {
		return Type{}, refuse(CodeBadParameter, "length for type character cannot exceed %d", maxChar)
	}
	return Type{Base: "char", Len: n, Backend: "char(" + strconv.Itoa(n) + ")"}, nil
}

func (c *compiler) decimal() (Type, error) {
	a, err := c.args(2)
	if err != nil {
		return Type{}, err
	}
	p, s := 18, 0
	if len(a) > 0 {
		p = a[0]
	}
	if len(a) > 1 {
		s = a[1]
	}
	if p < 1 || p > maxPrecision {
		return Type{}, refuse(CodeBadParameter, "DECIMAL precision %d must be between 1 and %d", p, maxPrecision)
	}
	if s < 0 || s > maxScale || s > p {
		return Type{}, refuse(CodeBadParameter, "DECIMAL scale %d must be between 0 and %d", s, min(p, maxScale))
	}
	return Type{Base: "decimal", Prec: p, Scale: s, Backend: "numeric(" + strconv.Itoa(p) + "," + strconv.Itoa(s) + ")"}, nil
}

func (c *compiler) float() (Type, error) {
	a, err := c.args(1)
	if err != nil {
		return Type{}, err
	}
	const single, double = 24, 53 // bits of the mantissa
	if len(a) == 1 && (a[0] < 1 || a[0] > double) {
		return Type{}, refuse(CodeBadParameter, "precision for type float must be between 1 and %d bits", double)
	}
	if len(a) == 1 && a[0] <= single {
		return Type{Base: "real", Backend: "float4"}, nil
	}
	return Type{Base: "double precision", Backend: "float8"}, nil
}

func (c *compiler) timeType(name string) (Type, error) {
	if c.is("(") { // Redshift's times have no precision
		return Type{}, syntaxAt(c.at(0))
	}
	switch {
	case c.accept("with", "time", "zone"):
		return Type{Base: name + "tz", Backend: name + "tz"}, nil
	case c.accept("without", "time", "zone"):
	}
	return Type{Base: name, Backend: name}, nil
}

func (c *compiler) interval(inColumn bool) (Type, error) {
	switch {
	case c.accept("year", "to", "month"):
		return Type{Base: "interval year to month", Backend: "interval year to month"}, nil
	case c.accept("day", "to", "second"):
		const micro = 6
		if a, err := c.args(1); err != nil {
			return Type{}, err
		} else if len(a) == 1 && a[0] > micro {
			return Type{}, refuse(CodeBadParameter, "interval second precision must be between 0 and %d", micro)
		}
		return Type{Base: "interval day to second", Backend: "interval day to second"}, nil
	case inColumn:
		return Type{}, refuse(CodeUnsupported, "column type interval needs a qualifier: YEAR TO MONTH or DAY TO SECOND")
	}
	return Type{Base: "interval", Backend: "interval"}, nil
}

func (c *compiler) varbyte(name string) (Type, error) {
	if name == "binary" {
		if err := c.expect("varying"); err != nil {
			return Type{}, err
		}
	}
	a, err := c.args(1)
	if err != nil {
		return Type{}, err
	}
	n := defaultVarbyte
	if len(a) == 1 {
		n = a[0]
	}
	if n < 1 || n > maxVarbyte {
		return Type{}, refuse(CodeBadParameter, "length for type binary varying cannot exceed %d", maxVarbyte)
	}
	return Type{Base: "varbyte", Len: n, Backend: "pg_catalog.varbyte(" + strconv.Itoa(n) + ")"}, nil
}
