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
	case c.is("materialized", "view"):
		return c.materializedView()
	case c.is("procedure"), c.is("function"):
		return c.routine()
	case !replace && c.is("schema"):
		return c.schema()
	case !replace && (c.is("user") || c.is("group") || c.is("role")):
		c.st.Kind = Utility
		c.st.Backend = []string{c.renderAll()}
		return nil
	case !replace && c.is("database"):
		c.st.NoBlock = "CREATE DATABASE"
		return refuse(CodeUnsupported, "CREATE DATABASE is not part of this stand-in")
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
	sql += QuoteName(n)
	if c.accept("authorization") {
		if n, err = c.name(); err != nil {
			return err
		}
		sql += " AUTHORIZATION " + QuoteName(n)
	}
	if c.accept("quota") { // QUOTA n MB | GB | TB | UNLIMITED
		for c.at(0).Kind == lex.Number || c.is("mb") || c.is("gb") || c.is("tb") || c.is("unlimited") {
			c.i++
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
	if err := c.walk(start, end); err != nil {
		return err
	}
	if late {
		if n.Schema == "" {
			c.st.Target.Schema = "public"
		}
		c.st.Kind, c.st.Value = LateView, c.render(start, end)
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
	if err := c.walk(start, len(c.toks)); err != nil {
		return err
	}
	c.st.Table = nil
	c.st.Backend = []string{"CREATE MATERIALIZED VIEW " + n.SQL() + " AS " + c.render(start, len(c.toks))}
	return nil
}

// routine passes procedures and functions on; only here dollar quotes are
// taken.
func (c *compiler) routine() error {
	c.st.Kind = Utility
	lang := ""
	for i := c.i; i < len(c.toks); i++ {
		if c.toks[i].Is("language") {
			lang = c.tok(i + 1).Val
		}
		if c.toks[i].Kind == lex.Word && (c.toks[i].Is("varchar") || c.toks[i].Is("text") || c.toks[i].Is("super") || c.toks[i].Is("varbyte") || c.toks[i].Is("decimal") || c.toks[i].Is("numeric")) {
			save := c.i
			c.i = i
			typ, err := c.parseType(false)
			if err != nil {
				return err
			}
			c.replace(i, c.i, typ.Backend)
			i, c.i = c.i-1, save
		}
	}
	if lang != "plpgsql" && lang != "sql" {
		return refuse(CodeUnsupported, "language %q is not part of this stand-in", lang)
	}
	c.st.Backend = []string{c.renderAll()}
	return nil
}

func (c *compiler) drop() error {
	c.i++
	switch t := c.at(0); {
	case t.Is("table"), t.Is("view"):
		return c.dropRelation(t.Val)
	case t.Is("materialized"), t.Is("schema"), t.Is("user"), t.Is("group"), t.Is("role"), t.Is("procedure"), t.Is("function"):
		c.st.Kind = Utility
		c.st.Backend = []string{c.renderAll()}
		return nil
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
