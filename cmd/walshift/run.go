package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/jackc/pglogrepl"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/walshift/walshift/checkpoint"
	"github.com/walshift/walshift/replicator"
	"github.com/walshift/walshift/replicator/change"
)

func newRunCommand(file *string) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Run the daemon: load what is missing, then replicate until stopped",
		Long: `run loads the tables at the first start and then replicates until it is stopped.
With snapshot.mode only it loads them, prints the position that they are exact
at as the last line on stdout, and ends. Exit codes: 0 stopped in order or
loaded, 1 an error, 5 loaded but for a table, 7 another server or another
walshift.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(*file)
			if err != nil {
				return err
			}
			log, err := newLogger(c.Logging, cmd.ErrOrStderr())
			if err != nil {
				return exitWith(exitUsage, err)
			}
			defer func() { _ = log.Sync() }() // stderr may not support it
			loaded, err := runDaemon(cmd.Context(), c, log)
			if err != nil {
				log.Error("stopped", zap.String("code", string(change.CodeOf(err))), zap.Error(err))
			} else {
				log.Info("stopped")
			}
			if loaded != 0 { // scripts read it
				if _, err := fmt.Fprintln(cmd.OutOrStdout(), loaded); err != nil {
					return err
				}
			}
			if err != nil {
				return exitWith(exitCodeOf(err), err)
			}
			return nil
		},
	}
}

func exitCodeOf(err error) int {
	if errors.Is(err, checkpoint.ErrSuperseded) || errors.Is(err, replicator.ErrIdentityChanged) {
		return exitIdentity
	}
	if _, ok := errors.AsType[*change.TakenError](err); ok {
		return exitIdentity
	}
	if _, ok := errors.AsType[*replicator.NotLiveError](err); ok {
		return exitNotLive
	}
	return exitError
}

// runDaemon joins the parts and runs them until drain ends or, where nothing
// follows the first load, until that is done; then it returns its position.
func runDaemon(drain context.Context, c fileConfig, log *zap.Logger) (loaded pglogrepl.LSN, err error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(drain))
	defer cancel()
	if err := c.settleMemory(log); err != nil {
		return 0, err
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	p, err := c.open(ctx, log, newNeighbourMetrics(reg))
	if err != nil {
		return 0, err
	}
	defer p.close()
	r := replicator.New(c.replicator(), replicator.Parts{
		Log: log, Metrics: replicator.NewMetrics(reg), Source: p.source, Store: p.store, Warehouse: p.house,
	})
	reg.MustRegister(newStatusCollector(r.Status))
	server, err := newServer(ctx, c.HTTP, r, reg, log)
	if err != nil {
		return 0, err
	}
	log.Info("started", zap.String("version", version), zap.String("pipeline", c.Pipeline))
	g, gctx := errgroup.WithContext(ctx)
	if server != nil {
		g.Go(server.serve)
		g.Go(func() error {
			<-gctx.Done()
			return server.close()
		})
	}
	g.Go(func() error {
		defer cancel() // the HTTP server answers until the last position is confirmed
		if c.Snapshot.Mode != string(replicator.ModeOnly) {
			return r.Run(gctx, drain)
		}
		var err error
		loaded, err = r.LoadOnce(gctx, drain)
		return err
	})
	err = g.Wait()
	return loaded, err
}

// listen opens the HTTP listener before anything else is touched, so that a
// taken port is reported at once.
func listen(ctx context.Context, addr string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening on http.listen: %w (choose another address, or \"\" for none)", err)
	}
	return l, nil
}
