package sqltext_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// script collects statements for a golden file.
type script struct {
	t *testing.T
	b strings.Builder
}

func (s *script) add(sql string, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("building statement: %v", err)
	}
	s.b.WriteString(sql + ";\n\n")
}

func (s *script) say(format string, args ...any) { fmt.Fprintf(&s.b, format+"\n", args...) }

func (s *script) compare(name string) {
	s.t.Helper()
	path := filepath.Join("testdata", name)
	got := strings.TrimRight(s.b.String(), "\n") + "\n"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatalf("%v (run with UPDATE_GOLDEN=1 to write it)", err)
	}
	if got != string(want) {
		s.t.Errorf("%s differs; got:\n%s", path, got)
	}
}

func column(t *testing.T, attnum int16, name string, key bool, src sqltext.SourceColumn) sqltext.Column {
	t.Helper()
	src.Key = key
	m, err := sqltext.MapType(src)
	if err != nil {
		t.Fatal(err)
	}
	return sqltext.Column{Name: name, Attnum: attnum, Key: key, Mapping: m}
}

func base(typ string, typmod int32) sqltext.SourceColumn {
	return sqltext.SourceColumn{Type: typ, Kind: "b", Typmod: typmod}
}

// orders has a key with exact equality and an exotic name or two.
func orders(t *testing.T) *sqltext.Table {
	t.Helper()
	return &sqltext.Table{
		Name: sqltext.Name{Schema: "public", Table: `Or"ders; 2`},
		Columns: []sqltext.Column{
			column(t, 1, "id", true, base("int8", -1)),
			column(t, 3, "select", false, base("varchar", 104)),
			column(t, 4, `q"uote`, false, base("numeric", (12<<16|2)+4)),
			column(t, 7, "at", false, base("timestamptz", -1)),
		},
		DistKey: 1,
	}
}

// documents has a text key of two columns and values above 64 KB.
func documents(t *testing.T) *sqltext.Table {
	t.Helper()
	return &sqltext.Table{
		Name: sqltext.Name{Schema: "app", Table: "documents"},
		Columns: []sqltext.Column{
			column(t, 1, "tenant", true, base("text", -1)),
			column(t, 2, "body", false, base("jsonb", -1)),
			column(t, 3, "no", true, base("int4", -1)),
			column(t, 5, "raw", false, base("bytea", -1)),
		},
	}
}

func staging(t *sqltext.Table, n int, columns ...int16) *sqltext.Staging {
	return &sqltext.Staging{
		Name: sqltext.StagingName("shop", "0123456789abcdef", n), Target: t, Columns: columns,
	}
}

func TestGoldenTables(t *testing.T) {
	t.Parallel()
	s := &script{t: t}
	shadow := sqltext.ShadowName("public", 16384, "0123456789abcdef")
	s.add(sqltext.CreateSchema("public"))
	s.add(sqltext.CreateTable(orders(t), shadow))
	s.add(sqltext.CreateTable(documents(t), documents(t).Name))
	s.add(sqltext.AddPad(shadow))
	s.add(sqltext.DropPad(shadow))
	s.add(sqltext.Rename(shadow, orders(t).Name.Table))
	s.add(sqltext.DropTables([]sqltext.Name{shadow, orders(t).Name}))
	s.add(sqltext.CreateStaging(staging(orders(t), 1, 1, 3, 4, 7)))
	partial := staging(documents(t), 2, 1, 2, 3, 5)
	partial.Origin, partial.Kept = []int16{1, 3}, []int16{2, 5}
	s.add(sqltext.CreateStaging(partial))
	padded := staging(orders(t), 3, 1)
	padded.Pad = true
	s.add(sqltext.CreateStaging(padded))
	folding := documents(t)
	folding.CaseSensitive = true
	s.add(sqltext.CreateTable(folding, folding.Name))
	s.add(sqltext.CreateStaging(staging(folding, 4, 1, 3)))
	s.compare("tables.sql")
}

func TestGoldenCopy(t *testing.T) {
	t.Parallel()
	s := &script{t: t}
	c := sqltext.Copy{
		Target: orders(t).Name, Columns: []string{"id", `q"uote`},
		Manifest: "s3://bucket/it's/copy/7-ab.manifest", NullMarker: "~null'7~", Compression: "zstd",
		IAMRole: "arn:aws:iam::123456789012:role/loader",
	}
	s.add(sqltext.CopyFrom(c))
	c.IAMRole, c.Region, c.Compression = "default", "eu-west-1", "gzip"
	s.add(sqltext.CopyFrom(c))
	s.add(sqltext.LastCopyCount(), nil)
	s.add(sqltext.LoadError(`data/00000000000000000007-5f\e/`))
	s.compare("copy.sql")
}

