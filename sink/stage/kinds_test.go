package stage_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// kind is a type of the source as the tests draw columns of it.
type kind struct {
	column sqltext.SourceColumn
	// draw draws a value's text, and says whether the column must hold it;
	// where it need not, a stated reason will do as well.
	draw func(t *rapid.T) (text string, holds bool)
	// want returns the JSON that SUPER must hold instead of the text.
	want func(text string) string
}

func (k kind) name() string { return fmt.Sprintf("%s(%d)", k.column.Type, k.column.Typmod) }

// numericTypmod packs precision and scale as PostgreSQL does.
func numericTypmod(precision, scale int32) int32 { return (precision<<16 | scale&0x7ff) + 4 }

// kinds are all types that the encoder tells apart.
func kinds() []kind {
	list := []kind{
		base("text", -1, func(t *rapid.T) (string, bool) { return drawText(t, sqltext.MaxVarchar) }),
		base("varchar", 4+3, func(t *rapid.T) (string, bool) { return drawText(t, 12) }),
		base("bpchar", 4+1, func(t *rapid.T) (string, bool) { return drawText(t, 4) }),
		base("uuid", -1, func(t *rapid.T) (string, bool) {
			b := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "uuid")
			return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), true
		}),
		base("int2", -1, func(t *rapid.T) (string, bool) { return fmt.Sprint(rapid.Int16().Draw(t, "int")), true }),
		base("int4", -1, func(t *rapid.T) (string, bool) { return fmt.Sprint(rapid.Int32().Draw(t, "int")), true }),
		base("int8", -1, func(t *rapid.T) (string, bool) { return fmt.Sprint(rapid.Int64().Draw(t, "int")), true }),
		base("bool", -1, func(t *rapid.T) (string, bool) { return rapid.SampledFrom([]string{"t", "f"}).Draw(t, "bool"), true }),
		base("float4", -1, func(t *rapid.T) (string, bool) { return drawFloat(t, 32) }),
		base("float8", -1, func(t *rapid.T) (string, bool) { return drawFloat(t, 64) }),
		base("bytea", -1, func(t *rapid.T) (string, bool) {
			b := rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "bytes")
			return `\x` + hex.EncodeToString(b), len(b) > 0
		}),
		base("jsonb", -1, func(t *rapid.T) (string, bool) { return drawJSON(t, 3), true }),
	}
	for _, typmod := range []int32{-1, numericTypmod(12, 3), numericTypmod(19, 0), numericTypmod(38, 37), numericTypmod(3, 0)} {
		list = append(list, base("numeric", typmod, func(t *rapid.T) (string, bool) { return drawNumeric(t, typmod) }))
	}
	for _, typ := range []string{"date", "timestamp", "timestamptz", "time", "timetz"} {
		list = append(list, base(typ, -1, func(t *rapid.T) (string, bool) { return drawTime(t, typ) }))
	}
	for _, k := range slices.Clone(list) { // a key is mapped so that nothing is lost
		if k.column.Type == "bytea" || k.column.Type == "jsonb" || k.column.Type == "timetz" {
			draw := k.draw
			k.column.Key = true
			k.draw = func(t *rapid.T) (string, bool) { text, _ := draw(t); return text, true }
			list = append(list, k)
		}
	}
	return append(list, documents()...)
}

func base(typ string, typmod int32, draw func(*rapid.T) (string, bool)) kind {
	return kind{column: sqltext.SourceColumn{Type: typ, Kind: "b", Typmod: typmod}, draw: draw}
}

func drawText(t *rapid.T, width int) (string, bool) {
	text := nasty().Draw(t, "text")
	return text, checkHolds(text, width)
}

// checkHolds says whether a VARCHAR must hold the text. The marker is another
// matter: a file that holds it gets another.
func checkHolds(text string, width int) bool {
	return len(text) <= width && !strings.Contains(text, "\x00") && text == strings.ToValidUTF8(text, "") &&
		strings.TrimSpace(text) != marker
}

