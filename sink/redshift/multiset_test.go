package redshift_test

import (
	"cmp"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/walshift/walshift/checkpoint"
	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift"
	"github.com/walshift/walshift/sink/redshift/sqltext"
	standin "github.com/walshift/walshift/test/redshift"
)

// bag is what a table without a key must hold: copies of rows, by their hash.
type bag struct {
	rel    change.Relation
	images map[string][]string
	copies map[string]int64
}

// bagRelation is a table of four columns whose equality on Redshift is of no
// use: text ignores trailing blanks, 0 equals -0, and SUPER may be large.
func bagRelation() change.Relation {
	return change.Relation{
		OID: 3001, Schema: "public", Name: "Events", Identity: change.IdentityFull, Multiset: true,
		Columns: []change.Column{
			source(1, "word", "text", -1), source(2, "x", "float8", -1), source(4, "body", "jsonb", -1), source(5, "n", "int4", -1),
		},
	}
}

func newBag() *bag {
	return &bag{rel: bagRelation(), images: make(map[string][]string), copies: make(map[string]int64)}
}

// know gives an image its hash. seed stands for what the source's text says
// beyond the image: a value that a policy changed, for instance.
func (b *bag) know(seed string, image ...string) string {
	sum := md5.Sum([]byte(seed + "\x01" + strings.Join(image, "\x02")))
	hash := hex.EncodeToString(sum[:])
	b.images[hash] = image
	return hash
}

// images that look alike to Redshift or to CSV.
func (b *bag) pool() []string {
	large := "[" + strings.Repeat(`"0123456789",`, 6_000) + "1]"
	pool := []string{
		b.know("", null, null, null, null),
		b.know("NaN", null, null, null, null), // a NaN that became NULL
	}
	for _, word := range []string{"", "a", "a ", " ", "A", `"`, ",", "1,2", "line\nbreak\r\n", `\N`, "~", "null", `{"a": "b""c"}`} {
		pool = append(pool, b.know("", word, "0", `{"a": [1, "x\"y"]}`, "1"))
	}
	return append(pool,
		b.know("", "a", "-0", `{}`, "1"), b.know("", "a", "0", `{}`, "1"), b.know("", "a", "0.1", `null`, "1"),
		b.know("", "a", "0.1", null, "1"), b.know("", "large", "1", large, "1"), b.know("", "large", "1", large, "2"))
}

func (b *bag) file(t *testing.T, h *house, kind change.Kind, copies map[string]int64) []change.File {
	t.Helper()
	var rows [][]string
	for _, hash := range slices.Sorted(maps.Keys(copies)) {
		row := append(slices.Clone(b.images[hash]), hash)
		if kind == change.KindMultiset {
			rows = append(rows, append(row, fmt.Sprint(copies[hash])))
			continue
		}
		rows = append(rows, slices.Repeat([][]string{row}, int(copies[hash]))...)
	}
	if len(rows) == 0 {
		return nil
	}
	f := change.File{Kind: kind, Columns: []int16{1, 2, 4, 5}, RowHash: true}
	if half := len(rows) / 2; half > 0 { // a segment may have several files of a kind
		return []change.File{h.file(t, f, rows[:half]), h.file(t, f, rows[half:])}
	}
	return []change.File{h.file(t, f, rows)}
}

// segment changes the bag and returns the segment that tells.
func (b *bag) segment(t *testing.T, h *house, truncate bool, net map[string]int64) change.SegmentFiles {
	t.Helper()
	if truncate {
		clear(b.copies)
	}
	added, removed := make(map[string]int64), make(map[string]int64)
	for hash, n := range net {
		switch {
		case n > 0:
			added[hash] = n
		case n < 0:
			removed[hash] = -n
		}
		if b.copies[hash] += n; b.copies[hash] == 0 {
			delete(b.copies, hash)
		}
	}
	return change.SegmentFiles{
		Relation: b.rel, Truncate: truncate,
		Files: slices.Concat(b.file(t, h, change.KindInsert, added), b.file(t, h, change.KindMultiset, removed)),
	}
}

