package sqlrule

import (
	"strings"

	"github.com/walshift/walshift/test/redshift/internal/lex"
)

// path handles a name in an expression: a column, or a way into a SUPER value by
// dots and subscripts.
func (w *walker) path(i int) (int, error) {
	if !w.tok(i+1).Is(".") && !w.tok(i+1).Is("[") {
		return i, nil
	}
	expr, end, err := w.pathExpr(i)
	if err != nil || end == i {
		return i, err
	}
	if expr == "" {
		return end - 1, nil
	}
	if label := w.label(i, end); label != "" {
		expr += " AS " + QuoteName(label)
	}
	w.replace(i, end, expr)
	return end - 1, nil
}

// pathExpr reads the chain of names and subscripts at i. It returns the
// expression for PostgreSQL, empty if the chain is a plain column, and the token
// after the chain.
func (w *walker) pathExpr(i int) (string, int, error) {
	parts := []lex.Token{w.tok(i)}
	var subs [][]lex.Token // subscripts after part n
	subs = append(subs, nil)
	end := i + 1
	for {
		if w.tok(end).Is(".") && w.tok(end+1).IsName() {
			parts, subs = append(parts, w.tok(end+1)), append(subs, nil)
			end += 2
			continue
		}
		if w.tok(end).Is("[") {
			n := w.tok(end + 1)
			if n.Kind != lex.Number || strings.ContainsAny(n.Text, ".eE") || !w.tok(end+2).Is("]") {
				return "", i, syntaxAt(n)
			}
			subs[len(subs)-1] = append(subs[len(subs)-1], n)
			end += 3
			continue
		}
		break
	}
	for n, p := range parts {
		w.st.Words[w.foldQuiet(p)] = true
		if err := w.hidden(i+2*n, w.foldQuiet(p)); err != nil {
			return "", i, err
		}
	}
	if w.tok(end).Is("(") || w.tok(end).Is(".") && w.tok(end+1).Is("*") {
		return "", i, nil // schema.function(…), alias.*
	}
	base := w.baseParts(parts)
	if base > len(parts) {
		return "", i, nil
	}
	if base == len(parts) && len(subs[base-1]) == 0 {
		if base == 4 { // database.schema.table.column
			return w.quoteParts(parts[1:]), end, nil
		}
		if base == 1 && end == i+1 || w.anySub(subs[:base]) {
			return w.plainColumn(parts), end, nil
		}
		return "", end, nil
	}
	expr := w.quoteParts(parts[:base])
	for n := base - 1; n < len(parts); n++ {
		if n >= base {
			expr = "pg_catalog.rs_super_get(" + expr + ", " + QuoteText(w.foldQuiet(parts[n])) + ")"
		}
		for _, s := range subs[n] {
			expr = "pg_catalog.rs_super_get(" + expr + ", " + s.Text + ")"
		}
	}
	return expr, end, nil
}

func (w *walker) plainColumn(parts []lex.Token) string { return w.quoteParts(parts) }

func (w *walker) anySub(subs [][]lex.Token) bool {
	for _, s := range subs {
		if len(s) > 0 {
			return true
		}
	}
	return false
}

// baseParts tells how many of the names make the column; the others are
// attributes inside of it.
func (w *walker) baseParts(parts []lex.Token) int {
	first := w.foldQuiet(parts[0])
	switch {
	case len(parts) == 1:
		return 1
	case w.scope.values[first]:
		return 1 // the element of an unnested array
	case w.scope.alias[first]:
		return 2
	case len(parts) > 2 && w.scope.tables[first+"."+w.foldQuiet(parts[1])]:
		return 3
	case len(parts) > 2 && w.scope.alias[w.foldQuiet(parts[1])] && !w.scope.values[w.foldQuiet(parts[1])]:
		return 3 // schema.table.column of a table named without its schema
	case len(parts) > 3 && first == w.opt.Database && w.scope.tables[w.foldQuiet(parts[1])+"."+w.foldQuiet(parts[2])]:
		return 4
	case len(w.scope.alias) == 0:
		return len(parts)
	}
	return 1
}

func (w *walker) quoteParts(parts []lex.Token) string {
	out := make([]string, len(parts))
	for i, p := range parts {
		out[i] = QuoteName(w.fold(p))
	}
	return strings.Join(out, ".")
}

// label gives the name that a path has as an item of a select list.
func (w *walker) label(i, end int) string {
	f := w.top()
	if !f.query || f.clause != "select" || f.from {
		return ""
	}
	p, n := w.tok(i-1), w.tok(end)
	starts := p.Is("select") || p.Is("distinct") || p.Is("all") || p.Is(",") || p.Kind == lex.Number && w.tok(i-2).Is("top")
	ends := end >= len(w.toks) || n.Is(",") || n.Is("from") || n.Is(")") || n.Is("union")
	if !starts || !ends {
		return ""
	}
	for j := end - 1; j >= i; j-- {
		if w.tok(j).IsName() {
			return w.foldQuiet(w.tok(j))
		}
	}
	return ""
}
