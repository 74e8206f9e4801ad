package source

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/walshift/walshift/replicator/change"
)

// errBadRow reports a line of COPY that doesn't have the expected columns. The
// line itself is never part of the error.
var errBadRow = errors.New("malformed COPY row")

// appendRow turns one line of COPY's text format, with its newline, into a
// tuple of n values appended to dst. It allocates only to grow dst.
//
// In that format a tab or newline inside a value is always escaped, so that a
// raw tab always separates.
func appendRow(dst change.Tuple, line []byte, n int) (change.Tuple, error) {
	if len(line) == 0 || line[len(line)-1] != '\n' {
		return dst, fmt.Errorf("%w: no newline at its end", errBadRow)
	}
	line = line[:len(line)-1]
	if n == 0 {
		if len(line) != 0 {
			return dst, fmt.Errorf("%w: values of a row without columns", errBadRow)
		}
		return dst, nil
	}
	escaped := bytes.IndexByte(line, '\\') >= 0
	for i := range n {
		field := line
		if end := bytes.IndexByte(line, '\t'); end >= 0 {
			field, line = line[:end], line[end+1:]
		} else {
			line = nil
			if i != n-1 {
				return dst, fmt.Errorf("%w: %d columns instead of %d", errBadRow, i+1, n)
			}
		}
		switch {
		case !escaped:
			dst = change.Tuple(change.AppendValue(dst, change.Value{Kind: change.ValueText, Text: field}))
		case len(field) == 2 && field[0] == '\\' && field[1] == 'N':
			dst = append(dst, change.ValueNull)
		default:
			var err error
			if dst, err = appendUnescaped(dst, field); err != nil {
				return dst, err
			}
		}
	}
	if line != nil {
		return dst, fmt.Errorf("%w: more than %d columns", errBadRow, n)
	}
	return dst, nil
}

// appendUnescaped appends the text value that field stands for.
func appendUnescaped(dst change.Tuple, field []byte) (change.Tuple, error) {
	dst = append(dst, change.ValueText, 0, 0, 0, 0)
	start := len(dst)
	for {
		i := bytes.IndexByte(field, '\\')
		if i < 0 {
			dst = append(dst, field...)
			break
		}
		dst = append(dst, field[:i]...)
		if i+1 == len(field) {
			return dst, fmt.Errorf("%w: a lone backslash ends a value", errBadRow)
		}
		c, used := unescape(field[i+1:])
		dst = append(dst, c)
		field = field[i+1+used:]
	}
	binary.BigEndian.PutUint32(dst[start-4:], uint32(len(dst)-start))
	return dst, nil
}

// unescape reads what follows a backslash: the byte that it stands for and how
// many bytes it took. Octal and hexadecimal forms are never sent by a server,
// but belong to the format.
func unescape(b []byte) (c byte, used int) {
	switch b[0] {
	case 'b':
		return '\b', 1
	case 'f':
		return '\f', 1
	case 'n':
		return '\n', 1
	case 'r':
		return '\r', 1
	case 't':
		return '\t', 1
	case 'v':
		return '\v', 1
	case 'x':
		used = 1
		for used < len(b) && used < 3 {
			d, ok := hexDigit(b[used])
			if !ok {
				break
			}
			c = c<<4 | d
			used++
		}
		if used > 1 {
			return c, used
		}
		return 'x', 1
	}
	for used < len(b) && used < 3 && b[used] >= '0' && b[used] <= '7' {
		c = c<<3 | (b[used] - '0')
		used++
	}
	if used > 0 {
		return c, used
	}
	return b[0], 1
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
