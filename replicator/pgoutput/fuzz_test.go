package pgoutput_test

import (
	"bytes"
	"testing"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/pgoutput"
)

// FuzzDecode feeds any bytes, outside and inside of a streamed block: no
// panic, and what is accepted encodes to the same bytes again.
func FuzzDecode(f *testing.F) {
	d := pgoutput.New(2)
	for _, wire := range recorded(f) {
		f.Add(wire, d.InStream())
		if _, err := d.Decode(wire); err != nil {
			f.Fatal(err)
		}
	}
	f.Add([]byte("b"), false)
	f.Add([]byte("I\x00\x00\x00\x01N\xff\xfft\xff\xff\xff\xff"), false)
	f.Add([]byte("T\xff\xff\xff\xff\x03\x00"), true)
	f.Fuzz(func(t *testing.T, wire []byte, inStream bool) {
		d := decoderAt(t, inStream)
		before := bytes.Clone(wire)
		m, err := d.Decode(wire)
		if !bytes.Equal(wire, before) {
			t.Fatal("the decoder writes to its input")
		}
		if err != nil {
			return
		}
		for tuple, n := range map[*change.Tuple]int{&m.Row.New: m.NewColumns, &m.Row.Old: m.OldColumns} {
			if err := tuple.Check(n); err != nil {
				t.Fatal(err)
			}
		}
		// PostgreSQL spells this schema "".
		if m.Relation.Schema == "pg_catalog" || m.Type.Schema == "pg_catalog" {
			wire = bytes.Replace(wire, []byte("pg_catalog\x00"), []byte{0}, 1)
		}
		if again := encode(m, inStream); !bytes.Equal(again, wire) {
			t.Fatalf("accepted %x, which means %x", wire, again)
		}
	})
}
