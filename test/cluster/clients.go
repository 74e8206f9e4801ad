package cluster

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
)

// Psql runs a script in psql, without anybody's psqlrc and stopping at the
// first error, and returns the rows as unaligned text without headings.
func (p *Postgres) Psql(ctx context.Context, dsn, script string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, "psql"),
		"-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", dsn, "-f", "-")
	cmd.Stdin = strings.NewReader(script)
	return run(cmd)
}

// Pgbench runs pgbench on a database and returns its report.
func (p *Postgres) Pgbench(ctx context.Context, dsn string, args ...string) (string, error) {
	return run(exec.CommandContext(ctx, filepath.Join(p.bin, "pgbench"), append(args, dsn)...))
}
