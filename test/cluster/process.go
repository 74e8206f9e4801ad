package cluster

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Process is a child in a process group of its own, which does not outlive this
// process. Its methods may be called concurrently, and on a nil Process, which
// counts as one that has ended.
type Process struct {
	pid  int
	done chan struct{} // closed when the process was reaped
	err  error         // how it ended; valid once done is closed
}

// StartProcess starts cmd. The kernel kills it when this process dies.
func StartProcess(cmd *exec.Cmd) (*Process, error) {
	return launch(cmd, syscall.SIGKILL, nil)
}

// launch starts cmd as account (nil: as the caller). The kernel sends
// deathSignal to it when this process dies.
func launch(cmd *exec.Cmd, deathSignal syscall.Signal, account *syscall.Credential) (*Process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:    true,
		Pdeathsig:  deathSignal,
		Credential: account,
	}
	p := &Process{done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// The death signal is sent when the thread that forked ends. This
		// goroutine keeps its thread for as long as the child lives.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", cmd.Path, err)
	}
	return p, nil
}

// PID is the process's id.
func (p *Process) PID() int { return p.pid }

// Done is closed when the process has ended and was reaped.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err returns how the process ended: nil for exit code 0, else an
// *exec.ExitError. It may only be called once Done is closed.
func (p *Process) Err() error { return p.err }

// Ended tells whether the process has ended and was reaped.
func (p *Process) Ended() bool {
	if p == nil {
		return true
	}
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Signal sends sig to the process alone, not to its group. An error would only
// say that it has ended, which Done tells better.
func (p *Process) Signal(sig syscall.Signal) {
	if !p.Ended() {
		_ = syscall.Kill(p.pid, sig)
	}
}

// End sends sig and tells whether the process ended within limit.
func (p *Process) End(sig syscall.Signal, limit time.Duration) bool {
	if p.Ended() {
		return true
	}
	p.Signal(sig)
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.done:
		return true
	case <-timer.C:
		return false
	}
}

// Kill ends the process and all that it started in its group (kill -9), and
// waits until it was reaped.
func (p *Process) Kill() {
	if p.Ended() {
		return
	}
	_ = syscall.Kill(-p.pid, syscall.SIGKILL)
	<-p.done
}

// run runs a client program to its end and returns what it wrote to stdout.
// Like the servers it does not survive this process.
func run(cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	runtime.LockOSThread() // see launch
	defer runtime.UnlockOSThread()
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("running %s: %w; it said:\n%s", filepath.Base(cmd.Path), err, tail(stderr.Bytes()))
	}
	return stdout.String(), nil
}

// tail returns the last lines of text.
func tail(text []byte) string {
	const lines = 40
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
