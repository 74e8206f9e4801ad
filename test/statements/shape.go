package statements

import (
	"regexp"
	"slices"
	"strings"
)

// placeholder stands for every literal: text, number, boolean, NULL, LSN.
const placeholder = "?"

// Shape returns the shapes of a text's statements. keep lists string literals
// that belong to the statement, such as the name of a setting.
//
// Literals become ?, the names of the source's tables <table>, of staging
// tables <staging>, of tables that are being loaded <shadow>, other quoted
// names <name>, and the pipeline's part of a state table's name <pipeline>. Of
// equal elements of a list or of conditions one remains, so that a list stands
// for one of any length; the columns of a CREATE TABLE become one, and so do
// what a configuration changes in COPY, the row filters of publications, the
// columns that are measured and the reads of kept values.
// Comments and blanks don't count.
func Shape(side Side, sql string, keep []string) []string {
	parts := split(scan(side, sql))
	out := make([]string, 0, len(parts))
	for _, part := range parts {
		nodes, _ := tree(copyOptions(names(part, keep)), "")
		out = append(out, keptValues(numerics(render(rowFilter(columns(nodes)), false))))
	}
	return out
}

var numericList = regexp.MustCompile(`ARRAY\[<name>::numeric(, <name>::numeric)+\]`)

// numerics makes one of the columns whose scale is measured.
func numerics(shape string) string {
	return numericList.ReplaceAllString(shape, "ARRAY[<name>::numeric]")
}

// keptValues makes one of the reads of values that no join can carry: they
// differ by the types of keys and values.
func keptValues(shape string) string {
	const head, tail = "SELECT COALESCE (CASE WHEN <key> THEN ? END), <key>, ", " FROM <table> WHERE <key>"
	switch {
	case !strings.HasPrefix(shape, "SELECT COALESCE (CASE WHEN <name> = ?"):
		return shape
	case strings.Contains(shape, "FROM_VARBYTE(SUBSTRING("):
		return head + "FROM_VARBYTE(SUBSTRING(<kept value>, ?, ?), ?)" + tail
	}
	return head + "OCTET_LENGTH(<kept value>)" + tail
}

// names replaces literals and names by what they stand for; qualified names
// become one token.
func names(tokens []token, keep []string) []token {
	var out []token
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		switch {
		case t.kind == literal:
			if !slices.Contains(keep, strings.Trim(t.text, "'")) {
				t.text = placeholder
			}
		case t.kind == word && isValue(tokens, i):
			t = token{kind: literal, text: placeholder, space: t.space}
		case t.kind == quoted:
			parts := []string{t.text}
			for i+2 < len(tokens) && tokens[i+1].text == "." && tokens[i+2].kind == quoted {
				parts = append(parts, tokens[i+2].text)
				i += 2
			}
			t.text = standFor(parts)
		}
		out = append(out, t)
	}
	return out
}

// isValue tells whether the word is a value like any other.
func isValue(tokens []token, i int) bool {
	t := tokens[i]
	if !t.is("null") && !t.is("true") && !t.is("false") {
		return false
	}
	switch {
	case i > 0 && (tokens[i-1].is("not") || tokens[i-1].is("is")): // NOT NULL, IS NULL
		return false
	case i+1 < len(tokens) && tokens[i+1].is("as"): // COPY's NULL AS
		return false
	}
	return true
}

var (
	stateTable = regexp.MustCompile(`^([a-z]+)_[a-z0-9_]+$`)
	shadow     = regexp.MustCompile(`^_walshift_[0-9]+_[0-9a-f]+$`)
)

// standFor says what a quoted name stands for.
func standFor(parts []string) string {
	switch len(parts) {
	case 1:
		switch {
		case parts[0] == "walshift":
			return parts[0]
		case shadow.MatchString(parts[0]):
			return "<shadow>"
		}
		return "<name>"
	case 2:
		if parts[0] == "walshift" {
			return stateName(parts[1])
		}
		if shadow.MatchString(parts[1]) {
			return "<shadow>"
		}
		return "<table>"
	default:
		return standFor(parts[:2]) + ".<name>"
	}
}

func stateName(table string) string {
	if strings.HasPrefix(table, "stg_") {
		return "<staging>"
	}
	if m := stateTable.FindStringSubmatch(table); m != nil {
		return "walshift." + m[1] + "_<pipeline>"
	}
	return "walshift." + table
}

// node is a token, or a group in parentheses or between CASE and END.
type node struct {
	token
	inner []node
	close string
}

// tree groups tokens until the closing one, and returns the rest.
func tree(tokens []token, end string) ([]node, []token) {
	var out []node
	for len(tokens) > 0 {
		t := tokens[0]
		tokens = tokens[1:]
		n := node{token: t}
		switch {
		case end != "" && t.is(end):
			return out, tokens
		case t.is("("):
			n.close = ")"
			n.inner, tokens = tree(tokens, ")")
		case t.is("case"):
			n.close = "END"
			n.inner, tokens = tree(tokens, "end")
		}
		out = append(out, n)
	}
	return out, nil
}

