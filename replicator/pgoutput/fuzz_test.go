package pgoutput_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/pgoutput"
)

// FuzzDecode feeds any bytes, outside and inside of a streamed block: no
// panic, and what is accepted encodes to the same bytes again.
func FuzzDecode(f *testing.F) {
	for _, major := range majors() {
		d := pgoutput.New(protocol(major))
		for _, wire := range recorded(f, major) {
			f.Add(wire, d.InStream())
			if _, err := d.Decode(wire); err != nil {
				f.Fatal(err)
			}
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

// FuzzTuples feeds any bytes as the tuples of an update, beside those that
// servers of every version sent: what is accepted has as many values as it
// says, and reads as the same bytes again.
func FuzzTuples(f *testing.F) {
	for _, major := range majors() {
		d := pgoutput.New(protocol(major))
		for _, wire := range recorded(f, major) {
			m, err := d.Decode(wire)
			if err != nil {
				f.Fatal(err)
			}
			if m.NewColumns > 0 || m.OldColumns > 0 {
				f.Add([]byte(m.Row.Old), m.OldColumns, []byte(m.Row.New), m.NewColumns)
			}
		}
	}
	f.Fuzz(func(t *testing.T, old []byte, oldColumns int, news []byte, newColumns int) {
		wire := []byte("U\x00\x00\x00\x01O")
		wire = append(binary.BigEndian.AppendUint16(wire, uint16(oldColumns)), old...)
		wire = append(wire, 'N')
		wire = append(binary.BigEndian.AppendUint16(wire, uint16(newColumns)), news...)
		m, err := pgoutput.New(1).Decode(wire)
		if err != nil {
			return
		}
		for tuple, n := range map[*change.Tuple]int{&m.Row.Old: m.OldColumns, &m.Row.New: m.NewColumns} {
			values := tuple.Values(nil)
			var again change.Tuple
			for _, v := range values {
				again = change.AppendValue(again, v)
			}
			if len(values) != n || !bytes.Equal(again, *tuple) {
				t.Fatalf("%x reads as %d values of %d, %x", *tuple, len(values), n, again)
			}
		}
		if !bytes.Equal(encode(m, false), wire) {
			t.Fatalf("%x means something else", wire)
		}
	})
}
