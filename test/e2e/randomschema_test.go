package e2e_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
)

// randomColumn is a column of a random table. literal draws a value as SQL;
// source and target are what to select so that both sides give one text, with
// %s for the column; canon makes two spellings of a value equal.
type randomColumn struct {
	name, ddl      string
	literal        func(r *rand.Rand) string
	source, target string
	canon          func(text string) string
}

// tableKind says how the rows of a random table are told apart.
type tableKind int

const (
	keyed       tableKind = iota // primary key
	keyedFull                    // primary key, and REPLICA IDENTITY FULL
	byIndex                      // REPLICA IDENTITY USING INDEX, no primary key
	partitioned                  // primary key; rows move between the leaves
	insertOnly                   // no key, published for inserts and truncates
	multiset                     // no key, REPLICA IDENTITY FULL
	tableKinds
)

// randomTable is a table of a random schema; keys columns come first.
type randomTable struct {
	name    string
	kind    tableKind
	keys    int
	columns []randomColumn
	// size is how many rows it should have about.
	size int
}

func quoted(v string) string { return "'" + strings.ReplaceAll(v, "'", "''") + "'" }

// awkward are texts that some step might take for something else.
func awkward(r *rand.Rand) string {
	return []string{
		"", " ", "a", "a ", "A", "\t", `\`, `\N`, `\\`, `"`, `""`, "'", ",", "null", "NULL", "~N", "é", "𝄞", "line\nbreak", "cr\r\n", "x,y", "0", "\u00a0",
	}[r.IntN(23)]
}

// canonJSON spells a document by its values.
func canonJSON(text string) string {
	b, err := json.Marshal(byValue(parse([]byte(text))))
	if err != nil {
		return "not JSON: " + text
	}
	return string(b)
}

// canonNumber spells a number as a fraction.
func canonNumber(text string) string {
	if v, ok := new(big.Rat).SetString(text); ok {
		return v.RatString()
	}
	return text
}

// randomTypes are the types of random columns; those before keyTypes may be
// keys.
const keyTypes = 14

