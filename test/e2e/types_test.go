package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walshift/walshift/test/world"
)

const typesDDL = `
CREATE TYPE mood AS ENUM ('sad', 'ok', 'very happy');
CREATE TABLE "Every Type" (
  id bigint PRIMARY KEY, i2 smallint, i4 integer, i8 bigint, yes boolean, f4 real, f8 double precision,
  d date, ts timestamp, tz timestamptz, ts0 timestamp(0), t time, ttz timetz,
  n numeric(38,10), n5 numeric(5,0), nu numeric, vc varchar(40), ch char(6), tx text, "MixedCase" text,
  u uuid, b bytea, j json, jb jsonb, m mood, iv interval, ip inet, r int4range, vb bit varying(9));
CREATE TABLE "Text Keys" ("Key One" text, key2 varchar(20), "Note" text, PRIMARY KEY ("Key One", key2));
`

// everyType inserts rows that exercise all columns, with ids from base on.
func everyType(base int) string {
	var b strings.Builder
	row := 0
	add := func(columns, values string) {
		row++
		fmt.Fprintf(&b, `INSERT INTO "Every Type" (id, %s) VALUES (%d, %s);`+"\n", columns, base+row, values)
	}
	add("i2", "NULL") // all others NULL
	add("i2, i4, i8, yes, f4, f8", "-32768, -2147483648, -9223372036854775808, false, -3.4028235e38, -1.7976931348623157e308")
	add("i2, i4, i8, yes, f4, f8", "32767, 2147483647, 9223372036854775807, true, 3.4028235e38, 1.7976931348623157e308")
	add("i2, f4, f8", "0, 1.17549435e-38, 2.2250738585072014e-308")
	add("i2, f4, f8", "7, 0.1, 0.1")
	add("f4, f8", "'-0', 1234567.890123456789")
	add("d, ts, tz, ts0", "'0001-01-01', '0001-01-01 00:00:00', '0001-01-02 00:00:00+00', '0001-01-01 00:00:01'")
	add("d, ts, tz, ts0", "'9999-12-31', '9999-12-31 23:59:59.999999', '9999-12-30 23:59:59.999999+00', '9999-12-31 23:59:59'")
	add("d, ts, tz", "'2024-02-29', '2024-02-29 12:00:00.000001', '2024-03-31 02:30:00.5 Europe/Berlin'")
	add("ts, tz", "'1582-10-10 00:00:00.1', '1883-11-18 12:03:57-04:56:02'")
	add("t, ttz", "'00:00:00', '00:00:00+00'")
	add("t, ttz", "'23:59:59.999999', '23:59:59.999999-12'")
	add("t, ttz", "'12:34:56.7', '12:34:56.7+05:30'")
	add("n, n5, nu", "'9999999999999999999999999999.9999999999', 99999, '99999999999999999999.999999999999999999'")
	add("n, n5, nu", "'-9999999999999999999999999999.9999999999', -99999, '-99999999999999999999.999999999999999999'")
	add("n, n5, nu", "0.0000000001, 0, 0.000000000000000001")
	add("n, nu", "'1e10', '1.50'")
	add("n, nu", "200, '12345678901234567890'")
	for _, s := range []string{
		`''`, `' '`, `'  lead'`, `'trail  '`, `'a"b'`, `'it''s'`, `E'line\nfeed'`, `E'cr\rlf\r\n'`, `E'tab\there'`, `E'back\\slash'`,
		`E'\\N'`, `'NULL'`, `'N'`, `'null'`, `'\'`, `'@'`, `'|,;'`, `'"'`, `'""'`, `','`, `E'\n'`, `'😀'`, `'é'`, `'日本語'`,
		`E'\x01\x02\x1f\x7f'`, `U&'\FEFFbom'`, `U&'e\0301'`, `U&'\2028'`, `U&'\+10FFFF'`,
	} {
		add(`vc, ch, tx, "MixedCase"`, strings.Join([]string{s, "left(" + s + ", 6)", s + " || " + s, s}, ", "))
	}
	add("tx", "repeat('x', 65535)")
	add("tx", "repeat('😀', 16383) || 'abc'")
	add("ch", "'ab'")
	add("u", "'00000000-0000-0000-0000-000000000000'")
	add("u", "'FFFFFFFF-ffff-4fff-bfff-ffffffffffff'")
	add("b", `'\x00'`)
	add("b", `'\x00ff5c6e0a0d2c22'`)
	add("b", `decode(repeat('a7', 3000), 'hex')`)
	for _, s := range []string{
		`'null'`, `'true'`, `'1'`, `'"s"'`, `'""'`, `'[]'`, `'{}'`, `' { "a" : [ 1, 2.50, -3e2 ], "b" : {"c": null} } '`,
		`'{"n": 9007199254740993, "s": "é\\\"\n\t😀", "Key": {"key": 1}}'`, `'[1,[2,[3,[4]]]]'`, `'{"q": "it''s, \"x\""}'`,
	} {
		add("j, jb", s+", "+s)
	}
	add("m, iv, ip, r, vb", `'very happy', '1 year 2 mons -3 days 04:05:06.789', '10.0.0.1/8', '[1,5)', B'101'`)
	add("m, ip, r", `'sad', '::1', 'empty'`)
	return b.String()
}

