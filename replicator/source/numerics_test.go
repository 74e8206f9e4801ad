package source_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/source"
)

// TestT2NumericScaleOfTheData: a numeric without a precision gets the decimal
// places that its values need, from 9 to 18.
func TestT2NumericScaleOfTheData(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.exec(`
CREATE DOMAIN amount AS numeric;
CREATE TABLE numbers (id int PRIMARY KEY, few numeric, "More ""Than"" 9" numeric, toomany numeric, zeros numeric, empty numeric, odd numeric,
  whole numeric, dom amount, fixed numeric(10,2), i int);
INSERT INTO numbers VALUES (1, 1.25, 1.123456789012, 1e-30, 1.500000000000000000, NULL, 'NaN', 12345678901234567890123456789, 0.12345678901, 1, 1),
  (2, 3, -0.1, 1, 2, NULL, 'NaN', NULL, NULL, 1, 1), (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE parts (id int, n numeric, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
CREATE TABLE p2 PARTITION OF parts FOR VALUES FROM (10) TO (20);
INSERT INTO parts VALUES (1, 1.5), (11, 0.12345678901234);
CREATE TABLE big (id int PRIMARY KEY, n numeric, large numeric);
INSERT INTO big SELECT i, 1.5, 1e25 + i FROM generate_series(1, 5000) i;`)
	w.publish()
	measure := func(how source.Numerics) map[string]string {
		t.Helper()
		plan, err := w.server().Preflight(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := w.server().MeasureNumerics(t.Context(), plan.Tables, how); err != nil {
			t.Fatal(err)
		}
		found := map[string]string{}
		for _, rel := range plan.Relations() {
			for i := range rel.Columns {
				if n := rel.Columns[i].Numeric; n != nil {
					found[rel.Name+"."+rel.Columns[i].Name] = fmt.Sprint(n.Scale)
				}
			}
		}
		return found
	}
	want := map[string]string{
		"numbers.few": "9", `numbers.More "Than" 9`: "12", "numbers.toomany": "18", "numbers.zeros": "9", "numbers.empty": "18", "numbers.odd": "18",
		"numbers.whole": "9", "numbers.dom": "11", "parts.n": "14", "big.n": "9", "big.large": "9",
	}
	if got := measure(source.Numerics{}); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("scales %v, want %v", got, want)
	}
	// Of a part of the rows nobody knows the greatest scale: as many decimal
	// places as the digits before the point leave room for.
	got := measure(source.Numerics{ScanBytes: 100_000, SampleBytes: 100_000})
	if got["big.n"] != "18" || got["big.large"] != "12" || got["numbers.few"] != "9" {
		t.Errorf("scales by a sample: %v", got)
	}
}

// TestFieldsOfComposites: the catalog tells the fields of composites and of
// arrays of them, through domains and as deep as they go.
func TestFieldsOfComposites(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.exec(`
CREATE TYPE inner_t AS (x int, "Y ""q""" numeric(4,1)[]);
CREATE DOMAIN inner_d AS inner_t;
CREATE TYPE outer_t AS (i inner_d, gone int, many inner_t[], ok bool, js jsonb, e text);
ALTER TYPE outer_t DROP ATTRIBUTE gone;
CREATE TABLE rows_of (id int PRIMARY KEY, o outer_t, os outer_t[], d inner_d, plain int[], row_type inner_d[]);`)
	w.publish()
	plan, err := w.server().Preflight(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var describe func(fields []change.Field) string
	describe = func(fields []change.Field) string {
		var parts []string
		for _, f := range fields {
			parts = append(parts, f.Name+":"+f.Type+"/"+f.TypeKind+describe(f.Fields))
		}
		if parts == nil {
			return ""
		}
		return "(" + strings.Join(parts, " ") + ")"
	}
	const inner = `(x:int4/b Y "q":_numeric/b)`
	const outer = `(i:inner_t/c` + inner + ` many:_inner_t/b` + inner + ` ok:bool/b js:jsonb/b e:text/b)`
	want := map[string]string{"id": "", "o": outer, "os": outer, "d": inner, "plain": "", "row_type": inner}
	for _, c := range plan.Relations()[0].Columns {
		if got := describe(c.Fields); got != want[c.Name] {
			t.Errorf("column %s: %s, want %s", c.Name, got, want[c.Name])
		}
	}
}
