package pgoutput

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"
)

// Errors that callers may tell apart. All of them mean that the stream can't
// be followed any further: nothing is known about what the message said.
var (
	// ErrMalformed reports bytes that are no message of the decoder's
	// protocol version, or one that can't come at this place.
	ErrMalformed = errors.New("malformed pgoutput message")
	// ErrTwoPhase reports a message of prepared transactions (protocol 3).
	ErrTwoPhase = errors.New("two_phase is never enabled")
	// ErrBinary reports a value in binary format.
	ErrBinary = errors.New("binary values are never asked for (option binary)")
)

// postgresEpoch is 2000-01-01 00:00:00 UTC in microseconds of the Unix epoch;
// PostgreSQL counts timestamps from there.
const postgresEpoch = 946_684_800_000_000

// reader takes fields off the front of a message. The first field that does
// not fit sets err; all fields after that are zero.
type reader struct {
	b   []byte
	off int
	err error
}

// fail sets err, unless it is set, naming the message and the place.
func (r *reader) fail(what string) {
	if r.err != nil {
		return
	}
	r.err = fmt.Errorf("decoding %s at offset %d of %d: %s: %w",
		Kind(r.b[0]), r.off, len(r.b), what, ErrMalformed)
}

// take returns the next n bytes, or nil and sets err.
func (r *reader) take(n int, what string) []byte {
	if r.err != nil || len(r.b)-r.off < n {
		r.fail(what + " is cut short")
		return nil
	}
	b := r.b[r.off : r.off+n : r.off+n]
	r.off += n
	return b
}

func (r *reader) uint8(what string) byte {
	if b := r.take(1, what); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint16(what string) uint16 {
	if b := r.take(2, what); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) uint32(what string) uint32 {
	if b := r.take(4, what); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64(what string) uint64 {
	if b := r.take(8, what); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) lsn(what string) pglogrepl.LSN { return pglogrepl.LSN(r.uint64(what)) }

func (r *reader) time(what string) time.Time {
	return time.UnixMicro(int64(r.uint64(what)) + postgresEpoch).UTC()
}

// flags reads a byte of which only the bits of known may be set.
func (r *reader) flags(known byte, what string) byte {
	f := r.uint8(what)
	if f&^known != 0 {
		r.off--
		r.fail(fmt.Sprintf("unknown bits in %s %#02x", what, f))
	}
	return f
}

// xid reads a transaction id, which is never 0.
func (r *reader) xid(what string) uint32 {
	x := r.uint32(what)
	if x == 0 && r.err == nil {
		r.off -= 4
		r.fail(what + " is 0")
	}
	return x
}

// text reads a zero-terminated string; it allocates.
func (r *reader) text(what string) string {
	if r.err != nil {
		return ""
	}
	n := bytes.IndexByte(r.b[r.off:], 0)
	if n < 0 {
		r.fail(what + " is not terminated")
		return ""
	}
	s := string(r.b[r.off : r.off+n])
	r.off += n + 1
	return s
}

// schema reads a schema's name. PostgreSQL sends pg_catalog as "" to save
// space.
func (r *reader) schema() string {
	if s := r.text("schema"); s != "" {
		return s
	}
	return "pg_catalog"
}
