package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/walshift/walshift/test/world"
)

// namesWorld is the world of this file.
var namesWorld = &shared{ //nolint:gochecknoglobals // one per process, ended by TestMain
	cfg: world.Config{
		Include: []string{"public.*", "?dd*.*"}, Settings: map[string]string{"logical_decoding_work_mem": "64kB"},
		DDL: exoticDDL() + wideDDL() + compositeDDL() + badDDL(),
	},
	prepare: func(t *testing.T, s *shared) {
		t.Helper()
		superuser(t, s.w, "GRANT USAGE ON SCHEMA bad TO shop_repl; GRANT SELECT ON ALL TABLES IN SCHEMA bad TO shop_repl;"+
			" CREATE PUBLICATION bad FOR TABLE bad.twice, bad.toowide, bad.wideenough, bad.\"Orders\", bad.orders, bad.reserved, bad.\"#brief\""+
			" WITH (publish_via_partition_root = true)")
	},
}

// identifier quotes a name for both servers.
func identifier(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// exoticNames are names that some step might take for something else. None is
// another's in lower case.
func exoticNames() []string {
	return []string{
		`a"b`, `a""`, "a.b", ".", " ", "a b ", " lead", "UPPER case", "select", "user", "table", "kept", "part", "op", "pad", "origin", "seq",
		`back\slash`, `\`, "per%cent", "%s", "100%%", "$1", "a'b", "''", ";", "; DROP TABLE marks; --", "--", "/*", "*/", "*", "?", "{}", "[0]",
		"ünïcödé", "日本語", "😀", "a\tb", "line\nbreak", "a,b", "(a)", "a::int", "1st", "0", "-1", "a#", "@at", "~", "null", "true", "c1", "k1", "o1", "i1",
		strings.Repeat("long", 15) + "abc", strings.Repeat("é", 31),
	}
}

func exoticSchemas() []string {
	return []string{"public", `odd "schema".`, "Odd été 100%", `odd\select`}
}

// exoticTables are such names for tables, with their schemas.
func exoticTables() []string {
	schemas := exoticSchemas()
	var tables []string
	for i, name := range exoticNames() {
		tables = append(tables, identifier(schemas[i%len(schemas)])+"."+identifier(name))
	}
	return tables
}

// exoticDDL makes a table of each name, whose key has an exotic name too, and
// one with columns of all names.
func exoticDDL() string {
	var b strings.Builder
	columns := exoticNames()
	for _, schema := range exoticSchemas()[1:] {
		fmt.Fprintf(&b, "CREATE SCHEMA %s;\n", identifier(schema))
	}
	for i, table := range exoticTables() {
		key, v := identifier(columns[i]), identifier(columns[(i+1)%len(columns)])
		fmt.Fprintf(&b, "CREATE TABLE %s (%s int PRIMARY KEY, %s text); INSERT INTO %s VALUES (1, 'first'), (2, 'first'), (3, 'first');\n", table, key, v, table)
	}
	fmt.Fprintf(&b, "CREATE TABLE all_names (%s text, PRIMARY KEY (%s, %s));\n", exoticList(" text, "), identifier(columns[0]), identifier(columns[7]))
	fmt.Fprintf(&b, "ALTER TABLE all_names ALTER %s SET STORAGE EXTERNAL;\nINSERT INTO all_names VALUES (%s);\n",
		identifier(columns[1]), strings.Repeat("'first', ", len(columns)-1)+"'last'")
	return b.String()
}

func exoticList(separator string) string {
	columns := exoticNames()
	for i := range columns {
		columns[i] = identifier(columns[i])
	}
	return strings.Join(columns, separator)
}

// TestW15ExoticNames: whatever schemas, tables and columns are named.
func TestW15ExoticNames(t *testing.T) {
	t.Parallel()
	s := namesWorld.use(t)
	columns, tables := exoticNames(), map[string]string{"all_names": exoticList(", ")}
	var changes []string
	for i, table := range exoticTables() {
		key, v := identifier(columns[i]), identifier(columns[(i+1)%len(columns)])
		tables[table] = key + ", " + v
		changes = append(changes, fmt.Sprintf("INSERT INTO %s VALUES (4, NULL); UPDATE %s SET %s = 'u' WHERE %s = 1; DELETE FROM %s WHERE %s = 2; UPDATE %s SET %s = 33 WHERE %s = 3",
			table, table, v, key, table, key, table, key, key))
	}
	compare(t, s.w, tables)
	s.same(t, tables, append(changes,
		fmt.Sprintf("INSERT INTO all_names VALUES (%s)", strings.Repeat("'second', ", len(columns)-2)+"'x', NULL"),
		fmt.Sprintf("UPDATE all_names SET %s = repeat('big', 2000), %s = NULL WHERE %s = 'first'", identifier(columns[1]), identifier(columns[2]), identifier(columns[0])))...)
	s.same(t, tables, // kept under a key that changes
		fmt.Sprintf("UPDATE all_names SET %s = 'moved', %s = 'x' WHERE %s = 'first'", identifier(columns[0]), identifier(columns[3]), identifier(columns[0])),
		fmt.Sprintf("TRUNCATE %s, %s", exoticTables()[0], exoticTables()[1]))
}

// Redshift takes 1,600 columns in a table, and staging needs two of them beside
// the table's own. A row of PostgreSQL fits a page, which has room for about
// 440 references to TOAST.
const (
	wideColumns = 1598
	wideLarge   = 430
)

func wideDDL() string {
	lines := []string{"id int PRIMARY KEY"}
	for i := range wideColumns - 1 {
		lines = append(lines, fmt.Sprintf("c%d text", i))
	}
	var large []string
	for i := range wideLarge {
		large = append(large, fmt.Sprintf("ALTER c%d SET STORAGE EXTERNAL", i))
	}
	return "CREATE TABLE wide (" + strings.Join(lines, ", ") + ");\nALTER TABLE wide " + strings.Join(large, ", ") + ";\n" +
		wideInsert(1, 3) + ";\n"
}

// wideInsert inserts rows with wideLarge values in TOAST; the rest is NULL.
func wideInsert(from, to int) string {
	names, values := []string{"id"}, []string{"i"}
	for i := range wideLarge {
		names, values = append(names, fmt.Sprintf("c%d", i)), append(values, fmt.Sprintf("repeat(md5(i||'.%d'), 63)", i))
	}
	return fmt.Sprintf("INSERT INTO wide (%s) SELECT %s FROM generate_series(%d, %d) i", strings.Join(names, ", "), strings.Join(values, ", "), from, to)
}

// TestW16WideTables: as many columns as Redshift can take, and rows of which
// everything but the key stays in TOAST, through changes of the key too.
func TestW16WideTables(t *testing.T) {
	t.Parallel()
	s := namesWorld.use(t)
	list := "id"
	for i := range wideColumns - 1 {
		list += fmt.Sprintf(", c%d", i)
	}
	tables := map[string]string{"wide": list}
	compare(t, s.w, tables)
	s.same(t, tables, wideInsert(4, 6), `INSERT INTO wide (id, c1596, c0) VALUES (7, 'last', ''), (8, NULL, NULL)`,
		`UPDATE wide SET c1500 = 'x' WHERE id = 1`, `UPDATE wide SET id = id + 100 WHERE id IN (2, 5)`, `DELETE FROM wide WHERE id = 4`,
		`BEGIN; UPDATE wide SET id = 0 WHERE id = 1; UPDATE wide SET id = 1 WHERE id = 3; UPDATE wide SET id = 3, c0 = 'short' WHERE id = 0; COMMIT`,
		`UPDATE wide SET c1596 = 'all but the first are kept' WHERE id = 3`)
	s.same(t, tables, `UPDATE wide SET c1400 = 'kept'`, `UPDATE wide SET id = -id`)
}

// keyColumn is a type that may be a key, with values for it and how to read
// both sides alike where they differ.
type keyColumn struct {
	name, ddl      string
	values         []string
	source, target string
}

func keyColumns() []keyColumn {
	texts := func(more ...string) []string {
		return append([]string{"''", "' '", "'a'", "'a '", "'A'", `'\'`, `'\N'`, "'\"'", "'~N'", "'é'", "E'\\n'", "E'a\\r\\nb'", "','", "'NULL'", "'😀'"}, more...)
	}
	return []keyColumn{
		{name: "i2", ddl: "int2", values: []string{"-32768", "0", "32767", "1"}},
		{name: "i4", ddl: "int4", values: []string{"-2147483648", "0", "2147483647"}},
		{name: "i8", ddl: "int8", values: []string{"-9223372036854775808", "0", "9223372036854775807", "9007199254740993"}},
		{name: "n", ddl: "numeric(20,4)", values: []string{"0", "0.0001", "-0.0001", "9999999999999999.9999", "1", "1.1"}},
		{name: "un", ddl: "numeric", values: []string{"0", "1", "-0.000000000000000001", "1.5", "12345678901234567890"}, source: "un::numeric(38,18)"},
		{name: "tx", ddl: "text", values: texts("repeat('k', 700)")},
		{name: "vc", ddl: "varchar(20)", values: texts("'twenty characters ..'")},
		{name: "ch", ddl: "char(5)", values: []string{"''", "'a'", "'  b'", "'é'", "'abcde'"}},
		{name: "b", ddl: "bool", values: []string{"true", "false"}},
		{name: "d", ddl: "date", values: []string{"'0001-01-01'", "'2024-02-29'", "'9999-12-31'"}},
		{name: "ts", ddl: "timestamp", values: []string{"'0001-01-01 00:00:00.000001'", "'2024-03-31 02:30:00'", "'9999-12-31 23:59:59.999999'"}},
		{name: "tz", ddl: "timestamptz", values: []string{"'0001-01-02 00:00:00.000001+00'", "'2024-03-31 02:30:00+02'", "'2024-10-27 02:30:00+01'"}},
		{name: "t", ddl: "time", values: []string{"'00:00:00'", "'23:59:59.999999'", "'12:34:56.7'"}},
		{name: "u", ddl: "uuid", values: []string{"'00000000-0000-0000-0000-000000000000'", "md5('x')::uuid", "'FFFFFFFF-ffff-ffff-ffff-ffffffffffff'"}},
		{name: "by", ddl: "bytea", values: []string{`'\x'`, `'\x00'`, `'\x20'`, `'\xff00'`, `'\x5c6e'`}},
		{name: "e", ddl: "mood", values: []string{"'sad'", "''", "' '", "'it''s \"ok\"'"}},
		{name: "dom", ddl: "label", values: []string{"'x'", "'X'", "'x '"}},
		{name: "domn", ddl: "amount", values: []string{"0.1", "1.0", "0.01", "10"}},
		{name: "j", ddl: "jsonb", values: []string{`'{"a": 1}'`, `'"a"'`, `'1.0'`, `'2'`}},
		{name: "arr", ddl: "int[]", values: []string{`'{}'`, `'{1,NULL}'`, `'[0:1]={1,2}'`}},
		{name: "f8", ddl: "float8", values: []string{"0", "-1.5", "1e300", "1e-7", "0.1"}},
		{name: "iv", ddl: "interval", values: []string{"'0'", "'1 month'", "'30 days 00:00:01'"}},
	}
}

