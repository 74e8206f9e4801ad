package stage_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/walshift/walshift/sink/redshift/sqltext"
	"github.com/walshift/walshift/sink/stage"
)

// superOf encodes a text as SUPER and parses the document that COPY would see.
func superOf(tb testing.TB, m sqltext.Mapping, text string) (any, error) {
	tb.Helper()
	got, err := field(m, text, marker)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(strings.NewReader(got.text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		tb.Fatalf("%q became %q: %v", text, got.text, err)
	}
	return v, nil
}

// arrayOut prints a nested list as array_out does.
func arrayOut(v any, delimiter string) string {
	switch t := v.(type) {
	case nil:
		return "NULL"
	case []any:
		parts := make([]string, len(t))
		for i := range t {
			parts[i] = arrayOut(t[i], delimiter)
		}
		return "{" + strings.Join(parts, delimiter) + "}"
	}
	text := v.(string) //nolint:forcetypeassert // the generator's
	if text == "" || strings.EqualFold(text, "NULL") || strings.ContainsAny(text, "\"\\{}\t\n\r\v\f "+delimiter) {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
	}
	return text
}

// rectangle draws an array of the given dimensions.
func rectangle(t *rapid.T, dims []int, element *rapid.Generator[string]) []any {
	list := make([]any, dims[0])
	for i := range list {
		switch {
		case len(dims) > 1:
			list[i] = rectangle(t, dims[1:], element)
		case rapid.IntRange(0, 4).Draw(t, "null") > 0:
			list[i] = element.Draw(t, "element")
		}
	}
	return list
}

// TestArrayOfText: any array of texts comes back, element by element.
func TestArrayOfText(t *testing.T) {
	t.Parallel()
	text := rapid.StringOf(rapid.RuneFrom([]rune("aNUL\"\\{},; \n\t\r\x01é😀:/")))
	rapid.Check(t, func(t *rapid.T) {
		typ := rapid.SampledFrom([]string{"_text", "_box", "_mood"}).Draw(t, "type")
		delimiter := map[string]string{"_box": ";"}[typ]
		if delimiter == "" {
			delimiter = ","
		}
		dims := rapid.SliceOfN(rapid.IntRange(1, 3), 1, 3).Draw(t, "dimensions")
		want := rectangle(t, dims, text)
		m, err := sqltext.MapType(sqltext.SourceColumn{Type: typ, Kind: "b", Typmod: -1})
		if err != nil {
			t.Fatal(err)
		}
		source, bounds := arrayOut(want, delimiter), ""
		if rapid.Bool().Draw(t, "bounds") {
			bounds = strings.Repeat("[-1:0]", len(dims))
			source = bounds + "=" + source
		}
		got, err := field(m, source, marker)
		if err != nil {
			t.Fatalf("%q: %v", source, err)
		}
		var back any
		if err := json.Unmarshal([]byte(got.text), &back); err != nil {
			t.Fatalf("%q became %q: %v", source, got.text, err)
		}
		expected := any(want)
		if bounds != "" {
			expected = map[string]any{"bounds": bounds, "elements": want}
		}
		if fmt.Sprint(back) != fmt.Sprint(expected) {
			t.Fatalf("%q became %q", source, got.text)
		}
	})
}

// TestT1T3ArrayNumbers: a number stays one exactly if no digit is lost, and is
// a string of its text otherwise.
func TestT1T3ArrayNumbers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(
			rapid.StringMatching(`-?(0|[1-9][0-9]{0,45})(\.[0-9]{1,45})?`),
			rapid.Map(rapid.Float64(), func(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }),
			rapid.SampledFrom([]string{"NaN", "Infinity", "-Infinity", "-0", "0", "9007199254740993", "1e-400", "00", "0x10", "1_000"}),
		).Draw(t, "number")
		m, err := sqltext.MapType(sqltext.SourceColumn{Type: "_numeric", Kind: "b", Typmod: -1})
		if err != nil {
			t.Fatal(err)
		}
		got, err := field(m, "{"+text+",NULL}", marker)
		if err != nil {
			t.Fatal(err)
		}
		element := strings.TrimSuffix(strings.TrimPrefix(got.text, "["), ",null]")
		if element == strconv.Quote(text) {
			return
		}
		want, ok := new(big.Rat).SetString(text)
		back, ok2 := new(big.Rat).SetString(element)
		if !ok || !ok2 || want.Cmp(back) != 0 || element != text || stage.CheckJSON([]byte(element)) != "" || strings.HasPrefix(text, "-0") && want.Sign() == 0 {
			t.Fatalf("%s became %s", text, element)
		}
	})
}

