package sqlrule

import (
	"strconv"

	"github.com/walshift/walshift/test/redshift/internal/lex"
)

// nothing is what the backend gets for a statement that is taken and changes
// nothing here. VACUUM and ANALYZE of a whole database would wait for, and trip
// over, tables of other sessions.
const nothing = "SELECT 1 WHERE false"

// vacuum takes VACUUM [FULL | SORT ONLY | DELETE ONLY | REINDEX | RECLUSTER]
// [table] [TO n PERCENT] [BOOST].
func (c *compiler) vacuum() error {
	c.i++
	c.st.NoBlock, c.st.Tag = "VACUUM", "VACUUM"
	needs, threshold := false, true
	switch {
	case c.accept("full"), c.accept("sort", "only"), c.accept("delete", "only"):
	case c.accept("reindex"):
		needs, threshold = true, false
	case c.accept("recluster"):
		needs = true
	}
	sql := "VACUUM"
	if c.at(0).IsName() && !c.is("to") && !c.is("boost") {
		n, err := c.qname()
		if err != nil {
			return err
		}
		c.st.Target, needs = n, false
		sql += " " + n.SQL()
	}
	if needs {
		return syntaxAt(c.at(0))
	}
	if c.accept("to") {
		const whole = 100
		n, err := strconv.Atoi(c.at(0).Text)
		if err != nil || !c.at(1).Is("percent") || !threshold || c.st.Target.Table == "" {
			return syntaxAt(c.at(0))
		}
		if n > whole {
			return refuse(CodeBadParameter, "the threshold of VACUUM must be between 0 and %d", whole)
		}
		c.i += 2
	}
	c.accept("boost")
	c.st.Backend = []string{sql}
	if c.st.Target.Table == "" {
		c.st.Backend = []string{nothing}
	}
	return c.end()
}

// analyze takes ANALYZE [VERBOSE] [table [(columns)]] [PREDICATE COLUMNS | ALL
// COLUMNS] and ANALYZE COMPRESSION [table [(columns)]] [COMPROWS n].
func (c *compiler) analyze() error {
	c.i++
	c.st.Tag = "ANALYZE"
	compression := c.accept("compression")
	if !compression {
		c.accept("verbose")
	}
	sql := "ANALYZE"
	if c.at(0).IsName() && !c.is("predicate") && !c.is("all") && !c.is("comprows") {
		n, err := c.qname()
		if err != nil {
			return err
		}
		c.st.Target = n
		sql += " " + n.SQL()
		if c.is("(") {
			from := c.i
			if _, err := c.names(); err != nil {
				return err
			}
			sql += " " + c.render(from, c.i)
		}
	}
	if compression {
		if c.accept("comprows") {
			if c.at(0).Kind != lex.Number {
				return syntaxAt(c.at(0))
			}
			c.i++
		}
		c.st.NoBlock = "ANALYZE COMPRESSION"
		c.st.Backend = []string{"SELECT * FROM pg_catalog.rs_compression(" + QuoteText(c.st.Target.SQL()) + ")"}
		return c.end()
	}
	if !c.accept("predicate", "columns") {
		c.accept("all", "columns")
	}
	c.st.Backend = []string{sql}
	if c.st.Target.Table == "" {
		c.st.Backend = []string{nothing}
	}
	return c.end()
}

// comment takes COMMENT ON { TABLE | VIEW | COLUMN | CONSTRAINT | DATABASE }.
func (c *compiler) comment() error {
	c.i++
	c.st.Tag = "COMMENT"
	if err := c.expect("on"); err != nil {
		return err
	}
	what := c.at(0)
	c.i++
	sql := ""
	switch what.Val {
	case "table", "view":
		n, err := c.qname()
		if err != nil {
			return err
		}
		sql = what.Val + " " + n.SQL()
	case "column":
		from := c.i
		for c.at(0).IsName() || c.is(".") {
			if c.is("is") {
				break
			}
			c.i++
		}
		if c.i-from < 3 || !c.tok(c.i-1).IsName() {
			return syntaxAt(c.at(0))
		}
		sql = "column " + c.render(from, c.i)
	case "constraint":
		if _, err := c.name(); err != nil {
			return err
		}
		if err := c.expect("on"); err != nil {
			return err
		}
		if _, err := c.qname(); err != nil {
			return err
		}
	case "database":
		if _, err := c.name(); err != nil {
			return err
		}
	default:
		return syntaxAt(what)
	}
	if err := c.expect("is"); err != nil {
		return err
	}
	t := c.at(0)
	if t.Kind != lex.String && !t.Is("null") {
		return syntaxAt(t)
	}
	c.i++
	c.st.Backend = []string{"COMMENT ON " + sql + " IS " + t.Text}
	if sql == "" {
		c.st.Backend = []string{nothing}
	}
	return c.end()
}

// refresh takes REFRESH MATERIALIZED VIEW v [RESTRICT | CASCADE].
func (c *compiler) refresh() error {
	if err := c.expect("refresh", "materialized", "view"); err != nil {
		return err
	}
	if c.is("concurrently") {
		return syntaxAt(c.at(0))
	}
	n, err := c.qname()
	if err != nil {
		return err
	}
	if !c.accept("restrict") {
		c.accept("cascade")
	}
	c.st.Tag = "REFRESH"
	c.st.Backend = []string{"REFRESH MATERIALIZED VIEW " + n.SQL()}
	return c.end()
}