func randomTypes() []randomColumn {
	number := func(format string, limit int) func(r *rand.Rand) string {
		return func(r *rand.Rand) string { return fmt.Sprintf(format, r.IntN(limit)) }
	}
	among := func(ddl string, texts ...string) randomColumn {
		return randomColumn{ddl: ddl, literal: func(r *rand.Rand) string { return quoted(texts[r.IntN(len(texts))]) + "::" + ddl }}
	}
	document := func(r *rand.Rand) string {
		b, _ := json.Marshal(map[string]any{awkward(r): []any{awkward(r), r.IntN(9), nil, true, json.Number("1234567890123456789.25")}}) //nolint:errchkjson // plain values
		return quoted(string(b))
	}
	super := func(ddl string, literal func(r *rand.Rand) string) randomColumn {
		return randomColumn{ddl: ddl, literal: literal, source: "to_json(%s)", target: "json_serialize(%s)", canon: canonJSON}
	}
	return []randomColumn{
		{ddl: "bigint", literal: number("%d", 60)},
		{ddl: "integer", literal: func(r *rand.Rand) string { return fmt.Sprint(r.IntN(60) - 30) }},
		{ddl: "text", literal: func(r *rand.Rand) string { return quoted(awkward(r) + fmt.Sprint(r.IntN(4))[:r.IntN(2)]) }},
		{ddl: "varchar(20)", literal: func(r *rand.Rand) string { return quoted(awkward(r) + fmt.Sprint(r.IntN(9))) }},
		{ddl: "uuid", literal: number("md5('%d')::uuid", 60)},
		{ddl: "date", literal: number("date '2024-02-28' + %d", 60)},
		{ddl: "numeric(12,3)", literal: func(r *rand.Rand) string { return fmt.Sprintf("%d.%03d", r.IntN(20)-10, r.IntN(5)*125) }},
		{ddl: "timestamptz", literal: number("timestamptz '2024-03-31 01:59:58.999999+01' + %d * interval '1.000001 second'", 60)},
		{ddl: "char(6)", literal: func(r *rand.Rand) string { return quoted(fmt.Sprint(r.IntN(60))) }},
		among("mood", "sad", "ok", `very "happy"`),
		{ddl: "inet", literal: number("inet '10.0.0.1' + %d", 60)},
		{ddl: "timestamp", literal: number("timestamp '0001-01-01 00:00:00' + %d * interval '100 days 1 microsecond'", 6000)},
		{ddl: "price", literal: number("%d.25", 60)},
		{ddl: "smallint", literal: number("%d", 30000)},

		{ddl: "boolean", literal: func(r *rand.Rand) string { return []string{"true", "false"}[r.IntN(2)] }},
		{ddl: "double precision", literal: func(r *rand.Rand) string { return []string{"0", "-0.1", "1e300", "3.5", "1e-7"}[r.IntN(5)] }},
		{ddl: "time", literal: number("time '00:00:00' + %d * interval '1439.000001 second'", 60)},
		{ddl: "numeric", literal: number("%d.000000125", 1<<30), canon: canonNumber},
		{ddl: "real", literal: number("%d.5", 1000)},
		{ddl: "bytea", source: "encode(%s, 'hex')", target: "from_varbyte(%s, 'hex')", literal: number("decode(md5('%d'), 'hex')", 60)},
		among("interval", "1 year 2 mons -3 days 04:05:06.789", "-1 sec", "0"),
		among("money", "1.50", "-1234.05"), among("bit(3)", "101", "000"), among("varbit", "", "1011"),
		among("cidr", "10.0.0.0/8"), among("macaddr", "08:00:2b:01:02:03"), among("int4range", "[1,5)", "empty"),
		among("tsvector", "'a' 'fat':2A", ""), among("xml", "<a>x</a>"), among("point", "(1,2.5)"), among(`"char"`, "a", " "), among("name", "n", "N n"),
		super("jsonb", document), super("json", document),
		super("integer[]", func(r *rand.Rand) string { return fmt.Sprintf("ARRAY[%d, NULL, %d]::int[]", r.IntN(99), -r.IntN(9)) }),
		super("text[]", func(r *rand.Rand) string {
			return fmt.Sprintf("ARRAY[%s, NULL, %s]::text[]", quoted(awkward(r)), quoted(awkward(r)))
		}),
		// Values that TOAST keeps out of line, so that updates don't send them.
		toasted("text", "", "%s"), toasted("text", "", "%s"), toasted("text", "", "%s"),
		toasted("bytea", "encode(%s, 'hex')", "convert_to(%s, 'UTF8')"), toasted("jsonb", "to_json(%s)", "to_jsonb(%s)"),
	}
}

// toasted is a column of long values, by a form around their text.
func toasted(ddl, source, form string) randomColumn {
	c := randomColumn{ddl: ddl, source: source, literal: func(r *rand.Rand) string {
		text := fmt.Sprintf("(SELECT string_agg(md5(i::text||'%d'), '') FROM generate_series(1, %d) i)", r.IntN(1000), 70+r.IntN(300))
		return fmt.Sprintf(form, text)
	}}
	switch ddl {
	case "bytea":
		c.target = "from_varbyte(%s, 'hex')"
	case "jsonb":
		c.target, c.canon = "json_serialize(%s)", canonJSON
	}
	return c
}

// randomDDL makes what the tables of a random schema need.
const randomDDL = `CREATE TYPE mood AS ENUM ('sad', 'ok', 'very "happy"'); CREATE DOMAIN price AS numeric(12,2);
`

func randomSchema(r *rand.Rand) []*randomTable {
	var tables []*randomTable
	types := randomTypes()
	for i := range 3 + r.IntN(6) {
		t := &randomTable{name: fmt.Sprintf("t%d", i), size: 5 + r.IntN(40), kind: tableKind(r.IntN(int(tableKinds)))}
		if r.IntN(3) == 0 {
			t.kind = keyed
		}
		if t.kind < insertOnly {
			t.keys = 1 + r.IntN(2)
		}
		for c := range max(t.keys, 1) + 1 + r.IntN(7) {
			col := types[keyTypes-1-r.IntN(keyTypes)]
			if c >= t.keys {
				col = types[r.IntN(len(types))]
			}
			col.name = fmt.Sprintf("c%d", c)
			t.columns = append(t.columns, col)
		}
		tables = append(tables, t)
	}
	return tables
}

