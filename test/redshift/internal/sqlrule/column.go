package sqlrule

import (
	"strconv"
	"strings"

	"github.com/walshift/walshift/test/redshift/internal/lex"
)

// column takes one column definition.
func (c *compiler) column() (Column, error) {
	name, err := c.name()
	if err != nil {
		return Column{}, err
	}
	if systemColumn(name) {
		return Column{}, refuse(CodeDuplicate, "column name %q conflicts with a system column name", name)
	}
	if c.done() || c.is(",") || c.is(")") {
		return Column{}, syntaxAt(c.at(0))
	}
	col := Column{Name: name}
	if col.Type, err = c.parseType(true); err != nil {
		if r, ok := asRefusal(err); ok && r.Code == CodeUndefinedType {
			return col, refuse(CodeUnsupported, "Column \"%s.%s\" has unsupported type %q.", c.st.Target.Table, name, c.at(-1).Val)
		}
		return col, err
	}
	for !c.done() && !c.is(",") && !c.is(")") {
		if err := c.columnAttribute(&col); err != nil {
			return col, err
		}
	}
	c.textual(&col)
	if col.PK && col.nullable {
		return col, refuse(CodeBadTable, "primary key column %q must be NOT NULL", name)
	}
	return col, nil
}

// textual gives text columns the database's collation.
func (c *compiler) textual(col *Column) {
	if c.opt.CaseInsensitive && col.collate == "" && (col.Type.Base == "varchar" || col.Type.Base == "char") {
		col.collate = caseInsensitive
	}
}

func asRefusal(err error) (*Refusal, bool) {
	r, ok := err.(*Refusal) //nolint:errorlint // this package never wraps refusals
	return r, ok
}

func (c *compiler) columnAttribute(col *Column) error {
	twice := refuse(CodeSyntax, "conflicting or repeated attributes of column %q", col.Name)
	switch {
	case c.accept("not", "null"):
		if col.nullable || col.notNull {
			return twice
		}
		col.NotNull, col.notNull = true, true
	case c.accept("null"):
		if col.notNull || col.nullable {
			return twice
		}
		col.nullable = true
	case c.accept("default"):
		if col.Default != "" || col.identity != "" {
			return twice
		}
		end := c.defaultEnd(c.i)
		if end == c.i {
			return syntaxAt(c.at(0))
		}
		if err := c.walk(c.i, end); err != nil {
			return err
		}
		col.Default = c.render(c.i, end)
		c.i = end
	case c.accept("encode"):
		if col.Encode != "" {
			return twice
		}
		return c.encode(col)
	case c.accept("distkey"):
		col.DistKey = true
	case c.accept("sortkey"):
		col.SortKey = 1
	case c.is("constraint") || c.is("primary", "key") || c.is("unique") || c.is("references"):
		return c.columnConstraint(col)
	case c.accept("identity"):
		return c.identity(col, "ALWAYS")
	case c.accept("generated", "by", "default", "as", "identity"):
		return c.identity(col, "BY DEFAULT")
	case c.accept("collate"):
		return c.collation(col)
	default:
		return syntaxAt(c.at(0))
	}
	return nil
}

// columnConstraint takes UNIQUE, PRIMARY KEY and REFERENCES of one column.
func (c *compiler) columnConstraint(col *Column) error {
	k := Constraint{Columns: []string{col.Name}}
	switch {
	case c.accept("primary", "key"):
		k.Kind = "p"
	case c.accept("unique"):
		k.Kind = "u"
	case c.is("references"):
		k.Kind = "f"
		if err := c.references(&k); err != nil {
			return err
		}
	default: // column constraints have no names
		return syntaxAt(c.at(0))
	}
	col.mark(k.Kind)
	c.st.Table.Constraints = append(c.st.Table.Constraints, k)
	return c.constraintEnd()
}

// encode takes the encoding after ENCODE.
func (c *compiler) encode(col *Column) error {
	t := c.at(0)
	if t.Kind != lex.Word || !encoding(t.Val) {
		return syntaxAt(t)
	}
	if !col.Type.encodes(t.Val) {
		return refuse(CodeUnsupported, "compression encoding %q is not supported for column %q of type %s", t.Val, col.Name, col.Type.Base)
	}
	col.Encode = t.Val
	c.i++
	return nil
}

// Encodes reports whether a type, as the catalog names it, takes an encoding.
func Encodes(typ, enc string) bool {
	base, _, _ := strings.Cut(typ, "(")
	switch base {
	case "numeric":
		base = "decimal"
	case "character varying":
		base = "varchar"
	case "character":
		base = "char"
	case "binary varying":
		base = "varbyte"
	}
	return Type{Base: base}.encodes(enc)
}

