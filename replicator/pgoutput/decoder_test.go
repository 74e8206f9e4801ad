package pgoutput_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/pgoutput"
)

func TestDecodeReturnsWhatWasEncoded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := pgoutput.New(2)
		messages, inside := anyStream(t)
		for i, want := range messages {
			wire := encode(want, inside[i])
			got, err := d.Decode(wire)
			if err != nil {
				t.Fatalf("decoding %s: %v", want.Kind, err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("decoding %s:\n got %+v\nwant %+v", want.Kind, got, want)
			}
			if err := got.Row.New.Check(got.NewColumns); err != nil {
				t.Fatal(err)
			}
			if again := encode(got, inside[i]); !bytes.Equal(again, wire) {
				t.Fatalf("encoding %s again: got %x, want %x", want.Kind, again, wire)
			}
		}
	})
}

// TestDecodeRefusesWrongLengths cuts every message at every place, and adds to
// it: each is refused, none panics.
func TestDecodeRefusesWrongLengths(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.Bool().Draw(t, "inside")
		kinds := kindsOutside()
		if in {
			kinds = kindsInside()
		}
		wire := encode(anyMessage(t, kinds, in), in)
		for n := range wire {
			if _, err := decoderAt(t, in).Decode(wire[:n]); !errors.Is(err, pgoutput.ErrMalformed) {
				t.Fatalf("first %d of %d bytes of %x: %v", n, len(wire), wire, err)
			}
		}
		if _, err := decoderAt(t, in).Decode(append(wire, 0)); !errors.Is(err, pgoutput.ErrMalformed) {
			t.Fatalf("one byte more than %x: %v", wire, err)
		}
	})
}

type fataler interface {
	Fatal(args ...any)
	Helper()
}

