package load

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// superMark precedes JSON text in the backend's SUPER columns, see types.sql.
const superMark = 1

// appendSuper takes JSON text.
func (o *Options) appendSuper(dst, v []byte) ([]byte, *Failure) {
	norm, f := normalJSON(v, o.TruncateSuper)
	if f != nil {
		return dst, f
	}
	return appendEscaped(append(dst, superMark), norm), nil
}

// normalJSON checks JSON text by the limits of SUPER and gives it in the form
// in which Redshift keeps it: no blanks, numbers as its scalars.
func normalJSON(v []byte, truncate bool) ([]byte, *Failure) {
	bad := fail(CodeSuper, "Invalid JSON format for SUPER")
	if len(v) > maxSuper {
		return nil, fail(CodeSuper, "SUPER value exceeds %d bytes", maxSuper)
	}
	if !json.Valid(v) || loneSurrogate(v) {
		return nil, bad
	}
	if at, reason := badUTF8(v); at >= 0 {
		return nil, failAt(at, CodeUTF8, "String contains invalid or unsupported UTF8 codepoints. Bad UTF8 hex sequence: %x (error %d)", v[at:at+1], reason)
	}
	rewrite, f := checkTokens(v, truncate)
	if f != nil {
		return nil, f
	}
	var out bytes.Buffer
	if err := json.Compact(&out, v); err != nil {
		return nil, bad
	}
	if !rewrite {
		return out.Bytes(), nil
	}
	return rewriteScalars(out.Bytes()), nil
}

// checkTokens goes through valid JSON and reports whether its scalars must be
// written anew.
func checkTokens(v []byte, truncate bool) (rewrite bool, f *Failure) {
	d := json.NewDecoder(bytes.NewReader(v))
	d.UseNumber()
	depth := 0
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return rewrite, nil
		}
		if err != nil {
			return false, fail(CodeSuper, "Invalid JSON format for SUPER")
		}
		switch x := tok.(type) {
		case json.Delim:
			if x == '{' || x == '[' {
				depth++
			} else {
				depth--
			}
			if depth > maxSuperDepth {
				return false, fail(CodeSuper, "SUPER value is nested deeper than %d levels", maxSuperDepth)
			}
		case string:
			if len(x) <= maxSuperString {
				continue
			}
			if !truncate {
				return false, fail(CodeSuper, "String value exceeds the max size of %d bytes", maxSuperString)
			}
			rewrite = true
		case json.Number:
			n, ok := scalar(string(x))
			if !ok {
				return false, fail(CodeSuper, "Invalid JSON format for SUPER")
			}
			rewrite = rewrite || n != string(x)
		}
	}
}

// scalar gives a number as a Redshift scalar holds it: up to 38 digits exactly,
// beyond that and with an exponent as a double. It is false for one that no
// double can hold.
func scalar(n string) (string, bool) {
	digits := len(strings.NewReplacer("-", "", ".", "").Replace(n))
	if !strings.ContainsAny(n, "eE") && digits <= maxNumberDigits {
		return n, true
	}
	f, err := strconv.ParseFloat(n, 64)
	if err != nil {
		return n, false
	}
	return strconv.FormatFloat(f, 'g', 17, 64), true
}

// rewriteScalars passes every number of compact JSON text through scalar and
// cuts strings that are too long.
func rewriteScalars(v []byte) []byte {
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
			out = append(out, cutString(v[i:j+1])...)
			i = j + 1
		case b == '-' || b >= '0' && b <= '9':
			j := i + 1
			for j < len(v) && strings.IndexByte("0123456789+-.eE", v[j]) >= 0 {
				j++
			}
			n, _ := scalar(string(v[i:j]))
			out = append(out, n...)
			i = j
		default:
			out = append(out, b)
			i++
		}
	}
	return out
}

func cutString(raw []byte) []byte {
	var text string
	if len(raw) <= maxSuperString || json.Unmarshal(raw, &text) != nil || len(text) <= maxSuperString {
		return raw
	}
	n := maxSuperString
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return quote(nil, []byte(text[:n]))
}
