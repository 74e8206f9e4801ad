package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

const (
	host = "127.0.0.1"

	// pollInterval is the pause between two looks at a condition.
	pollInterval = 20 * time.Millisecond

	// Ports are taken from below Linux's ephemeral range (from 32768 on), so
	// that no outgoing connection can take the port of a server that restarts.
	lowestPort, highestPort = 20000, 32000

	portAttempts = 20
)

// errAddressInUse says that another process was quicker to take a port.
var errAddressInUse = errors.New("address already in use")

// server is what PostgreSQL and the S3 server have in common: a folder, a port,
// a log and, while it runs, a process.
type server struct {
	name        string
	dir         string // absolute; removed by Stop
	port        int
	account     *syscall.Credential
	deathSignal syscall.Signal
	proc        *Process
}

// newServer makes the server's folder below parent ("": the system's folder for
// temporary files), owned by account.
func newServer(name, parent string, account *syscall.Credential, deathSignal syscall.Signal) (*server, error) {
	dir, err := os.MkdirTemp(parent, "walshift-"+name+"-")
	if err != nil {
		return nil, fmt.Errorf("making a folder for %s: %w", name, err)
	}
	// The S3 server changes its working directory.
	if dir, err = filepath.Abs(dir); err == nil && account != nil {
		err = os.Chown(dir, int(account.Uid), int(account.Gid))
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("making a folder for %s: %w", name, err)
	}
	return &server{name: name, dir: dir, account: account, deathSignal: deathSignal}, nil
}

func (s *server) logFile() string { return filepath.Join(s.dir, "server.log") }

func (s *server) address() string { return net.JoinHostPort(host, strconv.Itoa(s.port)) }

// start runs the command on the server's port and waits until ready returns
// nil. The first start chooses the port, again if somebody else was quicker.
func (s *server) start(ctx context.Context, command func(port int) *exec.Cmd, ready func(context.Context) error) error {
	if !s.proc.Ended() {
		return nil
	}
	if s.port != 0 {
		return s.startOnPort(ctx, command, ready)
	}
	for range portAttempts {
		var err error
		if s.port, err = FreePort(ctx); err != nil {
			return err
		}
		if err = s.startOnPort(ctx, command, ready); !errors.Is(err, errAddressInUse) {
			return err
		}
	}
	return fmt.Errorf("starting %s: no port of %d was free when it came to use it", s.name, portAttempts)
}

func (s *server) startOnPort(ctx context.Context, command func(port int) *exec.Cmd, ready func(context.Context) error) error {
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o644)
	if err != nil {
		return fmt.Errorf("opening the log of %s: %w", s.name, err)
	}
	defer log.Close() //nolint:errcheck // the server writes to a descriptor of its own
	info, err := log.Stat()
	if err != nil {
		return fmt.Errorf("opening the log of %s: %w", s.name, err)
	}
	cmd := command(s.port)
	cmd.Stdout, cmd.Stderr = log, log
	if s.proc, err = launch(cmd, s.deathSignal, s.account); err != nil {
		return err
	}
	err = s.waitUntil(ctx, ready)
	if err == nil {
		return nil
	}
	s.proc.Kill()
	said := make([]byte, 1<<20)
	n, _ := log.ReadAt(said, info.Size())
	if bytes.Contains(bytes.ToLower(said[:n]), []byte(errAddressInUse.Error())) {
		return errAddressInUse
	}
	return fmt.Errorf("starting %s: %w; it said:\n%s", s.name, err, tail(said[:n]))
}

// waitUntil polls ready until it returns nil, the process ends, or ctx does.
func (s *server) waitUntil(ctx context.Context, ready func(context.Context) error) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		err := ready(ctx)
		if err == nil && !s.proc.Ended() {
			return nil
		}
		select {
		case <-s.proc.done:
			return fmt.Errorf("it ended at once: %w", errors.Join(s.proc.err))
		case <-ctx.Done():
			return fmt.Errorf("not ready: %w (%w)", context.Cause(ctx), err)
		case <-ticker.C:
		}
	}
}

// remove deletes the server's folder.
func (s *server) remove() error {
	if err := os.RemoveAll(s.dir); err != nil {
		return fmt.Errorf("removing the folder of %s: %w", s.name, err)
	}
	return nil
}

// LogTail returns the end of what the server wrote to its log.
func (s *server) LogTail() string {
	text, err := os.ReadFile(s.logFile())
	if err != nil {
		return err.Error()
	}
	return tail(text)
}

// FreePort returns a port of 127.0.0.1 that nobody listens on at the moment.
func FreePort(ctx context.Context) (int, error) {
	var err error
	for range portAttempts {
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		var listener net.Listener
		listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err == nil {
			return port, listener.Close()
		}
	}
	return 0, fmt.Errorf("finding a free port: %w", err)
}

// unprivileged returns the account that servers run as when the caller is root,
// which PostgreSQL refuses to be: postgres, else nobody. It is nil for any
// other caller.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		account, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.ParseUint(account.Uid, 10, 32)
		gid, errGID := strconv.ParseUint(account.Gid, 10, 32)
		if err := errors.Join(errUID, errGID); err != nil {
			return nil, fmt.Errorf("reading the ids of user %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("finding an account for PostgreSQL, which refuses to run as root: there is neither a user postgres nor nobody; run as another user")
}
