package stage_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pglogrepl"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/stage"
)

// kept and null stand for the values without a text in the rows of tests.
const (
	null = "\x00null"
	kept = "\x00kept"
)

func tuple(values ...string) change.Tuple {
	var t change.Tuple
	for _, v := range values {
		switch v {
		case null:
			t = change.AppendValue(t, change.Value{Kind: change.ValueNull})
		case kept:
			t = change.AppendValue(t, change.Value{Kind: change.ValueUnchanged})
		default:
			t = change.AppendValue(t, change.Value{Kind: change.ValueText, Text: []byte(v)})
		}
	}
	return t
}

// relation makes a table of the given types with a key of the given places.
func relation(keys []int, types ...string) *change.Relation {
	r := &change.Relation{OID: 4711, Schema: "public", Name: "orders", Identity: change.IdentityDefault, Keys: keys}
	for i, typ := range types {
		r.Columns = append(r.Columns, change.Column{
			Attnum: int16(i + 1), Name: fmt.Sprintf("c%d", i+1), Type: typ, TypeKind: "b", Typmod: -1,
		})
	}
	return r
}

func unpack(tb testing.TB, f *change.File, b []byte) []byte {
	tb.Helper()
	sum := sha256.Sum256(b)
	if f.Bytes != int64(len(b)) || f.SHA256 != hex.EncodeToString(sum[:]) {
		tb.Fatalf("%s: the entry says %d bytes %s", f.Key, f.Bytes, f.SHA256)
	}
	var r io.Reader
	var err error
	if f.Compression == stage.Gzip {
		r, err = gzip.NewReader(bytes.NewReader(b))
	} else {
		var z *zstd.Decoder
		if z, err = zstd.NewReader(bytes.NewReader(b), zstd.WithDecoderConcurrency(1)); err == nil {
			defer z.Close()
			r = z
		}
	}
	if err != nil {
		tb.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		tb.Fatal(err)
	}
	return plain
}

// rowsOf reads a file as COPY does into columns that the entry names.
func rowsOf(tb testing.TB, f *fakeS3, rel *change.Relation, file *change.File) [][]string {
	tb.Helper()
	var voids []bool
	for _, list := range [][]int16{file.Columns, file.Origin} {
		for _, a := range list {
			voids = append(voids, !slices.Contains([]string{"text", "varchar"}, rel.Columns[a-1].Type))
		}
	}
	if file.Kind == change.KindPartial || file.Pad {
		voids = append(voids, false)
	}
	records, err := readCSV(unpack(tb, file, f.body(tb, file.Key)), file.NullMarker, voids)
	if err != nil {
		tb.Fatalf("%s: %v", file.Key, err)
	}
	if int64(len(records)) != file.Rows {
		tb.Fatalf("%s: %d records, the entry says %d", file.Key, len(records), file.Rows)
	}
	rows := make([][]string, len(records))
	for i, r := range records {
		for _, v := range r {
			if v.null {
				v.text = null
			}
			rows[i] = append(rows[i], v.text)
		}
	}
	return rows
}

func smallSegment() *change.Segment {
	return &change.Segment{
		Relation: relation([]int{0}, "int4", "text", "text"),
		Truncate: true,
		Deletes:  change.Rows{Images: []change.Tuple{tuple("1"), tuple("2")}},
		Upserts:  change.Rows{Images: []change.Tuple{tuple("3", "", null)}},
		Partials: change.Rows{
			Images:  []change.Tuple{tuple("4", kept, "x"), tuple("5", "y", kept), tuple("6", kept, kept)},
			Origins: []change.Tuple{tuple("4"), tuple("50"), tuple("6")},
			Existed: []bool{true, false, true},
		},
		Inserts: change.Rows{Images: []change.Tuple{tuple("7", "a,b", `"`), tuple("8", " ", "\r\n")}},
		Changes: change.Counts{Inserts: 2, Updates: 4, Deletes: 2},
		Last:    0x1234,
	}
}