// The columns whose text is the same on both sides, and those that the two
// write in their own ways: trailing blanks of char are no part of its value,
// DECIMAL(38,18) always has 18 digits after the point, bytes are compared by
// their digits.
const (
	sameText    = `id, i2, i4, i8, yes, f4, f8, d, ts, tz, ts0, t, ttz, n, n5, vc, tx, "MixedCase", u, m, iv, ip, r, vb, rtrim(ch), `
	sourceOwn   = sameText + `nu::numeric(38,18), encode(b, 'hex'), j IS NULL, jb IS NULL`
	targetOwn   = sameText + `nu, from_varbyte(b, 'hex'), j IS NULL, jb IS NULL`
	everyTypeIn = ` FROM "Every Type"`
)

func identicalTypes(t *testing.T, w *world.World) {
	t.Helper()
	if err := w.WaitApplied(t.Context(), 60*time.Second); err != nil {
		t.Fatal(err)
	}
	src, err := w.SourceSide().Rows(t.Context(), "SELECT "+sourceOwn+everyTypeIn)
	if err != nil {
		t.Fatal(err)
	}
	if len(src) < 60 {
		t.Fatalf("%d rows on the source", len(src))
	}
	side := w.TargetSide()
	side.Prepare = []string{"SET extra_float_digits = 2"}
	dst, err := side.Rows(t.Context(), "SELECT "+targetOwn+everyTypeIn)
	if err != nil {
		t.Fatal(err)
	}
	if diff := world.Difference(src, dst); diff != "" {
		t.Errorf("types differ: %s", diff)
	}
	for _, column := range []string{"j", "jb"} {
		where := everyTypeIn + " WHERE " + column + " IS NOT NULL"
		documents(t, documentsOf(t, w.Source.OwnerDSN(), "SELECT id, "+column+"::text"+where),
			documentsOf(t, w.TargetDSN(), "SELECT id, json_serialize("+column+")"+where))
	}
	compare(t, w, map[string]string{`"Text Keys"`: `"Key One", key2, "Note", octet_length("Key One"), octet_length(key2)`})
}

// documentsOf reads JSON documents by id, in one notation: keys in order,
// without white space, numbers by their exact value.
func documentsOf(t *testing.T, dsn, query string) map[string]string {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	res, err := conn.Exec(t.Context(), query).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, row := range res[0].Rows {
		id, text := string(row[0]), row[1]
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.UseNumber()
		var v any
		if err := dec.Decode(&v); err != nil {
			t.Fatalf("document %s, %q: %v", id, text, err)
		}
		if _, err := dec.Token(); !errors.Is(err, io.EOF) {
			t.Fatalf("document %s, %q, goes on after its end", id, text)
		}
		plain, err := json.Marshal(byValue(v))
		if err != nil {
			t.Fatal(err)
		}
		found[id] = string(plain)
	}
	return found
}

