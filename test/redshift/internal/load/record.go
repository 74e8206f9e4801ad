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
	// marker says that an escaped null marker was met.
	marker bool
}

// recordReader cuts a file into records. next returns io.EOF after the last;
// a *Failure concerns one record only if recover is true, else the file.
type recordReader interface {
	next() ([]field, error)
	line() int64
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
}

func (b *byteReader) line() int64 { return b.lines }

func (b *byteReader) begin() {
	b.buf, b.ends, b.flags, b.size = b.buf[:0], b.ends[:0], b.flags[:0], 0
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

// csvReader reads CSV: quotes double, backslashes mean nothing.
type csvReader struct {
	byteReader
	delim, quote byte
	ignoreBlank  bool
}

func (c *csvReader) next() ([]field, error) {
	c.begin()
	c.lines++
	first := true
	for {
		end, err := c.field(first)
		if err != nil {
			return nil, err
		}
		if end {
			f := c.fields()
			if len(f) == 1 && !f[0].quoted && len(f[0].data) == 0 && c.ignoreBlank {
				return c.next()
			}
			return f, nil
		}
		first = false
	}
}

// field reads one field and reports whether it was the record's last.
func (c *csvReader) field(first bool) (bool, error) {
	start := len(c.buf)
	for {
		b, err := c.r.ReadByte()
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
		c.size++
		switch {
		case c.size > maxRow:
			return false, rowTooLarge()
		case b == c.delim:
			c.endField(false)
			return false, nil
		case b == '\n':
			if n := len(c.buf); n > start && c.buf[n-1] == '\r' {
				c.buf = c.buf[:n-1]
			}
			c.endField(false)
			return true, nil
		case b == c.quote:
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
		b, err := c.r.ReadByte()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return false, fail(CodeDelimiter, "Delimited value missing end quote")
			}
			return false, err
		}
		if c.size++; c.size > maxRow {
			return false, rowTooLarge()
		}
		if b == '\n' {
			c.lines++
		}
		if b != c.quote {
			c.buf = append(c.buf, b)
			continue
		}
		next, err := c.r.ReadByte()
		if errors.Is(err, io.EOF) {
			c.endField(true)
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if next == c.quote {
			c.buf = append(c.buf, b)
			c.size++
			continue
		}
		return c.afterQuote(next)
	}
}

// afterQuote expects the field's end.
func (c *csvReader) afterQuote(b byte) (bool, error) {
	for b == ' ' || b == '\t' || b == '\r' {
		var err error
		if b, err = c.r.ReadByte(); errors.Is(err, io.EOF) {
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

// textReader reads delimited text. Under ESCAPE a backslash makes the next
// byte literal and decodes nothing.
type textReader struct {
	byteReader
	delim        byte
	escape       bool
	removeQuotes bool
	ignoreBlank  bool
	escaped      []bool
	start        int  // of the field in buf
	onlyNull     bool // the field is exactly an escaped N
}

func (t *textReader) next() ([]field, error) {
	t.begin()
	t.lines++
	t.start, t.onlyNull = 0, false
	t.escaped = t.escaped[:0]
	for some := false; ; some = true {
		b, err := t.r.ReadByte()
		if errors.Is(err, io.EOF) {
			if !some {
				return nil, io.EOF
			}
			return t.finish(), nil
		}
		if err != nil {
			return nil, err
		}
		if t.size++; t.size > maxRow {
			return nil, rowTooLarge()
		}
		if b == '\n' {
			if n := len(t.buf); n > t.start && t.buf[n-1] == '\r' {
				t.buf = t.buf[:n-1]
			}
			f := t.finish()
			if t.ignoreBlank && len(f) == 1 && len(f[0].data) == 0 {
				return t.next()
			}
			return f, nil
		}
		if err := t.take(b); err != nil {
			return nil, err
		}
	}
}

// take handles one byte that does not end the row.
func (t *textReader) take(b byte) error {
	switch {
	case b == t.delim:
		t.endField(false)
		t.escaped = append(t.escaped, t.onlyNull)
		t.start, t.onlyNull = len(t.buf), false
	case b == '\\' && t.escape:
		next, err := t.r.ReadByte()
		if err != nil {
			return fail(CodeDelimiter, "Delimiter not found: the file ends in an escape character")
		}
		t.onlyNull = next == 'N' && len(t.buf) == t.start
		if next == '\n' {
			t.lines++
		}
		t.buf = append(t.buf, next)
	case t.removeQuotes && (b == '"' || b == '\'') && len(t.buf) == t.start:
		return t.untilQuote(b)
	default:
		t.buf = append(t.buf, b)
	}
	if len(t.buf) > t.start+1 {
		t.onlyNull = false
	}
	return nil
}

func (t *textReader) finish() []field {
	t.endField(false)
	t.escaped = append(t.escaped, t.onlyNull)
	f := t.fields()
	for i := range f {
		f[i].marker = t.escaped[i]
	}
	return f
}

func (t *textReader) untilQuote(q byte) error {
	for {
		b, err := t.r.ReadByte()
		if err != nil {
			return fail(CodeDelimiter, "Delimited value missing end quote")
		}
		if b == q {
			return nil
		}
		if t.size++; t.size > maxRow {
			return rowTooLarge()
		}
		t.buf = append(t.buf, b)
	}
}
