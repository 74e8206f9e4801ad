package stage_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift/sqltext"
	"github.com/walshift/walshift/sink/stage"
	"github.com/walshift/walshift/test/redshift/copytext"
)

// The smallest values on which the encoder's rules depend, each through the
// stand-in's COPY. A faulty rule fails one of these by name, whatever random
// tests happen to draw.

// throughCopy encodes a value and loads it.
func throughCopy(t *testing.T, c sqltext.SourceColumn, text string) (copytext.Value, sqltext.Mapping, error) {
	t.Helper()
	if c.Kind == "" {
		c.Kind = "b"
	}
	m, err := sqltext.MapType(c)
	if err != nil {
		t.Fatal(err)
	}
	b, err := stage.Field(m, []byte(text), []byte(marker))
	if err != nil {
		return copytext.Value{}, m, err
	}
	rows, err := copyReader(t, marker, "", m.DDL, "INTEGER").Read(t.Context(), append(b, ",1\n"...))
	if err != nil || len(rows) != 1 {
		t.Fatalf("%s %.40q: COPY of %.60q: %d rows, %v", c.Type, text, b, len(rows), err)
	}
	return rows[0][0], m, nil
}

// wantKept wants each text to come back as it is.
func wantKept(t *testing.T, c sqltext.SourceColumn, texts ...string) {
	t.Helper()
	for _, text := range texts {
		got, m, err := throughCopy(t, c, text)
		if err == nil {
			err = stored(m, text, got)
		}
		if err != nil {
			t.Errorf("%s %.40q: %v", c.Type, text, err)
		}
	}
}

// wantRefused wants a reason, and no value, of each text.
func wantRefused(t *testing.T, c sqltext.SourceColumn, reason string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		got, _, err := throughCopy(t, c, text)
		if bad, ok := errors.AsType[*stage.ValueError](err); !ok || !strings.Contains(bad.Reason, reason) {
			t.Errorf("%s %.40q: got %v, %v, want a refusal with %q", c.Type, text, got, err, reason)
		}
	}
}

func plain(typ string) sqltext.SourceColumn { return sqltext.SourceColumn{Type: typ, Typmod: -1} }

func numeric(precision, scale int32) sqltext.SourceColumn {
	return sqltext.SourceColumn{Type: "numeric", Typmod: numericTypmod(precision, scale)}
}

