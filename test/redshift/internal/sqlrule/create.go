package sqlrule

import (
	"strings"

	"github.com/walshift/walshift/test/redshift/internal/lex"
)

// create dispatches on what follows CREATE. What is not named is refused:
// indexes, sequences, types, triggers, extensions and so on.
func (c *compiler) create() error {
	c.i++
	replace := c.accept("or", "replace")
	switch {
	case !replace && (c.is("table") || c.is("temp") || c.is("temporary") || c.is("local")):
		return c.tempTable()
	case c.is("view"):
		return c.view(replace)
	case !replace && c.is("materialized", "view"):
		return c.materializedView()
	case c.is("procedure"), c.is("function"):
		return c.routine(replace)
	case !replace && c.is("schema"):
		return c.schema()
	case !replace && (c.is("user") || c.is("group") || c.is("role")):
		return c.createRole()
	case !replace && c.is("database"):
		c.i++
		if _, err := c.name(); err != nil {
			return err
		}
		return standIn("create databases")
	case c.is("external"), c.is("datashare"), c.is("model"), c.is("library"), c.is("rls", "policy"), c.is("masking", "policy"), c.is("identity", "provider"), c.is("template"):
		return standIn("have CREATE " + strings.ToUpper(c.at(0).Val))
	}
	return unsupportedCommand(c.st.SQL)
}

func (c *compiler) schema() error {
	c.st.Kind = Utility
	sql := "CREATE SCHEMA "
	c.i++
	if c.accept("if", "not", "exists") {
		sql += "IF NOT EXISTS "
	}
	if c.is("authorization") {
		sql += "AUTHORIZATION "
	}
	c.accept("authorization")
	n, err := c.name()
	if err != nil {
		return err
	}
	if strings.HasPrefix(n, "pg_") || strings.HasPrefix(n, "rs_") {
		return refuse(CodeReservedName, "unacceptable schema name %q: the prefix \"pg_\" is reserved for system schemas", n)
	}
	sql += QuoteName(n)
	if c.accept("authorization") {
		if n, err = c.name(); err != nil {
			return err
		}
		sql += " AUTHORIZATION " + QuoteName(n)
	}
	if c.accept("quota") { // QUOTA n MB | GB | TB | UNLIMITED
		if !c.accept("unlimited") {
			if c.at(0).Kind != lex.Number {
				return syntaxAt(c.at(0))
			}
			c.i++
			if !c.accept("mb") && !c.accept("gb") && !c.accept("tb") {
				return syntaxAt(c.at(0))
			}
		}
	}
	c.st.Backend = []string{sql}
	return c.end()
}

// view handles CREATE VIEW. WITH NO SCHEMA BINDING makes a late-binding view:
// its text is kept, and put in place of its name when it is used.
func (c *compiler) view(replace bool) error {
	c.i++
	n, err := c.qname()
	if err != nil {
		return err
	}
	if strings.HasPrefix(n.Table, "#") {
		return refuse(CodeUnsupported, "views cannot be temporary: %q", n.Table)
	}
	if err := writableSchema(n.Schema); err != nil {
		return err
	}
	c.st.Kind, c.st.Target, c.st.Tag = Utility, n, "CREATE VIEW"
	var cols []string
	if c.is("(") {
		if cols, err = c.names(); err != nil {
			return err
		}
	}
	if err := c.expect("as"); err != nil {
		return err
	}
	start, end := c.i, len(c.toks)
	late := end >= 4 && c.tok(end-4).Is("with") && c.tok(end-3).Is("no") && c.tok(end-2).Is("schema") && c.tok(end-1).Is("binding")
	if late {
		end -= 4
	}
	if c.tok(end - 1).Is("option") { // WITH CHECK OPTION
		return syntaxAt(c.tok(end - 1))
	}
	if err := c.wholeQuery(start, end); err != nil {
		return err
	}
	if late {
		c.st.Kind, c.st.Value, c.st.Replace = LateView, c.render(start, end), replace
		if len(cols) > 0 {
			quoted := make([]string, len(cols))
			for i, col := range cols {
				quoted[i] = QuoteName(col)
			}
			c.st.Value = "SELECT * FROM (" + c.st.Value + ") AS rs_late (" + strings.Join(quoted, ", ") + ")"
		}
		for _, r := range c.st.Refs {
			if r.Schema == "" {
				return refuse(CodeUnsupported, "relation %q must be schema-qualified in a view WITH NO SCHEMA BINDING", r.Table)
			}
		}
		return nil
	}
	sql := "CREATE "
	if replace {
		sql += "OR REPLACE "
	}
	sql += "VIEW " + n.SQL()
	if len(cols) > 0 {
		for i := range cols {
			cols[i] = QuoteName(cols[i])
		}
		sql += " (" + strings.Join(cols, ", ") + ")"
	}
	c.st.Backend = []string{sql + " AS " + c.render(start, end)}
	return nil
}

