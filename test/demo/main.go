// Command demo shows walshift at work on one machine: it starts a PostgreSQL
// server as the source, an S3 server and a stand-in for Amazon Redshift, loads
// pgbench's tables, runs `walshift run` while TPC-B transactions go on, waits
// until all of them are applied, and compares both sides row by row.
//
// It exits with 0 only if both sides are identical. Everything that it makes
// lies in one folder for temporary files, which it removes, and every process
// that it starts ends with it.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the demo at once.
	context.AfterFunc(ctx, stop)
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// run runs the demo and cleans up after it, whatever its end.
func run(ctx context.Context, stdout io.Writer) error {
	d, err := newDemo(stdout)
	if err != nil {
		return err
	}
	err = d.run(ctx)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("interrupted: %w", context.Cause(ctx))
	}
	if closing := d.close(); err == nil {
		err = closing
	}
	return err
}
