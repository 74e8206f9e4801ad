package stage

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/walshift/walshift/replicator/change"
)

// flushBytes is how many bytes of records are gathered before they go to the
// compressor.
const flushBytes = 64 << 10

// coder writes the records of one file at a time into memory. It is reused for
// file after file, and belongs to one goroutine at a time.
type coder struct {
	compressor compressor
	raw        []byte // records not compressed yet
	out        output
	marker     []byte
	layout     *layout
	counts     counts
}

type counts struct{ rows, existed, kept int64 }

// output collects compressed bytes.
type output struct{ b []byte }

func (o *output) Write(p []byte) (int, error) {
	o.b = append(o.b, p...)
	return len(p), nil
}

// begin starts a file in the given memory, which may be nil.
func (c *coder) begin(l *layout, marker string, memory []byte) {
	c.layout = l
	c.marker = append(c.marker[:0], marker...)
	c.raw, c.out.b = c.raw[:0], memory[:0]
	c.counts = counts{}
	c.compressor.Reset(&c.out)
}

// add writes a row. The row that did not fit is not part of the file.
func (c *coder) add(image, origin change.Tuple, existed bool) (record, error) {
	before := len(c.raw)
	var rec record
	if c.raw, rec = c.layout.append(c.raw, image, origin, c.marker); rec.reason != fits {
		c.raw = c.raw[:before]
		return rec, nil
	}
	c.counts.rows++
	if existed {
		c.counts.existed++
	}
	if rec.kept {
		c.counts.kept++
	}
	if len(c.raw) >= flushBytes {
		return rec, c.flush()
	}
	return rec, nil
}

func (c *coder) flush() error {
	if _, err := c.compressor.Write(c.raw); err != nil {
		return fmt.Errorf("compressing records: %w", err)
	}
	c.raw = c.raw[:0]
	return nil
}

// size is the number of bytes compressed so far; it trails what was added by
// up to a block of the compressor and flushBytes.
func (c *coder) size() int64 { return int64(len(c.out.b)) }

// finish ends the file and hands its bytes over.
func (c *coder) finish() (body []byte, err error) {
	if err := c.flush(); err != nil {
		return nil, err
	}
	if err := c.compressor.Close(); err != nil {
		return nil, fmt.Errorf("compressing records: %w", err)
	}
	body, c.out.b = c.out.b, nil
	return body, nil
}

// release hands over the memory of a file that is given up.
func (c *coder) release() []byte {
	b := c.out.b
	c.out.b = nil
	return b
}

// newMarker derives a NULL marker from a seed. Its tilde and hex digits mean
// nothing to CSV, to SQL literals and to blanks.
func newMarker(seed string, try int) string {
	sum := sha256.Sum256([]byte(seed + "#" + strconv.Itoa(try)))
	return "~N" + hex.EncodeToString(sum[:4])
}
