package world

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Canary is in every row of the tables that TestSecretsAndValuesStayInside of
// test/e2e fills; CanaryTable is one of them, and of no other test.
const (
	Canary      = "row-canary-8fd1"
	CanaryTable = "doubled"
)

// Passwords are the secrets of all worlds and of the demo: passwords of roles,
// and the S3 server's key.
func Passwords() []string {
	return []string{
		loaderPW, adminPW, Pipeline + "_repl-pw", Pipeline + "_owner-pw", "walshift-secret", "another-pw", "loader-demo-pw",
	}
}

// leaks reports secrets in what a program said: every log, answer and output
// of every world passes here.
func leaks(where, text string) error {
	for i, secret := range Passwords() {
		if strings.Contains(text, secret) {
			return fmt.Errorf("%s holds secret number %d of world.Passwords", where, i)
		}
	}
	return nil
}

// leaked looks through the logs of the world's daemons, and through the command
// line of the one that runs.
func (w *World) leaked() error {
	var errs []error
	logs, err := filepath.Glob(filepath.Join(w.Dir, "walshift-*.log"))
	errs = append(errs, err)
	if d := w.daemon; d != nil && d.Running() {
		logs = append(logs, fmt.Sprintf("/proc/%d/cmdline", d.PID()))
	}
	for _, path := range logs {
		text, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
		errs = append(errs, leaks(path, string(text)))
	}
	return errors.Join(errs...)
}
