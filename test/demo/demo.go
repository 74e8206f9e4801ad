package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"github.com/walshift/walshift/test/cluster"
	"github.com/walshift/walshift/test/demo/compare"
)

const (
	pipeline = "demo"
	bucket   = "walshift-demo"
	schema   = "public"

	scale   = 10 // a million accounts
	clients = 4
	traffic = 30 * time.Second

	// Limits for what takes seconds on an idle machine.
	loadLimit  = 5 * time.Minute
	drainLimit = 5 * time.Minute
)

// demo is the state of one run: what was started, in that order.
type demo struct {
	out     *terminal
	work    string // the folder that holds everything
	closers []func() error

	pg     *cluster.Postgres
	source *cluster.Source
	s3     *cluster.S3
	house  *warehouse
	daemon *daemon
	// before are the counters of the daemons that were killed.
	before totals
}

func newDemo(stdout io.Writer) (*demo, error) {
	work, err := os.MkdirTemp("", "walshift-demo-")
	if err != nil {
		return nil, fmt.Errorf("making a work folder: %w", err)
	}
	d := &demo{out: newTerminal(stdout), work: work}
	d.onClose(func() error { return os.RemoveAll(work) })
	// PostgreSQL runs as another user when this program runs as root.
	if err := os.Chmod(work, 0o755); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the work folder: %w", err), d.close())
	}
	return d, nil
}

func (d *demo) onClose(f func() error) { d.closers = append(d.closers, f) }

// close undoes everything in reverse order.
func (d *demo) close() error {
	d.out.end()
	var errs []error
	for _, f := range slices.Backward(d.closers) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

func (d *demo) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		d.startServers, d.fillSource, d.startWarehouse, d.startDaemon, d.waitLive, d.runTraffic,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	totals, err := d.waitApplied(ctx)
	if err != nil {
		return err
	}
	results, err := d.compare(ctx)
	if err != nil {
		return err
	}
	d.out.end()
	return report(d.out.w, results, totals, d.out.elapsed())
}

func (d *demo) startServers(ctx context.Context) (err error) {
	d.out.step("starting PostgreSQL and an S3 server")
	d.pg, err = cluster.StartPostgres(ctx, cluster.PostgresConfig{Dir: d.work, Settings: map[string]string{"max_wal_size": "4GB"}})
	if err != nil {
		return err
	}
	d.onClose(d.pg.Stop)
	if d.s3, err = cluster.StartS3(ctx, cluster.S3Config{Dir: d.work}); err != nil {
		return err
	}
	d.onClose(d.s3.Stop)
	return d.s3.CreateBucket(ctx, bucket)
}

// fillSource does what an application and its DBA have done before walshift
// comes.
func (d *demo) fillSource(ctx context.Context) (err error) {
	d.out.step("filling the source: pgbench at scale %d, a publication, a role that owns nothing", scale)
	if d.source, err = d.pg.CreateSource(ctx, cluster.SourceConfig{}); err != nil {
		return err
	}
	if _, err = d.pg.Pgbench(ctx, d.source.OwnerDSN(), "-i", "-q", "-s", strconv.Itoa(scale)); err != nil {
		return err
	}
	return d.source.Publish(ctx)
}

func (d *demo) startWarehouse(ctx context.Context) (err error) {
	d.out.step("starting the stand-in for Redshift")
	if d.house, err = startWarehouse(ctx, d.work, d.s3); err != nil {
		return err
	}
	d.onClose(d.house.stop)
	return nil
}

func (d *demo) startDaemon(ctx context.Context) error {
	d.out.step("building walshift")
	port, err := cluster.FreePort(ctx)
	if err != nil {
		return err
	}
	d.daemon = &daemon{address: "127.0.0.1:" + strconv.Itoa(port), dir: d.work}
	if err := d.daemon.build(ctx); err != nil {
		return err
	}
	d.out.step("walshift run: first load of the publication's tables")
	if err := d.daemon.start(d.config(), d.environment()); err != nil {
		return err
	}
	d.onClose(d.daemon.stop)
	return nil
}