// columns makes one of the columns that a CREATE TABLE defines by quoted
// names.
func columns(nodes []node) []node {
	if len(nodes) < 3 || !nodes[0].is("create") || !nodes[1].is("table") {
		return nodes
	}
	for i, n := range nodes {
		if n.close == ")" && len(n.inner) > 1 && n.inner[0].text == "<name>" && n.inner[1].kind == word {
			nodes[i].inner = []node{{token: token{kind: word, text: "<name> <type>"}}}
		}
	}
	return nodes
}

// copyOptions makes one of what configurations put into a COPY: a region or
// none, and the compression.
func copyOptions(tokens []token) []token {
	if !tokens[0].is("copy") {
		return tokens
	}
	var out []token
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		switch {
		case t.is("region"):
			i++
			continue
		case t.is("zstd") || t.is("gzip"):
			t.text = "ZSTD"
		}
		out = append(out, t)
		if i > 0 && tokens[i-1].is("iam_role") {
			out = append(out, token{kind: word, text: "[REGION ?]", space: true})
		}
	}
	return out
}

// rowFilter makes one of the publications' row filters, which are
// parenthesised behind the WHERE of a table's COPY.
func rowFilter(nodes []node) []node {
	if len(nodes) < 2 || !nodes[0].is("copy") || nodes[1].close != ")" {
		return nodes
	}
	inner := nodes[1].inner
	for i := 1; i < len(inner); i++ {
		if inner[i-1].is("where") && inner[i].close == ")" {
			inner[i].inner = []node{{token: token{kind: word, text: "<row filter>"}}}
		}
	}
	return nodes
}

// heads are words before which a list ends and after which one begins.
func isHead(n node) bool {
	if n.kind != word || n.close != "" {
		return false
	}
	switch strings.ToLower(n.text) {
	case "select", "from", "where", "set", "values", "on", "using", "by", "having", "when", "then", "else",
		"returning", "into", "join", "limit", "exists", "table", "only", "distinct", "in", "any", "with":
		return true
	}
	return false
}

// render writes nodes as text. In a function's arguments (call) equal elements
// stay.
func render(nodes []node, call bool) string {
	var unions []string
	for _, part := range cut(nodes, func(n node) bool { return n.is("union") }) {
		if len(part) > 0 && part[0].is("all") {
			part = part[1:]
		}
		unions = appendNew(unions, clauses(part, call))
	}
	return strings.Join(unions, " UNION ALL ")
}

// clauses renders a list of clauses.
func clauses(nodes []node, call bool) string {
	var b strings.Builder
	var body []node
	flush := func() {
		if len(body) > 0 {
			separate(&b, body[0].space, list(body, call))
			body = nil
		}
	}
	for _, n := range nodes {
		if isHead(n) {
			flush()
			separate(&b, n.space, n.text)
			continue
		}
		body = append(body, n)
	}
	flush()
	return b.String()
}

// list renders the elements between commas, and conditions between AND and OR,
// equal ones once.
func list(nodes []node, call bool) string {
	var elements []string
	for _, e := range cut(nodes, func(n node) bool { return n.is(",") }) {
		var either []string
		for _, o := range cut(e, func(n node) bool { return n.is("or") }) {
			var both []string
			for _, a := range cut(o, func(n node) bool { return n.is("and") }) {
				both = appendNew(both, plain(a))
			}
			either = appendNew(either, strings.Join(both, " AND "))
		}
		text := strings.Join(either, " OR ")
		if call {
			elements = append(elements, text)
		} else {
			elements = appendNew(elements, text)
		}
	}
	return strings.TrimRight(strings.Join(elements, ", "), " ")
}

// plain renders nodes without lists among them.
func plain(nodes []node) string {
	var b strings.Builder
	for i, n := range nodes {
		text := n.text
		switch n.close {
		case ")":
			function := i > 0 && nodes[i-1].kind == word && !n.space
			text = "(" + render(n.inner, function) + ")"
		case "END":
			text = n.text + " " + render(n.inner, false) + " END"
		}
		separate(&b, n.space, text)
	}
	return b.String()
}

// separate appends text, after a blank if there was one and it means anything.
func separate(b *strings.Builder, space bool, text string) {
	before := b.String()
	glued := text == "" || before == "" || strings.HasPrefix(text, "::") || strings.HasPrefix(text, ".") ||
		strings.HasSuffix(before, "::") || strings.HasSuffix(before, ".")
	if space && !glued {
		b.WriteByte(' ')
	}
	b.WriteString(text)
}

// cut splits nodes at the separators.
func cut(nodes []node, separator func(node) bool) [][]node {
	out := [][]node{nil}
	for _, n := range nodes {
		if n.close == "" && separator(n) {
			out = append(out, nil)
			continue
		}
		out[len(out)-1] = append(out[len(out)-1], n)
	}
	return out
}

func appendNew(list []string, text string) []string {
	if slices.Contains(list, text) {
		return list
	}
	return append(list, text)
}