func TestSuperForms(t *testing.T) {
	t.Parallel()
	row := sqltext.SourceColumn{Type: "pair", Kind: "c"}
	base := func(typ string) sqltext.SourceColumn {
		return sqltext.SourceColumn{Type: typ, Kind: "b", Typmod: -1}
	}
	for _, c := range []struct {
		typ        sqltext.SourceColumn
		text, want string
	}{
		{base("_int4"), "{}", "[]"},
		{base("_int4"), "{1,-2,NULL}", "[1,-2,null]"},
		{base("_bool"), "{t,f,NULL}", "[true,false,null]"},
		{base("_jsonb"), `{"{\"a\": [1, \"x\\\"y\"]}",NULL,1.50,null,true}`, `[{"a": [1, "x\"y"]},null,1.50,null,true]`},
		{base("_timestamp"), `{"2024-01-01 00:00:00"}`, `["2024-01-01 00:00:00"]`},
		{base("_bytea"), `{"\\xdead"}`, `["\\xdead"]`},
		{base("_geometry"), `{01:02}`, `["01","02"]`},
		{row, "(1,,\"\",\"a \"\"b\\\\c\")", `["1",null,"","a \"b\\c"]`},
		{row, "()", "[null]"},
		{row, `("(1,2)","{x,y}")`, `["(1,2)","{x,y}"]`},
		{base("hstore"), "", "{}"},
		{base("hstore"), `"a"=>"1", "b"=>NULL, "c\"\\d"=>"NULL"`, `{"a":"1","b":null,"c\"\\d":"NULL"}`},
	} {
		m, err := sqltext.MapType(c.typ)
		if err != nil {
			t.Fatal(err)
		}
		got, err := field(m, c.text, marker)
		if err != nil || got.text != c.want {
			t.Errorf("%s %q became %q (%v), want %q", c.typ.Type, c.text, got.text, err, c.want)
		}
	}
	for _, c := range []struct {
		typ  sqltext.SourceColumn
		text string
	}{
		{base("_int4"), "{1,2"},
		{base("_int4"), "1"},
		{base("_int4"), "{1}}"},
		{base("_int4"), "[x]={1}"},
		{base("_text"), `{"a}`},
		{base("_text"), `{"a\`},
		{row, "(1"},
		{row, `("a`},
		{row, "(1)x"},
		{row, ""},
		{base("hstore"), `"a"`},
		{base("hstore"), `"a"=>x`},
		{base("hstore"), `"a"=>"1" "b"=>"2"`},
		{base("_jsonb"), `{"{"}`},
		{base("json"), `"\u0000"`},
	} {
		m, err := sqltext.MapType(c.typ)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := field(m, c.text, marker); err == nil {
			t.Errorf("%s %q became %q", c.typ.Type, c.text, got.text)
		}
	}
}

// FuzzSuper: whatever the text of an array, composite or hstore, what comes out
// is JSON, or it is refused.
func FuzzSuper(f *testing.F) {
	for i, s := range []string{"{1,NULL,\"a\\\"\"}", "[0:1]={1,2}", "(1,,\"\")", `"a"=>"1", "b"=>NULL`, "{{1},{2}}", "{}", "()"} {
		f.Add(uint8(i), s)
	}
	types := []sqltext.SourceColumn{
		{Type: "_text", Kind: "b"},
		{Type: "_numeric", Kind: "b"},
		{Type: "_bool", Kind: "b"},
		{Type: "_jsonb", Kind: "b"},
		{Type: "_box", Kind: "b"},
		{Type: "pair", Kind: "c"},
		{Type: "hstore", Kind: "b"},
	}
	f.Fuzz(func(t *testing.T, n uint8, text string) {
		m, err := sqltext.MapType(types[int(n)%len(types)])
		if err != nil {
			t.Fatal(err)
		}
		_, _ = superOf(t, m, text) // fails the test where the result is no JSON
	})
}
