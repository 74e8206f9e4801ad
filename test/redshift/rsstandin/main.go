// Command rsstandin runs the Redshift stand-in as a process, for the demo.
//
// When it is ready it prints the address that it serves at, and on a second line
// that of the control listener, empty if there is none. It ends on SIGTERM or
// SIGINT. The database and its users stay.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "rsstandin:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}
