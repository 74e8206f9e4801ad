package source_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/source"
)

// script is a connection whose server says data in reads of at most chunk
// bytes, then closes.
type script struct {
	net.Conn
	data  []byte
	chunk int
	loop  bool
	pos   int
}

func (s *script) Read(p []byte) (int, error) {
	if s.pos == len(s.data) {
		if !s.loop {
			return 0, io.EOF
		}
		s.pos = 0
	}
	n := copy(p[:min(len(p), s.chunk)], s.data[s.pos:])
	s.pos += n
	return n, nil
}

func (s *script) SetReadDeadline(time.Time) error { return nil }
func (s *script) Close() error                    { return nil }

// frame builds one protocol message.
func frame(typ byte, body []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{typ}, uint32(len(body)+4))
	return append(b, body...)
}

// xlog builds a CopyData message with XLogData.
func xlog(lsn uint64, data []byte) []byte {
	b := []byte{'w'}
	b = binary.BigEndian.AppendUint64(b, lsn)
	b = binary.BigEndian.AppendUint64(b, lsn)
	b = binary.BigEndian.AppendUint64(b, 0)
	return frame('d', append(b, data...))
}

func TestStreamFramesAnyChunks(t *testing.T) {
	t.Parallel()
	var data []byte
	sizes := []int{0, 1, 30, 100, 70_000, 5, 200_000, 3}
	for i, n := range sizes {
		data = append(data, xlog(uint64(i+1), bytes.Repeat([]byte{byte(i)}, n))...)
	}
	keep := binary.BigEndian.AppendUint64([]byte{'k'}, 77)
	keep = append(binary.BigEndian.AppendUint64(keep, 0), 1)
	data = append(data, frame('N', []byte{0})...)
	data = append(data, frame('d', keep)...)
	for _, chunk := range []int{1, 7, 4096, 1 << 20} {
		st := source.NewStream(&script{data: data, chunk: chunk}, 64<<10)
		for i, n := range sizes {
			ev, err := st.Next(t.Context())
			if err != nil {
				t.Fatalf("chunk %d, message %d: %v", chunk, i, err)
			}
			if ev.Kind != source.XLogData || uint64(ev.WALStart) != uint64(i+1) || !bytes.Equal(ev.Data, bytes.Repeat([]byte{byte(i)}, n)) {
				t.Fatalf("chunk %d, message %d: kind %c, start %s, %d bytes", chunk, i, ev.Kind, ev.WALStart, len(ev.Data))
			}
		}
		ev, err := st.Next(t.Context())
		if err != nil || ev.Kind != source.Keepalive || ev.WALEnd != 77 || !ev.ReplyRequested {
			t.Fatalf("chunk %d, keepalive: %+v, %v", chunk, ev, err)
		}
		_, err = st.Next(t.Context())
		if !errors.Is(err, io.EOF) || change.ScopeOf(err) != change.ScopeRetry {
			t.Fatalf("closed connection: %v", err)
		}
	}
}

// TestStreamBufferShrinks: a large message must not hold its memory for ever.
func TestStreamBufferShrinks(t *testing.T) {
	t.Parallel()
	data := xlog(1, make([]byte, 3<<20))
	for i := range 200 {
		data = append(data, xlog(uint64(i+2), make([]byte, 60<<10))...)
	}
	st := source.NewStream(&script{data: data, chunk: 64 << 10}, 64<<10)
	if _, err := st.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := st.BufferSize(); got < 3<<20 || got > 4<<20 {
		t.Errorf("buffer of %d bytes for a message of 3 MiB", got)
	}
	for range 200 {
		if _, err := st.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := st.BufferSize(); got != 64<<10 {
		t.Errorf("buffer stays at %d bytes", got)
	}
}

func TestStreamRefusesGarbage(t *testing.T) {
	t.Parallel()
	for name, data := range map[string][]byte{
		"length 0":        {'d', 0, 0, 0, 0},
		"length 2^31":     {'d', 0x80, 0, 0, 0},
		"unknown type":    frame('?', nil),
		"empty copy data": frame('d', nil),
		"short xlog":      frame('d', []byte("w123")),
		"short keepalive": frame('d', []byte("k123")),
		"unknown copy":    frame('d', []byte("x1234567890123456789012345678")),
		"garbled error":   frame('E', []byte{'S', 'x'}),
	} {
		st := source.NewStream(&script{data: data, chunk: 100}, 64<<10)
		if ev, err := st.Next(t.Context()); err == nil {
			t.Errorf("%s: %+v without an error", name, ev)
		}
	}
	st := source.NewStream(&script{data: frame('c', nil), chunk: 9}, 64<<10)
	if _, err := st.Next(t.Context()); !errors.Is(err, source.ErrStreamEnded) {
		t.Errorf("CopyDone: %v", err)
	}
}

func FuzzStream(f *testing.F) {
	f.Add(xlog(3, []byte("B123456789012345678901")), 5)
	f.Add(append(frame('N', []byte{0}), xlog(3, nil)...), 100)
	f.Add([]byte{'d', 0x7f, 0xff, 0xff, 0xfe, 'w'}, 3)
	f.Fuzz(func(t *testing.T, data []byte, chunk int) {
		if chunk < 1 {
			return
		}
		st := source.NewStream(&script{data: data, chunk: chunk}, 64)
		total := 0
		for {
			ev, err := st.Next(context.Background())
			if err != nil {
				break
			}
			total += len(ev.Data)
		}
		if total > len(data) || st.BufferSize() > max(64, 4*len(data)) {
			t.Fatalf("%d bytes of data and a buffer of %d from %d bytes", total, st.BufferSize(), len(data))
		}
	})
}

// manyRows is a buffer full of row messages inside one old transaction.
func manyRows(n int) []byte {
	var data []byte
	for i := range n {
		data = append(data, xlog(uint64(i), bytes.Repeat([]byte{'I'}, 77))...)
	}
	return data
}

// TestStreamNextAllocatesNothing is not parallel: allocations are counted for
// the whole process.
func TestStreamNextAllocatesNothing(t *testing.T) {
	st := source.NewStream(&script{data: manyRows(1000), chunk: 1 << 20, loop: true}, 64<<10)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if _, err := st.Next(ctx); err != nil { // registers the context
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(20_000, func() {
		if _, err := st.Next(ctx); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations per message", n)
	}
}

func BenchmarkNext(b *testing.B) {
	data := manyRows(1000)
	st := source.NewStream(&script{data: data, chunk: 1 << 20, loop: true}, 512<<10)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	b.SetBytes(int64(len(data) / 1000))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := st.Next(ctx); err != nil {
			b.Fatal(err)
		}
	}
}
