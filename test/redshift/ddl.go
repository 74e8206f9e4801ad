package redshift

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/walshift/walshift/test/redshift/internal/sqlrule"
)

// runCreate runs CREATE TABLE and records what PostgreSQL has no place for.
func (c *session) runCreate(st *sqlrule.Statement, run runner) (outcome, error) {
	before, err := c.ask("SELECT to_regclass(" + sqlrule.QuoteText(st.Target.SQL()) + ")::oid::text")
	if err != nil {
		return outcome{}, err
	}
	a, err := run()
	if err != nil {
		return outcome{}, err
	}
	out := outcome{tag: or(st.Tag, a.tag)}
	after, err := c.ask("SELECT to_regclass(" + sqlrule.QuoteText(st.Target.SQL()) + ")::oid::text")
	if err != nil || before.text(0, 0) == after.text(0, 0) {
		return out, err // IF NOT EXISTS, and it did
	}
	if err := c.recordTable(st.Table); err != nil {
		return out, err
	}
	if st.Table.Like != nil {
		_, err = c.ask("SELECT rs_internal.record_like(" + regclass(st.Target) + ", " + regclass(*st.Table.Like) + ")")
	}
	return out, err
}

func regclass(n sqlrule.Name) string {
	return "to_regclass(" + sqlrule.QuoteText(n.SQL()) + ")::oid"
}

func (c *session) recordTable(t *sqlrule.TableDef) error {
	var cols []string
	for _, col := range t.Columns {
		if f := col.Flags(); !strings.HasSuffix(f, "=") {
			cols = append(cols, sqlrule.QuoteText(f))
		}
	}
	if len(cols) > 0 || t.DistStyle != "AUTO" || t.SortStyle != "AUTO" {
		if err := c.recordMeta(t, cols); err != nil {
			return err
		}
	}
	return c.recordKeys(t)
}

func (c *session) recordMeta(t *sqlrule.TableDef, cols []string) error {
	_, err := c.ask("SELECT rs_internal.record_table(" + regclass(t.Name) + ", " + sqlrule.QuoteText(t.DistStyle) + ", " +
		sqlrule.QuoteText(t.SortStyle) + ", ARRAY[" + strings.Join(cols, ", ") + "]::text[])")
	return err
}

// recordKeys records declared keys. Foreign keys come last: they may point at a
// key of the same table.
func (c *session) recordKeys(t *sqlrule.TableDef) error {
	for _, foreign := range []bool{false, true} {
		for _, k := range t.Constraints {
			if (k.Kind == "f") != foreign {
				continue
			}
			ref := "NULL"
			if foreign {
				ref = regclass(k.Ref)
			}
			if _, err := c.ask("SELECT rs_internal.add_constraint(" + regclass(t.Name) + ", " + sqlrule.QuoteText(k.Name) + ", " + sqlrule.QuoteText(k.Kind) +
				", " + textArray(k.Columns) + ", " + ref + ", " + textArray(k.RefColumns) + ")"); err != nil {
				return err
			}
		}
	}
	return nil
}

func textArray(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = sqlrule.QuoteText(sqlrule.Short(n))
	}
	return "ARRAY[" + strings.Join(quoted, ", ") + "]::text[]"
}

// afterCreateAs gives the text columns of a new table Redshift's type.
func (c *session) afterCreateAs(st *sqlrule.Statement) error {
	cols, err := c.ask("SELECT attname FROM pg_attribute WHERE attrelid = " + regclass(st.Target) +
		" AND attnum > 0 AND NOT attisdropped AND atttypid IN ('text'::regtype, 'pg_catalog.varchar'::regtype, 'name'::regtype)")
	if err != nil {
		return err
	}
	for i := range cols {
		_, err := c.ask("ALTER TABLE " + st.Target.SQL() + " ALTER COLUMN " + sqlrule.QuoteName(cols.text(i, 0)) + " TYPE rs_types.varchar")
		if err != nil {
			return err
		}
	}
	if st.Table == nil {
		return nil
	}
	if err := c.columnsExist(st.Target, st.Table.Columns); err != nil {
		return err
	}
	return c.recordTable(st.Table)
}

// columnsExist refuses keys on columns that the table has not.
func (c *session) columnsExist(table sqlrule.Name, cols []sqlrule.Column) error {
	for _, col := range cols {
		r, err := c.ask("SELECT count(*)::text FROM pg_attribute WHERE attrelid = " + regclass(table) + " AND attname = " + sqlrule.QuoteText(sqlrule.Short(col.Name)) + " AND NOT attisdropped")
		if err != nil {
			return err
		}
		if r.text(0, 0) == "0" {
			return refusal(sqlrule.CodeNoColumn, fmt.Sprintf("column %q does not exist", col.Name))
		}
	}
	return nil
}

