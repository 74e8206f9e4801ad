package fold

import (
	"github.com/jackc/pglogrepl"

	"github.com/walshift/walshift/replicator/change"
)

// Sizes of what a sealed segment consists of, for Bytes.
const (
	// segmentBytes covers the segment itself, open and sealed, its place in
	// the folder's map and list, and its closure.
	segmentBytes = 1 << 10
	tupleBytes   = 24 // a slice header
	copiesBytes  = 8  // the number of copies of a multiset's image
)

// segment is an open segment.
type segment struct {
	rel *change.Relation
	// latest is the relation as the caller last named it: equal to rel in all
	// that matters, but maybe another copy.
	latest *change.Relation
	// keyRun says that the key columns stand side by side, so that a key is a
	// part of an image; keyFirst, that this part is the beginning.
	keyRun, keyFirst bool

	truncate bool
	changes  change.Counts
	last     pglogrepl.LSN

	arena arena
	keys  keys
	kept  int64 // rows with kept columns
	bytes int64 // what the folder has counted
}

// size is the memory that the segment holds, and will need when it is sealed.
func (s *segment) size() int64 {
	perRow := int64(tupleBytes)
	if s.rel.Multiset {
		perRow += copiesBytes
	}
	return segmentBytes + s.arena.bytes + s.keys.bytes +
		int64(s.keys.count)*perRow + s.kept*(tupleBytes+1)
}

// addKey adds an entry for key, which must not have one.
func (s *segment) addKey(key []byte, hash uint32) (*entry, uint32) {
	e, place := s.keys.add()
	b, chunk, off, _ := s.arena.alloc(len(key))
	copy(b, key)
	e.keyChunk, e.keyOff, e.keyLen = chunk, off, uint32(len(key))
	s.keys.insert(place, hash)
	return e, place
}

// addRow adds an entry for key, which must not have one, with a row.
func (s *segment) addRow(key []byte, hash uint32, image []byte) (*entry, uint32) {
	if !s.keyFirst || len(image) > ownChunk {
		e, place := s.addKey(key, hash)
		s.store(e, image)
		return e, place
	}
	e, place := s.keys.add()
	s.store(e, image)
	e.keyChunk, e.keyOff, e.keyLen = e.imgChunk, e.imgOff, uint32(len(key))
	s.keys.insert(place, hash)
	return e, place
}

// store puts a row under the entry's key. Where the image fits into the space
// of the one before, it overwrites it; an entry's images all have its key at
// the same place if the key is stored in one of them (keyFirst), so that this
// does not touch the key.
func (s *segment) store(e *entry, image []byte) {
	n := uint32(len(image))
	if n > e.imgCap || e.flags&own != 0 && n < e.imgCap/2 {
		room := len(image)
		if e.imgCap > 0 {
			room += room/8 + 8 // it has grown before and may again
		}
		s.dropOwn(e)
		b, chunk, off, isOwn := s.arena.alloc(room)
		e.imgChunk, e.imgOff, e.imgCap = chunk, off, uint32(len(b))
		if isOwn {
			e.flags |= own
		}
	}
	e.imgLen = n
	copy(s.arena.at(e.imgChunk, e.imgOff, n), image)
	e.flags |= present
}

// remove takes the row from under the entry's key.
func (s *segment) remove(e *entry) {
	s.setKept(e, false)
	s.dropOwn(e)
	e.flags &^= present
	e.origin = 0
}

// dropOwn frees the image's chunk if it has one of its own.
func (s *segment) dropOwn(e *entry) {
	if e.flags&own != 0 {
		s.arena.freeOwn(e.imgChunk)
		e.flags &^= own
		e.imgCap = 0
	}
}

func (s *segment) setKept(e *entry, yes bool) {
	if yes == (e.flags&kept != 0) {
		return
	}
	e.flags ^= kept
	if yes {
		s.kept++
	} else {
		s.kept--
	}
}

func (s *segment) image(e *entry) change.Tuple { return s.arena.at(e.imgChunk, e.imgOff, e.imgLen) }

func (s *segment) key(e *entry) change.Tuple { return s.arena.at(e.keyChunk, e.keyOff, e.keyLen) }

// kind says of which kind the entry's net effect is; "" is none.
func (e *entry) kind() change.Kind {
	switch e.flags & (existed | present | kept) {
	case existed:
		return change.KindDelete
	case present | existed:
		return change.KindUpsert
	case present:
		return change.KindInsert
	case present | kept, present | kept | existed:
		return change.KindPartial
	}
	return ""
}

// seal returns the segment's net effect, or nil if it has none. The hash table
// is given back now, the images when the sealed segment is released.
func (s *segment) seal(p *pool) *change.Segment {
	if s.rel.Multiset {
		return s.sealMultiset(p)
	}
	var deletes, upserts, partials, inserts int
	for i := range s.keys.count {
		switch s.keys.entry(i).kind() {
		case change.KindDelete:
			deletes++
		case change.KindUpsert:
			upserts++
		case change.KindPartial:
			partials++
		case change.KindInsert:
			inserts++
		default:
		}
	}
	rows := deletes + upserts + partials + inserts
	if rows == 0 && !s.truncate {
		s.release(p)
		return nil
	}
	out := s.sealed(p, int64(rows)*tupleBytes+int64(partials)*(tupleBytes+1))
	out.Deletes = change.Rows{Images: tuples(deletes)}
	out.Upserts = change.Rows{Images: tuples(upserts)}
	out.Partials = change.Rows{Images: tuples(partials), Origins: tuples(partials)}
	out.Inserts = change.Rows{Images: tuples(inserts)}
	if partials > 0 {
		out.Partials.Existed = make([]bool, 0, partials)
	}
	for i := range s.keys.count {
		s.emit(out, s.keys.entry(i))
	}
	s.keys.release()
	return out
}

// sealed returns the sealed segment without its rows, whose lists take so many
// bytes.
func (s *segment) sealed(p *pool, lists int64) *change.Segment {
	chunks := s.arena.chunks
	return &change.Segment{
		Relation: s.rel, Truncate: s.truncate, Changes: s.changes, Last: s.last,
		Bytes: segmentBytes + s.arena.bytes + lists,
		Free:  func() { p.giveChunks(chunks) },
	}
}

func (s *segment) emit(out *change.Segment, e *entry) {
	switch e.kind() {
	case change.KindDelete:
		out.Deletes.Images = append(out.Deletes.Images, s.key(e))
	case change.KindUpsert:
		out.Upserts.Images = append(out.Upserts.Images, s.image(e))
	case change.KindInsert:
		out.Inserts.Images = append(out.Inserts.Images, s.image(e))
	case change.KindPartial:
		origin := s.keys.entry(e.origin - 1)
		out.Partials.Images = append(out.Partials.Images, s.image(e))
		out.Partials.Origins = append(out.Partials.Origins, s.key(origin))
		out.Partials.Existed = append(out.Partials.Existed, e.flags&existed != 0)
	default:
	}
}

// tuples returns room for n tuples, nil for none.
func tuples(n int) []change.Tuple {
	if n == 0 {
		return nil
	}
	return make([]change.Tuple, 0, n)
}

// release gives all memory back; nobody has seen the segment.
func (s *segment) release(p *pool) {
	s.keys.release()
	p.giveChunks(s.arena.chunks)
	s.arena.chunks = nil
}
