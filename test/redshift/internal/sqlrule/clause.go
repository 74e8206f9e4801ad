package sqlrule

import (
	"github.com/walshift/walshift/test/redshift/internal/lex"
)

// word handles a keyword or unquoted name.
func (w *walker) word(i int, t lex.Token) (int, error) {
	prev, next := w.tok(i-1), w.tok(i+1)
	if err := w.hidden(i, t.Val); err != nil {
		return i, err
	}
	if prev.Is(".") {
		if next.Is("(") && w.tok(i-2).Is("pg_catalog") {
			return i, w.function(i, t)
		}
		return i, nil
	}
	if w.startsRelation(i) {
		return w.relation(i)
	}
	if next.Is("(") && !plainWord(t.Val) {
		if err := w.refusedWord(i, t); err != nil {
			return i, err
		}
		return i, w.function(i, t)
	}
	if prev.Is("as") && !w.top().as && !t.Is("select") && !t.Is("with") && !t.Is("materialized") && !t.Is("not") {
		if backendReserved(t.Val) {
			w.replace(i, i+1, QuoteName(t.Val))
		}
		return i, nil // a label may be any word
	}
	if err := w.refusedWord(i, t); err != nil {
		return i, err
	}
	if (next.Is(".") || next.Is("[")) && !t.Is("array") {
		return w.path(i)
	}
	if backendReserved(t.Val) {
		w.replace(i, i+1, QuoteName(t.Val))
		return i, nil
	}
	return w.clause(i, t)
}

// backendReserved lists words that are reserved in PostgreSQL and not in
// Redshift, so that they may name a column.
func backendReserved(w string) bool {
	switch w {
	case "window", "lateral", "fetch", "returning", "variadic", "symmetric", "asymmetric", "concurrently", "tablesample", "collation", "binary":
		return true
	}
	return false
}

// refusedWord refuses words and word sequences that Redshift has not.
func (w *walker) refusedWord(i int, t lex.Token) error {
	next, prev := w.tok(i+1), w.tok(i-1)
	if never(t.Val) || w.refusedClause(i, t) || w.refusedInQuery(i, t) {
		return syntaxAt(t)
	}
	switch t.Val {
	case "any", "all", "some":
		if next.Is("(") && !w.tok(i+2).Is("select") && !w.tok(i+2).Is("with") && !prev.Is("union") && !prev.Is("select") {
			return refuse(CodeUnsupported, "op ANY/ALL (array) requires an array, and arrays are not supported")
		}
	case "current_catalog", "current_role", "system_user", "current_schema":
		if !next.Is("(") && !next.Is(".") && !prev.Is("as") {
			return refuse(CodeNoColumn, "column %q does not exist", t.Val)
		}
	case "connect":
		if next.Is("by") {
			return standIn("run CONNECT BY")
		}
	case "start":
		if next.Is("with") {
			return standIn("run START WITH … CONNECT BY")
		}
	}
	if next.Kind == lex.String && backendType(t.Val) {
		return typeRefused(t.Val)
	}
	return nil
}

// refusedClause lists clauses that Redshift has not.
func (w *walker) refusedClause(i int, t lex.Token) bool {
	next, prev := w.tok(i+1), w.tok(i-1)
	switch t.Val {
	case "returning", "values":
		return !prev.Is("as") && (t.Val == "values" || !next.Is(",") && !next.Is("from"))
	case "array":
		return !next.Is("(") || w.tok(i+2).Is("select")
	case "materialized":
		return true
	case "lateral":
		return next.Is("(") || next.IsName() && w.top().from
	case "tablesample":
		return next.IsName()
	case "distinct":
		return next.Is("on") || next.Is("from") && (prev.Is("is") || prev.Is("not")) || prev.Is("by") || prev.Is("(") && w.rowAt(i+1)
	case "only":
		return w.top().from
	case "window":
		return w.tok(i + 2).Is("as")
	case "for":
		return next.Is("update") || next.Is("share") || next.Is("no") || next.Is("key")
	case "filter":
		return next.Is("(") && prev.Is(")")
	case "fetch":
		return next.Is("first") || next.Is("next")
	case "with":
		return next.Is("ordinality") || next.Is("ties")
	case "on":
		return next.Is("conflict")
	case "row", "rows":
		return w.tok(i-2).Is("offset") || next.Is("from") && prev.Is("from") || t.Val == "row" && next.Is("(")
	case "search":
		return prev.Is(")") && (next.Is("depth") || next.Is("breadth"))
	case "cycle":
		return prev.Is(")") && (w.tok(i+2).Is("set") || w.tok(i+2).Is(","))
	case "percent":
		return true
	}
	return false
}

