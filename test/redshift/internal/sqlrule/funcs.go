package sqlrule

import (
	"strings"

	"github.com/walshift/walshift/test/redshift/internal/lex"
)

// function checks the function whose name is token i, which is followed by a
// parenthesis, and rewrites what can be rewritten by its name alone.
func (w *walker) function(i int, t lex.Token) error {
	if leaderFunction(t.Val) {
		w.st.LeaderFunc = t.Val
	}
	switch t.Val {
	case "nvl", "isnull":
		w.replace(i, i+1, "coalesce")
	case "version":
		w.replace(i, i+1, "rs_version")
	case "current_setting", "set_config":
		return w.settingFunction(i, t)
	case "pg_terminate_backend", "pg_cancel_backend", "format_type":
		w.replace(i, i+1, "rs_"+strings.TrimPrefix(t.Val, "pg_"))
	case "sysdate":
		return syntaxAt(t)
	case "grouping_id":
		w.replace(i, i+1, "grouping")
	case "dateadd", "date_add", "datediff", "date_diff", "date_part", "datepart", "pgdate_part":
		w.replace(i, i+1, strings.NewReplacer("date_add", "dateadd", "date_diff", "datediff", "datepart", "rs_date_part", "pgdate_part", "rs_date_part", "date_part", "rs_date_part").Replace(t.Val))
		if a := w.tok(i + 2); a.Kind == lex.Word && w.tok(i+3).Is(",") {
			w.replace(i+2, i+3, "'"+a.Val+"'")
		}
	case "extract":
		return w.extract(i)
	case "convert":
		_, err := w.castType(i+2, i+4)
		return err
	case "to_date", "to_timestamp", "regexp_substr", "regexp_count", "regexp_instr", "regexp_replace", "log", "round", "trunc":
		if renamedFunction(t.Val) {
			w.replace(i, i+1, "pg_catalog.rs_"+t.Val)
		}
	default:
		return w.knownFunction(t)
	}
	return nil
}

// settingFunction checks the parameter named in CURRENT_SETTING and SET_CONFIG.
func (w *walker) settingFunction(i int, t lex.Token) error {
	arg := w.tok(i + 2)
	if arg.Kind != lex.String {
		return nil
	}
	kind := settingKind(lex.Lower(arg.Val))
	switch {
	case kind == settingUnknown:
		return unknownSetting(arg.Val)
	case kind == settingOwn && t.Is("set_config"):
		return standIn("set this parameter by SET_CONFIG")
	case t.Is("current_setting"):
		w.replace(i, i+1, "rs_current_setting")
	}
	return nil
}

// renamedFunction lists functions that PostgreSQL has with other arguments or
// another result.
func renamedFunction(name string) bool {
	switch name {
	case "to_date", "to_timestamp", "regexp_substr", "regexp_count", "regexp_instr", "regexp_replace", "log":
		return true
	}
	return false
}

// knownFunction refuses functions that PostgreSQL has and Redshift has not, and
// names those that Redshift has and the stand-in has not.
func (w *walker) knownFunction(t lex.Token) error {
	switch {
	case allowedFunction(t.Val):
		return nil
	case refusedFunction(t.Val), w.opt.Builtin != nil && w.opt.Builtin(t.Val):
		return noFunction(t.Val)
	case missingFunction(t.Val):
		return standIn("have the function " + t.Val)
	}
	return nil
}

// extract writes EXTRACT(part FROM x) as a call, for Redshift's names of parts
// and its result types.
func (w *walker) extract(i int) error {
	part := w.tok(i + 2)
	if part.Kind != lex.Word && part.Kind != lex.String || !w.tok(i+3).Is("from") {
		return syntaxAt(part)
	}
	w.replace(i, i+1, "rs_extract")
	w.replace(i+2, i+4, QuoteText(part.Val)+",")
	return nil
}

func noFunction(name string) *Refusal {
	return refuse(CodeNoFunction, "function %s(...) does not exist", name)
}

// standIn refuses what Redshift takes and the stand-in cannot do.
func standIn(what string) *Refusal {
	return refuse(CodeUnsupported, "the stand-in does not %s", what)
}