func drawFloat(t *rapid.T, bits int) (string, bool) {
	if rapid.IntRange(0, 9).Draw(t, "special") == 0 {
		return rapid.SampledFrom([]string{"NaN", "Infinity", "-Infinity"}).Draw(t, "float"), false
	}
	f := rapid.Float64().Draw(t, "float")
	if bits == 32 {
		f = float64(rapid.Float32().Draw(t, "float"))
	}
	return strconv.FormatFloat(f, 'g', -1, bits), true
}

func drawNumeric(t *rapid.T, typmod int32) (string, bool) {
	text := rapid.StringMatching(`-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,19})?`).Draw(t, "numeric")
	if rapid.IntRange(0, 4).Draw(t, "special") == 0 {
		text = rapid.SampledFrom([]string{
			"NaN", "Infinity", "-Infinity", "9223372036854775807", "9223372036854775808", "99999999999999999999",
			"0." + strings.Repeat("0", 36) + "1", "999999999.999", "999999999.9999", "-0.000", "0",
		}).Draw(t, "numeric")
	}
	v, ok := new(big.Rat).SetString(text)
	m, err := sqltext.MapType(sqltext.SourceColumn{Type: "numeric", Kind: "b", Typmod: typmod})
	return text, ok && err == nil && holds(v, m.Precision, m.Scale)
}

func drawTime(t *rapid.T, typ string) (string, bool) {
	if rapid.IntRange(0, 9).Draw(t, "special") == 0 {
		return rapid.SampledFrom([]string{
			"infinity", "-infinity", "0044-03-15 BC", "0044-03-15 12:00:00 BC", "10000-01-01", "10000-01-01 00:00:00+00", "24:00:00", "24:00:00+00",
		}).Draw(t, "time"), false
	}
	at := time.Date(rapid.IntRange(2, 9998).Draw(t, "year"), 1, 1, 0, 0, 0, 0, time.UTC).
		Add(time.Duration(rapid.Int64Range(0, 365*86400*1_000_000-1).Draw(t, "µs")) * time.Microsecond)
	if strings.HasSuffix(typ, "tz") {
		at = at.In(time.FixedZone("", 900*rapid.IntRange(-48, 56).Draw(t, "zone")))
	}
	layouts := map[string]string{
		"date": "2006-01-02", "timestamp": "2006-01-02 15:04:05.999999", "timestamptz": "2006-01-02 15:04:05.999999-07:00",
		"time": "15:04:05.999999", "timetz": "15:04:05.999999-07:00",
	}
	text := at.Format(layouts[typ])
	if strings.HasSuffix(typ, "tz") { // whole hours have no minutes
		text = strings.TrimSuffix(text, ":00")
	}
	return text, true
}

