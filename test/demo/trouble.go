package main

import (
	"context"
	"time"

	"github.com/walshift/walshift/test/redshift"
)

// trouble is something that the demo does to walshift while traffic runs.
type trouble struct {
	after time.Duration // from the start of the traffic
	do    func(context.Context) error
}

const cutCommit = "cut COMMIT"

// troubles are two kills without a warning, and between them a connection to
// the warehouse that breaks in the middle of a COMMIT: it takes effect there,
// but its answer is lost.
func (d *demo) troubles() []trouble {
	return []trouble{
		{after: 6 * time.Second, do: d.killDaemon},
		{after: 13 * time.Second, do: func(context.Context) error {
			d.out.step("the connection to the warehouse will break in the middle of the next COMMIT")
			d.house.faults.Add(redshift.Fault{
				Name: cutCommit, At: redshift.AfterCommit, Do: redshift.Cut, Match: "fence_" + pipeline,
			})
			return nil
		}},
		{after: 22 * time.Second, do: d.killDaemon},
	}
}

// killDaemon ends walshift with kill -9 and starts it again.
func (d *demo) killDaemon(ctx context.Context) error {
	counters, err := d.daemon.totals(ctx)
	if err != nil {
		return err
	}
	d.before = d.before.add(counters)
	d.out.step("kill -9 %d: walshift dies without a word, and is started again", d.daemon.proc.PID())
	d.daemon.proc.Kill()
	return d.daemon.start(d.config(), d.environment())
}
