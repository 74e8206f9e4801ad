package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/walshift/walshift/replicator/source"
	"github.com/walshift/walshift/sink/redshift"
)

type teardownFlags struct {
	yes, sourceOnly, dropTargets, kept bool
}

func newTeardownCommand(file *string) *cobra.Command {
	var f teardownFlags
	cmd := &cobra.Command{
		Use:   "teardown",
		Short: "Remove the pipeline: slot, publication, log objects, state on the warehouse",
		Long: `teardown removes what walshift made for the pipeline: the replication slot, the
publication if walshift made it (source.publication.mode managed), the log's
objects under the pipeline's prefix, and its tables in schema walshift. A
publication that somebody else made stays. The target tables stay too, unless
--drop-targets is given. The daemon must not run. It may be repeated.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(*file)
			if err != nil {
				return err
			}
			if err := teardown(cmd, c, f); err != nil {
				return exitWith(exitError, err)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&f.yes, "yes", false, "don't ask")
	cmd.Flags().BoolVar(&f.sourceOnly, "source-only", false, "remove the replication slot and walshift's publication only, so that the source keeps no WAL")
	cmd.Flags().BoolVar(&f.dropTargets, "drop-targets", false, "also drop the target tables that walshift made")
	cmd.Flags().BoolVar(&f.kept, "kept", false, "also delete the kept originals of values that Redshift can't hold")
	return cmd
}

// teardown says what it will do, asks, and does it: the slot first, for that
// fails while a daemon runs, and nothing has been touched then.
func teardown(cmd *cobra.Command, c fileConfig, f teardownFlags) error {
	out := cmd.OutOrStdout()
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
	say("pipeline %s: replication slot %s will be dropped", c.Pipeline, c.Source.Slot)
	if !f.sourceOnly {
		say("  all objects under %s/%s will be deleted%s", strings.TrimSuffix(c.Log.URL, "/"), c.Pipeline,
			map[bool]string{false: ", except kept/"}[f.kept])
		say("  its tables in schema walshift will be dropped%s",
			map[bool]string{true: ", and all target tables that it made"}[f.dropTargets])
	}
	if c.replicator().ManagePublication {
		say("  publication %s will be dropped if walshift made it", c.Source.Publication.Name)
	}
	if err := confirm(cmd.InOrStdin(), out, f.yes); err != nil {
		return err
	}
	ctx := cmd.Context()
	src, err := source.New(c.source()) // alone: freeing the source must not depend on S3
	if err != nil {
		return err
	}
	if _, ok, err := src.InspectSlot(ctx); err != nil {
		return err
	} else if !ok {
		say("there is no slot %s", c.Source.Slot)
	} else if err := src.DropSlot(ctx); err != nil {
		return err
	} else {
		say("dropped slot %s", c.Source.Slot)
	}
	if c.replicator().ManagePublication {
		dropped, err := src.DropPublication(ctx)
		if err != nil {
			return err
		}
		say("%s", map[bool]string{
			true:  "dropped publication " + c.Source.Publication.Name,
			false: "there is no publication that walshift made",
		}[dropped])
	}
	if f.sourceOnly {
		return nil
	}
	p, err := c.open(ctx, zap.NewNop(), nil)
	if err != nil {
		return err
	}
	defer p.close()
	return removeRest(ctx, p, f, say)
}

func removeRest(ctx context.Context, p *parts, f teardownFlags, say func(string, ...any)) error {
	removed, err := p.warehouse.Teardown(ctx, f.dropTargets)
	if err != nil {
		return err
	}
	sayRemoved(removed, say)
	n, err := p.log.DeleteAll(ctx, f.kept)
	say("deleted %d objects", n)
	return err
}

func sayRemoved(r redshift.Removed, say func(string, ...any)) {
	switch {
	case !r.Known:
		say("the warehouse has nothing of the pipeline")
		return
	case r.Dropped:
		say("dropped the pipeline's state and %d target tables", len(r.Targets))
		return
	}
	say("dropped the pipeline's state; these target tables stay, and must go before a fresh start:")
	for _, t := range r.Targets {
		say("  %s", t)
	}
}

// confirm asks on a terminal; elsewhere --yes must have been given.
func confirm(in io.Reader, out io.Writer, yes bool) error {
	if yes {
		return nil
	}
	f, ok := in.(*os.File)
	if !ok {
		return errors.New("not a terminal: give --yes to go on")
	}
	if st, err := f.Stat(); err != nil || st.Mode()&os.ModeCharDevice == 0 {
		return errors.New("not a terminal: give --yes to go on")
	}
	_, _ = fmt.Fprint(out, "Go on? [yes/no] ")
	var answer string
	if _, err := fmt.Fscanln(f, &answer); err != nil || answer != "yes" {
		return errors.New("nothing was changed (--yes goes on without asking)")
	}
	return nil
}
