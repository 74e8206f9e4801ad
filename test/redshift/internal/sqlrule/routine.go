package sqlrule

import (
	"strings"

	"github.com/walshift/walshift/test/redshift/internal/lex"
)

// routine takes CREATE PROCEDURE and CREATE FUNCTION; only here dollar quotes
// are taken.
func (c *compiler) routine(replace bool) error {
	c.st.Kind = Utility
	what := c.at(0).Val
	c.i++
	n, err := c.qname()
	if err != nil {
		return err
	}
	sql := "CREATE "
	if replace {
		sql += "OR REPLACE "
	}
	sql += strings.ToUpper(what) + " " + n.SQL()
	args, err := c.arguments(what == "function")
	if err != nil {
		return err
	}
	sql += args
	if what == "function" {
		return c.sqlFunction(sql)
	}
	return c.procedure(sql)
}

// arguments takes the arguments of a routine. Those of an SQL function have
// types and nothing else; a procedure's may have a name and a mode.
func (c *compiler) arguments(plain bool) (string, error) {
	if err := c.expect("("); err != nil {
		return "", err
	}
	var out []string
	for !c.accept(")") {
		arg := ""
		if !plain {
			arg = c.argument()
			arg += c.argument()
		}
		if t := c.at(0); t.Is("refcursor") || t.Is("record") {
			c.i++
			out = append(out, arg+t.Val)
		} else {
			typ, err := c.parseType(false)
			if err != nil {
				return "", err
			}
			out = append(out, arg+typ.Backend)
		}
		if !c.accept(",") && !c.is(")") {
			return "", syntaxAt(c.at(0))
		}
	}
	return "(" + strings.Join(out, ", ") + ")", nil
}

// argument takes the name or the mode of an argument, if one is there.
func (c *compiler) argument() string {
	t, next := c.at(0), c.at(1)
	switch {
	case t.Is("in"), t.Is("out"), t.Is("inout"):
		c.i++
		return t.Val + " "
	case !t.IsName() || next.Kind != lex.Word, next.Is("precision"), next.Is("varying"), t.Is("interval"),
		(t.Is("timestamp") || t.Is("time")) && (next.Is("with") || next.Is("without")):
		return ""
	}
	c.i++
	return QuoteName(c.fold(t)) + " "
}

// sqlFunction takes RETURNS type { VOLATILE | STABLE | IMMUTABLE } AS $$ query
// $$ LANGUAGE sql.
func (c *compiler) sqlFunction(sql string) error {
	if err := c.expect("returns"); err != nil {
		return err
	}
	typ, err := c.parseType(false)
	if err != nil {
		return err
	}
	vol := c.at(0)
	if !vol.Is("volatile") && !vol.Is("stable") && !vol.Is("immutable") {
		return syntaxAt(vol)
	}
	c.i++
	if err := c.expect("as"); err != nil {
		return err
	}
	body := c.at(0)
	c.i++
	if err := c.expect("language"); err != nil {
		return err
	}
	lang := c.at(0)
	c.i++
	if err := c.end(); err != nil {
		return err
	}
	if !lang.Is("sql") {
		return refuse(CodeUnsupported, "language %q is not supported for functions", lang.Val)
	}
	if body.Kind != lex.Dollar {
		return syntaxAt(body)
	}
	toks, err := lex.Scan(body.Val)
	if err != nil || len(toks) == 0 || !toks[0].Is("select") {
		return refuse(CodeSyntax, "the body of an SQL function must be a SELECT")
	}
	if toks[len(toks)-1].Is(";") {
		toks = toks[:len(toks)-1]
	}
	for i, t := range toks {
		switch t.Val {
		case "from", "into", "where", "group", "order", "limit", ";":
			if t.Kind == lex.Word && (t.Val != "from" || !insideCall(toks, i)) || t.Is(";") {
				return refuse(CodeUnsupported, "the SELECT of an SQL function cannot have %s", strings.ToUpper(t.Val))
			}
		}
	}
	inner, err := Compile(body.Val, toks, c.opt)
	if err != nil {
		return err
	}
	c.st.Backend = []string{sql + " RETURNS " + typ.Backend + " " + vol.Val + " LANGUAGE sql AS $rs_body$ SELECT (" + inner.Backend[0] + ")::" + typ.Backend + " $rs_body$"}
	return nil
}

