package spool

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

var (
	// ErrFull reports that the limit would be exceeded, or that the disk or a
	// quota is.
	ErrFull = errors.New("the spool is full")
	// ErrLocked reports that another process uses the folder.
	ErrLocked = errors.New("another process uses the spool folder")
	// ErrOrder reports a call that does not fit what came before: a block of a
	// transaction that is not known, or a first block of one that is.
	ErrOrder = errors.New("the stream's blocks are out of order")
)

const (
	// bufferSize is the size of the write and of the read buffer.
	bufferSize = 256 << 10
	// headerSize is the length before each message.
	headerSize = 4
	// keepMessage is the size up to which the buffer for a message longer than
	// the read buffer is kept for the next one.
	keepMessage = 1 << 20
	// shrinkFrom is how much of a file must have been taken back for it to be
	// cut at once; less is written over.
	shrinkFrom = 1 << 20

	suffix   = ".spool"
	lockName = "lock"
)

// Spool is a folder of transactions in progress. It is not safe for concurrent
// use, but for [Spool.Usage].
type Spool struct {
	dir   string
	limit int64
	lock  io.Closer
	txs   map[uint32]*transaction

	// The block that is open: its transaction, file, and what of it is not
	// written yet, which belongs at the offset written.
	block   *transaction
	file    *os.File
	buf     []byte
	written int64

	// bytes is the sum of the transactions' extents.
	bytes int64
	usage struct{ bytes, transactions atomic.Int64 }
}

// Usage is what a spool holds.
type Usage struct {
	// Bytes is the length of all files, Transactions their number.
	Bytes        int64
	Transactions int
}

// Open takes a pipeline's folder below dir, which it makes where there is none,
// and empties it. limit is in bytes and above 0. The error is [ErrLocked] if
// another process has it. Close must be called.
func Open(dir, pipeline string, limit int64) (*Spool, error) {
	s := &Spool{
		dir: filepath.Join(dir, pipeline), limit: limit,
		txs: map[uint32]*transaction{}, buf: make([]byte, 0, bufferSize),
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the spool folder: %w", err)
	}
	var err error
	if s.lock, err = takeLock(filepath.Join(s.dir, lockName)); err != nil {
		return nil, fmt.Errorf("locking the spool folder %s: %w", s.dir, err)
	}
	if err := s.Reset(); err != nil {
		return nil, errors.Join(err, s.lock.Close())
	}
	return s, nil
}

// Reset forgets everything and deletes all files.
func (s *Spool) Reset() error {
	err := s.closeFile()
	s.block, s.buf, s.written, s.bytes = nil, s.buf[:0], 0, 0
	clear(s.txs)
	entries, rerr := os.ReadDir(s.dir)
	err = errors.Join(err, rerr)
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), suffix) {
			err = errors.Join(err, os.Remove(filepath.Join(s.dir, e.Name())))
		}
	}
	s.count()
	if err != nil {
		return fmt.Errorf("emptying the spool: %w", err)
	}
	return nil
}

// Close deletes all files and gives the folder back. The spool must not be used
// any more.
func (s *Spool) Close() error { return errors.Join(s.Reset(), s.lock.Close()) }

// Usage returns what the spool holds. It is safe for concurrent use.
func (s *Spool) Usage() Usage {
	return Usage{Bytes: s.usage.bytes.Load(), Transactions: int(s.usage.transactions.Load())}
}

// InBlock reports whether a block is open.
func (s *Spool) InBlock() bool { return s.block != nil }

func (s *Spool) count() {
	s.usage.bytes.Store(s.bytes)
	s.usage.transactions.Store(int64(len(s.txs)))
}

func (s *Spool) path(xid uint32) string {
	return filepath.Join(s.dir, strconv.FormatUint(uint64(xid), 10)+suffix)
}

// Begin opens a block of a transaction; first says that it is the first one.
func (s *Spool) Begin(xid uint32, first bool) error {
	t := s.txs[xid]
	if s.block != nil || first != (t == nil) {
		return fmt.Errorf("beginning a block of transaction %d (first: %t): %w", xid, first, ErrOrder)
	}
	flags := os.O_WRONLY
	if first {
		flags |= os.O_CREATE | os.O_EXCL
		t = &transaction{xid: xid}
	}
	f, err := os.OpenFile(s.path(xid), flags, 0o600)
	if err != nil {
		return fmt.Errorf("opening a spool file: %w", full(err))
	}
	s.txs[xid] = t
	s.block, s.file, s.written = t, f, t.size
	s.count()
	return nil
}

