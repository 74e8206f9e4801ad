package stage_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift/sqltext"
	"github.com/walshift/walshift/sink/stage"
	"github.com/walshift/walshift/test/redshift/copytext"
)

// These tests read what the encoder writes by the stand-in's own COPY, which
// knows nothing of walshift: the statement is the one that apply sends, the
// table has the types that it creates.

// copyReader returns the COPY of files into columns of the given types.
func copyReader(tb testing.TB, nullMarker, compression string, types ...string) *copytext.Reader {
	tb.Helper()
	names := make([]string, len(types))
	for i := range types {
		names[i] = fmt.Sprintf("c%d", i+1)
	}
	method := compression
	if method == "" {
		method = stage.Zstd
	}
	statement, err := sqltext.CopyFrom(sqltext.Copy{
		Target: sqltext.Name{Schema: "public", Table: "t"}, Columns: names, Manifest: "s3://lake/manifest",
		NullMarker: nullMarker, Compression: method, IAMRole: "arn:aws:iam::123456789012:role/load",
	})
	if err != nil {
		tb.Fatal(err)
	}
	if compression == "" {
		statement = strings.Replace(statement, "\nZSTD", "", 1)
	}
	columns := make([]string, len(types))
	for i := range types {
		columns[i] = names[i] + " " + types[i]
	}
	r, err := copytext.New("CREATE TABLE public.t ("+strings.Join(columns, ", ")+")", statement)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// stored compares what COPY would store with the source's text.
func stored(m sqltext.Mapping, text string, got copytext.Value) error {
	if got.Null {
		return fmt.Errorf("%q as %s is NULL", text, m.DDL)
	}
	same := got.Text == text
	switch m.Form {
	case sqltext.FormDecimal:
		want, ok := new(big.Rat).SetString(text)
		back, _ := new(big.Rat).SetString(got.Text)
		same = ok && back != nil && want.Cmp(back) == 0
	case sqltext.FormFloat:
		bits := 64
		if m.DDL == "REAL" {
			bits = 32
		}
		want, err := strconv.ParseFloat(text, bits)
		back, err2 := strconv.ParseFloat(got.Text, bits)
		same = err == nil && err2 == nil && want == back
	case sqltext.FormInt:
		want, err := strconv.ParseInt(text, 10, 64)
		same = err == nil && fmt.Sprint(want) == got.Text
	case sqltext.FormHex:
		same = `\x`+got.Text == text
	case sqltext.FormDate, sqltext.FormTimestamp, sqltext.FormTimestampTZ, sqltext.FormTime, sqltext.FormTimeTZ:
		want, ok := moment(text)
		back, ok2 := moment(got.Text)
		same = ok && ok2 && want.Equal(back)
	case sqltext.FormJSON, sqltext.FormArray, sqltext.FormRow, sqltext.FormHstore:
		return sameJSON(text, got.Text)
	case sqltext.FormPlain, sqltext.FormBool, sqltext.FormGeometry:
	}
	if !same {
		return fmt.Errorf("%q as %s came back as %q", text, m.DDL, got.Text)
	}
	return nil
}

// moment reads dates and times as PostgreSQL and the stand-in print them.
func moment(text string) (time.Time, bool) {
	for _, day := range []string{"", "2006-01-02 ", "2006-01-02"} {
		for _, clock := range []string{"", "15:04:05"} {
			for _, zone := range []string{"", "-07", "-07:00"} {
				if at, err := time.Parse(day+clock+zone, text); err == nil && day+clock != "" {
					return at, true
				}
			}
		}
	}
	return time.Time{}, false
}

// sameJSON compares two documents token by token, numbers by their digits. A
// double counts as exact where its shortest text is the source's number.
func sameJSON(want, got string) error {
	a, b := json.NewDecoder(strings.NewReader(want)), json.NewDecoder(strings.NewReader(got))
	a.UseNumber()
	b.UseNumber()
	for {
		x, errX := a.Token()
		y, errY := b.Token()
		if errors.Is(errX, io.EOF) && errors.Is(errY, io.EOF) {
			return nil
		}
		if errX != nil || errY != nil {
			return fmt.Errorf("%q became %q: %w", want, got, errors.Join(errX, errY))
		}
		n, isNumber := x.(json.Number)
		if !isNumber {
			if x != y {
				return fmt.Errorf("%q became %q: %v differs from %v", want, got, x, y)
			}
			continue
		}
		if m, ok := y.(json.Number); !ok || !sameNumber(string(n), string(m)) {
			return fmt.Errorf("%q became %q: number %v differs from %v", want, got, x, y)
		}
	}
}

func sameNumber(want, got string) bool {
	a, ok := new(big.Rat).SetString(want)
	b, ok2 := new(big.Rat).SetString(got)
	if ok && ok2 && a.Cmp(b) == 0 {
		return true
	}
	f, err := strconv.ParseFloat(got, 64)
	if err != nil || !ok {
		return false
	}
	shortest, ok3 := new(big.Rat).SetString(strconv.FormatFloat(f, 'g', -1, 64))
	return ok3 && shortest.Cmp(a) == 0
}

// TestT6EveryTypeComesBackThroughCopy: files of random tables, as WriteSegment
// leaves them on S3, loaded by the stand-in's COPY, hold the source's values,
// NULLs as NULL and nothing else as NULL; and what is refused has a reason.
func TestT6EveryTypeComesBackThroughCopy(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	l := open(t, f.config())
	all := kinds()
	seq := uint64(0)
	rapid.Check(t, func(rt *rapid.T) {
		seq++
		columns := rapid.SliceOfN(rapid.SampledFrom(all), 1, 6).Draw(rt, "columns")
		rel := relation([]int{0}, "int4")
		types := []string{"INTEGER"}
		for i, k := range columns {
			c := change.Column{
				Attnum: int16(i + 2), Name: fmt.Sprintf("c%d", i+2), Type: k.column.Type, TypeKind: k.column.Kind, Typmod: k.column.Typmod,
			}
			if k.column.Key {
				rel.Keys = append(rel.Keys, i+1)
			}
			rel.Columns = append(rel.Columns, c)
			types = append(types, k.mapping(rt).DDL)
		}
		var rows [][]string
		var images []change.Tuple
		mustFit := true
		for i := range rapid.IntRange(1, 4).Draw(rt, "rows") {
			row := []string{fmt.Sprint(i)}
			for _, k := range columns {
				text, holds := k.draw(rt)
				if !k.column.Key && rapid.IntRange(0, 5).Draw(rt, "NULL") == 0 {
					text, holds = null, true
				}
				mustFit = mustFit && holds
				row = append(row, text)
			}
			rows, images = append(rows, row), append(images, tuple(row...))
		}
		entry, err := l.WriteSegment(t.Context(), seq, "a", 0, &change.Segment{Relation: rel, Inserts: change.Rows{Images: images}})
		var bad *stage.ValueError
		switch {
		case err == nil:
		case errors.As(err, &bad) && bad.Reason != "" && !mustFit:
			return
		default:
			rt.Fatalf("writing %q: %v", rows, err)
		}
		at := 0
		for _, file := range entry.Files {
			reader := copyReader(t, file.NullMarker, file.Compression, types...)
			got, err := reader.Read(t.Context(), f.body(t, file.Key))
			if err != nil || int64(len(got)) != file.Rows {
				rt.Fatalf("loading %q: %d rows, %v", rows, len(got), err)
			}
			for _, row := range got {
				for i, k := range columns {
					compareValue(rt, k, rows[at][i+1], row[i+1])
				}
				at++
			}
		}
		if at != len(rows) {
			rt.Fatalf("%d rows of %d", at, len(rows))
		}
	})
}

func compareValue(t *rapid.T, k kind, text string, got copytext.Value) {
	if text == null {
		if !got.Null {
			t.Fatalf("%s: NULL came back as %q", k.name(), got.Text)
		}
		return
	}
	if k.want != nil {
		text = k.want(text)
	}
	if err := stored(k.mapping(t), text, got); err != nil {
		t.Fatalf("%s: %v", k.name(), err)
	}
}

// FuzzCopy: whatever bytes a value consists of, the encoder gives a reason, or
// COPY stores that value, and its neighbours stay what they are.
func FuzzCopy(f *testing.F) {
	list := kinds()
	readers := make([]*copytext.Reader, len(list))
	for i, k := range list {
		m, err := sqltext.MapType(k.column)
		if err != nil {
			f.Fatal(err)
		}
		readers[i] = copyReader(f, marker, "", "VARCHAR(9)", m.DDL, "VARCHAR(9)")
		for _, text := range []string{
			"", " ", marker, " " + marker + "\t", `a "b", c`, "\r\n", "\x00", "\xff", `\N`, "🙂", "t", "-1.50", "00012", "1e5", "NaN",
			"infinity", "0044-03-15 BC", "2024-02-29 23:59:59.999999+05:30", "24:00:00", `\x00ff`, `{"a":[1e400,"\u0000"]}`,
			`[12345678901234567890.5]`, `{1,NULL,"a\"b"}`, `[0:1]={a,b}`, `("x",,y)`, `"k"=>"v", "n"=>NULL`,
		} {
			// Texts that a type refuses, and texts of further text columns, teach
			// the fuzzer nothing.
			if _, err := stage.Field(m, []byte(text), []byte(marker)); i == 0 || err == nil && m.Form != sqltext.FormPlain {
				f.Add(uint8(i), text)
			}
		}
	}
	f.Fuzz(func(t *testing.T, n uint8, text string) {
		k := list[int(n)%len(list)]
		m, err := sqltext.MapType(k.column)
		if err != nil {
			t.Fatal(err)
		}
		field, err := stage.Field(m, []byte(text), []byte(marker))
		var bad *stage.ValueError
		switch {
		case errors.As(err, &bad), errors.Is(err, stage.ErrCollision):
			return
		case err != nil:
			t.Fatal(err)
		}
		line := append(append([]byte("a,"), field...), ",z\n"...)
		rows, err := readers[int(n)%len(list)].Read(t.Context(), line)
		if err != nil || len(rows) != 1 || rows[0][0].Text != "a" || rows[0][2].Text != "z" {
			if err != nil && impossible(m, text) {
				return
			}
			t.Fatalf("%s %q: COPY of %q: %v, %v", k.name(), text, line, rows, err)
		}
		if k.want == nil {
			err = stored(m, text, rows[0][1])
		} else if !json.Valid([]byte(rows[0][1].Text)) {
			err = fmt.Errorf("%q is no JSON", rows[0][1].Text)
		}
		if err != nil && !impossible(m, text) {
			t.Fatalf("%s: %v", k.name(), err)
		}
	})
}

// impossible says that a source prints no such value: a text that looks like a
// date or number, which is as far as the encoder checks it, but is none, such
// as the 31st of February.
func impossible(m sqltext.Mapping, text string) bool {
	var err error
	switch m.Form {
	case sqltext.FormDate, sqltext.FormTimestamp, sqltext.FormTimestampTZ, sqltext.FormTime, sqltext.FormTimeTZ:
		at, ok := moment(text)
		_, offset := at.Zone()
		return !ok || at.Year() < 1 && len(text) > 10 || max(offset, -offset) >= 16*3600
	case sqltext.FormInt:
		_, err = strconv.ParseInt(text, 10, map[string]int{"SMALLINT": 16, "INTEGER": 32, "BIGINT": 64}[m.DDL])
	case sqltext.FormFloat:
		_, err = strconv.ParseFloat(text, map[bool]int{true: 32, false: 64}[m.DDL == "REAL"])
	default:
	}
	return err != nil
}
