package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/walshift/walshift/replicator"
)

type statusFlags struct {
	json, watch, probe bool
	interval           time.Duration
	client             clientFlags
}

func newStatusCommand(file *string) *cobra.Command {
	var f statusFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show positions, lag, tables and slot safety of the running daemon",
		Long: `status asks the running daemon what it does, what it waits for, how far captured,
staged and applied positions are behind the source, how much WAL the slot holds
back and when its limit is reached, and how each table stands. It asks the
daemon alone: neither the source nor Redshift is sent a statement.

The fields of --json are listed in docs/status.md.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.probe {
				return probe(cmd.Context(), &f.client, *file)
			}
			c, err := f.client.config(*file)
			if err != nil {
				return err
			}
			if f.interval < 100*time.Millisecond {
				return exitWith(exitUsage, errors.New("--interval must be at least 100ms"))
			}
			if f.watch {
				return watchStatus(cmd, c, f)
			}
			return showStatus(cmd, c, f)
		},
	}
	cmd.Flags().BoolVar(&f.json, "json", false, "print the daemon's JSON")
	cmd.Flags().BoolVar(&f.probe, "probe", false, "print nothing: exit with 0 if the daemon is healthy (/healthz), with 1 if not, within 3s")
	f.client.add(cmd)
	cmd.Flags().BoolVarP(&f.watch, "watch", "w", false, "show it again and again, until interrupted")
	cmd.Flags().DurationVar(&f.interval, "interval", 2*time.Second, "time between two looks of --watch")
	return cmd
}

// showStatus asks once and prints the answer.
func showStatus(cmd *cobra.Command, c fileConfig, f statusFlags) error {
	body, _, err := f.client.ask(cmd.Context(), c.HTTP, "/status", 10*time.Second)
	if err != nil {
		return exitWith(exitError, err)
	}
	if f.json {
		_, err := cmd.OutOrStdout().Write(body)
		return err
	}
	var st replicator.Status
	if err := json.Unmarshal(body, &st); err != nil {
		return exitWith(exitError, fmt.Errorf("reading the daemon's status: %w", err))
	}
	v := viewOf(cmd.OutOrStdout(), f.watch)
	text := renderStatus(&st, v)
	if f.watch && v.Terminal {
		text = onScreen(text)
	} else if f.watch {
		text += "\n"
	}
	_, err = io.WriteString(cmd.OutOrStdout(), text)
	return err
}

// watchStatus shows the status until the user ends it. A daemon that does not
// answer is asked again: it may be restarting.
func watchStatus(cmd *cobra.Command, c fileConfig, f statusFlags) error {
	for cmd.Context().Err() == nil {
		if err := showStatus(cmd, c, f); err != nil && cmd.Context().Err() == nil {
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "%s: %v\n", time.Now().Format(time.TimeOnly), err)
		}
		_ = pauseFor(cmd.Context(), f.interval) // cut short by the end of the context
	}
	return nil
}

// onScreen replaces what stands on a terminal: home, each line cleared to its
// end, and what is below.
func onScreen(text string) string {
	const home, clearLine, clearBelow = "\x1b[H", "\x1b[K", "\x1b[J"
	return home + strings.ReplaceAll(text, "\n", clearLine+"\n") + clearBelow
}

// viewOf says how to write to w: plainly, unless it is a terminal.
func viewOf(w io.Writer, watch bool) statusView {
	f, ok := w.(*os.File)
	if !ok {
		return statusView{}
	}
	columns, lines, ok := terminalSize(f)
	if !ok || os.Getenv("TERM") == "dumb" {
		return statusView{}
	}
	v := statusView{Terminal: true, Width: columns, Color: os.Getenv("NO_COLOR") == ""}
	if watch {
		v.Height = lines
	}
	return v
}