func TestGoldenApply(t *testing.T) {
	t.Parallel()
	s := &script{t: t}
	upsert := staging(orders(t), 1, 1, 3, 4, 7)
	s.add(sqltext.CountExisting(upsert))
	s.add(sqltext.Merge(upsert))
	partial := staging(documents(t), 2, 1, 2, 3, 5)
	partial.Origin, partial.Kept = []int16{1, 3}, []int16{2, 5}
	s.add(sqltext.Fill(partial))
	s.add(sqltext.CountExisting(partial))
	s.add(sqltext.Delete(partial))
	s.add(sqltext.Insert(partial))
	s.add(sqltext.Delete(staging(documents(t), 3, 1, 3)))
	s.add(sqltext.DeleteAll(documents(t)))
	s.compare("apply.sql")
}

func TestGoldenState(t *testing.T) {
	t.Parallel()
	s := &script{t: t}
	tables, err := sqltext.CreateState("shop")
	if err != nil {
		t.Fatal(err)
	}
	s.add(strings.Join(tables, ";\n\n"), nil)
	s.add(sqltext.CreateFreshness([]string{"crm", "shop"}))
	s.add(sqltext.LockFence("shop"))
	s.add(sqltext.CountFence("shop"))
	s.add(sqltext.InsertFence("shop", "00ff"))
	s.add(sqltext.ReadFence("shop"))
	from := sqltext.Fence{Epoch: 3, Seq: 7, Txn: "00ff"}
	to := sqltext.Fence{Epoch: 3, Seq: 9, Txn: "11ee", LSN: "16/B374D848", CommitTime: "2026-11-22 18:00:00.000001"}
	s.add(sqltext.MoveFence("shop", from, to))
	s.add(sqltext.RaiseEpoch("shop", 4, "22dd"))
	s.add(sqltext.ResetFence("shop", to))
	s.add(sqltext.AdvanceLive("shop", to))
	p := sqltext.Position{
		OID: 16384, SchemaName: "public", TableName: "o'rders", State: "loaded", X: "0/1", Applied: "0/2",
		Reason: `a\b`, Target: sqltext.Name{Schema: "public", Table: "o'rders"}, Shadow: "_walshift_16384_00ff", MadeTarget: true,
	}
	s.add(sqltext.ReadPositions("shop"))
	s.add(sqltext.UpdatePosition("shop", p))
	s.add(sqltext.InsertPositions("shop", []sqltext.Position{p, p}))
	s.add(sqltext.MakeLive("shop", "0/2"))
	s.add(sqltext.ClearPositions("shop"))
	s.add(sqltext.AddSession("shop", 3, 1073))
	s.add(sqltext.OtherSessions("shop", 3, 1073))
	s.add(sqltext.ForgetSessions("shop", 3, 1073))
	s.add(sqltext.Terminate(1073))
	s.compare("state.sql")
}

