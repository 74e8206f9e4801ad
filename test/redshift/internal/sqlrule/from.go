package sqlrule

import (
	"strings"

	"github.com/walshift/walshift/test/redshift/internal/lex"
)

// fromWord handles FROM, JOIN and USING.
func (w *walker) fromWord(i int, t lex.Token) (int, error) {
	f := w.top()
	next := w.tok(i + 1)
	if f.fn >= 0 && !f.query {
		return i, nil // extract(… FROM …), substring(… FROM …)
	}
	if t.Val == "using" && next.Is("(") && f.from && w.st.Kind != Merge && w.st.Kind != Delete {
		f.from = false // JOIN … USING (columns)
		return i, nil
	}
	if t.Val == "from" && f.query && f.clause == "select" {
		if err := w.lateralLabels(i); err != nil {
			return i, err
		}
	}
	f.from, f.clause = true, "from"
	f.items++
	if t.Val == "join" || f.items > 1 && w.st.Kind != Delete || w.st.Kind == Update && len(w.stack) == 1 {
		w.st.Joins = true
	}
	return w.relation(i + 1)
}

// startsRelation reports whether a FROM item begins at token i.
func (w *walker) startsRelation(i int) bool {
	prev := w.tok(i - 1)
	return w.top().from && w.tok(i).IsName() &&
		(prev.Is("from") || prev.Is("join") || prev.Is(",") || prev.Is("using") || prev.Is("into"))
}

// relation handles the FROM item that begins at i and returns the last token
// that it has dealt with.
func (w *walker) relation(i int) (int, error) {
	t := w.tok(i)
	if !w.top().from || !w.startsRelation(i) {
		if t.Is("(") {
			return w.pivoted(i, w.closing(i))
		}
		return i - 1, nil
	}
	switch {
	case t.Is("unpivot"):
		return w.unpivotObject(i)
	case t.Is("unnest") && w.tok(i+1).Is("("):
		return w.unnest(i)
	case t.Is("lateral"), t.Is("only"), t.Is("rows") && w.tok(i+1).Is("from"):
		return i, syntaxAt(t)
	}
	if n, ok, err := w.superItem(i); ok || err != nil {
		return n, err
	}
	end := w.nameEnd(i)
	if w.tok(end).Is("(") {
		name := w.tok(end - 1)
		return end - 1, w.function(end-1, lex.Token{Kind: lex.Word, Text: name.Text, Val: w.foldQuiet(name), Pos: name.Pos, End: name.End})
	}
	return w.noteRelation(i)
}

// nameEnd returns the token after the dotted name at i.
func (w *walker) nameEnd(i int) int {
	i++
	for w.tok(i).Is(".") && w.tok(i+1).IsName() {
		i += 2
	}
	return i
}

// noteRelation records the relation whose name begins at i and gives back the
// name's last token.
func (w *walker) noteRelation(i int) (int, error) {
	save := w.i
	w.i = i
	n, err := w.qname()
	end := w.i
	w.i = save
	if err != nil {
		return i, err
	}
	if w.tok(end).Is("*") {
		return i, syntaxAt(w.tok(end))
	}
	if err := w.checkAlias(end); err != nil {
		return i, err
	}
	w.st.Words[n.Table] = true
	if r, err := w.systemRelation(n); err != nil || r != "" {
		if err != nil {
			return i, err
		}
		w.replace(i, end, w.aliased(r, n.Table, end))
	} else if end-i > 3 { // database.schema.table
		w.replace(i, end, n.SQL())
	}
	if w.opt.LateView != nil {
		if def, ok := w.opt.LateView(n); ok {
			w.replace(i, end, w.aliased("("+def+")", n.Table, end))
			w.st.Joins = true
		}
	}
	w.st.Refs = append(w.st.Refs, n)
	return w.pivoted(i, end-1)
}

// aliased adds the relation's own name as its alias, if none follows.
func (w *walker) aliased(text, name string, end int) string {
	if w.aliasAt(end) != "" {
		return text
	}
	return text + " AS " + QuoteName(name)
}

// systemRelation gives what stands for a relation of PostgreSQL's catalog. The
// ones that Redshift has not do not exist.
func (w *walker) systemRelation(n Name) (string, error) {
	switch n.Schema {
	case "information_schema":
		if informationView(n.Table) {
			return "rs_catalog.is_" + n.Table, nil
		}
	case "pg_catalog", "":
		switch {
		case catalogView(n.Table):
			return "rs_catalog." + n.Table, nil
		case strings.HasPrefix(n.Table, "pg_") && !catalogTable(n.Table) && (n.Schema != "" || w.opt.Builtin != nil):
		default:
			return "", nil
		}
	default:
		return "", nil
	}
	return "", refuse(CodeNoTable, "relation %q does not exist", n.String())
}

