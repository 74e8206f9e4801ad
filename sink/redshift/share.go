package redshift

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift/compact"
	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// Small segments go another way than big ones. A COPY takes about a second
// whatever it loads, so that two hundred touched tables of ten rows would take
// minutes in COPYs alone. Apply reads their files itself, folds what several
// batches did to a table into its net effect, and puts the rows of all tables
// into a few shared staging tables, each loaded by one COPY; a table then needs
// one DELETE and one INSERT.
const (
	// foldBytes, compressed, is what a segment may have to be folded with its
	// neighbours, and what a single one may have to share a staging table.
	foldBytes = 1 << 20
	// chunkFiles bounds the files that one fold reads.
	chunkFiles = 3000
	// groupChunks is how many chunks of raw records a shared table takes.
	groupChunks = 4
	// maxSlots is the width of a shared staging table beside its own columns:
	// every row writes all of them.
	maxSlots = 400
	// windowParts are read and folded at a time, foldParts of them at once, with
	// foldReads files at once for each.
	windowParts, foldParts, foldReads = 32, 8, 4
)

// tableRun is what a run of batches does to one table, in order.
type tableRun struct {
	rel   *change.Relation
	table *sqltext.Table
	parts []*runPart
}

// runPart is one segment, or several consecutive ones that are folded.
type runPart struct {
	run      *tableRun
	seq      uint64 // of the first segment
	segments []*change.SegmentFiles
	// bytes are compressed, raw is what they are when unpacked.
	bytes, raw int64
	files      int
	// fold says that the segments are small enough; folded is their net
	// effect, nil when they go one by one after all.
	fold   bool
	folded *compact.Result
}

// add puts a segment behind the others.
func (t *tableRun) add(w *Warehouse, seq uint64, s *change.SegmentFiles) {
	var size int64
	for i := range s.Files {
		size += s.Files[i].Bytes
	}
	small := w.mayShare(t.table, s) && size <= foldBytes
	if n := len(t.parts); n > 0 && small {
		p := t.parts[n-1]
		if p.fold && p.bytes+size <= w.cfg.FoldBytes/2 && p.files+len(s.Files) <= chunkFiles &&
			sameColumns(&p.segments[0].Relation, &s.Relation) {
			p.segments = append(p.segments, s)
			p.bytes, p.files = p.bytes+size, p.files+len(s.Files)
			return
		}
	}
	t.parts = append(t.parts, &runPart{
		run: t, seq: seq, segments: []*change.SegmentFiles{s}, bytes: size, files: len(s.Files), fold: small,
	})
}

// mayShare reports whether a segment's rows may go through a shared table.
func (w *Warehouse) mayShare(t *sqltext.Table, s *change.SegmentFiles) bool {
	if s.Relation.Multiset || w.cfg.Strategy == StrategyMerge && t.CanMerge() || w.completesAny(t, s) {
		return false
	}
	for i := range s.Files {
		switch s.Files[i].Kind {
		case change.KindDelete, change.KindUpsert, change.KindPartial, change.KindInsert:
		case change.KindMultiset, change.KindRaw, change.KindIncident:
			return false
		}
	}
	return 2*len(t.Columns) <= maxSlots
}

// sameColumns reports whether two versions of a table have files of one shape.
func sameColumns(a, b *change.Relation) bool {
	return slices.Equal(a.Keys, b.Keys) && slices.EqualFunc(a.Columns, b.Columns, func(x, y change.Column) bool {
		return x.Attnum == y.Attnum && x.Name == y.Name && x.Type == y.Type && x.Typmod == y.Typmod
	})
}

// window is a stretch of a run's parts that are read and folded together.
type window struct {
	w      *Warehouse
	marker string
	// room is what their records may take in memory.
	room atomic.Int64
}

// fold reads and folds the parts that are small enough. A part that can't be
// folded goes one by one.
func (w *Warehouse) fold(ctx context.Context, parts []*runPart, marker string) error {
	win := &window{w: w, marker: marker}
	win.room.Store(groupChunks * w.cfg.FoldBytes)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(foldParts)
	for _, p := range parts {
		g.Go(func() error { return win.fold(ctx, p) })
	}
	return g.Wait()
}

