package sqlrule

import (
	"strconv"

	"github.com/walshift/walshift/test/redshift/internal/lex"
)

func itoa(n int) string { return strconv.Itoa(n) }

// closeWindow applies the rules of OVER (…), which ends at token i; up is the
// frame that it stands in.
func (w *walker) closeWindow(f frame, up *frame, i int) error {
	needs := false
	switch up.call {
	case "avg", "count", "max", "min", "sum", "stddev", "stddev_samp", "stddev_pop", "variance", "var_samp", "var_pop", "bit_and", "bit_or",
		"bool_and", "bool_or", "any_value", "first_value", "last_value", "nth_value":
		needs = true
	}
	switch {
	case f.ordered && !f.framed && needs:
		return refuse(CodeUnsupported, "Aggregate window functions with an ORDER BY clause require a frame clause")
	case f.framed && !needs:
		return refuse(CodeUnsupported, "function %s takes no frame clause", up.call)
	case !f.ordered && rankFunction(up.call):
		return refuse(CodeUnsupported, "window function %s requires an ORDER BY clause", up.call)
	}
	if w.shift != "" { // lag and lead over what is not NULL
		w.after[i-1] += " ROWS BETWEEN " + w.shift
		w.shift = ""
	}
	if w.windowOrder != "" {
		w.after[i-1] += " " + w.windowOrder + " ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING"
		w.windowOrder = ""
	}
	if w.overEnd != "" {
		w.after[i] += w.overEnd
		w.overEnd = ""
	}
	return nil
}

// rankFunction lists the window functions that need an order.
func rankFunction(name string) bool {
	switch name {
	case "lag", "lead", "ntile", "rs_lag", "rs_lead":
		return true
	}
	return false
}

// nullTreatment handles IGNORE NULLS and RESPECT NULLS after a call.
func (w *walker) nullTreatment(i int, t lex.Token) (int, error) {
	f := w.top()
	if !w.tok(i+1).Is("nulls") || f.callEnd != i-1 || !w.tok(i+2).Is("over") {
		return i, syntaxAt(t)
	}
	switch f.call {
	case "lag", "lead", "first_value", "last_value", "nth_value":
	default:
		return i, syntaxAt(t)
	}
	w.replace(i, i+2, "")
	if t.Val == "respect" {
		return i + 1, nil
	}
	w.ignoreNulls(w.opening(i-1)-1, i-1, f.call)
	return i + 1, nil
}

// ignoreNulls rewrites the window function whose name is token fn and whose
// arguments end at token end.
func (w *walker) ignoreNulls(fn, end int, name string) {
	if name == "first_value" || name == "last_value" {
		w.replace(fn, fn+1, "rs_types.ignore_"+name)
		return
	}
	comma := end
	depth := 0
	for j := fn + 1; j < end; j++ {
		switch t := w.tok(j); {
		case t.Is("("):
			depth++
		case t.Is(")"):
			depth--
		case depth == 1 && t.Is(","):
			comma = j
		}
	}
	n := "1"
	if comma < end {
		n = w.render(comma+1, end)
	}
	agg := "rs_types.values_of("
	switch name {
	case "lag":
		agg, w.shift = "rs_types.values_back(", "UNBOUNDED PRECEDING AND 1 PRECEDING"
	case "lead":
		w.shift = "1 FOLLOWING AND UNBOUNDED FOLLOWING"
	}
	w.replace(fn, end+1, "("+agg+w.render(fn+2, comma)+")")
	w.overEnd = ")[" + n + "]"
}

// intervalLiteral checks the fields after INTERVAL 'text'.
func (w *walker) intervalLiteral(i int) error {
	if w.tok(i+1).Kind != lex.String {
		return nil
	}
	n := w.tok(i + 2)
	switch n.Val {
	case "year", "month", "day", "hour", "minute", "second":
		if w.tok(i + 3).Is("to") {
			to := w.tok(i + 4).Val
			if n.Val == "year" && to != "month" || n.Val == "month" || n.Val == "second" ||
				n.Val == "day" && to != "hour" && to != "minute" && to != "second" ||
				n.Val == "hour" && to != "minute" && to != "second" || n.Val == "minute" && to != "second" {
				return syntaxAt(w.tok(i + 3))
			}
		}
	default:
		if n.Kind == lex.String || n.Kind == lex.Number {
			return syntaxAt(n)
		}
	}
	return nil
}