// closeCall rewrites a call when its closing parenthesis, token end, is met:
// its arguments have been rewritten by then.
func (w *walker) closeCall(f frame, end int) error {
	if f.fn < 0 || f.query {
		return nil
	}
	args := make([]string, 0, len(f.commas)+1)
	start := f.open + 1
	for _, comma := range append(append([]int(nil), f.commas...), end) {
		args = append(args, w.render(start, comma))
		start = comma + 1
	}
	if end == f.open+1 {
		args = args[:0]
	}
	name := w.tok(f.fn).Val
	if want := arity(name); want > 0 && len(args) != want || name == "decode" && len(args) < 3 || name == "nvl" && len(args) == 0 ||
		(name == "lag" || name == "lead") && (len(args) == 0 || len(args) > 2) {
		if name == "lag" || name == "lead" {
			return refuse(CodeUnsupported, "Default parameter not be supported for window function %s", name)
		}
		return noFunction(name)
	}
	momentArguments(name, args, w, f)
	windowed := w.tok(end + 1).Is("over")
	var text string
	switch name {
	case "nvl2":
		text = "(CASE WHEN (" + args[0] + ") IS NOT NULL THEN " + args[1] + " ELSE " + args[2] + " END)"
	case "decode":
		text = decodeCase(args)
	case "convert":
		text = "CAST(" + args[1] + " AS " + args[0] + ")"
	case "concat":
		text = "((" + args[0] + ") || (" + args[1] + "))"
	case "try_cast":
		return w.tryCast(f, end)
	case "collate":
		return w.collateCall(f, args, end)
	case "median":
		text = "percentile_cont(0.5) WITHIN GROUP (ORDER BY " + args[0] + ")"
		if windowed {
			text = "rs_types.percentile_cont((" + args[0] + ")::float8, 0.5)"
		}
	case "hll":
		text = "count(DISTINCT " + args[0] + ")"
	case "ratio_to_report":
		if !windowed {
			return refuse(CodeSyntax, "window function %s requires an OVER clause", name)
		}
		text = "((" + args[0] + ")::float8 / nullif(sum(" + args[0] + ")"
		w.overEnd = ", 0)::float8)"
	case "array", "object":
		if name == "object" && len(args)%2 == 1 {
			return noFunction(name)
		}
		text = "rs_types.to_super(jsonb_build_" + name + "(" + strings.Join(supers(args, name == "object"), ",") + "))"
	case "repeat", "replicate":
		text = "rs_types.fits(" + name + "(" + strings.Join(args, ", ") + "))"
	case "percentile_cont", "percentile_disc":
		return w.percentile(f, args, end)
	case "listagg":
		return w.listagg(f, args, end)
	case "dateadd", "date_add", "datediff", "date_diff", "last_day", "add_months", "months_between", "next_day":
		text = w.render(f.fn, f.fn+1) + "(" + strings.Join(args, ", ") + ")"
	default:
		return nil
	}
	w.replace(f.fn, end+1, text)
	return nil
}

// momentArguments makes timestamps of the bare literals among the arguments of
// date functions; PostgreSQL would prefer a time zone.
func momentArguments(name string, args []string, w *walker, f frame) {
	first := 0
	switch name {
	case "dateadd", "date_add":
		first = 2
	case "datediff", "date_diff":
		first = 1
	case "last_day", "add_months", "months_between", "next_day":
	default:
		return
	}
	starts := append([]int{f.open}, f.commas...)
	for i := range args {
		if i < first || i >= len(starts) || name == "next_day" && i > 0 || name == "add_months" && i > 0 {
			continue
		}
		if t := w.tok(starts[i] + 1); t.Kind == lex.String && (w.tok(starts[i]+2).Is(",") || w.tok(starts[i]+2).Is(")")) {
			args[i] += "::timestamp"
		}
	}
}

// arity gives the number of arguments of functions that are rewritten.
func arity(name string) int {
	switch name {
	case "median", "hll", "ratio_to_report", "percentile_cont", "percentile_disc":
		return 1
	case "concat", "convert", "collate":
		return 2
	case "nvl2":
		return 3
	}
	return 0
}

// supers makes JSON of arguments that are SUPER values themselves; keys are
// text.
func supers(args []string, keyed bool) []string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = "rs_types.element(" + a + ")"
		if keyed && i%2 == 0 {
			out[i] = "(" + a + ")::text"
		}
	}
	return out
}

func decodeCase(args []string) string {
	var b strings.Builder
	b.WriteString("(CASE")
	rest := args[1:]
	for len(rest) >= 2 {
		b.WriteString(" WHEN (" + args[0] + ") IS NOT DISTINCT FROM (" + rest[0] + ") THEN " + rest[1])
		rest = rest[2:]
	}
	if len(rest) == 1 {
		b.WriteString(" ELSE " + rest[0])
	}
	b.WriteString(" END)")
	return b.String()
}