func (win *window) fold(ctx context.Context, p *runPart) error {
	t := p.run
	files, err := win.read(ctx, p)
	if errors.Is(err, change.ErrTooLarge) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading files of table %s from batch %d on: %w", t.rel, p.seq, err)
	}
	fold := compact.New(t.rel, win.marker)
	for i, s := range p.segments {
		switch err := fold.Add(s.Truncate, files[i]); {
		case errors.Is(err, compact.ErrLarge), errors.Is(err, compact.ErrMarker):
			return nil
		case err != nil:
			return &change.Fault{
				Scope: change.ScopeTable, Code: change.CodeLogDamaged, Op: "folding small batches", Table: t.rel.String(), TableOID: t.rel.OID, Seq: p.seq,
				Err: err, Remedy: "keep the log's objects from that batch on and report this; load the table again to go on",
			}
		}
	}
	r := fold.Result()
	p.folded = &r
	return nil
}

// read reads the files of a part's segments, unless they are too large.
func (win *window) read(ctx context.Context, p *runPart) ([][]compact.File, error) {
	var left atomic.Int64
	left.Store(win.w.cfg.FoldBytes)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(foldReads)
	out := make([][]compact.File, len(p.segments))
	for i, s := range p.segments {
		out[i] = make([]compact.File, len(s.Files))
		for j := range s.Files {
			g.Go(func() error {
				f := &s.Files[j]
				records, err := win.w.stores.ReadRecords(ctx, f, max(0, min(left.Load(), win.room.Load())))
				if err != nil {
					return err
				}
				out[i][j] = compact.File{Entry: f, Records: records}
				size := int64(len(records))
				if left.Add(-size) < 0 || win.room.Add(-size) < 0 {
					return change.ErrTooLarge
				}
				return nil
			})
		}
	}
	err := g.Wait()
	p.raw = win.w.cfg.FoldBytes - left.Load()
	return out, err
}

// group is a shared staging table in the making.
type group struct {
	job   *stageJob
	slots []string
	// byType are the slots of each type, as numbers.
	byType  map[string][]int
	members []member
	raw     int64
}

// member is a part in a group, with the slots of its columns and then of its
// origin's.
type member struct {
	part   *runPart
	kept   []int // columns that any of the rows keeps
	places []int
}

// sharer puts folded rows into shared staging tables.
type sharer struct {
	w      *Warehouse
	plan   *plan
	marker string
	open   *group
}

// add puts a part's rows into the open group, or into a new one, and returns
// the table's side of it.
func (s *sharer) add(ctx context.Context, p *runPart) (*stageJob, error) {
	m := member{part: p, kept: keptColumns(p)}
	need := slotTypes(p.run.table, len(m.kept) > 0)
	if g := s.open; g != nil && (len(g.slots)+g.lacks(need) > maxSlots || g.raw+p.raw > groupChunks*s.w.cfg.FoldBytes) {
		if err := s.flush(ctx); err != nil {
			return nil, err
		}
	}
	if s.open == nil {
		s.open = &group{
			byType: make(map[string][]int),
			job: &stageJob{rel: p.run.rel, seq: p.seq, shared: true, staging: sqltext.Staging{
				Name: sqltext.StagingName(s.w.cfg.Pipeline, s.plan.attempt, len(s.plan.staged)),
			}},
		}
		s.plan.staged = append(s.plan.staged, s.open.job)
	}
	g := s.open
	m.places = g.take(need)
	g.members = append(g.members, m)
	g.raw += p.raw
	return g.side(&m), nil
}

// slotTypes returns the types of the slots that a table's columns need, and
// then those of the origin of its kept columns, if there are any.
func slotTypes(t *sqltext.Table, kept bool) []string {
	var types []string
	for _, c := range t.Columns {
		types = append(types, t.SlotType(c))
	}
	if kept {
		for _, k := range t.Keys() {
			types = append(types, t.SlotType(k))
		}
	}
	return types
}

// keptColumns returns the columns that any row of a part keeps.
func keptColumns(p *runPart) []int {
	var columns []int
	for c := range p.run.rel.Columns {
		if slices.ContainsFunc(p.folded.Rows, func(r compact.Row) bool { return r.Kept != nil && r.Kept[c] }) {
			columns = append(columns, c)
		}
	}
	return columns
}

// lacks returns how many slots would have to be added.
func (g *group) lacks(types []string) int {
	n := 0
	count := make(map[string]int)
	for _, typ := range types {
		if count[typ]++; count[typ] > len(g.byType[typ]) {
			n++
		}
	}
	return n
}