// runAlter checks an ALTER TABLE against the catalog and runs it.
func (c *session) runAlter(st *sqlrule.Statement, run runner) (outcome, error) {
	out := outcome{tag: st.Tag}
	a := st.Alter
	var err error
	switch a.Action {
	case "drop":
		err = c.checkDropColumn(st)
	case "type":
		err = c.checkResize(st)
	case "append":
		err = c.appendFrom(st)
	case "add", "rename":
	default:
		err = c.recordAlter(st)
	}
	if err != nil {
		return out, err
	}
	_, err = run()
	return out, err
}

func (c *session) flags(st *sqlrule.Statement, col string) (string, error) {
	r, err := c.ask("SELECT rs_internal.column_flags(" + regclass(st.Target) + ", " + sqlrule.QuoteText(sqlrule.Short(col)) + ")")
	if err != nil || len(r) == 0 {
		return "", err
	}
	return r.text(0, 0), nil
}

func hasFlag(flags, f string) bool {
	for x := range strings.SplitSeq(flags, ",") {
		if x == f {
			return true
		}
	}
	return false
}

func (c *session) checkDropColumn(st *sqlrule.Statement) error {
	f, err := c.flags(st, st.Alter.Column)
	if err != nil {
		return err
	}
	if hasFlag(f, "d") || hasFlag(f, "s") {
		return refusal(sqlrule.CodeUnsupported, fmt.Sprintf("cannot drop column %q: it is a DISTKEY or SORTKEY", st.Alter.Column))
	}
	return nil
}

// checkResize applies the rules of ALTER COLUMN TYPE, which changes the size of
// VARCHAR columns and nothing else.
func (c *session) checkResize(st *sqlrule.Statement) error {
	col, n := st.Alter.Column, st.Alter.Type.Len
	r, err := c.ask("SELECT (atttypid = 'rs_types.varchar'::regtype)::text, CASE WHEN atttypmod > 4 THEN atttypmod - 4 ELSE 65535 END::text, atthasdef::text" +
		" FROM pg_attribute WHERE attrelid = " + regclass(st.Target) + " AND attname = " + sqlrule.QuoteText(sqlrule.Short(col)) + " AND NOT attisdropped")
	if err != nil {
		return err
	}
	if len(r) == 0 {
		return nil // PostgreSQL says what is missing
	}
	f, err := c.flags(st, col)
	if err != nil {
		return err
	}
	switch {
	case r.text(0, 0) != "true":
		return refusal(sqlrule.CodeUnsupported, fmt.Sprintf("cannot alter type of column %q: only VARCHAR sizes can be changed", col))
	case r.text(0, 1) == strconv.Itoa(n):
		return refusal(sqlrule.CodeUnsupported, "target column size should be different")
	case r.text(0, 2) == "true":
		return refusal(sqlrule.CodeUnsupported, fmt.Sprintf("cannot alter type of column %q: it has a default", col))
	case hasFlag(f, "k"):
		return refusal(sqlrule.CodeUnsupported, fmt.Sprintf("cannot alter type of column %q: it is in a key", col))
	case hasFlag(f, "e:bytedict"), hasFlag(f, "e:runlength"), hasFlag(f, "e:text255"), hasFlag(f, "e:text32k"):
		return refusal(sqlrule.CodeUnsupported, fmt.Sprintf("cannot alter type of column %q: its encoding does not allow it", col))
	}
	longest, err := c.ask("SELECT coalesce(max(octet_length(" + sqlrule.QuoteName(col) + "::text)), 0)::text FROM " + st.Target.SQL())
	if err != nil {
		return err
	}
	if have, err := strconv.Atoi(longest.text(0, 0)); err != nil || have > n {
		return refusal(sqlrule.CodeUnsupported, fmt.Sprintf("cannot shrink column %q below its longest value", col))
	}
	return nil
}