// decoderAt returns a decoder of protocol 2 that is inside a block or not.
func decoderAt(t fataler, inStream bool) *pgoutput.Decoder {
	t.Helper()
	d := pgoutput.New(2)
	if inStream {
		if _, err := d.Decode([]byte("S\x00\x00\x00\x09\x01")); err != nil {
			t.Fatal(err)
		}
	}
	if d.InStream() != inStream {
		t.Fatal("decoder has the wrong idea of being inside a block")
	}
	return d
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	const (
		insert  = "I\x00\x00\x00\x01N"
		update  = "U\x00\x00\x00\x01"
		deleted = "D\x00\x00\x00\x01"
		commit  = "LLLLLLLLEEEEEEEETTTTTTTT"
		rel     = "R\x00\x00\x00\x01s\x00t\x00"
		message = "LLLLLLLLp\x00\x00\x00\x00\x01x"
	)
	for _, c := range []struct {
		name, wire, says string
		inside           bool
		is               error
	}{
		{name: "nothing", wire: "", says: "empty", is: pgoutput.ErrMalformed},
		{name: "unknown byte", wire: "Zx", says: `'Z' at offset 0`, is: pgoutput.ErrMalformed},
		{name: "begin prepare", wire: "bx", says: "'b'", is: pgoutput.ErrTwoPhase},
		{name: "prepare", wire: "Px", says: "two_phase is never enabled", is: pgoutput.ErrTwoPhase},
		{name: "commit prepared", wire: "Kx", says: "'K'", is: pgoutput.ErrTwoPhase},
		{name: "rollback prepared", wire: "rx", says: "'r'", is: pgoutput.ErrTwoPhase},
		{name: "stream prepare", wire: "px", says: "'p'", is: pgoutput.ErrTwoPhase},
		{name: "binary value", wire: insert + "\x00\x02nb\x00\x00\x00\x01x", says: "insert at offset 9", is: pgoutput.ErrBinary},
		{name: "unknown value", wire: insert + "\x00\x01x", says: `unknown kind 'x' of a value`, is: pgoutput.ErrMalformed},
		{name: "fewer values than counted", wire: insert + "\x00\x02n", says: "offset 9", is: pgoutput.ErrMalformed},
		{name: "more values than counted", wire: insert + "\x00\x01nn", says: "1 bytes too many", is: pgoutput.ErrMalformed},
		{name: "giant length", wire: insert + "\x00\x01t\xff\xff\xff\xffx", says: "value is cut short", is: pgoutput.ErrMalformed},
		{name: "insert with old tuple", wire: "I\x00\x00\x00\x01K\x00\x01n", says: "'K'", is: pgoutput.ErrMalformed},
		{name: "update without new tuple", wire: update + "K\x00\x01nX", says: "unexpected tuple mark 'X'", is: pgoutput.ErrMalformed},
		{name: "update with two old tuples", wire: update + "K\x00\x01nO\x00\x01nN\x00\x01n", says: "'O'", is: pgoutput.ErrMalformed},
		{name: "delete of a new tuple", wire: deleted + "N\x00\x01n", says: "'N'", is: pgoutput.ErrMalformed},
		{name: "delete with new tuple", wire: deleted + "K\x00\x01nN\x00\x01n", says: "too many", is: pgoutput.ErrMalformed},
		{name: "identity", wire: rel + "x\x00\x00", says: "unknown replica identity 'x'", is: pgoutput.ErrMalformed},
		{name: "columns that don't fit", wire: rel + "d\xff\xff", says: "65535 columns don't fit", is: pgoutput.ErrMalformed},
		{name: "column flags", wire: rel + "d\x00\x01\x02c\x00TTTTMMMM", says: "column flags 0x02", is: pgoutput.ErrMalformed},
		{name: "truncate count", wire: "T\xff\xff\xff\xff\x00", says: "relations don't fit", is: pgoutput.ErrMalformed},
		{name: "truncate options", wire: "T\x00\x00\x00\x00\x04", says: "truncate options 0x04", is: pgoutput.ErrMalformed},
		{name: "commit flags", wire: "C\x01" + commit, says: "commit flags 0x01", is: pgoutput.ErrMalformed},
		{name: "message flags", wire: "M\x02" + message, says: "message flags 0x02", is: pgoutput.ErrMalformed},
		{name: "stream start flag", wire: "S\x00\x00\x00\x01\x02", says: "first segment 0x02", is: pgoutput.ErrMalformed},
		{name: "stream start without xid", wire: "S\x00\x00\x00\x00\x01", says: "xid is 0", is: pgoutput.ErrMalformed},
		{name: "abort of protocol 4", wire: "A\x00\x00\x00\x01\x00\x00\x00\x01LLLLLLLLTTTTTTTT", says: "16 bytes too many", is: pgoutput.ErrMalformed},
		{name: "stop outside", wire: "E", says: "inside a streamed block: false", is: pgoutput.ErrMalformed},
		{name: "start inside", wire: "S\x00\x00\x00\x01\x01", inside: true, says: "inside a streamed block: true", is: pgoutput.ErrMalformed},
		{name: "abort inside", wire: "A\x00\x00\x00\x01\x00\x00\x00\x01", inside: true, says: "stream abort", is: pgoutput.ErrMalformed},
		{name: "commit inside", wire: "C\x00" + commit, inside: true, says: "inside a streamed block", is: pgoutput.ErrMalformed},
		{name: "begin inside", wire: "BLLLLLLLLTTTTTTTT\x00\x00\x00\x01", inside: true, says: "begin", is: pgoutput.ErrMalformed},
		{name: "stream commit inside", wire: "c\x00\x00\x00\x01\x00" + commit, inside: true, says: "stream commit", is: pgoutput.ErrMalformed},
		{name: "xid 0 inside", wire: "I\x00\x00\x00\x00\x00\x00\x00\x01N\x00\x00", inside: true, says: "xid is 0", is: pgoutput.ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := decoderAt(t, c.inside).Decode([]byte(c.wire))
			if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got error %v, want one that is %q and says %q", err, c.is, c.says)
			}
		})
	}
}

func TestDecodeErrorHoldsNoValues(t *testing.T) {
	t.Parallel()
	_, err := pgoutput.New(1).Decode([]byte("I\x00\x00\x00\x01N\x00\x02t\x00\x00\x00\x06secretx"))
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got error %v", err)
	}
}

