// Command mutants shows that the tests would notice: each *.patch beside it
// holds one small fault in production code, and names the test that must fail
// with it. It works on a copy of the tree, and leaves the tree alone.
//
// A patch begins with two lines,
//
//	fault: what it breaks
//	test: ./package -run ^TestName$
//
// followed by a unified diff. Run it as `make mutants`, or with names of
// patches for these alone. It ends with 1 if a mutant lives, or if a patch no
// longer applies or compiles.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// mutant is one patch.
type mutant struct {
	name, fault string
	test        []string
	diff        []byte
}

func run(ctx context.Context, names []string, out io.Writer) error {
	root, err := output(ctx, ".", "git", "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	root = strings.TrimSpace(root)
	mutants, err := read(filepath.Join(root, "test/mutants"), names)
	if err != nil {
		return err
	}
	tree, err := os.MkdirTemp("", "walshift-mutants-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tree) }()
	if err := copyTree(ctx, root, tree); err != nil {
		return err
	}
	lived, began := 0, time.Now()
	for i := range mutants {
		m, started := &mutants[i], time.Now()
		verdict, err := m.try(ctx, tree)
		if err != nil {
			verdict = "BROKEN: " + err.Error()
		}
		if verdict != "died" {
			lived++
		}
		_, _ = fmt.Fprintf(out, "%-28s %s in %s (%s)\n", m.name, verdict, time.Since(started).Round(time.Second), m.fault)
	}
	took := time.Since(began).Round(time.Second)
	if lived > 0 {
		return fmt.Errorf("%d of %d mutants did not die, %s", lived, len(mutants), took)
	}
	_, _ = fmt.Fprintf(out, "all %d mutants died in %s\n", len(mutants), took)
	return nil
}

// read reads the patches, all or those named.
func read(folder string, names []string) ([]mutant, error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*.patch"))
	if err != nil {
		return nil, err
	}
	if len(names) > 0 {
		paths = nil
		for _, n := range names {
			paths = append(paths, filepath.Join(folder, strings.TrimSuffix(n, ".patch")+".patch"))
		}
	}
	if len(paths) == 0 {
		return nil, errors.New("no patches found")
	}
	var list []mutant
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			return nil, err
		}
		m := mutant{name: strings.TrimSuffix(filepath.Base(p), ".patch")}
		r := bufio.NewReader(bytes.NewReader(text))
		for _, field := range []string{"fault: ", "test: "} {
			line, err := r.ReadString('\n')
			value, ok := strings.CutPrefix(strings.TrimSpace(line), field)
			if err != nil || !ok {
				return nil, fmt.Errorf("%s lacks its line %q", p, field)
			}
			if field == "fault: " {
				m.fault = value
			} else {
				m.test = strings.Fields(value)
			}
		}
		if m.diff, err = io.ReadAll(r); err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, nil
}

// copyTree copies what git knows or would add.
func copyTree(ctx context.Context, from, to string) error {
	files, err := output(ctx, from, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return err
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(files, "\x00"), "\x00") {
		info, err := os.Stat(filepath.Join(from, name))
		if errors.Is(err, os.ErrNotExist) {
			continue // deleted and not committed yet
		}
		if err != nil {
			return err
		}
		body, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return err
		}
		path := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, body, info.Mode().Perm()); err != nil {
			return err
		}
	}
	return nil
}

// try applies the fault, runs the test and takes the fault back.
func (m *mutant) try(ctx context.Context, tree string) (verdict string, err error) {
	if err := m.patch(ctx, tree); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, m.patch(context.WithoutCancel(ctx), tree, "--reverse")) }()
	// With -trimpath, what other trees have compiled serves this one too.
	text, err := output(ctx, tree, "go", append([]string{"test", "-count=1", "-vet=off", "-trimpath"}, m.test...)...)
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case strings.Contains(text, "[build failed]"), strings.Contains(text, "[setup failed]"):
		return "", fmt.Errorf("it does not compile: %s", text)
	case err == nil && strings.Contains(text, "no tests to run"):
		return "", errors.New("its test does not exist")
	case err == nil:
		return "LIVES", nil
	}
	return "died", nil
}

func (m *mutant) patch(ctx context.Context, tree string, flags ...string) error {
	cmd := exec.CommandContext(ctx, "git", append([]string{"apply", "--whitespace=nowarn"}, flags...)...)
	cmd.Dir = tree
	// Outside of any repository, git apply takes paths as they are.
	cmd.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(tree))
	cmd.Stdin = bytes.NewReader(m.diff)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("applying the patch: %w: %s", err, bytes.TrimSpace(text))
	}
	return nil
}

func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	text, err := cmd.CombinedOutput()
	if err != nil {
		return string(text), fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err)
	}
	return string(text), nil
}
