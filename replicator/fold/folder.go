package fold

import (
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/jackc/pglogrepl"

	"github.com/walshift/walshift/replicator/change"
)

// DefaultIdleBytes is used where Config leaves IdleBytes at 0: the images of
// a batch of default size, about.
const DefaultIdleBytes = 64 << 20

// keepScratch is how much scratch space outlives the row that needed it.
const keepScratch = 256 << 10

// Config tunes a Folder. Its zero value is good.
type Config struct {
	// IdleBytes bounds the memory that a folder keeps of released segments to
	// use it again; it is not part of Bytes. 0 means DefaultIdleBytes,
	// negative none.
	IdleBytes int64
}

// Folder folds the changes of one batch after another. It is not safe for
// concurrent use; segments that it has returned may be used and released
// elsewhere.
type Folder struct {
	pool *pool
	seed maphash.Seed
	// open are the segments that began since the last cut, in order; current
	// is the last one of each table, latest the one used last.
	open    []*segment
	current map[uint32]*segment
	latest  *segment
	bytes   int64
	events  int64 // row changes and truncates in open

	// Scratch space for one change.
	news, old, prev, filled row
	newKey, oldKey          []byte
}

// New returns an empty folder.
func New(c Config) *Folder {
	if c.IdleBytes == 0 {
		c.IdleBytes = DefaultIdleBytes
	}
	return &Folder{
		pool:    &pool{limit: c.IdleBytes},
		seed:    maphash.MakeSeed(),
		current: make(map[uint32]*segment),
	}
}

// Change folds one row change of rel, in stream order; commit is the commit LSN
// of its transaction as Begin announces it. It copies what it keeps of row. A
// rel that differs from the one before ([change.Relation.Diff]) begins a new
// segment.
//
// The error is a [change.Fault] of [change.ScopeTable]: the change was not
// folded, and the table's copy would be wrong from here on. The caller stops
// the table and calls Drop; other tables are untouched.
func (f *Folder) Change(rel *change.Relation, in change.Row, commit pglogrepl.LSN) error {
	s := f.segment(rel)
	counted := change.Counts{}
	var err error
	switch in.Op {
	case change.OpInsert:
		counted.Inserts = 1
		err = f.insert(s, &in)
	case change.OpUpdate:
		counted.Updates = 1
		err = f.update(s, &in)
	case change.OpDelete:
		counted.Deletes = 1
		err = f.remove(s, &in)
	default:
		err = fmt.Errorf("operation %q: %w", byte(in.Op), ErrShape)
	}
	f.forget()
	if err != nil {
		return fault(rel, in.Op, commit, err)
	}
	f.count(s, counted, commit)
	return nil
}

// forget lets go of what is not the folder's: the caller's buffer, a segment's
// chunk; and of scratch space that only a giant row needs.
func (f *Folder) forget() {
	f.news.t, f.old.t, f.prev.t = nil, nil, nil
	if cap(f.filled.t) > keepScratch {
		f.filled.t = nil
	}
}

// Truncate folds a TRUNCATE of rel: what follows goes into a segment that
// begins with it.
func (f *Folder) Truncate(rel *change.Relation, commit pglogrepl.LSN) {
	s := f.segment(rel)
	if s.changes.Total() > 0 {
		s = f.begin(rel)
	}
	s.truncate = true
	f.count(s, change.Counts{Truncates: 1}, commit)
}

// Bytes returns the memory that the open segments hold, and will need until
// they are released; it is an upper bound (invariant 5).
func (f *Folder) Bytes() int64 { return f.bytes }

// Empty reports whether nothing was folded since the last cut.
func (f *Folder) Empty() bool { return f.events == 0 }

// Cut seals the open segments and returns those that have an effect, in the
// order in which they began. Later changes begin new ones. The caller releases
// each segment when it is done with it.
func (f *Folder) Cut() []*change.Segment {
	var sealed []*change.Segment
	for _, s := range f.open {
		if out := s.seal(f.pool); out != nil {
			sealed = append(sealed, out)
		}
	}
	f.open, f.latest, f.bytes, f.events = nil, nil, 0, 0
	clear(f.current)
	return sealed
}

// Drop forgets the open segments of a table, which has stopped.
func (f *Folder) Drop(oid uint32) {
	f.open = slices.DeleteFunc(f.open, func(s *segment) bool {
		if s.rel.OID != oid {
			return false
		}
		f.bytes -= s.bytes
		f.events -= s.changes.Total() + s.changes.Truncates
		s.release(f.pool)
		return true
	})
	delete(f.current, oid)
	f.latest = nil
}

// segment returns the open segment of rel, which it begins if need be.
func (f *Folder) segment(rel *change.Relation) *segment {
	if s := f.latest; s != nil && s.latest == rel {
		return s
	}
	s := f.current[rel.OID]
	switch {
	case s == nil:
		return f.begin(rel)
	case s.latest == rel:
	case s.rel.Diff(rel) == "":
		s.latest = rel
	default:
		return f.begin(rel)
	}
	f.latest = s
	return s
}

// begin begins a segment of rel.
func (f *Folder) begin(rel *change.Relation) *segment {
	s := &segment{
		rel:    rel,
		latest: rel,
		keyRun: rel.HasKey(),
		arena:  arena{pool: f.pool},
		keys:   keys{pool: f.pool, seed: f.seed},
	}
	for i, k := range rel.Keys {
		s.keyRun = s.keyRun && k == rel.Keys[0]+i
	}
	s.keyFirst = s.keyRun && rel.Keys[0] == 0
	f.open = append(f.open, s)
	f.current[rel.OID] = s
	f.latest = s
	f.measure(s)
	return s
}

// count notes a change that was folded into s.
func (f *Folder) count(s *segment, n change.Counts, commit pglogrepl.LSN) {
	s.changes.Add(n)
	s.last = commit
	f.events++
	f.measure(s)
}

func (f *Folder) measure(s *segment) {
	now := s.size()
	f.bytes += now - s.bytes
	s.bytes = now
}
