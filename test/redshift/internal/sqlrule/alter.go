package sqlrule

import (
	"strings"

	"github.com/walshift/walshift/test/redshift/internal/lex"
)

// AlterDef is what an ALTER TABLE does, as far as the server has to look at
// the catalog before it may run.
type AlterDef struct {
	// Action is add, drop, rename, type, append, constraint or other.
	Action string
	// Column is the column concerned.
	Column string
	// Type is the new type of the column.
	Type Type
	// DistKey, SortKeys and the styles are new attributes to record.
	DistKey   string
	DistStyle string
	SortKeys  []string
	SortStyle string
	// Encodings are the columns of an ALTER that changes several.
	Encodings []Column
	// Cascade belongs to the dropping of a constraint, Extra and Fill to APPEND.
	Cascade, Extra, Fill bool
	// Source is the table that APPEND takes its rows from.
	Source Name
}

func (c *compiler) alter() error {
	switch {
	case c.accept("alter", "table"):
		return c.alterTable()
	case c.is("alter", "user"), c.is("alter", "group"), c.is("alter", "role"):
		return c.alterRole()
	case c.is("alter", "default", "privileges"):
		return c.defaultPrivileges()
	case c.is("alter", "schema"), c.is("alter", "procedure"), c.is("alter", "function"), c.is("alter", "materialized", "view"):
		return c.alterOther()
	case c.is("alter", "database"):
		return standIn("alter databases")
	case c.is("alter", "external"), c.is("alter", "datashare"), c.is("alter", "rls"), c.is("alter", "masking"), c.is("alter", "identity"), c.is("alter", "system") && c.at(2).Is("set") && c.opt.Superuser:
		return standIn("have ALTER " + strings.ToUpper(c.at(1).Val))
	}
	return unsupportedCommand(c.st.SQL)
}

// alterOther takes RENAME TO and OWNER TO of schemas and routines, QUOTA of
// schemas.
func (c *compiler) alterOther() error {
	c.st.Kind = Utility
	c.i++
	what := c.at(0).Val
	sql := "ALTER " + strings.ToUpper(what)
	c.i++
	if what == "materialized" {
		return standIn("alter materialized views")
	}
	n, err := c.qname()
	if err != nil {
		return err
	}
	sql += " " + n.SQL()
	if what != "schema" && c.is("(") {
		args, err := c.signature()
		if err != nil {
			return err
		}
		sql += args
	}
	switch {
	case c.accept("rename", "to"):
		sql += " RENAME TO "
	case c.accept("owner", "to"):
		sql += " OWNER TO "
	case what == "schema" && c.accept("quota"):
		if !c.accept("unlimited") {
			c.i += 2
		}
		c.st.Backend = []string{nothing}
		c.st.Tag = "ALTER SCHEMA"
		return c.end()
	default:
		return syntaxAt(c.at(0))
	}
	to, err := c.name()
	if err != nil {
		return err
	}
	c.st.Backend = []string{sql + QuoteName(to)}
	return c.end()
}

func (c *compiler) alterTable() error {
	if c.is("if") || c.is("only") { // neither is in Redshift's grammar
		return syntaxAt(c.at(0))
	}
	for i := c.i; i < len(c.toks); i++ {
		if c.tok(i).Is("security") && c.tok(i-1).Is("level") && (c.tok(i+1).Is("on") || c.tok(i+1).Is("off")) {
			return standIn("have row-level security")
		}
	}
	if err := c.target(AlterTable, true); err != nil {
		return err
	}
	c.st.Tag = "ALTER TABLE"
	c.st.Table = &TableDef{Name: c.st.Target}
	c.st.Alter = &AlterDef{Action: "other"}
	err := c.alterAction()
	if err != nil {
		return err
	}
	if c.is(",") {
		return refuse(CodeSyntax, "syntax error at or near \",\": ALTER TABLE takes one action")
	}
	return c.end()
}

func (c *compiler) alterSQL(action string) { // one statement for PostgreSQL
	c.st.Backend = []string{"ALTER TABLE " + c.st.Target.SQL() + " " + action}
}

