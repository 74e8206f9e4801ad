package stage_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/walshift/walshift/sink/redshift/sqltext"
	"github.com/walshift/walshift/sink/stage"
)

// loaded is a field as COPY leaves it in a column.
type loaded struct {
	null bool
	text string
}

// readCSV reads a file as the documentation says that COPY … FORMAT CSV NULL
// AS marker does (redshift-facts 1.5 to 1.7), and where that is silent, in the
// way that harms most: blanks around unquoted values vanish, a quoted marker
// is NULL like a bare one, a bare CR ends a record. voids says which columns
// load an empty field as NULL.
func readCSV(file []byte, marker string, voids []bool) ([][]loaded, error) {
	var records [][]loaded
	var record []loaded
	for i := 0; i < len(file); {
		var text []byte
		for i < len(file) && (file[i] == ' ' || file[i] == '\t') {
			i++
		}
		if i < len(file) && file[i] == '"' {
			for i++; ; i++ {
				if i >= len(file) {
					return nil, errors.New("delimiter missing: a quote is open at the end")
				}
				if file[i] == '"' {
					if i++; i >= len(file) || file[i] != '"' {
						break
					}
				}
				text = append(text, file[i])
			}
			for i < len(file) && (file[i] == ' ' || file[i] == '\t') {
				i++
			}
		} else {
			for i < len(file) && !bytes.ContainsRune([]byte(",\r\n"), rune(file[i])) {
				if file[i] == '"' {
					return nil, errors.New("a quote inside an unquoted value")
				}
				text = append(text, file[i])
				i++
			}
			text = bytes.TrimRight(text, " \t")
		}
		switch {
		case bytes.IndexByte(text, 0) >= 0:
			return nil, errors.New("NUL in a field")
		case !utf8.Valid(text):
			return nil, errors.New("1220: invalid UTF-8")
		case len(record) >= len(voids):
			return nil, errors.New("1202: extra column")
		}
		void := len(text) == 0 && voids[len(record)]
		null := void || strings.TrimSpace(string(text)) == marker
		if null {
			text = nil
		}
		record = append(record, loaded{null: null, text: string(text)})
		switch {
		case i >= len(file):
			return nil, errors.New("the last record does not end")
		case file[i] == ',':
			i++
			continue
		case file[i] == '\n':
			i++
		default:
			return nil, fmt.Errorf("byte %q after a field", file[i])
		}
		if len(record) != len(voids) {
			return nil, fmt.Errorf("1203: %d columns of %d", len(record), len(voids))
		}
		records = append(records, record)
		record = nil
	}
	if record != nil {
		return nil, errors.New("the last record does not end")
	}
	return records, nil
}

// field sends one text through the encoder and the reader.
func field(m sqltext.Mapping, text, marker string) (loaded, error) {
	b, err := stage.Field(m, []byte(text), []byte(marker))
	if err != nil {
		return loaded{}, err
	}
	// Neighbours show a field that swallows more than itself.
	line := append([]byte("a,"), b...)
	line = append(line, ",z\n"...)
	records, err := readCSV(line, marker, []bool{false, !m.Text(), false})
	switch {
	case err != nil:
		return loaded{}, fmt.Errorf("reading %q: %w", line, err)
	case len(records) != 1 || records[0][0].text != "a" || records[0][2].text != "z":
		return loaded{}, fmt.Errorf("reading %q: %v", line, records)
	}
	return records[0][1], nil
}

const marker = "~N01234567"

func varchar(n int) sqltext.Mapping {
	return sqltext.Mapping{DDL: fmt.Sprintf("VARCHAR(%d)", n), Form: sqltext.FormPlain, MaxBytes: n}
}

// nasty draws texts out of what CSV, SQL and COPY give a meaning to.
func nasty() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{
			"", " ", "\t", ",", `"`, `""`, "\r", "\n", "\r\n", `\`, `\N`, `\n`, "N", "NULL", marker, "~N", "'", "|",
			"a", "é", "日本", "🙂", "\u00a0", "\u2028", "\x00", "\xff", "\xc3", "\x01", "\x7f", "0123456789abcdef",
		}), 0, 12).Draw(t, "parts"), "")
	})
}

// checkText is the property of every text: it is refused for what it is, or
// comes back as it was.
func checkText(text string, width int) error {
	got, err := field(varchar(width), text, marker)
	refused := strings.Contains(text, "\x00") || !utf8.ValidString(text) || len(text) > width
	switch {
	case errors.Is(err, stage.ErrCollision):
		if strings.TrimSpace(text) != marker {
			return fmt.Errorf("%q was taken for the marker", text)
		}
	case refused != (err != nil):
		return fmt.Errorf("%q: refused %t, error %w", text, refused, err)
	case err == nil && (got.null || got.text != text):
		return fmt.Errorf("%q came back as %+v", text, got)
	}
	return nil
}

func TestTextRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		if err := checkText(nasty().Draw(t, "text"), 60); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"", " ", "a,b", `say "hi"`, "a\r\nb", marker, " " + marker, "\x00", "\xff", "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if err := checkText(text, 60); err != nil {
			t.Fatal(err)
		}
	})
}

// TestNeedsCare compares the eight-bytes-at-once scan with a plain one, for
// every byte at every place of every short length.
func TestNeedsCare(t *testing.T) {
	t.Parallel()
	for n := range 26 {
		for at := range max(n, 1) {
			for b := range 256 {
				v := bytes.Repeat([]byte("x"), n)
				want := false
				if n > 0 {
					v[at] = byte(b)
					want = b < ' ' || b == '"' || b == ',' || b >= 0x80
				}
				if got := stage.NeedsCare(v); got != want {
					t.Fatalf("%q: got %t", v, got)
				}
			}
		}
	}
}

// TestT11EmptyIsNotNull: ”, ' ', NULL's usual spellings and the marker of
// other tools are values, told apart from NULL and from each other.
func TestT11EmptyIsNotNull(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", " ", "  ", "\t", `\N`, `\\N`, "NULL", "null", "N", `""`, `"`, "\r", "\n", "\r\n", `\`, ",", " a", "a ", "\ta", "a\t",
	} {
		got, err := field(varchar(10), text, marker)
		if err != nil || got.null || got.text != text {
			t.Errorf("%q came back as %+v, %v", text, got, err)
		}
	}
}

// TestT10NULAndBadUTF8: COPY stops or cuts at them, so they don't get there.
func TestT10NULAndBadUTF8(t *testing.T) {
	t.Parallel()
	for text, reason := range map[string]string{
		"\x00": "NUL", "a\x00b": "NUL", "long enough for words\x00": "NUL",
		"\xff": "UTF-8", "caf\xe9": "UTF-8", "\xed\xa0\x80": "UTF-8", "\xf8\x88\x80\x80\x80": "UTF-8",
	} {
		var bad *stage.ValueError
		if _, err := field(varchar(100), text, marker); !errors.As(err, &bad) || !strings.Contains(bad.Reason, reason) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestT8BytesNotCharacters: a VARCHAR's length is in bytes.
func TestT8BytesNotCharacters(t *testing.T) {
	t.Parallel()
	if _, err := field(varchar(6), "ééé", marker); err != nil {
		t.Error(err)
	}
	var bad *stage.ValueError
	if _, err := field(varchar(6), "éééa", marker); !errors.As(err, &bad) || strings.Contains(err.Error(), "é") {
		t.Errorf("got %v, want a refusal without the value", err)
	}
}
