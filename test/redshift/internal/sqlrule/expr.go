package sqlrule

import (
	"strconv"
	"strings"

	"github.com/walshift/walshift/test/redshift/internal/lex"
)

// maxParam is the highest number of bind parameters of a statement.
const maxParam = 32767

// frame is an open parenthesis during a walk.
type frame struct {
	fn     int   // token of the function's name, -1 if none
	open   int   // token of the parenthesis
	commas []int // commas directly inside
	query  bool  // a SELECT directly inside
	from   bool  // inside a FROM list
	items  int   // relations in that FROM list
	top    string
	as     bool // the AS of a CAST is still to come
}

// walker checks and rewrites queries and expressions.
type walker struct {
	*compiler
	stack []frame
}

// walk goes over the tokens from..to: it refuses what Redshift has not, notes
// which relations are named, and rewrites types and functions.
func (c *compiler) walk(from, to int) error {
	w := &walker{compiler: c, stack: []frame{{fn: -1, open: from - 1}}}
	for i := from; i < to; i++ {
		n, err := w.step(i)
		if err != nil {
			return err
		}
		i = max(i, n)
	}
	w.endSelect(to)
	return nil
}

func (w *walker) top() *frame { return &w.stack[len(w.stack)-1] }

// step handles token i and returns the last token that it has dealt with.
func (w *walker) step(i int) (int, error) {
	t := w.toks[i]
	switch t.Kind {
	case lex.Prefixed:
		return i, refuse(CodeUndefinedType, "type %q does not exist", t.Val)
	case lex.Dollar:
		return i, syntaxAt(t)
	case lex.Param:
		if n, err := strconv.Atoi(t.Text[1:]); err != nil || n > maxParam {
			return i, refuse(CodeTooComplex, "too many parameters: at most %d", maxParam)
		}
	case lex.Op:
		return w.op(i, t)
	case lex.Quoted:
		w.st.Words[w.fold(t)] = true
		return w.relation(i), nil
	case lex.Word:
		w.st.Words[t.Val] = true
		return w.word(i, t)
	default:
	}
	return i, nil
}

func (w *walker) op(i int, t lex.Token) (int, error) {
	switch t.Text {
	case "(":
		if n := w.tok(i + 1); n.Is("insert") || n.Is("update") || n.Is("delete") || n.Is("merge") || n.Is("copy") {
			return i, syntaxAt(n)
		}
		f := frame{fn: -1, open: i}
		if p := w.tok(i - 1); p.Kind == lex.Word && !plainWord(p.Val) {
			f.fn = i - 1
		}
		f.as = f.fn >= 0 && (w.tok(f.fn).Val == "cast" || w.tok(f.fn).Val == "try_cast")
		w.stack = append(w.stack, f)
	case ")":
		if len(w.stack) == 1 {
			return i, syntaxAt(t)
		}
		w.endSelect(i)
		f := *w.top()
		w.stack = w.stack[:len(w.stack)-1]
		return i, w.closeCall(f, i)
	case ",":
		f := w.top()
		f.commas = append(f.commas, i)
		if f.from {
			f.items++
			if f.items > 1 {
				w.st.Joins = true
			}
			return w.relation(i + 1), nil
		}
	case "::":
		return w.castType(i + 1)
	case "*":
		p := w.tok(i - 1)
		if p.Is("select") || p.Is("all") || p.Is("distinct") || p.Is(".") || p.Is(",") || p.Kind == lex.Number && w.tok(i-2).Is("top") {
			w.st.Star = true
		}
	case "[", "]":
		return i, syntaxAt(t)
	case ".", ":", "+", "-", "/", "%", "^", "|/", "||/", "@", "&", "|", "#", "~", "<<", ">>", "=", "<>", "!=", "<", ">", "<=", ">=", "||",
		"!~", "~~", "~~*", "!~~", "!~~*":
	default:
		return i, refuse(CodeNoFunction, "operator does not exist: %s", t.Text)
	}
	return i, nil
}

// castType rewrites the type that begins at token i.
func (w *walker) castType(i int) (int, error) {
	save := w.i
	defer func() { w.i = save }()
	w.i = i
	typ, err := w.parseType(false)
	if err != nil {
		return i, err
	}
	w.replace(i, w.i, typ.Backend)
	return w.i - 1, nil
}

// relation notes a name that stands at i as a possible relation. It returns
// the last token before the rest.
func (w *walker) relation(i int) int {
	prev := w.tok(i - 1)
	if !w.top().from || !prev.Is("from") && !prev.Is("join") && !prev.Is(",") && !prev.Is("using") && !prev.Is("into") {
		return i
	}
	if !w.tok(i).IsName() {
		return i - 1
	}
	return w.noteRelation(i)
}

