package stage_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/walshift/walshift/sink/redshift/sqltext"
	"github.com/walshift/walshift/sink/stage"
)

func decimal(precision, scale int) sqltext.Mapping {
	return sqltext.Mapping{
		DDL: fmt.Sprintf("DECIMAL(%d,%d)", precision, scale), Form: sqltext.FormDecimal,
		Precision: precision, Scale: scale,
	}
}

// holds is the meaning of DECIMAL(p, s), by rational numbers.
func holds(v *big.Rat, precision, scale int) bool {
	ten := func(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }
	unscaled := new(big.Rat).Mul(v, new(big.Rat).SetInt(ten(scale)))
	limit := ten(precision)
	if precision == 19 {
		limit = new(big.Int).Lsh(big.NewInt(1), 63)
	}
	return unscaled.IsInt() && unscaled.Num().CmpAbs(limit) < 0
}

func TestT2W6DecimalFitsOrIsRefused(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		precision := rapid.SampledFrom([]int{1, 2, 5, 18, 19, 20, 38}).Draw(t, "precision")
		scale := rapid.IntRange(0, min(precision, 37)).Draw(t, "scale")
		text := rapid.StringMatching(`-?(0|[1-9][0-9]{0,39})(\.[0-9]{1,39})?0{0,4}`).Draw(t, "text")
		if rapid.Bool().Draw(t, "edge") {
			text = rapid.SampledFrom([]string{
				"9223372036854775807", "9223372036854775808", "-9223372036854775807", "-9223372036854775808",
				"0.9223372036854775807", "0.9223372036854775808", "0", "0.0", "-0.10", "99999999999999999999999999999999999999",
			}).Draw(t, "text")
		}
		want, ok := new(big.Rat).SetString(text)
		if !ok {
			t.Fatal(text)
		}
		got, err := field(decimal(precision, scale), text, marker)
		if holds(want, precision, scale) != (err == nil) {
			t.Fatalf("%s as DECIMAL(%d,%d): %v", text, precision, scale, err)
		}
		if err != nil {
			return
		}
		back, ok := new(big.Rat).SetString(got.text)
		if !ok || back.Cmp(want) != 0 {
			t.Fatalf("%s came back as %s", text, got.text)
		}
		if _, fraction, _ := strings.Cut(got.text, "."); len(fraction) > scale {
			t.Fatalf("%s has more than %d digits after the point, which COPY would cut", got.text, scale)
		}
	})
}

