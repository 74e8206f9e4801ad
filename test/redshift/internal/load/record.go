package load

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// field is one value of a record as it stood in the file.
type field struct {
	data   []byte
	quoted bool
	// marker says that an escaped null marker or JSON's null was met.
	marker bool
	// missing says that the record ended before the field.
	missing bool
}

// recordReader cuts a file into records. next returns io.EOF after the last; a
// *Failure concerns one record if the reader is a resumer, else the file.
type recordReader interface {
	next() ([]field, error)
	line() int64
	rawLine() []byte
}

// byteReader counts lines and holds the bytes of the current record.
type byteReader struct {
	r     *bufio.Reader
	lines int64
	buf   []byte
	ends  []int
	flags []bool
	size  int
	out   []field
	raw   []byte
	last  byte
}

func (b *byteReader) line() int64     { return b.lines }
func (b *byteReader) rawLine() []byte { return b.raw }

func (b *byteReader) begin() {
	b.buf, b.ends, b.flags, b.size, b.raw, b.last = b.buf[:0], b.ends[:0], b.flags[:0], 0, b.raw[:0], 0
}

// get takes one byte.
func (b *byteReader) get() (byte, error) {
	c, err := b.r.ReadByte()
	if err != nil {
		return 0, err
	}
	b.last = c
	if len(b.raw) < maxRaw {
		b.raw = append(b.raw, c)
	}
	if b.size++; b.size > maxRow {
		return 0, rowTooLarge()
	}
	return c, nil
}

func (b *byteReader) endField(quoted bool) {
	b.ends = append(b.ends, len(b.buf))
	b.flags = append(b.flags, quoted)
}

func (b *byteReader) fields() []field {
	b.out = b.out[:0]
	start := 0
	for i, end := range b.ends {
		b.out = append(b.out, field{data: b.buf[start:end:end], quoted: b.flags[i]})
		start = end
	}
	return b.out
}

// skipLine drops the rest of a line, after an error in it.
func (b *byteReader) skipLine() error {
	if b.last == '\n' {
		return nil
	}
	for {
		_, err := b.r.ReadSlice('\n')
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

func rowTooLarge() *Failure {
	return fail(CodeLine, "Invalid line: the row exceeds %d bytes", maxRow)
}

func openQuote() *Failure {
	return fail(CodeDelimiter, "Delimited value missing end quote")
}

// csvReader reads CSV: quotes double, backslashes mean nothing.
type csvReader struct {
	byteReader
	delim, quote byte
	ignoreBlank  bool
}

func (c *csvReader) next() ([]field, error) {
	for {
		c.begin()
		c.lines++
		first := true
		for {
			end, err := c.field(first)
			if err != nil {
				if errors.Is(err, io.EOF) {
					c.lines--
				}
				return nil, err
			}
			if end {
				break
			}
			first = false
		}
		f := c.fields()
		if len(f) != 1 || f[0].quoted || len(f[0].data) > 0 || !c.ignoreBlank {
			return f, nil
		}
	}
}

// field reads one field and reports whether it was the record's last.
func (c *csvReader) field(first bool) (bool, error) {
	start := len(c.buf)
	for {
		b, err := c.get()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				return false, err
			}
			if first && len(c.buf) == start {
				return false, io.EOF
			}
			c.endField(false)
			return true, nil
		}
		switch b {
		case c.delim:
			c.endField(false)
			return false, nil
		case '\n':
			if n := len(c.buf); n > start && c.buf[n-1] == '\r' {
				c.buf = c.buf[:n-1]
			}
			c.endField(false)
			return true, nil
		case c.quote:
			if len(bytes.TrimLeft(c.buf[start:], " \t")) > 0 {
				return false, fail(CodeDelimiter, "Invalid quote formatting for CSV")
			}
			c.buf = c.buf[:start]
			return c.quotedField()
		default:
			c.buf = append(c.buf, b)
		}
	}
}

func (c *csvReader) quotedField() (bool, error) {
	for {
		b, err := c.get()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return false, openQuote()
			}
			return false, err
		}
		if b == '\n' {
			c.lines++
		}
		if b != c.quote {
			c.buf = append(c.buf, b)
			continue
		}
		next, err := c.get()
		if errors.Is(err, io.EOF) {
			c.endField(true)
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if next == c.quote {
			c.buf = append(c.buf, b)
			continue
		}
		return c.afterQuote(next)
	}
}

// afterQuote expects the field's end. Blanks before it are ignored, but a
// delimiter that is one is none.
func (c *csvReader) afterQuote(b byte) (bool, error) {
	for b != c.delim && (b == ' ' || b == '\t' || b == '\r') {
		var err error
		if b, err = c.get(); errors.Is(err, io.EOF) {
			c.endField(true)
			return true, nil
		} else if err != nil {
			return false, err
		}
	}
	switch b {
	case c.delim:
		c.endField(true)
		return false, nil
	case '\n':
		c.endField(true)
		return true, nil
	}
	return false, fail(CodeDelimiter, "Invalid quote formatting for CSV")
}

// fixedReader reads lines whose fields have a number of characters each.
type fixedReader struct {
	byteReader
	widths      []int
	ignoreBlank bool
}

func (f *fixedReader) next() ([]field, error) {
	for {
		f.begin()
		f.lines++
		if err := f.readLine(); err != nil {
			if errors.Is(err, io.EOF) {
				f.lines--
			}
			return nil, err
		}
		if len(f.buf) == 0 && f.ignoreBlank {
			continue
		}
		return f.cut()
	}
}

func (f *fixedReader) readLine() error {
	for some := false; ; some = true {
		b, err := f.get()
		if errors.Is(err, io.EOF) && some {
			return nil
		}
		if err != nil {
			return err
		}
		if b == '\n' {
			f.buf = bytes.TrimSuffix(f.buf, []byte("\r"))
			return nil
		}
		f.buf = append(f.buf, b)
	}
}

func (f *fixedReader) cut() ([]field, error) {
	f.out = f.out[:0]
	rest := f.buf
	for _, width := range f.widths {
		if len(rest) == 0 {
			return f.out, nil
		}
		n := 0
		for range width {
			if n < len(rest) {
				n += charLen(rest[n:])
			}
		}
		f.out = append(f.out, field{data: rest[:n:n]})
		rest = rest[n:]
	}
	if len(rest) > 0 {
		f.last = '\n' // the line has been read
		return nil, fail(CodeTooMany, "Extra column(s) found")
	}
	return f.out, nil
}
