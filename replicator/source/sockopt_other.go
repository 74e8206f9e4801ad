//go:build !linux

package source

import (
	"net"
	"syscall"
)

func setUserTimeout(string, string, syscall.RawConn) error { return nil }

// detach changes nothing here: reads are not kept from the runtime's poller.
func detach(c net.Conn) (net.Conn, error) { return c, nil }