// rowAt reports whether a row of several values in parentheses stands at i.
func (w *walker) rowAt(i int) bool {
	if !w.tok(i).Is("(") {
		return false
	}
	depth := 0
	for j := i; j < w.closing(i); j++ {
		switch t := w.tok(j); {
		case t.Is("("):
			depth++
		case t.Is(")"):
			depth--
		case depth == 1 && t.Is(","):
			return true
		}
	}
	return false
}

// refusedInQuery lists words that are refused in certain places of a query.
func (w *walker) refusedInQuery(i int, t lex.Token) bool {
	next, prev, f := w.tok(i+1), w.tok(i-1), w.top()
	switch t.Val {
	case "all":
		return prev.Is("intersect") || prev.Is("except") || prev.Is("minus")
	case "symmetric", "asymmetric":
		return prev.Is("between")
	case "operator":
		return next.Is("(")
	case "collate":
		return !next.Is("(")
	case "normalized", "nfc", "nfd", "nfkc", "nfkd", "json", "document":
		return prev.Is("is") || prev.Is("not") && w.tok(i-2).Is("is")
	case "using":
		return f.clause == "order"
	case "order": // an ordered aggregate; only WITHIN GROUP and OVER order
		return f.fn >= 0 && !f.query
	case "range", "groups":
		return f.over && (next.Is("between") || next.Is("unbounded") || next.Is("current") || next.Kind == lex.Number)
	case "exclude":
		return f.over && next.IsName()
	case "similar":
		return f.fn >= 0 && !f.query && w.tok(f.fn).Is("substring")
	case "as":
		if p := w.opening2(i - 1); p >= 0 && w.tok(p-1).Is("using") && next.IsName() && w.st.Kind != Merge && w.st.Kind != Delete {
			return true // JOIN … USING (…) AS alias
		}
	case "from":
		if prev.Is("select") || prev.Is(",") {
			return true
		}
		return f.fn >= 0 && !f.query && w.tok(f.fn).Is("substring") && next.Kind == lex.String
	case "within":
		return next.Is("group") && !orderedAggregate(f.call)
	}
	return false
}

// opening2 is opening for a token that need not be a parenthesis.
func (w *walker) opening2(i int) int {
	if !w.tok(i).Is(")") {
		return -1
	}
	return w.opening(i)
}

func orderedAggregate(name string) bool {
	return name == "listagg" || name == "percentile_cont" || name == "percentile_disc"
}

// clause follows the clauses of queries and rewrites single words.
func (w *walker) clause(i int, t lex.Token) (int, error) {
	f := w.top()
	next := w.tok(i + 1)
	switch t.Val {
	case "select":
		return w.selectWord(i)
	case "with":
		if next.Is("recursive") {
			return i, w.recursive(i)
		}
	case "from", "join", "using":
		return w.fromWord(i, t)
	case "into":
		j := i + 1
		for w.tok(j).Is("temp") || w.tok(j).Is("temporary") || w.tok(j).Is("table") {
			j++
		}
		if !w.tok(j).IsName() {
			return i, syntaxAt(w.tok(j))
		}
		return w.noteRelation(j)
	case "inner", "cross", "left", "right", "full", "natural":
		f.from = f.from || next.Is("join") || next.Is("outer")
	case "on":
		f.from, f.clause = true, "on"
	case "where", "having", "limit", "offset", "set", "when":
		f.from, f.clause = false, t.Val
	case "group":
		f.from, f.clause = false, t.Val
		if next.Is("by") && w.tok(i+2).Is("all") {
			if w.tok(i + 3).Is(",") {
				return i, syntaxAt(w.tok(i + 3))
			}
			return w.groupAll(i)
		}
	case "order":
		f.from, f.clause = false, t.Val
		f.ordered = true
	case "rows":
		f.framed = true
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
			return w.castType(i+1, i-1)
		}
	default:
		return w.replacedWord(i, t)
	}
	return i, nil
}

