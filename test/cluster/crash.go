package cluster

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Kill ends the server and all its backends as kill -9 would, at one moment,
// without a word to its clients. Its data stay as they are; Restart recovers.
func (p *Postgres) Kill() {
	if p.proc.Ended() {
		return
	}
	// A stopped postmaster can't start another backend, so the list of its
	// children is complete.
	p.proc.Signal(syscall.SIGSTOP)
	children := childrenOf(p.proc.pid)
	p.proc.Kill()
	for _, pid := range children {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for _, pid := range children {
		for alive(pid) {
			<-ticker.C
		}
	}
}

// childrenOf returns the processes whose parent is pid. They lead sessions of
// their own, so their process group does not tell.
func childrenOf(pid int) []int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	var children []int
	for _, path := range stats {
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if fields := statFields(child); err == nil && len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			children = append(children, child)
		}
	}
	return children
}

// alive tells whether a process still runs; one that only waits to be reaped
// does not.
func alive(pid int) bool {
	fields := statFields(pid)
	return len(fields) > 0 && fields[0] != "Z"
}

// statFields returns the fields of /proc/PID/stat from the state on, which
// follow the command's name in parentheses (proc(5)); none if there is no such
// process.
func statFields(pid int) []string {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return nil
	}
	return strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
}

// removeSharedMemory removes the segment that a killed server left behind: its
// id ends the seventh line of postmaster.pid, which a server that shut down in
// order has removed.
func (p *Postgres) removeSharedMemory() {
	text, err := os.ReadFile(filepath.Join(p.data(), "postmaster.pid"))
	if err != nil {
		return
	}
	const segmentLine = 6
	lines := strings.Split(string(text), "\n")
	if len(lines) <= segmentLine {
		return
	}
	fields := strings.Fields(lines[segmentLine])
	if len(fields) == 0 {
		return
	}
	if id, err := strconv.ParseUint(fields[len(fields)-1], 10, 31); err == nil {
		const ipcRemove = 0 // IPC_RMID
		_, _, _ = syscall.RawSyscall(syscall.SYS_SHMCTL, uintptr(id), ipcRemove, 0)
	}
}
