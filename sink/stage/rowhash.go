package stage

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"

	"github.com/walshift/walshift/replicator/change"
)

// rowHashBytes is how much of a SHA-256 tells the rows of a multiset apart:
// with 2^40 different rows the odds of two with one hash are about 10^-15.
const rowHashBytes = 16

// rowHash is the identity of the rows of a multiset: what column
// [change.RowColumn] of the target holds. It belongs to one goroutine.
type rowHash struct {
	sum    hash.Hash
	header [6]byte
	digest [sha256.Size]byte
	text   [2 * rowHashBytes]byte
}

// newRowHash returns the identity of rel's rows. Columns must stand in the
// order of their attnums, as pgoutput sends them: the hash goes by it.
func newRowHash(rel *change.Relation) (*rowHash, error) {
	for i := 1; i < len(rel.Columns); i++ {
		if rel.Columns[i-1].Attnum >= rel.Columns[i].Attnum {
			return nil, fmt.Errorf("hashing rows of table %s: column %q stands before attnum %d", rel,
				rel.Columns[i].Name, rel.Columns[i-1].Attnum)
		}
	}
	return &rowHash{sum: sha256.New()}, nil
}

// of computes the hash of a complete image: SHA-256, cut to 128 bits, over the
// columns' attnum (two bytes), the length of the source's text (four bytes; all
// big-endian) and the text, for each value that is not NULL, by attnum. So a
// column that is added later, NULL in all rows, changes no hash. Policies for
// values that the target can't hold don't touch it. It reports whether the
// image has a value for each column.
func (h *rowHash) of(columns []column, image change.Tuple) bool {
	h.sum.Reset()
	var v change.Value
	for i := range columns {
		switch v, image = image.Next(); v.Kind {
		case change.ValueNull:
			continue
		case change.ValueText:
		default:
			return false
		}
		binary.BigEndian.PutUint16(h.header[:], uint16(columns[i].attnum))
		binary.BigEndian.PutUint32(h.header[2:], uint32(len(v.Text))) // at most 1 GB, so it fits
		h.sum.Write(h.header[:])
		h.sum.Write(v.Text)
	}
	hex.Encode(h.text[:], h.sum.Sum(h.digest[:0])[:rowHashBytes])
	return len(image) == 0
}
