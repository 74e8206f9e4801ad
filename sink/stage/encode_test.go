package stage_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/stage"
)

// shapes are rows of the kinds that the baselines use, and one of every type.
func shapes() map[string]struct {
	rel *change.Relation
	row change.Tuple
} {
	type shape = struct {
		rel *change.Relation
		row change.Tuple
	}
	wide, text := []string{"int8"}, []string{"123456"}
	for i := range 20 {
		wide = append(wide, "text", "int4", "timestamp")
		text = append(text, fmt.Sprintf("some text of usual length %d", i), "42", "2024-01-02 03:04:05.678901")
	}
	return map[string]shape{
		"narrow": {
			relation([]int{0}, "int4", "int4", "int4", "varchar"),
			tuple("1234567", "12", "-4711", strings.Repeat(" ", 20)+"filler"),
		},
		"wide": {relation([]int{0}, wide...), tuple(text...)},
		"every type": {
			relation([]int{0}, "int4", "text", "text", "text", "bool", "float8", "numeric", "date", "timestamp",
				"timestamptz", "time", "timetz", "bytea", "jsonb", "uuid", "text", "_int4", "_text", "hstore", "_float8"),
			tuple("1", `a "quoted", text`, "Größe", "", "t", "2.5e-3", "-12345.6789", "2024-02-29", "2024-02-29 12:00:00",
				"2024-02-29 12:00:00.5+00", "23:59:59", "12:00:00+00", `\xdeadbeef`, `{"a": [1, 2.5, "x\n"], "b": null}`,
				"00000000-0000-0000-0000-000000000000", null, "{1,NULL,3}", `[2:3]={"a \"b\"",c}`, `"k"=>"v", "n"=>NULL`, "{0.1,NaN,1e-300}"),
		},
	}
}

// TestNoAllocationPerRow: rows of every shape, through the compressor.
func TestNoAllocationPerRow(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts all goroutines
	for name, s := range shapes() {
		for _, compression := range []string{stage.Zstd, stage.Gzip} {
			e, err := stage.NewRowEncoder(s.rel, compression)
			if err != nil {
				t.Fatal(err)
			}
			add := func() {
				if err := e.Add(s.row); err != nil {
					t.Fatal(err)
				}
			}
			for range 20_000 { // buffers reach their sizes
				add()
			}
			if n := testing.AllocsPerRun(20_000, add); n != 0 {
				t.Errorf("%s, %s: %v allocations per row", name, compression, n)
			}
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	for name, s := range shapes() {
		for _, compression := range []string{stage.Zstd, stage.Gzip} {
			b.Run(name+"/"+compression, func(b *testing.B) {
				e, err := stage.NewRowEncoder(s.rel, compression)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(s.row)))
				b.ReportAllocs()
				for b.Loop() {
					if err := e.Add(s.row); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkText measures the scan for what needs care, by length.
func BenchmarkText(b *testing.B) {
	for _, n := range []int{4, 20, 100, 1000} {
		v := []byte(strings.Repeat("x", n))
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(n))
			for b.Loop() {
				if stage.NeedsCare(v) {
					b.Fatal()
				}
			}
		})
	}
}
