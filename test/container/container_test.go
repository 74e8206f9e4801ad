// Package container_test checks the container image without a container
// engine: it reads the Dockerfile, makes the file tree that it describes, and
// runs the daemon with nothing but that tree, as the user that it names.
//
// What only an engine can show is not shown here: that the base image exists
// and holds a bundle of certificates where the Dockerfile expects it (the
// tree's bundle is this machine's), and that the engine keeps the root
// read-only (here the user merely has no right to write, and nothing changes).
package container_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"debug/elf"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/walshift/walshift/test/cluster"
	"github.com/walshift/walshift/test/world"
)

const (
	module = "../.."
	// bundle is the first place where Go looks for the roots it trusts.
	bundle = "/etc/ssl/certs/ca-certificates.crt"
	config = "/etc/walshift/walshift.yaml"
	// state is the only place that the daemon may write to.
	state = "/var/lib/walshift"
)

func TestMain(m *testing.M) {
	code := m.Run()
	world.Cleanup()
	os.Exit(code)
}

// TestImage has one tree for all of its checks: building it takes seconds.
//
//nolint:tparallel // the checks share the tree, one after the other
func TestImage(t *testing.T) {
	t.Parallel()
	im := build(t, module)
	t.Run("content", im.testContent)
	t.Run("instructions", im.testInstructions)
	for _, dir := range []string{"", "etc", "etc/walshift", "etc/ssl", "etc/ssl/certs", "var", "var/lib"} {
		if err := os.Chmod(filepath.Join(im.root, dir), 0o755); err != nil { // whatever the umask
			t.Fatal(err)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("a root of its own for a process takes a superuser")
	}
	t.Run("commands", im.testCommands)
	t.Run("compose", im.testCompose)
	t.Run("trust", im.testTrust)
	t.Run("daemon", im.testDaemon)
}

// testContent: the binary, the certificates, the user: no shell, nothing else.
func (im *image) testContent(t *testing.T) {
	want := []string{
		"/etc/", "/etc/group", "/etc/passwd", "/etc/ssl/", "/etc/ssl/certs/", bundle, "/etc/walshift/",
		"/var/", "/var/lib/", "/var/lib/walshift/", "/walshift",
	}
	if got := names(im.tree(t)); !slices.Equal(got, want) {
		t.Errorf("the image holds %q, want %q", got, want)
	}
	binary, err := elf.Open(filepath.Join(im.root, "walshift"))
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	libraries, err := binary.ImportedLibraries()
	if err != nil || len(libraries) > 0 || slices.ContainsFunc(binary.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		t.Errorf("the binary is not static: %v, %v", libraries, err)
	}
	roots, err := os.ReadFile(filepath.Join(im.root, bundle))
	if err != nil || !bytes.Contains(roots, []byte("BEGIN CERTIFICATE")) {
		t.Errorf("%s holds no certificate: %v", bundle, err)
	}
}

func (im *image) testInstructions(t *testing.T) {
	uid, gid := im.user(t)
	passwd, err := os.ReadFile(filepath.Join(im.root, "etc/passwd"))
	if line := fmt.Sprintf(":x:%d:%d:", uid, gid); err != nil || !strings.Contains(string(passwd), line) || uid == 0 || gid == 0 {
		t.Errorf("USER is %d:%d, /etc/passwd is %q, %v", uid, gid, passwd, err)
	}
	for _, op := range []string{"HEALTHCHECK", "ENTRYPOINT", "CMD"} {
		i := im.last.last(t, op)
		if _, ok := i.form(); !ok {
			t.Errorf("%s %s is not in the exec form, and there is no shell", op, i.rest)
		}
	}
	i := im.last.last(t, "STOPSIGNAL")
	if i.rest != "SIGTERM" && i.rest != "SIGINT" {
		t.Errorf("the daemon does not end in order on %s", i.rest)
	}
	check := im.last.last(t, "HEALTHCHECK")
	if limit, err := time.ParseDuration(check.flags["timeout"]); err != nil || limit <= 3*time.Second {
		t.Errorf("the engine ends the probe after %s (%v), before its own 3s", limit, err)
	}
	var labels []string
	for _, i := range im.last.lines {
		if i.op == "LABEL" {
			labels = append(labels, i.rest)
		}
	}
	for _, name := range []string{"title", "description", "source", "licenses", "version"} {
		if !strings.Contains(strings.Join(labels, " "), "org.opencontainers.image."+name+"=") {
			t.Errorf("no label org.opencontainers.image.%s", name)
		}
	}
}

func (im *image) user(t *testing.T) (uid, gid uint32) {
	t.Helper()
	user, group, _ := strings.Cut(im.last.last(t, "USER").rest, ":")
	u, errU := strconv.ParseUint(user, 10, 32)
	g, errG := strconv.ParseUint(group, 10, 32)
	if errU != nil || errG != nil {
		t.Fatalf("USER %s:%s is not numeric: Kubernetes' runAsNonRoot could not tell", user, group)
	}
	return uint32(u), uint32(g)
}

// command runs something in the image as its user, without any file but the
// image's.
func (im *image) command(ctx context.Context, t *testing.T, args []string, env ...string) *exec.Cmd {
	t.Helper()
	uid, gid := im.user(t)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = "/"
	cmd.Env = append([]string{"HOME=/home/walshift", "AWS_EC2_METADATA_DISABLED=true"}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Chroot: im.root, Credential: &syscall.Credential{Uid: uid, Gid: gid}, Pdeathsig: syscall.SIGKILL,
	}
	return cmd
}

// run runs a command to its end and returns its output and exit code.
func (im *image) run(t *testing.T, args []string, env ...string) (output string, code int) {
	t.Helper()
	cmd := im.command(t.Context(), t, args, env...)
	out, err := cmd.CombinedOutput()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// entry is a command line of the image: its entry point with other arguments.
func (im *image) entry(t *testing.T, args ...string) []string {
	t.Helper()
	i := im.last.last(t, "ENTRYPOINT")
	entry, _ := i.form()
	return append(entry, args...)
}

func (im *image) testCommands(t *testing.T) {
	if out, code := im.run(t, im.entry(t, "version")); code != 0 || !strings.HasPrefix(out, "walshift test\n") {
		t.Errorf("version: exit code %d: %s", code, out)
	}
	i := im.last.last(t, "CMD")
	cmd, _ := i.form()
	if out, code := im.run(t, im.entry(t, append(cmd, "--help")...)); code != 0 {
		t.Errorf("%q is no command: exit code %d: %s", cmd, code, out)
	}
	// Nobody listens: the probe works, and says so.
	if out, code := im.run(t, im.healthcheck(t)); code != 1 || !strings.Contains(out, config) {
		t.Errorf("the probe without a configuration: exit code %d: %s", code, out)
	}
}

func (im *image) healthcheck(t *testing.T) []string {
	t.Helper()
	i := im.last.last(t, "HEALTHCHECK")
	args, _ := i.form()
	return args
}

// testTrust: the daemon finds the bundle and trusts whom it names, and nobody
// else.
func (im *image) testTrust(t *testing.T) {
	ca, err := cluster.NewCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Issue("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(cert.CertFile, cert.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	probe := im.entry(t, "status", "--probe", "--url", "https://"+l.Addr().String())
	if out, code := im.run(t, probe); code != 1 || !strings.Contains(out, "unknown authority") {
		t.Errorf("a server of nobody in the bundle: exit code %d: %s", code, out)
	}
	roots, err := os.ReadFile(ca.File())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(im.root, bundle)
	original, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(slices.Clone(original), roots...), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, code := im.run(t, probe); code != 0 {
		t.Errorf("a server of the bundle: exit code %d: %s", code, out)
	}
	if err := os.WriteFile(file, original, 0o644); err != nil {
		t.Fatal(err)
	}
}

// fixed is the tree without what is in the volume.
func (im *image) fixed(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(im.tree(t), func(line string) bool { return strings.HasPrefix(line, state) })
}

// testDaemon: a first load, the probe, a wait, and the signal that ends it,
// without one file written but in the volume, where nothing stays.
func (im *image) testDaemon(t *testing.T) {
	w, err := world.Start(t.Context(), world.Config{DDL: `CREATE TABLE orders (id bigint PRIMARY KEY, note text); INSERT INTO orders VALUES (1, 'one')`})
	t.Cleanup(func() {
		if err := w.Stop(); err != nil {
			t.Errorf("stopping the world: %v", err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Sections["limits"] = fmt.Sprintf("{spool_dir: %q}", state)
	if err := os.WriteFile(filepath.Join(im.root, config), []byte(w.Config()), 0o644); err != nil {
		t.Fatal(err)
	}
	before := im.fixed(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	i := im.last.last(t, "CMD")
	args, _ := i.form()
	cmd := im.command(ctx, t, im.entry(t, args...), w.Env()...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stop := func(s os.Signal) error {
		_ = cmd.Process.Signal(s)
		return <-ended
	}
	if out, code := im.untilListening(ctx, t); code != 0 {
		t.Errorf("the probe: exit code %d: %s\n%v\n%s", code, out, stop(os.Kill), &log)
		return
	}
	if out, code := im.run(t, im.entry(t, "wait", "--timeout", "4m"), w.Env()...); code != 0 {
		t.Errorf("wait: exit code %d: %s\n%v\n%s", code, out, stop(os.Kill), &log)
		return
	}
	if diff, err := w.Compare(ctx, "orders", "id, note"); diff != "" || err != nil {
		t.Errorf("orders: %s, %v", diff, err)
	}
	if err := stop(syscall.SIGTERM); err != nil {
		t.Errorf("STOPSIGNAL: %v\n%s", err, &log)
	}
	if after := im.fixed(t); !slices.Equal(after, before) {
		t.Errorf("files changed: %q, before %q", after, before)
	}
	left := slices.DeleteFunc(names(im.tree(t)), func(name string) bool { return !strings.HasPrefix(name, state) })
	want := []string{state + "/", state + "/" + world.Pipeline + "/", state + "/" + world.Pipeline + "/lock"}
	if !slices.Equal(left, want) {
		t.Errorf("the volume holds %q, want %q", left, want)
	}
}

// untilListening runs the health check as an engine does, again and again,
// until it succeeds.
func (im *image) untilListening(ctx context.Context, t *testing.T) (output string, code int) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		output, code = im.run(t, im.healthcheck(t))
		if code == 0 {
			return output, code
		}
		select {
		case <-ctx.Done():
			return output, code
		case <-tick.C:
		}
	}
}
