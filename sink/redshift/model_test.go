package redshift_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/walshift/walshift/replicator/change"
)

// model is what a table must hold: rows by the key's text.
type model struct {
	rel  change.Relation
	rows map[string][]string
	// key makes a new key, value a value for a column that is none.
	key   func(r *rand.Rand) []string
	value func(r *rand.Rand, column int) string
	// kept are the columns that may be kept.
	kept []int
}

func (m *model) id(row []string) string {
	var key []string
	for _, k := range m.rel.Keys {
		key = append(key, row[k])
	}
	return strings.Join(key, "\x01")
}

func (m *model) attnums(places ...int) []int16 {
	var out []int16
	for _, p := range places {
		out = append(out, m.rel.Columns[p].Attnum)
	}
	return out
}

func (m *model) all() []int {
	out := make([]int, len(m.rel.Columns))
	for i := range out {
		out[i] = i
	}
	return out
}

// fresh returns a row under a key that is in neither list, nil if luck fails.
func (m *model) fresh(r *rand.Rand, taken map[string]bool) []string {
	for range 50 {
		row := make([]string, len(m.rel.Columns))
		key := m.key(r)
		for i, k := range m.rel.Keys {
			row[k] = key[i]
		}
		if id := m.id(row); m.rows[id] == nil && !taken[id] {
			taken[id] = true
			m.renew(r, row)
			return row
		}
	}
	return nil
}

// renew gives the columns that are no key new values.
func (m *model) renew(r *rand.Rand, row []string) {
	for i := range row {
		if !slices.Contains(m.rel.Keys, i) {
			row[i] = m.value(r, i)
		}
	}
}

// segment changes the model at random and returns the segment that tells.
func (m *model) segment(t *testing.T, h *house, r *rand.Rand) change.SegmentFiles {
	t.Helper()
	s := change.SegmentFiles{Relation: m.rel}
	if r.IntN(12) == 0 {
		s.Truncate = true
		clear(m.rows)
	}
	next := maps.Clone(m.rows)
	var deletes, upserts, partials, inserts [][]string
	var existed int64
	taken := make(map[string]bool)
	keys := slices.Sorted(maps.Keys(m.rows))
	r.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	partial := func(row, origin []string, there bool) {
		image, flags := slices.Clone(row), ""
		for _, k := range m.kept {
			if r.IntN(2) == 0 || flags == strings.Repeat("0", len(m.kept)-1) && len(flags) == len(m.kept)-1 {
				flags += "1"
				row[k], image[k] = origin[k], null
			} else {
				flags += "0"
			}
		}
		for _, k := range m.rel.Keys {
			image = append(image, origin[k])
		}
		partials = append(partials, append(image, flags))
		next[m.id(row)] = row
		if there {
			existed++
		}
	}
	deleteRow := func(row []string) {
		var key []string
		for _, k := range m.rel.Keys {
			key = append(key, row[k])
		}
		deletes = append(deletes, key)
		delete(next, m.id(row))
	}
	for len(keys) > 0 && r.IntN(10) > 0 {
		old := m.rows[keys[0]]
		keys = keys[1:]
		row := slices.Clone(old)
		switch what := r.IntN(6); {
		case what == 0:
			deleteRow(old)
		case what == 1 || len(m.kept) == 0:
			m.renew(r, row)
			upserts = append(upserts, row)
			next[m.id(row)] = row
		case what == 2: // moved to a new key
			deleteRow(old)
			if moved := m.fresh(r, taken); moved != nil {
				partial(moved, old, false)
			}
		case what == 3 && len(keys) > 0: // two rows swap their keys
			other := m.rows[keys[0]]
			keys = keys[1:]
			a, b := slices.Clone(old), slices.Clone(other)
			m.renew(r, a)
			m.renew(r, b)
			partial(a, other, true)
			partial(b, old, true)
		default:
			m.renew(r, row)
			partial(row, old, true)
		}
	}
	for range r.IntN(6) {
		if row := m.fresh(r, taken); row != nil {
			inserts = append(inserts, row)
			next[m.id(row)] = row
		}
	}
	m.rows = next
	pad := len(m.rel.Columns) == 1
	add := func(f change.File, rows [][]string) {
		if len(rows) > 0 {
			s.Files = append(s.Files, h.file(t, f, rows))
		}
	}
	keyPad := len(m.rel.Keys) == 1
	add(change.File{Kind: change.KindDelete, Columns: m.attnums(m.rel.Keys...), Pad: keyPad, Existed: int64(len(deletes))}, deletes)
	half := len(upserts) / 2 // a segment may have several files of a kind
	for _, rows := range [][][]string{upserts[:half], upserts[half:]} {
		add(change.File{Kind: change.KindUpsert, Columns: m.attnums(m.all()...), Pad: pad, Existed: int64(len(rows))}, rows)
	}
	add(change.File{
		Kind: change.KindPartial, Columns: m.attnums(m.all()...), Origin: m.attnums(m.rel.Keys...),
		KeptColumns: m.attnums(m.kept...), Kept: int64(len(partials)), Existed: existed,
	}, partials)
	add(change.File{Kind: change.KindInsert, Columns: m.attnums(m.all()...), Pad: pad}, inserts)
	return s
}