// byValue replaces numbers by fractions: 2.50 and 2.5, 3e2 and 300 are the same.
func byValue(v any) any {
	switch t := v.(type) {
	case map[string]any:
		for k := range t {
			t[k] = byValue(t[k])
		}
	case []any:
		for i := range t {
			t[i] = byValue(t[i])
		}
	case json.Number:
		if r, ok := new(big.Rat).SetString(t.String()); ok {
			return r
		}
	}
	return v
}

func documents(t *testing.T, source, dest map[string]string) {
	t.Helper()
	if len(source) == 0 || len(source) != len(dest) {
		t.Errorf("%d documents on the source, %d on the target", len(source), len(dest))
	}
	for id, want := range source {
		if dest[id] != want {
			t.Errorf("document %s: %s on the source, %s on the target", id, want, dest[id])
		}
	}
}

// TestT6EveryTypeBothWays: values of all types come through the snapshot, as
// inserts, as updates and with key changes, and both ways agree.
func TestT6EveryTypeBothWays(t *testing.T) {
	t.Parallel()
	keys := func(note string) string {
		return `INSERT INTO "Text Keys" SELECT k1, k2, '` + note + `' FROM unnest(ARRAY['a','a ','a  ','A','',' ',E'a\t','é','1']) k1,
			unnest(ARRAY['x','x ','X']) k2;`
	}
	w := newWorld(t, world.Config{DDL: typesDDL + everyType(0) + keys("by snapshot")})
	streaming(t, w)
	identicalTypes(t, w)
	exec(t, w, everyType(1000),
		`UPDATE "Every Type" SET i4 = 77 WHERE id < 1000`, // rows that exist, in full
		`UPDATE "Every Type" SET id = -id WHERE id BETWEEN 1010 AND 1030`,
		// W4: 'a' and 'a ' are two keys, although Redshift's = can't tell them apart.
		`UPDATE "Text Keys" SET "Note" = 'only a' WHERE "Key One" = 'a' AND key2 = 'x'`,
		`UPDATE "Text Keys" SET "Note" = 'only a blank' WHERE "Key One" = 'a ' AND key2 = 'x'`,
		`DELETE FROM "Text Keys" WHERE "Key One" = 'a ' AND key2 = 'x '`,
		`DELETE FROM "Text Keys" WHERE "Key One" = ''`,
		`UPDATE "Text Keys" SET "Key One" = 'moved  ' WHERE "Key One" = 'a  '`,
	)
	identicalTypes(t, w)
	exec(t, w, `DELETE FROM "Text Keys"`, keys("by stream"), `DELETE FROM "Every Type" WHERE id < 1000`)
	exec(t, w, everyType(5000))
	identicalTypes(t, w)
}

// misfit is a value that Redshift can't hold.
type misfit struct{ table, column, value, reason string }

func misfits() []misfit {
	return []misfit{
		{"nan_numeric", "numeric(10,2)", "'NaN'", "is NaN"},
		{"wide_numeric", "numeric", "'123456789012345678901234567890123'", "has more digits than the target column holds"},
		{"inf_timestamp", "timestamp", "'infinity'", "is infinite"},
		{"inf_date", "date", "'-infinity'", "is infinite"},
		{"bc_date", "date", "'0044-03-15 BC'", "lies before year 1"},
		{"far_timestamptz", "timestamptz", "'10000-01-01 00:00:00+00'", "lies after year 9999"},
		{"hour_24", "time", "'24:00:00'", "is 24:00:00"},
		{"empty_bytea", "bytea", `'\x'`, "is empty"},
		{"long_text", "text", "'row-canary' || repeat('x', 70000)", "has more bytes than the target column holds"},
		{"long_json", "jsonb", `'"' || repeat('row-canary', 8000) || '"'`, "string"},
	}
}

