package cluster

import (
	"context"
	"testing"
	"time"
)

// startLimit is generous: test binaries share few cores with compilers.
const startLimit = 2 * time.Minute

// RunPostgres starts a PostgreSQL server that lives as long as the test, and
// shows the end of its log if the test fails.
func RunPostgres(tb testing.TB, cfg PostgresConfig) *Postgres {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), startLimit)
	defer cancel()
	p, err := StartPostgres(ctx, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { finish(tb, p.server, p.Stop) })
	return p
}

// RunS3 starts an S3 server that lives as long as the test, and shows the end
// of its log if the test fails.
func RunS3(tb testing.TB, cfg S3Config) *S3 {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), startLimit)
	defer cancel()
	s, err := StartS3(ctx, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { finish(tb, s.server, s.Stop) })
	return s
}

func finish(tb testing.TB, s *server, stop func() error) {
	tb.Helper()
	if tb.Failed() {
		tb.Logf("the end of the log of %s:\n%s", s.name, s.LogTail())
	}
	if err := stop(); err != nil {
		tb.Error(err)
	}
}