// noteRelation records the relation whose name begins at i and gives back the
// name's last token.
func (w *walker) noteRelation(i int) int {
	save := w.i
	w.i = i
	n, err := w.qname()
	end := w.i
	w.i = save
	if err != nil || w.tok(end).Is("(") {
		return i - 1
	}
	w.st.Words[n.Table] = true
	if n.Schema == "information_schema" && n.Table == "columns" {
		w.replace(i, end, "pg_catalog.rs_is_columns")
	}
	if w.opt.LateView != nil {
		if def, ok := w.opt.LateView(n); ok {
			text := "(" + def + ")"
			if nx := w.tok(end); !nx.IsName() || nx.Kind == lex.Word && (plainWord(nx.Val) && !nx.Is("as") || clauseWord(nx.Val)) {
				text += " AS " + QuoteName(n.Table)
			}
			w.replace(i, end, text)
			w.st.Joins = true
		}
	}
	w.st.Refs = append(w.st.Refs, n)
	return end - 1
}

// word handles a keyword or unquoted name.
func (w *walker) word(i int, t lex.Token) (int, error) {
	prev, next := w.tok(i-1), w.tok(i+1)
	if prev.Is(".") {
		if next.Is("(") && w.tok(i-2).Is("pg_catalog") {
			return i, w.function(i, t)
		}
		return i, nil
	}
	if next.Is("(") && !plainWord(t.Val) {
		return i, w.function(i, t)
	}
	if prev.Is("as") && !w.top().as && !t.Is("select") && !t.Is("with") && !t.Is("materialized") && !t.Is("not") {
		return i, nil // a label may be any word
	}
	if err := w.refusedWord(i, t); err != nil {
		return i, err
	}
	return w.clause(i, t)
}

// refusedWord refuses words and word sequences that Redshift has not.
func (w *walker) refusedWord(i int, t lex.Token) error {
	next, prev := w.tok(i+1), w.tok(i-1)
	bad := false
	switch t.Val {
	case "returning", "array", "materialized", "values":
		bad = true
	case "lateral", "tablesample", "unpivot", "pivot":
		bad = next.IsName() || next.Is("(")
	case "distinct":
		bad = next.Is("on") || next.Is("from") && (prev.Is("is") || prev.Is("not"))
	case "only":
		bad = w.top().from
	case "window":
		bad = w.tok(i + 2).Is("as")
	case "ignore":
		if next.Is("nulls") {
			return refuse(CodeUnsupported, "IGNORE NULLS is not part of this stand-in")
		}
	case "any", "all", "some":
		if next.Is("(") && !w.tok(i+2).Is("select") && !prev.Is("union") {
			return refuse(CodeUnsupported, "op ANY/ALL (array) requires an array, and arrays are not supported")
		}
	default:
		bad = refusedPair(t.Val, next)
	}
	if bad || never(t.Val) {
		return syntaxAt(t)
	}
	return nil
}

// refusedPair lists words that Redshift has, but not before these.
func refusedPair(word string, next lex.Token) bool {
	switch word {
	case "for":
		return next.Is("update") || next.Is("share") || next.Is("no") || next.Is("key")
	case "filter":
		return next.Is("(")
	case "fetch":
		return next.Is("first") || next.Is("next")
	case "with":
		return next.Is("ordinality") || next.Is("ties")
	case "on":
		return next.Is("conflict")
	}
	return false
}

// clause follows the clauses of queries and rewrites single words.
func (w *walker) clause(i int, t lex.Token) (int, error) {
	f := w.top()
	next := w.tok(i + 1)
	switch t.Val {
	case "select":
		return w.selectWord(i)
	case "from", "join", "using":
		if f.fn >= 0 && !f.query {
			return i, nil // extract(… FROM …), substring(… FROM …)
		}
		if t.Val == "using" && next.Is("(") && f.from {
			f.from = false // JOIN … USING (columns)
			return i, nil
		}
		f.from = true
		f.items++
		if t.Val == "join" || f.items > 1 && w.st.Kind != Delete || w.st.Kind == Update && len(w.stack) == 1 {
			w.st.Joins = true
		}
		return w.relation(i + 1), nil
	case "into":
		f.from = true
		n := w.relation(i + 1)
		f.from = false
		return n, nil
	case "inner", "cross", "left", "right", "full", "natural":
		f.from = f.from || next.Is("join") || next.Is("outer")
	case "on":
		f.from = true
	case "where", "group", "having", "order", "limit", "offset", "set", "when":
		f.from = false
	case "union", "except", "intersect", "minus":
		w.endSelect(i)
		f.from, f.items = false, 0
		if t.Val == "minus" {
			w.replace(i, i+1, "EXCEPT")
		}
	case "qualify":
		w.st.Joins = true
		return w.qualify(i)
	case "over":
		w.st.Joins = true
	case "as":
		if f.as {
			f.as = false
			return w.castType(i + 1)
		}
	case "sysdate":
		w.replace(i, i+1, "pg_catalog.rs_sysdate()")
	case "current_user_id":
		w.replace(i, i+1, "pg_catalog.current_user_id()")
	case "approximate":
		w.replace(i, i+1, "")
	case "respect":
		if next.Is("nulls") {
			w.replace(i, i+2, "")
			return i + 1, nil
		}
	case "current_timestamp", "current_time", "localtime", "localtimestamp":
		w.st.LeaderFunc = t.Val
	case "varchar", "text", "nvarchar", "super", "varbyte", "decimal", "numeric", "bpchar":
		if next.Kind == lex.String {
			return w.castType(i)
		}
	}
	return i, nil
}

