package sqltext

import (
	"fmt"
	"strconv"
)

// ChunkBytes is the length of the stretches in which kept values are read: the
// text of a stretch in hexadecimal stays below the 65,535 bytes of a VARCHAR.
const ChunkBytes = 32_000

// KeptRows are rows of a target whose values are to be read: by a list of
// keys, for a join that carries values above 64 KB breaks (8001).
type KeptRows struct {
	Target *Table
	// Keys has an element per row: the text of each column of Target.Keys.
	Keys [][]string
}

// Chunk is a stretch of a column's value, from a byte (counted from 0) on.
type Chunk struct {
	Attnum int16
	From   int
}

// Readable reports whether the column's values can be read as bytes, and be
// loaded from them again as they were.
func (c Column) Readable() bool {
	return c.Super() || c.Form == FormHex || c.Form == FormDecimal || c.Text()
}

// HasLarge returns the query that gives a row if one of the columns holds a
// value that breaks joins. It looks at one after the other.
func HasLarge(t *Table, attnums []int16) (string, error) {
	w := new(writer)
	w.raw("SELECT 1 FROM ").name(t.Name).raw("\nWHERE ")
	n := 0
	for _, a := range attnums {
		c, ok := t.Column(a)
		if !ok || !c.Large() || !c.Readable() {
			continue
		}
		if n++; n > 1 {
			w.raw(" OR ")
		}
		if c.Super() {
			w.raw("JSON_SIZE(").ident(c.Name)
		} else {
			w.raw("OCTET_LENGTH(").ident(c.Name)
		}
		w.raw(") > ", strconv.Itoa(MaxVarchar))
	}
	if n == 0 {
		w.err = fmt.Errorf("%w: table %s has no large columns among %v", ErrBadName, t.Name, attnums)
	}
	return w.raw("\nLIMIT 1").done()
}

// Sizes returns the query for the number of bytes of the columns' values. Its
// columns are the row's place in Keys, the text of its key's text columns, and
// a number per attnum, NULL for NULL. The place is NULL where a row only looks
// like the one that is wanted.
func (k *KeptRows) Sizes(attnums []int16) (string, error) {
	w := k.begin()
	for _, a := range attnums {
		w.raw(",\n  OCTET_LENGTH(")
		k.bytes(w, a)
		w.raw(")")
	}
	return k.end(w)
}

// Values returns the query for stretches of values, in hexadecimal: NULL for
// NULL, and nothing behind a value's end. Its first columns are those of Sizes.
func (k *KeptRows) Values(chunks []Chunk) (string, error) {
	w := k.begin()
	for _, c := range chunks {
		w.raw(",\n  FROM_VARBYTE(SUBSTRING(")
		k.bytes(w, c.Attnum)
		w.raw(", ").int(c.From + 1).raw(", ").int(ChunkBytes).raw("), 'hex')")
	}
	return k.end(w)
}

// begin writes the place. The blank before COALESCE's arguments is what makes
// them a list of any length to those who collect statements.
func (k *KeptRows) begin() *writer {
	w := new(writer)
	if len(k.Keys) == 0 || len(k.Target.Keys()) == 0 {
		w.err = fmt.Errorf("%w: table %s is to be read without keys", ErrBadName, k.Target.Name)
		return w
	}
	w.raw("SELECT COALESCE (")
	w.list(len(k.Keys), func(i int) {
		w.raw("CASE WHEN ")
		k.match(w, k.Keys[i])
		w.raw(" THEN ").int(i).raw(" END")
	})
	w.raw(")")
	for _, c := range k.Target.Keys() {
		if c.Text() {
			w.raw(", ").ident(c.Name)
		}
	}
	return w
}

// match writes the equality of a row's key with the texts of one, which the
// server reads as values of the columns' types.
func (k *KeptRows) match(w *writer, key []string) {
	columns := k.Target.Keys()
	if len(key) != len(columns) {
		w.err = fmt.Errorf("%w: a key of %d columns for table %s", ErrBadValue, len(key), k.Target.Name)
		return
	}
	for i, c := range columns {
		if i > 0 {
			w.raw(" AND ")
		}
		w.ident(c.Name).raw(" = ").lit(key[i])
		if c.Text() && !c.Equality {
			w.raw(" AND OCTET_LENGTH(").ident(c.Name).raw(") = ", strconv.Itoa(len(key[i])))
		}
	}
}

// bytes writes a column's value as a VARBYTE. A SUPER's is its JSON text;
// JSON_SERIALIZE could give no more than 64 KB of it.
func (k *KeptRows) bytes(w *writer, attnum int16) {
	c, ok := k.Target.Column(attnum)
	switch {
	case !ok || !c.Readable():
		if w.err == nil {
			w.err = fmt.Errorf("%w: table %s has no column with attnum %d that can be read", ErrBadName, k.Target.Name, attnum)
		}
	case c.Super():
		w.raw("JSON_SERIALIZE_TO_VARBYTE(").ident(c.Name).raw(")")
	case c.Form == FormHex:
		w.ident(c.Name)
	case c.Text():
		w.raw("TO_VARBYTE(").ident(c.Name).raw(", 'utf8')")
	default:
		w.raw("TO_VARBYTE(CAST(").ident(c.Name).raw(" AS VARCHAR(64)), 'utf8')")
	}
}

func (k *KeptRows) end(w *writer) (string, error) {
	w.raw("\nFROM ").name(k.Target.Name).raw("\nWHERE ")
	for i, key := range k.Keys {
		if i > 0 {
			w.raw("\n  OR ")
		}
		k.match(w, key)
	}
	return w.done()
}
