package world

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
)

// The administrator of the stand-in, who runs what `walshift setup` prints.
const (
	admin   = "dba"
	adminPW = "dba-pw"
)

// setupConfig is the configuration that the administrators print scripts for.
func (w *World) setupConfig() string {
	patterns := make([]string, len(w.cfg.Publish))
	for i, table := range w.cfg.Publish {
		patterns[i] = fmt.Sprintf("%q", "public."+table)
	}
	if len(patterns) == 0 {
		patterns = []string{w.include()}
	}
	house := w.targetDSN
	if house == "" {
		house = "postgres://nobody@localhost/dev"
	}
	text := fmt.Sprintf("pipeline: %s\nsource: {dsn: %q, tables: {include: [%s]}}\n"+
		"log: {url: \"s3://%s/test\", region: eu-central-1}\nredshift: {dsn: %q, iam_role: %q}\n",
		Pipeline, w.Source.ReplicatorDSN(), strings.Join(patterns, ", "), Bucket, house, iamRole)
	if target := w.Sections["target"]; target != "" {
		text += "target: " + target + "\n"
	}
	return text
}

// printSetup returns a part of what `walshift setup --print` says to the source's
// superuser.
func (w *World) printSetup(ctx context.Context, part string) (string, error) {
	path := filepath.Join(w.Dir, "setup.yaml")
	if err := os.WriteFile(path, []byte(w.setupConfig()), 0o600); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, w.binary, "setup", "--print", "--only", part, "--dsn", w.Source.SuperuserDSN(), "-c", path)
	out, err := cmd.Output()
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		return "", fmt.Errorf("running walshift setup: %w\n%s", err, e.Stderr)
	}
	return string(out), err
}

// prepareSource gives walshift's role exactly the rights that setup prints, and
// makes the publication. What the script offers as a choice is chosen: tables
// without a key are published for their inserts, and later tables may be read.
func (w *World) prepareSource(ctx context.Context) error {
	script, err := w.printSetup(ctx, "source")
	if err != nil {
		return err
	}
	script = strings.NewReplacer("\n-- insert-only: ", "\n", "\n-- ALTER DEFAULT PRIVILEGES ", "\nALTER DEFAULT PRIVILEGES ").Replace(script)
	if err := w.Source.RunScript(ctx, script); err != nil {
		return fmt.Errorf("running the script for the source: %w\n%s", err, script)
	}
	return nil
}

// createAdmin makes the stand-in's superuser, by the database behind it.
func (w *World) createAdmin(ctx context.Context) error {
	if err := w.Target.CreateUser(ctx, admin, adminPW); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, w.Backend.SuperuserDSN("dev"))
	if err != nil {
		return fmt.Errorf("connecting behind the stand-in: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, "ALTER ROLE "+admin+" SUPERUSER")
	return err
}

// prepareTarget gives the loader exactly the rights that setup prints for the
// configuration's target section, once for each.
func (w *World) prepareTarget(ctx context.Context) error {
	section := w.Sections["target"]
	if done, ok := w.prepared[section]; w.cfg.Elsewhere || ok && done {
		return nil
	}
	script, err := w.printSetup(ctx, "redshift")
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, w.Target.DSN(admin, adminPW, ""))
	if err != nil {
		return fmt.Errorf("connecting as the stand-in's administrator: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	for line := range strings.SplitSeq(script, "\n") {
		line = strings.ReplaceAll(line, "<password>", loaderPW)
		if line == "" || strings.HasPrefix(line, "--") || len(w.prepared) > 0 && strings.HasPrefix(line, "CREATE USER") {
			continue
		}
		if _, err := conn.Exec(ctx, line); err != nil {
			return fmt.Errorf("running the script for the warehouse: %s: %w", line, err)
		}
	}
	w.prepared[section] = true
	return nil
}
