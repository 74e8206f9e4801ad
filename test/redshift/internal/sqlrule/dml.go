package sqlrule

import (
	"strings"
)

// query handles SELECT, with or without parentheses; SELECT … INTO makes a
// table.
func (c *compiler) query() error {
	c.st.Kind, c.st.Tag = Select, "SELECT"
	depth := 0
	for i := c.i; i < len(c.toks); i++ {
		switch t := c.toks[i]; {
		case t.Is("("):
			depth++
		case t.Is(")"):
			depth--
		case depth == 0 && t.Is("into"):
			save := c.i
			c.i = i + 1
			c.st.Temp = c.accept("temp") || c.accept("temporary")
			c.accept("table")
			n, err := c.qname()
			c.i = save
			if err != nil {
				return err
			}
			c.st.Kind, c.st.Target = CreateAs, n
			c.st.Table = &TableDef{Name: n, DistStyle: "AUTO", SortStyle: "AUTO"}
		}
	}
	if err := c.walk(0, len(c.toks)); err != nil {
		return err
	}
	c.st.Backend = []string{c.renderAll()}
	return nil
}

// queryOrWith handles statements that may begin with WITH.
func (c *compiler) queryOrWith() error {
	if !c.is("with") {
		return c.query()
	}
	for i := 1; i < len(c.toks); i++ {
		switch t := c.toks[i]; {
		case t.Is("("):
			i = c.closing(i)
		case t.Is("select"):
			return c.query()
		case t.Is("update"):
			c.i = i
			return c.update()
		case t.Is("delete"):
			c.i = i
			return c.delete()
		case t.Is("insert"), t.Is("merge"), t.Is("values"):
			return syntaxAt(t)
		}
	}
	return syntaxAt(c.tok(len(c.toks)))
}

func (c *compiler) target(k Kind, exclusive bool) error {
	n, err := c.qname()
	if err != nil {
		return err
	}
	c.st.Kind, c.st.Target, c.st.Exclusive = k, n, exclusive
	return nil
}

func (c *compiler) insert() error {
	if err := c.expect("insert", "into"); err != nil {
		return err
	}
	if err := c.target(Insert, false); err != nil {
		return err
	}
	if c.is("(") && !c.at(1).Is("select") && !c.at(1).Is("with") && !c.at(1).Is("(") {
		cols, err := c.names()
		if err != nil {
			return err
		}
		for _, col := range cols {
			c.st.Words[col] = true
		}
	}
	switch {
	case c.accept("default", "values"):
		if err := c.end(); err != nil {
			return err
		}
	case c.accept("values"):
		if err := c.valueRows(); err != nil {
			return err
		}
	case c.is("select"), c.is("with"), c.is("("):
		if err := c.walk(c.i, len(c.toks)); err != nil {
			return err
		}
	default:
		return syntaxAt(c.at(0))
	}
	c.st.Backend = []string{c.renderAll()}
	return nil
}

// valueRows takes the rows of VALUES up to the end of the statement.
func (c *compiler) valueRows() error {
	for {
		if !c.is("(") {
			return syntaxAt(c.at(0))
		}
		end := c.closing(c.i)
		if err := c.walk(c.i, min(end+1, len(c.toks))); err != nil {
			return err
		}
		c.i = end + 1
		if !c.accept(",") {
			return c.end()
		}
	}
}

func (c *compiler) update() error {
	start := c.i
	if err := c.expect("update"); err != nil {
		return err
	}
	if err := c.target(Update, true); err != nil {
		return err
	}
	if !c.is("set") { // an alias: unreliable on Redshift, so refused
		return syntaxAt(c.at(0))
	}
	if err := c.setList(c.i + 1); err != nil {
		return err
	}
	if err := c.equijoin(c.i, "from"); err != nil {
		return err
	}
	if err := c.walk(0, start); err != nil {
		return err
	}
	if err := c.walk(c.i, len(c.toks)); err != nil {
		return err
	}
	c.st.Backend = []string{c.renderAll()}
	return nil
}

