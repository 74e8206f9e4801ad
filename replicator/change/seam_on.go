//go:build walshift_seams

package change

import (
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
)

// passed counts how often the requested seam was reached.
var passed atomic.Int64 //nolint:gochecknoglobals // test builds only

// Reach ends the process with SIGKILL at the n-th pass of the seam named in
// WALSHIFT_KILL_AT, n from WALSHIFT_KILL_PASS (1 if unset).
func Reach(s Seam) {
	if os.Getenv("WALSHIFT_KILL_AT") != string(s) {
		return
	}
	n, err := strconv.ParseInt(os.Getenv("WALSHIFT_KILL_PASS"), 10, 64)
	if err != nil {
		n = 1
	}
	if passed.Add(1) == n {
		_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
		select {} // the signal ends all threads; do nothing more meanwhile
	}
}
