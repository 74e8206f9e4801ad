package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walshift/walshift/sink/redshift/sqltext"
	"github.com/walshift/walshift/test/world"
)

// serverTypesDDL makes a table with a column for every type of the server:
// base types, domains, enums, composites, ranges, multiranges, and the arrays
// of all of them. Of the row types of the system's own tables and views, which
// all follow one rule, there is one.
const serverTypesDDL = `
CREATE TYPE mood AS ENUM ('sad', 'ok', 'very "happy"');
CREATE TYPE pair AS (a int, "B b" text, c numeric);
CREATE TYPE textrange AS RANGE (subtype = text);
CREATE DOMAIN price AS numeric(12,2) CHECK (VALUE >= 0);
CREATE DOMAIN prices AS price[];
CREATE DOMAIN cheap AS price CHECK (VALUE < 10);
CREATE DOMAIN labels AS varchar(20)[];
DO $$
DECLARE e text;
BEGIN
  FOR e IN SELECT name FROM pg_available_extensions WHERE name IN ('hstore', 'citext', 'ltree', 'cube', 'seg') LOOP
    EXECUTE format('CREATE EXTENSION %I', e);
  END LOOP;
  EXECUTE (SELECT format('CREATE TABLE every_type (id int PRIMARY KEY, touched int, %s)', string_agg(c, ', ')) FROM (
    SELECT format('%I %I.%I', 't_' || t.typname, nspname, t.typname) AS c
    FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace LEFT JOIN pg_class r ON r.oid = t.typrelid
    LEFT JOIN pg_type el ON el.oid = t.typelem LEFT JOIN pg_class er ON er.oid = el.typrelid
    WHERE t.typtype IN ('b', 'd', 'e', 'c', 'r', 'm') AND nspname NOT IN ('information_schema', 'pg_toast')
      AND (t.typtype <> 'c' OR r.relkind = 'c' OR t.typname = 'pg_cast')
      AND coalesce(el.typtype, 'b') <> 'p' AND (er.oid IS NULL OR er.relkind = 'c' OR el.typname = 'pg_cast')
    ORDER BY nspname, t.typname) AS columns);
  CREATE TABLE of_schema (id int PRIMARY KEY, cardinal information_schema.cardinal_number, words information_schema.character_data,
    name information_schema.sql_identifier, at information_schema.time_stamp, yes information_schema.yes_or_no);
END $$;`

// serverType is a column of every_type.
type serverType struct {
	name, kind      string // as pg_type has them
	baseName        string // under all domains
	baseKind        string
	typmod          int32
	element         string // of an array, else ""
	elementBaseName string
}

const serverTypesSQL = `
WITH RECURSIVE base AS (
  SELECT a.attnum, a.attname, t.oid, t.typname, t.typtype, t.typbasetype, a.atttypmod AS typmod, t.typtypmod, t.typelem, 0 AS level
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = 'every_type'::regclass AND attnum > 2
  UNION ALL
  SELECT b.attnum, b.attname, t.oid, t.typname, t.typtype, t.typbasetype, CASE WHEN b.typmod = -1 THEN b.typtypmod ELSE b.typmod END,
         t.typtypmod, t.typelem, level + 1
    FROM base b JOIN pg_type t ON t.oid = b.typbasetype WHERE b.typtype = 'd')
SELECT substr(b.attname, 3), t.typtype, b.typname, b.typtype, b.typmod,
       CASE WHEN b.typname LIKE '\_%' AND b.typtype = 'b' THEN el.typname ELSE '' END,
       CASE WHEN el.typtype = 'd' THEN (SELECT typname FROM pg_type WHERE oid = el.typbasetype) ELSE coalesce(el.typname, '') END
  FROM base b JOIN pg_attribute a ON a.attrelid = 'every_type'::regclass AND a.attnum = b.attnum
  JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type el ON el.oid = b.typelem
 WHERE b.typtype <> 'd' ORDER BY b.attnum`

// noInput are types that take no value from anybody but the server itself.
func noInput() []string {
	return []string{
		"gtsvector", "ghstore", "ltree_gist", "pg_brin_bloom_summary", "pg_brin_minmax_multi_summary", "pg_dependencies", "pg_mcv_list",
		"pg_ndistinct", "pg_node_tree", "pg_ddl_command", "aclitem", "pg_cast",
	}
}