// selectWord opens a SELECT: TOP n becomes a LIMIT at its end.
func (w *walker) selectWord(i int) (int, error) {
	f := w.top()
	f.query, f.from, f.items = true, false, 0
	if w.st.Kind == Insert || w.st.Kind == CreateAs {
		w.st.Words["select"] = true
	}
	j := i + 1
	if w.tok(j).Is("all") || w.tok(j).Is("distinct") {
		if w.tok(j).Is("distinct") && w.tok(j+1).Is("on") {
			return i, syntaxAt(w.tok(j + 1))
		}
		j++
	}
	if w.tok(j).Is("top") && w.tok(j+1).Kind == lex.Number {
		f.top = w.tok(j + 1).Text
		w.replace(j, j+2, "")
		return j + 1, nil
	}
	return j - 1, nil
}

// endSelect adds what must stand at the end of the SELECT that ends before i.
func (w *walker) endSelect(i int) {
	f := w.top()
	if f.top != "" {
		w.after[i-1] += " LIMIT " + f.top
		f.top = ""
	}
}

// qualify turns SELECT … QUALIFY cond into a subquery that is filtered by cond.
func (w *walker) qualify(i int) (int, error) {
	f := w.top()
	start := f.open + 1
	depth := 0
	for j := i - 1; j > f.open; j-- { // the SELECT of this QUALIFY, not one before a UNION
		switch {
		case w.tok(j).Is(")"):
			depth++
		case w.tok(j).Is("("):
			depth--
		case depth == 0 && w.tok(j).Is("select"):
			start, j = j, f.open
		}
	}
	if !w.tok(start).Is("select") {
		return i, syntaxAt(w.tok(i))
	}
	end := w.qualifyEnd(i + 1)
	if err := w.subwalk(i+1, end); err != nil {
		return i, err
	}
	inner := w.render(start, i)
	if w.opt.Describe == nil {
		return i, refuse(CodeUnsupported, "QUALIFY needs a session")
	}
	cols, err := w.opt.Describe(inner)
	if err != nil {
		return i, err
	}
	from := start
	for n := range cols {
		cols[n] = QuoteName(cols[n])
	}
	// inner begins with SELECT; the condition goes before its FROM.
	j := start
	for ; j < i; j++ {
		if w.tok(j).Is("(") {
			j = w.closing(j)
			continue
		}
		if w.tok(j).Is("from") {
			break
		}
	}
	text := "SELECT " + strings.Join(cols, ", ") + " FROM (" + w.render(start, j) + ", (" + w.render(i+1, end) + ") AS rs_qualify " + w.render(j, i) + ") AS rs_q WHERE rs_qualify"
	w.replace(from, end, text)
	return end - 1, nil
}

func (w *walker) qualifyEnd(i int) int {
	depth := 0
	for ; i < len(w.toks); i++ {
		t := w.toks[i]
		switch {
		case t.Is("("):
			depth++
		case t.Is(")"):
			if depth == 0 {
				return i
			}
			depth--
		case depth == 0 && (t.Is("order") || t.Is("limit") || t.Is("union") || t.Is("except") || t.Is("minus") || t.Is("intersect") || t.Is("offset")):
			return i
		}
	}
	return i
}

// subwalk walks a part out of turn.
func (w *walker) subwalk(from, to int) error {
	sub := &walker{compiler: w.compiler, stack: []frame{{fn: -1, open: from - 1}}}
	for i := from; i < to; i++ {
		n, err := sub.step(i)
		if err != nil {
			return err
		}
		i = max(i, n)
	}
	return nil
}
