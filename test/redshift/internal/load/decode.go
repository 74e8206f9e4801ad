package load

import (
	"bufio"
	"errors"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// decode turns text of another encoding into UTF-8. A file that is not of the
// encoding stated ends in a *Failure with code 1221.
func decode(r io.Reader, encoding string) io.Reader {
	b := bufio.NewReaderSize(r, readBuffer)
	if encoding == "" || encoding == "UTF8" {
		if head, _ := b.Peek(2); isBOM(head) {
			return &decoder{err: wrongEncoding()}
		}
		return b
	}
	return &decoder{r: b, encoding: encoding}
}

func isBOM(b []byte) bool {
	return len(b) == 2 && (b[0] == 0xff && b[1] == 0xfe || b[0] == 0xfe && b[1] == 0xff)
}

func wrongEncoding() *Failure {
	return fail(CodeEncoding, "The file's encoding differs from the one stated")
}

// decoder reads UTF-16 and ISO 8859-1.
type decoder struct {
	r        *bufio.Reader
	encoding string
	started  bool
	little   bool
	out      []byte
	off      int
	err      error
}

// Read gives UTF-8; a lone surrogate comes out as the three bytes that UTF-8
// forbids, so that the value's own check finds it.
func (d *decoder) Read(p []byte) (int, error) {
	if d.off == len(d.out) {
		d.out, d.off = d.out[:0], 0
		for d.err == nil && len(d.out) < readBuffer/2 {
			d.step()
		}
	}
	if d.off == len(d.out) {
		return 0, d.err
	}
	n := copy(p, d.out[d.off:])
	d.off += n
	return n, nil
}

func (d *decoder) step() {
	if d.encoding == "ISO88591" {
		b, err := d.r.ReadByte()
		if d.err = err; err == nil {
			d.out = utf8.AppendRune(d.out, rune(b))
		}
		return
	}
	if !d.started {
		d.start()
		if d.err != nil {
			return
		}
	}
	u, ok := d.unit()
	if !ok {
		return
	}
	if !utf16.IsSurrogate(u) {
		d.out = utf8.AppendRune(d.out, u)
		return
	}
	if u < 0xdc00 {
		if next, err := d.r.Peek(2); err == nil {
			if r := utf16.DecodeRune(u, d.join(next)); r != utf8.RuneError {
				_, _ = d.r.Discard(2)
				d.out = utf8.AppendRune(d.out, r)
				return
			}
		}
	}
	d.out = append(d.out, 0xe0|byte(u>>12), 0x80|byte(u>>6)&0x3f, 0x80|byte(u)&0x3f)
}

// start takes the byte order mark, which UTF16 needs and the others may have.
func (d *decoder) start() {
	d.started = true
	d.little = d.encoding == "UTF16LE"
	head, _ := d.r.Peek(2)
	if isBOM(head) {
		d.little = head[0] == 0xff
		_, _ = d.r.Discard(2)
		if d.encoding == "UTF16LE" != d.little && d.encoding != "UTF16" {
			d.err = wrongEncoding()
		}
	} else if d.encoding == "UTF16" && len(head) > 0 {
		d.err = wrongEncoding()
	}
}

func (d *decoder) unit() (rune, bool) {
	var b [2]byte
	_, err := io.ReadFull(d.r, b[:])
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = wrongEncoding()
	}
	if d.err = err; err != nil {
		return 0, false
	}
	return d.join(b[:]), true
}

func (d *decoder) join(b []byte) rune {
	if d.little {
		return rune(b[0]) | rune(b[1])<<8
	}
	return rune(b[0])<<8 | rune(b[1])
}
