package source

import (
	"strings"
	"syscall"
)

// tcpUserTimeout is TCP_USER_TIMEOUT of linux/tcp.h, which package syscall
// lacks; userTimeoutMillis bounds how long sent data may stay unacknowledged.
const (
	tcpUserTimeout    = 18
	userTimeoutMillis = 60_000
)

func setUserTimeout(network, _ string, c syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return nil
	}
	return c.Control(func(fd uintptr) {
		// A kernel that refuses it leaves us with its own, longer limit.
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, userTimeoutMillis) // see above
	})
}
