package fold

import (
	"math/bits"
	"sync"
)

// Sizes of buffers. A segment's chunks and entry blocks grow from the small to
// the large size, so that ten thousand tables with a row each cost little.
const (
	smallChunk = 1 << 10
	largeChunk = 256 << 10
	// An image above ownChunk gets a buffer of its own: putting it into a
	// chunk would leave up to that much of the one before unused.
	ownChunk = largeChunk / 4

	smallBlock = 16
	largeBlock = 4096
	entryBytes = 9 * 4 // entry is nine uint32

	smallTable = 32
	// Hash tables below pooledTable slots are left to the garbage collector.
	pooledTable = 1 << 10
	slotBytes   = 8
)

// pool keeps buffers of released segments for the next ones; only large ones,
// whose number is what costs. It is safe for concurrent use, for segments are
// released from other goroutines.
type pool struct {
	mu     sync.Mutex
	limit  int64 // of idle
	idle   int64 // bytes in the lists below
	chunks [][]byte
	blocks [][]entry
	tables [32][][]uint64 // by the binary logarithm of their length
}

// take removes a buffer from list, which is one of p's, or returns nil.
func take[T any](p *pool, list *[][]T, size int64) []T {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(*list) - 1
	if last < 0 {
		return nil
	}
	b := (*list)[last]
	(*list)[last] = nil
	*list = (*list)[:last]
	p.idle -= size
	return b
}

// give puts b into list, which is one of p's, unless p is full.
func give[T any](p *pool, list *[][]T, b []T, size int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.idle+size <= p.limit {
		p.idle += size
		*list = append(*list, b)
	}
}

func (p *pool) takeChunk(size int) []byte {
	if size == largeChunk {
		if b := take(p, &p.chunks, largeChunk); b != nil {
			return b
		}
	}
	return make([]byte, size)
}

func (p *pool) giveChunks(chunks [][]byte) {
	for _, c := range chunks {
		if len(c) == largeChunk {
			give(p, &p.chunks, c, largeChunk)
		}
	}
}

func (p *pool) takeBlock(size int) []entry {
	if size == largeBlock {
		if b := take(p, &p.blocks, largeBlock*entryBytes); b != nil {
			return b
		}
	}
	return make([]entry, size)
}

func (p *pool) giveBlocks(blocks [][]entry) {
	for _, b := range blocks {
		if len(b) == largeBlock {
			give(p, &p.blocks, b, largeBlock*entryBytes)
		}
	}
}

// takeTable returns size zero slots; size is a power of two.
func (p *pool) takeTable(size int) []uint64 {
	if size >= pooledTable {
		if b := take(p, &p.tables[bits.TrailingZeros(uint(size))], int64(size)*slotBytes); b != nil {
			clear(b)
			return b
		}
	}
	return make([]uint64, size)
}

func (p *pool) giveTable(table []uint64) {
	if len(table) >= pooledTable {
		give(p, &p.tables[bits.TrailingZeros(uint(len(table)))], table, int64(len(table))*slotBytes)
	}
}