func TestDecodeVersions(t *testing.T) {
	t.Parallel()
	for _, wire := range []string{"S\x00\x00\x00\x01\x01", "E", "A\x00\x00\x00\x01\x00\x00\x00\x01"} {
		if _, err := pgoutput.New(1).Decode([]byte(wire)); !errors.Is(err, pgoutput.ErrMalformed) {
			t.Errorf("protocol 1 takes %q: %v", wire, err)
		}
	}
	for _, v := range []int{0, 3, 4} {
		if _, err := pgoutput.New(v).Decode([]byte("I\x00\x00\x00\x01N\x00\x00")); !errors.Is(err, pgoutput.ErrMalformed) {
			t.Errorf("protocol %d is taken: %v", v, err)
		}
	}
}

// TestDecodedTuplesAlias shows that rows are not copied, and that appending to
// one can't reach its neighbour.
func TestDecodedTuplesAlias(t *testing.T) {
	t.Parallel()
	wire := []byte("U\x00\x00\x00\x01K\x00\x01t\x00\x00\x00\x01aN\x00\x01t\x00\x00\x00\x01b")
	m, err := pgoutput.New(1).Decode(wire)
	if err != nil {
		t.Fatal(err)
	}
	_ = append(m.Row.Old, "overwritten"...)
	if v, _ := m.Row.New.Next(); string(v.Text) != "b" {
		t.Errorf("new value is %q", v.Text)
	}
	wire[len(wire)-1] = 'c'
	if v, _ := m.Row.New.Next(); string(v.Text) != "c" {
		t.Errorf("tuple is a copy: %q", v.Text)
	}
}

func TestKindString(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, k := range append(kindsOutside(), pgoutput.StreamStop) {
		if s := k.String(); s == "" || seen[s] || strings.HasPrefix(s, "unknown") {
			t.Errorf("kind %q is named %q", byte(k), s)
		} else {
			seen[s] = true
		}
	}
	if s := pgoutput.Kind('Z').String(); s != "unknown ('Z')" {
		t.Errorf("got %s", s)
	}
}

// pgbenchRows are the three updates and the insert of a pgbench transaction.
func pgbenchRows() [][]byte {
	row := func(kind byte, values ...string) []byte {
		b := []byte{kind, 0, 0, 64, 1, 'N'}
		b = binary.BigEndian.AppendUint16(b, uint16(len(values)))
		for _, v := range values {
			b = change.AppendValue(b, change.Value{Kind: change.ValueText, Text: []byte(v)})
		}
		return b
	}
	blank := strings.Repeat(" ", 84)
	return [][]byte{
		row('U', "48213", "1", "-1763", blank), row('U', "7", "1", "9042", blank), row('U', "1", "-55210", blank[:4]),
		row('I', "7", "1", "48213", "-1763", "2026-11-22 01:02:03.000004", blank[:22]),
	}
}

func TestDecodeRowsWithoutAllocation(t *testing.T) { //nolint:paralleltest // it counts allocations
	d := pgoutput.New(2)
	rows := append(pgbenchRows(),
		[]byte("U\x00\x00\x00\x01O\x00\x02nuN\x00\x02t\x00\x00\x00\x00n"),
		[]byte("D\x00\x00\x00\x01K\x00\x02t\x00\x00\x00\x01an"))
	if n := testing.AllocsPerRun(100, func() {
		for _, r := range rows {
			if _, err := d.Decode(r); err != nil {
				t.Fatal(err)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations for %d rows", n, len(rows))
	}
}

func BenchmarkDecodeRow(b *testing.B) {
	d := pgoutput.New(2)
	rows := pgbenchRows()
	var size int64
	for _, r := range rows {
		size += int64(len(r))
	}
	b.SetBytes(size / int64(len(rows)))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := d.Decode(rows[i%len(rows)]); err != nil {
			b.Fatal(err)
		}
	}
}

// TestBlockDecoder: messages that were kept from streamed blocks decode as they
// did in their place.
func TestBlockDecoder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := pgoutput.NewBlock()
		if !d.InStream() {
			t.Fatal("it begins outside")
		}
		messages, inside := anyStream(t)
		for i, m := range messages {
			if !inside[i] || m.Kind == pgoutput.StreamStop {
				continue
			}
			wire := encode(m, true)
			got, err := d.Decode(wire)
			if err != nil {
				t.Fatalf("decoding %s: %v", m.Kind, err)
			}
			if again := encode(got, true); !bytes.Equal(again, wire) {
				t.Fatalf("%s: decoded %x, want %x", m.Kind, again, wire)
			}
		}
	})
}