// compositeDDL makes a table with a key of all types, one for each type alone,
// and one with the most columns that an index takes.
func compositeDDL() string {
	var b strings.Builder
	b.WriteString("CREATE TYPE mood AS ENUM ('sad', '', ' ', 'it''s \"ok\"'); CREATE DOMAIN label AS varchar(9) CHECK (value <> ''); CREATE DOMAIN amount AS numeric(9,2);\n")
	var lines, keys []string
	for _, k := range keyColumns() {
		lines, keys = append(lines, k.name+" "+k.ddl), append(keys, k.name)
		fmt.Fprintf(&b, "CREATE TABLE key_%s (v int, k %s PRIMARY KEY, big text); ALTER TABLE key_%s ALTER big SET STORAGE EXTERNAL;\n", k.name, k.ddl, k.name)
		fmt.Fprintf(&b, "INSERT INTO key_%s %s;\n", k.name, k.rows(0))
	}
	fmt.Fprintf(&b, "CREATE TABLE composite (%s, id int, v text, big text, PRIMARY KEY (%s, id)); ALTER TABLE composite ALTER big SET STORAGE EXTERNAL;\n%s;\n",
		strings.Join(lines, ", "), strings.Join(keys, ", "), compositeRows(1, 40))
	var many []string
	for i := range 32 {
		many = append(many, fmt.Sprintf("k%d", i))
	}
	fmt.Fprintf(&b, "CREATE TABLE key_32 (%s text, v text, PRIMARY KEY (%s));\nINSERT INTO key_32 SELECT %s 'v'||i FROM generate_series(1, 20) i;\n",
		strings.Join(many, " text, "), strings.Join(many, ", "), strings.Repeat("i%7||' ', i, ", 16))
	return b.String()
}

