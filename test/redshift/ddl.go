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
	if len(cols) == 0 && t.DistStyle == "AUTO" && t.SortStyle == "AUTO" {
		return nil
	}
	_, err := c.ask("SELECT rs_internal.record_table(" + regclass(t.Name) + ", " + sqlrule.QuoteText(t.DistStyle) + ", " +
		sqlrule.QuoteText(t.SortStyle) + ", ARRAY[" + strings.Join(cols, ", ") + "]::text[])")
	return err
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
	return c.recordTable(st.Table)
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
	if a.Action == "dropconstraint" || len(st.Backend) > 0 {
		return nil
	}
	switch {
	case a.DistKey != "":
		t.Columns = append(t.Columns, sqlrule.Column{Name: a.DistKey, DistKey: true})
	case a.Encode != "":
		t.Columns = append(t.Columns, sqlrule.Column{Name: a.Column, Encode: a.Encode})
	}
	for i, col := range a.SortKeys {
		t.Columns = append(t.Columns, sqlrule.Column{Name: col, SortKey: i + 1})
	}
	for _, col := range t.Columns {
		r, err := c.ask("SELECT count(*)::text FROM pg_attribute WHERE attrelid = " + regclass(st.Target) + " AND attname = " + sqlrule.QuoteText(sqlrule.Short(col.Name)))
		if err != nil {
			return err
		}
		if r.text(0, 0) == "0" {
			return refusal(sqlrule.CodeNoColumn, fmt.Sprintf("column %q does not exist", col.Name))
		}
	}
	t.DistStyle, t.SortStyle = or(a.DistStyle, "AUTO"), or(a.SortStyle, "AUTO")
	return c.recordTable(t)
}

// appendFrom moves all rows of another table into the target.
func (c *session) appendFrom(st *sqlrule.Statement) error {
	cols, err := c.ask("SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = " + regclass(st.Alter.Source) + " AND attnum > 0 AND NOT attisdropped")
	if err != nil {
		return err
	}
	list := cols.text(0, 0)
	if _, err := c.ask("INSERT INTO " + st.Target.SQL() + " (" + list + ") SELECT " + list + " FROM " + st.Alter.Source.SQL()); err != nil {
		return err
	}
	_, err = c.ask("DELETE FROM " + st.Alter.Source.SQL())
	return err
}

// createLateView keeps the text of a late-binding view.
func (c *session) createLateView(st *sqlrule.Statement) (outcome, error) {
	if err := c.srv.record("INSERT INTO rs_internal.late_views VALUES ($1, $2, $3, $4) ON CONFLICT (schema_name, view_name) DO UPDATE SET definition = excluded.definition",
		st.Target.Schema, st.Target.Table, c.user, st.Value); err != nil {
		return outcome{}, err
	}
	c.srv.mu.Lock()
	defer c.srv.mu.Unlock()
	c.srv.late[st.Target] = st.Value
	return outcome{tag: "CREATE VIEW"}, nil
}

func (c *session) dropLateView(st *sqlrule.Statement) (bool, error) {
	n := st.Target
	if n.Schema == "" {
		n.Schema = "public"
	}
	c.srv.mu.Lock()
	_, ok := c.srv.late[n]
	delete(c.srv.late, n)
	c.srv.mu.Unlock()
	if !ok {
		return false, nil
	}
	return true, c.srv.record("DELETE FROM rs_internal.late_views WHERE schema_name = $1 AND view_name = $2", n.Schema, n.Table)
}
