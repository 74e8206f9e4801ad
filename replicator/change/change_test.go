package change_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/walshift/walshift/replicator/change"
)

func orders() *change.Relation {
	missing := "new"
	return &change.Relation{
		OID: 7, Schema: "public", Name: "orders", Identity: change.IdentityDefault,
		Columns: []change.Column{
			{Attnum: 1, Name: "id", TypeOID: 20, Type: "int8", TypeKind: "b", Typmod: -1, NotNull: true},
			{Attnum: 3, Name: "state", TypeOID: 25, Type: "text", TypeKind: "b", Typmod: -1, Missing: &missing},
		},
		Keys: []int{0},
	}
}

func TestRelationDiffNamesTheDifference(t *testing.T) {
	t.Parallel()
	if d := orders().Diff(orders()); d != "" {
		t.Fatalf("equal relations differ: %s", d)
	}
	for want, alter := range map[string]func(*change.Relation){
		"oid was 7":            func(r *change.Relation) { r.OID = 8 },
		"now named public.o2":  func(r *change.Relation) { r.Name = "o2" },
		"replica identity was": func(r *change.Relation) { r.Identity = change.IdentityFull },
		`"state" was removed`:  func(r *change.Relation) { r.Columns = r.Columns[:1] },
		`"x" was added`: func(r *change.Relation) {
			r.Columns = append(r.Columns, change.Column{Attnum: 4, Name: "x"})
		},
		"attnum 9":             func(r *change.Relation) { r.Columns[1].Attnum = 9 }, // R11: dropped and added again
		`renamed to "status"`:  func(r *change.Relation) { r.Columns[1].Name = "status" },
		"type of column":       func(r *change.Relation) { r.Columns[0].Type, r.Columns[0].TypeOID = "int4", 23 },
		"type modifier":        func(r *change.Relation) { r.Columns[1].Typmod = 14 },
		"NOT NULL of column":   func(r *change.Relation) { r.Columns[1].NotNull = true },
		"key was (id), is ()":  func(r *change.Relation) { r.Keys = nil },
		"key was (id), is (st": func(r *change.Relation) { r.Keys = []int{1} },
	} {
		now := orders()
		alter(now)
		if d := orders().Diff(now); !strings.Contains(d, want) {
			t.Errorf("diff %q does not say %q", d, want)
		}
	}
}

func TestTupleRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOf(rapid.Custom(func(t *rapid.T) change.Value {
			switch rapid.SampledFrom([]byte("nut")).Draw(t, "kind") {
			case 'n':
				return change.Value{Kind: change.ValueNull}
			case 'u':
				return change.Value{Kind: change.ValueUnchanged}
			}
			return change.Value{Kind: change.ValueText, Text: []byte(rapid.String().Draw(t, "text"))}
		})).Draw(t, "values")
		var tup change.Tuple
		unchanged := false
		for _, v := range values {
			tup = change.AppendValue(tup, v)
			unchanged = unchanged || v.Kind == change.ValueUnchanged
		}
		if err := tup.Check(len(values)); err != nil {
			t.Fatal(err)
		}
		if err := tup.Check(len(values) + 1); !errors.Is(err, change.ErrBadTuple) {
			t.Fatalf("one column too few was accepted: %v", err)
		}
		if tup.HasUnchanged() != unchanged {
			t.Fatalf("HasUnchanged is %t", !unchanged)
		}
		got := tup.Values(nil)
		if len(got) != len(values) {
			t.Fatalf("%d values of %d", len(got), len(values))
		}
		for i := range got {
			if got[i].Kind != values[i].Kind || !bytes.Equal(got[i].Text, values[i].Text) {
				t.Fatalf("value %d: %v, want %v", i, got[i], values[i])
			}
		}
	})
}

func FuzzTupleCheck(f *testing.F) {
	f.Add([]byte("nt\x00\x00\x00\x02abu"), 3)
	f.Add([]byte("t\xff\xff\xff\xffab"), 1)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		tup := change.Tuple(b)
		if n < 0 || n > 2000 || tup.Check(n) != nil {
			return
		}
		if got := tup.Values(nil); len(got) != n {
			t.Fatalf("%d values of %d", len(got), n)
		}
	})
}

func manifest() *change.Manifest {
	rel := orders()
	return &change.Manifest{
		Version: change.FormatVersion, Pipeline: "shop", Epoch: 2, Attempt: "a1", SystemID: "7301", Timeline: 1,
		Seq: 3, Prev: 0x1_0000_0010, Begin: 0x1_0000_0010, End: 0x1_0000_0100,
		FirstCommit: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), LastCommit: time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC),
		Transactions: 2,
		Segments: []change.SegmentFiles{{
			Relation: *rel, Changes: change.Counts{Inserts: 1, Updates: 1},
			Files: []change.File{{
				Key: "data/3-a1/0000-insert-00.csv.zst", Kind: change.KindInsert, Rows: 1, Columns: []int16{1, 3},
				NullMarker: "~n1~", Compression: "zstd", Bytes: 40, SHA256: "ab",
			}},
		}},
		Tables: []change.TableCapture{{OID: 7, Schema: "public", Name: "orders", X: 0x20, SnapshotComplete: true, Relation: rel}},
	}
}