func (t *randomTable) ddl() string {
	var parts, keys []string
	for i, c := range t.columns {
		part := c.name + " " + c.ddl
		if i < t.keys {
			keys = append(keys, c.name)
			part += " NOT NULL"
		}
		parts = append(parts, part)
	}
	key := strings.Join(keys, ", ")
	if t.keys > 0 && t.kind != byIndex {
		parts = append(parts, "PRIMARY KEY ("+key+")")
	}
	text := fmt.Sprintf("CREATE TABLE %s (%s)", t.name, strings.Join(parts, ", "))
	if t.kind == partitioned {
		text += " PARTITION BY HASH (c0)"
	}
	text += ";\n"
	for _, c := range t.columns {
		if c.ddl == "text" || c.ddl == "bytea" || c.ddl == "jsonb" {
			text += fmt.Sprintf("ALTER TABLE %s ALTER %s SET STORAGE EXTERNAL;\n", t.name, c.name)
		}
	}
	switch t.kind {
	case keyedFull, multiset:
		text += fmt.Sprintf("ALTER TABLE %s REPLICA IDENTITY FULL;\n", t.name)
	case byIndex:
		text += fmt.Sprintf("CREATE UNIQUE INDEX %[1]s_key ON %[1]s (%[2]s);\nALTER TABLE %[1]s REPLICA IDENTITY USING INDEX %[1]s_key;\n", t.name, key)
	case partitioned:
		for leaf := range 3 {
			text += fmt.Sprintf("CREATE TABLE %[1]s_%[2]d PARTITION OF %[1]s FOR VALUES WITH (MODULUS 3, REMAINDER %[2]d);\n", t.name, leaf)
		}
	case keyed, insertOnly, tableKinds:
	}
	return text
}

// list is what to select of the table's columns on the source or the target.
func (t *randomTable) list(target bool) string {
	var names []string
	for _, c := range t.columns {
		form := c.source
		if target {
			form = c.target
		}
		if form == "" {
			form = "%s"
		}
		names = append(names, fmt.Sprintf(form, c.name))
	}
	return strings.Join(names, ", ")
}

func (t *randomTable) value(r *rand.Rand, c int) string {
	if c >= t.keys && r.IntN(5) == 0 {
		return "NULL"
	}
	return t.columns[c].literal(r)
}

// insert inserts rows whose keys may be there already.
func (t *randomTable) insert(r *rand.Rand) string {
	var rows, names []string
	for range 1 + r.IntN(4) {
		var values []string
		for c := range t.columns {
			values = append(values, t.value(r, c))
		}
		row := "(" + strings.Join(values, ", ") + ")"
		rows = append(rows, row)
		for t.kind == multiset && r.IntN(3) == 0 {
			rows = append(rows, row)
		}
	}
	for _, c := range t.columns {
		names = append(names, c.name)
	}
	text := fmt.Sprintf("INSERT INTO %s (%s) VALUES %s", t.name, strings.Join(names, ", "), strings.Join(rows, ", "))
	if t.keys > 0 {
		text += " ON CONFLICT DO NOTHING"
	}
	return text
}

// row picks one row that is there, by its place.
func (t *randomTable) row(r *rand.Rand) string {
	return fmt.Sprintf("(tableoid, ctid) = (SELECT tableoid, ctid FROM %s ORDER BY tableoid, ctid OFFSET %d LIMIT 1)", t.name, r.IntN(t.size))
}

