package load_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/walshift/walshift/test/redshift/internal/load"
)

// everyType has a column of each type.
func everyType() []load.Column {
	var cols []load.Column
	for _, typ := range []string{
		"varchar", "char", "smallint", "integer", "bigint", "decimal", "real", "double precision", "boolean", "date",
		"timestamp", "timestamptz", "time", "timetz", "super", "varbyte",
	} {
		cols = append(cols, load.Column{Name: typ[:1] + typ[len(typ)-1:], Type: typ, Len: 9, Prec: 9, Scale: 2})
	}
	return cols
}

// fuzzReader loads any bytes as one format, into a column of each type in turn
// and into all of them at once: it must not panic, and what it emits must be
// rows that PostgreSQL's text format can hold.
func fuzzReader(f *testing.F, opts ...load.Options) {
	f.Helper()
	cols := everyType()
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, o := range opts {
			o.MaxError, o.DefaultNull = 1000, o.Null == `\N`
			sets := [][]load.Column{cols}
			for i := range cols {
				sets = append(sets, cols[i:i+1])
			}
			for _, set := range sets {
				checkLoad(t, body, o, set)
			}
		}
	})
}

func checkLoad(t *testing.T, body []byte, o load.Options, cols []load.Column) {
	t.Helper()
	if len(o.Widths) > len(cols) {
		o.Widths = o.Widths[:len(cols)]
	}
	if o.Paths != nil && len(o.Paths) != len(cols) {
		o.Paths = nil
	}
	var out bytes.Buffer
	l := load.Loader{Store: object{string(body)}, Columns: cols, Options: o, Emit: func(b []byte) error { out.Write(b); return nil }}
	res, err := l.Run(t.Context(), []load.File{{Bucket: "b", Key: "k"}})
	if err != nil || res.Failed {
		return
	}
	if !utf8.Valid(out.Bytes()) || bytes.IndexByte(out.Bytes(), 0) >= 0 {
		t.Fatalf("%q gave %q", body, out.Bytes())
	}
	if n := int64(bytes.Count(out.Bytes(), []byte("\n"))); n != res.Rows {
		t.Fatalf("%q gave %d lines, counted %d", body, n, res.Rows)
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(out.String(), "\n"), "\n") {
		if res.Rows > 0 && strings.Count(line, "\t") != len(cols)-1 {
			t.Fatalf("%q gave the row %q", body, line)
		}
	}
}

func seeds(f *testing.F, more ...string) {
	f.Helper()
	for _, s := range append(more,
		"", "\n", "a|b\n", "1,2\r\n", `"a""b",c`, "\\N|\\\n|x\\", "\x00", "\xff\xfe1\x00", "é\xe0\xa0", "2020-01-01 10:00:00+02|J2451187", "'a|b'|\"c\"\n",
	) {
		f.Add([]byte(s))
	}
}

func FuzzCSV(f *testing.F) {
	seeds(f, "\"a\" ,\t\"b\"\n", "\"open", "a\"b\n")
	fuzzReader(f, load.Options{Format: "CSV", Delimiter: ',', Quote: '"', Null: `\N`},
		load.Options{Format: "CSV", Delimiter: '\t', Quote: '%', Null: "", FillRecord: true, AcceptInvalid: true, InvalidChar: '?', TruncateColumns: true, DateFormat: "auto", TimeFormat: "auto"})
}

func FuzzDelimited(f *testing.F) {
	seeds(f, "'it''s'|\"x\n", "a\\|b|c\\\\|\\\r\\\n")
	fuzzReader(f, load.Options{Format: "TEXT", Delimiter: '|', Null: `\N`},
		load.Options{Format: "TEXT", Delimiter: '|', Null: "\x00", Escape: true, RemoveQuotes: true, IgnoreBlankLines: true, FillRecord: true, AcceptAnyDate: true, TimeFormat: "DD-MON-YY HH12:MI:SS AM"},
		load.Options{Format: "TEXT", Delimiter: '|', Null: `\N`, Encoding: "UTF16", IgnoreHeader: 1},
		load.Options{Format: "TEXT", Delimiter: '|', Null: `\N`, Encoding: "ISO88591", TrimBlanks: true, BlanksAsNull: true, RoundDec: true})
}

