// Command bench measures how fast walshift drains a backlog of pgbench TPC-B
// changes to durable files on S3, beside pg_recvlogical writing the same
// backlog to /dev/null over TCP in the same run (docs/design.md; the ratio is
// what counts, absolute figures depend on the machine). It fails when the
// median ratio is below -least.
//
// Each round makes a backlog of its own; the order of the two clients
// alternates, so that neither always meets the warmer caches. The warehouse is
// down while walshift drains: capture does not need it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"github.com/walshift/walshift/test/world"
)

type options struct {
	rows, rounds int
	least        float64
}

func main() {
	var o options
	flag.IntVar(&o.rows, "rows", 800_000, "row changes per backlog")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds")
	flag.Float64Var(&o.least, "least", 1.0, "least median ratio; 0 to only measure")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := bench(ctx, o)
	stop()
	world.Cleanup()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context, o options) (err error) {
	w, err := world.Start(ctx, world.Config{
		DDL: `CREATE TABLE pgbench_branches(bid int PRIMARY KEY, bbalance int, filler char(88));
CREATE TABLE pgbench_tellers(tid int PRIMARY KEY, bid int, tbalance int, filler char(84));
CREATE TABLE pgbench_accounts(aid int PRIMARY KEY, bid int, abalance int, filler char(84)) WITH (fillfactor=90);
CREATE TABLE pgbench_history(tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));`,
	})
	defer func() { err = errors.Join(err, w.Stop()) }() //nolint:contextcheck // it must stop whatever has ended
	if err != nil {
		return err
	}
	// The client-side generator fills existing tables; nothing is measured yet.
	if _, err := w.PG.Pgbench(ctx, w.Source.OwnerDSN(), "-i", "-I", "g", "-s", "10", "-q"); err != nil {
		return err
	}
	d, err := w.Run(ctx)
	if err != nil {
		return err
	}
	if err := d.UntilStreaming(ctx); err != nil {
		return err
	}
	if err := w.WaitApplied(ctx, time.Minute); err != nil {
		return err
	}
	if err := d.Stop(ctx); err != nil {
		return fmt.Errorf("stopping walshift: %w\n%s", err, d.LogTail(20))
	}
	if err := w.StopTarget(); err != nil { //nolint:contextcheck // it stops for good
		return err
	}
	fmt.Printf("%-6s %-22s %-22s %s\n", "round", "pg_recvlogical", "walshift to S3", "ratio")
	var ratios []float64
	for i := range o.rounds {
		ratio, err := round(ctx, w, i, o.rows)
		if err != nil {
			return fmt.Errorf("round %d: %w", i+1, err)
		}
		ratios = append(ratios, ratio)
	}
	slices.Sort(ratios)
	median := ratios[len(ratios)/2]
	fmt.Printf("median ratio %.2f\n", median)
	if median < o.least {
		return fmt.Errorf("median ratio %.2f is below %.2f", median, o.least)
	}
	return nil
}

const yardstick = "bench_yardstick"

// round makes a backlog and has both clients drain it.
func round(ctx context.Context, w *world.World, n, rows int) (float64, error) {
	conn, err := pgx.Connect(ctx, w.Source.SuperuserDSN())
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, "SELECT pg_copy_logical_replication_slot('walshift_shop', $1)", yardstick); err != nil {
		return 0, fmt.Errorf("copying the slot: %w", err)
	}
	perClient := strconv.Itoa(rows / 4 / 4) // four row changes a transaction, four clients
	if _, err := w.PG.Pgbench(ctx, w.Source.OwnerDSN(), "-n", "-c", "4", "-j", "2", "-M", "prepared", "-t", perClient); err != nil {
		return 0, err
	}
	var text string
	if err := conn.QueryRow(ctx, "SELECT pg_current_wal_flush_lsn()::text").Scan(&text); err != nil {
		return 0, err
	}
	end, err := pglogrepl.ParseLSN(text)
	if err != nil {
		return 0, err
	}
	if _, err := conn.Exec(ctx, "CHECKPOINT"); err != nil {
		return 0, err
	}
	var theirs, ours time.Duration
	steps := []func() error{
		func() (err error) { theirs, err = recvlogical(ctx, w, text); return err },
		func() (err error) { ours, err = drain(ctx, w, end); return err },
	}
	if n%2 == 1 {
		slices.Reverse(steps)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return 0, err
		}
	}
	if _, err := conn.Exec(ctx, "SELECT pg_drop_replication_slot($1)", yardstick); err != nil {
		return 0, fmt.Errorf("dropping the copied slot: %w", err)
	}
	ratio := theirs.Seconds() / ours.Seconds()
	fmt.Printf("%-6d %-22s %-22s %.2f\n", n+1, speed(rows, theirs), speed(rows, ours), ratio)
	return ratio, nil
}

func speed(rows int, d time.Duration) string {
	return fmt.Sprintf("%.1f s, %.0f k rows/s", d.Seconds(), float64(rows)/d.Seconds()/1000)
}

// recvlogical reads the copied slot to the end position into /dev/null.
func recvlogical(ctx context.Context, w *world.World, end string) (time.Duration, error) {
	started := time.Now()
	cmd := exec.CommandContext(ctx, w.PG.Bin()+"/pg_recvlogical",
		"-d", w.Source.ReplicatorDSN(), "--slot", yardstick, "--start", "--no-loop", "--endpos", end, "-f", "/dev/null",
		"-o", "proto_version=1", "-o", "publication_names=walshift_shop")
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("running pg_recvlogical: %w\n%s", err, out)
	}
	return time.Since(started), nil
}

// drain runs walshift until everything up to end is durable on S3. Its time
// runs from the start of the process.
func drain(ctx context.Context, w *world.World, end pglogrepl.LSN) (time.Duration, error) {
	started := time.Now()
	d, err := w.Run(ctx)
	if err != nil {
		return 0, err
	}
	err = d.Until(ctx, "the backlog is staged", func(s world.Status) bool {
		at, err := pglogrepl.ParseLSN(s.Staged)
		return err == nil && at >= end
	})
	took := time.Since(started)
	if err != nil {
		return 0, err
	}
	if err := d.Stop(ctx); err != nil {
		return 0, fmt.Errorf("stopping walshift: %w\n%s", err, d.LogTail(20))
	}
	fmt.Printf("       walshift used %.1f s of CPU\n", d.CPU().Seconds())
	return took, nil
}
