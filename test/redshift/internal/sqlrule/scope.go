package sqlrule

import (
	"github.com/walshift/walshift/test/redshift/internal/lex"
)

// scope knows the relation names and aliases of a whole statement. It is not
// told apart by subquery: a name that means a relation in one place is taken
// for it in all.
type scope struct {
	// alias are names that stand before a column's name.
	alias map[string]bool
	// tables are relations named with their schema, as schema.table.
	tables map[string]bool
	// values are aliases of unnested SUPER arrays, which stand for a value.
	values map[string]bool
}

// names0 collects the statement's scope, once.
func (c *compiler) names0() *scope {
	if c.sc != nil {
		return c.sc
	}
	c.sc = &scope{alias: map[string]bool{}, tables: map[string]bool{}, values: map[string]bool{}}
	if t := c.st.Target; t.Table != "" {
		c.sc.alias[t.Table] = true
		c.sc.tables[t.Schema+"."+t.Table] = true
	}
	from := []bool{false}
	for i := range c.toks {
		t := c.toks[i]
		at := len(from) - 1
		switch {
		case t.Is("("):
			from = append(from, false)
		case t.Is(")"):
			if at > 0 {
				from = from[:at]
			}
			if p := c.opening(i); p > 0 && len(from) > 0 && from[len(from)-1] && c.itemStart(p) {
				c.addAlias(i+1, "")
			}
		case t.Is("from"), t.Is("join"), t.Is("using"), t.Is("update"), t.Is("into"):
			from[at] = true
			c.scopeItem(i + 1)
		case t.Is(",") && from[at]:
			c.scopeItem(i + 1)
		case t.Is("where"), t.Is("group"), t.Is("order"), t.Is("having"), t.Is("select"), t.Is("set"), t.Is("limit"), t.Is("when"), t.Is("values"):
			from[at] = false
		}
	}
	return c.sc
}

func (c *compiler) itemStart(i int) bool {
	p := c.tok(i - 1)
	return p.Is("from") || p.Is("join") || p.Is(",") || p.Is("using")
}

// opening returns the parenthesis that the one at i closes, or -1.
func (c *compiler) opening(i int) int {
	depth := 0
	for ; i >= 0; i-- {
		switch {
		case c.toks[i].Is(")"):
			depth++
		case c.toks[i].Is("("):
			depth--
			if depth == 0 {
				return i
			}
		}
	}
	return -1
}

// scopeItem notes the relation that begins at i.
func (c *compiler) scopeItem(i int) {
	if !c.tok(i).IsName() || c.tok(i).Is("unpivot") || c.tok(i).Is("unnest") {
		return
	}
	parts := []string{c.foldQuiet(c.tok(i))}
	i++
	for c.tok(i).Is(".") && c.tok(i+1).IsName() || c.tok(i).Is("[") {
		if c.tok(i).Is("[") {
			parts = append(parts, "[")
			i += 3
			continue
		}
		parts = append(parts, c.foldQuiet(c.tok(i+1)))
		i += 2
	}
	if c.tok(i).Is("(") {
		return // a function; its alias is found by addAlias
	}
	last := parts[len(parts)-1]
	if c.sc.alias[parts[0]] && (len(parts) > 1 || c.sc.values[parts[0]]) { // an array of a relation named before
		if a := c.aliasAt(i); a != "" {
			c.sc.alias[a], c.sc.values[a] = true, true
		}
		return
	}
	if len(parts) > 1 {
		c.sc.tables[parts[len(parts)-2]+"."+last] = true
	}
	c.addAlias(i, last)
}

// addAlias notes the alias at i, or name if there is none.
func (c *compiler) addAlias(i int, name string) {
	if a := c.aliasAt(i); a != "" {
		name = a
	}
	if name != "" {
		c.sc.alias[name] = true
	}
}

// aliasAt returns the alias that stands at i, with or without AS.
func (c *compiler) aliasAt(i int) string {
	t := c.tok(i)
	if t.Is("as") {
		if n := c.tok(i + 1); n.IsName() {
			return c.foldQuiet(n)
		}
		return ""
	}
	if t.Kind == lex.Quoted || t.Kind == lex.Word && !itemEnd(t.Val) && !reserved(t.Val) {
		return c.foldQuiet(t)
	}
	return ""
}

// foldQuiet folds without telling anyone of long names.
func (c *compiler) foldQuiet(t lex.Token) string {
	s := t.Val
	if t.Kind == lex.Quoted && !c.opt.CaseSensitive {
		s = lex.Lower(s)
	}
	return cutBytes(s, maxName)
}

// itemEnd lists the words that may follow a relation in a FROM list.
func itemEnd(w string) bool {
	switch w {
	case "on", "from", "where", "group", "order", "having", "limit", "offset", "union", "except", "intersect", "minus", "inner", "left", "right", "full",
		"cross", "natural", "join", "using", "for", "when", "set", "qualify", "pivot", "unpivot", "fetch", "window", "tablesample", "at", "values",
		"default", "select", "remove", "connect", "start", "with", "outer", "lateral", "returning":
		return true
	}
	return false
}