// TestSegmentFiles: every kind, its columns, counts and content.
func TestSegmentFiles(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	l := open(t, f.config())
	s := smallSegment()
	entry, err := l.WriteSegment(t.Context(), 7, "a1", 3, s)
	if err != nil {
		t.Fatal(err)
	}
	if !entry.Truncate || entry.Changes != s.Changes || entry.Relation.OID != 4711 {
		t.Errorf("entry %+v", entry)
	}
	want := []struct {
		file change.File
		rows [][]string
	}{
		{change.File{Kind: change.KindDelete, Rows: 2, Existed: 2, Columns: []int16{1}, Pad: true}, [][]string{{"1", "1"}, {"2", "1"}}},
		{
			change.File{Kind: change.KindPartial, Rows: 3, Existed: 2, Kept: 3, Columns: []int16{1, 2, 3}, Origin: []int16{1}, KeptColumns: []int16{2, 3}},
			[][]string{{"4", null, "x", "4", "10"}, {"5", "y", null, "50", "01"}, {"6", null, null, "6", "11"}},
		},
		{change.File{Kind: change.KindUpsert, Rows: 1, Existed: 1, Columns: []int16{1, 2, 3}}, [][]string{{"3", "", null}}},
		{change.File{Kind: change.KindInsert, Rows: 2, Columns: []int16{1, 2, 3}}, [][]string{{"7", "a,b", `"`}, {"8", " ", "\r\n"}}},
	}
	if len(entry.Files) != len(want) {
		t.Fatalf("%d files", len(entry.Files))
	}
	for i, w := range want {
		got := entry.Files[i]
		if rows := rowsOf(t, f, s.Relation, &got); !reflect.DeepEqual(rows, w.rows) {
			t.Errorf("%s: %q, want %q", got.Key, rows, w.rows)
		}
		if key := fmt.Sprintf("data/00000000000000000007-a1/0003-%s-00.csv.zst", w.file.Kind); got.Key != key {
			t.Errorf("key %s, want %s", got.Key, key)
		}
		w.file.Key, w.file.Bytes, w.file.SHA256, w.file.NullMarker, w.file.Compression = got.Key, got.Bytes, got.SHA256, l.Marker(), stage.Zstd
		if !reflect.DeepEqual(got, w.file) {
			t.Errorf("entry %+v, want %+v", got, w.file)
		}
	}
	m := manifest(7)
	m.Segments = []change.SegmentFiles{entry}
	if err := l.Commit(t.Context(), m); err != nil {
		t.Error(err)
	}
}

// TestSegmentRoundTrip: whatever the rows are, and wherever files are cut,
// they come back in order.
func TestSegmentRoundTrip(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	cfg := f.config()
	cfg.Compression = stage.Gzip
	l := open(t, cfg)
	seq := uint64(0)
	rapid.Check(t, func(rt *rapid.T) {
		seq++
		types := rapid.SliceOfN(rapid.SampledFrom([]string{"text", "int8", "bytea", "jsonb", "numeric"}), 1, 5).Draw(rt, "types")
		rel := relation([]int{0}, append([]string{"int4"}, types...)...)
		var rows [][]string
		var images []change.Tuple
		for i := range rapid.IntRange(1, 20).Draw(rt, "rows") {
			row := []string{fmt.Sprint(i)}
			for _, typ := range types {
				row = append(row, drawValue(rt, typ, l.Marker()))
			}
			rows, images = append(rows, row), append(images, tuple(row...))
		}
		s := &change.Segment{Relation: rel, Inserts: change.Rows{Images: images}}
		entry, err := l.WriteSegment(t.Context(), seq, "a", 0, s)
		if err != nil {
			rt.Fatal(err)
		}
		var got [][]string
		for i := range entry.Files {
			got = append(got, rowsOf(t, f, rel, &entry.Files[i])...)
		}
		for _, row := range rows {
			for i, typ := range types {
				if typ == "bytea" {
					row[i+1] = strings.TrimPrefix(row[i+1], `\x`)
				}
			}
		}
		if !reflect.DeepEqual(got, rows) {
			rt.Fatalf("got  %q\nwant %q", got, rows)
		}
	})
}

// drawValue draws a text that the type can print and Redshift can hold; for
// text the marker too, which must lead to another marker and not to NULL.
func drawValue(t *rapid.T, typ, first string) string {
	if rapid.IntRange(0, 5).Draw(t, "null") == 0 {
		return null
	}
	switch typ {
	case "int8":
		return fmt.Sprint(rapid.Int64().Draw(t, "int"))
	case "numeric":
		return rapid.StringMatching(`-?(0|[1-9][0-9]{0,19})(\.[0-9]{1,18})?`).Draw(t, "numeric")
	case "bytea":
		return `\x` + hex.EncodeToString(rapid.SliceOfN(rapid.Byte(), 1, 20).Draw(t, "bytes"))
	case "jsonb":
		return rapid.SampledFrom([]string{`{"a": "b,\"c\""}`, `[1, 2]`, "null", `"x"`, "{\"a\":\n1}"}).Draw(t, "json")
	}
	text := strings.ToValidUTF8(strings.ReplaceAll(nasty().Draw(t, "text"), "\x00", ""), "?")
	return strings.ReplaceAll(text, marker, first)
}