// statement draws one change. Every key column may change too, also to a key
// that another row has just left.
func (t *randomTable) statement(r *rand.Rand) string {
	if t.kind == insertOnly {
		return t.insert(r)
	}
	switch n := r.IntN(100); {
	case n < 30:
		return t.insert(r)
	case n < 55: // some of the other columns
		return fmt.Sprintf("UPDATE %s SET %s WHERE %s", t.name, t.change(r), t.row(r))
	case n < 70 && t.keys > 0:
		c := r.IntN(t.keys)
		return fmt.Sprintf("UPDATE %s SET %s = %s WHERE %s", t.name, t.columns[c].name, t.columns[c].literal(r), t.row(r))
	case n < 78 && t.keys == 1:
		return t.swap(r)
	case n < 88:
		return fmt.Sprintf("DELETE FROM %s WHERE %s", t.name, t.row(r))
	case n < 92:
		return fmt.Sprintf("UPDATE %s SET c0 = c0 WHERE ctid IN (SELECT ctid FROM %s LIMIT %d)", t.name, t.name, 1+r.IntN(9))
	case n < 95:
		return fmt.Sprintf("DELETE FROM %s WHERE ctid IN (SELECT ctid FROM %s ORDER BY ctid LIMIT %d)", t.name, t.name, t.size/2)
	case n < 97:
		return "TRUNCATE " + t.name
	}
	return t.insert(r)
}

// change draws new values for some of the columns that are no key; of a
// multiset sometimes for all rows that are equal in the first column.
func (t *randomTable) change(r *rand.Rand) string {
	var set []string
	for c := t.keys; c < len(t.columns); c++ {
		if r.IntN(2) == 0 {
			set = append(set, t.columns[c].name+" = "+t.value(r, c))
		}
	}
	if len(set) == 0 {
		set = append(set, "c0 = c0")
	}
	return strings.Join(set, ", ")
}

// swap lets two rows take each other's keys by way of a third.
func (t *randomTable) swap(r *rand.Rand) string {
	a := fmt.Sprintf("(SELECT c0 FROM %s ORDER BY c0 LIMIT 1)", t.name)
	b := fmt.Sprintf("(SELECT c0 FROM %s ORDER BY c0 DESC LIMIT 1)", t.name)
	return fmt.Sprintf(`CREATE TEMP TABLE swap ON COMMIT DROP AS SELECT %s AS a, %s AS b, %s AS free;
		UPDATE %s SET c0 = swap.free FROM swap WHERE c0 = swap.a AND swap.a <> swap.b;
		UPDATE %s SET c0 = swap.a FROM swap WHERE c0 = swap.b AND swap.a <> swap.b;
		UPDATE %s SET c0 = swap.b FROM swap WHERE c0 = swap.free AND swap.a <> swap.b; DROP TABLE swap`,
		a, b, t.columns[0].literal(r), t.name, t.name, t.name)
}

// transaction draws one: statements, subtransactions that are rolled back,
// released and nested, and now and then far more of it, so that PostgreSQL
// sends it before it ends.
func transaction(r *rand.Rand, tables []*randomTable) []string {
	draw := func() string {
		text := tables[r.IntN(len(tables))].statement(r)
		if r.IntN(3) > 0 {
			return text
		}
		return "DO $sub$ BEGIN " + text + "; EXCEPTION WHEN unique_violation OR data_exception THEN NULL; END $sub$"
	}
	n := 1 + r.IntN(6)
	if r.IntN(40) == 0 {
		n = 30 + r.IntN(100)
	}
	script := []string{"BEGIN"}
	for range n {
		switch r.IntN(14) {
		case 0, 1:
			script = append(script, "SAVEPOINT s", draw(), draw(), "ROLLBACK TO s")
		case 2:
			script = append(script, "SAVEPOINT s", draw(), "SAVEPOINT s2", draw(), "RELEASE s2", draw(), "ROLLBACK TO s", draw(), "RELEASE s")
		case 3:
			script = append(script, "SAVEPOINT s", draw(), "SAVEPOINT s2", draw(), "ROLLBACK TO s2", draw(), "RELEASE s")
		}
		script = append(script, draw())
	}
	if r.IntN(12) == 0 {
		script = append(script, "SELECT pg_logical_emit_message(true, 'other', 'x')")
	}
	if r.IntN(50) == 0 && len(tables) > 1 {
		script = append(script, "TRUNCATE "+tables[0].name+", "+tables[1].name, draw())
	}
	return script
}