func TestGoldenCatalog(t *testing.T) {
	t.Parallel()
	s := &script{t: t}
	s.add(sqltext.Relations([]string{"public", "o'dd"}))
	s.add(sqltext.Schemas([]string{"public"}))
	s.add(sqltext.CanCreateSchema(), nil)
	s.add(sqltext.CanCreateIn("public"))
	s.add(sqltext.BackendPID(), nil)
	s.add(sqltext.CaseSensitiveIdentifiers(), nil)
	s.add(sqltext.DatabaseCollation(), nil)
	s.add(sqltext.Set("query_group", `et'l\`))
	s.compare("catalog.sql")
}

// TestGoldenTypes pins the mapping of every type (T2, T7, T8).
func TestGoldenTypes(t *testing.T) {
	t.Parallel()
	numeric := func(p, s int32) int32 { return (p<<16 | s&0x7ff) + 4 }
	s := &script{t: t}
	for _, c := range []sqltext.SourceColumn{
		base("int2", -1), base("int4", -1), base("int8", -1), base("oid", -1), base("bool", -1),
		base("float4", -1), base("float8", -1),
		base("numeric", -1),
		{Type: "numeric", Kind: "b", Typmod: -1, NumericScale: 9},
		base("numeric", numeric(10, 2)), base("numeric", numeric(19, 0)),
		base("numeric", numeric(38, 37)), base("numeric", numeric(38, 38)), base("numeric", numeric(39, 0)),
		base("numeric", numeric(5, -2)), base("numeric", numeric(3, 5)), base("numeric", numeric(1000, 1000)),
		base("numeric", numeric(37, -2)),
		base("text", -1), base("varchar", -1), base("varchar", 4+10), base("varchar", 4+20000),
		base("bpchar", -1), base("bpchar", 4+1), base("name", -1), base("char", -1), base("uuid", -1),
		base("date", -1), base("timestamp", 3), base("timestamptz", -1), base("time", -1), base("timetz", -1),
		base("bytea", -1), base("json", -1), base("jsonb", -1), base("hstore", -1), base("_int4", -1),
		base("interval", -1), base("inet", -1), base("money", -1), base("bit", 8), base("varbit", -1),
		base("xml", -1), base("tsvector", -1), base("point", -1), base("citext", -1),
		{Type: "mood", Kind: "e"},
		{Type: "pair", Kind: "c"},
		{Type: "int4range", Kind: "r"},
		{Type: "int4multirange", Kind: "m"},
		{Type: "text", Kind: "d"},
		{Type: "anyelement", Kind: "p"},
		base("geometry", -1), base("", -1),
	} {
		for _, key := range []bool{false, true} {
			c.Key = key
			m, err := sqltext.MapType(c)
			if err != nil && !errors.Is(err, sqltext.ErrUnknownType) {
				t.Errorf("%+v: error %v is no ErrUnknownType", c, err)
			}
			s.say("%-16s %s %8d key=%-5t → %-20s form=%d bytes=%d decimal=%d,%d exact=%t equality=%t err=%v",
				c.Type, c.Kind, c.Typmod, key, m.DDL, m.Form, m.MaxBytes, m.Precision, m.Scale, m.Exact, m.Equality, err)
		}
	}
	s.compare("types.txt")
}

// TestW15ExoticNames: whatever the name, it is one identifier that reads back.
func TestW15ExoticNames(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(rapid.String(), rapid.StringOfN(rapid.RuneFrom([]rune(`a".\é `)), 0, 140, -1)).Draw(t, "name")
		got, err := sqltext.Ident(name)
		bad := name == "" || len(name) > 127 || strings.Contains(name, "\x00")
		if bad != (err != nil) || err != nil && !errors.Is(err, sqltext.ErrBadName) {
			t.Fatalf("Ident(%q): error %v", name, err)
		}
		if err == nil && unquote(got, '"', false) != name {
			t.Fatalf("Ident(%q) = %s", name, got)
		}
	})
}

// TestLiteralReadsBack: under Redshift's rules (a backslash escapes the next
// byte, a doubled quote is a quote) every literal reads back as its value, and
// ends where it should.
func TestLiteralReadsBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(rapid.String(), rapid.StringOf(rapid.RuneFrom([]rune(`a'\n é`)))).Draw(t, "value")
		got, err := sqltext.Literal(value)
		if strings.Contains(value, "\x00") {
			if !errors.Is(err, sqltext.ErrBadValue) || strings.Contains(err.Error(), value) {
				t.Fatalf("NUL: error %v", err)
			}
			return
		}
		if err != nil || unquote(got, '\'', true) != value {
			t.Fatalf("Literal(%q) = %s, %v", value, got, err)
		}
	})
}

// unquote reads a quoted token as Redshift does; it returns "<open>" where the
// token does not end at its last byte.
func unquote(s string, quote byte, escapes bool) string {
	var b strings.Builder
	if len(s) < 2 || s[0] != quote {
		return "<open>"
	}
	for i := 1; i < len(s); i++ {
		switch {
		case escapes && s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case s[i] == quote && i+1 < len(s) && s[i+1] == quote:
			i++
			b.WriteByte(quote)
		case s[i] == quote && i == len(s)-1:
			return b.String()
		case s[i] == quote:
			return "<open>"
		default:
			b.WriteByte(s[i])
		}
	}
	return "<open>"
}

