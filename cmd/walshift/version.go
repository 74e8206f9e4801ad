package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/walshift/walshift/replicator/change"
)

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version and the formats it reads and writes",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "walshift %s\nmanifest format %d\n%s %s/%s\n",
				version, change.FormatVersion, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