func (c *compiler) alterAction() error {
	switch {
	case c.is("add", "constraint"), c.is("add", "primary"), c.is("add", "unique"), c.is("add", "foreign"), c.is("add", "check"), c.is("add", "exclude"):
		return c.addConstraint()
	case c.accept("add"):
		return c.addColumn()
	case c.accept("drop", "constraint"):
		n, err := c.name()
		if err != nil {
			return err
		}
		c.st.Alter.Action, c.st.Alter.Column = "dropconstraint", Short(n)
		if !c.accept("restrict") {
			c.st.Alter.Cascade = c.accept("cascade")
		}
		return nil
	case c.accept("drop"):
		return c.dropColumn()
	case c.accept("rename"):
		return c.rename()
	case c.accept("owner", "to"):
		n, err := c.name()
		c.alterSQL("OWNER TO " + QuoteName(n))
		return err
	case c.accept("append", "from"):
		n, err := c.qname()
		if err != nil {
			return err
		}
		if c.accept("ignoreextra") {
			c.st.Alter.Extra = true
		} else {
			c.st.Alter.Fill = c.accept("filltarget")
		}
		c.st.NoBlock = "ALTER TABLE APPEND"
		c.st.Alter.Action, c.st.Alter.Source = "append", n
		return nil
	case c.accept("alter"):
		return c.alterColumn()
	}
	return syntaxAt(c.at(0))
}

func (c *compiler) addConstraint() error {
	c.i++
	k, err := c.constraint()
	if err != nil {
		return err
	}
	for _, name := range k.Columns {
		col := Column{Name: name}
		col.mark(k.Kind)
		c.st.Table.Columns = append(c.st.Table.Columns, col)
	}
	c.st.Table.Constraints = append(c.st.Table.Constraints, k)
	c.st.Alter.Action = "constraint"
	return nil
}

func (c *compiler) addColumn() error {
	c.accept("column")
	if c.is("if") {
		return syntaxAt(c.at(0))
	}
	col, err := c.column()
	if err != nil {
		return err
	}
	switch {
	case col.DistKey, col.SortKey > 0, col.PK, col.Unique, col.FK, col.identity != "":
		return refuse(CodeUnsupported, "ADD COLUMN cannot make %q a DISTKEY, SORTKEY, key or IDENTITY column", col.Name)
	case col.NotNull && (col.Default == "" || strings.EqualFold(strings.TrimSpace(col.Default), "null")):
		return refuse(CodeUnsupported, "ALTER TABLE ADD COLUMN defined as NOT NULL must have a non-null default expression")
	}
	c.st.Table.Columns = []Column{col}
	c.st.Alter.Action, c.st.Alter.Column = "add", col.Name
	action := "ADD COLUMN " + col.definition()
	if chk := col.checks(c.opt.Unique); chk != "" {
		action += ", ADD " + chk
	}
	c.alterSQL(action)
	return nil
}

func (c *compiler) dropColumn() error {
	c.accept("column")
	if c.is("if") {
		return syntaxAt(c.at(0))
	}
	n, err := c.name()
	if err != nil {
		return err
	}
	action := "DROP COLUMN " + QuoteName(n)
	if c.accept("cascade") {
		action += " CASCADE"
	} else {
		c.accept("restrict")
	}
	c.st.Alter.Action, c.st.Alter.Column = "drop", n
	c.alterSQL(action)
	return nil
}

func (c *compiler) rename() error {
	if c.accept("to") {
		n, err := c.name()
		if strings.HasPrefix(n, "#") {
			return refuse(CodeBadTable, "cannot rename a table to %q: names that begin with # are temporary", n)
		}
		c.alterSQL("RENAME TO " + QuoteName(n))
		return err
	}
	if err := c.expect("column"); err != nil {
		return err
	}
	from, err := c.name()
	if err != nil {
		return err
	}
	if err := c.expect("to"); err != nil {
		return err
	}
	to, err := c.name()
	if err != nil {
		return err
	}
	if systemColumn(to) {
		return refuse(CodeDuplicate, "column name %q conflicts with a system column name", to)
	}
	c.st.Alter.Action, c.st.Alter.Column = "rename", from
	c.alterSQL("RENAME COLUMN " + QuoteName(from) + " TO " + QuoteName(to))
	return nil
}

