package source

import (
	"net"
	"time"
)

const (
	// napTime is how long a reader that is faster than the walsender leaves
	// it alone. The walsender sends one row per system call, and each wakes a
	// reader that waits, which slows it two to three times; a reader that
	// comes once per millisecond lets it run. (SO_RCVLOWAT, which would also
	// hold wake-ups back, makes Linux acknowledge nearly every row at once,
	// and doubled the walsender's time in the kernel.)
	napTime = time.Millisecond
	// shortRead is the size below which a read counts as "we are faster".
	shortRead = 64 << 10
	// aheadSize is the read-ahead under TLS, where each row is a record and
	// the TLS layer would read them one by one.
	aheadSize = 256 << 10
)

// socket is a connection whose reader can be told to read in batches. Until
// [socket.detach] it is a plain connection. All fields belong to the goroutine
// that reads.
type socket struct {
	net.Conn
	// batch asks for batched reads: a backlog is being drained.
	batch bool
	// done ends a nap early.
	done <-chan struct{}
	nap  *time.Timer
	// short says that the last read returned little.
	short bool
	// ahead is the read-ahead buffer, nil for none; ahead[r:w] is unread.
	ahead []byte
	r, w  int
}

func newSocket(c net.Conn) *socket { return &socket{Conn: c} }

// detach takes the connection out of the runtime's poller, where the kernel
// would signal each row that arrives, and so wake a thread, even while nobody
// reads. Where that isn't possible reads are not batched.
func (s *socket) detach() error {
	c, err := detach(s.Conn)
	if err != nil {
		return err
	}
	s.Conn = c
	return nil
}

// Read implements net.Conn.
func (s *socket) Read(p []byte) (int, error) {
	if s.ahead == nil {
		return s.read(p)
	}
	if s.r == s.w {
		n, err := s.read(s.ahead)
		s.r, s.w = 0, n
		if n == 0 {
			return 0, err
		}
	}
	n := copy(p, s.ahead[s.r:s.w])
	s.r += n
	return n, nil
}

func (s *socket) read(p []byte) (int, error) {
	if s.batch && s.short {
		s.rest()
	}
	n, err := s.Conn.Read(p)
	s.short = n < min(shortRead, len(p))
	return n, err
}

// rest naps, by the runtime's timer: no thread is blocked.
func (s *socket) rest() {
	if s.nap == nil {
		s.nap = time.NewTimer(napTime)
	} else {
		s.nap.Reset(napTime)
	}
	select {
	case <-s.nap.C:
	case <-s.done:
		s.nap.Stop()
	}
}
