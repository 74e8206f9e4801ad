package main

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"reflect"
	"runtime/debug"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/walshift/walshift/replicator"
)

// memoryShare is the part of a container's memory that the daemon plans with,
// in quarters. The rest is for what no plan of Go's counts: the binary's pages,
// the kernel's socket buffers and page cache, and another process in the
// container, as a probe is.
const memoryShare = 3

// unlimited is above every real limit: cgroup v1 writes "none" as the largest
// number of whole pages.
const unlimited = 1 << 60

// settleMemory fits limits.memory into the container and below GOMEMLIMIT,
// tells the garbage collector, and logs the outcome. The runtime, which does not
// count the program's own pages, collects harder as nine tenths of the rest
// near; a GOMEMLIMIT of the operator's stays as it is.
func (c *fileConfig) settleMemory(log *zap.Logger) error {
	configured := int64(c.Limits.Memory)
	container := containerMemory(os.DirFS("/"))
	operators := int64(math.MaxInt64)
	set := os.Getenv("GOMEMLIMIT") != ""
	if set {
		operators = debug.SetMemoryLimit(-1) // reads it
	}
	limit, reason := memoryLimit(configured, container, operators)
	if least := findSetting("limits.memory").min; limit < bound(least, reflect.TypeFor[byteSize]()) {
		return fmt.Errorf("fitting into memory: %s leaves %d bytes, and walshift needs %s: give it more", reason, limit, least)
	}
	c.Limits.Memory = byteSize(limit)
	if !set {
		debug.SetMemoryLimit((limit - replicator.ProgramBytes) / 10 * 9)
	}
	fields := []zap.Field{zap.Int64("limit", limit), zap.Int64("configured", configured), zap.String("by", reason)}
	if container > 0 {
		fields = append(fields, zap.Int64("container", container))
	}
	log.Info("memory", fields...)
	return nil
}

// memoryLimit returns what the daemon may use, and what says so.
func memoryLimit(configured, container, operators int64) (limit int64, by string) {
	limit, by = configured, "limits.memory"
	if share := container / 4 * memoryShare; container > 0 && share < limit {
		limit, by = share, "three quarters of the container's memory"
	}
	if operators < limit {
		limit, by = operators, "GOMEMLIMIT"
	}
	return limit, by
}

// containerMemory returns the memory limit of the control group that the
// process is in, 0 if it has none. It is the least of the group's own and its
// ancestors'. In a container the group's path is often that of the host and
// not to be found, while the mounted root is the container's own: so the root
// is looked at as well.
func containerMemory(root fs.FS) int64 {
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0
	}
	least := int64(unlimited)
	for line := range strings.Lines(string(groups)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) < 3 {
			continue
		}
		var mount, file string
		switch {
		case fields[0] == "0" && fields[1] == "":
			mount, file = "sys/fs/cgroup", "memory.max"
		case strings.Contains(","+fields[1]+",", ",memory,"):
			mount, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		for group := path.Clean("/" + fields[2]); ; group = path.Dir(group) {
			if n := readLimit(root, path.Join(mount, group, file)); n > 0 {
				least = min(least, n)
			}
			if group == "/" {
				break
			}
		}
	}
	if least >= unlimited {
		return 0
	}
	return least
}

// readLimit reads a limit; "max" and whatever is no number are none.
func readLimit(root fs.FS, name string) int64 {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
