package sqlrule

import (
	"strings"

	"github.com/walshift/walshift/test/redshift/internal/lex"
)

// function checks the function whose name is token i, which is followed by a
// parenthesis, and rewrites what can be rewritten by its name alone.
func (w *walker) function(i int, t lex.Token) error {
	switch t.Val {
	case "nvl", "isnull":
		w.replace(i, i+1, "coalesce")
	case "version":
		w.replace(i, i+1, "rs_version")
	case "pg_terminate_backend", "pg_cancel_backend", "format_type":
		w.replace(i, i+1, "rs_"+strings.TrimPrefix(t.Val, "pg_"))
	case "sysdate":
		return syntaxAt(t)
	case "dateadd", "date_add", "datediff", "date_diff", "date_part", "datepart", "pgdate_part":
		w.replace(i, i+1, strings.NewReplacer("date_add", "dateadd", "date_diff", "datediff", "datepart", "date_part", "pgdate_part", "date_part").Replace(t.Val))
		if a := w.tok(i + 2); a.Kind == lex.Word && w.tok(i+3).Is(",") {
			w.replace(i+2, i+3, "'"+a.Val+"'")
		}
	case "convert":
		_, err := w.castType(i + 2)
		return err
	case "array":
		if w.tok(i + 2).Is("select") {
			return syntaxAt(t)
		}
	case "generate_series", "now", "age", "isfinite", "current_schema", "has_table_privilege", "has_schema_privilege", "has_database_privilege":
		w.st.LeaderFunc = t.Val
	case "xmlelement", "xmlforest", "xmlconcat", "xmlparse", "xmlroot", "xmlserialize", "grouping_sets", "normalize", "overlay",
		"try_cast", "string_agg", "array_agg", "generate_subscripts", "concat_ws":
		return noFunction(t.Val)
	default:
		if !allowedFunction(t.Val) && w.opt.Builtin != nil && w.opt.Builtin(t.Val) {
			return noFunction(t.Val)
		}
	}
	return nil
}

func noFunction(name string) *Refusal {
	return refuse(CodeNoFunction, "function %s(...) does not exist", name)
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
	arity := len(args)
	if end == f.open+1 {
		arity = 0
	}
	var text string
	switch w.tok(f.fn).Val {
	case "nvl2":
		if arity != 3 {
			return noFunction("nvl2")
		}
		text = "(CASE WHEN (" + args[0] + ") IS NOT NULL THEN " + args[1] + " ELSE " + args[2] + " END)"
	case "decode":
		if arity < 3 {
			return noFunction("decode")
		}
		text = decodeCase(args)
	case "convert":
		if arity != 2 {
			return noFunction("convert")
		}
		text = "CAST(" + args[1] + " AS " + args[0] + ")"
	case "concat":
		if arity != 2 {
			return noFunction("concat")
		}
		text = "((" + args[0] + ") || (" + args[1] + "))"
	case "median":
		text = "percentile_cont(0.5) WITHIN GROUP (ORDER BY " + strings.Join(args, ",") + ")"
	case "array", "object":
		text = "rs_types.to_super(jsonb_build_" + w.tok(f.fn).Val + "(" + strings.Join(args, ",") + "))"
	case "listagg":
		return w.listagg(f, args, end)
	default:
		return nil
	}
	w.replace(f.fn, end+1, text)
	return nil
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

// listagg turns LISTAGG(x, sep) WITHIN GROUP (ORDER BY y) into string_agg.
func (w *walker) listagg(f frame, args []string, end int) error {
	sep := "''"
	if len(args) > 1 {
		sep = args[1]
	}
	x, distinct := args[0], ""
	if first := w.tok(f.open + 1); first.Is("distinct") {
		distinct = "DISTINCT "
		x = w.render(f.open+2, f.open+2+w.span(f, end)-1)
	}
	text := "string_agg(" + distinct + "(" + x + ")::text, " + sep
	w.st.Words["listagg"] = true
	if w.tok(end+1).Is("within") && w.tok(end+2).Is("group") && w.tok(end+3).Is("(") {
		if distinct != "" { // PostgreSQL wants the order to be the argument itself
			w.replace(f.fn, w.closing(end+3)+1, text+")")
			return nil
		}
		w.replace(f.fn, end+4, text+" ")
		return nil
	}
	w.replace(f.fn, end+1, text+")")
	return nil
}

// span counts the tokens of the first argument.
func (w *walker) span(f frame, end int) int {
	if len(f.commas) > 0 {
		return f.commas[0] - f.open - 1
	}
	return end - f.open - 1
}