func misfitWorld(t *testing.T, insert bool) *world.World {
	t.Helper()
	ddl := `CREATE TABLE good (id int PRIMARY KEY, v text); INSERT INTO good VALUES (1, 'x');`
	for _, m := range misfits() {
		ddl += fmt.Sprintf("CREATE TABLE %s (id int PRIMARY KEY, v %s);", m.table, m.column)
		if insert {
			ddl += fmt.Sprintf("INSERT INTO %s SELECT i, NULL FROM generate_series(10, 20) i; %s", m.table, m.insert())
		}
	}
	w := plainWorld(t, world.Config{DDL: ddl})
	w.Sections["values"] = "{oversize: fail, nan: fail, infinity: fail, out_of_range: fail, empty_bytes: fail}"
	return w
}

func (m *misfit) insert() string {
	return fmt.Sprintf("INSERT INTO %s VALUES (1, (%s)::%s);", m.table, m.value, strings.Split(m.column, "(")[0])
}

// refusesMisfits checks that each misfit has stopped its table, and no other,
// that the reason says what and where, and that the value is nowhere.
func refusesMisfits(t *testing.T, w *world.World, d *world.Daemon) {
	t.Helper()
	reasons := map[string]string{}
	err := d.Until(within(t, 60*time.Second), "all tables with misfits are stopped", func(s world.Status) bool {
		for _, tab := range s.Tables {
			if tab.State == "stopped" {
				reasons[tab.Name] = tab.Reason
			}
		}
		return len(reasons) == len(misfits())
	})
	if err != nil {
		t.Errorf("%v; stopped: %v", err, reasons)
	}
	for _, m := range misfits() {
		reason := reasons["public."+m.table]
		for _, want := range []string{"public." + m.table, `column "v"`, m.reason} {
			if !strings.Contains(reason, want) {
				t.Errorf("the reason of %s does not say %q: %s", m.table, want, reason)
			}
		}
	}
	exec(t, w, `INSERT INTO good SELECT max(id) + 1, 'goes on' FROM good; UPDATE good SET v = v || 'y' WHERE id = 1`)
	until(t, 30*time.Second, "the good table goes on", func() bool {
		diff, err := w.Compare(t.Context(), "good", "id, v")
		return err == nil && diff == ""
	})
	out, code, err := w.Command(t.Context(), "wait", "--timeout", "20s")
	if err != nil || code != 5 {
		t.Errorf("wait: exit code %d, want 5 (%v): %s", code, err, out)
	}
	_, status, err := d.Get(t.Context(), "/status")
	if err != nil {
		t.Error(err)
	}
	for name, text := range map[string]string{"log": d.Log(), "status": string(status), "wait": out} {
		if strings.Contains(text, "row-canary") {
			t.Errorf("a row's value is in the %s", name)
		}
	}
}

func TestT9MisfitStopsItsTable(t *testing.T) {
	t.Parallel()
	w := misfitWorld(t, false)
	d := streaming(t, w)
	for _, m := range misfits() {
		exec(t, w, m.insert())
	}
	refusesMisfits(t, w, d)
	d.Kill()
	refusesMisfits(t, w, streaming(t, w)) // and a restart knows it
}

// TestT5MisfitAtFirstLoad: a value that can't be loaded takes its table out of
// the first load, and nothing else.
func TestT5MisfitAtFirstLoad(t *testing.T) {
	t.Parallel()
	w := misfitWorld(t, true)
	d := streaming(t, w)
	refusesMisfits(t, w, d)
	d.Kill()
	refusesMisfits(t, w, streaming(t, w))
}

func parse(text []byte) any {
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return "not JSON: " + string(text)
	}
	return v
}

func sameJSON(a, b any) bool {
	x, err := json.Marshal(byValue(a))
	y, err2 := json.Marshal(byValue(b))
	return err == nil && err2 == nil && string(x) == string(y)
}

// ofRows tells the arrays of composites.
func (s *serverType) ofRows() bool {
	return s.elementBaseName == "pair" || s.elementBaseName == "pg_cast"
}
