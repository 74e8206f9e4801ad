package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/walshift/walshift/replicator/change"
)

func newExplainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "explain [CODE]",
		Short: "Say what an error code means, and what to do",
		Long: `Prints cause, remedy and what becomes of the data for an error code (WS1102), or
the list of all codes. Needs no configuration and connects to nothing.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out := cmd.OutOrStdout()
			for _, c := range change.Codes() {
				if len(args) == 0 {
					_, _ = fmt.Fprintf(out, "%s  %s\n", c.Code, c.Title)
				} else if strings.EqualFold(args[0], string(c.Code)) {
					_, err := fmt.Fprintf(out, "%s: %s\n\nCause:   %s\nRemedy:  %s\nData:    %s\n", c.Code, c.Title, c.Cause, c.Remedy, c.Risk)
					return err
				}
			}
			if len(args) > 0 {
				return exitWith(exitUsage, fmt.Errorf("unknown code %q: `walshift explain` lists them", args[0]))
			}
			return nil
		},
	}
}
