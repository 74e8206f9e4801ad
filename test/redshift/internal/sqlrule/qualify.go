package sqlrule

import "strings"

// qualify turns SELECT … QUALIFY cond into a subquery that is filtered by cond.
func (w *walker) qualify(i int) (int, error) {
	start := w.selectOf(i)
	if !w.tok(start).Is("select") {
		return i, syntaxAt(w.tok(i))
	}
	end := w.clauseEnd(i + 1)
	if end == i+1 {
		return i, syntaxAt(w.tok(end))
	}
	if err := w.subwalk(i+1, end); err != nil {
		return i, err
	}
	from := start
	for ; from < i && !w.tok(from).Is("from"); from++ {
		if w.tok(from).Is("(") {
			from = w.closing(from)
		}
	}
	labels := w.selectLabels(start+1, from)
	for j := i + 1; j < end; j++ {
		t := w.tok(j)
		if !t.IsName() || w.tok(j+1).Is("(") || w.tok(j+1).Is(".") || w.tok(j-1).Is(".") {
			continue
		}
		if text, ok := labels[w.foldQuiet(t)]; ok {
			w.replace(j, j+1, "("+text+")")
		}
	}
	if w.opt.Describe == nil {
		return i, standIn("run QUALIFY without a session")
	}
	cols, err := w.opt.Describe(w.render(start, i))
	if err != nil {
		return i, err
	}
	for n := range cols {
		cols[n] = QuoteName(cols[n])
	}
	text := "SELECT " + strings.Join(cols, ", ") + " FROM (" + w.render(start, from) + ", (" + w.render(i+1, end) + ") AS rs_qualify " + w.render(from, i) + ") AS rs_q WHERE rs_qualify"
	w.replace(start, end, text)
	return end - 1, nil
}

// selectLabels gives the items of a select list that have a label, for
// conditions that use it.
func (w *walker) selectLabels(from, to int) map[string]string {
	out := map[string]string{}
	begin := from
	if w.tok(begin).Is("distinct") || w.tok(begin).Is("all") {
		begin++
	}
	depth := 0
	for j := begin; j <= to; j++ {
		t := w.tok(j)
		switch {
		case t.Is("("):
			depth++
		case t.Is(")"):
			depth--
		case depth == 0 && (j == to || t.Is(",")):
			if j-begin > 2 && w.tok(j-2).Is("as") && w.tok(j-1).IsName() {
				out[w.foldQuiet(w.tok(j-1))] = w.render(begin, j-2)
			}
			begin = j + 1
		}
	}
	return out
}

// endsSelect lists the words that follow the conditions of a SELECT.
func endsSelect(w string) bool {
	switch w {
	case "order", "limit", "union", "except", "minus", "intersect", "offset":
		return true
	}
	return false
}
