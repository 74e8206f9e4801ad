package sqlrule

import (
	"strings"

	"github.com/walshift/walshift/test/redshift/internal/lex"
)

// pivoted handles PIVOT and UNPIVOT after the FROM item from..last. Without
// one it returns last, or from-1 for a subquery that is still to be walked.
func (w *walker) pivoted(from, last int) (int, error) {
	plain := last
	if w.tok(from).Is("(") {
		plain = from - 1
	}
	at := last + 1
	if a := w.aliasAt(at); a != "" && (w.tok(at+1).Is("pivot") || w.tok(at+1).Is("unpivot") || w.tok(at).Is("as") && (w.tok(at+2).Is("pivot") || w.tok(at+2).Is("unpivot"))) {
		at++
		if w.tok(at - 1).Is("as") {
			at++
		}
	}
	if !w.tok(at).Is("pivot") && !w.tok(at).Is("unpivot") {
		return plain, nil
	}
	if w.tok(from).Is("(") {
		if err := w.subwalk(from+1, last); err != nil {
			return from, err
		}
	}
	input := w.render(from, last+1)
	if w.tok(from).Is("(") {
		input += " AS rs_input"
	}
	if w.opt.Describe == nil {
		return from, standIn("run PIVOT without a session")
	}
	cols, err := w.opt.Describe("SELECT * FROM " + input)
	if err != nil {
		return from, err
	}
	save := w.i
	defer func() { w.i = save }()
	w.i = at + 1
	var text string
	if w.tok(at).Is("pivot") {
		text, err = w.pivot(input, cols)
	} else {
		text, err = w.unpivot(input, cols)
	}
	if err != nil {
		return from, err
	}
	end := w.i
	if w.aliasAt(end) == "" {
		text += " AS rs_pivot"
	}
	w.replace(from, end, text)
	w.st.Joins = true
	return end - 1, nil
}

// aggregate is one aggregate of a PIVOT.
type aggregate struct{ name, arg, alias string }

// pivot takes (aggregate(column) [[AS] alias] [, …] FOR column IN (value [[AS]
// alias] [, …])) at w.i.
func (w *walker) pivot(input string, cols []string) (string, error) {
	if err := w.expect("("); err != nil {
		return "", err
	}
	used := map[string]bool{}
	var aggs []aggregate
	for {
		a, err := w.pivotAggregate(used)
		if err != nil {
			return "", err
		}
		aggs = append(aggs, a)
		if !w.accept(",") {
			break
		}
	}
	if err := w.expect("for"); err != nil {
		return "", err
	}
	key, err := w.name()
	if err != nil {
		return "", err
	}
	used[key] = true
	if err := w.expect("in", "("); err != nil {
		return "", err
	}
	var groups, list []string
	for _, col := range cols {
		if !used[col] {
			groups = append(groups, QuoteName(col))
		}
	}
	list = append(list, groups...)
	for {
		value, label, err := w.pivotValue()
		if err != nil {
			return "", err
		}
		for _, a := range aggs {
			name := label
			if a.alias != "" {
				name += "_" + a.alias
			}
			list = append(list, a.name+"(CASE WHEN "+QuoteName(key)+" = "+value+" THEN "+a.arg+" END) AS "+QuoteName(name))
		}
		if !w.accept(",") {
			break
		}
	}
	if err := w.expect(")", ")"); err != nil {
		return "", err
	}
	text := "(SELECT " + strings.Join(list, ", ") + " FROM " + input
	if len(groups) > 0 {
		text += " GROUP BY " + strings.Join(groups, ", ")
	}
	return text + ")", nil
}

func (w *walker) pivotAggregate(used map[string]bool) (aggregate, error) {
	t := w.at(0)
	switch t.Val {
	case "min", "max", "avg", "sum", "count":
	default:
		return aggregate{}, syntaxAt(t)
	}
	w.i++
	if err := w.expect("("); err != nil {
		return aggregate{}, err
	}
	a := aggregate{name: t.Val, arg: "1"}
	if !w.accept("*") {
		col, err := w.name()
		if err != nil {
			return a, err
		}
		used[col] = true
		a.arg = QuoteName(col)
	}
	if err := w.expect(")"); err != nil {
		return a, err
	}
	if w.accept("as") || w.at(0).IsName() && !w.is("for") {
		alias, err := w.name()
		a.alias = alias
		return a, err
	}
	return a, nil
}

func (w *walker) pivotValue() (value, label string, err error) {
	t := w.at(0)
	switch {
	case t.Kind == lex.String:
		value, label = t.Text, lex.Lower(t.Val)
	case t.Kind == lex.Number:
		value, label = t.Text, t.Text
	case t.Is("-") && w.at(1).Kind == lex.Number:
		w.i++
		value, label = "-"+w.at(0).Text, "-"+w.at(0).Text
	default:
		return "", "", syntaxAt(t)
	}
	w.i++
	if w.accept("as") || w.at(0).IsName() {
		label, err = w.name()
	}
	return value, label, err
}

// unpivot takes [INCLUDE NULLS | EXCLUDE NULLS] (value FOR name IN (column [[AS]
// label] [, …])) at w.i.
func (w *walker) unpivot(input string, cols []string) (string, error) {
	keep := w.accept("include", "nulls")
	if !keep {
		w.accept("exclude", "nulls")
	}
	if err := w.expect("("); err != nil {
		return "", err
	}
	value, err := w.name()
	if err != nil {
		return "", err
	}
	if err := w.expect("for"); err != nil {
		return "", err
	}
	name, err := w.name()
	if err != nil {
		return "", err
	}
	if err := w.expect("in", "("); err != nil {
		return "", err
	}
	gone := map[string]bool{}
	var rows []string
	for {
		col, err := w.name()
		if err != nil {
			return "", err
		}
		label := col
		if w.accept("as") || w.at(0).IsName() || w.at(0).Kind == lex.String {
			label = w.fold(w.at(0))
			w.i++
		}
		gone[col] = true
		rows = append(rows, "("+QuoteText(label)+"::rs_types.varchar, "+QuoteName(col)+")")
		if !w.accept(",") {
			break
		}
	}
	if err := w.expect(")", ")"); err != nil {
		return "", err
	}
	var list []string
	for _, col := range cols {
		if !gone[col] {
			list = append(list, "rs_in."+QuoteName(col))
		}
	}
	list = append(list, "rs_row."+QuoteName(name), "rs_row."+QuoteName(value))
	text := "(SELECT " + strings.Join(list, ", ") + " FROM (SELECT * FROM " + input + ") AS rs_in, LATERAL (VALUES " + strings.Join(rows, ", ") +
		") AS rs_row(" + QuoteName(name) + ", " + QuoteName(value) + ")"
	if !keep {
		text += " WHERE rs_row." + QuoteName(value) + " IS NOT NULL"
	}
	return text + ")", nil
}