func (c *compiler) materializedView() error {
	c.i += 2
	n, err := c.qname()
	if err != nil {
		return err
	}
	c.st.Kind, c.st.Target = Utility, n
	c.st.Table = &TableDef{Name: n}
	for !c.done() && !c.is("as") {
		if c.accept("auto", "refresh", "yes") || c.accept("auto", "refresh", "no") {
			continue
		}
		if err := c.tableAttribute(true); err != nil {
			return err
		}
	}
	if err := c.expect("as"); err != nil {
		return err
	}
	start := c.i
	if err := c.wholeQuery(start, len(c.toks)); err != nil {
		return err
	}
	c.st.Table = nil
	c.st.Backend = []string{"CREATE MATERIALIZED VIEW " + n.SQL() + " AS " + c.render(start, len(c.toks))}
	return nil
}

func (c *compiler) drop() error {
	c.i++
	switch t := c.at(0); {
	case t.Is("table"), t.Is("view"):
		return c.dropRelation(t.Val)
	case t.Is("user"), t.Is("group"), t.Is("role"):
		return c.dropRole()
	case t.Is("materialized"), t.Is("schema"):
		return c.dropOther()
	case t.Is("procedure"), t.Is("function"):
		return c.dropRoutine()
	case t.Is("database"):
		c.i++
		if _, err := c.name(); err != nil {
			return err
		}
		return standIn("drop databases")
	case t.Is("external"), t.Is("datashare"), t.Is("model"), t.Is("library"), t.Is("rls"), t.Is("masking"), t.Is("identity"), t.Is("template"):
		return standIn("have DROP " + strings.ToUpper(t.Val))
	}
	return unsupportedCommand(c.st.SQL)
}

func (c *compiler) dropRelation(what string) error {
	c.st.Kind = Utility
	if what == "view" {
		c.st.Kind = DropView
	}
	c.i++
	ifExists := c.accept("if", "exists")
	n, err := c.qname()
	if err != nil {
		return err
	}
	c.st.Target = n
	c.st.Reset = ifExists
	for c.accept(",") {
		if _, err := c.qname(); err != nil {
			return err
		}
	}
	if !c.accept("cascade") {
		c.accept("restrict")
	}
	c.st.Backend = []string{c.renderAll()}
	return c.end()
}

// wholeQuery walks the query from..to, which must be one.
func (c *compiler) wholeQuery(from, to int) error {
	t := c.tok(from)
	if from >= to || !t.Is("select") && !t.Is("with") && !t.Is("(") {
		return syntaxAt(t)
	}
	if l := c.tok(to - 1); l.Is("data") && (c.tok(to-2).Is("with") || c.tok(to-2).Is("no")) {
		return syntaxAt(l) // WITH [NO] DATA
	}
	return c.walk(from, to)
}

// dropOther takes DROP SCHEMA and DROP MATERIALIZED VIEW.
func (c *compiler) dropOther() error {
	c.st.Kind = Utility
	sql := "DROP SCHEMA "
	if c.accept("materialized") {
		if err := c.expect("view"); err != nil {
			return err
		}
		sql = "DROP MATERIALIZED VIEW "
	} else {
		c.i++
	}
	if c.accept("if", "exists") {
		sql += "IF EXISTS "
	}
	var list []string
	for {
		n, err := c.qname()
		if err != nil {
			return err
		}
		list = append(list, n.SQL())
		if !c.accept(",") {
			break
		}
	}
	sql += strings.Join(list, ", ")
	switch {
	case c.accept("cascade"):
		sql += " CASCADE"
	case c.accept("restrict"):
	}
	c.st.Backend = []string{sql}
	return c.end()
}

// dropRoutine takes DROP FUNCTION and DROP PROCEDURE.
func (c *compiler) dropRoutine() error {
	c.st.Kind = Utility
	sql := "DROP " + strings.ToUpper(c.at(0).Val) + " "
	procedure := c.at(0).Is("procedure")
	c.i++
	if procedure && c.accept("if", "exists") {
		sql += "IF EXISTS "
	}
	n, err := c.qname()
	if err != nil {
		return err
	}
	sql += n.SQL()
	if c.is("(") {
		args, err := c.signature()
		if err != nil {
			return err
		}
		sql += args
	} else if !procedure {
		return syntaxAt(c.at(0))
	}
	if !procedure {
		if c.accept("cascade") {
			sql += " CASCADE"
		} else {
			c.accept("restrict")
		}
	}
	c.st.Backend = []string{sql}
	return c.end()
}