// insideCall reports whether the FROM at i belongs to a call such as EXTRACT.
func insideCall(toks []lex.Token, i int) bool {
	depth := 0
	for ; i >= 0; i-- {
		switch {
		case toks[i].Is(")"):
			depth++
		case toks[i].Is("(") && depth == 0:
			return i > 0 && toks[i-1].Kind == lex.Word && !plainWord(toks[i-1].Val)
		case toks[i].Is("("):
			depth--
		case depth == 0 && toks[i].Is("select"):
			return false
		}
	}
	return false
}

// procedure takes [NONATOMIC] AS $$ body $$ LANGUAGE plpgsql [SECURITY …] [SET
// parameter …].
func (c *compiler) procedure(sql string) error {
	c.accept("nonatomic")
	if err := c.expect("as"); err != nil {
		return err
	}
	body := c.at(0)
	if body.Kind != lex.Dollar && body.Kind != lex.String {
		return syntaxAt(body)
	}
	c.i++
	if err := c.expect("language"); err != nil {
		return err
	}
	if !c.accept("plpgsql") {
		return refuse(CodeUnsupported, "language %q is not supported for procedures", c.at(0).Val)
	}
	tail := ""
	if c.accept("security", "definer") {
		tail = " SECURITY DEFINER"
	} else {
		c.accept("security", "invoker")
	}
	if c.accept("set") {
		tail += " SET " + c.render(c.i, len(c.toks))
		c.i = len(c.toks)
	}
	if err := c.end(); err != nil {
		return err
	}
	text, err := c.body(body.Val)
	if err != nil {
		return err
	}
	c.st.Backend = []string{sql + " LANGUAGE plpgsql" + tail + " AS $rs_body$" + text + "$rs_body$"}
	return nil
}

// body checks the statements inside a procedure and rewrites them.
func (c *compiler) body(src string) (string, error) {
	toks, err := lex.Scan(src)
	if err != nil {
		return "", refuse(CodeSyntax, "%s", err.Error())
	}
	var b strings.Builder
	last, start := 0, true
	for i := 0; i < len(toks); i++ {
		t := toks[i]
		if !start || !bodyStatement(t) {
			start = t.Is(";") || t.Is("begin") || t.Is("then") || t.Is("else") || t.Is("loop") || t.Is("declare")
			continue
		}
		end := i
		for end < len(toks) && !toks[end].Is(";") {
			end++
		}
		st, err := Compile(src, toks[i:end], c.opt)
		if err != nil {
			return "", err
		}
		if st.Kind == Copy || st.NoBlock != "" {
			return "", standIn("run " + strings.ToUpper(t.Val) + " in a procedure")
		}
		if len(st.Backend) == 1 && end > i {
			b.WriteString(src[last:t.Pos])
			b.WriteString(st.Backend[0])
			last = toks[end-1].End
		}
		i = end - 1
		start = false
	}
	b.WriteString(src[last:])
	return b.String(), nil
}

// bodyStatement lists the words that begin an SQL statement in a procedure.
func bodyStatement(t lex.Token) bool {
	if t.Kind != lex.Word {
		return false
	}
	switch t.Val {
	case "select", "insert", "update", "delete", "merge", "truncate", "create", "alter", "drop", "copy", "unload", "savepoint", "release", "listen",
		"notify", "grant", "revoke", "vacuum", "analyze", "lock", "comment", "refresh", "with":
		return true
	}
	return false
}
