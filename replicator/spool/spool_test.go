package spool_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/walshift/walshift/replicator/spool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, dir string, limit int64) *spool.Spool {
	t.Helper()
	s, err := spool.Open(dir, "shop", limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// block appends messages, each of a (sub)transaction, in one block.
func block(t *testing.T, s *spool.Spool, xid uint32, first bool, messages ...message) {
	t.Helper()
	must(t, s.Begin(xid, first))
	for _, m := range messages {
		must(t, s.Append(m.xid, []byte(m.text)))
	}
	must(t, s.End())
}

type message struct {
	xid  uint32
	text string
}

func replay(t *testing.T, s *spool.Spool, xid uint32) []string {
	t.Helper()
	var got []string
	must(t, s.Replay(xid, func(m []byte) error {
		got = append(got, string(m))
		return nil
	}))
	return got
}

func want(t *testing.T, got []string, texts ...string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(texts) {
		t.Errorf("replayed %q, want %q", got, texts)
	}
}

func TestInterleavedBlocks(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), 1<<20)
	block(t, s, 7, true, message{7, "a"})
	block(t, s, 8, true, message{8, "x"})
	block(t, s, 7, false, message{7, ""}, message{7, "c"})
	want(t, replay(t, s, 7), "a", "", "c")
	want(t, replay(t, s, 7), "a", "", "c") // until it is dropped
	must(t, s.Drop(7))
	must(t, s.Drop(7))
	want(t, replay(t, s, 8), "x")
	if got := s.Usage(); got != (spool.Usage{Bytes: 5, Transactions: 1}) {
		t.Errorf("usage %+v", got)
	}
	// Nothing is left to replay, and a number may come again.
	if err := s.Replay(7, nil); !errors.Is(err, spool.ErrOrder) {
		t.Errorf("replaying a dropped transaction: %v", err)
	}
	block(t, s, 7, true, message{7, "again"})
	want(t, replay(t, s, 7), "again")
}

// TestW9AbortedSubtransactions: nested, released into an aborted one, a parent
// that wrote after its child, and one of which nothing was sent.
func TestW9AbortedSubtransactions(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), 1<<20)
	block(t, s, 100, true,
		message{100, "top"}, message{101, "kept child"}, message{100, "top again"},
		message{105, "released into 103"}, message{103, "its parent, later"}, message{106, "another"})
	must(t, s.Abort(100, 104)) // had written nothing
	must(t, s.Abort(100, 105))
	must(t, s.Abort(100, 106))
	must(t, s.Abort(100, 103))
	must(t, s.Abort(99, 99))
	block(t, s, 100, false, message{107, "retried"}, message{100, "end"})
	want(t, replay(t, s, 100), "top", "kept child", "top again", "retried", "end")
	must(t, s.Abort(100, 101)) // as when 101 holds all that followed
	want(t, replay(t, s, 100), "top")
	must(t, s.Abort(100, 100))
	if got := s.Usage(); got != (spool.Usage{}) {
		t.Errorf("usage after the abort: %+v", got)
	}
}

// TestXidWraparound: numbers go on at 3 after 2^32-1.
func TestXidWraparound(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), 1<<20)
	const top = 1<<32 - 2
	block(t, s, top, true, message{top, "t"}, message{top + 1, "before"}, message{3, "after"}, message{4, "gone"})
	must(t, s.Abort(top, 4))
	want(t, replay(t, s, top), "t", "before", "after")
	must(t, s.Abort(top, 3))
	want(t, replay(t, s, top), "t", "before")
}

func TestLimitHolds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, 30)
	block(t, s, 1, true, message{1, "0123456789"}, message{2, "0123456789"}) // 28 bytes
	must(t, s.Begin(3, true))
	if err := s.Append(3, []byte("0123456789")); !errors.Is(err, spool.ErrFull) {
		t.Fatalf("above the limit: %v", err)
	}
	must(t, s.Reset())
	block(t, s, 1, true, message{1, "0123456789"}, message{2, "0123456789"})
	must(t, s.Abort(1, 2))
	block(t, s, 1, false, message{1, "9876543210"}) // in the place of what was taken back
	want(t, replay(t, s, 1), "0123456789", "9876543210")
	if n := onDisk(t, dir); n != 28 {
		t.Errorf("%d bytes on disk, want 28", n)
	}
}

// TestLargeCutFreesTheDisk: what a large aborted subtransaction took is given
// back at once.
func TestLargeCutFreesTheDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, 8<<20)
	block(t, s, 1, true, message{1, "kept"}, message{2, string(make([]byte, 3<<20))})
	must(t, s.Abort(1, 2))
	if n, u := onDisk(t, dir), s.Usage(); n != 8 || u.Bytes != 8 {
		t.Errorf("%d bytes on disk, %+v", n, u)
	}
}

func onDisk(t *testing.T, dir string) (sum int64) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			info, ierr := d.Info()
			err = ierr
			sum += info.Size()
		}
		return err
	}))
	return sum
}

// TestMessagesOfAnySize: smaller and larger than every buffer.
func TestMessagesOfAnySize(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), 64<<20)
	must(t, s.Begin(1, true))
	var sizes []int
	for _, n := range []int{0, 1, 256<<10 - 5, 256<<10 - 4, 256<<10 - 3, 256 << 10, 256<<10 + 1, 3 << 20, 2, 1 << 20, 5} {
		sizes = append(sizes, n)
		must(t, s.Append(1, bytes.Repeat([]byte{byte(len(sizes))}, n)))
	}
	must(t, s.End())
	i := 0
	must(t, s.Replay(1, func(m []byte) error {
		if !bytes.Equal(m, bytes.Repeat([]byte{byte(i + 1)}, sizes[i])) {
			t.Errorf("message %d of %d bytes came back as %d bytes", i, sizes[i], len(m))
		}
		i++
		return nil
	}))
	if i != len(sizes) {
		t.Errorf("%d messages, want %d", i, len(sizes))
	}
}