func TestManifestRoundTrip(t *testing.T) {
	t.Parallel()
	b, err := manifest().Encode()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(b, []byte(`"end": "1/100"`)) {
		t.Errorf("LSNs are not text:\n%s", b)
	}
	got, err := change.DecodeManifest(b)
	if err != nil {
		t.Fatal(err)
	}
	again, err := got.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, again) {
		t.Errorf("round trip changed the manifest:\n%s\n%s", b, again)
	}
}

// multiset makes the manifest's table a multiset, with copies added and taken
// away.
func multiset(m *change.Manifest) {
	s := &m.Segments[0]
	s.Relation.Identity, s.Relation.Keys, s.Relation.Multiset = change.IdentityFull, nil, true
	s.Files[0].RowHash = true
	removed := s.Files[0]
	removed.Kind, removed.Key = change.KindMultiset, "data/3-a1/0000-multiset-00.csv.zst"
	s.Files = append(s.Files, removed)
}

func TestManifestTakesMultisets(t *testing.T) {
	t.Parallel()
	m := manifest()
	multiset(m)
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := change.DecodeManifest(b)
	if err != nil {
		t.Fatal(err)
	}
	s := &got.Segments[0]
	if d := s.Relation.Diff(&m.Segments[0].Relation); d != "" || !s.Relation.Multiset || !s.Files[1].RowHash {
		t.Errorf("round trip changed the multiset: %s %+v", d, s)
	}
}

func TestManifestRefusals(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*change.Manifest){
		"newer format":        func(m *change.Manifest) { m.Version = change.FormatVersion + 1 },
		"no format":           func(m *change.Manifest) { m.Version = 0 },
		"no seq":              func(m *change.Manifest) { m.Seq = 0 },
		"no attempt":          func(m *change.Manifest) { m.Attempt = "" },
		"no system id":        func(m *change.Manifest) { m.SystemID = "" },
		"range backwards":     func(m *change.Manifest) { m.End = m.Begin - 1 },
		"begins before chain": func(m *change.Manifest) { m.Prev = m.Begin + 1 },
		"unknown kind":        func(m *change.Manifest) { m.Segments[0].Files[0].Kind = "other" },
		"no rows":             func(m *change.Manifest) { m.Segments[0].Files[0].Rows = 0 },
		"no marker":           func(m *change.Manifest) { m.Segments[0].Files[0].NullMarker = "" },
		"unknown attnum":      func(m *change.Manifest) { m.Segments[0].Files[0].Columns[1] = 2 },
		"unknown origin":      func(m *change.Manifest) { m.Segments[0].Files[0].Origin = []int16{2} },
		"key out of range":    func(m *change.Manifest) { m.Segments[0].Relation.Keys = []int{2} },
		"hashes, no multiset": func(m *change.Manifest) { m.Segments[0].Files[0].RowHash = true },
		"copies, no multiset": func(m *change.Manifest) { m.Segments[0].Files[0].Kind = change.KindMultiset },
		"unproven key":        func(m *change.Manifest) { m.Segments[0].Relation.Identity = change.IdentityFull },
		"proof without FULL":  func(m *change.Manifest) { m.Segments[0].Relation.KeyIndex = 5 },
		"proof without a key": func(m *change.Manifest) { multiset(m); r := &m.Segments[0].Relation; r.KeyIndex, r.Multiset = 5, false },
		"multiset with a key": func(m *change.Manifest) { multiset(m); m.Segments[0].Relation.Keys = []int{0} },
		"multiset, not FULL":  func(m *change.Manifest) { multiset(m); m.Segments[0].Relation.Identity = change.IdentityIndex },
		"multiset, no hashes": func(m *change.Manifest) { multiset(m); m.Segments[0].Files[1].RowHash = false },
		"multiset, padded":    func(m *change.Manifest) { multiset(m); m.Segments[0].Files[0].Pad = true },
		"multiset, upsert":    func(m *change.Manifest) { multiset(m); m.Segments[0].Files[0].Kind = change.KindUpsert },
		"hashes in an upsert": func(m *change.Manifest) {
			m.Segments[0].Files[0].Kind, m.Segments[0].Files[0].RowHash = change.KindUpsert, true
		},
	} {
		m := manifest()
		spoil(m)
		b, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := change.DecodeManifest(b); !errors.Is(err, change.ErrBadManifest) {
			t.Errorf("%s: accepted (%v)", name, err)
		}
	}
}

func FuzzDecodeManifest(f *testing.F) {
	b, err := manifest().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"version":1,"end":"zz"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := change.DecodeManifest(b)
		if err != nil {
			if !errors.Is(err, change.ErrBadManifest) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		if m.Seq == 0 || !json.Valid(b) {
			t.Fatal("a bad manifest was accepted")
		}
	})
}

func TestFaultSaysWhereAndWhatToDo(t *testing.T) {
	t.Parallel()
	cause := errors.New("column gone")
	f := &change.Fault{
		Scope: change.ScopeTable, Op: "following the schema", Table: "public.orders",
		LSN: 0x10, Seq: 4, Err: cause, Remedy: "load it again",
	}
	want := "following the schema of table public.orders in batch 4 at LSN 0/10: column gone (remedy: load it again)"
	if f.Error() != want {
		t.Errorf("%q, want %q", f.Error(), want)
	}
	if !errors.Is(f, cause) || change.ScopeOf(f) != change.ScopeTable {
		t.Error("cause or scope is lost")
	}
	if change.ScopeOf(errors.New("reset by peer")) != change.ScopeRetry {
		t.Error("a plain I/O error is not retried")
	}
}
