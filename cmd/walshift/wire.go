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
	"github.com/walshift/walshift/sink/redshift/sqltext"
	"github.com/walshift/walshift/sink/stage"
)

// The file's sections are mapped onto the packages' own configurations here,
// and here alone.

func (c *fileConfig) source() source.Config {
	return source.Config{
		DSN: c.Source.DSN, Slot: c.Source.Slot, Publication: c.Source.Publication.Name,
		Include: c.Source.Tables.Include, Exclude: c.Source.Tables.Exclude, SlotTimeout: c.Source.SlotTimeout,
		Managed: c.Source.Publication.Mode == "managed",
	}
}

func (c *fileConfig) stage() stage.Config {
	return stage.Config{
		URL: c.Log.URL, Pipeline: c.Pipeline, Region: c.Log.Region, Endpoint: c.Log.Endpoint, KMSKey: c.Log.KMSKey,
		Compression: c.Log.Compression, FileBytes: c.fileBytes(), Values: c.values(),
	}.WithDefaults()
}

// values are the policies of values, as the log and the warehouse both need
// them.
func (c *fileConfig) values() sqltext.ValueRules {
	rules := sqltext.ValueRules{Values: c.Values.values()}
	for _, t := range c.Tables {
		row := sqltext.TableValues{Match: t.Match, Values: t.Values.values(), Columns: make(map[string]sqltext.Values, len(t.Columns))}
		for name, v := range t.Columns {
			row.Columns[name] = v.values()
		}
		rules.Tables = append(rules.Tables, row)
	}
	return rules
}

func (v valuesSection) values() sqltext.Values {
	var accept []sqltext.Misfit
	if v.Accept != nil {
		accept = make([]sqltext.Misfit, len(v.Accept))
		for i, name := range v.Accept {
			accept[i] = sqltext.Misfit(name)
		}
	}
	return sqltext.Values{
		Accept: accept, Oversize: sqltext.Policy(v.Oversize), NaN: sqltext.Policy(v.NaN), Infinity: sqltext.Policy(v.Infinity),
		OutOfRange: sqltext.Policy(v.OutOfRange), EmptyBytes: sqltext.Policy(v.EmptyBytes), UnboundedNumeric: v.UnboundedNumeric,
	}
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
	w.FoldBytes = int64(c.Limits.Memory) / 64 // a dozen of them may be in use
	w.Region, w.Values = c.Log.Region, c.values()
	w.Existing, w.Grants = redshift.Existing(c.Target.Existing), c.grants()
	if replicator.Mode(c.Snapshot.Mode) == replicator.ModeNever {
		w.Existing = redshift.ExistingAdopt // there is no other way to load nothing
	}
	w.QueryGroup, w.StatementTimeout = c.Redshift.Session.QueryGroup, c.Redshift.Session.StatementTimeout
	return w
}

// grants are redshift.grants. An entry that can't be read is validate's.
func (c *fileConfig) grants() []redshift.Grant {
	var out []redshift.Grant
	for _, g := range c.Redshift.Grants {
		to, err := sqltext.ParseGrantee(g.To)
		if err != nil {
			continue
		}
		grant := redshift.Grant{To: to, Privileges: g.Privileges}
		if len(g.Tables) > 0 {
			grant.Applies = source.Config{Include: g.Tables}.Selects
		}
		out = append(out, grant)
	}
	return out
}

// startFaults says how snapshot.mode, snapshot.lsn and target.existing don't go
// together.
func (c *fileConfig) startFaults() error {
	never := replicator.Mode(c.Snapshot.Mode) == replicator.ModeNever
	var errs []error
	switch _, err := pglogrepl.ParseLSN(c.Snapshot.LSN); {
	case never && c.Snapshot.LSN == "":
		errs = append(errs, errors.New("snapshot.lsn: must be set with snapshot.mode never: "+
			"the position at which the target tables hold the source's rows exactly"))
	case never && err != nil:
		errs = append(errs, errors.New("snapshot.lsn: must be a position such as 16/B374D848"))
	case !never && c.Snapshot.LSN != "":
		errs = append(errs, errors.New("snapshot.lsn: is for snapshot.mode never"))
	}
	switch existing := redshift.Existing(c.Target.Existing); {
	case never && existing == redshift.ExistingTruncate:
		errs = append(errs, errors.New("target.existing: truncate would empty tables that snapshot.mode never does not fill"))
	case !never && existing == redshift.ExistingAdopt:
		errs = append(errs, errors.New("target.existing: adopt takes rows as they are, which only snapshot.mode never can build on; "+
			"truncate keeps the tables and loads their rows anew"))
	}
	return errors.Join(errs...)
}