// config is the daemon's whole configuration; secrets come by its environment.
func (d *demo) config() string {
	return strings.Join([]string{
		"pipeline: " + pipeline,
		"source:",
		"  dsn: ${SOURCE_DSN}",
		"  publication: {name: " + d.source.Publication + ", mode: existing}",
		"log:",
		"  url: s3://" + bucket + "/log",
		"  region: " + d.s3.Region(),
		"  endpoint: " + d.s3.Endpoint(),
		"redshift:",
		"  dsn: ${REDSHIFT_DSN}",
		"batch: {interval: 3s}",
		"limits: {spool_dir: '" + d.daemon.dir + "/spool'}",
		"http: {listen: '" + d.daemon.address + "'}",
		"",
	}, "\n")
}

func (d *demo) environment() []string {
	return []string{
		"SOURCE_DSN=" + d.source.ReplicatorDSN(),
		"REDSHIFT_DSN=" + d.house.dsn,
		"AWS_ACCESS_KEY_ID=" + d.s3.AccessKey(),
		"AWS_SECRET_ACCESS_KEY=" + d.s3.SecretKey(),
	}
}

// waitLive waits for the first load to be complete.
func (d *demo) waitLive(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, loadLimit, errors.New("the first load takes too long"))
	defer cancel()
	return d.daemon.watch(ctx, func(s *status) bool {
		d.out.progress("loading: %s", s.loadProgress())
		return s.live()
	})
}

// runTraffic keeps transactions going on the source while the daemon follows.
func (d *demo) runTraffic(ctx context.Context) error {
	seconds := strconv.Itoa(int(traffic.Seconds()))
	d.out.step("live: %d clients run TPC-B transactions for %s s", clients, seconds)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var failed error
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, failed = d.pg.Pgbench(ctx, d.source.OwnerDSN(), "-n", "-c", strconv.Itoa(clients), "-T", seconds)
	}()
	troubles := d.troubles()
	started := time.Now()
	var trouble error
	err := d.daemon.watch(ctx, func(s *status) bool {
		d.out.progress("%s", s.streamProgress())
		if len(troubles) > 0 && time.Since(started) >= troubles[0].after {
			trouble = troubles[0].do(ctx)
			troubles = troubles[1:]
		}
		select {
		case <-done:
			return true
		default:
			return trouble != nil
		}
	})
	if err = errors.Join(err, trouble); err != nil {
		cancel()
		<-done
		return err
	}
	if len(troubles) > 0 {
		return errors.New("the traffic ended before all troubles had been made")
	}
	return failed
}

// waitApplied waits until the warehouse holds everything that the source has
// flushed by now.
func (d *demo) waitApplied(ctx context.Context) (totals, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, drainLimit, errors.New("the backlog takes too long"))
	defer cancel()
	conn, err := pgx.Connect(ctx, d.source.SuperuserDSN())
	if err != nil {
		return totals{}, fmt.Errorf("reading the source's position: %w", err)
	}
	defer conn.Close(ctx)
	var text string
	if err := conn.QueryRow(ctx, "SELECT pg_current_wal_flush_lsn()::text").Scan(&text); err != nil {
		return totals{}, fmt.Errorf("reading the source's position: %w", err)
	}
	goal, err := pglogrepl.ParseLSN(text)
	if err != nil {
		return totals{}, fmt.Errorf("reading the source's position: %w", err)
	}
	d.out.step("traffic has ended: waiting until %s is applied", goal)
	err = d.daemon.watch(ctx, func(s *status) bool {
		d.out.progress("%s", s.streamProgress())
		return s.live() && s.applied() >= goal
	})
	if err != nil {
		return totals{}, err
	}
	if d.house.faults.Fired(cutCommit) == 0 {
		return totals{}, errors.New("no COMMIT was cut: nothing was applied meanwhile")
	}
	sum, err := d.daemon.totals(ctx)
	return sum.add(d.before), err
}

// compare reads both sides of every published table.
func (d *demo) compare(ctx context.Context) ([]compare.Result, error) {
	d.out.step("comparing both sides, row by row in key order")
	source, err := pgx.Connect(ctx, d.source.ReplicatorDSN())
	if err != nil {
		return nil, fmt.Errorf("connecting to the source: %w", err)
	}
	defer source.Close(ctx)
	target, err := d.house.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer target.Close(ctx)
	tables, err := compare.Published(ctx, source, d.source.Publication)
	if err != nil {
		return nil, err
	}
	return compare.Tables(ctx, source, target, schema, tables)
}