// typeSamples returns literals of a type, by the name of its base type.
func typeSamples(name string) []string {
	samples := map[string][]string{
		"bool":     {"t", "f"},
		"bytea":    {`\x00`, `\xdeadbeef5c6e0a0d2c22`},
		"char":     {"a", `\`, " "},
		"name":     {"n", "Quoted name", strings.Repeat("é", 31)},
		"int8":     {"-9223372036854775808", "9223372036854775807", "0"},
		"int2":     {"-32768", "32767"},
		"int4":     {"-2147483648", "2147483647"},
		"oid":      {"0", "4294967295"},
		"float4":   {"-3.4028235e38", "1.17549435e-38", "0.1", "-0", "1e-45"},
		"float8":   {"-1.7976931348623157e308", "2.2250738585072014e-308", "0.1", "-0", "1234567.890123456789", "5e-324"},
		"numeric":  {"99999999999999999999.999999999999999999", "-0.000000000000000001", "0", "1.50", "200"},
		"text":     {"", " ", `a"b\c'd,e{}()`, "line\r\nfeed\ttab", "😀é", "NULL", "null", `\N`, "trail  "},
		"varchar":  {"", "x ", "日本"},
		"bpchar":   {"a  ", ""},
		"json":     {`{"a": [1, 2.50, null], "b": "é\n"}`, `"s"`, "12345678901234567890123456789012345678", "null", "true", "[]"},
		"jsonb":    {`{"a": [1, 2.50, null], "b": "é\n"}`, `"s"`, "0.1234567890123456789012345678901234567", "null", "false", "{}"},
		"xml":      {"<a>x &amp; y</a>", "text only"},
		"uuid":     {"00000000-0000-0000-0000-000000000000", "FFFFFFFF-ffff-4fff-bfff-ffffffffffff"},
		"date":     {"0001-01-01", "9999-12-31", "2024-02-29"},
		"time":     {"00:00:00", "23:59:59.999999"},
		"timetz":   {"00:00:00+00", "23:59:59.999999-12", "12:34:56.7+05:30"},
		"interval": {"1 year 2 mons -3 days 04:05:06.789", "-1 sec", "0", "178000000 years"},
		"timestamp": {
			"0001-01-01 00:00:00", "9999-12-31 23:59:59.999999", "2024-02-29 12:00:00.000001", "1582-10-10 00:00:00.1",
		},
		"timestamptz": {"0001-01-02 00:00:00+00", "9999-12-30 23:59:59.999999+00", "2024-03-31 02:30:00.5 Europe/Berlin", "1883-11-18 12:03:57-04:56:02"},
		"money":       {"1234.50", "-1", "-92233720368547758.08"},
		"bit":         {"101", ""}, "varbit": {"1", ""},
		"inet": {"10.0.0.1/8", "::1", "::ffff:1.2.3.4"}, "cidr": {"10.0.0.0/8", "2001:db8::/32"},
		"macaddr": {"08:00:2b:01:02:03"}, "macaddr8": {"08:00:2b:01:02:03:04:05"},
		"point": {"(1,2.5)", "(NaN,Infinity)"}, "line": {"{1,2,3}"}, "lseg": {"[(0,0),(1,1)]"}, "box": {"(1,1),(0,0)"},
		"path": {"((0,0),(1,1))", "[(0,0),(1,1)]"}, "polygon": {"((0,0),(1,1),(1,0))"}, "circle": {"<(1,2),3.5>"},
		"tsvector": {"'a' 'it''s' 'fat':2A", ""}, "tsquery": {"'a' & !'b c'"}, "jsonpath": {`$."a"[*] ? (@ > 1)`},
		"pg_lsn": {"16/B374D848"}, "tid": {"(0,1)"}, "xid": {"3"}, "xid8": {"18446744073709551615"}, "cid": {"4294967295"},
		"pg_snapshot": {"10:20:10,14"}, "txid_snapshot": {"10:20:10,14"}, "refcursor": {"c u r"},
		"int2vector": {"1 2 -3"}, "oidvector": {"1 2"},
		"regclass": {"pg_class", "every_type", "0"}, "regtype": {"int4", "mood", "timestamptz[]"}, "regproc": {"pg_catalog.now"},
		"regprocedure": {"abs(int4)"}, "regoper": {"pg_catalog.||/"}, "regoperator": {"+(int4,int4)"}, "regrole": {"postgres"},
		"regnamespace": {"public"}, "regconfig": {"english"}, "regdictionary": {"simple"}, "regcollation": {`"C"`},
		"int4range": {"[1,5)", "empty", "(,)"}, "int8range": {"[1,)"}, "numrange": {"[1.50,2)", "(,3]"}, "daterange": {"[2024-01-01,2024-02-01)"},
		"tsrange": {`["2024-01-01 00:00:00","2024-01-02 12:00:00.5")`}, "tstzrange": {`["2024-01-01 00:00:00+02",)`},
		"textrange": {`["a b","c,\"d")`}, "int4multirange": {"{[1,5),[7,9)}", "{}"}, "int8multirange": {"{[1,2)}"},
		"nummultirange": {"{[1.5,2.5)}"}, "datemultirange": {"{[2024-01-01,2024-02-01)}"},
		"tsmultirange": {`{["2024-01-01 00:00:00","2024-01-02 00:00:00")}`}, "tstzmultirange": {`{["2024-01-01 00:00:00+00",)}`},
		"textmultirange": {`{["a b",c)}`},
		"mood":           {"sad", `very "happy"`},
		"pair":           {`(1,"a ""b\\c",1.50)`, "(,,)", `(,"",)`, `(2147483647,NULL,-0.1)`, `(3,"(x,y){z} ",2)`},
		"price":          {"1.50", "0"},
		"cheap":          {"9.99"},
		"prices":         {"{1.50,NULL}", "[3:4]={2,3}"},
		"labels":         {`{a,"b c"}`},
		"_prices":        {`{"{1.50,NULL}",NULL}`},
		"_labels":        {`{"{a,\"b c\"}"}`},
		"hstore":         {"", `"a"=>"1", "b"=>NULL`, `"q\"u\\o"=>"NULL", "c,=>"=>"é\r\n"`},
		"citext":         {"Ab", ""}, "ltree": {"Top.Science"}, "lquery": {"Top.*{1,2}"}, "ltxtquery": {"a & b"},
		"cube": {"(1, 2),(3, 4.5)"}, "seg": {"1 .. 2.5", "~5"},
	}
	return samples[name]
}

// randomSamples returns random values for the types that have the most ways to
// go wrong.
func randomSamples(seed uint64) map[string][]string {
	rng := rand.New(rand.NewPCG(seed, 1))
	text := func() string {
		pieces := []string{
			"a", "B", " ", "  ", "\t", "\n", "\r", `"`, `""`, "'", `\`, `\\`, `\N`, `\x`, ",", "{", "}", "(", ")", "[", "]", ":", ";", "=>", "NULL", "null",
			"é", "日", "😀", "\u2028", "\x01", "\x7f", "0", "-", "1e5", ".", "t", "~N", "%", "$", "/*", "--",
		}
		var b strings.Builder
		for range rng.IntN(9) {
			b.WriteString(pieces[rng.IntN(len(pieces))])
		}
		return b.String()
	}
	quoted := func(v string) string {
		b, _ := json.Marshal(v) //nolint:errchkjson // text
		return string(b)
	}
	number := func(whole, fraction int) string {
		var b strings.Builder
		if rng.IntN(2) == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(byte('1' + rng.IntN(9)))
		for range rng.IntN(whole) {
			b.WriteByte(byte('0' + rng.IntN(10)))
		}
		b.WriteByte('.')
		for range 1 + rng.IntN(fraction) {
			b.WriteByte(byte('0' + rng.IntN(10)))
		}
		return b.String()
	}
	double := func() string { return strconv.FormatFloat(math.Float64frombits(rng.Uint64()>>2), 'g', -1, 64) }
	makers := map[string]func() string{
		"text": text, "varchar": text, "citext": text, "numeric": func() string { return number(20, 18) },
		"float8": double, "float4": func() string { return strconv.FormatFloat(float64(rng.Float32()*1e30), 'g', -1, 32) },
		"bytea": func() string { return fmt.Sprintf(`\x%02x%x`, rng.IntN(256), text()) },
		"timestamptz": func() string {
			return time.Unix(rng.Int64N(315_537_000_000)-62_135_510_400, rng.Int64N(1e9)).UTC().Format("2006-01-02 15:04:05.999999-07")
		},
		"jsonb": func() string {
			return fmt.Sprintf(`{%s: [%s, %s, {%s: null}], "n": %s}`, quoted(text()), number(18, 19), quoted(text()), quoted(text()), number(5, 3))
		},
		"hstore": func() string {
			q := func() string { return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text()) + `"` }
			return q() + "=>" + q() + ", " + q() + "=>NULL"
		},
		"pair": func() string {
			return fmt.Sprintf(`(%d,"%s",%s)`, rng.Int32(), strings.NewReplacer(`\`, `\\`, `"`, `""`).Replace(text()), number(9, 9))
		},
	}
	samples := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(makers)) {
		for range 25 {
			samples[name] = append(samples[name], makers[name]())
		}
	}
	return samples
}

// literals returns SQL expressions of sample values for a column, and of more
// by base type.
func (s *serverType) literals(more map[string][]string) []string {
	quote := func(v string) string { return "'" + strings.ReplaceAll(v, "'", "''") + "'" }
	cast := `::public."` + s.name + `"`
	if s.baseName == s.name || s.kind != "d" { // the search path finds them
		cast = `::"` + s.name + `"`
	}
	var list []string
	own := typeSamples(s.name)
	if len(own) == 0 && s.element == "" {
		own = append(typeSamples(s.baseName), more[s.baseName]...)
	}
	if len(own) > 0 || s.element == "" {
		for _, v := range own {
			list = append(list, quote(v)+cast)
		}
		return list
	}
	name := s.element
	var elements []string
	samples := typeSamples(name)
	if len(samples) == 0 {
		samples = typeSamples(s.elementBaseName)
	}
	samples = append(samples, more[name]...)
	for _, v := range samples {
		elements = append(elements, quote(v)+`::"`+name+`"`)
	}
	if len(elements) == 0 {
		return nil
	}
	all := "ARRAY[" + strings.Join(append(elements, "NULL"), ", ") + "]"
	two := "ARRAY[ARRAY[" + elements[0] + ", NULL], ARRAY[NULL, " + elements[0] + "]]"
	return []string{
		quote("{}") + cast, all + cast, two + cast,
		"('[2:'||(1+cardinality(" + all + "))||']='||(" + all + ")::text)" + cast,
		"('[-1:0][3:4]='||(" + two + ")::text)" + cast,
	}
}

// cells runs a query and returns its rows by the first column.
func cells(t *testing.T, side world.Side, query string) map[string][][]byte {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	conn, err := pgconn.Connect(ctx, side.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	for _, q := range side.Prepare {
		if _, err := conn.Exec(ctx, q).ReadAll(); err != nil {
			t.Fatal(err)
		}
	}
	res, err := conn.Exec(ctx, query).ReadAll()
	if err != nil {
		t.Fatalf("running %.200s: %v", query, err)
	}
	rows := map[string][][]byte{}
	for _, row := range res[0].Rows {
		rows[string(row[0])] = row[1:]
	}
	return rows
}

// hostile are settings of the database that would change every text, were they
// not pinned (W14), and some that would end the daemon's work (V14).
func hostile() []string {
	return []string{
		"DateStyle = 'SQL, DMY'", "IntervalStyle = 'sql_standard'", "TimeZone = 'Asia/Kathmandu'", "extra_float_digits = -15",
		"bytea_output = 'escape'", "xmloption = 'document'", "quote_all_identifiers = on", "search_path = 'pg_catalog'",
		"client_encoding = 'LATIN1'", "statement_timeout = 1", "lock_timeout = 1", "idle_in_transaction_session_timeout = 1",
		"default_transaction_read_only = on", "default_transaction_isolation = 'serializable'", "transform_null_equals = on",
	}
}

func readServerTypes(t *testing.T, w *world.World) []serverType {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), w.Source.OwnerDSN())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	res, err := conn.Exec(t.Context(), serverTypesSQL).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var types []serverType
	for _, r := range res[0].Rows {
		s := serverType{
			name: string(r[0]), kind: string(r[1]), baseName: string(r[2]), baseKind: string(r[3]),
			element: string(r[5]), elementBaseName: string(r[6]),
		}
		if _, err := fmt.Sscan(string(r[4]), &s.typmod); err != nil {
			t.Fatal(err)
		}
		types = append(types, s)
	}
	if len(types) < 150 {
		t.Fatalf("%d types", len(types))
	}
	return types
}

// fillServerTypes inserts each sample in a row of its own, with ids from base
// on, and reports types without one.
func fillServerTypes(t *testing.T, w *world.World, types []serverType, base int, more map[string][]string) int {
	t.Helper()
	var b strings.Builder
	n := 0
	for i := range types {
		s := &types[i]
		list := s.literals(more)
		if len(list) == 0 && !slices.Contains(noInput(), s.baseName) && !slices.Contains(noInput(), s.elementBaseName) {
			t.Errorf("type %s (%s) has no sample", s.name, s.kind)
		}
		for _, v := range list {
			n++
			fmt.Fprintf(&b, "INSERT INTO every_type (id, %q) VALUES (%d, %s);\n", "t_"+s.name, base+n, v)
		}
	}
	exec(t, w, b.String())
	return n
}

// TestT6T7ServerTypes: every type that the running server has is in the type
// table, and its values, chosen ones and random ones, come through snapshot and stream as the table says,
// whatever the settings of the database (T1, T2, T3, T6, T7, N8, W14, V14).
func TestT6T7ServerTypes(t *testing.T) {
	t.Parallel()
	w := plainWorld(t, world.Config{DDL: serverTypesDDL})
	dba := w.PG.SuperuserDSN("postgres") // the settings don't reach another database
	for _, s := range hostile() {
		execOn(t, dba, "ALTER DATABASE shop SET "+s, "ALTER ROLE shop_repl SET "+s)
	}
	for _, s := range []string{
		"DateStyle = 'ISO, YMD'", "search_path = 'public'", "client_encoding = 'UTF8'", "statement_timeout = 0", "lock_timeout = 0",
		"idle_in_transaction_session_timeout = 0", "default_transaction_read_only = off", "TimeZone = 'UTC'", "IntervalStyle = 'postgres'",
		"extra_float_digits = 3", "bytea_output = 'hex'", "xmloption = 'content'", "quote_all_identifiers = off", "lc_monetary = 'C'",
		"default_transaction_isolation = 'read committed'",
	} {
		execOn(t, dba, "ALTER ROLE shop_owner IN DATABASE shop SET "+s)
	}
	types := readServerTypes(t, w)
	const inStream = 10_000
	seed := uint64(numberFrom(t, "WALSHIFT_SEED", int(time.Now().UnixNano()&0xffffff)))
	t.Logf("WALSHIFT_SEED=%d", seed)
	more := randomSamples(seed)
	n := fillServerTypes(t, w, types, 0, more)
	exec(t, w, `INSERT INTO of_schema VALUES (1, 7, 'w', 'n', '2024-01-01 00:00:00+00', 'YES')`)
	streaming(t, w)
	fillServerTypes(t, w, types, inStream, more)
	exec(t, w, fmt.Sprintf(`UPDATE every_type SET touched = 1 WHERE id %% 3 = 0 AND id < %d`, inStream), // whole rows that exist
		`INSERT INTO of_schema SELECT 2, cardinal, words, name, at, yes FROM of_schema`)
	if err := w.WaitApplied(t.Context(), 60*time.Second); err != nil {
		t.Fatal(err)
	}
	compareServerTypes(t, w, types, 2*n)
	compare(t, w, map[string]string{"of_schema": "id, cardinal, words, name, at, yes"})
}

func compareServerTypes(t *testing.T, w *world.World, types []serverType, rows int) {
	t.Helper()
	var names, oracles, targets []string
	mappings := make([]sqltext.Mapping, len(types))
	for i := range types {
		s := &types[i]
		src := sqltext.SourceColumn{Type: s.baseName, Kind: s.baseKind, Typmod: s.typmod}
		m, err := sqltext.MapType(src)
		if err != nil {
			t.Fatal(err)
		}
		if !sqltext.InTypeTable(src) && !slices.Contains(noInput(), s.baseName) {
			t.Errorf("type %s has no row in the type table", s.name)
		}
		mappings[i] = m
		quoted := `"t_` + s.name + `"`
		names = append(names, quoted)
		oracles = append(oracles, oracle(s, m, quoted))
		targets = append(targets, readBack(m, quoted))
	}
	source := world.Side{DSN: w.Source.OwnerDSN(), Prepare: []string{"SET search_path = ''"}} // names are qualified
	texts := cells(t, source, "SELECT id, "+strings.Join(names, ", ")+" FROM public.every_type")
	wants := cells(t, source, "SELECT id, "+strings.Join(oracles, ", ")+" FROM public.every_type")
	side := w.TargetSide()
	side.Prepare = []string{"SET extra_float_digits = 2"}
	gots := cells(t, side, "SELECT id, "+strings.Join(targets, ", ")+" FROM every_type")
	if len(texts) != rows || len(gots) != rows {
		t.Fatalf("%d rows on the source, %d on the target, want %d", len(texts), len(gots), rows)
	}
	for id, text := range texts {
		for i := range types {
			want, got := text[i], gots[id][i]
			if (want == nil) != (got == nil) {
				t.Errorf("%s, row %s: %q is %q on the target", types[i].name, id, want, got)
			}
			if want == nil || got == nil {
				continue
			}
			if mappings[i].Super() {
				want = wants[id][i]
			}
			if d := differ(&types[i], mappings[i], want, got); d != "" {
				t.Errorf("%s, row %s, %q: %s", types[i].name, id, text[i], d)
			}
		}
	}
}

// oracle is an expression of the source for what a SUPER must hold, by
// functions of PostgreSQL's own.
func oracle(s *serverType, m sqltext.Mapping, column string) string {
	switch m.Form {
	case sqltext.FormArray:
		list := column + "::text::text[]" // what PostgreSQL itself reads out of the text
		if s.ofRows() {
			return "json_build_object('d', array_dims(" + column + "), 'v', to_json(" + column + "))"
		}
		if s.element == "box" {
			list = column + "::text[]" // its delimiter is another
		}
		return "json_build_object('d', array_dims(" + column + "), 'v', to_json(" + list + "))"
	case sqltext.FormRow:
		return "row_to_json(" + column + ")"
	case sqltext.FormHstore:
		return "public.hstore_to_json(" + column + ")"
	default:
		return column + "::text"
	}
}

// readBack is an expression of the target for a column's text.
func readBack(m sqltext.Mapping, column string) string {
	switch {
	case m.Super():
		return "json_serialize(" + column + ")"
	case m.Form == sqltext.FormHex:
		return "from_varbyte(" + column + ", 'hex')"
	}
	return column
}

// differ compares a value's text with what the target has, by the stated form.
func differ(s *serverType, m sqltext.Mapping, want, got []byte) string {
	equal := string(want) == string(got)
	switch m.Form {
	case sqltext.FormHex:
		equal = string(want) == `\x`+string(got)
	case sqltext.FormDecimal:
		a, ok := new(big.Rat).SetString(string(want))
		b, ok2 := new(big.Rat).SetString(string(got))
		equal = ok && ok2 && a.Cmp(b) == 0
	case sqltext.FormJSON, sqltext.FormHstore, sqltext.FormRow:
		equal = sameJSON(parse(want), parse(got))
	case sqltext.FormArray:
		return differArray(s, m, want, got)
	default:
	}
	if equal {
		return ""
	}
	return fmt.Sprintf("the target has %q", got)
}

// differArray compares elements by their texts, and the bounds.
func differArray(s *serverType, m sqltext.Mapping, want, got []byte) string {
	var w struct {
		D *string `json:"d"`
		V any     `json:"v"`
	}
	if err := json.Unmarshal(want, &w); err != nil {
		return err.Error()
	}
	elements, bounds := parse(got), ""
	if o, ok := elements.(map[string]any); ok {
		bounds, _ = o["bounds"].(string)
		elements = o["elements"]
	}
	usual := w.D == nil || !strings.Contains(strings.ReplaceAll(*w.D, "[1:", ""), "[")
	if usual != (bounds == "") || !usual && bounds != *w.D {
		return fmt.Sprintf("bounds %q on the target", bounds)
	}
	if s.ofRows() {
		var v struct {
			V json.RawMessage `json:"v"`
		}
		if err := json.Unmarshal(want, &v); err != nil || !sameJSON(parse(v.V), elements) {
			return fmt.Sprintf("the target has %s", got)
		}
		return ""
	}
	if !sameElements(m.Element, w.V, elements) {
		return fmt.Sprintf("the target has %s", got)
	}
	return ""
}

func sameElements(kind sqltext.Element, want, got any) bool {
	list, nested := want.([]any)
	if nested {
		others, ok := got.([]any)
		if !ok || len(others) != len(list) {
			return false
		}
		for i := range list {
			if !sameElements(kind, list[i], others[i]) {
				return false
			}
		}
		return true
	}
	text, isText := want.(string)
	switch {
	case !isText:
		return want == nil && got == nil
	case kind == sqltext.ElementJSON:
		return sameJSON(parse([]byte(text)), got)
	case kind == sqltext.ElementBool:
		return got == (text == "t" || text == "true")
	}
	if number, ok := got.(json.Number); ok && kind == sqltext.ElementNumber {
		a, ok := new(big.Rat).SetString(text)
		b, ok2 := new(big.Rat).SetString(number.String())
		if ok && ok2 && a.Cmp(b) == 0 {
			return true
		}
		// One double has many spellings.
		x, err := strconv.ParseFloat(text, 64)
		y, err2 := number.Float64()
		return err == nil && err2 == nil && strings.Contains(text, "e") && x == y
	}
	return got == text
}
