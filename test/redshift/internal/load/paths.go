package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Path is one JSONPath expression: the way from the root to one element.
type Path []step

// step is a member's name, or an index if name is nil.
type step struct {
	name  *string
	index int
}

// ReadPaths reads a JSONPaths file. No paths and no error mean that its object
// is not named jsonpaths, so that COPY takes 'auto' instead.
func ReadPaths(ctx context.Context, st Store, url string) ([]Path, error) {
	at, err := ParseURL(url)
	if err != nil {
		return nil, err
	}
	r, _, err := st.Open(ctx, at.Bucket, at.Key)
	if err != nil {
		return nil, &StatementError{Message: "Problem reading jsonpaths file - S3ServiceException:" + reason(err), Context: url}
	}
	defer r.Close()
	body, err := io.ReadAll(io.LimitReader(r, maxManifest))
	if err != nil {
		return nil, &StatementError{Message: "Problem reading jsonpaths file - S3ServiceException:" + reason(err), Context: url}
	}
	return ParsePaths(body)
}

// ParsePaths reads the text of a JSONPaths file.
func ParsePaths(body []byte) ([]Path, error) {
	if !json.Valid(body) {
		return nil, stmtErr("Invalid JSONPaths file: it is not a single JSON object")
	}
	var root map[string]json.RawMessage
	if json.Unmarshal(body, &root) != nil || root == nil {
		return nil, stmtErr("Invalid JSONPaths file: it is not a single JSON object")
	}
	raw, ok := root["jsonpaths"]
	if !ok {
		return nil, nil
	}
	var list []*string
	if json.Unmarshal(raw, &list) != nil || len(list) == 0 {
		return nil, stmtErr("Invalid JSONPaths file: 'jsonpaths' must be an array of strings")
	}
	paths := make([]Path, 0, len(list))
	dots, brackets := false, false
	for _, text := range list {
		if text == nil || *text == "" {
			return nil, stmtErr("Invalid JSONPaths file: an element is empty or no string")
		}
		p, dotted, err := parsePath(*text)
		if err != nil {
			return nil, stmtErr("Invalid JSONPath format: %v", err)
		}
		for _, s := range p {
			dots, brackets = dots || dotted && s.name != nil, brackets || !dotted && s.name != nil
		}
		paths = append(paths, p)
	}
	if dots && brackets {
		return nil, stmtErr("Invalid JSONPath format: bracket notation and dot notation are mixed")
	}
	return paths, nil
}

var errPath = errors.New("not a path to a single element")

// parsePath reads $.a.b[0] or $['a']['b'][0].
func parsePath(text string) (p Path, dotted bool, err error) {
	rest, ok := strings.CutPrefix(text, "$")
	if !ok || rest == "" {
		return nil, false, fmt.Errorf("%q: %w", text, errPath)
	}
	for rest != "" {
		var s step
		switch {
		case rest[0] == '.':
			n := strings.IndexAny(rest[1:], ".[]'")
			if n < 0 {
				n = len(rest) - 1
			}
			name := rest[1 : n+1]
			s.name, rest, dotted = &name, rest[n+1:], true
		case strings.HasPrefix(rest, "['"):
			n := strings.Index(rest, "']")
			if n < 0 {
				return nil, false, fmt.Errorf("%q: %w", text, errPath)
			}
			name := rest[2:n]
			s.name, rest = &name, rest[n+2:]
		default:
			n := strings.IndexByte(rest, ']')
			if rest[0] != '[' || n < 2 {
				return nil, false, fmt.Errorf("%q: %w", text, errPath)
			}
			i, err := strconv.ParseUint(rest[1:n], 10, 31)
			if err != nil {
				return nil, false, fmt.Errorf("%q: %w", text, errPath)
			}
			s.index, rest = int(i), rest[n+1:]
		}
		if s.name != nil && (*s.name == "" || *s.name == "*") {
			return nil, false, fmt.Errorf("%q: %w", text, errPath)
		}
		p = append(p, s)
	}
	return p, dotted, nil
}

// find walks into a document. A missing member gives nil, a missing element of
// an array a failure.
func (p Path) find(raw json.RawMessage) (json.RawMessage, error) {
	for _, s := range p {
		raw = bytes.TrimSpace(raw)
		if s.name == nil {
			var list []json.RawMessage
			if len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &list) != nil || s.index >= len(list) {
				return nil, fail(CodeLine, "Invalid JSONPath format: Not an array or index out of range.")
			}
			raw = list[s.index]
			continue
		}
		var obj map[string]json.RawMessage
		if len(raw) > 0 && raw[0] == '{' && json.Unmarshal(raw, &obj) != nil {
			return nil, fail(CodeLine, "Invalid JSON: the document is malformed")
		}
		raw = obj[*s.name]
	}
	return raw, nil
}
