//go:build !unix

package spool

import (
	"io"
	"os"
)

// takeLock opens a file. Nothing keeps others out on this system.
func takeLock(name string) (io.Closer, error) {
	return os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
}