// tryCast writes TRY_CAST(x AS type), whose type has been rewritten.
func (w *walker) tryCast(f frame, end int) error {
	for i := end - 1; i > f.open; i-- {
		if w.tok(i).Is("as") {
			typ := w.render(i+1, end)
			w.replace(f.fn, end+1, "(rs_types.try_cast(("+w.render(f.open+1, i)+")::text, "+QuoteText(typ)+")::text::"+typ+")")
			return nil
		}
	}
	return syntaxAt(w.tok(end))
}

// collateCall writes COLLATE(x, 'case_sensitive' | 'case_insensitive').
func (w *walker) collateCall(f frame, args []string, end int) error {
	t := w.tok(end - 1)
	if t.Kind != lex.String {
		return syntaxAt(t)
	}
	col := `"C"`
	switch lex.Lower(t.Val) {
	case "case_sensitive", "cs":
	case "case_insensitive", "ci":
		col = caseInsensitive
	default:
		return refuse(CodeBadParameter, "invalid collation %q", t.Val)
	}
	w.replace(f.fn, end+1, "(("+args[0]+")::rs_types.varchar COLLATE "+col+")")
	return nil
}

// percentile handles PERCENTILE_CONT and _DISC, which PostgreSQL has not as
// window functions.
func (w *walker) percentile(f frame, args []string, end int) error {
	if !w.tok(end+1).Is("within") || !w.tok(end+2).Is("group") || !w.tok(end+3).Is("(") {
		return syntaxAt(w.tok(end + 1))
	}
	last := w.closing(end + 3)
	if !w.tok(last + 1).Is("over") {
		return nil
	}
	if !w.tok(end+4).Is("order") || !w.tok(end+5).Is("by") {
		return syntaxAt(w.tok(end + 4))
	}
	if err := w.subwalk(end+6, last); err != nil {
		return err
	}
	value := w.render(end+6, last)
	if d := w.tok(last - 1); d.Is("asc") || d.Is("desc") {
		value = w.render(end+6, last-1)
		if d.Is("desc") {
			args[0] = "1 - (" + args[0] + ")"
		}
	}
	w.replace(f.fn, last+1, "rs_types."+w.tok(f.fn).Val+"(("+value+")::float8, "+args[0]+")")
	return nil
}

// listagg turns LISTAGG(x, sep) WITHIN GROUP (ORDER BY y) into string_agg.
func (w *walker) listagg(f frame, args []string, end int) error {
	sep := "''"
	if len(args) > 1 {
		sep = args[1]
	}
	if len(args) == 0 || len(args) > 2 {
		return noFunction("listagg")
	}
	w.st.Words["listagg"] = true
	x, distinct := args[0], false
	if w.tok(f.open + 1).Is("distinct") {
		distinct = true
		x = w.render(f.open+2, f.open+2+w.span(f, end)-1)
	}
	within := w.tok(end+1).Is("within") && w.tok(end+2).Is("group") && w.tok(end+3).Is("(")
	order, last := "", end
	if within {
		last = w.closing(end + 3)
		if !w.tok(end+4).Is("order") || !w.tok(end+5).Is("by") {
			return syntaxAt(w.tok(end + 4))
		}
		if err := w.subwalk(end+4, last); err != nil {
			return err
		}
		order = w.render(end+4, last)
	}
	text := "(" + x + ")::text, " + sep
	switch {
	case w.tok(last + 1).Is("over"):
		w.replace(f.fn, last+1, "string_agg("+text+")")
		if order != "" {
			w.windowOrder = order
		}
	case distinct:
		if d := w.tok(last - 1); within && d.Is("desc") {
			text = "DISTINCT (" + x + ")::text COLLATE \"C\", " + sep + " ORDER BY (" + x + ")::text COLLATE \"C\" DESC"
		} else {
			text = "DISTINCT " + text
		}
		w.replace(f.fn, last+1, "rs_types.fits(string_agg("+text+"))")
	default:
		if order != "" {
			text += " " + order
		}
		w.replace(f.fn, last+1, "rs_types.fits(string_agg("+text+"))")
	}
	return nil
}

// span counts the tokens of the first argument.
func (w *walker) span(f frame, end int) int {
	if len(f.commas) > 0 {
		return f.commas[0] - f.open - 1
	}
	return end - f.open - 1
}
