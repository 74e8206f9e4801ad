package load

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
)

// superMark precedes JSON text in the backend's SUPER columns, see types.sql.
const superMark = 1

// appendSuper takes JSON text.
func appendSuper(dst, v []byte) ([]byte, *Failure) {
	norm, f := normalJSON(v)
	if f != nil {
		return dst, f
	}
	return appendEscaped(append(dst, superMark), norm), nil
}

// normalJSON checks JSON text by the limits of SUPER and gives it in the form
// in which Redshift keeps it: no blanks, numbers as its scalars.
func normalJSON(v []byte) ([]byte, *Failure) {
	bad := fail(CodeSuper, "Invalid JSON format for SUPER")
	if len(v) > maxSuper {
		return nil, fail(CodeSuper, "SUPER value exceeds %d bytes", maxSuper)
	}
	if !json.Valid(v) {
		return nil, bad
	}
	d := json.NewDecoder(bytes.NewReader(v))
	d.UseNumber()
	depth := 0
	big := false
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, bad
		}
		switch x := tok.(type) {
		case json.Delim:
			if x == '{' || x == '[' {
				depth++
			} else {
				depth--
			}
			if depth > maxSuperDepth {
				return nil, fail(CodeSuper, "SUPER value is nested deeper than %d levels", maxSuperDepth)
			}
		case string:
			if len(x) > maxSuperString {
				return nil, fail(CodeSuper, "String value exceeds the max size of %d bytes", maxSuperString)
			}
		case json.Number:
			big = big || scalar(string(x)) != string(x)
		}
	}
	var out bytes.Buffer
	if err := json.Compact(&out, v); err != nil {
		return nil, bad
	}
	if !big {
		return out.Bytes(), nil
	}
	return rewriteNumbers(out.Bytes()), nil
}

// scalar gives a number as a Redshift scalar holds it: up to 38 digits exactly,
// beyond that and with an exponent as a double.
func scalar(n string) string {
	digits := len(strings.NewReplacer("-", "", ".", "").Replace(n))
	if !strings.ContainsAny(n, "eE") && digits <= maxNumberDigits {
		return n
	}
	f, err := strconv.ParseFloat(n, 64)
	if err != nil {
		return n
	}
	return strconv.FormatFloat(f, 'g', 17, 64)
}

// rewriteNumbers passes every number of compact JSON text through scalar.
func rewriteNumbers(v []byte) []byte {
	out := make([]byte, 0, len(v))
	for i := 0; i < len(v); {
		switch b := v[i]; {
		case b == '"':
			j := i + 1
			for v[j] != '"' {
				if v[j] == '\\' {
					j++
				}
				j++
			}
			out = append(out, v[i:j+1]...)
			i = j + 1
		case b == '-' || b >= '0' && b <= '9':
			j := i + 1
			for j < len(v) && strings.IndexByte("0123456789+-.eE", v[j]) >= 0 {
				j++
			}
			out = append(out, scalar(string(v[i:j]))...)
			i = j
		default:
			out = append(out, b)
			i++
		}
	}
	return out
}
