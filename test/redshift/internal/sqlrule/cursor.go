package sqlrule

import (
	"strings"

	"github.com/walshift/walshift/test/redshift/internal/lex"
)

// cursor takes DECLARE c CURSOR FOR query, FETCH [NEXT | ALL | FORWARD [n |
// ALL]] FROM c and CLOSE c: forward only, without options.
func (c *compiler) cursor() error {
	verb := c.at(0).Val
	c.i++
	if verb == "fetch" {
		return c.fetch()
	}
	n, err := c.name()
	if err != nil {
		return err
	}
	c.st.Cursor, c.st.CursorVerb = n, verb
	if verb == "close" {
		c.st.Backend = []string{"CLOSE " + QuoteName(n)}
		return c.end()
	}
	if err := c.expect("cursor", "for"); err != nil {
		return err
	}
	start := c.i
	if err := c.wholeQuery(start, len(c.toks)); err != nil {
		return err
	}
	c.st.Block, c.st.Tag = "DECLARE CURSOR", "DECLARE CURSOR"
	c.st.Backend = []string{"DECLARE " + QuoteName(n) + " NO SCROLL CURSOR FOR " + c.render(start, len(c.toks))}
	return nil
}

func (c *compiler) fetch() error {
	how := ""
	switch {
	case c.accept("next"), c.accept("all"):
		how = c.at(-1).Val + " "
	case c.accept("forward"):
		how = "FORWARD "
		if c.accept("all") {
			how += "ALL "
		} else if c.at(0).Kind == lex.Number {
			how += c.at(0).Text + " "
			c.i++
		}
	}
	if err := c.expect("from"); err != nil {
		return err
	}
	n, err := c.name()
	if err != nil {
		return err
	}
	c.st.Cursor, c.st.CursorVerb = n, "fetch"
	c.st.Backend = []string{"FETCH " + how + "FROM " + QuoteName(n)}
	return c.end()
}

// preparedStatement takes PREPARE, EXECUTE and DEALLOCATE.
func (c *compiler) preparedStatement() error {
	verb := c.at(0).Val
	if verb == "prepare" && c.at(1).Is("transaction") {
		return unsupportedCommand(c.st.SQL)
	}
	c.i++
	if verb == "deallocate" {
		c.accept("prepare")
		if c.accept("all") {
			c.st.Backend = []string{"DEALLOCATE ALL"}
			return c.end()
		}
	}
	n, err := c.name()
	if err != nil {
		return err
	}
	c.st.Tag = strings.ToUpper(verb)
	switch verb {
	case "deallocate":
		c.st.Backend = []string{"DEALLOCATE " + QuoteName(n)}
		return c.end()
	case "execute":
		c.st.Tag = ""
		if !c.done() && !c.is("(") {
			return syntaxAt(c.at(0))
		}
		if err := c.walk(c.i, len(c.toks)); err != nil {
			return err
		}
		c.st.Backend = []string{"EXECUTE " + QuoteName(n) + c.render(c.i, len(c.toks))}
		return nil
	}
	types := ""
	if c.is("(") {
		if types, err = c.signature(); err != nil {
			return err
		}
	}
	if err := c.expect("as"); err != nil {
		return err
	}
	if c.done() {
		return syntaxAt(c.at(0))
	}
	inner, err := Compile(c.src, c.toks[c.i:], c.opt)
	if err != nil {
		return err
	}
	switch inner.Kind {
	case Select, Insert, Update, Delete:
	default:
		return syntaxAt(c.at(0))
	}
	c.st.Refs, c.st.Words = inner.Refs, inner.Words
	c.st.Backend = []string{"PREPARE " + QuoteName(n) + types + " AS " + inner.Backend[0]}
	return nil
}

// call takes CALL procedure(arguments).
func (c *compiler) call() error {
	c.i++
	n, err := c.qname()
	if err != nil {
		return err
	}
	if !c.is("(") || c.closing(c.i) != len(c.toks)-1 {
		return syntaxAt(c.at(0))
	}
	if err := c.walk(c.i, len(c.toks)); err != nil {
		return err
	}
	c.st.Tag, c.st.Target = "CALL", n
	c.st.Backend = []string{"CALL " + n.SQL() + c.render(c.i, len(c.toks))}
	return nil
}