// mapping asks sqltext, which the encoder does too.
func mapping(tb testing.TB, typ string) sqltext.Mapping {
	tb.Helper()
	m, err := sqltext.MapType(sqltext.SourceColumn{Type: typ, Kind: "b", Typmod: -1})
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// TestT4ValuesThatRedshiftLacks lists, per type, what is carried as it is and
// what is refused with its reason.
func TestT4ValuesThatRedshiftLacks(t *testing.T) {
	t.Parallel()
	for typ, cases := range map[string]map[string]string{
		"bool":   {"t": "", "f": "", "true": "not t or f", "": "empty"},
		"int8":   {"-9223372036854775808": "", "0": "", "": "empty", " ": "plain notation", "-": "plain notation", "1 ": "plain notation", "1.5": "plain notation"},
		"float8": {"1e+308": "", "-0": "", "2.5e-324": "", "NaN": "NaN", "Infinity": "infinite", "-Infinity": "infinite"},
		"numeric": {
			"1.5": "", "NaN": "NaN", "Infinity": "infinite", "-Infinity": "infinite", "$1": "plain notation", "-": "plain notation",
			"1.": "plain notation", ".5": "plain notation", "1e5": "plain notation", "0.0000000000000000001": "more digits", "100000000000000000000": "more digits",
		},
		"date": {
			"2024-02-29": "", "0001-01-01": "", "9999-12-31": "", "infinity": "infinite", "-infinity": "infinite",
			"10000-01-01": "9999", "0044-03-15 BC": "before year 1", "29.02.2024": "ISO", "2024-2-29": "ISO",
		},
		"timestamp": {
			"2024-02-29 23:59:59.999999": "", "2024-02-29 00:00:00": "", "infinity": "infinite", "-infinity": "infinite",
			"294276-12-31 23:59:59": "9999", "0044-03-15 12:00:00 BC": "before year 1", "2024-02-29 24:00:00": "24:00",
			"2024-02-29": "ISO", "2024-02-29 ": "ISO", "2024-02-29 12:00:00+00": "ISO", "Thu Feb 29 2024": "ISO",
			"2024-02-29 12:00:00.1234567": "ISO",
		},
		"timestamptz": {
			"2024-02-29 12:00:00+00": "", "2024-02-29 12:00:00.5-03:30": "", "infinity": "infinite",
			"0044-03-15 12:00:00+00 BC": "before year 1", "10000-01-01 00:00:00+00": "9999",
			"1890-01-01 00:00:00+00:53:28": "ISO", "2024-02-29 12:00:00": "ISO",
		},
		"time":   {"00:00:00": "", "23:59:59.999999": "", "24:00:00": "24:00", "12:00": "ISO"},
		"timetz": {"12:00:00+00": "", "12:00:00.5+05:30": "", "24:00:00+00": "24:00", "12:00:00": "ISO"},
		"bytea":  {`\x00ff`: "", `\x`: "empty", `abc`: "hex", `\x0`: "hex", `\xzz`: "hex", `\xFF`: "hex"},
		"jsonb": {
			`{}`: "", "[1,\r\n\"a\" ]": "", `null`: "", "": "empty", `{`: "not JSON", `"` + strings.Repeat("x", 65535) + `"`: "",
			`"` + strings.Repeat("x", 65536) + `"`: "65535", `"` + strings.Repeat(`é`, 32768) + `"`: "65535",
			`"` + strings.Repeat(`\n`, 65535) + `"`: "", `"` + strings.Repeat(`\u00e9`, 32767) + `"`: "",
			`"` + strings.Repeat(`\ud83d\ude42`, 16384) + `"`: "65535", `{"` + strings.Repeat("k", 65536) + `":1}`: "65535",
			strings.Repeat("[", 1000) + strings.Repeat("]", 1000): "", strings.Repeat("[", 1001) + strings.Repeat("]", 1001): "deeper",
			`"\ud800"`: "surrogate", `"\udc00"`: "surrogate", `"\ud800\u0041"`: "surrogate",
			"99999999999999999999999999999999999999":           "",
			"123456789012345678901234567890123456789":          "exactly",
			"1" + strings.Repeat("0", 307):                     "",
			"1" + strings.Repeat("0", 308):                     "exactly",
			"0." + strings.Repeat("0", 40) + "123456789012345": "", "0." + strings.Repeat("0", 40) + "1234567890123456": "exactly",
			"1e400": "exactly", "1e-400": "exactly", "0e400": "", "1.5e3": "",
		},
	} {
		for text, reason := range cases {
			got, err := field(mapping(t, typ), text, marker)
			switch {
			case reason == "" && err != nil:
				t.Errorf("%s %.60q: %v", typ, text, err)
			case reason == "" && !same(typ, text, got):
				t.Errorf("%s %.60q came back as %.60v", typ, text, got)
			case reason != "" && (err == nil || !strings.Contains(err.Error(), reason)):
				t.Errorf("%s %.60q: got %v, want a refusal with %q", typ, text, err, reason)
			}
		}
	}
}

func same(typ, text string, got loaded) bool {
	if typ == "bytea" {
		text = text[2:]
	}
	return !got.null && got.text == text
}

// TestSizeLimits: VARBYTE counts the bytes behind the digits, SUPER the text.
func TestSizeLimits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		m    sqltext.Mapping
		text string
		fits bool
	}{
		{mapping(t, "bytea"), `\x` + strings.Repeat("ab", sqltext.MaxVarbyte), true},
		{mapping(t, "bytea"), `\x` + strings.Repeat("ab", sqltext.MaxVarbyte+1), false},
		{mapping(t, "jsonb"), "[" + strings.Repeat(" ", sqltext.MaxSuper-2) + "]", true},
		{mapping(t, "jsonb"), "[" + strings.Repeat(" ", sqltext.MaxSuper-1) + "]", false},
	} {
		if _, err := stage.Field(c.m, []byte(c.text), []byte(marker)); (err == nil) != c.fits {
			t.Errorf("%s of %d bytes: %v", c.m.DDL, len(c.text), err)
		}
	}
}

// TestV19KeyBytesAreText: a key is mapped to VARCHAR, where an empty value is one.
func TestV19KeyBytesAreText(t *testing.T) {
	t.Parallel()
	m, err := sqltext.MapType(sqltext.SourceColumn{Type: "bytea", Kind: "b", Typmod: -1, Key: true})
	if err != nil {
		t.Fatal(err)
	}
	got, err := field(m, `\x`, marker)
	if err != nil || got.null || got.text != `\x` {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestT12TimestampsOfEveryYear: what PostgreSQL prints for valid instants passes.
func TestT12TimestampsOfEveryYear(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		at := time.Date(rapid.IntRange(1, 9999).Draw(t, "year"), 1, 1, 0, 0, 0, 0, time.UTC).
			Add(time.Duration(rapid.Int64Range(0, 365*86400*1_000_000-1).Draw(t, "µs")) * time.Microsecond)
		for typ, layout := range map[string]string{
			"date": "2006-01-02", "timestamp": "2006-01-02 15:04:05.999999", "timestamptz": "2006-01-02 15:04:05.999999-07",
			"time": "15:04:05.999999", "timetz": "15:04:05.999999-07:00",
		} {
			text := at.Format(layout)
			m, err := sqltext.MapType(sqltext.SourceColumn{Type: typ, Kind: "b", Typmod: -1})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := field(m, text, marker); err != nil || got.text != text {
				t.Fatalf("%s %s: %+v, %v", typ, text, got, err)
			}
		}
	})
}

