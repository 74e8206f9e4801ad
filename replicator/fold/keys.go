package fold

import (
	"bytes"
	"hash/maphash"
	"math/bits"
)

// Flags of an entry.
const (
	existed = 1 << iota // the key existed when the segment began
	present             // a row stands under the key now
	kept                // the row has unchanged values that only the target has
	own                 // the image has an arena chunk of its own
)

// entry is one key that the segment has touched, and the row under it. It
// holds no pointers. Where rows have no key, it is just a row.
type entry struct {
	keyChunk, keyOff, keyLen uint32
	// The image lies in imgCap bytes; they stay the entry's when the row goes,
	// and may be written again. If the key is a prefix of the images, the key
	// is stored as the prefix of the first one, which is why that is never
	// given up: see store.
	imgChunk, imgOff, imgLen, imgCap uint32
	// origin is one above the entry of the key under which the row stood when
	// the segment began; 0: the row was created in the segment.
	origin uint32
	flags  uint32
}

// keys is the set of a segment's entries: blocks in order of creation, and a
// hash table with open addressing over those with a key. Nothing is ever
// removed from it.
type keys struct {
	pool   *pool
	seed   maphash.Seed
	blocks [][]entry
	count  uint32
	room   uint32 // entries that fit into blocks
	// table holds hash<<32 | place+1 with linear probing; 0 is free.
	table []uint64
	bytes int64 // of blocks and table
}

// Blocks grow by doubling from smallBlock to largeBlock entries, growing of
// them, and stay at that size then.
const (
	growing       = 9 // 16, 32, … 4096
	growingCount  = smallBlock * (1<<growing - 1)
	blockHeader   = 2 * 24
	largeBlockLog = 12
)

// entry returns the entry at place i. The pointer stays valid.
func (k *keys) entry(i uint32) *entry {
	if i < growingCount {
		j := i + smallBlock
		b := bits.Len32(j/smallBlock) - 1
		return &k.blocks[b][j-smallBlock<<b]
	}
	j := i - growingCount
	return &k.blocks[growing+j>>largeBlockLog][j%largeBlock]
}

// add appends an empty entry.
func (k *keys) add() (*entry, uint32) {
	if k.count == k.room {
		size := largeBlock
		if n := len(k.blocks); n < growing {
			size = smallBlock << n
		}
		k.blocks = append(k.blocks, k.pool.takeBlock(size))
		k.room += uint32(size)
		k.bytes += int64(size)*entryBytes + blockHeader
	}
	i := k.count
	k.count++
	e := k.entry(i)
	*e = entry{}
	return e, i
}

// find returns the entry of key, or nil, and the key's hash for insert.
func (k *keys) find(a *arena, key []byte) (e *entry, hash uint32) {
	hash = uint32(maphash.Bytes(k.seed, key))
	if k.table == nil {
		return nil, hash
	}
	mask := uint32(len(k.table) - 1)
	for i := hash & mask; k.table[i] != 0; i = (i + 1) & mask {
		if uint32(k.table[i]>>32) != hash {
			continue
		}
		e = k.entry(uint32(k.table[i]) - 1)
		if bytes.Equal(a.at(e.keyChunk, e.keyOff, e.keyLen), key) {
			return e, hash
		}
	}
	return nil, hash
}

// insert makes the entry at place, whose key is not in the table, findable.
func (k *keys) insert(place, hash uint32) {
	// Every entry of a segment with keys is in the table, this one included.
	// At most three quarters are used: beyond that, linear probing gets slow.
	if need := 4 * uint64(k.count); need > 3*uint64(len(k.table)) {
		k.grow()
	}
	k.place(uint64(hash)<<32 | uint64(place+1))
}

func (k *keys) place(slot uint64) {
	mask := uint32(len(k.table) - 1)
	i := uint32(slot>>32) & mask
	for k.table[i] != 0 {
		i = (i + 1) & mask
	}
	k.table[i] = slot
}

func (k *keys) grow() {
	old := k.table
	k.table = k.pool.takeTable(max(2*len(old), smallTable))
	k.bytes += int64(len(k.table)-len(old)) * slotBytes
	for _, slot := range old {
		if slot != 0 {
			k.place(slot)
		}
	}
	k.pool.giveTable(old)
}

// release gives all memory back.
func (k *keys) release() {
	k.pool.giveBlocks(k.blocks)
	k.pool.giveTable(k.table)
	k.blocks, k.table, k.count, k.room, k.bytes = nil, nil, 0, 0, 0
}
