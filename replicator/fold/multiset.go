package fold

import (
	"bytes"

	"github.com/walshift/walshift/replicator/change"
)

// The rows of a multiset have no key but their whole image, and equal ones are
// counted. Such a row's entry has the image as its key and, in the fields that
// name the image of a keyed row, the number of copies that the segment adds;
// below zero: takes away.

// copies returns the net number of copies of a multiset's image.
func (e *entry) copies() int64 { return int64(uint64(e.imgChunk)<<32 | uint64(e.imgOff)) }

func (e *entry) setCopies(n int64) {
	e.imgChunk, e.imgOff = uint32(uint64(n)>>32), uint32(uint64(n))
}

// updateCopy folds the change of one copy of f.old's image into f.news's.
func (f *Folder) updateCopy(s *segment, in *change.Row) error {
	image := in.New
	if f.news.unchanged {
		// Under FULL PostgreSQL puts every value into the old tuple.
		f.filled.fill(s, &f.news, &f.old, in.OldKind, nil)
		image = f.filled.t
	}
	if bytes.Equal(in.Old, image) {
		return s.checkCopy(in.Old)
	}
	if err := s.removeCopy(in.Old); err != nil {
		return err
	}
	s.addCopies(image, 1)
	return nil
}

// removeCopy takes away a copy of an image.
func (s *segment) removeCopy(image change.Tuple) error {
	if err := s.checkCopy(image); err != nil {
		return err
	}
	s.addCopies(image, -1)
	return nil
}

// checkCopy checks that a row with this image can be there. How many there
// were when the segment began, only the target knows, unless there were none.
func (s *segment) checkCopy(image change.Tuple) error {
	if !s.truncate {
		return nil
	}
	if e, _ := s.keys.find(&s.arena, image); e == nil || e.copies() == 0 {
		return ErrGone
	}
	return nil
}

// addCopies adds n to the copies of an image.
func (s *segment) addCopies(image []byte, n int64) {
	e, hash := s.keys.find(&s.arena, image)
	if e == nil {
		var place uint32
		var isOwn bool
		var b []byte
		e, place = s.keys.add()
		b, e.keyChunk, e.keyOff, isOwn = s.arena.alloc(len(image))
		e.keyLen = uint32(copy(b, image))
		if isOwn {
			e.flags |= own
		}
		s.keys.insert(place, hash)
	}
	e.setCopies(e.copies() + n)
	if e.copies() == 0 && e.flags&own != 0 {
		// A large image is not kept for nothing. Its entry is dead from here
		// on: no image of a table with values is as short as it.
		s.arena.freeOwn(e.keyChunk)
		e.flags &^= own
		e.keyChunk, e.keyOff, e.keyLen = 0, 0, 0
	}
}

// sealMultiset is seal for a multiset.
func (s *segment) sealMultiset(p *pool) *change.Segment {
	var added, removed int
	for i := range s.keys.count {
		switch n := s.keys.entry(i).copies(); {
		case n > 0:
			added++
		case n < 0:
			removed++
		}
	}
	if added+removed == 0 && !s.truncate {
		s.release(p)
		return nil
	}
	out := s.sealed(p, int64(added+removed)*(tupleBytes+copiesBytes))
	out.Inserts = change.Rows{Images: tuples(added), Copies: make([]int64, 0, added)}
	out.Removed = change.Rows{Images: tuples(removed), Copies: make([]int64, 0, removed)}
	for i := range s.keys.count {
		e := s.keys.entry(i)
		rows, n := &out.Inserts, e.copies()
		if n < 0 {
			rows, n = &out.Removed, -n
		}
		if n != 0 {
			rows.Images = append(rows.Images, s.key(e))
			rows.Copies = append(rows.Copies, n)
		}
	}
	s.keys.release()
	return out
}