// recordAlter notes new keys, distribution, sort keys and encodings.
func (c *session) recordAlter(st *sqlrule.Statement) error {
	a, t := st.Alter, st.Table
	if a.Action == "dropconstraint" {
		_, err := c.ask("SELECT rs_internal.drop_constraint(" + regclass(st.Target) + ", " + sqlrule.QuoteText(a.Column) + ", " + strconv.FormatBool(a.Cascade) + ")")
		return err
	}
	if len(st.Backend) > 0 {
		return nil
	}
	if a.DistKey != "" {
		t.Columns = append(t.Columns, sqlrule.Column{Name: a.DistKey, DistKey: true})
	}
	t.Columns = append(t.Columns, a.Encodings...)
	for i, col := range a.SortKeys {
		t.Columns = append(t.Columns, sqlrule.Column{Name: col, SortKey: i + 1})
	}
	if err := c.columnsExist(st.Target, t.Columns); err != nil {
		return err
	}
	for _, col := range a.Encodings {
		if err := c.checkEncoding(st, col); err != nil {
			return err
		}
	}
	if a.Action == "constraint" {
		return c.addKeys(st)
	}
	_, err := c.ask("SELECT rs_internal.clear_keys(" + regclass(st.Target) + ", " + strconv.FormatBool(a.DistStyle != "") + ", " + strconv.FormatBool(a.SortStyle != "") + ")")
	if err != nil {
		return err
	}
	t.DistStyle, t.SortStyle = a.DistStyle, a.SortStyle
	return c.recordTable(t)
}

// addKeys records the keys that ALTER TABLE adds. A primary key needs columns
// that are NOT NULL already.
func (c *session) addKeys(st *sqlrule.Statement) error {
	for _, col := range st.Table.Columns {
		if !col.PK {
			continue
		}
		r, err := c.ask("SELECT attnotnull::text FROM pg_attribute WHERE attrelid = " + regclass(st.Target) + " AND attname = " + sqlrule.QuoteText(sqlrule.Short(col.Name)))
		if err != nil {
			return err
		}
		if len(r) > 0 && r.text(0, 0) != "true" {
			return refusal(sqlrule.CodeBadTable, fmt.Sprintf("cannot add a primary key: column %q is nullable", col.Name))
		}
	}
	st.Table.DistStyle, st.Table.SortStyle = "", ""
	return c.recordTable(st.Table)
}

// checkEncoding applies the rules of ALTER COLUMN ENCODE.
func (c *session) checkEncoding(st *sqlrule.Statement, col sqlrule.Column) error {
	r, err := c.ask("SELECT rs_format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = " + regclass(st.Target) + " AND attname = " + sqlrule.QuoteText(sqlrule.Short(col.Name)))
	if err != nil {
		return err
	}
	f, err := c.flags(st, col.Name)
	if err != nil {
		return err
	}
	switch {
	case len(r) == 0:
		return nil
	case hasFlag(f, "e:"+col.Encode):
		return refusal(sqlrule.CodeUnsupported, fmt.Sprintf("column %q has the encoding %s already", col.Name, col.Encode))
	case !sqlrule.Encodes(r.text(0, 0), col.Encode):
		return refusal(sqlrule.CodeUnsupported, fmt.Sprintf("compression encoding %q is not supported for column %q of type %s", col.Encode, col.Name, r.text(0, 0)))
	}
	return nil
}

// appendFrom moves all rows of another table into the target. The columns must
// be the same, unless one side may have more.
func (c *session) appendFrom(st *sqlrule.Statement) error {
	a := st.Alter
	const columns = "SELECT attname, rs_format_type(atttypid, atttypmod), quote_ident(attname) FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped AND attrelid = "
	from, err := c.ask(columns + regclass(a.Source) + " ORDER BY attnum")
	if err != nil {
		return err
	}
	if len(from) == 0 {
		return refusal("42P01", fmt.Sprintf("relation %q does not exist", a.Source.String()))
	}
	to, err := c.ask(columns + regclass(st.Target) + " ORDER BY attnum")
	if err != nil {
		return err
	}
	types := map[string]string{}
	for i := range to {
		types[to.text(i, 0)] = to.text(i, 1)
	}
	var list []string
	for i := range from {
		typ, ok := types[from.text(i, 0)]
		switch {
		case !ok && !a.Extra:
			return refusal(sqlrule.CodeUnsupported, fmt.Sprintf("target table has no column %q: use IGNOREEXTRA", from.text(i, 0)))
		case ok && typ != from.text(i, 1):
			return refusal(sqlrule.CodeUnsupported, fmt.Sprintf("column %q has another type in the target table", from.text(i, 0)))
		case ok:
			list = append(list, from.text(i, 2))
		}
	}
	if len(list) == 0 || len(list) < len(to) && !a.Fill {
		return refusal(sqlrule.CodeUnsupported, "source table lacks columns of the target table: use FILLTARGET")
	}
	cols := strings.Join(list, ", ")
	if _, err := c.ask("INSERT INTO " + st.Target.SQL() + " (" + cols + ") SELECT " + cols + " FROM " + a.Source.SQL()); err != nil {
		return err
	}
	_, err = c.ask("DELETE FROM " + a.Source.SQL())
	return err
}
