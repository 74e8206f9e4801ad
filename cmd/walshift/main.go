// Command walshift keeps Amazon Redshift an exact, fresh copy of a PostgreSQL
// database. See README.md; each subcommand has its own file.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the linker (make build).
var version = "dev"

func main() {
	// The first signal asks for an orderly end, the second leaves at once:
	// drain ends with the first, and stop restores the default action.
	drain, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(drain, stop)
	os.Exit(run(drain, os.Args[1:], os.Stdout, os.Stderr))
}
