package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"

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
		Args:  cobra.NoArgs,
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
			if err := runDaemon(cmd.Context(), c, log); err != nil {
				log.Error("stopped", zap.Error(err))
				return exitWith(exitCodeOf(err), err)
			}
			log.Info("stopped")
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
	return exitError
}

// runDaemon joins the parts and runs them until drain ends.
func runDaemon(drain context.Context, c fileConfig, log *zap.Logger) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(drain))
	defer cancel()
	// The limit is for everything; the runtime collects harder as it nears.
	debug.SetMemoryLimit(int64(c.Limits.Memory) / 10 * 9)
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	p, err := c.open(ctx, log)
	if err != nil {
		return err
	}
	defer p.close()
	r := replicator.New(c.replicator(), replicator.Parts{
		Log: log, Metrics: replicator.NewMetrics(reg), Source: p.source, Store: p.store, Warehouse: p.house,
	})
	reg.MustRegister(newStatusCollector(r))
	server, err := newServer(ctx, c.HTTP, r, reg)
	if err != nil {
		return err
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
		return r.Run(gctx, drain)
	})
	return g.Wait()
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
