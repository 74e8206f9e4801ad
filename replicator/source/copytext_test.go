package source_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/source"
)

// escape is COPY's text format as CopyAttributeOutText writes it.
func escape(dst []byte, v change.Value) []byte {
	if v.Kind == change.ValueNull {
		return append(dst, `\N`...)
	}
	for _, c := range v.Text {
		if i := bytes.IndexByte([]byte("\b\f\n\r\t\v"), c); i >= 0 {
			dst = append(dst, '\\', "bfnrtv"[i])
			continue
		}
		if c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return dst
}

func TestAppendRowUndoesEscape(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "columns")
		var line []byte
		var want change.Tuple
		for i := range n {
			v := change.Value{Kind: change.ValueNull}
			if rapid.IntRange(0, 4).Draw(t, "null") > 0 {
				v.Kind = change.ValueText
				v.Text = rapid.SliceOfN(rapid.SampledFrom([]byte("aN0x7\\\t\n\r\b\f\v.\xc3\xa9 ")), 0, 12).Draw(t, "text")
			}
			if i > 0 {
				line = append(line, '\t')
			}
			line = escape(line, v)
			want = change.AppendValue(want, v)
		}
		got, err := source.AppendRow(nil, append(line, '\n'), n)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("AppendRow(%q) = %q, %v; want %q", line, got, err, want)
		}
	})
}

func TestAppendRowForms(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		`\101\x41\x4g\7z\.\x` + "\n": "AA\x04g\x07z.x",
		"\\\\N\n":                    `\N`,
		"\\N\\N\n":                   "NN",
		"\n":                         "",
	} {
		got, err := source.AppendRow(nil, []byte(line), 1)
		if err != nil || string(got[5:]) != want {
			t.Errorf("AppendRow(%q) = %q, %v", line, got, err)
		}
	}
	for line, n := range map[string]int{"a": 1, "a\tb\n": 1, "a\n": 2, "\\\n": 1, "a\t\\\n": 2, "x\n": 0, "": 1} {
		if got, err := source.AppendRow(nil, []byte(line), n); err == nil {
			t.Errorf("AppendRow(%q, %d) = %q without an error", line, n, got)
		}
	}
	if got, err := source.AppendRow(nil, []byte("\n"), 0); err != nil || len(got) != 0 {
		t.Errorf("row without columns: %q, %v", got, err)
	}
}

func FuzzAppendRow(f *testing.F) {
	f.Add([]byte("a\t\\N\tb\\tc\n"), 3)
	f.Add([]byte("\\x\n"), 1)
	f.Fuzz(func(t *testing.T, line []byte, n int) {
		if n < 0 || n > 100 {
			return
		}
		if got, err := source.AppendRow(nil, line, n); err == nil {
			if err := got.Check(n); err != nil {
				t.Fatalf("AppendRow(%q, %d) = %q: %v", line, n, got, err)
			}
		}
	})
}

func BenchmarkAppendRow(b *testing.B) {
	line := []byte("123456\tsome text of a usual length\t2026-11-22 10:11:12.123456+00\t\\N\t42.17\tanother\\ttext\n")
	var dst change.Tuple
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if dst, err = source.AppendRow(dst[:0], line, 6); err != nil {
			b.Fatal(err)
		}
	}
}
