package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/walshift/walshift/test/cluster"
	"github.com/walshift/walshift/test/redshift"
)

// warehouse is the stand-in for Redshift.
type warehouse struct {
	dsn    string // of the loader, who is no superuser
	faults *redshift.Injector
	stop   func() error
}

// startWarehouse starts the stand-in over a PostgreSQL below dir, with S3 as
// the place that it loads from, and a loader who may create what walshift
// needs.
func startWarehouse(ctx context.Context, dir string, s3 *cluster.S3) (*warehouse, error) {
	backend, err := cluster.StartPostgres(ctx, cluster.PostgresConfig{Dir: dir})
	if err != nil {
		return nil, fmt.Errorf("starting the stand-in's database: %w", err)
	}
	faults := &redshift.Injector{}
	server, err := redshift.Start(ctx, redshift.Config{
		Backend: backend.SuperuserDSN("dev"), Faults: faults,
		S3: redshift.S3{
			Endpoint: s3.Endpoint(), Region: s3.Region(), PathStyle: true,
			AccessKey: s3.AccessKey(), Secret: s3.SecretKey(),
		},
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting the stand-in: %w", err), backend.Stop())
	}
	const loader, password = "loader", "loader-demo-pw"
	w := &warehouse{
		dsn:    server.DSN(loader, password, ""),
		faults: faults,
		//nolint:contextcheck // it must stop whatever has ended
		stop: func() error { return errors.Join(server.Close(), backend.Stop()) },
	}
	if err := server.CreateUser(ctx, loader, password); err != nil {
		return nil, errors.Join(fmt.Errorf("creating the loader: %w", err), w.stop())
	}
	return w, nil
}

// connect opens a session of the loader's.
func (w *warehouse) connect(ctx context.Context) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(w.dsn)
	if err != nil {
		return nil, fmt.Errorf("connecting to the stand-in: %w", err)
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connecting to the stand-in: %w", err)
	}
	return conn, nil
}