// take gives each type a slot, adding those that lack.
func (g *group) take(types []string) []int {
	places := make([]int, len(types))
	used := make(map[string]int)
	for i, typ := range types {
		if used[typ] == len(g.byType[typ]) {
			g.byType[typ] = append(g.byType[typ], len(g.slots))
			g.slots = append(g.slots, typ)
		}
		places[i] = g.byType[typ][used[typ]]
		used[typ]++
	}
	return places
}

// side returns a job for the statements on a member's table.
func (g *group) side(m *member) *stageJob {
	t, rel := m.part.run.table, m.part.run.rel
	part := &sqltext.Part{Number: len(g.members), Image: make(map[int16]string), Origin: make(map[int16]string)}
	j := &stageJob{
		rel: rel, seq: m.part.seq,
		staging: sqltext.Staging{Name: g.job.staging.Name, Target: t, Part: part},
		existed: m.part.folded.Existed,
	}
	for i := range rel.Columns {
		a := rel.Columns[i].Attnum
		j.staging.Columns = append(j.staging.Columns, a)
		part.Image[a] = sqltext.SlotColumn(m.places[i])
	}
	for _, c := range m.kept {
		j.staging.Kept = append(j.staging.Kept, rel.Columns[c].Attnum)
	}
	if len(m.kept) > 0 {
		for i, k := range rel.Keys {
			a := rel.Columns[k].Attnum
			j.staging.Origin = append(j.staging.Origin, a)
			part.Origin[a] = sqltext.SlotColumn(m.places[len(rel.Columns)+i])
		}
	}
	for i := range m.part.folded.Rows {
		row := &m.part.folded.Rows[i]
		if row.Op != compact.Insert {
			j.doomed++
		}
		if row.Op != compact.Delete {
			j.rows++
		}
		if row.Kept != nil {
			j.kept++
		}
	}
	return j
}

// flush writes the open group's records and releases its rows.
func (s *sharer) flush(ctx context.Context) error {
	g := s.open
	if g == nil {
		return nil
	}
	s.open = nil
	records, rows := g.records(s.marker)
	name := fmt.Sprintf("%020d-%s-shared-%04d", g.job.seq, s.plan.attempt, len(s.plan.staged))
	f, err := s.w.stores.PutRecords(ctx, name, s.marker, rows, records)
	if err != nil {
		return fmt.Errorf("writing the rows of %d small tables: %w", len(g.members), err)
	}
	g.job.slots = g.slots
	g.job.copies = []*copyJob{{
		rel: g.job.rel, seq: g.job.seq, shared: true, target: g.job.staging.Name,
		columns: sqltext.SharedColumns(len(g.slots)), files: []change.File{f},
	}}
	for _, m := range g.members {
		m.part.folded, m.part.segments = nil, nil
	}
	return nil
}

// records returns the records of a group, all as wide as its table.
func (g *group) records(marker string) (raw []byte, rows int64) {
	raw = make([]byte, 0, g.raw+g.raw/2)
	cells := make([][]byte, len(g.slots))
	for n, m := range g.members {
		clear(cells)
		for i := range m.part.folded.Rows {
			row := &m.part.folded.Rows[i]
			for c, v := range row.Image {
				cells[m.places[c]] = v
			}
			if len(m.kept) > 0 {
				for c := range m.part.run.rel.Keys {
					cells[m.places[len(row.Image)+c]] = nil
					if row.Kept != nil {
						cells[m.places[len(row.Image)+c]] = row.Origin[c]
					}
				}
			}
			raw = strconv.AppendInt(raw, int64(n+1), 10)
			raw = append(raw, ',')
			raw = strconv.AppendInt(raw, int64(row.Op), 10)
			raw = append(raw, ',')
			raw = appendFlags(raw, m.kept, row.Kept)
			for _, v := range cells {
				raw = append(raw, ',')
				if v == nil {
					raw = append(raw, marker...)
				} else {
					raw = append(raw, v...)
				}
			}
			raw = append(raw, '\n')
			rows++
		}
	}
	return raw, rows
}

// appendFlags appends a digit for each column that any row of the part keeps,
// quoted so that none at all is not NULL.
func appendFlags(dst []byte, columns []int, kept []bool) []byte {
	dst = append(dst, '"')
	for _, c := range columns {
		if kept != nil && kept[c] {
			dst = append(dst, '1')
		} else {
			dst = append(dst, '0')
		}
	}
	return append(dst, '"')
}
