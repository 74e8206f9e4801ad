package redshift_test

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift"
	standin "github.com/walshift/walshift/test/redshift"
)

// archive is a table whose key has a column of every type that a key may have,
// and whose other columns are what TOAST keeps out of line.
func archive() *model {
	return &model{
		rel: change.Relation{
			OID: 2101, Schema: "public", Name: "Archive", Keys: []int{0, 1, 2, 3, 4, 5, 6, 7},
			Columns: []change.Column{
				source(1, "id", "int8", -1), source(2, "price", "numeric", (10<<16|2)+4), source(3, "at", "timestamptz", -1),
				source(4, "on", "date", -1), source(5, "ok", "bool", -1), source(6, "x", "float8", -1), source(7, "u", "uuid", -1),
				source(8, "slug", "text", -1), source(9, "body", "jsonb", -1), source(10, "raw", "bytea", -1),
				source(11, "no'te", "text", -1), source(12, "sum", "numeric", (38<<16|10)+4), source(13, "more", "jsonb", -1),
			},
		},
		rows: make(map[string][]string),
		key: func(r *rand.Rand) []string {
			return []string{
				fmt.Sprint(r.IntN(4) - 1), fmt.Sprintf("-%d.%02d", r.IntN(3), 1+r.IntN(3)), "2026-11-22 10:00:00.00000" + fmt.Sprint(1+r.IntN(9)) + "+00",
				"2024-02-29", []string{"t", "f"}[r.IntN(2)], []string{"0.1", "1e-07", "3"}[r.IntN(3)],
				"0a1b2c3d-0000-4000-8000-00000000000" + fmt.Sprint(r.IntN(3)),
				[]string{"", " ", "a", "a ", "A", "é", `\`, `it's`, `"q"`, "~", "a,b", "l\nf"}[r.IntN(12)],
			}
		},
		value: archived,
		kept:  []int{8, 9, 10, 11, 12},
	}
}

func archived(r *rand.Rand, column int) string {
	large := r.IntN(3) == 0
	switch column {
	case 9:
		b := make([]byte, 1+r.IntN(40))
		if large {
			b = make([]byte, 66_000+r.IntN(40_000))
		}
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return []string{hex.EncodeToString(b), null}[r.IntN(8)/7]
	case 10:
		return []string{"", " ", "~", " ~ ", `"`, null, strings.Repeat(`é"\,`+"\n", 1+r.IntN(9_000)), `\N`, "'"}[r.IntN(9)]
	case 11:
		return []string{"1.0000000001", "-9999999999999999999999999999.9999999999", "0.0000000000", null}[r.IntN(4)]
	}
	if large {
		return document(66_000 + r.IntN(60_000))
	}
	return []string{"{}", "[]", "null", `"s"`, `[{},[[]],""]`, null, document(10)}[r.IntN(7)]
}

// document is a JSON text of at least n bytes that a careless way through
// another form would change: digits, escapes, an order of keys, empty ones.
func document(n int) string {
	const piece = `{"z":1.10,"a":-0.00000000000000000000000000000000001,"big":12345678901234567890123456789012345678,` +
		`"n":9007199254740993,"t":"\"\\\/\b\n\t\u0001é😀'","":[],"e":{"x":[{},null,true,[[]]]}}`
	var b strings.Builder
	b.WriteString("[" + piece)
	for b.Len() < n {
		b.WriteString("," + piece)
	}
	return b.String() + "]"
}

// keptByKey (W7, R1, R4, V10): whatever happens to rows whose kept values are
// too large for a join, they come out byte for byte.
func keptByKey(t *testing.T, h *house) {
	t.Helper()
	r := rand.New(rand.NewPCG(21, 21))
	// Much smaller than a file's rows: many reads and many files.
	w := h.warehouse(t, func(c *redshift.Config) { c.FoldBytes = 64 << 10 })
	p := h.only(t, w, archive())
	m := p.models[0]
	for range 3 {
		run := p.run(t, r, 1+r.IntN(3))
		if _, err := w.Apply(t.Context(), run); err != nil {
			t.Fatalf("%.2000v", err)
		}
		m.exactly(t, h)
	}
}

// only begins a pipeline of one empty table.
func (h *house) only(t *testing.T, w *redshift.Warehouse, m *model) *pipeline {
	t.Helper()
	ctx := t.Context()
	p := &pipeline{h: h, w: w, models: []*model{m}, seq: 1}
	if err := w.Begin(ctx, redshift.Start{Epoch: 1, Seq: 1, X: loadedAt, Rels: []*change.Relation{&m.rel}}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Arrive(ctx, 2); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Load(ctx, &m.rel, loadedAt, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.GoLive(ctx); err != nil {
		t.Fatal(err)
	}
	return p
}

// exactly compares the table with the model, documents by their text.
func (m *model) exactly(t *testing.T, h *house) {
	t.Helper()
	loose := m.rel.Columns
	m.rel.Columns = slices.Clone(loose)
	for i := range m.rel.Columns {
		if m.rel.Columns[i].Type == "jsonb" {
			m.rel.Columns[i].Type = "text"
		}
	}
	m.compare(t, h)
	m.rel.Columns = loose
}

// shelf is a small table of documents by name.
func shelf() *model {
	return &model{
		rel: change.Relation{
			OID: 2102, Schema: "public", Name: "shelf", Keys: []int{0},
			Columns: []change.Column{source(1, "id", "text", -1), source(2, "body", "jsonb", -1), source(3, "n", "int4", -1)},
		},
		rows: make(map[string][]string),
	}
}

// apply applies one segment, whose effect the model has already.
func (p *pipeline) apply(t *testing.T, s change.SegmentFiles) error {
	t.Helper()
	p.seq++
	_, err := p.w.Apply(t.Context(), redshift.Run{After: p.seq - 1, Batches: []*change.Manifest{batchOf(p.seq, s)}})
	if err != nil {
		p.seq--
	}
	return err
}

// shelved begins with documents under the given names, larger than any join
// carries.
func (h *house) shelved(t *testing.T, w *redshift.Warehouse, names ...string) *pipeline {
	t.Helper()
	p := h.only(t, w, shelf())
	m := p.models[0]
	var rows [][]string
	for i, name := range names {
		m.rows[name] = []string{name, document(70_000 + i*1000), fmt.Sprint(i)}
		rows = append(rows, m.rows[name])
	}
	f := h.file(t, change.File{Kind: change.KindInsert, Columns: []int16{1, 2, 3}}, rows)
	if err := p.apply(t, change.SegmentFiles{Relation: m.rel, Files: []change.File{f}}); err != nil {
		t.Fatal(err)
	}
	m.exactly(t, h)
	return p
}

// moves makes a segment in which rows move from one name to another, keeping
// their documents; names that nobody moves to are gone, "" is a new one's origin.
func (p *pipeline) moves(t *testing.T, to map[string]string) change.SegmentFiles {
	t.Helper()
	m := p.models[0]
	next := make(map[string][]string)
	s := change.SegmentFiles{Relation: m.rel}
	var partials, deletes [][]string
	var existed int64
	taken := make(map[string]bool)
	for name, origin := range to {
		taken[origin] = true
		next[name] = []string{name, m.rows[origin][1], "7"}
		partials = append(partials, []string{name, null, "7", origin, "1"})
		if m.rows[name] != nil {
			existed++
		}
	}
	for name, row := range m.rows {
		switch {
		case next[name] != nil:
		case taken[name]:
			deletes = append(deletes, []string{name})
		default:
			next[name] = row
		}
	}
	m.rows = next
	if len(deletes) > 0 {
		s.Files = append(s.Files, p.h.file(t, change.File{Kind: change.KindDelete, Columns: []int16{1}, Pad: true, Existed: int64(len(deletes))}, deletes))
	}
	s.Files = append(s.Files, p.h.file(t, change.File{
		Kind: change.KindPartial, Columns: []int16{1, 2, 3}, Origin: []int16{1}, KeptColumns: []int16{2}, Kept: int64(len(partials)), Existed: existed,
	}, partials))
	return s
}

// keptMoves (R4): swaps, cycles, chains and moves onto keys freed in the same
// segment, under names that Redshift takes for equal (W4).
func keptMoves(t *testing.T, h *house) {
	t.Helper()
	w := h.warehouse(t, nil)
	p := h.shelved(t, w, "a", "a ", "A", "b", "c", "d")
	const blank = "a "
	for i, to := range []map[string]string{
		{"a": "a", "b": "b"},             // nothing moves
		{"a": blank, blank: "a"},         // a swap
		{"a": "b", "b": "c", "c": "a"},   // a cycle
		{"e": "d", "d": "c", "c": "b"},   // a chain: b is gone
		{"b": "A", "A": "e", "e": blank}, // another, over a freed key
		{blank: "e", "z": "A"},           // what had gone is there again
		{"b": "b", "c": "c", "a": "a"},   // and all as it was
	} {
		if err := p.apply(t, p.moves(t, to)); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		p.models[0].exactly(t, h)
	}
}

// keptWithoutRow (V18): where there is no row to complete from, or two, the
// table stops and nothing is written, also while counts are not checked.
func keptWithoutRow(t *testing.T, h *house) {
	t.Helper()
	w := h.warehouse(t, func(c *redshift.Config) { c.CheckCounts = false })
	p := h.shelved(t, w, "a", "b", "twice")
	if err := p.apply(t, p.moves(t, map[string]string{"a": "a"})); err != nil { // large ones are known from now on
		t.Fatal(err)
	}
	h.rows(t, `INSERT INTO shop.shelf SELECT * FROM shop.shelf WHERE id = 'twice'`)
	before := h.rows(t, `SELECT id, body, n FROM shop.shelf ORDER BY id`)
	for _, to := range []map[string]string{{"a": "a", "b": "gone"}, {"a": "a ", "b": "b"}, {"b": "twice"}} {
		p.models[0].rows["gone"], p.models[0].rows["a "] = []string{"gone", "1", "1"}, []string{"a ", "1", "1"}
		err := p.apply(t, p.moves(t, to))
		if change.ScopeOf(err) != change.ScopeTable || change.CodeOf(err) != change.CodeCounts {
			t.Fatalf("%v: %v", to, err)
		}
		if after := h.rows(t, `SELECT id, body, n FROM shop.shelf ORDER BY id`); !slices.EqualFunc(before, after, slices.Equal) {
			t.Fatalf("%v: rows have changed", to)
		}
	}
}

// keptMarker (W3): a kept text that equals the file's null marker stays text.
func keptMarker(t *testing.T, h *house) {
	t.Helper()
	w := h.warehouse(t, nil)
	m := shelf()
	m.rel.Columns = append(m.rel.Columns, source(4, "note", "text", -1))
	p := h.only(t, w, m)
	segment := func(f change.File, rows [][]string) change.SegmentFiles {
		f.Columns = []int16{1, 2, 3, 4}
		return change.SegmentFiles{Relation: m.rel, Files: []change.File{h.file(t, f, rows)}}
	}
	for _, id := range []string{"a", "b", "c"} {
		m.rows[id] = []string{id, document(70_000), "1", "x"}
	}
	m.rows["c"][1] = null
	if err := p.apply(t, segment(change.File{Kind: change.KindInsert}, [][]string{m.rows["a"], m.rows["b"], m.rows["c"]})); err != nil {
		t.Fatal(err)
	}
	h.rows(t, `UPDATE shop.shelf SET note = '~null~' WHERE id = 'b'`)
	m.rows["b"][3] = "~null~"
	s := segment(change.File{Kind: change.KindPartial, Origin: []int16{1}, KeptColumns: []int16{2, 4}, Kept: 3, Existed: 3},
		[][]string{{"a", null, "2", null, "a", "10"}, {"b", null, "2", null, "b", "11"}, {"c", null, null, null, "c", "11"}})
	if err := p.apply(t, s); err != nil {
		t.Fatal(err)
	}
	m.rows["a"][2], m.rows["a"][3], m.rows["b"][2], m.rows["c"][2] = "2", null, "2", null
	m.exactly(t, h)
}

// keptTooLarge: a row that COPY would not take stops its table.
func keptTooLarge(t *testing.T, h *house) {
	t.Helper()
	w := h.warehouse(t, nil)
	m := shelf()
	m.rel.Columns = append(m.rel.Columns, source(4, "other", "jsonb", -1))
	p := h.only(t, w, m)
	half := document(2_200_000)
	s := change.SegmentFiles{Relation: m.rel, Files: []change.File{h.file(t,
		change.File{Kind: change.KindInsert, Columns: []int16{1, 2, 3, 4}}, [][]string{{"a", half, "1", "{}"}})}}
	if err := p.apply(t, s); err != nil {
		t.Fatal(err)
	}
	m.rows = map[string][]string{"a": {"a", half, "1", "{}"}}
	m.exactly(t, h)
	s.Files = []change.File{h.file(t, change.File{
		Kind: change.KindPartial, Columns: []int16{1, 2, 3, 4}, Origin: []int16{1}, KeptColumns: []int16{2}, Kept: 1, Existed: 1,
	}, [][]string{{"a", null, "3", half, "a", "1"}})}
	err := p.apply(t, s)
	if change.ScopeOf(err) != change.ScopeTable || !strings.Contains(err.Error(), "COPY takes") || len(err.Error()) > 2000 {
		t.Fatalf("error %.2000v", err)
	}
	m.exactly(t, h)
}

// keptFaults (A2, W10): wherever completing is cut off, doing it again gives
// the same rows.
func keptFaults(t *testing.T, h *house) {
	t.Helper()
	w := h.warehouse(t, nil)
	p := h.shelved(t, w, "a", "b", "c")
	if err := p.apply(t, p.moves(t, map[string]string{"a": "a"})); err != nil {
		t.Fatal(err)
	}
	for i, f := range []standin.Fault{
		{At: standin.BeforeStatement, Do: standin.Serialization, Match: "OCTET_LENGTH(JSON"},
		{At: standin.AfterStatement, Do: standin.Cut, Match: "FROM_VARBYTE"},
		{At: standin.BeforeStatement, Do: standin.Cut, Match: "-kept-"},
		{At: standin.AfterStatement, Do: standin.Cut, Match: "-kept-"},
		{At: standin.AfterCommit, Do: standin.Cut, Match: "fence_shop"},
	} {
		f.Name = fmt.Sprint(i)
		s := p.moves(t, map[string]string{"a": "b", "b": "c", "c": "a"})
		h.faults.Add(f)
		for tries := 0; ; tries++ {
			err := p.apply(t, s)
			if err == nil {
				break
			}
			if change.ScopeOf(err) != change.ScopeRetry || tries > 5 {
				t.Fatalf("fault %+v: %v", f, err)
			}
			w.Reset(t.Context())
			st, err := w.Arrive(t.Context(), 2)
			if err == nil && st.Seq > p.seq {
				p.seq = st.Seq // applied, and only the answer was lost
				break
			}
		}
		if h.faults.Fired(f.Name) == 0 {
			t.Errorf("fault %+v had no occasion", f)
		}
		h.faults.Clear()
		p.models[0].exactly(t, h)
	}
}
