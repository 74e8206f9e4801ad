package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// Exit codes, the same for every command (docs/design.md 5).
const (
	exitOK       = 0
	exitError    = 1
	exitUsage    = 2
	exitTimeout  = 3
	exitNotLive  = 5
	exitIdentity = 7
)

// exitError carries a command's exit code.
type exitCodeError struct {
	code int
	err  error
}

func (e *exitCodeError) Error() string { return e.err.Error() }
func (e *exitCodeError) Unwrap() error { return e.err }

func exitWith(code int, err error) error { return &exitCodeError{code: code, err: err} }

// run executes one command line and returns its exit code. ctx ends when the
// user asks to stop.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot() //nolint:contextcheck // cobra hands each command its context
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	// The driver breaks its errors into lines, one for each address tried.
	_, _ = fmt.Fprintf(stderr, "walshift: %s\n", strings.ReplaceAll(err.Error(), "\n\t", " "))
	if e, ok := errors.AsType[*exitCodeError](err); ok {
		return e.code
	}
	return exitUsage
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "walshift",
		Short:         "Keeps Amazon Redshift an exact, fresh copy of a PostgreSQL database",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	var file string
	root.PersistentFlags().StringVarP(&file, "config", "c", "",
		"configuration file (default $WALSHIFT_CONFIG, then "+defaultConfigPath+")")
	root.AddCommand(newCheckCommand(&file), newSetupCommand(&file), newRunCommand(&file), newStatusCommand(&file), newWaitCommand(&file), newPauseCommand(&file), newUnpauseCommand(&file), newRetryCommand(&file), newTeardownCommand(&file), newIncidentsCommand(&file),
		newConfigCommand(&file), newExplainCommand(), newVersionCommand())
	return root
}
