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
	try    bool // the cast is a TRY_CAST
	// clause is the clause of the query that the walk is in.
	clause string
	// over says that this is a window; ordered and framed what it holds.
	over, ordered, framed bool
	// call is the last function called directly inside, and callEnd the token of
	// its closing parenthesis.
	call    string
	callEnd int
}

// walker checks and rewrites queries and expressions.
type walker struct {
	*compiler
	stack []frame
	scope *scope
	// shift is the frame of a LAG or LEAD that skips NULLs, windowOrder the order
	// of a LISTAGG, overEnd what follows its window; all for the next OVER.
	shift, windowOrder, overEnd string
}

// walk goes over the tokens from..to: it refuses what Redshift has not, notes
// which relations are named, and rewrites types and functions.
func (c *compiler) walk(from, to int) error {
	to = min(to, len(c.toks))
	w := &walker{compiler: c, stack: []frame{{fn: -1, open: from - 1}}, scope: c.names0()}
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
	case lex.Number:
		return i, w.number(i, t)
	case lex.Op:
		return w.op(i, t)
	case lex.Quoted:
		w.st.Words[w.fold(t)] = true
		return w.quoted(i, t)
	case lex.Word:
		w.st.Words[t.Val] = true
		return w.word(i, t)
	default:
	}
	return i, nil
}

// number refuses what only newer PostgreSQL takes for a number: 0x1F, 1_000.
func (w *walker) number(i int, t lex.Token) error {
	if n := w.tok(i + 1); n.Kind == lex.Word && n.Pos == t.End {
		return syntaxAt(n)
	}
	return nil
}

// quoted handles a name in double quotes.
func (w *walker) quoted(i int, t lex.Token) (int, error) {
	name := w.fold(t)
	if err := w.hidden(i, name); err != nil {
		return i, err
	}
	if w.tok(i - 1).Is(".") {
		return i, nil
	}
	if w.tok(i+1).Is("(") && !w.tok(i-1).Is("as") {
		return i, w.function(i, lex.Token{Kind: lex.Word, Text: t.Text, Val: name, Pos: t.Pos, End: t.End})
	}
	if w.startsRelation(i) {
		return w.relation(i)
	}
	return w.path(i)
}

// hidden refuses the stand-in's own schemas and PostgreSQL's system columns.
func (w *walker) hidden(i int, name string) error {
	switch name {
	case "rs_internal", "rs_types", "rs_catalog":
		if w.tok(i + 1).Is(".") {
			return refuse(CodeNoSchema, "schema %q does not exist", name)
		}
	case "tableoid", "xmin", "cmin", "xmax", "cmax", "ctid":
		if !w.tok(i + 1).Is("(") {
			return refuse(CodeNoColumn, "column %q does not exist", name)
		}
	}
	return nil
}

func (w *walker) op(i int, t lex.Token) (int, error) {
	switch t.Text {
	case "(":
		return w.open(i)
	case ")":
		return w.closeParen(i, t)
	case ",":
		f := w.top()
		f.commas = append(f.commas, i)
		if f.from {
			f.items++
			if f.items > 1 {
				w.st.Joins = true
			}
			return w.relation(i + 1)
		}
	case "::":
		return w.castType(i+1, i-1)
	case "*":
		w.star(i)
	case "[", "]":
		return i, syntaxAt(t)
	case ".", ":", "+", "-", "/", "%", "^", "|/", "||/", "@", "&", "|", "#", "~", "<<", ">>", "=", "<>", "!=", "<", ">", "<=", ">=", "||",
		"!~", "~~", "~~*", "!~~", "!~~*":
	default:
		return i, refuse(CodeNoFunction, "operator does not exist: %s", t.Text)
	}
	return i, nil
}

func (w *walker) star(i int) {
	p := w.tok(i - 1)
	if p.Is("select") || p.Is("all") || p.Is("distinct") || p.Is(".") || p.Is(",") || p.Kind == lex.Number && w.tok(i-2).Is("top") {
		w.st.Star = true
	}
}

// open enters a parenthesis.
func (w *walker) open(i int) (int, error) {
	n := w.tok(i + 1)
	if n.Is("insert") || n.Is("update") || n.Is("delete") || n.Is("merge") || n.Is("copy") {
		return i, syntaxAt(n)
	}
	if n.Is("+") && w.tok(i+2).Is(")") {
		return i, standIn("run the outer join operator (+)")
	}
	f := frame{fn: -1, open: i}
	p := w.tok(i - 1)
	switch {
	case p.Kind == lex.Quoted && !w.tok(i-2).Is("as") && w.top().call != p.Val:
		f.fn = i - 1
	case p.Kind == lex.Word && !plainWord(p.Val):
		f.fn = i - 1
	}
	f.over = p.Is("over")
	if f.fn >= 0 {
		f.as = w.tok(f.fn).Is("cast") || w.tok(f.fn).Is("try_cast")
		f.try = w.tok(f.fn).Is("try_cast")
	}
	w.stack = append(w.stack, f)
	return i, nil
}

// closeParen leaves a parenthesis.
func (w *walker) closeParen(i int, t lex.Token) (int, error) {
	if len(w.stack) == 1 {
		return i, syntaxAt(t)
	}
	w.endSelect(i)
	f := *w.top()
	w.stack = w.stack[:len(w.stack)-1]
	if w.tok(i+1).Is(".") && w.tok(i+1).Pos == t.End {
		return i, syntaxAt(w.tok(i + 1)) // fields of an expression
	}
	up := w.top()
	if f.over {
		return i, w.closeWindow(f, up, i)
	}
	if f.fn >= 0 && !f.query {
		up.call, up.callEnd = w.tok(f.fn).Val, i
	}
	return i, w.closeCall(f, i)
}

// castType rewrites the type that begins at token i. value is the token before
// the cast, for literals that no type of Redshift holds.
func (w *walker) castType(i, value int) (int, error) {
	save := w.i
	defer func() { w.i = save }()
	w.i = i
	typ, err := w.parseType(false)
	if err != nil {
		return i, err
	}
	if err := checkLiteral(typ, w.tok(value)); err != nil {
		return i, err
	}
	w.replace(i, w.i, typ.Backend)
	return w.i - 1, nil
}

// checkLiteral refuses literals that PostgreSQL's type holds and Redshift's
// does not.
func checkLiteral(typ Type, t lex.Token) error {
	if t.Kind != lex.String {
		return nil
	}
	v := strings.TrimLeft(strings.ToLower(strings.TrimSpace(t.Val)), "+-")
	switch typ.Base {
	case "date", "timestamp", "timestamptz":
		if v == "infinity" || v == "inf" {
			return refuse("22007", "invalid input syntax for type %s: %q", typ.Base, t.Val)
		}
	case "decimal":
		if v == "nan" || v == "infinity" || v == "inf" {
			return refuse("22P02", "invalid input syntax for type numeric: %q", t.Val)
		}
	case "time", "timetz":
		if strings.HasPrefix(v, "24:") {
			return refuse("22008", "date/time field value out of range: %q", t.Val)
		}
	}
	return nil
}

// subwalk walks a part out of turn.
func (w *walker) subwalk(from, to int) error {
	to = min(to, len(w.toks))
	sub := &walker{compiler: w.compiler, stack: []frame{{fn: -1, open: from - 1}}, scope: w.scope}
	for i := from; i < to; i++ {
		n, err := sub.step(i)
		if err != nil {
			return err
		}
		i = max(i, n)
	}
	sub.endSelect(to)
	return nil
}