// random makes a segment out of the pool.
func (b *bag) random(t *testing.T, h *house, r *rand.Rand, pool []string) change.SegmentFiles {
	t.Helper()
	truncate := r.IntN(10) == 0
	net := make(map[string]int64)
	for _, hash := range pool {
		have := b.copies[hash]
		if truncate {
			have = 0
		}
		switch r.IntN(4) {
		case 0:
			net[hash] = 1 + r.Int64N(4)
		case 1:
			if have > 0 {
				net[hash] = -1 - r.Int64N(have)
			}
		}
	}
	return b.segment(t, h, truncate, net)
}

// load makes the bag's rows the first of a live table, beside another table.
func (b *bag) load(t *testing.T, h *house, w *redshift.Warehouse, others ...*model) {
	t.Helper()
	begin := redshift.Start{Epoch: 1, Seq: 1, X: loadedAt, Rels: []*change.Relation{&b.rel}}
	for _, m := range others {
		begin.Rels = append(begin.Rels, &m.rel)
	}
	if err := w.Check(t.Context(), begin.Rels); err != nil {
		t.Fatal(err)
	}
	if err := w.Begin(t.Context(), begin); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Arrive(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	for _, m := range others {
		if _, err := w.Load(t.Context(), &m.rel, loadedAt, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Load(t.Context(), &b.rel, loadedAt, b.file(t, h, change.KindInsert, b.copies)); err != nil {
		t.Fatal(err)
	}
	if err := w.GoLive(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.compare(t, h)
}

// batchOf is a batch of the given segments, seq 1 being the first load.
func batchOf(seq uint64, segments ...change.SegmentFiles) *change.Manifest {
	return &change.Manifest{
		Seq: seq, Prev: change.LSN(seq-1) * 0x100, Begin: change.LSN(seq-1) * 0x100, End: change.LSN(seq) * 0x100, Segments: segments,
	}
}

// compare reads the target and compares images and numbers, hash by hash.
func (b *bag) compare(t *testing.T, h *house) {
	t.Helper()
	got := make(map[string]int64)
	for _, row := range h.rows(t, `SELECT word, x, body, n, _walshift_row FROM shop.events`) {
		hash := row[4]
		want := b.images[hash]
		if want == nil {
			t.Fatalf("unknown hash %q", hash)
		}
		for i, v := range want {
			if !equal(b.rel.Columns[i].Type, row[i], v) {
				t.Fatalf("hash %s, column %d: got %.80q, want %.80q", hash, i, row[i], v)
			}
		}
		got[hash]++
	}
	if !maps.Equal(got, b.copies) {
		t.Fatalf("copies by hash: got %v, want %v", got, b.copies)
	}
}

// multisetFollowsTheModel: whatever segments hold, the target has each row as
// often as the source (P1, R8, W4, W7).
func multisetFollowsTheModel(t *testing.T, h *house) {
	t.Helper()
	r := rand.New(rand.NewPCG(11, 11))
	w := h.warehouse(t, nil)
	b := newBag()
	pool := b.pool()
	for _, hash := range pool[:8] {
		b.copies[hash] = 1 + r.Int64N(5)
	}
	b.load(t, h, w)
	seq := uint64(1)
	for range 8 {
		run := redshift.Run{After: seq}
		for range 1 + r.IntN(3) {
			seq++
			var segments []change.SegmentFiles
			for range 1 + r.IntN(2) {
				if s := b.random(t, h, r, pool); s.Truncate || len(s.Files) > 0 {
					segments = append(segments, s)
				}
			}
			run.Batches = append(run.Batches, batchOf(seq, segments...))
		}
		if _, err := w.Apply(t.Context(), run); err != nil {
			t.Fatal(err)
		}
		b.compare(t, h)
	}
	if left := h.rows(t, `SELECT relname FROM pg_class WHERE relname LIKE 'stg_%' OR relname LIKE '\\_walshift%'`); len(left) > 0 {
		t.Fatalf("tables are left: %q", left)
	}
}

// multisetCopies: three of five equal rows go, then one of very many, whose
// rest comes back by many files and one COPY, then all.
func multisetCopies(t *testing.T, h *house) {
	t.Helper()
	w := h.warehouse(t, func(c *redshift.Config) { c.FoldBytes = 64 << 10 })
	b := newBag()
	five, many := b.know("", "five", "0", "{}", "1"), b.know("", "many", "0", "{}", "1")
	b.copies = map[string]int64{five: 5, many: 5000}
	b.load(t, h, w)
	for seq, c := range []struct {
		net    map[string]int64
		copies int64
	}{
		{map[string]int64{five: -3}, 2}, // staging and what remains
		{map[string]int64{many: -1}, 2},
		{map[string]int64{five: -2, many: -4999}, 1},
		{map[string]int64{five: 1}, 1},
	} {
		run := redshift.Run{After: uint64(seq) + 1, Batches: []*change.Manifest{batchOf(uint64(seq)+2, b.segment(t, h, false, c.net))}}
		got, err := w.Apply(t.Context(), run)
		if err != nil {
			t.Fatal(err)
		}
		if got.Copies != c.copies {
			t.Errorf("batch %d: %d COPYs instead of %d", seq+2, got.Copies, c.copies)
		}
		b.compare(t, h)
	}
}

// multisetInPages: more different rows remain than one page of hashes holds.
func multisetInPages(t *testing.T, h *house) {
	t.Helper()
	w := h.warehouse(t, func(c *redshift.Config) { c.FoldBytes = 64 << 10 })
	b := newBag()
	net := make(map[string]int64)
	for i := range 2500 { // a page of 64 KiB is 1,024 hashes
		hash := b.know("", fmt.Sprint("row ", i), "0", "{}", "1")
		b.copies[hash] = 2 + int64(i%2)
		net[hash] = -1
	}
	b.load(t, h, w)
	if _, err := w.Apply(t.Context(), redshift.Run{After: 1, Batches: []*change.Manifest{batchOf(2, b.segment(t, h, false, net))}}); err != nil {
		t.Fatal(err)
	}
	b.compare(t, h)
}

// multisetFaults (A2, W10): wherever a removal is cut off, applying again takes
// away what was to go, and no more.
func multisetFaults(t *testing.T, h *house) {
	t.Helper()
	w := h.warehouse(t, nil)
	b := newBag()
	hash, other := b.know("", "a", "0", "{}", "1"), b.know("", "b", "0", "{}", "1")
	b.copies = map[string]int64{hash: 40, other: 40}
	b.load(t, h, w)
	seq := uint64(1)
	for i, f := range []standin.Fault{
		{At: standin.BeforeStatement, Do: standin.Cut, Match: "SELECT COUNT(*), SUM"},
		{At: standin.AfterStatement, Do: standin.Cut, Match: "SELECT row_hash"},
		{At: standin.BeforeStatement, Do: standin.Serialization, Match: `DELETE FROM "shop"`},
		{At: standin.AfterStatement, Do: standin.Cut, Match: `DELETE FROM "shop"`},
		{At: standin.BeforeStatement, Do: standin.Deadlock, Match: `COPY "shop"`},
		{At: standin.AfterStatement, Do: standin.Cut, Match: `COPY "shop"`},
		{At: standin.BeforeCommit, Do: standin.Cut, Match: "fence_shop"},
		{At: standin.AfterCommit, Do: standin.Cut, Match: "fence_shop"},
	} {
		f.Name = fmt.Sprint("removal ", i)
		seq++
		run := redshift.Run{After: seq - 1, Batches: []*change.Manifest{batchOf(seq, b.segment(t, h, false, map[string]int64{hash: -3, other: 1}))}}
		h.faults.Add(f)
		_, err := w.Apply(t.Context(), run)
		for tries := 0; err != nil; tries++ {
			if change.ScopeOf(err) != change.ScopeRetry || tries > 5 {
				t.Fatalf("fault %+v: %v", f, err)
			}
			w.Reset(t.Context())
			var st redshift.State
			if st, err = w.Arrive(t.Context(), 2); err != nil {
				continue
			}
			if st.Seq == seq {
				break // applied, and only the answer was lost
			}
			_, err = w.Apply(t.Context(), run)
		}
		if h.faults.Fired(f.Name) == 0 {
			t.Errorf("fault %+v had no occasion", f)
		}
		h.faults.Clear()
		h.server.DropIdle()
		if h.reader, err = pgx.Connect(t.Context(), h.dsn()); err != nil {
			t.Fatal(err)
		}
		b.compare(t, h)
	}
}

// multisetEdited (V22): a row that somebody else took away stops the table, and
// no other; brought back, the table catches up by a retry.
func multisetEdited(t *testing.T, h *house) {
	t.Helper()
	w := h.warehouse(t, nil)
	b, m := newBag(), models()[2]
	hash, other := b.know("", "secret", "0", "{}", "1"), b.know("", "b", "0", "{}", "1")
	b.copies = map[string]int64{hash: 3, other: 2}
	b.load(t, h, w, m)
	h.rows(t, `DELETE FROM shop.events WHERE word = 'secret'`)
	m.rows = map[string][]string{"7": {"7"}}
	batch := batchOf(2, b.segment(t, h, false, map[string]int64{hash: -2, other: -1}), change.SegmentFiles{
		Relation: m.rel, Files: []change.File{h.file(t, change.File{Kind: change.KindInsert, Columns: []int16{1}, Pad: true}, [][]string{{"7"}})},
	})
	run := redshift.Run{After: 1, Batches: []*change.Manifest{batch}}
	_, err := w.Apply(t.Context(), run)
	if change.ScopeOf(err) != change.ScopeTable || change.CodeOf(err) != change.CodeCounts ||
		!strings.Contains(err.Error(), "of 1 of 2 different rows") || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), hash) {
		t.Fatalf("error %v", err)
	}
	if err := w.Stop(t.Context(), b.rel.OID, err.Error()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Apply(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	m.compare(t, h)
	st, err := w.Peek(t.Context())
	if err != nil || len(st.Tables) != 2 {
		t.Fatalf("state %+v, %v", st, err)
	}
	for _, table := range st.Tables {
		if stopped := table.State == checkpoint.Stopped; stopped != (table.OID == b.rel.OID) || stopped && table.Applied != loadedAt {
			t.Fatalf("table %+v", table)
		}
	}
	alone := batchOf(2, batch.Segments[0])
	if _, err := w.CatchUp(t.Context(), b.rel.OID, loadedAt, []*change.Manifest{alone}); change.ScopeOf(err) != change.ScopeTable {
		t.Fatalf("error %v", err)
	}
	for range 3 {
		h.rows(t, `INSERT INTO shop.events (word, x, body, n, _walshift_row) VALUES ('secret', 0, JSON_PARSE('{}'), 1, '`+hash+`')`)
	}
	if _, err := w.CatchUp(t.Context(), b.rel.OID, loadedAt, []*change.Manifest{alone}); err != nil {
		t.Fatal(err)
	}
	b.compare(t, h)
}

// multisetExisting: a target that is there needs the column of the hashes, and
// keeps it when its rows are replaced; one that is taken as it is needs them.
func multisetExisting(t *testing.T, h *house) {
	t.Helper()
	b := newBag()
	hash := b.know("", "a", "0", "{}", "1")
	b.copies[hash] = 3
	// A login of the stand-in may make schemas, and then owns what it makes.
	h.rows(t, `CREATE SCHEMA shop`)
	h.rows(t, `CREATE TABLE shop.events (n INTEGER, word VARCHAR(65535), x DOUBLE PRECISION, body SUPER)`)
	h.rows(t, `INSERT INTO shop.events (n) VALUES (7)`)
	rels := []*change.Relation{&b.rel}
	adopting := h.warehouse(t, func(c *redshift.Config) { c.Existing, c.Pipeline = redshift.ExistingAdopt, "adopting" })
	truncating := h.warehouse(t, func(c *redshift.Config) { c.Existing = redshift.ExistingTruncate })
	const mend = `ALTER TABLE "shop"."Events" ADD COLUMN "_walshift_row" VARCHAR(32)`
	for _, w := range []*redshift.Warehouse{adopting, truncating} {
		if err := w.Check(t.Context(), rels); err == nil || !strings.Contains(err.Error(), mend) {
			t.Fatalf("error %v", err)
		}
	}
	h.rows(t, mend)
	if err := adopting.Check(t.Context(), rels); err == nil || !strings.Contains(err.Error(), "1 rows have no hash") {
		t.Fatalf("error %v", err)
	}
	b.load(t, h, truncating)
	if err := adopting.Check(t.Context(), rels); err == nil || strings.Contains(err.Error(), "hash") {
		t.Fatalf("error %v", err) // only that another pipeline writes the target
	}
	net := map[string]int64{hash: -2, b.know("", "b", "0", "{}", "1"): 2}
	if _, err := truncating.Apply(t.Context(), redshift.Run{After: 1, Batches: []*change.Manifest{batchOf(2, b.segment(t, h, false, net))}}); err != nil {
		t.Fatal(err)
	}
	b.compare(t, h)
}

// TestMultisetStatements pins what a removal becomes, and that the rows deleted
// are compared with those counted before.
func TestMultisetStatements(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	w := arrived(t, f, nil)
	f.statements()
	rel := orders()
	rel.Keys, rel.Identity, rel.Multiset = nil, change.IdentityFull, true
	a, b := strings.Repeat("0a", 16), strings.Repeat("0b", 16)
	taken, added := file(change.KindMultiset, "taken", 2, 1, 2), file(change.KindInsert, "added", 1, 1, 2)
	taken.RowHash, added.RowHash = true, true
	f.records[taken.Key] = "1,\"o\"\"\n,ne\"," + a + ",3\n2,~," + b + ",1\n"
	run := redshift.Run{After: 7, Batches: []*change.Manifest{batch(8, change.SegmentFiles{Relation: rel, Truncate: true, Files: []change.File{added, taken}})}}
	deleted := int64(6)
	f.answer = func(sql string) (reply, bool) {
		switch {
		case strings.HasPrefix(sql, "SELECT COUNT(*), SUM"):
			return reply{rows: [][]string{{"2", "6", "0", "2"}}}, true
		case strings.HasPrefix(sql, "SELECT row_hash"):
			return reply{rows: [][]string{{a, "2"}}}, true
		case strings.HasPrefix(sql, "DELETE") && strings.Contains(sql, "USING"):
			return reply{tag: "DELETE", n: deleted}, true
		}
		return reply{}, false
	}
	r, err := w.Apply(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "apply-multiset.golden", f.statements()+strings.Join(f.put, "\n"))
	if r.Copies != 3 || r.Rows != 3 {
		t.Errorf("result %+v", r)
	}
	deleted = 5
	run.After, run.Batches[0].Seq, run.Batches[0].Prev = 8, 9, run.Batches[0].End
	run.Batches[0].End += 0x100
	if _, err := w.Apply(t.Context(), run); change.CodeOf(err) != change.CodeCounts || change.ScopeOf(err) != change.ScopeTable {
		t.Errorf("error %v", err)
	}
}

// TestMultisetDamaged: what the log would never write stops the table.
func TestMultisetDamaged(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		records string
		kind    change.Kind
		keyed   bool
		plain   bool
	}{
		"no hash":         {records: "1,2\n"},
		"not hexadecimal": {records: "1,2," + strings.Repeat("0z", 16) + ",1\n"},
		"no end":          {records: "1,2," + strings.Repeat("0a", 16) + ",1"},
		"open quote":      {records: "1,\"2," + strings.Repeat("0a", 16) + ",1\n"},
		"another hash":    {records: "1,2," + strings.Repeat("0b", 16) + ",1\n"},
		"of a keyed one":  {keyed: true},
		"without hashes":  {plain: true},
		"kind":            {kind: change.KindUpsert},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			w := arrived(t, f, nil)
			rel := orders()
			if !c.keyed {
				rel.Keys, rel.Multiset = nil, true
			}
			taken := file(cmp.Or(c.kind, change.KindMultiset), "taken", 1, 1, 2)
			taken.RowHash = !c.plain
			f.records[taken.Key] = c.records
			f.answer = func(sql string) (reply, bool) {
				switch {
				case strings.HasPrefix(sql, "SELECT COUNT(*), SUM"):
					return reply{rows: [][]string{{"1", "2", "0", "1"}}}, true
				case strings.HasPrefix(sql, "SELECT row_hash"):
					return reply{rows: [][]string{{strings.Repeat("0a", 16), "1"}}}, true
				}
				return reply{}, false
			}
			_, err := w.Apply(t.Context(), redshift.Run{After: 7, Batches: []*change.Manifest{batch(8, change.SegmentFiles{Relation: rel, Files: []change.File{taken}})}})
			if change.ScopeOf(err) != change.ScopeTable {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestRowColumnIsOne: vocabulary and SQL text name the column alike.
func TestRowColumnIsOne(t *testing.T) {
	t.Parallel()
	if sqltext.RowColumn != change.RowColumn {
		t.Errorf("%q is not %q", sqltext.RowColumn, change.RowColumn)
	}
}