func (c *fileConfig) replicator() replicator.Config {
	r := replicator.DefaultConfig()
	r.Pipeline, r.Slot = c.Pipeline, c.Source.Slot
	r.Batch.Interval, r.Batch.MaxAge, r.Batch.MaxBytes = c.Batch.Interval, c.Batch.MaxAge, int64(c.Batch.MaxBytes)
	r.Snapshot.Parallelism, r.Snapshot.RowsPerSecond = c.Snapshot.Parallelism, c.Snapshot.RowsPerSecond
	r.Mode, r.KeepTargets = replicator.Mode(c.Snapshot.Mode), redshift.Existing(c.Target.Existing) == redshift.ExistingTruncate
	r.ManagePublication = c.Source.Publication.Mode == "managed"
	// What can't be read has been refused before.
	r.StartLSN, _ = pglogrepl.ParseLSN(c.Snapshot.LSN)
	r.Snapshot.Window, _ = replicator.ParseWindow(c.Snapshot.Window...)
	r.Apply.Window, _ = replicator.ParseWindow(c.Apply.Window...)
	r.Apply.Retention, r.Apply.ParkedRetry = c.Log.Retention, c.Apply.ParkedRetry
	r.MemoryLimit, r.WatchInterval = int64(c.Limits.Memory), c.Source.WatchInterval
	r.Spool = replicator.SpoolConfig{Dir: c.Limits.SpoolDir, Limit: int64(c.Limits.Spool)}
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

// open joins source, log and warehouse. It connects to none of them.
// neighbours may be nil.
func (c *fileConfig) open(ctx context.Context, log *zap.Logger, neighbours *neighbourMetrics) (*parts, error) {
	logConfig, houseConfig := c.stage(), c.warehouse()
	if neighbours != nil {
		logConfig.Observe, houseConfig.Tracer = neighbours.request, neighbours
	}
	src, err := source.New(c.source())
	if err != nil {
		return nil, err
	}
	store, err := stage.New(ctx, logConfig)
	if err != nil {
		return nil, unreachableLog(err)
	}
	wh, err := redshift.New(houseConfig, store, log)
	if err != nil {
		store.Close()
		return nil, err
	}
	return &parts{
		source: src, log: store, warehouse: wh, store: &logAdapter{store}, house: &houseAdapter{wh, store},
		close: func() {
			wh.Close(context.WithoutCancel(ctx))
			store.Close()
		},
	}, nil
}

// unreachableLog says what to do about an S3 that can't even be asked.
func unreachableLog(err error) error {
	if f, ok := errors.AsType[*change.Fault](err); !ok || f.Remedy != "" {
		return err
	}
	return &change.Fault{
		Scope: change.ScopeFatal, Code: change.CodeFirstRun, Op: "starting", Err: err,
		Remedy: "check that S3 can be reached from here, and log.endpoint, log.region and log.url, then start again; " +
			"nothing has been changed",
	}
}

// logAdapter makes a *stage.Log what package replicator asks for.
type logAdapter struct{ *stage.Log }

func (l *logAdapter) SnapshotFile(rel *change.Relation, x pglogrepl.LSN, attempt string, part int) (replicator.SnapshotFile, error) {
	return l.Log.SnapshotFile(rel, x, attempt, part)
}

func (l *logAdapter) Reset(ctx context.Context) (int64, error) { return l.Clear(ctx) }

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
type houseAdapter struct {
	*redshift.Warehouse
	log *stage.Log
}

// Check makes the checks of `walshift check` on S3 and Redshift, with the same
// outcome.
func (h *houseAdapter) Check(ctx context.Context, rels []*change.Relation) error {
	f := h.log.Check(ctx)
	found, err := h.Inspect(ctx, rels, 0)
	if err != nil {
		return err
	}
	f.Add(found...)
	f.Add(tryCopy(ctx, h.Warehouse, h.log)...)
	return f.Err("checking S3 and Redshift")
}

func (h *houseAdapter) Begin(ctx context.Context, s replicator.Start) error {
	return h.Warehouse.Begin(ctx, redshift.Start(s))
}

func (h *houseAdapter) Adopt(ctx context.Context, s replicator.Start) error {
	return h.Warehouse.Adopt(ctx, redshift.Start(s))
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
	return replicator.WarehouseState{Known: s.Known, Epoch: s.Epoch, Seq: s.Seq, Applied: s.Applied, Tables: s.Tables, Once: s.Once}
}
