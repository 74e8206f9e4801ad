package load

import (
	"errors"
	"io"
)

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
	guarded      bool // the last byte in buf was escaped
}

func (t *textReader) next() ([]field, error) {
	for {
		t.begin()
		t.lines++
		t.start, t.onlyNull, t.guarded = 0, false, false
		t.escaped = t.escaped[:0]
		if err := t.record(); err != nil {
			if errors.Is(err, io.EOF) {
				t.lines--
			}
			return nil, err
		}
		f := t.fields()
		for i := range f {
			f[i].marker = t.escaped[i]
		}
		if !t.ignoreBlank || len(f) != 1 || f[0].marker || len(f[0].data) > 0 || f[0].quoted {
			return f, nil
		}
	}
}

func (t *textReader) record() error {
	for some := false; ; some = true {
		b, err := t.get()
		if errors.Is(err, io.EOF) && some {
			t.finish(false)
			return nil
		}
		if err != nil {
			return err
		}
		if b == '\n' {
			t.chomp()
			t.finish(false)
			return nil
		}
		done, err := t.take(b)
		if err != nil || done {
			return err
		}
	}
}

// chomp drops the carriage return of a line end.
func (t *textReader) chomp() {
	if n := len(t.buf); n > t.start && t.buf[n-1] == '\r' && !t.guarded {
		t.buf = t.buf[:n-1]
	}
}

func (t *textReader) finish(quoted bool) {
	t.endField(quoted)
	t.escaped = append(t.escaped, t.onlyNull && !quoted)
	t.start, t.onlyNull, t.guarded = len(t.buf), false, false
}

// take handles one byte that does not end the row, and reports whether the row
// has ended all the same: with a closing quote.
func (t *textReader) take(b byte) (bool, error) {
	switch {
	case b == t.delim:
		t.finish(false)
		return false, nil
	case b == '\\' && t.escape:
		return false, t.literal()
	case t.removeQuotes && (b == '"' || b == '\'') && len(t.buf) == t.start && !t.guarded:
		return t.untilQuote(b)
	}
	t.buf = append(t.buf, b)
	t.guarded, t.onlyNull = false, false
	return false, nil
}

// literal takes the byte after a backslash.
func (t *textReader) literal() error {
	next, err := t.get()
	if errors.Is(err, io.EOF) {
		return fail(CodeDelimiter, "Delimiter not found: the file ends in an escape character")
	}
	if err != nil {
		return err
	}
	t.onlyNull = next == 'N' && len(t.buf) == t.start
	if next == '\n' {
		t.lines++
	}
	t.buf = append(t.buf, next)
	t.guarded = true
	return nil
}

// untilQuote takes a quoted field. Only a quote before the field's end closes
// it; others in it are kept.
func (t *textReader) untilQuote(q byte) (bool, error) {
	for {
		b, err := t.get()
		switch {
		case errors.Is(err, io.EOF):
			return false, openQuote()
		case err != nil:
			return false, err
		case b == '\n':
			return false, openQuote()
		case b == '\\' && t.escape:
			if err := t.literal(); err != nil {
				return false, err
			}
		case b == q:
			ends, last, err := t.closes()
			if err != nil {
				return false, err
			}
			if ends {
				t.finish(true)
				return last, nil
			}
			t.buf = append(t.buf, b)
		default:
			t.buf = append(t.buf, b)
		}
	}
}

// closes looks at what follows a quote: the field's end, or the row's.
func (t *textReader) closes() (ends, last bool, err error) {
	head, err := t.r.Peek(2)
	if len(head) == 0 {
		if errors.Is(err, io.EOF) {
			return true, true, nil
		}
		return false, false, err
	}
	switch {
	case head[0] == t.delim:
		_, err = t.get()
		return true, false, err
	case head[0] == '\n':
		_, err = t.get()
		return true, true, err
	case head[0] == '\r' && len(head) == 2 && head[1] == '\n':
		if _, err = t.get(); err == nil {
			_, err = t.get()
		}
		return true, true, err
	}
	return false, false, nil
}
