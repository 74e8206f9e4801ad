package load

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
)

// jsonReader reads one object after the other. A missing key and null give
// NULL, "" the empty string.
type jsonReader struct {
	d    *json.Decoder
	cols []Column
	mode string
	n    int64
	pos  int64
	out  []field
}

func newJSONReader(r *bufio.Reader, cols []Column, mode string) *jsonReader {
	return &jsonReader{d: json.NewDecoder(r), cols: cols, mode: mode}
}

func (j *jsonReader) line() int64 { return j.n }

func (j *jsonReader) next() ([]field, error) {
	var raw json.RawMessage
	err := j.d.Decode(&raw)
	if errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	j.n++
	if err != nil {
		return nil, fail(CodeLine, "Invalid JSON line")
	}
	if size := j.d.InputOffset() - j.pos; size > maxRow {
		return nil, rowTooLarge()
	}
	j.pos = j.d.InputOffset()
	if j.mode == "noshred" {
		return []field{{data: raw}}, nil
	}
	var obj map[string]json.RawMessage
	if err := json.Unmarshal(raw, &obj); err != nil {
		return nil, fail(CodeLine, "Invalid JSON line: not an object")
	}
	if j.mode == "auto ignorecase" {
		low := make(map[string]json.RawMessage, len(obj))
		for k, v := range obj {
			low[strings.ToLower(k)] = v
		}
		obj = low
	}
	j.out = j.out[:0]
	for i := range j.cols {
		f, bad := jsonField(obj[j.cols[i].Name], &j.cols[i])
		if bad != nil {
			return nil, bad
		}
		j.out = append(j.out, f)
	}
	return j.out, nil
}

// skipLine reports whether reading can go on: after a syntax error it cannot.
func (j *jsonReader) skipLine() error {
	if _, err := j.d.Token(); err != nil {
		return err
	}
	return errors.New("skipping a JSON value")
}

// jsonField gives the text of one member. A NULL has no data and the marker.
func jsonField(raw json.RawMessage, c *Column) (field, *Failure) {
	switch {
	case len(raw) == 0 || string(raw) == "null" && c.Type != "super":
		return field{marker: true}, nil
	case c.Type == "super":
		return field{data: raw}, nil
	case c.Type == "varbyte" || c.Type == "time" || c.Type == "timetz":
		return field{}, fail(CodeDataType, "Type %s cannot be loaded from JSON", c.Type)
	case raw[0] == '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return field{}, fail(CodeLine, "Invalid JSON string")
		}
		return field{data: []byte(s)}, nil
	case raw[0] == '{' || raw[0] == '[':
		var b bytes.Buffer
		if err := json.Compact(&b, raw); err != nil {
			return field{}, fail(CodeLine, "Invalid JSON value")
		}
		return field{data: b.Bytes()}, nil
	case c.Type == "decimal": // numbers pass through a double
		f, err := strconv.ParseFloat(string(raw), 64)
		if err != nil {
			return field{}, fail(CodeDecimal, "Invalid DECIMAL format")
		}
		return field{data: strconv.AppendFloat(nil, f, 'f', -1, 64)}, nil
	}
	return field{data: raw}, nil
}
