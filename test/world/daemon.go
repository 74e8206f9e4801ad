package world

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Daemon is one running walshift process.
type Daemon struct {
	cmd    *exec.Cmd
	config string
	addr   string
	log    string
	file   *os.File
	done   chan struct{}
	err    error
}

// Status is what the daemon says of itself; the names are its JSON's.
type Status struct {
	Phase      string `json:"phase"`
	State      string `json:"state"`
	Problem    string `json:"problem"`
	Captured   string `json:"captured_lsn"`
	Staged     string `json:"staged_lsn"`
	Applied    string `json:"applied_lsn"`
	StagedSeq  uint64 `json:"staged_batch"`
	AppliedSeq uint64 `json:"applied_batch"`
	Tables     []struct {
		Name   string `json:"name"`
		State  string `json:"state"`
		Reason string `json:"reason"`
	} `json:"tables"`
}

// startDaemon runs `walshift run` with a configuration file.
func (w *World) startDaemon(ctx context.Context, config string, env []string) (*Daemon, error) {
	f, err := os.CreateTemp(w.Dir, "walshift-*.log")
	if err != nil {
		return nil, fmt.Errorf("making the daemon's log: %w", err)
	}
	d := &Daemon{config: config, addr: w.addr, log: f.Name(), file: f, done: make(chan struct{})}
	d.cmd = exec.CommandContext(context.WithoutCancel(ctx), w.binary, "run", "-c", config)
	d.cmd.Env = append(os.Environ(), env...)
	d.cmd.Stdout, d.cmd.Stderr = f, f
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := d.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("starting walshift: %w", err), f.Close())
	}
	go func() {
		d.err = d.cmd.Wait()
		_ = f.Close()
		close(d.done)
	}()
	return d, nil
}

// Kill ends the daemon with SIGKILL and waits for its end.
func (d *Daemon) Kill() {
	_ = d.cmd.Process.Kill()
	<-d.done
}

// Signal sends a signal.
func (d *Daemon) Signal(s os.Signal) { _ = d.cmd.Process.Signal(s) }

// Stop asks for an orderly end and waits for it; the error is the exit's.
func (d *Daemon) Stop(ctx context.Context) error {
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	return d.Wait(ctx)
}

// Wait waits for the daemon's end by itself.
func (d *Daemon) Wait(ctx context.Context) error {
	select {
	case <-d.done:
		return d.err
	case <-ctx.Done():
		return fmt.Errorf("waiting for walshift's end: %w", context.Cause(ctx))
	}
}

// Done is closed when the process has ended.
func (d *Daemon) Done() <-chan struct{} { return d.done }

// Running reports whether the process has not ended.
func (d *Daemon) Running() bool {
	select {
	case <-d.done:
		return false
	default:
		return true
	}
}

// Killed reports, after the end, whether SIGKILL ended the process.
func (d *Daemon) Killed() bool {
	s, ok := d.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && s.Signaled() && s.Signal() == syscall.SIGKILL
}

// ExitCode returns the exit code after the end.
func (d *Daemon) ExitCode() int { return d.cmd.ProcessState.ExitCode() }

// CPU returns the processor time that the daemon used, after its end.
func (d *Daemon) CPU() time.Duration {
	return d.cmd.ProcessState.UserTime() + d.cmd.ProcessState.SystemTime()
}

// PID returns the process id.
func (d *Daemon) PID() int { return d.cmd.Process.Pid }

// Log returns everything that the daemon wrote.
func (d *Daemon) Log() string {
	b, err := os.ReadFile(d.log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// LogTail returns the last lines of the log.
func (d *Daemon) LogTail(lines int) string {
	all := strings.Split(strings.TrimSpace(d.Log()), "\n")
	return filepath.Base(d.log) + ":\n" + strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Get asks the daemon's HTTP server.
func (d *Daemon) Get(ctx context.Context, path string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.addr+path, http.NoBody)
	if err != nil {
		return 0, nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	var b bytes.Buffer
	_, err = io.Copy(&b, resp.Body)
	return resp.StatusCode, b.Bytes(), errors.Join(err, leaks(path, b.String()))
}

// Status reads /status.
func (d *Daemon) Status(ctx context.Context) (Status, error) {
	var st Status
	_, b, err := d.Get(ctx, "/status")
	if err != nil {
		return st, err
	}
	return st, json.Unmarshal(b, &st)
}

// Until polls /status until ok says so; it fails when the daemon ends or ctx
// does.
func (d *Daemon) Until(ctx context.Context, what string, ok func(Status) bool) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var last Status
	for {
		if st, err := d.Status(ctx); err == nil {
			if last = st; ok(st) {
				return nil
			}
		}
		select {
		case <-d.done:
			return fmt.Errorf("walshift ended (%w) while waiting until %s\n%s", errOr(d.err), what, d.LogTail(30))
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w; last status %+v\n%s", what, context.Cause(ctx), last, d.LogTail(30))
		case <-tick.C:
		}
	}
}

var errExit0 = errors.New("exit code 0")

func errOr(err error) error {
	if err == nil {
		return errExit0
	}
	return err
}

// UntilStreaming waits until the first load is complete.
func (d *Daemon) UntilStreaming(ctx context.Context) error {
	return d.Until(ctx, "it streams", func(s Status) bool { return s.Phase == "streaming" })
}

// Post sends a JSON body to the daemon's HTTP server, with a header if one is
// named, and returns the answer's status.
func (d *Daemon) Post(t interface {
	Helper()
	Fatal(args ...any)
	Context() context.Context
}, path, body, header, value string,
) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+d.addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if header != "" {
		req.Header.Set(header, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
