package sqltext

import (
	"fmt"
	"strings"
)

// typeRow is a row of the documentation: types that are mapped by one rule.
type typeRow struct {
	// types are shown and mapped; others are shown in the row too.
	types []SourceColumn
	// note says what the forms alone don't.
	note string
}

// typeRows covers every type of PostgreSQL 13 to 18 and of its own extensions.
func typeRows() []typeRow {
	kind := func(kind string, names ...string) []SourceColumn {
		list := make([]SourceColumn, len(names))
		for i, n := range names {
			list[i] = SourceColumn{Type: n, Kind: kind, Typmod: -1}
		}
		return list
	}
	base := func(names ...string) []SourceColumn { return kind("b", names...) }
	typmod := func(name string, mod int32) []SourceColumn {
		return []SourceColumn{{Type: name, Kind: "b", Typmod: mod}}
	}
	return []typeRow{
		{base("int2"), ""},
		{base("int4"), ""},
		{base("int8"), ""},
		{base("oid"), "unsigned, 32 bits"},
		{base("bool"), ""},
		{base("float4"), ""},
		{base("float8"), ""},
		{
			typmod("numeric", (12<<16|2)+varhdrsz),
			"for instance `numeric(12,2)`; a negative scale has 0; 19 digits have DECIMAL(20,s); above 38 digits, or with a scale above 37, text",
		},
		{base("numeric"), numericNote},
		{base("date"), ""},
		{base("timestamp"), ""},
		{base("timestamptz"), "the instant, in UTC"},
		{base("time"), ""},
		{base("timetz"), "Redshift keeps the instant and not its zone; text in a key"},
		{base("uuid"), ""},
		{base("text"), ""},
		{typmod("varchar", 40+varhdrsz), "for instance `varchar(40)`: four bytes a character, at most 65,535; without a length as text"},
		{typmod("bpchar", 6+varhdrsz), "for instance `char(6)`, with the blanks that fill it"},
		{base("name"), ""},
		{base("char"), "the type named `\"char\"`"},
		{base("bytea"), "`\\x…` in a key"},
		{base("json", "jsonb"), "numbers keep their value, not their spelling; text in a key"},
		{base("hstore"), "an object of strings and nulls; text in a key"},
		{[]SourceColumn{{Type: "(arrays)", Kind: "b"}}, arrayNote},
		{kind("c", "(composites)"), rowNote},
		{kind("e", "(enums)"), "the label"},
		{kind("r", "(ranges)"), "for instance `[1,5)`"},
		{kind("m", "(multiranges)"), "for instance `{[1,5),[7,9)}`"},
		{kind("d", "(domains)"), "as the type that the domain is over, with the domain's length, precision and scale"},
		{base("interval"), "`1 year 2 mons -3 days 04:05:06.789` (IntervalStyle postgres)"},
		{base("money"), "`$1,234.50`, `-$1,234.50` (lc_monetary C), refused where the database's money has other than two decimals"},
		{base("inet", "cidr", "macaddr", "macaddr8"), ""},
		{base("bit", "varbit"), "`101`"},
		{base("xml", "citext", "tsvector", "tsquery", "jsonpath"), ""},
		{base("ltree", "lquery", "ltxtquery", "cube", "seg"), "of extensions"},
		{base("point", "line", "lseg", "box", "path", "polygon", "circle"), ""},
		{base("pg_lsn", "tid", "xid", "xid8", "cid"), ""},
		{
			base("pg_snapshot", "txid_snapshot", "refcursor", "int2vector", "oidvector", "regclass", "regtype", "regproc", "regprocedure",
				"regoper", "regoperator", "regrole", "regnamespace", "regconfig", "regdictionary", "regcollation"),
			"names are qualified where search_path \"\" asks for it",
		},
		{base("(other base types)"), "of extensions and of the system: what their output function gives"},
		{base("geometry", "geography"), "of PostGIS: hexadecimal EWKB, up to 1,048,447 bytes; text in a key"},
	}
}

const numericNote = "without a precision: DECIMAL(38,s), where s is the greatest number of decimal places that a value needs when the table is " +
	"first loaded, from 9 (29 digits before the point) to 18 (20 digits; also for a column without a value, and for a table of more than 8 GiB, " +
	"of which only a sample is read); `values.unbounded_numeric: text` makes it VARCHAR(65535)"

