package sqlrule

import (
	"slices"

	"github.com/walshift/walshift/test/redshift/internal/lex"
)

// lateralLabels lets items of a select list use the labels of items before
// them, as Redshift does where no column has that name. from is the token of
// the list's FROM.
func (w *walker) lateralLabels(from int) error {
	start := w.selectOf(from)
	uses := w.labelUses(start+1, from)
	if len(uses) == 0 || w.opt.Describe == nil {
		return nil
	}
	end := w.clauseEnd(from+1, "where", "group", "having", "qualify")
	sub := &walker{compiler: w.compiler, stack: []frame{{fn: -1, open: from - 1}}, scope: w.scope}
	for i := from; i < end; i++ {
		if i == from {
			sub.top().clause = "none"
		}
		n, err := sub.step(i)
		if err != nil {
			return err
		}
		i = max(i, n)
	}
	cols, err := w.opt.Describe("SELECT * " + w.render(from, end))
	if err != nil {
		return err
	}
	for _, u := range uses {
		if !slices.Contains(cols, u.name) {
			w.replace(u.at, u.at+1, "("+w.render(u.from, u.to)+")")
		}
	}
	return nil
}

// labelUse is a use, at token at, of the label of the item from..to.
type labelUse struct {
	name         string
	at, from, to int
}

// labelUses finds names in a select list that are labels of items before them.
func (w *walker) labelUses(from, to int) []labelUse {
	type item struct{ from, to int }
	labels := map[string]item{}
	var uses []labelUse
	begin, depth := from, 0
	for j := from; j <= to; j++ {
		t := w.tok(j)
		switch {
		case depth == 0 && (j == to || t.Is(",")):
			if j-begin > 2 && w.tok(j-2).Is("as") && w.tok(j-1).IsName() {
				labels[w.foldQuiet(w.tok(j-1))] = item{begin, j - 2}
			}
			begin = j + 1
		case t.Is("("):
			depth++
		case t.Is(")"):
			depth--
		case t.Is("select"):
			return nil // a subquery has names of its own
		case t.IsName() && !w.tok(j-1).Is(".") && !w.tok(j+1).Is(".") && !w.tok(j+1).Is("(") && !w.tok(j-1).Is("as") && (t.Kind == lex.Quoted || !reserved(t.Val)):
			name := w.foldQuiet(t)
			if it, ok := labels[name]; ok {
				uses = append(uses, labelUse{name: name, at: j, from: it.from, to: it.to})
			}
		}
	}
	return uses
}

// clauseEnd returns the token after the clause that goes on at i: one of the
// words, or what ends any SELECT.
func (w *walker) clauseEnd(i int, words ...string) int {
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
		case depth == 0 && (slices.ContainsFunc(words, t.Is) || t.Kind == lex.Word && endsSelect(t.Val)):
			return i
		}
	}
	return i
}