// encodes tells which encodings a type takes (developer guide, compression
// encodings).
func (t Type) encodes(enc string) bool {
	number := t.Base == "smallint" || t.Base == "integer" || t.Base == "bigint" || t.Base == "decimal"
	moment := t.Base == "date" || strings.HasPrefix(t.Base, "time") || strings.HasPrefix(t.Base, "interval")
	text := t.Base == "varchar" || t.Base == "char"
	float := t.Base == "real" || t.Base == "double precision"
	other := t.Base == "super" || t.Base == "varbyte"
	switch enc {
	case "raw", "zstd", "auto":
		return true
	case "az64":
		return number || moment
	case "bytedict":
		return number || moment || text || float
	case "delta":
		return number || moment
	case "delta32k":
		return number && t.Base != "smallint" || moment
	case "lzo":
		return number || moment || text || other
	case "mostly8":
		return number
	case "mostly16":
		return number && t.Base != "smallint"
	case "mostly32":
		return t.Base == "bigint" || t.Base == "decimal"
	case "runlength":
		return number || moment || text || float || t.Base == "boolean"
	case "text255", "text32k":
		return t.Base == "varchar"
	}
	return false
}

// collation takes the name after COLLATE.
func (c *compiler) collation(col *Column) error {
	if col.Type.Base != "varchar" && col.Type.Base != "char" {
		return refuse(CodeUnsupported, "collations are not supported by type %s", col.Type.Base)
	}
	switch {
	case c.accept("case_sensitive"), c.accept("cs"):
		col.collate = `"C"`
	case c.accept("case_insensitive"), c.accept("ci"):
		col.collate = caseInsensitive
	default:
		return syntaxAt(c.at(0))
	}
	return nil
}

func (c *compiler) identity(col *Column, mode string) error {
	if col.Default != "" || col.identity != "" || col.nullable {
		return refuse(CodeSyntax, "conflicting or repeated attributes of column %q", col.Name)
	}
	if col.Type.Base != "integer" && col.Type.Base != "bigint" {
		return refuse(CodeBadParameter, "identity column %q must be of type INT or BIGINT", col.Name)
	}
	a := []string{}
	if err := c.expect("("); err != nil {
		return err
	}
	for !c.accept(")") {
		sign := ""
		if c.accept("-") {
			sign = "-"
		}
		t := c.at(0)
		if t.Kind != lex.Number {
			return syntaxAt(t)
		}
		c.i++
		a = append(a, sign+t.Text)
		c.accept(",")
	}
	if len(a) != 2 {
		return syntaxAt(c.at(-1))
	}
	if strings.Trim(a[1], "-0") == "" {
		return refuse(CodeBadParameter, "the step of identity column %q must not be zero", col.Name)
	}
	minimum := ""
	if strings.HasPrefix(a[0], "-") || a[0] == "0" {
		minimum = " MINVALUE " + a[0]
	}
	col.NotNull = true
	col.identity = "GENERATED " + mode + " AS IDENTITY (START WITH " + a[0] + " INCREMENT BY " + a[1] + minimum + ")"
	return nil
}

// definition is the column as PostgreSQL gets it.
func (col Column) definition() string {
	var b strings.Builder
	b.WriteString(QuoteName(col.Name) + " " + col.Type.Backend)
	if col.collate != "" {
		b.WriteString(" COLLATE " + col.collate)
	}
	if col.Default != "" {
		b.WriteString(" DEFAULT " + col.Default)
	}
	if col.NotNull {
		b.WriteString(" NOT NULL")
	}
	if col.identity != "" {
		b.WriteString(" " + col.identity)
	}
	return b.String()
}

// Names of the hidden constraints begin with these; the server turns their
// violations into Redshift's errors.
const (
	CheckNumber = "rs_number"
	CheckTime   = "rs_time"
	CheckChar   = "rs_char"
)

// checks gives the constraint that keeps out what PostgreSQL's type holds and
// Redshift's does not: NaN, infinity, 24:00, characters of several bytes.
func (col Column) checks(unique string) string {
	q := QuoteName(col.Name)
	var cond, kind string
	switch col.Type.Base {
	case "decimal":
		kind, cond = CheckNumber, q+" <> 'NaN'"
		if col.Type.Prec == 19 { // kept in 64 bits
			top := "9223372036854775807"
			if s := col.Type.Scale; s > 0 {
				top = top[:19-s] + "." + top[19-s:]
				if s == 19 {
					top = "0" + top
				}
			}
			cond = q + " BETWEEN -" + top + " AND " + top
		}
	case "date", "timestamp", "timestamptz":
		kind, cond = CheckTime, "isfinite("+q+")"
	case "time":
		kind, cond = CheckTime, q+" <> '24:00'"
	case "char":
		kind, cond = CheckChar, "octet_length("+q+"::text) = char_length("+q+"::text)"
	default:
		return ""
	}
	return "CONSTRAINT " + QuoteName(kind+"_"+unique+"_"+strconv.Itoa(len(col.Name))) + " CHECK (" + cond + ")"
}
