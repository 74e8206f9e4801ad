package sqlrule

import (
	"strings"
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
	// Encode, DistKey, SortKeys and Style are new attributes to record.
	Encode    string
	DistKey   string
	DistStyle string
	SortKeys  []string
	SortStyle string
	// Source is the table that APPEND takes its rows from.
	Source Name
}

func (c *compiler) alter() error {
	switch {
	case c.accept("alter", "table"):
		return c.alterTable()
	case c.is("alter", "schema"), c.is("alter", "user"), c.is("alter", "group"), c.is("alter", "role"), c.is("alter", "default", "privileges"),
		c.is("alter", "view"), c.is("alter", "procedure"), c.is("alter", "function"):
		c.st.Kind = Utility
		c.st.Backend = []string{c.renderAll()}
		return nil
	case c.is("alter", "database"):
		c.st.NoBlock = "ALTER DATABASE"
		return unsupportedCommand(c.st.SQL)
	}
	return unsupportedCommand(c.st.SQL)
}

func (c *compiler) alterTable() error {
	if c.is("if") || c.is("only") { // neither is in Redshift's grammar
		return syntaxAt(c.at(0))
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
		if _, err := c.name(); err != nil {
			return err
		}
		if !c.accept("restrict") {
			c.accept("cascade")
		}
		c.st.Alter.Action = "dropconstraint"
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
		if !c.accept("ignoreextra") {
			c.accept("fillfrom")
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
	if c.accept("constraint") {
		if _, err := c.name(); err != nil {
			return err
		}
	}
	var flag string
	switch {
	case c.accept("primary", "key"):
		flag = "p"
	case c.accept("unique"):
		flag = "u"
	case c.accept("foreign", "key"):
		flag = "f"
	default:
		return refuse(CodeUnsupported, "%s constraints are not supported", strings.ToUpper(c.at(0).Text))
	}
	cols, err := c.names()
	if err != nil {
		return err
	}
	for _, col := range cols {
		c.st.Table.Columns = append(c.st.Table.Columns, Column{Name: col, PK: flag == "p", Unique: flag == "u", FK: flag == "f"})
	}
	c.st.Alter.Action = "constraint"
	if c.is("references") {
		return c.references()
	}
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
		c.alterSQL("RENAME TO " + QuoteName(n))
		return err
	}
	c.accept("column")
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

// alterColumn takes what follows ALTER TABLE t ALTER.
func (c *compiler) alterColumn() error {
	a := c.st.Alter
	switch {
	case c.accept("distkey"):
		n, err := c.name()
		a.DistKey, a.DistStyle = n, "KEY"
		return err
	case c.accept("diststyle"):
		return c.alterDistStyle()
	case c.is("sortkey"), c.is("compound", "sortkey"):
		c.accept("compound")
		c.i++
		if c.accept("auto") || c.accept("none") {
			a.SortStyle = strings.ToUpper(c.at(-1).Val)
			return nil
		}
		cols, err := c.names()
		a.SortKeys, a.SortStyle = cols, "COMPOUND"
		return err
	case c.accept("encode", "auto"):
		return nil
	}
	c.accept("column")
	n, err := c.name()
	if err != nil {
		return err
	}
	a.Column = n
	switch {
	case c.accept("encode"):
		if !encoding(c.at(0).Val) {
			return syntaxAt(c.at(0))
		}
		a.Encode = c.at(0).Val
		c.i++
		return nil
	case c.accept("type"):
		a.Action = "type"
		c.st.NoBlock = "ALTER TABLE ALTER COLUMN TYPE"
		if a.Type, err = c.parseType(true); err != nil {
			return err
		}
		if a.Type.Base != "varchar" {
			return refuse(CodeUnsupported, "ALTER COLUMN TYPE can only change the size of VARCHAR columns")
		}
		c.alterSQL("ALTER COLUMN " + QuoteName(n) + " TYPE " + a.Type.Backend)
		return nil
	}
	return syntaxAt(c.at(0)) // SET and DROP NOT NULL or DEFAULT, SET STORAGE, …
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
