package replicator

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/walshift/walshift/replicator/change"
)

// Collector removes log objects that nothing needs any more.
type Collector interface {
	// Collect removes what is older than the horizon's retention and belongs
	// to batches below its seq, and returns the number of objects.
	Collect(ctx context.Context, horizon Horizon) (int64, error)
}

// Horizon is the limit of what may be removed.
type Horizon struct {
	// Seq is the first batch that something may still need.
	Seq uint64
	// Retention is how long objects are kept all the same.
	Retention time.Duration
}

// collectEvery is how often the log is looked through, as a share of the
// retention, within bounds: one listing each time.
func collectEvery(retention time.Duration) time.Duration {
	return max(time.Second, min(retention/24, time.Hour))
}

// collect removes old objects now and then. It runs in the apply loop, for
// only what the fence on the warehouse has passed may go. A failure is no
// reason to stop applying: it is logged, and tried again at the next turn.
func (a *applier) collect(ctx context.Context) {
	if a.cfg.Retention <= 0 || time.Since(a.collected) < collectEvery(a.cfg.Retention) {
		return
	}
	a.collected = time.Now()
	change.Reach(change.SeamCollectBefore)
	horizon, err := a.horizon(ctx)
	var n int64
	if err == nil {
		n, err = a.trash.Collect(ctx, Horizon{Seq: horizon, Retention: a.cfg.Retention})
	}
	change.Reach(change.SeamCollected)
	switch {
	case err != nil && ctx.Err() == nil:
		a.log.Warn("collecting_failed", zap.Error(err))
	case n > 0:
		a.log.Info("log_collected", zap.Int64("objects", n), zap.Uint64("batch", a.stored))
	}
}