// TestT11LineBreaksQuotesAndBlanks: what CSV and COPY give a meaning to stays
// text.
func TestT11LineBreaksQuotesAndBlanks(t *testing.T) {
	t.Parallel()
	texts := []string{"a\rb", "a\nb", "a\r\nb", `a"b`, `"`, `""`, `a""`, "a,b", " a", "a ", "a\t", " ", "", `\`, `\n`, `\N`, "é", "🙂", "a\u00a0"}
	wantKept(t, plain("text"), texts...)
	for _, text := range texts { // and by a reader to which every CR ends a record
		if got, err := field(varchar(10), text, marker); err != nil || got.null || got.text != text {
			t.Errorf("%q came back as %+v, %v", text, got, err)
		}
	}
}

// TestW3MarkerIsNoValue: the marker, also with blanks around it, asks for
// another file; what only resembles it does not.
func TestW3MarkerIsNoValue(t *testing.T) {
	t.Parallel()
	for _, text := range []string{marker, " " + marker, marker + "\n"} {
		if _, _, err := throughCopy(t, plain("text"), text); !errors.Is(err, stage.ErrCollision) {
			t.Errorf("%q: %v", text, err)
		}
	}
	wantKept(t, plain("text"), marker+"0", marker[:len(marker)-1], strings.ToLower(marker), `"`+marker+`"`)
}

// TestW6DecimalIsNeverCut: COPY cuts digits beyond the scale, so none get
// there; digits before the point that don't fit are refused as well.
func TestW6DecimalIsNeverCut(t *testing.T) {
	t.Parallel()
	wantKept(t, numeric(5, 2), "1.23", "-999.99", "0.10", "1.2300", "0", "-0.00")
	wantRefused(t, numeric(5, 2), "more digits", "1.234", "-0.001", "1000", "1000.5", "99999")
	wantKept(t, numeric(3, 0), "999", "999.000")
	wantRefused(t, numeric(3, 0), "more digits", "1000", "0.5")
	wantKept(t, plain("numeric"), "99999999999999999999.999999999999999999", "0.000000000000000001")
	wantRefused(t, plain("numeric"), "more digits", "100000000000000000000", "0.0000000000000000001")
	// 19 digits are kept in 64 bits.
	wantKept(t, numeric(19, 0), "9223372036854775807", "9999999999999999999", "-9999999999999999999")
	wantKept(t, numeric(19, 4), "999999999999999.9999", "-922337203685477.5808")
}

// TestT4EndsOfTime: the first and last moments that Redshift holds, and those
// beyond.
func TestT4EndsOfTime(t *testing.T) {
	t.Parallel()
	wantKept(t, plain("date"), "0001-01-01", "9999-12-31")
	wantKept(t, plain("timestamp"), "9999-12-31 23:59:59.999999")
	wantRefused(t, plain("date"), "9999", "10000-01-01")
	wantRefused(t, plain("date"), "before year 1", "0001-12-31 BC")
	wantRefused(t, plain("date"), "infinite", "infinity", "-infinity")
	wantRefused(t, plain("timestamp"), "9999", "10000-01-01 00:00:00")
	wantRefused(t, plain("timestamptz"), "before year 1", "0001-12-31 00:00:00+00 BC")
	wantRefused(t, plain("timestamptz"), "infinite", "infinity", "-infinity")
	wantKept(t, plain("time"), "23:59:59.999999")
	wantRefused(t, plain("time"), "24:00", "24:00:00")
	wantRefused(t, plain("float8"), "infinite", "Infinity", "-Infinity")
	wantRefused(t, plain("float4"), "NaN", "NaN")
	wantRefused(t, plain("numeric"), "infinite", "Infinity", "-Infinity")
}

// TestT12MicrosecondsStay: each digit behind the second.
func TestT12MicrosecondsStay(t *testing.T) {
	t.Parallel()
	for n := range 6 {
		digits := "123456"[:n+1]
		wantKept(t, plain("timestamp"), "2024-02-29 01:02:03."+digits)
		wantKept(t, plain("timestamptz"), "2024-02-29 01:02:03."+digits+"-03:30")
		wantKept(t, plain("time"), "01:02:03."+digits)
		wantKept(t, plain("timetz"), "01:02:03."+digits+"+05:45")
	}
}

// TestT3SuperKeepsEveryDigit: SUPER holds 38 digits exactly and beyond that
// what a double gives back; the rest is refused.
func TestT3SuperKeepsEveryDigit(t *testing.T) {
	t.Parallel()
	wantKept(
		t, plain("jsonb"), "9007199254740993", "[0.1, 1.50]", strings.Repeat("9", 38), "0."+strings.Repeat("3", 37), "1"+strings.Repeat("0", 300),
		"123456789012345"+strings.Repeat("0", 60), `{"a": {"b": [true, false, null, -1.5]}}`,
	)
	wantRefused(
		t, plain("jsonb"), "exactly", strings.Repeat("9", 39), "0."+strings.Repeat("3", 38), "1234567890123456"+strings.Repeat("0", 60),
		"[1, {\"a\": 1"+strings.Repeat("0", 308)+"}]",
	)
}

// TestT9LimitsOfSuper: strings of 65,535 bytes, 1,000 levels.
func TestT9LimitsOfSuper(t *testing.T) {
	t.Parallel()
	quoted := func(s string) string { return `"` + s + `"` }
	wantKept(t, plain("jsonb"), quoted(strings.Repeat("x", 65535)), quoted(strings.Repeat("é", 32767)), quoted(strings.Repeat(`\n`, 65535)))
	wantRefused(t, plain("jsonb"), "65535", quoted(strings.Repeat("x", 65536)), quoted(strings.Repeat("é", 32768)), `{"a": [`+quoted(strings.Repeat(`\n`, 65536))+`]}`)
	wantKept(t, plain("jsonb"), strings.Repeat("[", 1000)+strings.Repeat("]", 1000))
	wantRefused(t, plain("jsonb"), "deeper", strings.Repeat("[", 1001)+strings.Repeat("]", 1001))
}

// TestT10NULInside: in no text, and in no document.
func TestT10NULInside(t *testing.T) {
	t.Parallel()
	wantRefused(t, plain("text"), "NUL", "\x00", "a\x00b", "123456789\x00")
	wantRefused(t, plain("text"), "UTF-8", "a\xff", "\xc3")
	wantRefused(t, plain("jsonb"), `\u0000`, `"\u0000"`, `{"a\u0000": 1}`)
	wantRefused(t, plain("jsonb"), "surrogate", `"\ud800"`)
	wantKept(t, plain("bytea"), `\x00`, `\x00ff00`)
	wantRefused(t, plain("bytea"), "NULL", `\x`)
}

// TestT11DocumentsEscape: quotes and backslashes of arrays, hstore and
// composites, NULL and its name.
func TestT11DocumentsEscape(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ typ, kind, text, want string }{
		{"_text", "b", `{"a\"b","c\\d",NULL,"NULL",""}`, `["a\"b","c\\d",null,"NULL",""]`},
		{"_text", "b", "{\"\n\t\x01\"}", `["\n\t\u0001"]`},
		{"_int8", "b", `{9007199254740993,-1,NULL}`, `[9007199254740993,-1,null]`},
		{"_int4", "b", `[0:1]={1,2}`, `{"bounds": "[0:1]", "elements": [1,2]}`},
		{"hstore", "b", `"a\"b"=>"c\\d", "e"=>NULL`, `{"a\"b":"c\\d","e":null}`},
		{"pair", "c", `(1,,"a ""b\\c")`, `["1",null,"a \"b\\c"]`},
	} {
		got, _, err := throughCopy(t, sqltext.SourceColumn{Type: c.typ, Kind: c.kind, Typmod: -1}, c.text)
		if err == nil {
			err = sameJSON(c.want, got.Text)
		}
		if err != nil {
			t.Errorf("%s %q: %v", c.typ, c.text, err)
		}
	}
}

// TestT8VarcharCountsBytes: varchar(n) has room for n characters of any
// length, and not for a byte more than its 4 n.
func TestT8VarcharCountsBytes(t *testing.T) {
	t.Parallel()
	for _, typ := range []string{"varchar", "bpchar"} {
		c := sqltext.SourceColumn{Type: typ, Typmod: 4 + 3}
		wantKept(t, c, "🙂🙂🙂", strings.Repeat("a", 12))
		wantRefused(t, c, "more bytes", strings.Repeat("a", 13))
	}
	wantKept(t, plain("text"), strings.Repeat("é", 32767)+"a")
	wantRefused(t, plain("text"), "more bytes", strings.Repeat("é", 32768))
}

// TestV19KeysMapInjectively: two values that differ are two keys.
func TestV19KeysMapInjectively(t *testing.T) {
	t.Parallel()
	for typ, texts := range map[string][]string{
		"bytea":  {`\x`, `\x00`, `\x0000`, `\xff`},
		"jsonb":  {`1.0`, `1.00`, `{}`, `[]`, `""`, strings.Repeat("9", 50), `{"a": 1}`, `{"a":1}`},
		"timetz": {"12:00:00+00", "13:00:00+01", "24:00:00+00"},
		"text":   {"", " ", "a", "a ", " a"},
	} {
		var seen []string
		for _, text := range texts {
			got, m, err := throughCopy(t, sqltext.SourceColumn{Type: typ, Typmod: -1, Key: true}, text)
			if err != nil || got.Null || slices.Contains(seen, got.Text) || !m.Text() {
				t.Errorf("key %s %q as %s: %+v, %v", typ, text, m.DDL, got, err)
			}
			seen = append(seen, got.Text)
		}
	}
}

// TestT9TruncateBetweenCharacters: values.oversize: truncate fills the column
// as far as whole characters do.
func TestT9TruncateBetweenCharacters(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	cfg := f.config()
	cfg.Values = sqltext.DefaultRules()
	cfg.Values.Oversize = sqltext.PolicyTruncate
	l := open(t, cfg)
	rel := relation([]int{0}, "int4", "text")
	texts := map[string]string{
		strings.Repeat("é", 32768):             strings.Repeat("é", 32767),
		"a" + strings.Repeat("é", 32768):       "a" + strings.Repeat("é", 32767),
		strings.Repeat("🙂", 16384):             strings.Repeat("🙂", 16383),
		strings.Repeat("x", 65536):             strings.Repeat("x", 65535),
		strings.Repeat("x", 65535):             strings.Repeat("x", 65535),
		strings.Repeat("x", 65534) + "é" + "y": strings.Repeat("x", 65534),
	}
	seq := uint64(0)
	for text, want := range texts {
		seq++
		s := &change.Segment{Relation: rel, Inserts: change.Rows{Images: []change.Tuple{tuple("1", text)}}}
		entry, err := l.WriteSegment(t.Context(), seq, "a", 0, s)
		if err != nil {
			t.Fatal(err)
		}
		file := &entry.Files[0]
		rows, err := copyReader(t, file.NullMarker, file.Compression, "INTEGER", "VARCHAR(65535)").Read(t.Context(), f.body(t, file.Key))
		if err != nil || len(rows) != 1 || rows[0][1].Text != want {
			t.Errorf("%.9q… of %d bytes: %d rows, %v", text, len(text), len(rows), err)
		}
		if cut := text != want; cut != (len(entry.Incidents) == 1) {
			t.Errorf("%.9q… of %d bytes: %d files of incidents", text, len(text), len(entry.Incidents))
		}
	}
}
