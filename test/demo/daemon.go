package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/walshift/walshift/test/cluster"
)

const (
	watchInterval = 250 * time.Millisecond
	stopLimit     = 20 * time.Second
)

// daemon is `walshift run` as a child process, watched by its HTTP interface.
type daemon struct {
	address string // of its HTTP interface
	dir     string
	proc    *cluster.Process
}

func (d *daemon) program() string { return filepath.Join(d.dir, "walshift") }

// logPath is where the daemon's log goes.
func (d *daemon) logPath() string { return filepath.Join(d.dir, "walshift.log") }

func (d *daemon) build(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", d.program(), "./cmd/walshift")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building walshift: %w\n%s", err, output)
	}
	return nil
}

func (d *daemon) start(config string, environment []string) error {
	path := filepath.Join(d.dir, "walshift.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	// A daemon that is started again goes on in the same file.
	log, err := os.OpenFile(d.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the daemon's log: %w", err)
	}
	defer log.Close() //nolint:errcheck // the daemon writes to a descriptor of its own
	cmd := exec.Command(d.program(), "run", "-c", path)
	cmd.Dir = d.dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + d.dir}, environment...)
	cmd.Stdout, cmd.Stderr = log, log
	d.proc, err = cluster.StartProcess(cmd)
	return err
}

// stop ends the daemon as an init system would.
func (d *daemon) stop() error {
	if d.proc.End(syscall.SIGTERM, stopLimit) {
		return nil
	}
	d.proc.Kill()
	return fmt.Errorf("stopping walshift: it did not end within %s", stopLimit)
}

// watch calls done with the daemon's status until it returns true. It fails
// when the daemon ends or has stopped a table, and when ctx ends.
func (d *daemon) watch(ctx context.Context, done func(*status) bool) error {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	last := "unknown"
	for {
		s, err := d.status(ctx)
		switch {
		case err == nil && s.State == stateDegraded:
			return d.failure(errors.New(s.Problem))
		case err == nil && done(s):
			return nil
		case err == nil:
			last = s.State + " " + s.Problem
		}
		select {
		case <-d.proc.Done():
			return d.failure(fmt.Errorf("walshift has ended: %w", errors.Join(d.proc.Err(), err)))
		case <-ctx.Done():
			return d.failure(fmt.Errorf("%w; walshift's last state: %s", context.Cause(ctx), last))
		case <-ticker.C:
		}
	}
}

// failure adds what the daemon wrote last.
func (d *daemon) failure(err error) error {
	const lines = 15
	text, _ := os.ReadFile(d.logPath())
	all := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return fmt.Errorf("%w\nthe end of walshift's log:\n%s", err, bytes.Join(all[max(0, len(all)-lines):], []byte("\n")))
}
