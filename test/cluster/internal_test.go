package cluster

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// The port that was free may be taken when the server comes to use it.
func TestPortIsTakenInBetween(t *testing.T) {
	t.Parallel()
	for name, taken := range map[string]int{"sometimes": 2, "always": portAttempts} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, err := newServer("probe", t.TempDir(), nil, syscall.SIGKILL)
			if err != nil {
				t.Fatal(err)
			}
			attempts := 0
			err = srv.start(t.Context(), func(int) *exec.Cmd {
				if attempts++; attempts <= taken {
					return exec.Command("sh", "-c", "echo bind: Address already in use >&2; exit 1")
				}
				return exec.Command("sleep", "600")
			}, func(context.Context) error {
				if attempts <= taken {
					return errors.New("not yet")
				}
				return nil
			})
			srv.proc.Kill()
			if wanted := min(taken+1, portAttempts); attempts != wanted {
				t.Errorf("%d attempts, want %d", attempts, wanted)
			}
			if (err == nil) != (taken < portAttempts) {
				t.Errorf("error is %v", err)
			}
		})
	}
}

func TestStartSaysWhatTheServerSaid(t *testing.T) {
	t.Parallel()
	srv, err := newServer("probe", t.TempDir(), nil, syscall.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	err = srv.start(t.Context(), func(int) *exec.Cmd {
		return exec.Command("sh", "-c", "echo no such luck; exit 3")
	}, func(context.Context) error { return errors.New("not yet") })
	if err == nil || !strings.Contains(err.Error(), "no such luck") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("error is %v", err)
	}
}