const rowNote = "an object of the fields by name: NULL is null, numbers, booleans, json, arrays and composites are what they are, as in an array, " +
	"all else are strings of the field's text; the names are those of the first load; text in a key"

const arrayNote = "an array: NULL is null, nested dimensions are nested arrays, numbers and booleans are what they are (a number that " +
	"SUPER can't hold exactly is a string of its text), json is embedded, composites are objects, all else are strings of the element's text; " +
	"an array whose first subscript is not 1 is `{\"bounds\": \"[2:4]\", \"elements\": […]}`; text in a key"

// TypeTable returns the documentation of the type map in Markdown.
func TypeTable() string {
	var b strings.Builder
	b.WriteString("| PostgreSQL | Redshift | carried as | may not fit |\n|---|---|---|---|\n")
	for _, row := range typeRows() {
		names := make([]string, 0, len(row.types))
		m := row.mapping()
		for _, t := range row.types {
			names = append(names, rowName(t.Type))
		}
		form := m.form()
		if row.note != "" {
			form += "; " + row.note
		}
		ddl := m.DDL
		if ddl == "" {
			ddl = "the base type's"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", strings.Join(names, ", "), ddl, strings.ReplaceAll(form, "|", `\|`), m.mayNotFit())
	}
	b.WriteString("\n| may not fit | what that is | policies, default first |\n|---|---|---|\n")
	for _, m := range Misfits() {
		list := make([]string, 0, len(m.Policies()))
		for _, p := range m.Policies() {
			list = append(list, "`"+string(p)+"`")
		}
		fmt.Fprintf(&b, "| `values.%s` | %s | %s |\n", m, m.describe(), strings.Join(list, ", "))
	}
	return b.String()
}

// InTypeTable reports whether the documentation names a type, by itself or by
// its kind.
func InTypeTable(c SourceColumn) bool {
	if c.Kind != "b" || strings.HasPrefix(c.Type, "_") {
		switch c.Kind {
		case "b", "c", "d", "e", "m", "r":
			return true
		}
		return false
	}
	for _, row := range typeRows() {
		for _, t := range row.types {
			if t.Kind == c.Kind && t.Type == c.Type {
				return true
			}
		}
	}
	return false
}

// rowName shows a type's name, or a whole kind of types without the brackets.
func rowName(name string) string {
	if strings.HasPrefix(name, "(") {
		return strings.Trim(name, "()")
	}
	return "`" + name + "`"
}

func (r *typeRow) mapping() Mapping {
	t := r.types[0]
	switch t.Type {
	case "(arrays)":
		t.Type = "_text"
	case "(domains)":
		return Mapping{}
	}
	m, err := MapType(t)
	if err != nil {
		return Mapping{DDL: err.Error()} // the test of the table fails
	}
	return m
}

// form says in words how a value is carried.
func (m Mapping) form() string {
	switch m.Form {
	case FormPlain:
		switch {
		case m.DDL == "":
			return "that type"
		case m.Exact:
			return "exact"
		}
		return "text, as PostgreSQL prints it"
	case FormJSON:
		return "the document"
	case FormArray, FormRow, FormHstore:
		return "JSON"
	case FormTimeTZ:
		return "exact to the microsecond"
	default:
		return "exact"
	}
}

func (m Mapping) mayNotFit() string {
	list := make([]string, 0, len(m.Misfits()))
	for _, misfit := range m.Misfits() {
		list = append(list, "`"+string(misfit)+"`")
	}
	if len(list) == 0 {
		return "–"
	}
	return strings.Join(list, ", ")
}

func (m Misfit) describe() string {
	switch m {
	case MisfitOversize:
		return "longer than the column holds (VARCHAR 65,535 bytes, a string in SUPER the same, VARBYTE 1,024,000, SUPER 16 MB, a row 4 MB); " +
			"a number with more digits; a document with what SUPER can't hold exactly"
	case MisfitNaN:
		return "`NaN`"
	case MisfitInfinity:
		return "`infinity`, `-infinity`"
	case MisfitOutOfRange:
		return "a date before year 1 or after year 9999; `24:00:00`"
	case MisfitEmptyBytes:
		return "an empty bytea, which COPY reads as NULL"
	}
	return ""
}
