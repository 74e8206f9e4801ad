package stage_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift/sqltext"
	"github.com/walshift/walshift/sink/stage"
)

// multiset makes a table without a key under REPLICA IDENTITY FULL.
func multiset(types ...string) *change.Relation {
	r := relation(nil, types...)
	r.Identity, r.Multiset = change.IdentityFull, true
	return r
}

// hashOf is the hash of a row by its documentation alone: columns by attnum.
func hashOf(rel *change.Relation, values ...string) string {
	var b []byte
	for i, v := range values {
		if v == null {
			continue
		}
		b = binary.BigEndian.AppendUint16(b, uint16(rel.Columns[i].Attnum))
		b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
		b = append(b, v...)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// recordsOf reads a multiset's file, field by field.
func recordsOf(t *testing.T, f *fakeS3, file *change.File) [][]string {
	t.Helper()
	rel := &change.Relation{}
	columns := len(file.Columns) + 1
	if file.Kind == change.KindMultiset {
		columns++
	}
	copied := *file
	copied.Columns, copied.Pad = nil, false
	for i := range columns {
		rel.Columns = append(rel.Columns, change.Column{Attnum: int16(i + 1), Type: "text"})
		copied.Columns = append(copied.Columns, int16(i+1))
	}
	return rowsOf(t, f, rel, &copied)
}

// TestMultisetFiles: copies that are added stand there one by one, those that
// are taken away once with their number; both carry the hash of the source's
// text.
func TestMultisetFiles(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	l := open(t, f.config())
	rel := multiset("text", "numeric")
	s := &change.Segment{
		Relation: rel, Truncate: true,
		Removed: change.Rows{Images: []change.Tuple{tuple("a", "1.50"), tuple(null, null)}, Copies: []int64{7, 1}},
		Inserts: change.Rows{Images: []change.Tuple{tuple("", null), tuple("a", "1.5")}, Copies: []int64{3, 1}},
	}
	entry, err := l.WriteSegment(t.Context(), 7, "a1", 3, s)
	if err != nil {
		t.Fatal(err)
	}
	if len(entry.Files) != 2 || entry.Files[0].Kind != change.KindMultiset || entry.Files[1].Kind != change.KindInsert {
		t.Fatalf("files %+v", entry.Files)
	}
	void, one := hashOf(rel, "", null), hashOf(rel, "a", "1.5")
	for i, want := range [][][]string{
		{{"a", "1.50", hashOf(rel, "a", "1.50"), "7"}, {null, null, hashOf(rel, null, null), "1"}},
		{{"", null, void}, {"", null, void}, {"", null, void}, {"a", "1.5", one}},
	} {
		file := &entry.Files[i]
		if got := recordsOf(t, f, file); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q, want %q", file.Kind, got, want)
		}
		if !file.RowHash || file.Pad || !reflect.DeepEqual(file.Columns, []int16{1, 2}) || file.Existed != 0 {
			t.Errorf("entry %+v", file)
		}
	}
	m := manifest(7)
	m.Segments = []change.SegmentFiles{entry}
	if err := l.Commit(t.Context(), m); err != nil {
		t.Error(err)
	}
	// A table of one column needs no constant beside the hash.
	narrow := multiset("int4")
	entry, err = l.WriteSegment(t.Context(), 8, "a1", 0, &change.Segment{
		Relation: narrow, Inserts: change.Rows{Images: []change.Tuple{tuple("5")}, Copies: []int64{1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := recordsOf(t, f, &entry.Files[0]); entry.Files[0].Pad || !reflect.DeepEqual(got, [][]string{{"5", hashOf(narrow, "5")}}) {
		t.Errorf("one column: %q, %+v", got, entry.Files[0])
	}
}

// TestRowHashTellsRowsApart: the hash goes by column, length and text of what
// is not NULL, and so outlives a column that is added.
func TestRowHashTellsRowsApart(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	l := open(t, f.config())
	hashes := func(rel *change.Relation, rows ...change.Tuple) (out []string) {
		t.Helper()
		w, err := l.SnapshotFile(rel, 1, "s", 0)
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
		for i := range files {
			for _, r := range recordsOf(t, f, &files[i]) {
				out = append(out, r[len(r)-1])
			}
		}
		return out
	}
	two := hashes(multiset("text", "text"), tuple("a", null), tuple(null, "a"), tuple("", null), tuple(null, null),
		tuple("ab", "c"), tuple("a", "bc"), tuple("a", "\x02"), tuple(l.Marker(), null))
	seen := map[string]bool{}
	for _, h := range two {
		if seen[h] || len(h) != 32 || strings.ToLower(h) != h {
			t.Errorf("hash %q is there twice, or no hash", h)
		}
		seen[h] = true
	}
	wider := multiset("text", "text", "text")
	if got := hashes(wider, tuple("ab", "c", null)); got[0] != two[4] {
		t.Errorf("a NULL column changes the hash: %s, was %s", got[0], two[4])
	}
	wider.Columns[1].Attnum = 7 // c2 was dropped, and a column added
	wider.Columns[2].Attnum = 8
	if got := hashes(wider, tuple("ab", "c", null)); got[0] == two[4] {
		t.Error("another column of the same text has the same hash")
	}
	wider.Columns[2].Attnum = 3
	if _, err := l.SnapshotFile(wider, 1, "s", 0); err == nil {
		t.Error("columns out of order are taken")
	}
}

// TestN8RowHashOfSnapshotAndStream: the same rows give the same bytes by both
// ways, and a policy changes the value alone.
func TestN8RowHashOfSnapshotAndStream(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	cfg := f.config()
	cfg.Values = sqltext.DefaultRules()
	l := open(t, cfg)
	rel := multiset("int4", "text", "float8", "jsonb")
	long := strings.Repeat("é", 40_000)
	rows := [][]string{{"1", "x", "NaN", "{}"}, {"1", "x", "2.5", `{"a": 1}`}, {"2", long, null, null}, {"3", long + "!", "-0", null}}
	s := &change.Segment{Relation: rel}
	w, err := l.SnapshotFile(rel, 0x2A, "s1", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		s.Inserts.Images, s.Inserts.Copies = append(s.Inserts.Images, tuple(r...)), append(s.Inserts.Copies, 1)
		if err := w.Write(t.Context(), tuple(r...)); err != nil {
			t.Fatal(err)
		}
	}
	files, err := w.Close(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	entry, err := l.WriteSegment(t.Context(), 1, "a1", 0, s)
	if err != nil {
		t.Fatal(err)
	}
	loaded := change.DataFiles(files)
	if len(loaded) != 1 || len(entry.Files) != 1 || loaded[0].SHA256 != entry.Files[0].SHA256 || !loaded[0].RowHash {
		t.Errorf("snapshot %+v, stream %+v", loaded, entry.Files)
	}
	for i, r := range recordsOf(t, f, &loaded[0]) {
		if r[4] != hashOf(rel, rows[i]...) {
			t.Errorf("row %d: hash %s, want %s", i, r[4], hashOf(rel, rows[i]...))
		}
	}
	// Incidents name the row by its hash.
	for way, list := range map[string][]change.File{"stream": entry.Incidents, "snapshot": change.IncidentFiles(files)} {
		got := incidentsOf(t, f, list)
		if len(got) != 3 {
			t.Fatalf("%s: incidents %q", way, got)
		}
		for i, row := range []int{0, 2, 3} {
			if want := `{"_walshift_row":"` + hashOf(rel, rows[row]...) + `"}`; got[i][6] != want {
				t.Errorf("%s: key %s, want %s", way, got[i][6], want)
			}
		}
	}
	// When copies go, that is no new incident; the originals stay at hand.
	gone, err := l.WriteSegment(t.Context(), 2, "a1", 0, &change.Segment{
		Relation: rel, Removed: change.Rows{Images: []change.Tuple{tuple(rows[2]...)}, Copies: []int64{2}},
	})
	if err != nil || len(gone.Incidents) > 0 {
		t.Errorf("incidents of removed copies: %+v, %v", gone.Incidents, err)
	}
	want := []string{"2", "walshift:kept:" + sumOf(long), null, null, hashOf(rel, rows[2]...), "2"}
	if got := recordsOf(t, f, &gone.Files[0]); !reflect.DeepEqual(got, [][]string{want}) {
		t.Errorf("removed: %q, want %q", got, want)
	}
	if got, err := l.Kept(t.Context(), "kept/"+sumOf(long)); err != nil || string(got) != long {
		t.Errorf("the original came back as %.40q, %v", got, err)
	}
}

// TestMultisetSegmentsAreChecked: what no folder gives is not written.
func TestMultisetSegmentsAreChecked(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	l := open(t, f.config())
	image := []change.Tuple{tuple("1")}
	for name, s := range map[string]*change.Segment{
		"removed without a multiset": {Relation: relation([]int{0}, "int4"), Removed: change.Rows{Images: image, Copies: []int64{1}}},
		"no copies":                  {Relation: multiset("int4"), Inserts: change.Rows{Images: image}},
		"none":                       {Relation: multiset("int4"), Removed: change.Rows{Images: image, Copies: []int64{0}}},
		"upserts":                    {Relation: multiset("int4"), Upserts: change.Rows{Images: image}},
		"kept values":                {Relation: multiset("int4"), Inserts: change.Rows{Images: []change.Tuple{tuple(kept)}, Copies: []int64{1}}},
		"a short image":              {Relation: multiset("int4", "int4"), Inserts: change.Rows{Images: image, Copies: []int64{1}}},
	} {
		if _, err := l.WriteSegment(t.Context(), 1, "a", 0, s); err == nil {
			t.Errorf("%s: was written", name)
		}
	}
}

// TestRowHashAllocatesNothing: rows of a snapshot, hashed and encoded.
func TestRowHashAllocatesNothing(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts all goroutines
	for name, s := range shapes() {
		rel := *s.rel
		rel.Identity, rel.Keys, rel.Multiset = change.IdentityFull, nil, true
		e, err := stage.NewRowEncoder(&rel, stage.Zstd)
		if err != nil {
			t.Fatal(err)
		}
		add := func() {
			if err := e.Add(s.row); err != nil {
				t.Fatal(err)
			}
		}
		for range 10_000 { // buffers reach their sizes
			add()
		}
		if n := testing.AllocsPerRun(1_000, add); n != 0 {
			t.Errorf("%s: %v allocations per row", name, n)
		}
	}
}
