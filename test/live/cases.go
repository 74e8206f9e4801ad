package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"github.com/walshift/walshift/test/redshift/conform"
)

// runCases runs the conformance cases that are wanted, and keeps what each
// showed. Only what keeps all of them from running is an error.
func (l *live) runCases(ctx context.Context) error {
	cases, err := conform.Load(l.facts)
	if err != nil {
		return err
	}
	if l.report.index, err = conform.LoadIndex(l.facts); err != nil {
		return err
	}
	cases = slices.DeleteFunc(cases, func(c conform.Case) bool { return !l.wanted(c.Name()) })
	target := &conform.Target{
		DSN: l.dsn, OtherDSN: l.otherDSN, S3: l.s3, Bucket: l.bucket, Folder: l.folder(), Role: l.role,
		Schema: l.schema() + "_", Timeout: l.perCase,
	}
	if l.otherDSN != "" {
		cfg, err := pgconn.ParseConfig(l.otherDSN)
		if err != nil {
			return errBadDSN
		}
		target.Other = cfg.User
	}
	l.say("%d cases, %d at once", len(cases), l.parallel)
	l.report.results = make([]conform.Result, len(cases))
	var group errgroup.Group
	group.SetLimit(l.parallel)
	for i, c := range cases {
		group.Go(func() error {
			l.report.results[i] = l.runCase(ctx, target, c)
			return nil
		})
	}
	return group.Wait()
}

func (l *live) runCase(ctx context.Context, target *conform.Target, c conform.Case) conform.Result {
	if err := context.Cause(ctx); err != nil { // nothing to clean up
		return conform.Result{Case: c, Err: fmt.Errorf("not begun: %w", err)}
	}
	res := target.Run(ctx, c)
	l.say("%-18s %s", verdictOf(res), c.Name())
	return res
}
