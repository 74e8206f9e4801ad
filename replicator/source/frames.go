package source

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// errBadFrame reports bytes that are no message of the wire protocol.
var errBadFrame = errors.New("malformed protocol message")

const (
	frameHeader = 5 // type and length
	// keepLarge is how many reads pass without a message larger than the
	// usual buffer before a grown one is given back.
	keepLarge = 64
)

// frames splits a byte stream of the server into messages, in place: bodies
// alias the buffer. It allocates only to grow for a message that is larger
// than the buffer, and then step by step as data arrives, so that a garbled
// length costs no memory.
type frames struct {
	src io.Reader
	buf []byte
	// buf[r:w] is received and not yet consumed.
	r, w  int
	usual int
	// idle counts reads since the buffer was last needed at its grown size.
	idle int
}

func newFrames(src io.Reader, size int) *frames {
	return &frames{src: src, buf: make([]byte, size), usual: size}
}

// next consumes the next message. need is 0 on success, else the number of
// bytes that must be buffered before it can succeed.
func (f *frames) next() (typ byte, body []byte, need int, err error) {
	have := f.w - f.r
	if have < frameHeader {
		return 0, nil, frameHeader, nil
	}
	size, err := f.size()
	if err != nil {
		return 0, nil, 0, err
	}
	if have < size {
		return 0, nil, size, nil
	}
	typ, body = f.buf[f.r], f.buf[f.r+frameHeader:f.r+size:f.r+size]
	f.r += size
	return typ, body, 0, nil
}

// size returns the length of the message at r, header included.
func (f *frames) size() (int, error) {
	n := binary.BigEndian.Uint32(f.buf[f.r+1:])
	if n < 4 || n > 1<<31-2 {
		return 0, fmt.Errorf("%w: length %d of message type %q", errBadFrame, n, f.buf[f.r])
	}
	return int(n) + 1, nil
}

// peek returns the type of the next message if it is buffered whole, else 0.
func (f *frames) peek() byte {
	if f.w-f.r < frameHeader {
		return 0
	}
	if size, err := f.size(); err != nil || f.w-f.r < size {
		return 0
	}
	return f.buf[f.r]
}

// fill reads once, making room for a message of need bytes first.
func (f *frames) fill(need int) error {
	f.room(need)
	n, err := f.src.Read(f.buf[f.w:])
	f.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

func (f *frames) room(need int) {
	have := f.w - f.r
	switch {
	case need > len(f.buf):
		f.idle = 0
		if have == len(f.buf) {
			grown := make([]byte, min(need, 2*len(f.buf)))
			copy(grown, f.buf[f.r:f.w])
			f.buf, f.r, f.w = grown, 0, have
			return
		}
	case len(f.buf) > f.usual:
		if need > f.usual || have > f.usual {
			f.idle = 0
		} else if f.idle++; f.idle >= keepLarge {
			f.idle = 0
			usual := make([]byte, f.usual)
			copy(usual, f.buf[f.r:f.w])
			f.buf, f.r, f.w = usual, 0, have
			return
		}
	}
	if f.r > 0 {
		// What is left is part of one message, little as a rule.
		copy(f.buf, f.buf[f.r:f.w])
		f.r, f.w = 0, have
	}
}
