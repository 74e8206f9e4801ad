package replicator

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"

	"github.com/walshift/walshift/replicator/change"
)

// backoff grows from first to last by doubling, with full jitter on its upper
// half, so that many waiting daemons don't come back together.
type backoff struct {
	first, last time.Duration
	next        time.Duration
}

func newBackoff() *backoff {
	return &backoff{first: 200 * time.Millisecond, last: 30 * time.Second}
}

func (b *backoff) reset() { b.next = 0 }

// delay returns the next wait, between half and all of the current step.
func (b *backoff) delay() time.Duration {
	if b.next == 0 {
		b.next = b.first
	}
	d := b.next
	b.next = min(2*b.next, b.last)
	return d/2 + rand.N(d/2+1) //nolint:gosec // jitter needs no secret
}

// sleep waits for d or the end of ctx, whichever comes first.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// retry runs f until it succeeds, ctx ends, or f returns an error that trying
// again can't mend. Each failed try is logged once, as op; status shows that
// the part waits meanwhile.
func (s *shared) retry(ctx context.Context, p Part, op string, f func(context.Context) error) error {
	defer s.health.served(p)
	b := newBackoff()
	for {
		err := f(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !retryable(err):
			return err
		}
		d := b.delay()
		s.retrying(p, err, d)
		s.log.Warn("retrying", zap.String("op", op), zap.Duration("in", d), zap.Error(err))
		if err := sleep(ctx, d); err != nil {
			return err
		}
	}
}

func retryable(err error) bool {
	if errors.Is(err, context.Canceled) {
		return false
	}
	return change.ScopeOf(err) == change.ScopeRetry
}

// over reports whether ctx has ended.
func over(ctx context.Context) bool { return ctx.Err() != nil }