// rows selects every second value, from the first or the second on.
func (k *keyColumn) rows(from int) string {
	var out []string
	for i := from; i < len(k.values); i += 2 {
		out = append(out, fmt.Sprintf("SELECT %d, (%s)::%s, repeat('big', 900)", i, k.values[i], k.ddl))
	}
	return strings.Join(out, " UNION ALL ")
}

// compositeRows inserts rows whose keys mix the values of all types.
func compositeRows(from, to int) string {
	var rows []string
	for id := from; id <= to; id++ {
		var row []string
		for i, k := range keyColumns() {
			row = append(row, k.values[(id*(i+1)+id/7)%len(k.values)])
		}
		rows = append(rows, fmt.Sprintf("(%s, %d, 'v%d', repeat(md5('%d'), 100))", strings.Join(row, ", "), id, id, id))
	}
	return "INSERT INTO composite VALUES " + strings.Join(rows, ",\n")
}

// TestCompositeKeys: keys of every type, alone and together, with values that
// are easily mistaken for each other; every column of a key changes.
func TestCompositeKeys(t *testing.T) {
	t.Parallel()
	s := namesWorld.use(t)
	all := []string{"id", "v", "big"}
	var single, changes []string
	for i, k := range keyColumns() {
		all = append(all, k.name)
		single = append(single, "INSERT INTO key_"+k.name+" "+k.rows(1), fmt.Sprintf("UPDATE key_%s SET v = v + 100 WHERE v IN (0, 1, 4, 5)", k.name))
		if len(k.values) > 3 { // two swap, and one goes
			single = append(single, fmt.Sprintf("BEGIN; DELETE FROM key_%[1]s WHERE k = (%[4]s)::%[5]s; UPDATE key_%[1]s SET k = %[4]s WHERE k = (%[2]s)::%[5]s; "+
				"UPDATE key_%[1]s SET k = %[2]s WHERE k = (%[3]s)::%[5]s; UPDATE key_%[1]s SET k = %[3]s, v = -1 WHERE k = (%[4]s)::%[5]s; COMMIT",
				k.name, k.values[0], k.values[2], k.values[3], k.ddl))
		}
		changes = append(changes, fmt.Sprintf("UPDATE composite SET %s = %s, v = 'changed %d' WHERE id %% 23 = %d", k.name, k.values[i%len(k.values)], i, i))
	}
	single = append(single, // the same key in another spelling, which is what the warehouse shows
		"UPDATE key_un SET k = 1.00 WHERE k = 1", "UPDATE key_j SET k = '1.00' WHERE k = '1'", "UPDATE key_iv SET k = '30 days' WHERE k = '1 month'",
		"UPDATE key_f8 SET k = '-0' WHERE k = 0", "UPDATE key_iv SET k = '1 month', v = 7 WHERE k = '1 month'")
	changes = append(changes, compositeRows(41, 60), "UPDATE composite SET v = 'kept' WHERE id % 5 = 1", "DELETE FROM composite WHERE id % 5 = 2",
		"UPDATE key_32 SET k31 = k31||'!' WHERE v < 'v15'", "UPDATE key_32 SET v = NULL WHERE v = 'v7'", "DELETE FROM key_32 WHERE v = 'v9'",
		"UPDATE key_32 SET k0 = '' WHERE v = 'v3'")
	check := func() {
		t.Helper()
		s.arrived(t)
		for table, columns := range map[string][]string{"composite": all, "key_32": {"k0", "k1", "k30", "k31", "v"}} {
			s.compareKeys(t, table, columns, func(name string) string { return name })
		}
		for _, k := range keyColumns() {
			s.compareKeys(t, "key_"+k.name, []string{"v", "k", "big"}, func(name string) string {
				return map[string]string{"k": k.name}[name]
			})
		}
	}
	check()
	exec(t, s.w, append(single, changes...)...)
	check()
	exec(t, s.w, "UPDATE composite SET id = -id", "UPDATE composite SET v = NULL")
	check()
}