func FuzzFixedWidth(f *testing.F) {
	seeds(f, "1  é  x\n", "\xff\xff\xff\xff")
	widths := []int{1, 2, 3, 1, 1, 1, 1, 1, 1, 10, 19, 22, 8, 11, 2, 2}
	fuzzReader(f, load.Options{Format: "FIXEDWIDTH", Widths: widths, Null: `\N`}, load.Options{Format: "FIXEDWIDTH", Widths: widths, Null: "x", FillRecord: true, IgnoreBlankLines: true})
}

func FuzzJSON(f *testing.F) {
	seeds(f, `{"ir":1}{"vr":"\u0000x","sr":[1e999,"\ud800"]}`, `[1,{"a":[2]}] x {`, `{"vr":{"k":"`+"\xff"+`"}}`)
	paths, err := load.ParsePaths([]byte(`{"jsonpaths":["$['ir'][0]"]}`))
	if err != nil {
		f.Fatal(err)
	}
	fuzzReader(f, load.Options{Format: "JSON", JSON: "auto"}, load.Options{Format: "JSON", JSON: "auto ignorecase", EmptyAsNull: true, AcceptInvalid: true, InvalidChar: '?'},
		load.Options{Format: "JSON", JSON: "auto", Paths: paths})
}

func FuzzAvro(f *testing.F) {
	const head = "Obj\x01\x02\x16avro.schema"
	schema := `{"type":"record","name":"r","fields":[{"name":"ir","type":["null","int"]},{"name":"vr","type":{"type":"map","values":"string"}},{"name":"sr","type":"r"}]}`
	f.Add([]byte(head + string(rune(len(schema)*2)) + schema + "\x000123456789abcdef\x02\x06\x00\x00\x000123456789abcdef"))
	f.Add([]byte("Obj\x01\x00"))
	f.Add([]byte(""))
	fuzzReader(f, load.Options{Format: "AVRO", JSON: "auto"})
}

// FuzzManifest reads any bytes as a manifest and as a JSONPaths file.
func FuzzManifest(f *testing.F) {
	for _, s := range []string{
		"", "{}", `{"entries":[{"url":"s3://b/k","mandatory":true,"meta":{"content_length":1}}]}`, `{"entries":[null]}`, `{"entries":[{"url":null}]}`,
		`{"jsonpaths":["$.a['b'][0]","$[","$['","$.","$..a","$[-1]"]}`, "null", `{"jsonpaths":[null]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, parquet := range []bool{false, true} {
			files, err := load.Files(t.Context(), object{string(body)}, "s3://b/m", true, parquet)
			if err == nil && len(files) == 0 {
				t.Errorf("%q names no file and is taken", body)
			}
		}
		paths, err := load.ParsePaths(body)
		for _, p := range paths {
			if err != nil || len(p) == 0 {
				t.Errorf("%q gave an empty path", body)
			}
		}
	})
}

// FuzzMask reads any value by any mask that is taken.
func FuzzMask(f *testing.F) {
	f.Add("YYYY-MM-DD HH:MI:SS", "2020-01-01 10:00:00.5")
	f.Add("MON DD, YY HH12AM", "march 31, 03 06PM")
	f.Add("", "Jan-08-95 BC")
	f.Fuzz(func(t *testing.T, mask, value string) {
		if mask != "" && load.CheckMask(mask) != nil {
			return
		}
		if mask == "" {
			mask = "auto"
		}
		opt := load.Options{Format: "CSV", Delimiter: 1, Quote: 2, Null: `\N`, DateFormat: mask, TimeFormat: mask, MaxError: 9}
		for _, typ := range []string{"date", "timestamp", "timestamptz"} {
			checkLoad(t, []byte(value), opt, []load.Column{{Name: "a", Type: typ}})
		}
	})
}

// TestReadPathsMissing wants an error of the statement.
func TestReadPathsMissing(t *testing.T) {
	t.Parallel()
	if _, err := load.ReadPaths(t.Context(), empty{}, "s3://b/k"); err == nil {
		t.Error("a missing file was read")
	}
}

// empty is a store without objects.
type empty struct{ object }

func (empty) Open(context.Context, string, string) (io.ReadCloser, int64, error) {
	return nil, 0, load.ErrMissing
}
