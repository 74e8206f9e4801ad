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
	if col.PK && col.nullable {
		return col, refuse(CodeBadTable, "primary key column %q must be NOT NULL", name)
	}
	return col, nil
}

func asRefusal(err error) (*Refusal, bool) {
	r, ok := err.(*Refusal) //nolint:errorlint // this package never wraps refusals
	return r, ok
}

func (c *compiler) columnAttribute(col *Column) error {
	switch {
	case c.accept("not", "null"):
		col.NotNull = true
	case c.accept("null"):
		col.nullable = true
	case c.accept("default"):
		end := c.defaultEnd(c.i)
		if err := c.walk(c.i, end); err != nil {
			return err
		}
		col.Default = c.render(c.i, end)
		c.i = end
	case c.accept("encode"):
		if t := c.at(0); t.Kind != lex.Word || !encoding(t.Val) {
			return syntaxAt(t)
		}
		col.Encode = c.at(0).Val
		c.i++
	case c.accept("distkey"):
		col.DistKey = true
	case c.accept("sortkey"):
		col.SortKey = 1
	case c.accept("primary", "key"):
		col.PK, col.NotNull = true, true
	case c.accept("unique"):
		col.Unique = true
	case c.is("references"):
		col.FK = true
		return c.references()
	case c.accept("identity"):
		return c.identity(col, "ALWAYS")
	case c.accept("generated", "by", "default", "as", "identity"):
		return c.identity(col, "BY DEFAULT")
	case c.accept("collate"):
		if c.accept("case_sensitive") || c.accept("cs") {
			return nil
		}
		if c.is("case_insensitive") || c.is("ci") {
			return refuse(CodeUnsupported, "COLLATE CASE_INSENSITIVE is not part of this stand-in")
		}
		return syntaxAt(c.at(0))
	default:
		return syntaxAt(c.at(0))
	}
	return nil
}

func (c *compiler) identity(col *Column, mode string) error {
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
