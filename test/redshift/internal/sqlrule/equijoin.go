package sqlrule

// equijoin refuses an UPDATE or DELETE over several tables whose target is not
// tied to another by a plain equality of columns.
func (c *compiler) equijoin(from int, word string) error {
	depth, joined, where := 0, false, -1
	for i := from; i < len(c.toks); i++ {
		switch t := c.toks[i]; {
		case t.Is("("):
			depth++
		case t.Is(")"):
			depth--
		case depth == 0 && t.Is(word):
			joined = true
		case depth == 0 && t.Is("where"):
			where = i + 1
		}
	}
	if !joined {
		return nil
	}
	if where >= 0 && c.hasEquijoin(where) {
		return nil
	}
	return refuse(CodeUnsupported, "Target table must be part of an equijoin predicate")
}

// hasEquijoin looks at the conditions that AND joins, from token i on.
func (c *compiler) hasEquijoin(i int) bool {
	start, depth := i, 0
	found := false
	for ; i <= len(c.toks); i++ {
		t := c.tok(i)
		switch {
		case t.Is("("):
			depth++
		case t.Is(")"):
			depth--
		case depth == 0 && t.Is("or"):
			return false
		case depth == 0 && (i == len(c.toks) || t.Is("and")):
			found = found || c.isEquijoin(start, i)
			start = i + 1
		}
	}
	return found
}

// isEquijoin reports whether from..to is column = column, one side of the
// target and the other not.
func (c *compiler) isEquijoin(from, to int) bool {
	for c.tok(from).Is("(") && c.closing(from) == to-1 {
		from, to = from+1, to-1
	}
	left, i := c.side(from)
	if i == from || !c.tok(i).Is("=") {
		return false
	}
	right, end := c.side(i + 1)
	if end == i+1 || end != to {
		return false
	}
	if left == sideNone && right == sideNone {
		return c.foldQuiet(c.tok(from)) != c.foldQuiet(c.tok(i+1))
	}
	return left != right
}

// The sides of an equality: a column of the target, of another relation, or
// one that is not qualified.
const (
	sideNone = iota
	sideTarget
	sideOther
)

// side reads a column's name at i and tells whose it is.
func (c *compiler) side(i int) (side, end int) {
	if !c.tok(i).IsName() {
		return sideNone, i
	}
	first, n := c.foldQuiet(c.tok(i)), 1
	for end = i + 1; c.tok(end).Is(".") && c.tok(end+1).IsName(); end += 2 {
		n++
	}
	switch t := c.st.Target; {
	case n == 1:
		return sideNone, end
	case n == 2 && first == t.Table, n > 2 && first == t.Schema && c.foldQuiet(c.tok(i+2)) == t.Table:
		return sideTarget, end
	}
	return sideOther, end
}
