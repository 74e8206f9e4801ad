package fold

import (
	"bytes"

	"github.com/walshift/walshift/replicator/change"
)

// insert folds the creation of a row.
func (f *Folder) insert(s *segment, in *change.Row) error {
	if !f.news.scan(in.New, len(s.rel.Columns)) {
		return ErrShape
	}
	if f.news.unchanged {
		return ErrNoOldValue
	}
	if s.rel.Multiset {
		s.addCopies(in.New, 1)
		return nil
	}
	if !s.rel.HasKey() {
		e, _ := s.keys.add()
		s.store(e, in.New)
		return nil
	}
	key, err := f.news.key(s, &f.newKey)
	if err != nil {
		return err
	}
	e, hash := s.keys.find(&s.arena, key)
	switch {
	case e == nil:
		s.addRow(key, hash, in.New)
	case e.flags&present != 0:
		return ErrExists
	default:
		s.store(e, in.New)
	}
	return nil
}

// remove folds the deletion of a row.
func (f *Folder) remove(s *segment, in *change.Row) error {
	if err := f.scanOld(s, in); err != nil {
		return err
	}
	if s.rel.Multiset {
		return s.removeCopy(in.Old)
	}
	key, err := f.old.key(s, &f.oldKey)
	if err != nil {
		return err
	}
	e, hash := s.keys.find(&s.arena, key)
	if err := f.checkRow(s, e, in.OldKind); err != nil {
		return err
	}
	if e == nil {
		e, _ = s.addKey(key, hash)
		e.flags |= existed
		return nil
	}
	s.remove(e)
	return nil
}

// update folds the change of a row, and of its key.
func (f *Folder) update(s *segment, in *change.Row) error {
	if err := f.scanOld(s, in); err != nil {
		return err
	}
	if !f.news.scan(in.New, len(s.rel.Columns)) {
		return ErrShape
	}
	if s.rel.Multiset {
		return f.updateCopy(s, in)
	}
	// The row is found under the old tuple's key, where there is one. A K
	// tuple doesn't mean that the key has changed: PostgreSQL sends one also
	// when the key holds a TOASTed value, which then is unchanged in the new
	// tuple (V10). So unchanged values are filled before keys are compared.
	named := &f.news
	if in.OldKind != change.OldNone {
		named = &f.old
	}
	oldKey, err := named.key(s, &f.oldKey)
	if err != nil {
		return err
	}
	e, hash := s.keys.find(&s.arena, oldKey)
	if err := f.checkRow(s, e, in.OldKind); err != nil {
		return err
	}
	image := &f.news
	if f.news.unchanged {
		var prev *row
		if e != nil && f.prev.scan(s.image(e), len(s.rel.Columns)) {
			prev = &f.prev
		}
		image = &f.filled
		image.fill(s, &f.news, &f.old, in.OldKind, prev)
	}
	newKey := oldKey
	if in.OldKind != change.OldNone {
		if newKey, err = image.key(s, &f.newKey); err != nil {
			return err
		}
	}
	if !bytes.Equal(oldKey, newKey) {
		return f.move(s, image, oldKey, newKey)
	}
	if e == nil {
		var place uint32
		e, place = s.addRow(oldKey, hash, image.t)
		e.flags |= existed
		e.origin = place + 1
	} else {
		s.store(e, image.t)
	}
	s.setKept(e, image.unchanged)
	return nil
}

// move folds a change of key: the row leaves oldKey and stands, as image,
// under newKey. It takes its origin along.
func (f *Folder) move(s *segment, image *row, oldKey, newKey []byte) error {
	to, toHash := s.keys.find(&s.arena, newKey)
	if to != nil && to.flags&present != 0 {
		return ErrExists
	}
	var origin uint32
	from, hash := s.keys.find(&s.arena, oldKey)
	if from != nil {
		origin = from.origin
		s.remove(from)
	} else {
		var place uint32
		from, place = s.addKey(oldKey, hash)
		from.flags |= existed
		origin = place + 1
	}
	if to == nil {
		to, _ = s.addRow(newKey, toHash, image.t)
	} else {
		s.store(to, image.t)
	}
	to.origin = origin
	s.setKept(to, image.unchanged)
	return nil
}

// scanOld takes the old tuple apart, if there is one, and checks that it is of
// the kind that the replica identity makes PostgreSQL send: the whole row
// under FULL, always; else the key, of an update only where it changed or
// holds a TOASTed value.
func (f *Folder) scanOld(s *segment, in *change.Row) error {
	if !s.rel.HasKey() && !s.rel.Multiset {
		return ErrNoKey
	}
	full := s.rel.Identity == change.IdentityFull
	switch in.OldKind {
	case change.OldNone:
		if full || in.Op == change.OpDelete {
			return ErrIdentity
		}
		return nil
	case change.OldKey, change.OldFull:
		if full != (in.OldKind == change.OldFull) {
			return ErrIdentity
		}
	default:
		return ErrIdentity
	}
	if !f.old.scan(in.Old, len(s.rel.Columns)) {
		return ErrShape
	}
	if s.rel.Multiset && f.old.unchanged { // nothing tells which row that is
		return ErrNoOldValue
	}
	return nil
}

// checkRow checks that the row that a change names can be there: e is the
// entry of its key, nil if the segment has not touched it yet.
func (f *Folder) checkRow(s *segment, e *entry, kind change.OldKind) error {
	if e == nil {
		if s.truncate {
			return ErrGone // the segment began with an empty table
		}
		return nil
	}
	if e.flags&present == 0 {
		return ErrGone
	}
	if kind == change.OldFull && f.prev.scan(s.image(e), len(s.rel.Columns)) && !f.old.agrees(&f.prev) {
		return ErrDisagrees
	}
	return nil
}
