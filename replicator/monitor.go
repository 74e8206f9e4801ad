package replicator

import (
	"context"
	"time"

	"github.com/jackc/pglogrepl"
	"go.uber.org/zap"

	"github.com/walshift/walshift/replicator/source"
)

// monitorEvery is how often the slot is looked at: one short catalog query.
const monitorEvery = 10 * time.Second

// monitor reads the slot's safety margin now and then, for status and metrics.
func (r *Replicator) monitor(ctx context.Context, s *shared) error {
	t := time.NewTicker(monitorEvery)
	defer t.Stop()
	var c *source.Catalog
	defer func() {
		if c != nil {
			c.Close(context.WithoutCancel(ctx))
		}
	}()
	for {
		if err := r.look(ctx, &c, s); err != nil && ctx.Err() == nil {
			r.log.Debug("slot_unreadable", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// look reads the slot over *c, which it opens when it is nil and drops after
// an error.
func (r *Replicator) look(ctx context.Context, c **source.Catalog, s *shared) error {
	var err error
	if *c == nil {
		if *c, err = r.src.OpenCatalog(ctx); err != nil {
			*c = nil
			return err
		}
	}
	slot, ok, err := (*c).Slot(ctx, r.cfg.Slot)
	if err == nil && ok {
		r.view.setSlot(slot)
	}
	if err == nil {
		var end pglogrepl.LSN
		if end, err = (*c).FlushLSN(ctx); err == nil {
			s.pos.SawServer(end)
			r.health.sawSource()
		}
	}
	if err != nil {
		(*c).Close(context.WithoutCancel(ctx))
		*c = nil
	}
	return err
}