// TestW3MarkerCollision: a file ends before the row that holds its marker, and
// the next one has a marker that can't be foreseen and no value equals.
func TestW3MarkerCollision(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	l := open(t, f.config())
	rel := relation([]int{0}, "int4", "text")
	first := l.Marker()
	second := l.MarkerOf("data/00000000000000000001-a1/0000-insert-01.csv.zst", 1)
	rows := [][]string{
		{"1", null},
		{"2", "N"},
		{"3", `\N`},
		{"4", first},
		{"5", null},
		{"6", second},
		{"7", null},
		{"8", first},
	}
	s := &change.Segment{Relation: rel}
	for _, r := range rows {
		s.Inserts.Images = append(s.Inserts.Images, tuple(r...))
	}
	entry, err := l.WriteSegment(t.Context(), 1, "a1", 0, s)
	if err != nil {
		t.Fatal(err)
	}
	var got [][]string
	markers := map[string]bool{}
	for i := range entry.Files {
		file := &entry.Files[i]
		got = append(got, rowsOf(t, f, rel, file)...)
		markers[file.NullMarker] = true
		if strings.ContainsAny(file.NullMarker, "\\\"', \n") {
			t.Errorf("marker %q has a meaning to CSV or SQL", file.NullMarker)
		}
	}
	if !reflect.DeepEqual(got, rows) || len(markers) != 3 || !markers[first] || !markers[second] {
		t.Errorf("got %q, markers %v", got, markers)
	}
	// The colliding value in the first row of all: no empty file is left.
	s.Inserts.Images = []change.Tuple{tuple("4", first)}
	entry, err = l.WriteSegment(t.Context(), 2, "a1", 0, s)
	if err != nil || len(entry.Files) != 1 || entry.Files[0].NullMarker == first {
		t.Errorf("got %+v, %v", entry.Files, err)
	}
}

// TestFilesAreCut: files end near the limit, and all rows are in one of them.
func TestFilesAreCut(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	cfg := f.config()
	cfg.FileBytes, cfg.Parallel = 64<<10, 2
	l := open(t, cfg)
	rel := relation([]int{0}, "int4", "text")
	s := &change.Segment{Relation: rel}
	noise := func(i int) string {
		sum := sha256.Sum256([]byte{byte(i), byte(i >> 8), byte(i >> 16)})
		return strings.Repeat(hex.EncodeToString(sum[:]), 2)
	}
	for i := range 20_000 {
		s.Inserts.Images = append(s.Inserts.Images, tuple(fmt.Sprint(i), noise(i)))
	}
	entry, err := l.WriteSegment(t.Context(), 1, "a1", 0, s)
	if err != nil {
		t.Fatal(err)
	}
	if len(entry.Files) < 4 {
		t.Errorf("%d files", len(entry.Files))
	}
	next := 0
	for i := range entry.Files {
		file := &entry.Files[i]
		if file.Bytes > 3*cfg.FileBytes || i < len(entry.Files)-1 && file.Bytes < cfg.FileBytes {
			t.Errorf("file %d has %d bytes", i, file.Bytes)
		}
		for _, r := range rowsOf(t, f, rel, file) {
			if r[0] != fmt.Sprint(next) || r[1] != noise(next) {
				t.Fatalf("row %d came back as %q", next, r)
			}
			next++
		}
	}
	if next != 20_000 {
		t.Errorf("%d rows", next)
	}
	// The same attempt again gives the same files, byte for byte (invariant 2).
	again, err := l.WriteSegment(t.Context(), 1, "a1", 0, s)
	if err != nil || !reflect.DeepEqual(entry, again) {
		t.Errorf("written again: %v", err)
	}
}

// TestA8TwoWritersOneKey: a name that is taken by other bytes is not replaced.
func TestA8TwoWritersOneKey(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	l := open(t, f.config())
	s := &change.Segment{Relation: relation([]int{0}, "int4", "text"), Inserts: change.Rows{Images: []change.Tuple{tuple("1", "x")}}}
	entry, err := l.WriteSegment(t.Context(), 1, "a1", 0, s)
	if err != nil {
		t.Fatal(err)
	}
	before := f.body(t, entry.Files[0].Key)
	s.Inserts.Images[0] = tuple("1", "y")
	_, err = l.WriteSegment(t.Context(), 1, "a1", 0, s)
	if change.ScopeOf(err) != change.ScopeFatal {
		t.Errorf("got %v, want a fatal fault", err)
	}
	if !bytes.Equal(before, f.body(t, entry.Files[0].Key)) {
		t.Error("the first writer's file was replaced")
	}
}

