package sqlrule

import (
	"strings"

	"github.com/walshift/walshift/test/redshift/internal/lex"
)

// edit replaces the tokens from its key up to end.
type edit struct {
	end  int
	text string
}

// compiler goes once over the tokens of a statement. Rewriting is kept as edits
// on token ranges, so that what no rule touches reaches PostgreSQL as written.
type compiler struct {
	src   string
	toks  []lex.Token
	i     int
	opt   Options
	edits map[int]edit
	after map[int]string
	st    *Statement
	sc    *scope
	// attributes counts those of a table: BACKUP must be the first.
	attributes int
}

// at returns the token n places from the current one; past the end it is an
// empty token, which equals no word.
func (c *compiler) at(n int) lex.Token { return c.tok(c.i + n) }

func (c *compiler) tok(i int) lex.Token {
	if i >= 0 && i < len(c.toks) {
		return c.toks[i]
	}
	return lex.Token{Text: "end of input", Pos: len(c.src), End: len(c.src)}
}

func (c *compiler) done() bool { return c.i >= len(c.toks) }

// is reports whether the next tokens are these words or operators.
func (c *compiler) is(words ...string) bool {
	for n, w := range words {
		if !c.at(n).Is(w) {
			return false
		}
	}
	return true
}

func (c *compiler) accept(words ...string) bool {
	if c.is(words...) {
		c.i += len(words)
		return true
	}
	return false
}

func (c *compiler) expect(words ...string) error {
	for _, w := range words {
		if !c.accept(w) {
			return syntaxAt(c.at(0))
		}
	}
	return nil
}

func (c *compiler) end() error {
	if !c.done() {
		return syntaxAt(c.at(0))
	}
	return nil
}

// name takes a name. A reserved word must be quoted.
func (c *compiler) name() (string, error) {
	t := c.at(0)
	if !t.IsName() || t.Kind == lex.Word && reserved(t.Val) {
		return "", syntaxAt(t)
	}
	c.i++
	return c.fold(t), nil
}

func (c *compiler) qname() (Name, error) {
	first, err := c.name()
	if err != nil {
		return Name{}, err
	}
	if !c.accept(".") {
		return Name{Table: first}, nil
	}
	t := c.at(0)
	if !t.IsName() {
		return Name{}, syntaxAt(t)
	}
	c.i++
	second := c.fold(t)
	if c.accept(".") { // database.schema.table
		if t = c.at(0); !t.IsName() {
			return Name{}, syntaxAt(t)
		}
		c.i++
		if c.opt.Database != "" && first != c.opt.Database {
			return Name{}, refuse("3D000", "database %q does not exist", first)
		}
		return Name{Schema: second, Table: c.fold(t)}, nil
	}
	return Name{Schema: first, Table: second}, nil
}

// names takes a parenthesised list of names.
func (c *compiler) names() ([]string, error) {
	if err := c.expect("("); err != nil {
		return nil, err
	}
	var out []string
	for {
		t := c.at(0)
		if !t.IsName() {
			return nil, syntaxAt(t)
		}
		c.i++
		out = append(out, c.fold(t))
		if c.accept(",") {
			continue
		}
		return out, c.expect(")")
	}
}

// closing returns the index of the parenthesis that closes the one at i.
func (c *compiler) closing(i int) int {
	depth := 0
	for ; i < len(c.toks); i++ {
		switch {
		case c.toks[i].Is("("):
			depth++
		case c.toks[i].Is(")"):
			depth--
			if depth == 0 {
				return i
			}
		}
	}
	return len(c.toks)
}

func (c *compiler) replace(from, to int, text string) { c.edits[from] = edit{to, text} }

// render returns the tokens from..to as PostgreSQL shall see them.
func (c *compiler) render(from, to int) string {
	var b strings.Builder
	to = min(to, len(c.toks))
	last := c.tok(from).Pos
	for i := from; i < to; {
		t := c.toks[i]
		if t.Pos > last {
			b.WriteString(c.src[last:t.Pos])
		}
		n := i + 1
		switch e, ok := c.edits[i]; {
		case ok:
			b.WriteString(e.text)
			n = max(e.end, n)
		case t.Kind == lex.Quoted, t.Kind == lex.Word && len(t.Val) > backendName, t.Kind == lex.Word && t.Text[0] == '#':
			b.WriteString(QuoteName(c.fold(t)))
		default:
			b.WriteString(t.Text)
		}
		last = c.tok(n - 1).End
		b.WriteString(c.after[n-1])
		i = n
	}
	return b.String()
}

func (c *compiler) renderAll() string { return c.render(0, len(c.toks)) }

// statement dispatches on the first words.
func (c *compiler) statement() error {
	t := c.at(0)
	if t.Is("(") {
		return c.query()
	}
	if t.Kind != lex.Word {
		return syntaxAt(t)
	}
	switch t.Val {
	case "select", "with":
		return c.queryOrWith()
	case "insert":
		return c.insert()
	case "update":
		return c.update()
	case "delete":
		return c.delete()
	case "merge":
		return c.merge()
	case "copy":
		return c.copy()
	case "create":
		return c.create()
	case "alter":
		return c.alter()
	case "drop":
		return c.drop()
	case "truncate":
		return c.truncate()
	case "begin", "start", "commit", "end", "rollback", "abort":
		return c.transaction()
	case "savepoint", "release", "listen", "notify", "unlisten", "do", "cluster", "reindex", "checkpoint", "discard",
		"load", "security", "import", "values", "table":
		return unsupportedCommand(c.st.SQL)
	default:
		return c.utility()
	}
}
