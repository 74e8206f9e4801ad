package fold

import (
	"bytes"
	"encoding/binary"

	"github.com/walshift/walshift/replicator/change"
)

// row is a tuple taken apart: scratch space that the folder uses again.
type row struct {
	t change.Tuple
	// at holds the offset of each value in t, and the length of t.
	at []uint32
	// unchanged says that some value is.
	unchanged bool
}

// scan takes t apart, and reports whether it is a tuple of n values.
func (r *row) scan(t change.Tuple, n int) bool {
	if cap(r.at) <= n {
		r.at = make([]uint32, n+1, 2*(n+1))
	}
	at := r.at[:n+1]
	r.t, r.at, r.unchanged = t, at, false
	off := 0
	for i := range n {
		if off >= len(t) {
			return false
		}
		at[i] = uint32(off)
		switch t[off] {
		case change.ValueNull:
			off++
		case change.ValueUnchanged:
			off++
			r.unchanged = true
		case change.ValueText:
			if len(t)-off < 5 {
				return false
			}
			size := binary.BigEndian.Uint32(t[off+1:])
			if uint64(size) > uint64(len(t)-off-5) {
				return false
			}
			off += 5 + int(size)
		default:
			return false
		}
	}
	at[n] = uint32(off)
	return off == len(t)
}

// value returns the bytes of value i.
func (r *row) value(i int) []byte { return r.t[r.at[i]:r.at[i+1]] }

// kind returns the kind of value i.
func (r *row) kind(i int) byte { return r.t[r.at[i]] }

// key returns the tuple of the key columns. It aliases r or *buf.
func (r *row) key(s *segment, buf *[]byte) (change.Tuple, error) {
	for _, k := range s.rel.Keys {
		switch r.kind(k) {
		case change.ValueNull:
			return nil, ErrNullKey
		case change.ValueUnchanged:
			return nil, ErrNoOldValue
		}
	}
	if s.keyRun {
		first, last := s.rel.Keys[0], s.rel.Keys[len(s.rel.Keys)-1]
		return r.t[r.at[first]:r.at[last+1]], nil
	}
	b := (*buf)[:0]
	for _, k := range s.rel.Keys {
		b = append(b, r.value(k)...)
	}
	*buf = b
	return b, nil
}

// fill builds in r the row that an update leaves: the values of news, and for
// those that are unchanged the old tuple's, else the row's so far. prev is nil
// where the segment doesn't know the row. An unchanged value that neither has
// stays so. Of a K tuple only the key columns are values.
func (r *row) fill(s *segment, news, old *row, kind change.OldKind, prev *row) {
	b := r.t[:0]
	n := len(s.rel.Columns)
	if cap(r.at) <= n {
		r.at = make([]uint32, n+1, 2*(n+1))
	}
	r.at, r.unchanged = r.at[:n+1], false
	for i := range n {
		from := news
		if news.kind(i) == change.ValueUnchanged {
			switch {
			case kind == change.OldFull && old.kind(i) != change.ValueUnchanged,
				kind == change.OldKey && s.rel.IsKey(i):
				from = old
			case prev != nil:
				from = prev
			}
			if from.kind(i) == change.ValueUnchanged {
				r.unchanged = true
			}
		}
		r.at[i] = uint32(len(b))
		b = append(b, from.value(i)...)
	}
	r.at[n] = uint32(len(b))
	r.t = b
}

// agrees reports whether two images of a row have the same values, as far as
// both have them.
func (r *row) agrees(other *row) bool {
	if bytes.Equal(r.t, other.t) {
		return true
	}
	for i := range len(r.at) - 1 {
		if r.kind(i) != change.ValueUnchanged && other.kind(i) != change.ValueUnchanged &&
			!bytes.Equal(r.value(i), other.value(i)) {
			return false
		}
	}
	return true
}