// patterns are what dates and times must look like; 24:00:00 is told apart.
func patterns() map[string]*regexp.Regexp {
	const date, clock, zone = `\d{4}-\d\d-\d\d`, `\d\d:\d\d:\d\d(\.\d{1,6})?`, `[+-]\d\d(:\d\d)?`
	return map[string]*regexp.Regexp{
		"date":        regexp.MustCompile(`^` + date + `$`),
		"timestamp":   regexp.MustCompile(`^` + date + ` ` + clock + `$`),
		"timestamptz": regexp.MustCompile(`^` + date + ` ` + clock + zone + `$`),
		"time":        regexp.MustCompile(`^` + clock + `$`),
		"timetz":      regexp.MustCompile(`^` + clock + zone + `$`),
	}
}

// TestTimesAgainstPatterns: texts a few bytes away from good ones are taken
// exactly if a plain pattern takes them.
func TestTimesAgainstPatterns(t *testing.T) {
	t.Parallel()
	all := patterns()
	rapid.Check(t, func(t *rapid.T) {
		typ := rapid.SampledFrom([]string{"date", "timestamp", "timestamptz", "time", "timetz"}).Draw(t, "type")
		text := []byte(rapid.SampledFrom([]string{
			"2024-02-29", "2024-02-29 23:59:59", "2024-02-29 12:34:56.789+05:30", "12:00:00.000001", "12:00:00+00", "24:00:00",
		}).Draw(t, "text"))
		for range rapid.IntRange(0, 2).Draw(t, "edits") {
			at := rapid.IntRange(0, len(text)-1).Draw(t, "at")
			b := rapid.SampledFrom([]byte("0159:-+. /;\x00\x80\xb0pP")).Draw(t, "byte")
			if rapid.Bool().Draw(t, "insert") {
				text = slices.Insert(text, at, b)
			} else {
				text[at] = b
			}
		}
		m, err := sqltext.MapType(sqltext.SourceColumn{Type: typ, Kind: "b", Typmod: -1})
		if err != nil {
			t.Fatal(err)
		}
		want := all[typ].Match(text) && !strings.Contains(" "+string(text), " 24:")
		if got, err := field(m, string(text), marker); (err == nil) != want || want && got.text != string(text) {
			t.Fatalf("%s %q: %+v, %v", typ, text, got, err)
		}
	})
}

// FuzzField: no text of any type makes the encoder panic or come back as
// another one.
func FuzzField(f *testing.F) {
	types := []string{
		"bool", "int8", "float8", "numeric", "date", "timestamp", "timestamptz", "time", "timetz", "bytea", "jsonb", "text", "uuid",
	}
	for i, text := range []string{"t", "1", "-1.5", "NaN", "infinity", " 12:00:00", "2024-01-01 00:00:00+00", `\x00`, "{}", ""} {
		f.Add(uint8(i), text)
	}
	f.Fuzz(func(t *testing.T, n uint8, text string) {
		typ := types[int(n)%len(types)]
		got, err := field(mapping(t, typ), text, marker)
		var bad *stage.ValueError
		switch {
		case errors.As(err, &bad), errors.Is(err, stage.ErrCollision):
		case err != nil:
			t.Fatal(err)
		case typ == "numeric":
			want, ok := new(big.Rat).SetString(text)
			back, _ := new(big.Rat).SetString(got.text)
			if !ok || back == nil || want.Cmp(back) != 0 {
				t.Fatalf("%q came back as %q", text, got.text)
			}
		case !same(typ, text, got):
			t.Fatalf("%s %q came back as %+v", typ, text, got)
		}
	})
}

// FuzzJSON compares the checker with encoding/json. Where the checker knows
// more (limits of SUPER), the text must at least be JSON.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		`{"a":[1,-2.5e-3,true,false,null,"\u00e9\n"]}`, `[]`, `{}`, `[[]]`, `{"a":{}}`, `"`, `01`, `1.`, `-`, `[1,]`, `{"a"}`, `"\x"`,
		`"\ud83d\ude00"`, `tru`, `1e`, ` 1 `, `[1 2]`, `{"a":1,}`, `]`, `1e99999999999999999999`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, v []byte) {
		if !bytes.Equal(bytes.ToValidUTF8(v, nil), v) {
			return // refused before
		}
		got := stage.CheckJSON(v)
		if isJSON := json.Valid(v); isJSON != (got != "is not JSON") && (isJSON || got == "") {
			t.Fatalf("%q: encoding/json says %t, the checker %q", v, isJSON, got)
		}
	})
}

func TestCollisionIsNoFault(t *testing.T) {
	t.Parallel()
	for _, text := range []string{marker, " " + marker, marker + "\t", "\n" + marker + " "} {
		if _, err := field(varchar(100), text, marker); !errors.Is(err, stage.ErrCollision) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