// Append adds a message to the open block. subxid is the (sub)transaction that
// it belongs to, the block's own where it is none of a subtransaction. The
// message is copied.
func (s *Spool) Append(subxid uint32, message []byte) error {
	t := s.block
	if t == nil || uint64(len(message)) > 1<<32-1 {
		return fmt.Errorf("appending %d bytes: %w", len(message), ErrOrder)
	}
	grown := max(0, t.size+headerSize+int64(len(message))-t.extent)
	if s.bytes+grown > s.limit {
		return fmt.Errorf("appending to transaction %d: %w: %d of %d bytes are in use", t.xid, ErrFull, s.bytes, s.limit)
	}
	t.note(subxid)
	s.buf = binary.BigEndian.AppendUint32(s.buf, uint32(len(message)))
	if len(s.buf)+len(message) > bufferSize {
		if err := s.flush(); err != nil {
			return err
		}
	}
	if len(message) > bufferSize {
		if err := s.write(message); err != nil {
			return err
		}
	} else {
		s.buf = append(s.buf, message...)
	}
	t.size += headerSize + int64(len(message))
	t.extent += grown
	s.bytes += grown
	s.usage.bytes.Store(s.bytes)
	return nil
}

func (s *Spool) flush() error {
	err := s.write(s.buf)
	s.buf = s.buf[:0]
	return err
}

func (s *Spool) write(b []byte) error {
	if _, err := s.file.WriteAt(b, s.written); err != nil {
		return fmt.Errorf("writing to the spool: %w", full(err))
	}
	s.written += int64(len(b))
	return nil
}

// full adds ErrFull to an error of a full disk.
func full(err error) error {
	for _, e := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if errors.Is(err, e) {
			return fmt.Errorf("%w: %w", ErrFull, err)
		}
	}
	return err
}

// End closes the open block.
func (s *Spool) End() error {
	if s.block == nil {
		return fmt.Errorf("ending a block: %w", ErrOrder)
	}
	err := s.flush()
	s.block = nil
	return errors.Join(err, s.closeFile())
}

func (s *Spool) closeFile() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	if err != nil {
		return fmt.Errorf("closing a spool file: %w", full(err))
	}
	return nil
}

// Abort takes back what a subtransaction and those inside it have written, or,
// where subxid is the transaction's own number, all of it. What is not known is
// no error: it may have written nothing that was sent. No block may be open.
func (s *Spool) Abort(xid, subxid uint32) error {
	if s.block != nil {
		return fmt.Errorf("aborting %d of transaction %d: %w", subxid, xid, ErrOrder)
	}
	if xid == subxid {
		return s.Drop(xid)
	}
	t := s.txs[xid]
	if t == nil || !t.cut(subxid) || t.extent-t.size < shrinkFrom {
		return nil
	}
	if err := os.Truncate(s.path(xid), t.size); err != nil {
		return fmt.Errorf("cutting a spool file: %w", err)
	}
	s.bytes -= t.extent - t.size
	t.extent = t.size
	s.count()
	return nil
}

// Drop forgets a transaction. One that is not known is no error.
func (s *Spool) Drop(xid uint32) error {
	t := s.txs[xid]
	if t == nil {
		return nil
	}
	delete(s.txs, xid)
	s.bytes -= t.extent
	s.count()
	if err := os.Remove(s.path(xid)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("deleting a spool file: %w", err)
	}
	return nil
}

// Replay calls visit with every message of a transaction, in order; it is valid
// during the call only. visit's error ends it and is returned as it is. The
// transaction stays until it is dropped. No block may be open.
func (s *Spool) Replay(xid uint32, visit func(message []byte) error) error {
	t := s.txs[xid]
	if t == nil || s.block != nil {
		return fmt.Errorf("replaying transaction %d: %w", xid, ErrOrder)
	}
	f, err := os.Open(s.path(xid))
	if err != nil {
		return fmt.Errorf("opening a spool file: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	in := bufio.NewReaderSize(io.LimitReader(f, t.size), bufferSize)
	var long []byte
	for {
		head, err := in.Peek(headerSize)
		if len(head) == 0 && errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return torn(err)
		}
		size := int(binary.BigEndian.Uint32(head))
		if whole, err := in.Peek(headerSize + size); err == nil {
			if err := visit(whole[headerSize:]); err != nil {
				return err
			}
			if _, err := in.Discard(headerSize + size); err != nil {
				return torn(err)
			}
			continue
		} else if !errors.Is(err, bufio.ErrBufferFull) {
			return torn(err)
		}
		// Longer than the buffer. The length is the spool's own, so it is trusted.
		if _, err := in.Discard(headerSize); err != nil {
			return torn(err)
		}
		if cap(long) < size {
			long = make([]byte, size)
		}
		if _, err := io.ReadFull(in, long[:size]); err != nil {
			return torn(err)
		}
		if err := visit(long[:size]); err != nil {
			return err
		}
		if size > keepMessage {
			long = nil
		}
	}
}

func torn(err error) error { return fmt.Errorf("reading a spool file: %w", err) }