func TestFolderIsPrivateAndEmptied(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	s := open(t, dir, 1<<20)
	block(t, s, 1, true, message{1, "x"})
	for name, mode := range map[string]fs.FileMode{"shop": 0o700, "shop/lock": 0o600, "shop/1.spool": 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v, want %v", name, info.Mode(), err, mode)
		}
	}
	if _, err := spool.Open(dir, "shop", 1<<20); !errors.Is(err, spool.ErrLocked) {
		t.Errorf("a second one in the folder: %v", err)
	}
	other, err := spool.Open(dir, "another", 1<<20)
	must(t, err)
	must(t, other.Close())
	must(t, s.Close())
	if n := onDisk(t, dir); n != 0 {
		t.Errorf("%d bytes left after Close", n)
	}
	// What a killed process left goes.
	must(t, os.WriteFile(filepath.Join(dir, "shop", "77.spool"), []byte("left"), 0o600))
	again, err := spool.Open(dir, "shop", 1<<20)
	must(t, err)
	defer again.Close()
	if n := onDisk(t, dir); n != 0 {
		t.Errorf("%d bytes left after Open", n)
	}
}

func TestBlocksOutOfOrder(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), 1<<20)
	for name, call := range map[string]func() error{
		"a later block of none": func() error { return s.Begin(1, false) },
		"append outside":        func() error { return s.Append(1, nil) },
		"end outside":           s.End,
	} {
		if err := call(); !errors.Is(err, spool.ErrOrder) {
			t.Errorf("%s: %v", name, err)
		}
	}
	block(t, s, 1, true)
	for name, call := range map[string]func() error{
		"first again":      func() error { return s.Begin(1, true) },
		"replay of none":   func() error { return s.Replay(2, nil) },
		"abort in a block": func() error { return errors.Join(s.Begin(1, false), s.Abort(1, 2)) },
		"nested":           func() error { return s.Begin(3, true) },
	} {
		if err := call(); !errors.Is(err, spool.ErrOrder) && name != "nested" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVisitorsErrorIsReturned(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), 1<<20)
	block(t, s, 1, true, message{1, "a"}, message{1, "b"})
	stop := errors.New("stop")
	n := 0
	if err := s.Replay(1, func([]byte) error { n++; return stop }); !errors.Is(err, stop) || n != 1 {
		t.Errorf("after %d messages: %v", n, err)
	}
}

// TestFullDisk: a disk without room is told apart. /dev/full takes the place of
// a file.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, 64<<20)
	block(t, s, 1, true, message{1, "x"})
	file := filepath.Join(dir, "shop", "1.spool")
	must(t, os.Remove(file))
	if err := os.Symlink("/dev/full", file); err != nil {
		t.Skip(err)
	}
	must(t, s.Begin(1, false))
	must(t, s.Append(1, []byte("y")))
	if err := s.End(); !errors.Is(err, spool.ErrFull) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("writing to a full disk: %v", err)
	}
	must(t, s.Reset())
	block(t, s, 1, true, message{1, "works again"})
}

// TestW9MillionSubtransactions: memory is 16 bytes for each that is live, and
// nothing for those that were aborted; aborts cost no search. It runs alone, for
// it measures the heap.
func TestW9MillionSubtransactions(t *testing.T) {
	const n = 1_000_000
	s := open(t, t.TempDir(), 1<<30)
	before := heap()
	must(t, s.Begin(1, true))
	for i := range uint32(n) {
		must(t, s.Append(2+i, []byte("row")))
	}
	must(t, s.End())
	if grown := heap() - before; grown > n*16*2 { // what append reserves included
		t.Errorf("%d bytes for %d live subtransactions", grown, n)
	} else {
		t.Logf("%d bytes each", grown/n)
	}
	for i := uint32(n); i > 10; i-- {
		must(t, s.Abort(1, 1+i))
	}
	if grown := heap() - before; grown > 1<<20 {
		t.Errorf("%d bytes after the aborts", grown)
	}
	if got := replay(t, s, 1); len(got) != 10 {
		t.Errorf("%d messages are left, want 10", len(got))
	}
	runtime.KeepAlive(s)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestProbe: a folder that can be used passes and is left as it was, with and
// without a process in it; one that can't fails.
func TestProbe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, spool.Probe(filepath.Join(dir, "not", "there"), "shop"))
	if entries, err := os.ReadDir(dir); len(entries) > 0 || err != nil {
		t.Errorf("left %v, %v", entries, err)
	}
	s := open(t, dir, 1<<20)
	must(t, spool.Probe(dir, "shop"))
	block(t, s, 1, true, message{1, "x"})
	if entries, err := os.ReadDir(filepath.Join(dir, "shop")); len(entries) != 2 || err != nil {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
	if err := spool.Probe("/dev/null/spool", "shop"); err == nil {
		t.Error("a folder below a device passes")
	}
	if os.Geteuid() != 0 {
		if err := spool.Probe("/proc", "shop"); err == nil {
			t.Error("/proc passes")
		}
	}
}
