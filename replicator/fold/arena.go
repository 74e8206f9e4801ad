package fold

// arena stores byte strings in chunks from the pool. Strings are named by
// chunk and offset, so that what refers to them holds no pointers for the
// garbage collector to follow.
type arena struct {
	pool   *pool
	chunks [][]byte
	// tail is the rest of the chunk that is being filled, tailChunk its place
	// in chunks.
	tail      []byte
	tailChunk uint32
	size      int // of the last chunk
	bytes     int64
}

// chunkHeader is what an element of arena.chunks costs; slices grow by doubling.
const chunkHeader = 2 * 24

// alloc returns space for n bytes and its name. own says that it is a chunk of
// its own, which may be freed alone.
func (a *arena) alloc(n int) (b []byte, chunk, off uint32, own bool) {
	if n > ownChunk {
		return a.push(make([]byte, n)), uint32(len(a.chunks) - 1), 0, true
	}
	if n > len(a.tail) {
		for a.size = min(max(2*a.size, smallChunk), largeChunk); a.size < n; {
			a.size *= 2
		}
		a.tail = a.push(a.pool.takeChunk(a.size))
		a.tailChunk = uint32(len(a.chunks) - 1)
	}
	b, a.tail = a.tail[:n:n], a.tail[n:]
	chunk = a.tailChunk
	return b, chunk, uint32(len(a.chunks[chunk]) - len(a.tail) - n), false
}

func (a *arena) push(b []byte) []byte {
	a.chunks = append(a.chunks, b)
	a.bytes += int64(len(b)) + chunkHeader
	return b
}

// freeOwn gives up a chunk of which alloc said that it is its owner's.
func (a *arena) freeOwn(chunk uint32) {
	a.bytes -= int64(len(a.chunks[chunk]))
	a.chunks[chunk] = nil
}

// at returns the n bytes that are stored there.
func (a *arena) at(chunk, off, n uint32) []byte {
	if n == 0 {
		return []byte{} // was never stored: the row of a table without columns
	}
	return a.chunks[chunk][off : off+n : off+n]
}
