package sqlrule

import (
	"github.com/walshift/walshift/test/redshift/internal/lex"
)

// show takes SHOW parameter and the SHOW commands of the catalog.
func (c *compiler) show() error {
	c.i++
	if done, err := c.showObjects(); done || err != nil {
		return err
	}
	c.st.Kind, c.st.Tag = Show, "SHOW"
	t := c.at(0)
	if !t.IsName() {
		return syntaxAt(t)
	}
	c.i++
	c.st.Setting = lex.Lower(t.Val)
	if c.st.Setting == "time" && c.accept("zone") {
		c.st.Setting = "timezone"
	}
	switch {
	case c.st.Setting == "server_version" || c.st.Setting == "server_encoding":
		if !c.opt.Superuser {
			return refuse(CodeNoPrivilege, "must be superuser to examine %q", c.st.Setting)
		}
	case c.st.Setting == "all" || c.st.Setting == "transaction_isolation" || c.st.Setting == "is_superuser":
	case settingKind(c.st.Setting) == settingUnknown:
		return unknownSetting(c.st.Setting)
	}
	if settingKind(c.st.Setting) == settingBackend || c.st.Setting == "is_superuser" {
		c.st.Backend = []string{"SHOW " + QuoteName(c.st.Setting)}
	}
	return c.end()
}

// showObjects takes SHOW DATABASES, SCHEMAS, TABLES, COLUMNS, TABLE and VIEW.
func (c *compiler) showObjects() (bool, error) {
	like := ""
	var sql string
	var err error
	switch {
	case c.accept("databases"):
		sql, like = "SELECT * FROM pg_catalog.rs_show_databases()", "database_name"
	case c.accept("schemas", "from", "database"):
		_, err = c.name()
		sql, like = "SELECT * FROM pg_catalog.rs_show_schemas()", "schema_name"
	case c.accept("tables", "from", "schema"):
		var n Name
		n, err = c.qname()
		if n.Schema != "" && n.Schema != c.opt.Database && err == nil {
			err = refuse("3D000", "database %q does not exist", n.Schema)
		}
		sql, like = "SELECT * FROM pg_catalog.rs_show_tables("+QuoteText(n.Table)+")", "table_name"
	case c.accept("columns", "from", "table"):
		var n Name
		n, err = c.qname()
		sql, like = "SELECT * FROM pg_catalog.rs_show_columns("+QuoteText(n.SQL())+")", "column_name"
	case c.accept("table"), c.accept("external", "table"):
		var n Name
		n, err = c.qname()
		sql = "SELECT * FROM pg_catalog.rs_show_table(" + QuoteText(n.SQL()) + ")"
	case c.accept("view"):
		var n Name
		n, err = c.qname()
		sql = "SELECT * FROM pg_catalog.rs_show_view(" + QuoteText(n.SQL()) + ")"
	case c.is("procedure"), c.is("grants"), c.is("model"), c.is("datashares"), c.is("functions"), c.is("procedures"), c.is("parameters"),
		c.is("constraints"), c.is("policies"), c.is("column", "grants"):
		return true, standIn("show " + c.at(0).Val)
	default:
		return false, nil
	}
	if err != nil {
		return true, err
	}
	if like != "" && c.accept("like") {
		if c.at(0).Kind != lex.String {
			return true, syntaxAt(c.at(0))
		}
		sql += " WHERE " + like + " LIKE " + c.at(0).Text
		c.i++
	}
	if like != "" && c.accept("limit") {
		if c.at(0).Kind != lex.Number {
			return true, syntaxAt(c.at(0))
		}
		sql += " LIMIT " + c.at(0).Text
		c.i++
	}
	c.st.Kind, c.st.Tag = Utility, "SHOW"
	c.st.Backend = []string{sql}
	return true, c.end()
}