// setList checks that each assignment beginning at i has a bare column on its
// left.
func (c *compiler) setList(i int) error {
	for {
		t, next := c.tok(i), c.tok(i+1)
		if !t.IsName() || !next.Is("=") {
			if next.Is(".") || t.Is("(") {
				return syntaxAt(next)
			}
			return syntaxAt(t)
		}
		c.st.Words[c.fold(t)] = true
		depth := 0
		for i += 2; i < len(c.toks); i++ {
			switch t := c.toks[i]; {
			case t.Is("("):
				depth++
			case t.Is(")"):
				depth--
			case depth == 0 && (t.Is("from") || t.Is("where") || t.Is("when")):
				return nil
			}
			if depth == 0 && c.toks[i].Is(",") {
				break
			}
		}
		if i >= len(c.toks) {
			return nil
		}
		i++
	}
}

func (c *compiler) delete() error {
	start := c.i
	if err := c.expect("delete"); err != nil {
		return err
	}
	if !c.accept("from") {
		c.replace(start, start+1, "DELETE FROM")
	}
	if c.is("only") {
		return syntaxAt(c.at(0))
	}
	if err := c.target(Delete, true); err != nil {
		return err
	}
	if !c.done() && !c.is("using") && !c.is("where") {
		return syntaxAt(c.at(0))
	}
	if c.is("where", "current", "of") {
		return syntaxAt(c.at(1))
	}
	if err := c.equijoin(c.i, "using"); err != nil {
		return err
	}
	if err := c.walk(0, start); err != nil {
		return err
	}
	if err := c.walk(c.i, len(c.toks)); err != nil {
		return err
	}
	c.st.Joins = false // DELETE … USING survives large SUPER values
	c.st.Backend = []string{c.renderAll()}
	return nil
}

// merge takes Redshift's MERGE: one clause for matches, one for the others,
// without conditions, and no alias for the target.
func (c *compiler) merge() error {
	if err := c.expect("merge", "into"); err != nil {
		return err
	}
	if err := c.target(Merge, true); err != nil {
		return err
	}
	if !c.is("using") {
		return syntaxAt(c.at(0))
	}
	c.st.Joins, c.st.Tag = true, "MERGE"
	using := c.i
	c.i++
	source, err := c.mergeSource()
	if err != nil {
		return err
	}
	on := c.i
	if err := c.expect("on"); err != nil {
		return err
	}
	for !c.done() && !c.is("when") && !c.is("remove", "duplicates") {
		if c.is("(") {
			c.i = c.closing(c.i)
		}
		c.i++
	}
	if err := c.walk(using, c.i); err != nil {
		return err
	}
	if c.is("remove", "duplicates") {
		return c.removeDuplicates(using, on, source)
	}
	if err := c.mergeMatched(); err != nil {
		return err
	}
	if err := c.mergeNotMatched(); err != nil {
		return err
	}
	c.st.Backend = []string{c.renderAll()}
	return nil
}

// mergeSource takes the source and its alias and returns its name, if it is a
// table.
func (c *compiler) mergeSource() (Name, error) {
	var source Name
	if c.is("(") {
		end := c.closing(c.i)
		for i := c.i; i < end; i++ {
			if c.tok(i).IsName() && c.fold(c.tok(i)) == c.st.Target.Table {
				p := c.tok(i - 1)
				if p.Is("from") || p.Is("join") || p.Is(",") {
					return source, refuse(CodeUnsupported, "Source view/subquery in Merge statement cannot reference target table")
				}
			}
		}
		c.i = end + 1
	} else {
		n, err := c.qname()
		if err != nil {
			return source, err
		}
		source = n
		if n == c.st.Target || n.Table == c.st.Target.Table && (n.Schema == "" || c.st.Target.Schema == "") {
			return source, refuse(CodeUnsupported, "Source table and target table of MERGE must not be the same")
		}
	}
	if c.accept("as") || !c.is("on") {
		if _, err := c.name(); err != nil {
			return source, err
		}
	}
	return source, nil
}