// alterColumn takes what follows ALTER TABLE t ALTER. Only changes of sort key
// and distribution, and those of encodings, can be combined.
func (c *compiler) alterColumn() error {
	dist, sorted := false, false
	for {
		switch {
		case c.is("distkey"), c.is("diststyle"):
			if dist {
				return syntaxAt(c.at(0))
			}
			dist = true
			if err := c.alterDist(); err != nil {
				return err
			}
		case c.is("sortkey"), c.is("compound", "sortkey"):
			if sorted {
				return syntaxAt(c.at(0))
			}
			sorted = true
			if err := c.alterSort(); err != nil {
				return err
			}
		case c.is("column") && !dist && !sorted:
			return c.alterOneColumn()
		case c.accept("encode", "auto"):
			return nil
		default:
			return syntaxAt(c.at(0))
		}
		if !c.accept(",", "alter") {
			return nil
		}
	}
}

func (c *compiler) alterDist() error {
	if c.accept("distkey") {
		n, err := c.name()
		c.st.Alter.DistKey, c.st.Alter.DistStyle = n, "KEY"
		return err
	}
	c.i++
	return c.alterDistStyle()
}

func (c *compiler) alterSort() error {
	a := c.st.Alter
	compound := c.accept("compound")
	c.i++
	if !compound && (c.accept("auto") || c.accept("none")) {
		a.SortStyle = strings.ToUpper(c.at(-1).Val)
		return nil
	}
	cols, err := c.names()
	if err != nil {
		return err
	}
	if len(cols) > maxSortKeys {
		return refuse(CodeTooComplex, "a sort key can have at most %d columns", maxSortKeys)
	}
	a.SortKeys, a.SortStyle = cols, "COMPOUND"
	return nil
}

// alterOneColumn takes COLUMN c TYPE varchar(n), and COLUMN c ENCODE e [, ALTER
// COLUMN d ENCODE e …].
func (c *compiler) alterOneColumn() error {
	a := c.st.Alter
	seen := map[string]bool{}
	for {
		if err := c.expect("column"); err != nil {
			return err
		}
		n, err := c.name()
		if err != nil {
			return err
		}
		if len(seen) == 0 && c.accept("type") {
			return c.alterType(n)
		}
		if !c.accept("encode") {
			return syntaxAt(c.at(0)) // SET and DROP NOT NULL or DEFAULT, SET STORAGE, …
		}
		if seen[n] || c.at(0).Kind != lex.Word || !encoding(c.at(0).Val) {
			return syntaxAt(c.at(0))
		}
		seen[n] = true
		a.Encodings = append(a.Encodings, Column{Name: n, Encode: c.at(0).Val})
		c.i++
		if !c.accept(",", "alter") {
			return nil
		}
	}
}

func (c *compiler) alterType(n string) error {
	a := c.st.Alter
	a.Action, a.Column = "type", n
	c.st.NoBlock = "ALTER TABLE ALTER COLUMN TYPE"
	var err error
	if a.Type, err = c.parseType(true); err != nil {
		return err
	}
	if a.Type.Base != "varchar" {
		return refuse(CodeUnsupported, "ALTER COLUMN TYPE can only change the size of VARCHAR columns")
	}
	c.alterSQL("ALTER COLUMN " + QuoteName(n) + " TYPE " + a.Type.Backend)
	return nil
}

func (c *compiler) alterDistStyle() error {
	a := c.st.Alter
	switch {
	case c.accept("key", "distkey"):
		n, err := c.name()
		a.DistKey, a.DistStyle = n, "KEY"
		return err
	case c.accept("all"), c.accept("even"), c.accept("auto"):
		a.DistStyle = strings.ToUpper(c.at(-1).Val)
		return nil
	}
	return syntaxAt(c.at(0))
}
