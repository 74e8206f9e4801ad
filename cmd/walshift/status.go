package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/walshift/walshift/replicator"
)

func newStatusCommand(file *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show positions, lag, tables and slot safety of the running daemon",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(*file)
			if err != nil {
				return err
			}
			body, _, err := ask(cmd.Context(), c, "/status", 10*time.Second)
			if err != nil {
				return exitWith(exitError, err)
			}
			if asJSON {
				_, err := cmd.OutOrStdout().Write(body)
				return err
			}
			var st replicator.Status
			if err := json.Unmarshal(body, &st); err != nil {
				return exitWith(exitError, fmt.Errorf("reading the daemon's status: %w", err))
			}
			return printStatus(cmd.OutOrStdout(), &st)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the daemon's JSON")
	return cmd
}

// ask gets a path from the daemon's HTTP address.
func ask(ctx context.Context, c fileConfig, path string, limit time.Duration) ([]byte, int, error) {
	if c.HTTP.Listen == "" {
		return nil, 0, errors.New("http.listen is empty, so the daemon can't be asked")
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.HTTP.Listen+path, http.NoBody)
	if err != nil {
		return nil, 0, fmt.Errorf("asking the daemon: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, 0, fmt.Errorf("asking the daemon at %s: %w (is `walshift run` up with this configuration?)", c.HTTP.Listen, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return nil, 0, fmt.Errorf("reading the daemon's answer: %w", err)
	}
	return body, resp.StatusCode, nil
}

func printStatus(w io.Writer, st *replicator.Status) error {
	var b strings.Builder
	fmt.Fprintf(&b, "pipeline %s: %s (%s), up %s\n", st.Pipeline, st.State, st.Phase, st.Uptime.Round(time.Second))
	if st.Problem != "" {
		fmt.Fprintf(&b, "problem: %s\n", st.Problem)
	}
	fmt.Fprintf(&b, "captured %s  staged %s (batch %d)  applied %s (batch %d)\n",
		st.CapturedLSN, st.StagedLSN, st.StagedSeq, st.AppliedLSN, st.AppliedSeq)
	fmt.Fprintf(&b, "lag: %.1f s, %d transactions, %d bytes\n", st.LagSeconds, st.LagTransactions, st.LagBytes)
	if st.Slot.Known {
		fmt.Fprintf(&b, "slot: %s, retains %d bytes of WAL", st.Slot.WALStatus, st.Slot.RetainedBytes)
		if st.Slot.SafeBytes != nil {
			fmt.Fprintf(&b, ", lost after %d more", *st.Slot.SafeBytes)
		}
		b.WriteString("\n")
	}
	tw := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(tw, "TABLE\tSTATE\tLOADED\tINSERTS\tUPDATES\tDELETES\tTRUNCATES\tREASON")
	for i := range st.Tables {
		t := &st.Tables[i]
		_, _ = fmt.Fprintf(tw, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\n", t.Name, t.State, t.RowsLoaded,
			t.Changes.Inserts, t.Changes.Updates, t.Changes.Deletes, t.Changes.Truncates, t.Reason)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, b.String())
	return err
}