// compareKeys compares a table, with the columns that typeOf knows read in the
// form of their type.
func (s *shared) compareKeys(t *testing.T, table string, columns []string, typeOf func(column string) string) {
	t.Helper()
	kinds := keyColumns()
	read := func(target bool) string {
		var out []string
		for _, c := range columns {
			expression := c
			if i := slices.IndexFunc(kinds, func(k keyColumn) bool { return k.name == typeOf(c) }); i >= 0 {
				form := kinds[i].source
				if target {
					form = kinds[i].target
				}
				if form != "" {
					expression = strings.ReplaceAll(form, kinds[i].name+"::", c+"::")
				}
			}
			out = append(out, expression)
		}
		return "SELECT " + strings.Join(out, ", ") + " FROM " + table
	}
	src, err := s.w.SourceSide().Rows(t.Context(), read(false))
	if err != nil {
		t.Fatal(err)
	}
	if diff := world.Difference(src, target(t, s.w, read(true))); diff != "" || len(src) == 0 {
		t.Errorf("%s differs (%d rows): %s", table, len(src), diff)
	}
}

// badDDL makes tables that Redshift can't take, or only just.
func badDDL() string {
	columns := func(n int) string {
		var out []string
		for i := range n {
			out = append(out, fmt.Sprintf("c%d int", i))
		}
		return strings.Join(out, ", ")
	}
	return fmt.Sprintf(`CREATE SCHEMA bad;
CREATE TABLE bad.twice ("Id" int PRIMARY KEY, id int); CREATE TABLE bad."Orders" (id int PRIMARY KEY); CREATE TABLE bad.orders (id int PRIMARY KEY);
CREATE TABLE bad.toowide (id int PRIMARY KEY, %s); CREATE TABLE bad.wideenough (id int PRIMARY KEY, %s);
CREATE TABLE bad.reserved (id int PRIMARY KEY, "OID" int); CREATE TABLE bad."#brief" (id int PRIMARY KEY);`, columns(1599), columns(1597))
}

// TestW5W16RefusedInPreflight: what Redshift can't hold is said before anything
// is made, with the reason.
func TestW5W16RefusedInPreflight(t *testing.T) {
	t.Parallel()
	s := namesWorld.use(t)
	s.w.Sections["pipeline"] = "bad" // the daemon that runs has read its configuration
	s.w.Sections["source"] = fmt.Sprintf(`{dsn: %q, publication: {name: bad}, tables: {include: ["bad.*"]}}`, s.w.Source.ReplicatorDSN())
	out, code, err := s.w.Command(t.Context(), "check")
	if err != nil || code != 1 {
		t.Errorf("exit code %d (%v)", code, err)
	}
	says(t, out, `bad.twice: columns "Id" and "id" are one name on Redshift`, `bad.toowide: it has 1600 columns, 1598 can be replicated`,
		`tables bad.Orders and bad.orders would both be`, `bad.reserved: column "OID" is a system column on Redshift`,
		`bad.#brief: a table whose name begins with # is a temporary one`)
	if strings.Contains(out, "bad.wideenough: ") {
		t.Errorf("1598 columns are refused:\n%s", out)
	}
	if t.Failed() {
		t.Log(out)
	}
}