// drawJSON draws a document as jsonb_out prints one.
func drawJSON(t *rapid.T, depth int) string {
	choice := rapid.IntRange(0, 5).Draw(t, "json")
	if depth == 0 {
		choice = min(choice, 3)
	}
	switch choice {
	case 0:
		return rapid.SampledFrom([]string{"null", "true", "false"}).Draw(t, "word")
	case 1: // up to 38 digits are exact
		return rapid.StringMatching(`-?[1-9][0-9]{0,24}(\.[0-9]{0,11}[1-9])?`).Draw(t, "number")
	case 2, 3:
		return jsonText(drawPlain(t))
	}
	n := rapid.IntRange(0, 3).Draw(t, "members")
	parts := make([]string, n)
	for i := range parts {
		parts[i] = drawJSON(t, depth-1)
		if choice == 4 {
			parts[i] = jsonText(fmt.Sprint(i)+drawPlain(t)) + ": " + parts[i]
		}
	}
	if choice == 4 {
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// drawPlain draws a text that PostgreSQL can hold.
func drawPlain(t *rapid.T) string {
	return strings.ToValidUTF8(strings.ReplaceAll(nasty().Draw(t, "text"), "\x00", ""), "?")
}

func jsonText(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(err)
	}
	return strings.TrimSpace(b.String())
}

// documents are the types that the encoder rewrites as JSON. Their values are
// drawn as JSON first, so that the text that PostgreSQL would print, and the
// document that SUPER must hold, have one source.
func documents() []kind {
	element := func(typ string, scalar func(t *rapid.T) (text, doc string)) kind {
		k := base(typ, -1, nil)
		known := map[string]string{}
		k.draw = func(t *rapid.T) (string, bool) {
			var list []any
			var docs []string
			for range rapid.IntRange(0, 4).Draw(t, "elements") {
				if rapid.IntRange(0, 4).Draw(t, "null") == 0 {
					list, docs = append(list, nil), append(docs, "null")
					continue
				}
				text, doc := scalar(t)
				list, docs = append(list, text), append(docs, doc)
			}
			text := arrayOut(list, ",")
			known[text] = "[" + strings.Join(docs, ",") + "]"
			return text, true
		}
		k.want = func(text string) string { return known[text] }
		return k
	}
	plain := func(t *rapid.T) (text, doc string) {
		text = drawPlain(t)
		return text, jsonText(text)
	}
	number := func(t *rapid.T) (text, doc string) {
		text = rapid.StringMatching(`-?[1-9][0-9]{0,18}`).Draw(t, "number")
		return text, text
	}
	return []kind{
		element("_text", plain),
		element("_int8", number),
		element("_numeric", func(t *rapid.T) (text, doc string) {
			text = rapid.SampledFrom([]string{"NaN", "Infinity", "0.1", "1" + strings.Repeat("0", 40) + ".5"}).Draw(t, "number")
			if text == "0.1" {
				return text, text
			}
			return text, jsonText(text)
		}),
		element("_bool", func(t *rapid.T) (text, doc string) {
			if rapid.Bool().Draw(t, "bool") {
				return "t", "true"
			}
			return "f", "false"
		}),
		hstore(),
		composite(),
	}
}

func hstore() kind {
	k := base("hstore", -1, nil)
	known := map[string]string{}
	quote := func(s string) string { return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"` }
	k.draw = func(t *rapid.T) (string, bool) {
		var pairs, docs []string
		for i := range rapid.IntRange(0, 3).Draw(t, "pairs") {
			key, value := fmt.Sprint(i)+drawPlain(t), drawPlain(t)
			if rapid.Bool().Draw(t, "null") {
				pairs, docs = append(pairs, quote(key)+"=>NULL"), append(docs, jsonText(key)+":null")
				continue
			}
			pairs, docs = append(pairs, quote(key)+"=>"+quote(value)), append(docs, jsonText(key)+":"+jsonText(value))
		}
		text := strings.Join(pairs, ", ")
		known[text] = "{" + strings.Join(docs, ",") + "}"
		return text, true
	}
	k.want = func(text string) string { return known[text] }
	return k
}

func composite() kind {
	k := base("pair", -1, nil)
	k.column.Kind = "c"
	known := map[string]string{}
	k.draw = func(t *rapid.T) (string, bool) {
		var fields, docs []string
		for range rapid.IntRange(2, 4).Draw(t, "fields") {
			if rapid.IntRange(0, 3).Draw(t, "null") == 0 {
				fields, docs = append(fields, ""), append(docs, "null")
				continue
			}
			v := drawPlain(t)
			fields = append(fields, `"`+strings.NewReplacer(`\`, `\\`, `"`, `""`).Replace(v)+`"`)
			docs = append(docs, jsonText(v))
		}
		text := "(" + strings.Join(fields, ",") + ")"
		known[text] = "[" + strings.Join(docs, ",") + "]"
		return text, true
	}
	k.want = func(text string) string { return known[text] }
	return k
}

func (k kind) mapping(tb rapid.TB) sqltext.Mapping {
	m, err := sqltext.MapType(k.column)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}
