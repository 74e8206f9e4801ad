package load

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// shape tells how documents become rows.
type shape struct {
	cols []Column
	// mode is auto, auto ignorecase or noshred; paths, if not nil, stand instead.
	mode          string
	paths         []Path
	acceptInvalid bool
	invalidChar   byte
	out           []field
}

// jsonReader reads one root-level object or array after the other. What stands
// between them is an error each, after which reading goes on.
type jsonReader struct {
	shape
	r     *bufio.Reader
	lines int64 // newlines passed
	buf   []byte
	size  int
}

// line is that of the document's end.
func (j *jsonReader) line() int64 { return j.lines + 1 }

func (j *jsonReader) rawLine() []byte { return j.buf[:min(len(j.buf), maxRaw)] }

// skipLine has nothing to skip: next always ends after a document.
func (j *jsonReader) skipLine() error { return nil }

func (j *jsonReader) next() ([]field, error) {
	j.buf, j.size = j.buf[:0], 0
	for {
		b, err := j.r.ReadByte()
		if err != nil {
			return nil, err
		}
		switch b {
		case '\n':
			j.lines++
		case ' ', '\t', '\r':
		case '{', '[':
			if err := j.document(b); err != nil {
				return nil, err
			}
			return j.row(j.buf)
		default:
			return nil, j.junk(b)
		}
	}
}

// junk passes what cannot begin a document.
func (j *jsonReader) junk(b byte) error {
	for {
		if j.keep(b); b == '\n' {
			j.lines++
			break
		}
		head, err := j.r.Peek(1)
		if err != nil || head[0] == '{' || head[0] == '[' {
			break
		}
		b, _ = j.r.ReadByte()
	}
	return fail(CodeLine, "Invalid JSON: characters outside of an object or array")
}

// keep notes a byte of the document. Pipes count twice in a row's size.
func (j *jsonReader) keep(b byte) {
	if j.size++; b == '|' {
		j.size++
	}
	if j.size <= maxRow {
		j.buf = append(j.buf, b)
	}
}

// document takes everything up to the bracket that closes the first one.
func (j *jsonReader) document(b byte) error {
	depth, inString, escaped := 0, false, false
	for {
		j.keep(b)
		switch {
		case b == '\n':
			j.lines++
		case escaped:
		case inString && b == '\\':
			escaped = true
			goto more
		case b == '"':
			inString = !inString
		case inString:
		case b == '{', b == '[':
			depth++
		case b == '}', b == ']':
			if depth--; depth == 0 {
				return j.whole()
			}
		}
		escaped = false
	more:
		var err error
		if b, err = j.r.ReadByte(); errors.Is(err, io.EOF) {
			return fail(CodeLine, "Invalid JSON: the document is not closed")
		} else if err != nil {
			return err
		}
	}
}

func (j *jsonReader) whole() error {
	if j.size > maxRow {
		return rowTooLarge()
	}
	if !json.Valid(j.buf) {
		return fail(CodeLine, "Invalid JSON: the document is malformed")
	}
	return nil
}

// row cuts a valid document into fields.
func (s *shape) row(raw json.RawMessage) ([]field, error) {
	if s.mode == "noshred" {
		return []field{{data: raw}}, nil
	}
	s.out = s.out[:0]
	var obj map[string]json.RawMessage
	if s.paths == nil {
		if json.Unmarshal(raw, &obj) != nil {
			return nil, fail(CodeLine, "Invalid JSON: an array needs a JSONPaths file")
		}
		if s.mode == "auto ignorecase" {
			low := make(map[string]json.RawMessage, len(obj))
			for k, v := range obj {
				low[strings.ToLower(k)] = v
			}
			obj = low
		}
	}
	for i := range s.cols {
		c := &s.cols[i]
		value := obj[c.Name]
		if s.paths != nil {
			var err error
			if value, err = s.paths[i].find(raw); err != nil {
				return nil, err
			}
		}
		f, bad := s.field(value, c)
		if bad != nil {
			bad.Column = c
			return nil, bad
		}
		s.out = append(s.out, f)
	}
	return s.out, nil
}

// field gives the text of one member. A NULL has no data and the marker.
func (s *shape) field(raw json.RawMessage, c *Column) (field, *Failure) {
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return field{marker: true}, nil
	case c.Type == "super":
		return field{data: raw}, nil
	case c.Type == "varbyte" || c.Type == "time" || c.Type == "timetz":
		return field{}, fail(CodeDataType, "Type %s cannot be loaded from JSON", c.Type)
	case raw[0] == '"':
		return s.text(raw, c)
	case raw[0] == '{' || raw[0] == '[':
		var b bytes.Buffer
		if err := json.Compact(&b, raw); err != nil {
			return field{}, fail(CodeLine, "Invalid JSON value")
		}
		return field{data: b.Bytes()}, nil
	case c.Type == "decimal": // numbers pass through a double
		if f, err := strconv.ParseFloat(string(raw), 64); err == nil {
			return field{data: strconv.AppendFloat(nil, f, 'f', -1, 64)}, nil
		}
	}
	return field{data: raw}, nil
}

// text decodes a string. A NUL inside cuts it, one at its beginning is left
// for the value's check (estuary/connectors#839).
func (s *shape) text(raw []byte, c *Column) (field, *Failure) {
	if !utf8.Valid(raw) {
		if !s.acceptInvalid || c.Type != "varchar" {
			at, reason := badUTF8(raw)
			return field{}, fail(CodeUTF8, "String contains invalid or unsupported UTF8 codepoints. Bad UTF8 hex sequence: %x (error %d)", raw[at:at+1], reason)
		}
		raw = replaceInvalid(raw, s.invalidChar)
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return field{}, fail(CodeLine, "Invalid JSON string")
	}
	if loneSurrogate(raw) {
		return field{}, fail(CodeUTF8, "String contains invalid or unsupported UTF8 codepoints: a lone surrogate")
	}
	if n := strings.IndexByte(text, 0); n > 0 && isChar(c) {
		text = text[:n]
	}
	return field{data: []byte(text)}, nil
}

// loneSurrogate reports whether JSON text has a \u escape of half a character.
func loneSurrogate(raw []byte) bool {
	for i := 0; i+1 < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		i++
		if raw[i] != 'u' {
			continue
		}
		first := escape(raw[i+1:])
		switch {
		case first >= 0xdc00 && first <= 0xdfff:
			return true
		case first >= 0xd800 && first <= 0xdbff:
			if i+6 >= len(raw) || raw[i+5] != '\\' || raw[i+6] != 'u' {
				return true
			}
			if low := escape(raw[i+7:]); low < 0xdc00 || low > 0xdfff {
				return true
			}
			i += 10
		default:
			i += 4
		}
	}
	return false
}

func escape(hex []byte) uint64 {
	const digits = 4
	if len(hex) < digits {
		return 0
	}
	n, err := strconv.ParseUint(string(hex[:digits]), 16, 32)
	if err != nil {
		return 0
	}
	return n
}
