package source

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// rawConn is a connection on a descriptor that the runtime's poller doesn't
// know. A waiting reader blocks a thread in poll(2), which is why there should
// be few of them. It is safe for one reader, one writer, and any callers of
// the other methods.
type rawConn struct {
	local, remote net.Addr
	// use is held for reading while a descriptor is in use, for writing to
	// close them.
	use sync.RWMutex
	fd  int
	// wake is an eventfd that interrupts the reader.
	wake   int
	closed atomic.Bool
	// Deadlines in Unix nanoseconds, 0 for none.
	readBy, writeBy atomic.Int64
	poll            [2]unix.PollFd
}

// detach moves a TCP or Unix connection to a descriptor of its own. On success
// the old connection is closed; on failure it is untouched.
func detach(c net.Conn) (net.Conn, error) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return c, nil // a test's connection
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("taking over the connection: %w", err)
	}
	fd := -1
	var derr error
	err = raw.Control(func(old uintptr) { fd, derr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(err, derr); err != nil {
		return nil, fmt.Errorf("taking over the connection: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		_ = unix.Close(fd) // an unused copy
		return nil, fmt.Errorf("taking over the connection: %w", err)
	}
	r := &rawConn{local: c.LocalAddr(), remote: c.RemoteAddr(), fd: fd, wake: wake}
	r.poll = [2]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(wake), Events: unix.POLLIN}}
	// Closing removes the old descriptor from the poller; the connection
	// itself lives on in the new one.
	if err := c.Close(); err != nil {
		return nil, errors.Join(fmt.Errorf("taking over the connection: %w", err), r.Close())
	}
	return r, nil
}

// Read implements net.Conn.
func (c *rawConn) Read(p []byte) (int, error) {
	c.use.RLock()
	defer c.use.RUnlock()
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if c.closed.Load() {
			return 0, net.ErrClosed
		}
		if by := c.readBy.Load(); by != 0 && by <= time.Now().UnixNano() {
			return 0, os.ErrDeadlineExceeded
		}
		n, err := unix.Read(c.fd, p)
		switch {
		case n > 0:
			return n, nil
		case err == nil:
			return 0, io.EOF
		case errors.Is(err, unix.EAGAIN):
			if err := c.await(c.poll[:], &c.readBy); err != nil {
				return 0, err
			}
		case !errors.Is(err, unix.EINTR):
			return 0, os.NewSyscallError("read", err)
		}
	}
}

// await blocks until a descriptor is ready or the deadline has come, and takes
// back a wake-up.
func (c *rawConn) await(fds []unix.PollFd, by *atomic.Int64) error {
	timeout := -1
	if t := by.Load(); t != 0 {
		timeout = int(max((t-time.Now().UnixNano())/int64(time.Millisecond)+1, 0))
	}
	_, err := unix.Poll(fds, timeout)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return os.NewSyscallError("poll", err)
	}
	if len(fds) > 1 && fds[1].Revents != 0 {
		var b [8]byte
		_, _ = unix.Read(c.wake, b[:]) // somebody else's wake-up was taken already
	}
	return nil
}

// Write implements net.Conn.
func (c *rawConn) Write(p []byte) (int, error) {
	c.use.RLock()
	defer c.use.RUnlock()
	done := 0
	for done < len(p) {
		if c.closed.Load() {
			return done, net.ErrClosed
		}
		if by := c.writeBy.Load(); by != 0 && by <= time.Now().UnixNano() {
			return done, os.ErrDeadlineExceeded
		}
		n, err := unix.SendmsgN(c.fd, p[done:], nil, nil, unix.MSG_NOSIGNAL)
		switch {
		case err == nil:
			done += n
		case errors.Is(err, unix.EAGAIN):
			fds := [1]unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLOUT}}
			if err := c.await(fds[:], &c.writeBy); err != nil {
				return done, err
			}
		case !errors.Is(err, unix.EINTR):
			return done, os.NewSyscallError("write", err)
		}
	}
	return done, nil
}

// Close implements net.Conn. It ends a waiting Read or Write.
func (c *rawConn) Close() error {
	if c.closed.Swap(true) {
		return net.ErrClosed
	}
	c.interrupt()
	_ = unix.Shutdown(c.fd, unix.SHUT_RDWR) // the other side may have gone before
	c.use.Lock()
	defer c.use.Unlock()
	return errors.Join(unix.Close(c.fd), unix.Close(c.wake))
}

// interrupt makes a waiting reader look again.
func (c *rawConn) interrupt() {
	one := [8]byte{1}                 // a counter in the machine's byte order; any number but 0 does
	_, _ = unix.Write(c.wake, one[:]) // a full counter wakes too
}

// SetReadDeadline implements net.Conn.
func (c *rawConn) SetReadDeadline(t time.Time) error {
	c.use.RLock()
	defer c.use.RUnlock()
	if c.closed.Load() {
		return net.ErrClosed
	}
	c.readBy.Store(nanos(t))
	c.interrupt()
	return nil
}

// SetWriteDeadline implements net.Conn. It doesn't reach a waiting Write.
func (c *rawConn) SetWriteDeadline(t time.Time) error {
	c.writeBy.Store(nanos(t))
	return nil
}

// SetDeadline implements net.Conn.
func (c *rawConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// LocalAddr implements net.Conn.
func (c *rawConn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *rawConn) RemoteAddr() net.Addr { return c.remote }
