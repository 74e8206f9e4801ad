package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/spf13/cobra"

	"github.com/walshift/walshift/replicator"
	"github.com/walshift/walshift/replicator/source"
)

func newWaitCommand(file *string) *cobra.Command {
	var timeout time.Duration
	var through bool
	var client clientFlags
	cmd := &cobra.Command{
		Use:   "wait",
		Short: "Return when everything committed on the source by now is on the warehouse",
		Long: `wait commits a small logical message on the source with synchronous_commit=on,
reads the flushed WAL position, and returns when that position is applied and
all tables are live. While apply is paused, or its window is closed, it fails at
once with the reason, unless --through-window is given. Exit codes: 0 all is
there, 3 timed out, 5 a table is stopped, 1 anything else.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(*file)
			if err != nil {
				return err
			}
			src, err := source.New(c.source())
			if err != nil {
				return exitWith(exitUsage, err)
			}
			lsn, err := src.Mark(cmd.Context())
			if err != nil {
				return exitWith(exitError, err)
			}
			return waitFor(cmd, func(path string, limit time.Duration) ([]byte, int, error) {
				if through {
					path += "&through=1"
				}
				return client.ask(cmd.Context(), c.HTTP, path, limit)
			}, lsn, timeout)
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "how long to wait")
	cmd.Flags().BoolVar(&through, "through-window", false, "wait also while apply is paused, or its window or that of the first load is closed")
	client.add(cmd)
	return cmd
}

// asker gets a path from the daemon within a limit.
type asker func(path string, limit time.Duration) (body []byte, status int, err error)

// waitFor asks the daemon until lsn is applied; progress goes to stderr.
func waitFor(cmd *cobra.Command, ask asker, lsn pglogrepl.LSN, timeout time.Duration) error {
	const wait = 500 * time.Millisecond
	deadline := time.Now().Add(timeout)
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return exitWith(exitTimeout, fmt.Errorf("%s is not applied after %s", lsn, timeout))
		}
		step := min(left, 5*time.Second)
		path := "/wait?lsn=" + url.QueryEscape(lsn.String()) + "&timeout=" + step.String()
		body, status, err := ask(path, step+10*time.Second)
		if _, hopeless := errors.AsType[*exitCodeError](err); hopeless {
			return err
		}
		switch {
		case err != nil && (cmd.Context().Err() != nil || time.Until(deadline) < wait):
			return exitWith(exitError, err)
		case err != nil: // the daemon may be restarting
			if err := pauseFor(cmd.Context(), wait); err != nil {
				return exitWith(exitError, err)
			}
			continue
		case status == http.StatusOK:
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "applied %s\n", lsn)
			return err
		case status == http.StatusConflict:
			return exitWith(exitNotLive, errors.New("a table is stopped: see `walshift status`"))
		case status == http.StatusLocked:
			return exitWith(exitError, errors.New(heldReason(body)+" (--through-window waits all the same)"))
		case status != http.StatusGatewayTimeout:
			return exitWith(exitError, fmt.Errorf("the daemon answered with HTTP status %d", status))
		}
		var st replicator.Status
		if json.Unmarshal(body, &st) == nil {
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "waiting for %s: applied %s, %d transactions behind\n",
				lsn, st.AppliedLSN, st.LagTransactions)
		}
	}
}

func pauseFor(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// heldReason says why apply or the first load rests, by a status.
func heldReason(body []byte) string {
	var st replicator.Status
	if json.Unmarshal(body, &st) != nil || st.Hold == nil {
		return "apply rests"
	}
	h := replicator.Hold{Kind: st.Hold.Kind, Reason: st.Hold.Reason}
	if st.Hold.Until != nil {
		h.Until = *st.Hold.Until
	}
	return (&replicator.HeldError{Hold: h}).Error()
}
