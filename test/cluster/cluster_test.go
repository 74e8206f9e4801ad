package cluster_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/walshift/walshift/test/cluster"
)

// victimVariable makes the test binary start its servers and wait to be killed.
const victimVariable = "WALSHIFT_CLUSTER_TEST_VICTIM"

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimVariable); dir != "" {
		if err := victim(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// victim starts one server of each kind below dir, says so, and waits for ever.
func victim(dir string) error {
	ctx := context.Background()
	if _, err := cluster.StartPostgres(ctx, cluster.PostgresConfig{Dir: dir}); err != nil {
		return err
	}
	if _, err := cluster.StartS3(ctx, cluster.S3Config{Dir: dir}); err != nil {
		return err
	}
	fmt.Println("started")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// openFolder returns a folder that other users may enter, unlike t.TempDir.
func openFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "walshift-test-") //nolint:usetesting // the parents of t.TempDir are closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestServersDieWithTheirParent(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), victimVariable+"="+dir)
	child.Stderr = os.Stderr
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "started\n" {
		t.Fatalf("the child said %q, %v", line, err)
	}
	pids := processesOf(t, dir)
	if len(pids) < 4 { // the S3 server, the postmaster and several of its children
		t.Fatalf("found only processes %v", pids)
	}

	if err := child.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err == nil {
		t.Fatal("the child survived")
	}
	wait(t, "the servers to end", func() bool {
		return !slices.ContainsFunc(pids, running)
	})
}

// processesOf returns the ids of the processes that were started with a path
// below dir among their arguments, and of their children.
func processesOf(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	servers := map[string]bool{}
	var pids []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(text), dir) {
			pid := filepath.Base(filepath.Dir(file))
			servers[pid] = true
			pids = append(pids, pid)
		}
	}
	for _, file := range files {
		pid := filepath.Base(filepath.Dir(file))
		if fields := stat(pid); len(fields) > 1 && servers[fields[1]] && !servers[pid] {
			pids = append(pids, pid)
		}
	}
	return pids
}

// stat returns the fields of /proc/PID/stat from the state on.
func stat(pid string) []string {
	text, _ := os.ReadFile("/proc/" + pid + "/stat")
	return strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
}

func running(pid string) bool {
	fields := stat(pid)
	return len(fields) > 0 && fields[0] != "Z"
}

// wait polls a condition that another process brings about.
func wait(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			t.Fatalf("waiting for %s: %v", what, ctx.Err())
		case <-ticker.C:
		}
	}
}