// compare reads the table and compares it with the model.
func (m *model) compare(t *testing.T, h *house) {
	t.Helper()
	var columns []string
	for _, c := range m.rel.Columns {
		columns = append(columns, pgx.Identifier{strings.ToLower(c.Name)}.Sanitize())
	}
	sql := "SELECT " + strings.Join(columns, ", ") + " FROM " + pgx.Identifier{"shop", strings.ToLower(m.rel.Name)}.Sanitize()
	got := make(map[string][]string)
	for _, row := range h.rows(t, sql) {
		id := m.id(row)
		if got[id] != nil {
			t.Fatalf("table %s has key %q twice", m.rel.Name, id)
		}
		got[id] = row
	}
	if len(got) != len(m.rows) {
		t.Fatalf("table %s has %d rows, want %d", m.rel.Name, len(got), len(m.rows))
	}
	for id, want := range m.rows {
		for i, v := range want {
			if got[id] == nil || !equal(m.rel.Columns[i].Type, got[id][i], v) {
				t.Fatalf("table %s, key %q: got %q, want %q", m.rel.Name, id, got[id], want)
			}
		}
	}
}

// equal compares JSON by meaning and everything else by text.
func equal(typ, got, want string) bool {
	if typ != "jsonb" || got == null || want == null {
		return got == want
	}
	var a, b any
	if json.Unmarshal([]byte(got), &a) != nil || json.Unmarshal([]byte(want), &b) != nil {
		return false
	}
	return fmt.Sprint(a) == fmt.Sprint(b)
}

func source(attnum int16, name, typ string, typmod int32) change.Column {
	return change.Column{Attnum: attnum, Name: name, Type: typ, TypeKind: "b", Typmod: typmod}
}

// models are tables that go by MERGE, by DELETE and INSERT, and through pads.
func models() []*model {
	word := func(r *rand.Rand) string {
		return []string{
			"", " ", "a", "a ", "A", `back\slash`, `\N`, `quo"te`, "it's", "line\nbreak\r\n", "é", "~", "null", ",", "\t", null,
		}[r.IntN(16)]
	}
	key := func(r *rand.Rand) string {
		return []string{"", " ", "a", "a ", "A", "é", `\`, `'`, `"`}[r.IntN(9)] + fmt.Sprint(r.IntN(5))[:r.IntN(2)]
	}
	return []*model{
		{
			rel: change.Relation{
				OID: 2001, Schema: "public", Name: "Numbers", Keys: []int{0, 2},
				Columns: []change.Column{
					source(1, "id", "int8", -1), source(2, "Select", "text", -1), source(4, `q"uote`, "numeric", (10<<16|2)+4),
					source(5, "at", "timestamptz", -1), source(7, "ok", "bool", -1), source(8, "body", "varchar", 4+20),
				},
			},
			key: func(r *rand.Rand) []string {
				return []string{fmt.Sprint(r.IntN(6)), fmt.Sprintf("%d.%02d", r.IntN(3), r.IntN(3))}
			},
			value: func(r *rand.Rand, i int) string {
				switch i {
				case 3:
					return fmt.Sprintf("2026-11-%02d 10:00:00.%06d+00", 1+r.IntN(28), (10000+r.IntN(89999))*10+1+r.IntN(9))
				case 4:
					return []string{"t", "f", null}[r.IntN(3)]
				}
				return word(r)
			},
			kept: []int{1, 5},
		},
		{
			rel: change.Relation{
				OID: 2002, Schema: "public", Name: "documents", Keys: []int{1},
				Columns: []change.Column{
					source(1, "body", "jsonb", -1), source(3, "slug", "text", -1), source(4, "raw", "bytea", -1),
					source(5, "note", "text", -1),
				},
			},
			key: func(r *rand.Rand) []string { return []string{key(r)} },
			value: func(r *rand.Rand, i int) string {
				switch i {
				case 0:
					return []string{`{"a": [1, "x"]}`, `"s"`, `null`, `{}`, `3`, null, `{"é": "\\ \" '"}`}[r.IntN(7)]
				case 2:
					return []string{"00", "00ff", "5c27", null}[r.IntN(4)]
				}
				return word(r)
			},
			kept: []int{0, 2, 3},
		},
		{
			rel: change.Relation{
				OID: 2003, Schema: "public", Name: "only", Keys: []int{0},
				Columns: []change.Column{source(1, "id", "int4", -1)},
			},
			key: func(r *rand.Rand) []string { return []string{fmt.Sprint(r.IntN(20))} },
		},
	}
}
