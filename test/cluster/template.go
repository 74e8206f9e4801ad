package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// initialise makes the data folder: by initdb, or by copying what an earlier
// initdb of the same version made. The copy lives in the tool cache, so that
// all test binaries share it.
func (p *Postgres) initialise(ctx context.Context) error {
	template := p.template(ctx)
	if template != "" && !p.cfg.OwnIdentity {
		if err := os.CopyFS(p.data(), os.DirFS(template)); err == nil {
			return os.Chmod(p.data(), 0o700)
		}
		if err := os.RemoveAll(p.data()); err != nil {
			return fmt.Errorf("removing a cluster that could not be copied whole: %w", err)
		}
	}
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, "initdb"), "--pgdata", p.data(), "--username", superuser,
		"--encoding", "UTF8", "--locale", "C.UTF-8", "--auth", "trust", "--no-sync", "--no-instructions")
	cmd.Dir = p.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.account}
	if _, err := run(cmd); err != nil {
		return fmt.Errorf("making a cluster: %w (if it may not enter the folder: set TMPDIR to one that every user may)", err)
	}
	if template != "" && !p.cfg.OwnIdentity {
		donate(p.data(), template)
	}
	return nil
}

// template returns where the copy for this server's version is or would be, or
// nothing when there is no place for it.
func (p *Postgres) template(ctx context.Context) string {
	cache, err := cacheDir()
	if err != nil {
		return ""
	}
	version, err := run(exec.CommandContext(ctx, filepath.Join(p.bin, "postgres"), "--version"))
	if err != nil {
		return ""
	}
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune("()/ \n", r) {
			return '-'
		}
		return r
	}, "initdb-"+strings.TrimSpace(version))
	return filepath.Join(cache, name)
}

// donate makes a fresh cluster the template. Losing the race against another
// process, or finding no room, costs only the time of the next initdb.
func donate(data, template string) {
	if os.MkdirAll(filepath.Dir(template), 0o755) != nil {
		return
	}
	part, err := os.MkdirTemp(filepath.Dir(template), "initdb.part-")
	if err != nil {
		return
	}
	if os.CopyFS(part, os.DirFS(data)) != nil || os.Rename(part, template) != nil {
		_ = os.RemoveAll(part)
	}
}

// cacheDir is where the installer puts the programs that it builds.
func cacheDir() (string, error) {
	if dir := os.Getenv("WALSHIFT_CACHE"); dir != "" {
		return dir, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("finding the tool cache: %w: set WALSHIFT_CACHE", err)
	}
	return filepath.Join(home, ".cache", "walshift"), nil
}
