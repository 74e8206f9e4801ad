package load

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/snappy"
)

// Limits of AVRO files (data format parameters, AVRO).
const (
	maxAvroHeader = 1 << 20
	maxAvroBlock  = 4 << 20
	avroSync      = 16
)

// avroReader reads the records of an object container file as documents.
type avroReader struct {
	shape
	r      *bufio.Reader
	schema *avroType
	codec  string
	sync   [avroSync]byte
	block  avroBytes
	left   int64
	n      int64
	doc    []byte
}

func badAvro(what string) error { return stmtErr("Invalid AVRO file found. %s", what) }

func newAvroReader(r *bufio.Reader, s shape) (*avroReader, error) {
	a := &avroReader{shape: s, r: r}
	head := &countingReader{r: r, left: maxAvroHeader}
	var magic [4]byte
	if _, err := io.ReadFull(head, magic[:]); err != nil || string(magic[:]) != "Obj\x01" {
		return nil, badAvro("The file does not begin as an AVRO file.")
	}
	meta, err := avroMeta(head)
	if err != nil {
		return nil, badAvro("The header is broken or larger than 1 MB.")
	}
	if _, err := io.ReadFull(head, a.sync[:]); err != nil {
		return nil, badAvro("Unexpected end of AVRO file.")
	}
	switch a.codec = meta["avro.codec"]; a.codec {
	case "", "null", "deflate", "snappy":
	default:
		return nil, badAvro("The codec is none of deflate and snappy.")
	}
	if a.schema, err = parseAvroSchema([]byte(meta["avro.schema"])); err != nil {
		return nil, badAvro("The schema cannot be read.")
	}
	if a.schema.kind != "record" {
		return nil, badAvro("The schema's type is not record.")
	}
	return a, nil
}

// countingReader ends in an error after so many bytes.
type countingReader struct {
	r    *bufio.Reader
	left int
}

func (c *countingReader) ReadByte() (byte, error) {
	if c.left--; c.left < 0 {
		return 0, io.ErrShortBuffer
	}
	return c.r.ReadByte()
}

func (c *countingReader) Read(p []byte) (int, error) {
	if len(p) > c.left {
		return 0, io.ErrShortBuffer
	}
	n, err := c.r.Read(p)
	c.left -= n
	return n, err
}

func avroMeta(r *countingReader) (map[string]string, error) {
	meta := map[string]string{}
	text := func() (string, error) {
		n, err := binary.ReadVarint(r)
		if err != nil || n < 0 || n > int64(r.left) {
			return "", io.ErrUnexpectedEOF
		}
		b := make([]byte, n)
		_, err = io.ReadFull(r, b)
		return string(b), err
	}
	for {
		n, err := binary.ReadVarint(r)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return meta, nil
		}
		if n < 0 { // a size follows
			if _, err := binary.ReadVarint(r); err != nil {
				return nil, err
			}
			n = -n
		}
		for range n {
			k, err := text()
			if err != nil {
				return nil, err
			}
			if meta[k], err = text(); err != nil {
				return nil, err
			}
		}
	}
}

func (a *avroReader) line() int64     { return a.n }
func (a *avroReader) rawLine() []byte { return a.doc[:min(len(a.doc), maxRaw)] }

// skipLine has nothing to skip: a record is always read to its end.
func (a *avroReader) skipLine() error { return nil }

func (a *avroReader) next() ([]field, error) {
	for a.left == 0 {
		if len(a.block) > 0 {
			return nil, badAvro("A block holds more than its records.")
		}
		if err := a.nextBlock(); err != nil {
			return nil, err
		}
	}
	a.left--
	a.n++
	a.doc = a.doc[:0]
	var err error
	if a.doc, err = a.schema.json(a.doc, &a.block, 0); err != nil {
		return nil, badAvro("A record does not follow the schema.")
	}
	if len(a.doc)+bytes.Count(a.doc, []byte("|")) > maxRow {
		return nil, rowTooLarge()
	}
	return a.row(json.RawMessage(a.doc))
}

func (a *avroReader) nextBlock() error {
	if _, err := a.r.Peek(1); errors.Is(err, io.EOF) {
		return io.EOF
	}
	count, err := binary.ReadVarint(a.r)
	if err != nil {
		return badAvro("Unexpected end of AVRO file.")
	}
	size, err := binary.ReadVarint(a.r)
	if err != nil || count < 0 || size < 0 {
		return badAvro("Unexpected end of AVRO file.")
	}
	if size > maxAvroBlock {
		return badAvro("A block is larger than 4 MB.")
	}
	body := make([]byte, size+avroSync)
	if _, err := io.ReadFull(a.r, body); err != nil {
		return badAvro("Unexpected end of AVRO file.")
	}
	if !bytes.Equal(body[size:], a.sync[:]) {
		return badAvro("A sync marker is wrong.")
	}
	if a.block, err = a.unpack(body[:size]); err != nil {
		return badAvro("A block cannot be decompressed.")
	}
	if count > int64(len(a.block)) {
		return badAvro("A block holds fewer records than it says.")
	}
	a.left = count
	return nil
}

func (a *avroReader) unpack(body []byte) ([]byte, error) {
	switch a.codec {
	case "deflate":
		out, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(body)), maxAvroBlock+1))
		if err == nil && len(out) > maxAvroBlock {
			err = io.ErrShortBuffer
		}
		return out, err
	case "snappy":
		const sum = 4
		if len(body) < sum {
			return nil, io.ErrUnexpectedEOF
		}
		n, err := snappy.DecodedLen(body[:len(body)-sum])
		if err != nil || n > maxAvroBlock {
			return nil, io.ErrShortBuffer
		}
		out, err := snappy.Decode(nil, body[:len(body)-sum])
		if err == nil && crc32.ChecksumIEEE(out) != binary.BigEndian.Uint32(body[len(body)-sum:]) {
			err = io.ErrUnexpectedEOF
		}
		return out, err
	}
	return body, nil
}
