package replicator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pglogrepl"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/source"
)

// loader does the first load: it reads every table under one snapshot, writes
// the rows to S3 and has the warehouse load them. Capture streams meanwhile.
type loader struct {
	log    *zap.Logger
	cfg    SnapshotConfig
	shared *shared
	src    *source.Server
	store  SnapshotStore
	house  Loader
	// throttle bounds what the readers take.
	throttle *throttle
}

// part is one range of one table's pages.
type part struct {
	table  *tableLoad
	pages  source.Part
	number int
}

// tableLoad collects the files of a table's parts.
type tableLoad struct {
	rel     *change.Relation
	attempt string

	mu    sync.Mutex
	left  int
	files []change.File
	// stopped: the table can't be loaded, and the others go on without it.
	stopped bool
}

// givenUp reports whether parts of the table need not be read any more.
func (t *tableLoad) givenUp() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stopped
}

// run loads all tables as of the slot's consistent point; f's keeper holds the
// snapshot.
func (l *loader) run(ctx context.Context, f *first) error {
	keeper, x := f.keeper, f.x
	parts, err := l.plan(ctx, keeper, f.tables)
	if err != nil {
		return err
	}
	queue := make(chan part)
	loads := make(chan *tableLoad, len(parts)) // never blocks a reader
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(queue)
		for _, p := range parts {
			select {
			case queue <- p:
			case <-gctx.Done():
				return context.Cause(gctx)
			}
		}
		return nil
	})
	var readers sync.WaitGroup
	for range l.cfg.Parallelism {
		readers.Add(1)
		g.Go(func() error {
			defer readers.Done()
			return l.read(gctx, keeper, x, queue, loads)
		})
	}
	g.Go(func() error {
		readers.Wait()
		close(loads)
		return nil
	})
	g.Go(func() error { return l.load(gctx, x, loads) })
	return g.Wait()
}

// plan splits every table into parts.
func (l *loader) plan(ctx context.Context, keeper *source.Keeper, tables []source.Table) ([]part, error) {
	var parts []part
	for i := range tables {
		t := &tables[i]
		pages, err := keeper.Parts(ctx, t, l.cfg.PartBytes)
		if err != nil {
			return nil, fmt.Errorf("planning the load of table %s: %w", t.Relation, err)
		}
		load := &tableLoad{rel: t.Relation, attempt: newAttempt(), left: len(pages)}
		for n := range pages {
			parts = append(parts, part{table: load, pages: pages[n], number: n})
		}
	}
	return parts, nil
}

// read is one reader session at a time: it works off parts until there are
// none. An error ends the session of the reader that met it.
func (l *loader) read(ctx context.Context, keeper *source.Keeper, x pglogrepl.LSN, queue <-chan part, loads chan<- *tableLoad) error {
	var reader *source.Reader
	defer func() {
		if reader != nil {
			reader.Close(context.WithoutCancel(ctx))
		}
	}()
	for p := range queue {
		if p.table.givenUp() {
			continue
		}
		if reader == nil {
			var err error
			if reader, err = keeper.OpenReader(ctx); err != nil {
				return err
			}
		}
		files, err := l.copyPart(ctx, reader, x, p)
		if unloadable(err) {
			reader.Close(context.WithoutCancel(ctx))
			reader = nil
			err = l.giveUp(ctx, p.table, err)
			if err == nil {
				continue
			}
		}
		if err != nil {
			return fmt.Errorf("reading table %s for the first load: %w", p.table.rel, err)
		}
		p.table.mu.Lock()
		p.table.files = append(p.table.files, files...)
		p.table.left--
		done := p.table.left == 0 && !p.table.stopped
		p.table.mu.Unlock()
		if done {
			loads <- p.table
		}
	}
	return nil
}

// unloadable reports a fault that stays with one table whatever is tried: a
// value that Redshift can't hold. A table that was changed since the snapshot
// is not among them, for a new snapshot mends it.
func unloadable(err error) bool {
	return err != nil && change.ScopeOf(err) == change.ScopeTable && !errors.Is(err, source.ErrRewritten)
}

// giveUp takes a table out of the first load and of capture.
func (l *loader) giveUp(ctx context.Context, t *tableLoad, why error) error {
	t.mu.Lock()
	known := t.stopped
	t.stopped = true
	t.mu.Unlock()
	if known {
		return nil
	}
	l.shared.stopTable(t.rel.OID, why)
	return l.shared.retry(ctx, PartLoad, "stopping a table", func(ctx context.Context) error {
		return l.house.Stop(ctx, t.rel.OID, why.Error())
	})
}

// progressEvery is the number of rows after which status learns of them.
const progressEvery = 4096

func (l *loader) copyPart(ctx context.Context, reader *source.Reader, x pglogrepl.LSN, p part) ([]change.File, error) {
	out, err := l.store.SnapshotFile(p.table.rel, x, p.table.attempt, p.number)
	if err != nil {
		return nil, err
	}
	var rows int64
	step := l.throttle.step(progressEvery)
	report := func() {
		l.shared.tables.addLoaded(p.table.rel.OID, rows)
		l.shared.metrics.loadedRows.Add(float64(rows))
		rows = 0
	}
	_, err = reader.Read(ctx, &p.pages, func(t change.Tuple) error {
		if rows++; rows >= step {
			if err := l.throttle.take(ctx, rows); err != nil {
				return err
			}
			report()
		}
		return out.Write(ctx, t)
	})
	report()
	if err != nil {
		out.Abort()
		return nil, err
	}
	change.Reach(change.SeamSnapshotPartRead)
	return out.Close(ctx)
}

// load has the warehouse load each table as its files are complete.
func (l *loader) load(ctx context.Context, x pglogrepl.LSN, loads <-chan *tableLoad) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case t, ok := <-loads:
			if !ok {
				return nil
			}
			err := l.loadTable(ctx, x, t)
			if unloadable(err) {
				err = l.giveUp(ctx, t, err)
			}
			if err != nil {
				return err
			}
		}
	}
}

func (l *loader) loadTable(ctx context.Context, x pglogrepl.LSN, t *tableLoad) error {
	started := time.Now()
	var rows int64
	err := l.shared.retry(ctx, PartLoad, "loading a table into the warehouse", func(ctx context.Context) error {
		var err error
		rows, err = l.house.Load(ctx, t.rel, x, t.files)
		return err
	})
	if err != nil {
		return fmt.Errorf("loading table %s into the warehouse: %w", t.rel, err)
	}
	l.shared.tables.setLoaded(t.rel.OID, rows)
	l.shared.metrics.addIncidents(change.CountIncidents(t.files))
	l.log.Info("table_loaded", zap.Stringer("table", t.rel), zap.Int64("rows", rows),
		zap.Stringer("lsn", x), zap.Duration("took", time.Since(started)))
	return nil
}
