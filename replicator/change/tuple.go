package change

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Kinds of a value in a tuple, as pgoutput's TupleData spells them
// (PostgreSQL protocol, "Logical Replication Message Formats").
const (
	ValueNull = 'n'
	// ValueUnchanged marks a TOASTed value that the update did not touch and
	// the stream does not carry: a kept column.
	ValueUnchanged = 'u'
	ValueText      = 't'
)

// Tuple is one row image: for each column in order a kind byte and, for
// ValueText, a big-endian uint32 length and that many bytes. This is the body
// of pgoutput's TupleData without its leading column count, so that an image
// goes from the wire to the encoder with one copy and no allocation per value.
//
// A Tuple from a decoder aliases the decoder's buffer; a Tuple in a [Segment]
// belongs to the segment.
type Tuple []byte

// Value is one value of a tuple. Text aliases the tuple; it is nil unless
// Kind is ValueText.
type Value struct {
	Kind byte
	Text []byte
}

// ErrBadTuple reports bytes that are not a tuple.
var ErrBadTuple = errors.New("malformed tuple data")

// Next splits off the first value. It must be called on valid tuples only
// (see [Tuple.Check]); on others it returns a value of kind 0.
func (t Tuple) Next() (Value, Tuple) {
	if len(t) == 0 {
		return Value{}, nil
	}
	if t[0] != ValueText {
		return Value{Kind: t[0]}, t[1:]
	}
	if len(t) < 5 {
		return Value{}, nil
	}
	end := uint64(binary.BigEndian.Uint32(t[1:])) + 5
	if end > uint64(len(t)) {
		return Value{}, nil
	}
	return Value{Kind: ValueText, Text: t[5:end:end]}, t[end:]
}

// Check reports whether t holds exactly n well-formed text-format values.
func (t Tuple) Check(n int) error {
	for i := range n {
		var v Value
		v, t = t.Next()
		switch v.Kind {
		case ValueNull, ValueUnchanged, ValueText:
		default:
			return fmt.Errorf("%w: column %d of %d", ErrBadTuple, i+1, n)
		}
	}
	if len(t) != 0 {
		return fmt.Errorf("%w: %d bytes after column %d", ErrBadTuple, len(t), n)
	}
	return nil
}

// HasUnchanged reports whether any value of the valid tuple t is unchanged.
func (t Tuple) HasUnchanged() bool {
	for len(t) > 0 {
		var v Value
		v, t = t.Next()
		if v.Kind == ValueUnchanged {
			return true
		}
	}
	return false
}

// Values appends the values of t to dst, which callers reuse, and returns it.
func (t Tuple) Values(dst []Value) []Value {
	for len(t) > 0 {
		var v Value
		v, t = t.Next()
		dst = append(dst, v)
	}
	return dst
}

// AppendValue appends v in tuple form to dst.
func AppendValue(dst []byte, v Value) []byte {
	dst = append(dst, v.Kind)
	if v.Kind != ValueText {
		return dst
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(v.Text))) // at most 1 GB, so it fits
	return append(dst, v.Text...)
}
