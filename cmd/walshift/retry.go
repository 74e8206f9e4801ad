package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/walshift/walshift/checkpoint"
	"github.com/walshift/walshift/replicator"
)

func newRetryCommand(file *string) *cobra.Command {
	var timeout time.Duration
	var client clientFlags
	cmd := &cobra.Command{
		Use:   "retry [SCHEMA.TABLE…]",
		Short: "Try what waits or was stopped again at once",
		Long: `retry lets a parked apply, a broken capture and a log that can't be reached be
tried again at once instead of at their next turn, and tries stopped tables again:
those named, or all.

A table that apply stopped stands at the end of a whole batch, and what it has
missed is kept in the log: that is applied in one transaction, and the table
follows again. Where the cause is not mended it stays stopped. A table that
capture has left can't be tried again, for the log lacks its changes.

Exit codes: 0 done, 3 not known after --timeout, 5 a table is still stopped.`,
		RunE: func(cmd *cobra.Command, tables []string) error {
			c, err := client.config(*file)
			if err != nil {
				return err
			}
			var answer retryAnswer
			if err := client.post(cmd.Context(), c.HTTP, "/retry", retryRequest{Tables: tables}, &answer); err != nil {
				return err
			}
			return client.until(cmd, c.HTTP, timeout, func(st *replicator.Status) (string, error) {
				return retryOutcome(answer.Tables, st)
			})
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "how long to wait for the tables")
	client.add(cmd)
	return cmd
}

// retryOutcome says what has become of the tables, "" while some are still to
// be tried.
func retryOutcome(tried []replicator.Retried, st *replicator.Status) (string, error) {
	var b strings.Builder
	failed := false
	for _, t := range tried {
		i := slices.IndexFunc(st.Tables, func(s replicator.TableStatus) bool { return s.Name == t.Table })
		switch {
		case t.Queued && i >= 0 && st.Tables[i].Retrying && st.Hold != nil:
			return "", fmt.Errorf("%s: the tables are tried again when it goes on", st.Hold.Reason)
		case t.Queued && i >= 0 && st.Tables[i].Retrying:
			return "", nil
		case t.Queued && i >= 0 && st.Tables[i].State != checkpoint.Stopped:
			fmt.Fprintf(&b, "table %s follows again\n", t.Table)
		case t.Queued && i >= 0:
			failed = true
			fmt.Fprintf(&b, "table %s is still stopped: %s\n", t.Table, st.Tables[i].Reason)
		default:
			failed = failed || i >= 0 && st.Tables[i].State == checkpoint.Stopped
			fmt.Fprintf(&b, "table %s can't be tried again: %s\n", t.Table, t.Reason)
		}
	}
	if failed {
		return b.String(), exitWith(exitNotLive, errors.New("a table is stopped: see `walshift status`"))
	}
	b.WriteString("asked for another try\n")
	return b.String(), nil
}