// TestValueFault: the fault says where and what to do, and not the value.
func TestValueFault(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	l := open(t, f.config())
	long := strings.Repeat("secret", 20_000)
	for name, c := range map[string]struct {
		s      change.Segment
		column string
		reason string
	}{
		"too long": {change.Segment{Inserts: change.Rows{Images: []change.Tuple{tuple("1", long)}}}, "c2", "more bytes"},
		"kept in an upsert": {
			change.Segment{Upserts: change.Rows{Images: []change.Tuple{tuple("1", kept)}}}, "c2", "unchanged",
		},
		"short tuple": {change.Segment{Inserts: change.Rows{Images: []change.Tuple{tuple("1")}}}, "c2", "absent"},
		"long tuple":  {change.Segment{Inserts: change.Rows{Images: []change.Tuple{tuple("1", "2", "3")}}}, "", "absent"},
		"null origin": {
			change.Segment{Partials: change.Rows{
				Images: []change.Tuple{tuple("1", kept)}, Origins: []change.Tuple{tuple(null)}, Existed: []bool{true},
			}}, "c1", "absent",
		},
	} {
		c.s.Relation, c.s.Last = relation([]int{0}, "int4", "text"), 0x16B374D848
		_, err := l.WriteSegment(t.Context(), 9, "a1", 0, &c.s)
		var fault *change.Fault
		var value *stage.ValueError
		if !errors.As(err, &fault) || !errors.As(err, &value) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if fault.Scope != change.ScopeTable || fault.Table != "public.orders" || fault.TableOID != 4711 ||
			fault.LSN != 0x16B374D848 || fault.Seq != 9 || fault.Remedy == "" {
			t.Errorf("%s: %+v", name, fault)
		}
		if value.Column != c.column || !strings.Contains(value.Reason, c.reason) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRecordLimit: a record of 4,000,000 bytes is the longest.
func TestRecordLimit(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	l := open(t, f.config())
	rel := relation([]int{0}, "int4", "jsonb", "jsonb")
	for size, ok := range map[int]bool{4_000_000: true, 4_000_001: false} {
		const frame = `1,[],[]` + "\n"
		s := &change.Segment{Relation: rel, Inserts: change.Rows{Images: []change.Tuple{
			tuple("1", "["+strings.Repeat(" ", size-len(frame))+"]", "[]"),
		}}}
		_, err := l.WriteSegment(t.Context(), 1, fmt.Sprint("a", size), 0, s)
		if (err == nil) != ok || change.ScopeOf(err) == change.ScopeTable == ok {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

// TestN8SnapshotAndStreamAgree: equal rows give equal bytes by both ways.
func TestN8SnapshotAndStreamAgree(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	l := open(t, f.config())
	rel := relation([]int{0}, "int4", "text", "numeric", "timestamptz", "bytea", "jsonb", "bool")
	s := &change.Segment{Relation: rel}
	w, err := l.SnapshotFile(rel, 0x2A, "s1", 2)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		row := tuple(fmt.Sprint(i), "a,"+fmt.Sprint(i%7), "1.50", "2024-01-02 03:04:05.6+00", `\x00ff`, `{"a": 1}`, null)
		s.Inserts.Images = append(s.Inserts.Images, row)
		if err := w.Write(t.Context(), row); err != nil {
			t.Fatal(err)
		}
	}
	files, err := w.Close(t.Context())
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	entry, err := l.WriteSegment(t.Context(), 1, "a1", 0, s)
	if err != nil {
		t.Fatal(err)
	}
	a, b := files[0], entry.Files[0]
	if !bytes.Equal(f.body(t, a.Key), f.body(t, b.Key)) || a.SHA256 != b.SHA256 || a.NullMarker != b.NullMarker {
		t.Error("the files differ")
	}
	if !strings.HasPrefix(a.Key, "snapshot/4711/000000000000002A-s1/0002-") || !strings.HasSuffix(a.Key, "-0000.csv.zst") {
		t.Errorf("key %s", a.Key)
	}
}

// TestSnapshotPartAgain: a part may be read and written again under the same
// attempt, other rows included, and one without rows has no files.
func TestSnapshotPartAgain(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	l := open(t, f.config())
	rel := relation([]int{0}, "int4", "text")
	write := func(rows ...change.Tuple) []change.File {
		w, err := l.SnapshotFile(rel, pglogrepl.LSN(1), "s1", 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			if err := w.Write(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		files, err := w.Close(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	if files := write(); len(files) != 0 {
		t.Errorf("files without rows: %v", files)
	}
	one := write(tuple("1", "a"))
	two := write(tuple("1", "a"), tuple("2", l.Marker()))
	if one[0].Key == two[0].Key || len(two) != 2 {
		t.Errorf("got %v and %v", one, two)
	}
	// Abort leaves nothing running; goleak looks.
	w, err := l.SnapshotFile(rel, 1, "s1", 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(t.Context(), tuple("1", "a")); err != nil {
		t.Fatal(err)
	}
	w.Abort()
}
