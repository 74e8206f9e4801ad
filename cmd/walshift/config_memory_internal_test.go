package main

import (
	"io/fs"
	"math"
	"testing"
	"testing/fstest"
)

func files(pairs ...string) fs.FS {
	m := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1] + "\n")}
	}
	return m
}

// TestContainerMemory reads the trees that container engines, Kubernetes,
// systemd and plain hosts show a process.
func TestContainerMemory(t *testing.T) {
	t.Parallel()
	const self = "proc/self/cgroup"
	for name, c := range map[string]struct {
		root fs.FS
		want int64
	}{
		"nothing":             {files(), 0},
		"v2, own namespace":   {files(self, "0::/", "sys/fs/cgroup/memory.max", "268435456"), 268435456},
		"v2, none":            {files(self, "0::/", "sys/fs/cgroup/memory.max", "max"), 0},
		"v2, systemd service": {files(self, "0::/system.slice/w.service", "sys/fs/cgroup/system.slice/w.service/memory.max", "1073741824", "sys/fs/cgroup/system.slice/memory.max", "max"), 1073741824},
		"v2, tighter parent":  {files(self, "0::/a/b", "sys/fs/cgroup/a/b/memory.max", "1073741824", "sys/fs/cgroup/a/memory.max", "536870912"), 536870912},
		"v2, looser parent":   {files(self, "0::/a/b", "sys/fs/cgroup/a/b/memory.max", "536870912", "sys/fs/cgroup/a/memory.max", "1073741824"), 536870912},
		"v2, host's path":     {files(self, "0::/kubepods/pod1/x", "sys/fs/cgroup/memory.max", "100000000"), 100000000},
		"v2, path outside":    {files(self, "0::/../../x", "sys/fs/cgroup/memory.max", "100000000"), 100000000},
		"v1, container":       {files(self, "9:memory:/docker/abc\n8:cpu:/docker/abc", "sys/fs/cgroup/memory/memory.limit_in_bytes", "134217728"), 134217728},
		"v1, two controllers": {files(self, "4:cpuset,memory:/x", "sys/fs/cgroup/memory/x/memory.limit_in_bytes", "134217728"), 134217728},
		"v1, none":            {files(self, "4:memory:/", "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712"), 0},
		"hybrid":              {files(self, "4:memory:/x\n0::/x", "sys/fs/cgroup/memory/x/memory.limit_in_bytes", "134217728"), 134217728},
		"another controller":  {files(self, "4:memory_x:/", "sys/fs/cgroup/memory/memory.limit_in_bytes", "1000000000"), 0},
		"not a number":        {files(self, "0::/", "sys/fs/cgroup/memory.max", "12 apples"), 0},
		"garbled":             {files(self, "0:", "sys/fs/cgroup/memory.max", "1000000000"), 0},
	} {
		if got := containerMemory(c.root); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	const gib, none = int64(1 << 30), int64(math.MaxInt64)
	for name, c := range map[string]struct {
		configured, container, operators, want int64
		by                                     string
	}{
		"no container":     {gib, 0, none, gib, "limits.memory"},
		"large container":  {gib, 4 * gib, none, gib, "limits.memory"},
		"small container":  {gib, gib / 2, none, gib / 8 * 3, "three quarters of the container's memory"},
		"equal":            {gib, gib, none, gib / 4 * 3, "three quarters of the container's memory"},
		"lower GOMEMLIMIT": {gib, 4 * gib, gib / 2, gib / 2, "GOMEMLIMIT"},
		"high GOMEMLIMIT":  {gib, 4 * gib, 2 * gib, gib, "limits.memory"},
	} {
		if got, by := memoryLimit(c.configured, c.container, c.operators); got != c.want || by != c.by {
			t.Errorf("%s: %d by %s, want %d by %s", name, got, by, c.want, c.by)
		}
	}
}