func (c *compiler) mergeMatched() error {
	if err := c.expect("when", "matched"); err != nil {
		return err
	}
	if err := c.expect("then"); err != nil { // AND condition
		return err
	}
	if c.accept("delete") {
		return nil
	}
	if err := c.expect("update", "set"); err != nil {
		return err
	}
	start := c.i
	if err := c.setList(c.i); err != nil {
		return err
	}
	depth := 0
	for ; !c.done() && (depth > 0 || !c.is("when") || c.at(-1).Is("case")); c.i++ {
		switch {
		case c.is("("), c.is("case"):
			depth++
		case c.is(")"), c.is("end"):
			depth--
		}
	}
	return c.walk(start, c.i)
}

func (c *compiler) mergeNotMatched() error {
	if c.done() {
		return refuse(CodeSyntax, "syntax error at end of input: MERGE needs both WHEN MATCHED and WHEN NOT MATCHED")
	}
	if err := c.expect("when", "not", "matched", "then", "insert"); err != nil {
		return err
	}
	if c.is("(") {
		if _, err := c.names(); err != nil {
			return err
		}
	}
	if err := c.expect("values"); err != nil {
		return err
	}
	if !c.is("(") {
		return syntaxAt(c.at(0))
	}
	end := c.closing(c.i)
	if err := c.walk(c.i, min(end+1, len(c.toks))); err != nil {
		return err
	}
	c.i = end + 1
	return c.end()
}

// removeDuplicates replaces matches by the source's rows and leaves one of
// each.
func (c *compiler) removeDuplicates(using, on int, source Name) error {
	cond := c.render(on+1, c.i)
	src := c.render(using+1, on)
	c.i += 2
	if err := c.end(); err != nil {
		return err
	}
	from := src
	if source.Table != "" {
		from = source.SQL()
	}
	c.st.Backend = []string{
		"DELETE FROM " + c.st.Target.SQL() + " USING " + src + " WHERE " + cond,
		"INSERT INTO " + c.st.Target.SQL() + " SELECT DISTINCT * FROM " + strings.TrimSpace(from),
	}
	return nil
}

func (c *compiler) truncate() error {
	c.i++
	c.accept("table")
	if err := c.target(Truncate, true); err != nil {
		return err
	}
	if err := c.end(); err != nil {
		return err
	}
	c.st.Backend = []string{"TRUNCATE " + c.st.Target.SQL()}
	c.st.Tag = "TRUNCATE TABLE"
	return nil
}

// transaction handles BEGIN, COMMIT and their synonyms.
func (c *compiler) transaction() error {
	t := c.at(0)
	c.i++
	switch t.Val {
	case "begin", "start":
		c.st.Kind, c.st.Tag = Begin, "BEGIN"
		if t.Val == "start" {
			c.st.Tag = "START TRANSACTION"
			if err := c.expect("transaction"); err != nil {
				return err
			}
		} else if !c.accept("work") {
			c.accept("transaction")
		}
		return c.isolation()
	case "commit", "end":
		c.st.Kind, c.st.Tag = Commit, "COMMIT"
	default:
		c.st.Kind, c.st.Tag = Rollback, "ROLLBACK"
	}
	if !c.accept("work") {
		c.accept("transaction")
	}
	if c.is("to") || c.is("prepared") {
		return unsupportedCommand(c.st.SQL)
	}
	return c.end()
}

// isolation takes any isolation level: the one in force is the database's.
func (c *compiler) isolation() error {
	for !c.done() {
		switch {
		case c.accept("isolation", "level", "serializable"), c.accept("isolation", "level", "read", "committed"),
			c.accept("isolation", "level", "read", "uncommitted"), c.accept("isolation", "level", "repeatable", "read"),
			c.accept("isolation", "level", "snapshot"), c.accept("read", "write"):
		case c.accept("read", "only"):
			c.st.Value = "READ ONLY"
		default:
			return syntaxAt(c.at(0))
		}
		c.accept(",")
	}
	return nil
}
