package load

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"unicode/utf8"
)

var errAvro = errors.New("broken AVRO data")

// maxAvroDepth bounds the nesting of schemas and data.
const maxAvroDepth = 100

// avroType is a type of a schema.
type avroType struct {
	kind    string // a primitive's name, record, enum, array, map, union or fixed
	fields  []avroField
	symbols []string
	of      *avroType   // of arrays and maps
	any     []*avroType // of unions
	size    int
}

type avroField struct {
	name string
	typ  *avroType
}

// avroNames are the named types met so far.
type avroNames map[string]*avroType

func parseAvroSchema(text []byte) (*avroType, error) {
	return avroNames{}.parse(text, 0)
}

func (n avroNames) parse(raw json.RawMessage, depth int) (*avroType, error) {
	if depth > maxAvroDepth {
		return nil, errAvro
	}
	var name string
	if json.Unmarshal(raw, &name) == nil {
		switch name {
		case "null", "boolean", "int", "long", "float", "double", "bytes", "string":
			return &avroType{kind: name}, nil
		}
		if t := n[name]; t != nil {
			return t, nil
		}
		return nil, errAvro
	}
	var union []json.RawMessage
	if json.Unmarshal(raw, &union) == nil && union != nil {
		t := &avroType{kind: "union"}
		for _, u := range union {
			of, err := n.parse(u, depth+1)
			if err != nil {
				return nil, err
			}
			t.any = append(t.any, of)
		}
		return t, nil
	}
	return n.complex(raw, depth)
}

func (n avroNames) complex(raw json.RawMessage, depth int) (*avroType, error) {
	var s struct {
		Type          json.RawMessage
		Name          string
		Namespace     string
		Symbols       []string
		Items, Values json.RawMessage
		Size          int
		Fields        []struct {
			Name string
			Type json.RawMessage
		}
	}
	if json.Unmarshal(raw, &s) != nil || s.Type == nil {
		return nil, errAvro
	}
	var kind string
	if json.Unmarshal(s.Type, &kind) != nil {
		return n.parse(s.Type, depth+1)
	}
	t := &avroType{kind: kind, symbols: s.Symbols, size: s.Size}
	var err error
	switch kind {
	case "record", "enum", "fixed":
		if s.Name == "" || s.Size < 0 || s.Size > maxAvroBlock {
			return nil, errAvro
		}
		n[s.Name] = t
		n[s.Namespace+"."+s.Name] = t
		for _, f := range s.Fields {
			of, err := n.parse(f.Type, depth+1)
			if err != nil || f.Name == "" {
				return nil, errAvro
			}
			t.fields = append(t.fields, avroField{f.Name, of})
		}
	case "array":
		t.of, err = n.parse(s.Items, depth+1)
	case "map":
		t.of, err = n.parse(s.Values, depth+1)
	default:
		return n.parse(s.Type, depth+1)
	}
	return t, err
}

// avroBytes is what is left of a block.
type avroBytes []byte

func (b *avroBytes) long() (int64, error) {
	v, n := binary.Varint(*b)
	if n <= 0 {
		return 0, errAvro
	}
	*b = (*b)[n:]
	return v, nil
}

func (b *avroBytes) take(n int64) ([]byte, error) {
	if n < 0 || n > int64(len(*b)) {
		return nil, errAvro
	}
	out := (*b)[:n]
	*b = (*b)[n:]
	return out, nil
}

// json appends one value of the type as JSON text.
func (t *avroType) json(dst []byte, b *avroBytes, depth int) ([]byte, error) {
	if depth > maxAvroDepth || len(dst) > maxRow {
		return dst, errAvro
	}
	switch t.kind {
	case "null":
		return append(dst, "null"...), nil
	case "boolean":
		v, err := b.take(1)
		if err != nil {
			return dst, err
		}
		return strconv.AppendBool(dst, v[0] != 0), nil
	case "int", "long":
		v, err := b.long()
		return strconv.AppendInt(dst, v, 10), err
	case "float", "double":
		return t.number(dst, b)
	case "string", "bytes", "fixed":
		return t.text(dst, b)
	case "enum":
		i, err := b.long()
		if err != nil || i < 0 || i >= int64(len(t.symbols)) {
			return dst, errAvro
		}
		return quote(dst, []byte(t.symbols[i])), nil
	case "union":
		i, err := b.long()
		if err != nil || i < 0 || i >= int64(len(t.any)) {
			return dst, errAvro
		}
		return t.any[i].json(dst, b, depth+1)
	case "record":
		dst = append(dst, '{')
		for i, f := range t.fields {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(quote(dst, []byte(f.name)), ':')
			var err error
			if dst, err = f.typ.json(dst, b, depth+1); err != nil {
				return dst, err
			}
		}
		return append(dst, '}'), nil
	}
	return t.blocks(dst, b, depth)
}

// number appends a float; JSON has no word for NaN and the infinities.
func (t *avroType) number(dst []byte, b *avroBytes) ([]byte, error) {
	var f float64
	bits := 64
	if t.kind == "float" {
		bits = 32
	}
	v, err := b.take(int64(bits / 8))
	if err != nil {
		return dst, err
	}
	if bits == 32 {
		f = float64(math.Float32frombits(binary.LittleEndian.Uint32(v)))
	} else {
		f = math.Float64frombits(binary.LittleEndian.Uint64(v))
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return strconv.AppendQuote(dst, strconv.FormatFloat(f, 'g', -1, bits)), nil
	}
	return strconv.AppendFloat(dst, f, 'g', -1, bits), nil
}

func (t *avroType) text(dst []byte, b *avroBytes) ([]byte, error) {
	n := int64(t.size)
	if t.kind != "fixed" {
		var err error
		if n, err = b.long(); err != nil {
			return dst, err
		}
	}
	v, err := b.take(n)
	if err != nil {
		return dst, err
	}
	if t.kind == "string" {
		return quote(dst, v), nil
	}
	text := make([]byte, 0, len(v)) // a character per byte
	for _, c := range v {
		text = utf8.AppendRune(text, rune(c))
	}
	return quote(dst, text), nil
}

// blocks appends an array or a map.
func (t *avroType) blocks(dst []byte, b *avroBytes, depth int) ([]byte, error) {
	open, end := byte('['), byte(']')
	if t.kind == "map" {
		open, end = '{', '}'
	}
	dst = append(dst, open)
	for first := true; ; {
		n, err := b.long()
		if err != nil {
			return dst, err
		}
		if n == 0 {
			return append(dst, end), nil
		}
		if n < 0 {
			if _, err := b.long(); err != nil {
				return dst, err
			}
			n = -n
		}
		for ; n > 0; n-- {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			if t.kind == "map" {
				if dst, err = (&avroType{kind: "string"}).text(dst, b); err != nil {
					return dst, err
				}
				dst = append(dst, ':')
			}
			if dst, err = t.of.json(dst, b, depth+1); err != nil {
				return dst, err
			}
		}
	}
}

// quote appends a JSON string. Bytes that are no UTF-8 stay as they are, for
// the value's check to find.
func quote(dst, v []byte) []byte {
	dst = append(dst, '"')
	for _, c := range v {
		switch {
		case c == '"', c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			const hex = "0123456789abcdef"
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
