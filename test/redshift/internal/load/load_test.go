package load_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/walshift/walshift/test/redshift/internal/load"
)

// object is a store of one file.
type object struct{ body string }

func (o object) Open(context.Context, string, string) (io.ReadCloser, int64, error) {
	return io.NopCloser(strings.NewReader(o.body)), int64(len(o.body)), nil
}

func (o object) Size(context.Context, string, string) (int64, error) { return int64(len(o.body)), nil }

func (o object) List(context.Context, string, string) ([]string, error) { return []string{"k"}, nil }

func run(t *testing.T, body string, opt load.Options, cols ...load.Column) (string, *load.Result) {
	t.Helper()
	var out bytes.Buffer
	l := load.Loader{Store: object{body}, Columns: cols, Options: opt, Emit: func(b []byte) error { out.Write(b); return nil }}
	res, err := l.Run(t.Context(), []load.File{{Bucket: "b", Key: "k"}})
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), res
}

func csv() load.Options {
	return load.Options{Format: "CSV", Delimiter: ',', Quote: '"', Null: `\N`, DefaultNull: true}
}

// TestCSVRoundTrip checks that any text survives quoting.
func TestCSVRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.StringOf(rapid.SampledFrom([]rune("ab\",\n\r\\N é|\t"))).Draw(rt, "text")
		if text == `\N` {
			rt.Skip("the marker")
		}
		body := `"` + strings.ReplaceAll(text, `"`, `""`) + `",1` + "\n"
		out, res := run(t, body, csv(), load.Column{Name: "a", Type: "varchar", Len: 65535}, load.Column{Name: "b", Type: "integer"})
		if len(res.Failures) > 0 {
			rt.Fatalf("%q: %v", body, res.Failures[0])
		}
		want := strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(text) + "\t1\n"
		if out != want {
			rt.Fatalf("%q gave %q, want %q", body, out, want)
		}
	})
}

func TestW6DecimalIsCut(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"1.999": "1.99", "-1.999": "-1.99", "0.001": "0.00", "5": "5.00", ".5": "0.50", "007": "7.00", "+3.1": "3.10", "999.999": "999.99",
		"1000": "", "1e3": "", "": `\N`, "NaN": "", "1,0": "",
	} {
		out, res := run(t, in+"|x\n", load.Options{Format: "TEXT", Delimiter: '|', Null: `\N`, DefaultNull: true},
			load.Column{Name: "a", Type: "decimal", Prec: 5, Scale: 2}, load.Column{Name: "b", Type: "varchar", Len: 1})
		if want == "" != res.Failed || !res.Failed && out != want+"\tx\n" {
			t.Errorf("%q gave %q %v", in, out, res.Failures)
		}
	}
}

// TestValuesNeverPanic feeds all types with odd values.
func TestValuesNeverPanic(t *testing.T) {
	t.Parallel()
	types := []string{"varchar", "char", "smallint", "integer", "bigint", "decimal", "real", "double precision", "boolean", "date", "timestamp", "timestamptz", "time", "timetz", "super", "varbyte"}
	rapid.Check(t, func(rt *rapid.T) {
		body := rapid.StringOf(rapid.SampledFrom([]rune("0123456789-+.:eETZ {}[]\"\\tfn,|\n\x00é"))).Draw(rt, "body")
		for _, typ := range types {
			for _, format := range []string{"TEXT", "CSV", "JSON"} {
				opt := csv()
				opt.Format, opt.JSON, opt.Escape, opt.MaxError, opt.TimeFormat = format, "auto", true, 100, "auto"
				run(t, body, opt, load.Column{Name: "a", Type: typ, Len: 5, Prec: 5, Scale: 2})
			}
		}
	})
}
