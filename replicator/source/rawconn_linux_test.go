package source_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/walshift/walshift/replicator/source"
)

// pair returns two ends of a connection, the first taken out of the runtime's
// poller.
func pair(t *testing.T, network, address string) (net.Conn, net.Conn) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	d, err := source.Detach(a)
	if err != nil {
		t.Fatalf("Detach: %v", err)
	}
	t.Cleanup(func() { d.Close(); b.Close() })
	return d, b
}

func TestDetachedConnection(t *testing.T) {
	t.Parallel()
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": t.TempDir() + "/s"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			conn, peer := pair(t, network, address)

			// Deadlines that passed, that come, and that are taken back.
			if err := conn.SetReadDeadline(time.Unix(1, 0)); err != nil {
				t.Fatal(err)
			}
			var b [64]byte
			if _, err := conn.Read(b[:]); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("Read beyond its deadline: %v", err)
			}
			conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			if _, err := conn.Read(b[:]); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("Read to its deadline: %v", err)
			}
			conn.SetReadDeadline(time.Time{})
			done := make(chan error, 1)
			read := func() {
				n, err := conn.Read(b[:])
				if err == nil && string(b[:n]) != "hello" {
					err = errors.New("wrong data")
				}
				done <- err
			}
			go read()
			peer.Write([]byte("hello"))
			if err := <-done; err != nil {
				t.Errorf("Read: %v", err)
			}
			go read()
			conn.SetDeadline(time.Unix(1, 0))
			if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("waiting Read whose deadline came: %v", err)
			}
			conn.SetDeadline(time.Time{})

			// More than the socket holds, both ways.
			big := bytes.Repeat([]byte("0123456789"), 1<<19)
			go func() {
				n, err := conn.Write(big)
				if err == nil && n != len(big) {
					err = io.ErrShortWrite
				}
				done <- err
			}()
			got := make([]byte, len(big))
			if _, err := io.ReadFull(peer, got); err != nil || !bytes.Equal(got, big) {
				t.Errorf("peer's read: %v", err)
			}
			if err := <-done; err != nil {
				t.Errorf("Write: %v", err)
			}
			conn.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
			if _, err := conn.Write(make([]byte, 64<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("Write that nobody takes: %v", err)
			}

			go read()
			if err := conn.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			if err := <-done; err == nil {
				t.Error("Read outlived Close")
			}
			if _, err := conn.Read(b[:]); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Read after Close: %v", err)
			}
			if err := conn.SetReadDeadline(time.Time{}); !errors.Is(err, net.ErrClosed) {
				t.Errorf("SetReadDeadline after Close: %v", err)
			}
		})
	}
}

func TestDetachedConnectionEnds(t *testing.T) {
	t.Parallel()
	conn, peer := pair(t, "tcp", "127.0.0.1:0")
	peer.Close()
	if _, err := conn.Read(make([]byte, 9)); !errors.Is(err, io.EOF) {
		t.Errorf("Read from a closed peer: %v", err)
	}
}