// replacedWord rewrites words that PostgreSQL has not.
func (w *walker) replacedWord(i int, t lex.Token) (int, error) {
	next := w.tok(i + 1)
	switch t.Val {
	case "sysdate":
		w.replace(i, i+1, "pg_catalog.rs_sysdate()")
	case "current_user_id":
		w.replace(i, i+1, "pg_catalog.current_user_id()")
	case "approximate":
		if !next.Is("count") && !next.Is("percentile_disc") {
			return i, syntaxAt(next)
		}
		w.replace(i, i+1, "")
	case "respect", "ignore":
		return w.nullTreatment(i, t)
	case "current_timestamp", "current_time", "localtime", "localtimestamp":
		w.st.LeaderFunc = t.Val
	case "interval":
		return i, w.intervalLiteral(i)
	case "date", "timestamp", "time", "timestamptz", "timetz":
		if next.Kind == lex.String {
			return i, checkLiteral(Type{Base: t.Val}, next)
		}
	case "varchar", "text", "nvarchar", "super", "varbyte", "decimal", "numeric", "bpchar":
		if next.Kind == lex.String {
			return w.castType(i, i+1)
		}
	}
	return i, nil
}

// selectWord opens a SELECT: TOP n becomes a LIMIT at its end.
func (w *walker) selectWord(i int) (int, error) {
	f := w.top()
	f.query, f.from, f.items, f.clause = true, false, 0, "select"
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
	if n := w.tok(j); j >= len(w.toks) || n.Is("where") || n.Is(")") || n.Is(";") {
		return i, syntaxAt(n)
	}
	if w.tok(j).Is("top") && (w.tok(j+1).Kind == lex.Number || w.tok(j+1).Kind == lex.Param) {
		if n := w.tok(j + 2); n.Is("percent") || n.Is("with") {
			return i, syntaxAt(n)
		}
		f.top = w.tok(j + 1).Text
		w.replace(j, j+2, "")
		return j + 1, nil
	}
	if w.tok(j).Is("top") {
		return i, syntaxAt(w.tok(j))
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

// recursive checks WITH RECURSIVE: the members that name themselves need a list
// of columns and UNION ALL.
func (w *walker) recursive(i int) error {
	for j := i + 2; w.tok(j).IsName(); {
		name := w.foldQuiet(w.tok(j))
		j++
		cols := w.tok(j).Is("(")
		if cols {
			j = w.closing(j) + 1
		}
		if !w.tok(j).Is("as") || !w.tok(j+1).Is("(") {
			return syntaxAt(w.tok(j))
		}
		end := w.closing(j + 1)
		self, unionAll := false, false
		depth := 0
		for k := j + 2; k < end; k++ {
			switch t := w.toks[k]; {
			case t.Is("("):
				depth++
			case t.Is(")"):
				depth--
			case depth == 0 && t.Is("union"):
				unionAll = w.tok(k + 1).Is("all")
			case t.IsName() && w.foldQuiet(t) == name:
				p := w.tok(k - 1)
				self = self || p.Is("from") || p.Is("join") || p.Is(",")
			}
		}
		if self && (!cols || !unionAll) {
			return refuse(CodeUnsupported, "recursive common table expression %q must have a column list and use UNION ALL", name)
		}
		j = end + 1
		if !w.tok(j).Is(",") {
			return nil
		}
		j++
	}
	return nil
}

// groupAll writes GROUP BY ALL out: the items of the select list that hold no
// aggregate, by their numbers.
func (w *walker) groupAll(i int) (int, error) {
	start := w.selectOf(i)
	text, n, plain, depth := "GROUP BY ", 1, true, 0
	add := func() {
		if plain {
			if text != "GROUP BY " {
				text += ", "
			}
			text += itoa(n)
		}
		n, plain = n+1, true
	}
	for j := start + 1; j < i; j++ {
		t := w.toks[j]
		switch {
		case t.Is("("):
			depth++
		case t.Is(")"):
			depth--
		case depth == 0 && t.Is(","):
			add()
		case depth == 0 && t.Is("from"):
			add()
			if text == "GROUP BY " {
				text += "()"
			}
			w.replace(i, i+3, text)
			return i + 2, nil
		case t.Kind == lex.Word && allowedAggregate(t.Val) && w.tok(j+1).Is("("):
			plain = false
		}
	}
	return i, syntaxAt(w.tok(i))
}

// selectOf returns the SELECT that the clause at i belongs to.
func (w *walker) selectOf(i int) int {
	depth := 0
	for j := i - 1; j > w.top().open; j-- {
		switch {
		case w.tok(j).Is(")"):
			depth++
		case w.tok(j).Is("("):
			depth--
		case depth == 0 && w.tok(j).Is("select"):
			return j
		}
	}
	return w.top().open + 1
}
