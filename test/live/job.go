package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/walshift/walshift/test/world"
)

const jobDDL = `
CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int, filler char(88));
CREATE TABLE pgbench_tellers (tid int PRIMARY KEY, bid int, tbalance int, filler char(84));
CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84));
CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
INSERT INTO pgbench_branches VALUES (1, 0);
INSERT INTO pgbench_tellers SELECT i, 1, 0 FROM generate_series(1, 10) i;
INSERT INTO pgbench_accounts SELECT i, 1, 0, '' FROM generate_series(1, 100000) i;
CREATE TABLE typed (
  id bigint PRIMARY KEY, small smallint, n numeric(12,2), yes boolean, d date, at timestamptz, stamp timestamp,
  words text, v varchar(20), c char(6), f double precision, ref uuid, bin bytea, doc jsonb, big text);
ALTER TABLE typed ALTER COLUMN big SET STORAGE EXTERNAL;
CREATE TABLE named (k text PRIMARY KEY, v text);
INSERT INTO typed SELECT i, i, i / 8.0, i % 2 = 0, date '2024-01-01' + i, now(), localtimestamp, 'wörd ' || i, 'v' || i, 'c',
  i / 4.0, md5(i::text)::uuid, decode(md5(i::text), 'hex'), jsonb_build_object('a', i), repeat(md5(i::text), 100) FROM generate_series(1, 500) i;
INSERT INTO named VALUES (''), (' '), ('a'), ('a '), ('A');`

// jobTables are the columns to compare, on the source and on Redshift, where
// types differ in how they are shown.
func jobTables() map[string][2]string {
	same := func(columns string) [2]string { return [2]string{columns, columns} }
	const typed = "id, small, n, yes, d, at, stamp, words, v, c, f, ref, big, "
	return map[string][2]string{
		"pgbench_branches": same("bid, bbalance"),
		"pgbench_tellers":  same("tid, bid, tbalance"),
		"pgbench_accounts": same("aid, bid, abalance, filler"),
		"pgbench_history":  same(`tid, bid, aid, "delta", mtime`),
		"named":            same("k, v"),
		"typed":            {typed + "encode(bin, 'hex'), replace(doc::text, ' ', '')", typed + "from_varbyte(bin, 'hex'), json_serialize(doc)"},
	}
}

// round are the writes of one round of the typed tables, beside pgbench.
func round(i int) []string {
	id := strconv.Itoa(1000 + i)
	return []string{
		`INSERT INTO typed (id, words, doc, big) VALUES (` + id + `, E'a"b,\nc\\d\t', '[1,"x",null]', repeat('x', 5000))`,
		`UPDATE typed SET n = n + 0.25, words = words || '!' WHERE id % 50 = ` + strconv.Itoa(i%50), // big is kept
		`UPDATE typed SET id = id + 100000 WHERE id = ` + strconv.Itoa(i+1),                         // a key change with big kept
		`DELETE FROM typed WHERE id = ` + strconv.Itoa(500-i),
		`BEGIN; INSERT INTO named VALUES ('k` + id + ` ', NULL); UPDATE named SET v = '` + id + `' WHERE k LIKE 'a%'; COMMIT`,
	}
}

// runMainJob replicates a PostgreSQL of its own to the cluster under load, and
// compares. Its faults are the report's.
func (l *live) runMainJob(ctx context.Context) error {
	l.say("main job: starting PostgreSQL and walshift")
	w, err := world.Start(ctx, world.Config{DDL: jobDDL, Elsewhere: true})
	defer world.Cleanup()
	defer func() { //nolint:contextcheck // it must stop whatever has ended
		if err := w.Stop(); err != nil {
			l.report.job.fault("stopping PostgreSQL: %v", err)
		}
	}()
	l.report.job.ran = true
	if err != nil {
		l.report.job.fault("%v", err)
		return nil
	}
	w.Sections = map[string]string{
		"pipeline": l.pipeline(),
		"source":   fmt.Sprintf("{dsn: %q, publication: {name: %s}}", w.Source.ReplicatorDSN(), w.Source.Publication),
		"log":      fmt.Sprintf("{url: %q, region: %q, endpoint: %q}", "s3://"+l.bucket+"/"+l.folder(), l.region, l.endpoint),
		"redshift": fmt.Sprintf("{dsn: %q, iam_role: %q}", "${DSN}", l.role),
		"target":   fmt.Sprintf("{schemas: {public: %s}}", l.schema()),
		"batch":    "{interval: 3s}",
		"logging":  "{level: info}",
	}
	began := time.Now()
	if err := l.replicate(ctx, w); err != nil {
		l.report.job.fault("%v", err)
	} else {
		l.compare(ctx, w)
	}
	l.report.job.took = time.Since(began)
	l.tearDown(context.WithoutCancel(ctx), w)
	return nil
}

// replicate loads, writes with one kill -9 on the way, and waits until all is
// applied.
func (l *live) replicate(ctx context.Context, w *world.World) error {
	d, err := w.Run(ctx)
	if err != nil {
		return err
	}
	if err := d.UntilStreaming(ctx); err != nil {
		return fmt.Errorf("first load: %w", err)
	}
	l.say("main job: loaded; writing for %s, with a kill -9 after half of it", l.traffic)
	load, cancel := context.WithCancel(ctx)
	defer cancel()
	bench := make(chan error, 1)
	go func() {
		_, err := w.PG.Pgbench(load, w.Source.OwnerDSN(), "-n", "-c", "4", "-R", "200", "-T", strconv.Itoa(max(1, int(l.traffic.Seconds()))))
		bench <- err
	}()
	started, killed := time.Now(), false
	for i := 0; time.Since(started) < l.traffic; i++ {
		if err := w.SQL(ctx, round(i)...); err != nil {
			return err
		}
		if !killed && time.Since(started) > l.traffic/2 {
			d.Kill()
			if d, err = w.Run(ctx); err != nil {
				return err
			}
			killed = true
		}
		l.report.job.rounds++
	}
	if err := <-bench; err != nil {
		return err
	}
	if !killed {
		return errors.New("the writes ended before the kill -9")
	}
	if err := w.WaitApplied(ctx, 15*time.Minute); err != nil {
		return err
	}
	if err := d.Stop(ctx); err != nil {
		return fmt.Errorf("%w\n%s", err, d.LogTail(20))
	}
	return nil
}

// compare reads every table from both sides.
func (l *live) compare(ctx context.Context, w *world.World) {
	target := world.Side{DSN: l.dsn}
	for table, columns := range jobTables() {
		src, err := w.SourceSide().Rows(ctx, "SELECT "+columns[0]+" FROM "+table)
		if err != nil {
			l.report.job.fault("reading %s on the source: %v", table, err)
			continue
		}
		dst, err := target.Rows(ctx, "SELECT "+columns[1]+" FROM "+l.schema()+"."+table)
		if err != nil {
			l.report.job.fault("reading %s on Redshift: %v", table, err)
			continue
		}
		l.report.job.rows += len(src)
		if diff := world.Difference(src, dst); diff != "" {
			l.report.job.fault("%s differs: %s", table, diff)
		}
	}
}