func TestW3MarkerWithoutBackslash(t *testing.T) {
	t.Parallel()
	ok := sqltext.Copy{
		Target: sqltext.Name{Schema: "a", Table: "b"}, Columns: []string{"c", "d"},
		Manifest: "s3://b/m", NullMarker: "~", Compression: "zstd", IAMRole: "default",
	}
	if _, err := sqltext.CopyFrom(ok); err != nil {
		t.Fatal(err)
	}
	for _, marker := range []string{`\N`, "", "a\nb", "a\rb", "a\x00b"} {
		c := ok
		c.NullMarker = marker
		if sql, err := sqltext.CopyFrom(c); !errors.Is(err, sqltext.ErrBadValue) {
			t.Errorf("marker %q: %v\n%s", marker, err, sql)
		}
	}
	ok.Compression = "none"
	if _, err := sqltext.CopyFrom(ok); !errors.Is(err, sqltext.ErrBadValue) {
		t.Errorf("compression none: %v", err)
	}
}

// TestMergeOnlyWhereExact: text keys, large values and tables without a column
// to set go another way.
func TestMergeOnlyWhereExact(t *testing.T) {
	t.Parallel()
	key := column(t, 1, "id", true, base("int4", -1))
	value := column(t, 2, "v", false, base("text", -1))
	for name, c := range map[string]struct {
		columns []sqltext.Column
		want    bool
	}{
		"numbers":  {[]sqltext.Column{key, value}, true},
		"uuid":     {[]sqltext.Column{column(t, 1, "id", true, base("uuid", -1)), value}, true},
		"text":     {[]sqltext.Column{column(t, 1, "id", true, base("text", -1)), value}, false},
		"super":    {[]sqltext.Column{key, column(t, 2, "v", false, base("jsonb", -1))}, false},
		"varbyte":  {[]sqltext.Column{key, column(t, 2, "v", false, base("bytea", -1))}, false},
		"only key": {[]sqltext.Column{key}, false},
		"no key":   {[]sqltext.Column{value}, false},
	} {
		table := &sqltext.Table{Name: sqltext.Name{Schema: "a", Table: "b"}, Columns: c.columns}
		if got := table.CanMerge(); got != c.want {
			t.Errorf("%s: CanMerge = %t", name, got)
		}
		if _, err := sqltext.Merge(staging(table, 1, 1, 2)); c.want != (err == nil) {
			t.Errorf("%s: Merge: %v", name, err)
		}
	}
}

// TestKeylessRefused: a write by key to a table without one would match all.
func TestKeylessRefused(t *testing.T) {
	t.Parallel()
	table := &sqltext.Table{
		Name:    sqltext.Name{Schema: "a", Table: "b"},
		Columns: []sqltext.Column{column(t, 2, "v", false, base("text", -1))},
	}
	if sql, err := sqltext.Delete(staging(table, 1, 2)); err == nil {
		t.Errorf("DELETE without a key: %s", sql)
	}
	if sql, err := sqltext.Fill(staging(table, 1, 2)); err == nil {
		t.Errorf("UPDATE without a key: %s", sql)
	}
	if sql, err := sqltext.Insert(staging(table, 1, 9)); err == nil {
		t.Errorf("INSERT of an unknown column: %s", sql)
	}
}

func TestPipelineNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"shop": true, "a": true, "a_9": true, "a" + strings.Repeat("b", 40): true,
		"": false, "9a": false, "Shop": false, "a-b": false, "_a": false, "a" + strings.Repeat("b", 41): false,
	} {
		if err := sqltext.CheckPipeline(name); want != (err == nil) {
			t.Errorf("CheckPipeline(%q) = %v", name, err)
		}
	}
	if p, ok := sqltext.PipelineOf("positions_shop"); !ok || p != "shop" {
		t.Errorf("PipelineOf = %q, %t", p, ok)
	}
	own := sqltext.StagingName("a_b", "0123456789abcdef", 12).Table
	if !sqltext.IsStaging("a_b", own) || sqltext.IsStaging("a", own) || sqltext.IsStaging("a_b", "stg_a_b_x_1") {
		t.Errorf("IsStaging mixes pipelines up: %s", own)
	}
	if len(sqltext.StagingName("a"+strings.Repeat("b", 40), "0123456789abcdef", 1<<31).Table) > sqltext.MaxIdentifier {
		t.Error("staging name is too long")
	}
}

func TestW5Fold(t *testing.T) {
	t.Parallel()
	if got := sqltext.Fold("ÄbC"); got != "Äbc" {
		t.Errorf("Fold = %q: only ASCII letters fold", got)
	}
}
