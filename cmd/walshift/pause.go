package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/walshift/walshift/replicator"
)

// poll is how often a command looks whether what it asked for has happened.
const poll = 250 * time.Millisecond

func newPauseCommand(file *string) *cobra.Command {
	var reason string
	var timeout time.Duration
	var client clientFlags
	cmd := &cobra.Command{
		Use:   "pause",
		Short: "Let the warehouse rest: apply stops after its current transaction, capture goes on",
		Long: `pause stops apply after the transaction under way, and returns when that has
ended. Capture goes on: batches wait on S3, and the source keeps no WAL for them.
A pause outlives restarts of the daemon; unpause ends it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := client.config(*file)
			if err != nil {
				return err
			}
			var answer pauseAnswer
			if err := client.post(cmd.Context(), c.HTTP, "/pause", pauseRequest{Reason: reason}, &answer); err != nil {
				return err
			}
			if answer.Applying {
				_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "paused; waiting for the transaction under way")
			}
			return client.until(cmd, c.HTTP, timeout, func(st *replicator.Status) (string, error) {
				if st.Applying {
					return "", nil
				}
				return "paused: nothing is being applied\n", nil
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "shown in status")
	cmd.Flags().DurationVar(&timeout, "timeout", 10*time.Minute, "how long to wait for the transaction under way; the pause stays")
	client.add(cmd)
	return cmd
}

func newUnpauseCommand(file *string) *cobra.Command {
	var client clientFlags
	cmd := &cobra.Command{
		Use:   "unpause",
		Short: "End a pause",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := client.config(*file)
			if err != nil {
				return err
			}
			if err := client.post(cmd.Context(), c.HTTP, "/unpause", struct{}{}, &pauseAnswer{}); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "unpaused")
			return err
		},
	}
	client.add(cmd)
	return cmd
}

// post sends a request that changes something, and reads the answer.
func (f *clientFlags) post(ctx context.Context, h httpSection, path string, request, answer any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("encoding the request: %w", err)
	}
	reply, status, err := f.call(ctx, h, path, body, time.Minute)
	if err != nil {
		return exitWith(exitError, err)
	}
	if status != http.StatusOK {
		return exitWith(exitError, fmt.Errorf("the daemon refused, with HTTP status %d: %s", status, strings.TrimSpace(string(reply))))
	}
	if err := json.Unmarshal(reply, answer); err != nil {
		return exitWith(exitError, fmt.Errorf("reading the daemon's answer: %w", err))
	}
	return nil
}

// until looks at the daemon's status until done has something to say.
func (f *clientFlags) until(
	cmd *cobra.Command, h httpSection, timeout time.Duration, done func(*replicator.Status) (string, error),
) error {
	for deadline := time.Now().Add(timeout); ; {
		body, _, err := f.ask(cmd.Context(), h, "/status", 10*time.Second)
		var st replicator.Status
		if err == nil {
			err = json.Unmarshal(body, &st)
		}
		var text string
		if err == nil {
			text, err = done(&st)
		}
		switch {
		case text != "":
			if _, werr := io.WriteString(cmd.OutOrStdout(), text); werr != nil {
				return werr
			}
			return err
		case err != nil:
			return exitWith(exitError, err)
		case time.Now().After(deadline):
			return exitWith(exitTimeout, fmt.Errorf("it has not happened within %s; see `walshift status`", timeout))
		}
		if err := pauseFor(cmd.Context(), poll); err != nil {
			return exitWith(exitError, err)
		}
	}
}