// checkAlias refuses reserved words as the alias at token i.
func (w *walker) checkAlias(i int) error {
	t := w.tok(i)
	if t.Is("as") {
		t = w.tok(i + 1)
		if t.Kind == lex.Word && reserved(t.Val) && !t.Is("array") {
			return syntaxAt(t)
		}
		return nil
	}
	if t.Kind != lex.Word || itemEnd(t.Val) && !t.Is("connect") && !t.Is("start") {
		return nil
	}
	if t.Is("connect") && w.tok(i+1).Is("by") || t.Is("start") && w.tok(i+1).Is("with") {
		return nil
	}
	if reserved(t.Val) || t.Is("connect") || t.Is("start") {
		return syntaxAt(t)
	}
	return nil
}

// superItem handles a FROM item that is an array inside a SUPER value: alias.path
// AS element [AT index].
func (w *walker) superItem(i int) (int, bool, error) {
	first := w.foldQuiet(w.tok(i))
	dotted := w.tok(i+1).Is(".") || w.tok(i+1).Is("[")
	if !w.scope.alias[first] || !dotted && !w.scope.values[first] {
		return i, false, nil
	}
	if !dotted && !w.arrayAgain(i) {
		return i, false, nil
	}
	expr, end, err := w.pathExpr(i)
	if err != nil {
		return i, true, err
	}
	n, err := w.unnested(i, end, expr)
	return n, true, err
}

// arrayAgain reports whether the name at i is an element that was made by an
// item of the same FROM list before.
func (w *walker) arrayAgain(i int) bool {
	return w.scope.values[w.foldQuiet(w.tok(i))]
}

// unnested replaces the item from..end by a subquery over the elements of expr,
// whose alias stands for the element.
func (w *walker) unnested(from, end int, expr string) (int, error) {
	alias := w.aliasAt(end)
	if alias == "" {
		return from, syntaxAt(w.tok(end))
	}
	end++
	if w.tok(end - 1).Is("as") {
		end++
	}
	w.scope.alias[alias], w.scope.values[alias] = true, true
	cols := "x.v AS " + QuoteName(alias)
	if w.tok(end).Is("at") && w.tok(end+1).IsName() {
		cols += ", x.i AS " + QuoteName(w.fold(w.tok(end+1)))
		end += 2
	}
	w.replace(from, end, "LATERAL (SELECT "+cols+" FROM rs_types.elements("+expr+") AS x(v, i)) AS "+QuoteName(alias))
	w.st.Joins = true
	return end - 1, nil
}

// unnest handles UNNEST(array) [[AS] alias [(columns)]] and … WITH OFFSET.
func (w *walker) unnest(i int) (int, error) {
	closing := w.closing(i + 1)
	if err := w.subwalk(i+2, closing); err != nil {
		return i, err
	}
	expr := w.render(i+2, closing)
	end := closing + 1
	offset := w.tok(end).Is("with") && w.tok(end+1).Is("offset")
	if offset {
		end += 2
	}
	alias := w.aliasAt(end)
	if alias == "" {
		return i, syntaxAt(w.tok(end))
	}
	if w.tok(end).Is("as") {
		end++
	}
	end++
	cols := []string{alias}
	if w.tok(end).Is("(") {
		save := w.i
		w.i = end
		names, err := w.names()
		end, w.i = w.i, save
		if err != nil {
			return i, err
		}
		cols = names
	}
	limit := 1
	if offset {
		limit = 2
		if len(cols) == 1 {
			cols = append(cols, "offset_col")
		}
	}
	if len(cols) != limit {
		return i, refuse(CodeSyntax, "UNNEST gives %d columns, %d are named", limit, len(cols))
	}
	list := "x.v AS " + QuoteName(cols[0])
	if offset {
		list += ", x.i AS " + QuoteName(cols[1])
	}
	w.replace(i, end, "LATERAL (SELECT "+list+" FROM rs_types.elements("+expr+") AS x(v, i)) AS "+QuoteName(alias))
	w.st.Joins = true
	return end - 1, nil
}

// unpivotObject handles UNPIVOT expr AS value [AT attribute] in a FROM list.
func (w *walker) unpivotObject(i int) (int, error) {
	if !w.tok(i + 1).IsName() {
		return i, syntaxAt(w.tok(i + 1))
	}
	expr, end, err := w.pathExpr(i + 1)
	if err != nil {
		return i, err
	}
	alias := w.aliasAt(end)
	if alias == "" {
		return i, syntaxAt(w.tok(end))
	}
	if w.tok(end).Is("as") {
		end++
	}
	end++
	cols := "x.v AS " + QuoteName(alias)
	if w.tok(end).Is("at") && w.tok(end+1).IsName() {
		cols += ", x.k AS " + QuoteName(w.fold(w.tok(end+1)))
		end += 2
	}
	w.scope.alias[alias], w.scope.values[alias] = true, true
	w.replace(i, end, "LATERAL (SELECT "+cols+" FROM rs_types.attributes("+expr+") AS x(k, v)) AS "+QuoteName(alias))
	w.st.Joins = true
	return end - 1, nil
}
