package main

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pglogrepl"
	"go.uber.org/zap"

	"github.com/walshift/walshift/replicator"
	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/source"
	"github.com/walshift/walshift/sink/redshift"
	"github.com/walshift/walshift/sink/stage"
)

// The file's sections are mapped onto the packages' own configurations here,
// and here alone.

func (c *fileConfig) source() source.Config {
	return source.Config{
		DSN: c.Source.DSN, Slot: c.Source.Slot, Publication: c.Source.Publication.Name,
		Include: c.Source.Tables.Include, Exclude: c.Source.Tables.Exclude, SlotTimeout: c.Source.SlotTimeout,
	}
}

func (c *fileConfig) stage() stage.Config {
	return stage.Config{
		URL: c.Log.URL, Pipeline: c.Pipeline, Region: c.Log.Region, Endpoint: c.Log.Endpoint, KMSKey: c.Log.KMSKey,
		Compression: c.Log.Compression, FileBytes: c.fileBytes(),
	}.WithDefaults()
}

// fileBytes is the compressed size of data files: each writer holds about twice
// that, so it must stay small beside the memory limit.
func (c *fileConfig) fileBytes() int64 {
	return max(1<<20, min(int64(c.Snapshot.FileBytes), stage.DefaultFileBytes, int64(c.Limits.Memory)/16))
}

func (c *fileConfig) warehouse() redshift.Config {
	w := redshift.DefaultConfig()
	w.DSN, w.IAMRole, w.Pipeline = c.Redshift.DSN, c.Redshift.IAMRole, c.Pipeline
	w.Strategy, w.CheckCounts = redshift.Strategy(c.Apply.Strategy), c.Apply.CheckCounts
	w.StagingSessions, w.Schemas = c.Apply.Sessions, c.Target.Schemas
	w.Region = c.Log.Region
	w.QueryGroup, w.StatementTimeout = c.Redshift.Session.QueryGroup, c.Redshift.Session.StatementTimeout
	return w
}

func (c *fileConfig) replicator() replicator.Config {
	r := replicator.DefaultConfig()
	r.Pipeline, r.Slot = c.Pipeline, c.Source.Slot
	r.Batch.Interval, r.Batch.MaxAge, r.Batch.MaxBytes = c.Batch.Interval, c.Batch.MaxAge, int64(c.Batch.MaxBytes)
	r.Snapshot.Parallelism = c.Snapshot.Parallelism
	r.Apply.Retention = c.Log.Retention
	r.MemoryLimit = int64(c.Limits.Memory)
	r.Complete()
	return r
}

// parts are the opened parts of a daemon.
type parts struct {
	source    *source.Server
	log       *stage.Log
	warehouse *redshift.Warehouse
	store     replicator.Log
	house     replicator.Warehouse
	close     func()
}

// open joins source, log and warehouse. It connects to S3 only: source and
// warehouse may be away when a log is there.
func (c *fileConfig) open(ctx context.Context, log *zap.Logger) (*parts, error) {
	src, err := source.New(c.source())
	if err != nil {
		return nil, err
	}
	store, err := stage.Open(ctx, c.stage())
	if err != nil {
		return nil, unreachableLog(err)
	}
	wh, err := redshift.New(c.warehouse(), store, log)
	if err != nil {
		store.Close()
		return nil, err
	}
	return &parts{
		source: src, log: store, warehouse: wh, store: &logAdapter{store}, house: &houseAdapter{wh},
		close: func() {
			wh.Close(context.WithoutCancel(ctx))
			store.Close()
		},
	}, nil
}

// unreachableLog says what to do about an S3 that does not answer: without the
// log's end nothing can begin.
func unreachableLog(err error) error {
	if f, ok := errors.AsType[*change.Fault](err); !ok || f.Remedy != "" {
		return err
	}
	return &change.Fault{
		Scope: change.ScopeFatal, Op: "starting", Err: err,
		Remedy: "check that S3 can be reached from here, and log.endpoint, log.region and log.url, then start again; " +
			"nothing has been changed",
	}
}

// logAdapter makes a *stage.Log what package replicator asks for.
type logAdapter struct{ *stage.Log }

func (l *logAdapter) SnapshotFile(rel *change.Relation, x pglogrepl.LSN, attempt string, part int) (replicator.SnapshotFile, error) {
	return l.Log.SnapshotFile(rel, x, attempt, part)
}

func (l *logAdapter) Reset(ctx context.Context) (int64, error) { return l.DeleteAll(ctx, false) }

func (l *logAdapter) Collect(ctx context.Context, h replicator.Horizon) (int64, error) {
	n, err := l.Log.Collect(ctx, stage.Horizon{
		Seq: h.Seq, Retention: h.Retention, Now: time.Now(),
		SnapshotNeeded: func(stage.SnapshotID) bool { return false }, // apply runs after the first load
	})
	return n.Manifests + n.Data + n.Snapshots + n.Copies, err
}

func (l *logAdapter) Commit(ctx context.Context, m *change.Manifest) error {
	err := l.Log.Commit(ctx, m)
	if taken, ok := errors.AsType[*stage.TakenError](err); ok {
		return &change.TakenError{Theirs: taken.Manifest}
	}
	return err
}

func (l *logAdapter) Read(ctx context.Context, seq uint64) (*change.Manifest, error) {
	m, err := l.Log.Read(ctx, seq)
	if errors.Is(err, stage.ErrNotFound) {
		return nil, errors.Join(change.ErrNoBatch, err)
	}
	return m, err
}

// houseAdapter makes a *redshift.Warehouse what package replicator asks for:
// the two declare the same types, for neither may import the other.
type houseAdapter struct{ *redshift.Warehouse }

func (h *houseAdapter) Begin(ctx context.Context, s replicator.Start) error {
	return h.Warehouse.Begin(ctx, redshift.Start(s))
}

func (h *houseAdapter) Apply(ctx context.Context, run replicator.Run) (replicator.Applied, error) {
	r, err := h.Warehouse.Apply(ctx, redshift.Run(run))
	return replicator.Applied{Rows: r.Rows, Commits: r.Commits}, err
}

func (h *houseAdapter) Arrive(ctx context.Context, epoch uint64) (replicator.WarehouseState, error) {
	s, err := h.Warehouse.Arrive(ctx, epoch)
	return warehouseState(s), err
}

func (h *houseAdapter) Peek(ctx context.Context) (replicator.WarehouseState, error) {
	s, err := h.Warehouse.Peek(ctx)
	return warehouseState(s), err
}

func warehouseState(s redshift.State) replicator.WarehouseState {
	return replicator.WarehouseState{Known: s.Known, Epoch: s.Epoch, Seq: s.Seq, Applied: s.Applied, Tables: s.Tables}
}
