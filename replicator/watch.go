package replicator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"
	"go.uber.org/zap"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/source"
)

// This file is the catalog watch (docs/design.md 7): it looks at the catalog at
// the beginning of each session of capture, at each Relation message, and every
// Config.WatchInterval, and stops tables whose rows may have changed without a
// trace in the stream.

// watch is what the looks of one run have in common. Safe for concurrent use.
type watch struct {
	// asked are stops that the receiver is to carry out at the next boundary of
	// a transaction; pending says that there are some.
	mu      sync.Mutex
	asked   []tableStop
	pending atomic.Bool
	// fresh are the tables truncated since the watcher looked; ring says that
	// there are some. A look soon after makes it likely that the log knows
	// before a crash could forget the transactions.
	fresh map[uint32]bool
	ring  chan struct{}
	// unknown are published tables that are not replicated, as last seen.
	unknown []string
}

func newWatch() *watch { return &watch{fresh: map[uint32]bool{}, ring: make(chan struct{}, 1)} }

// truncatedOne notes that the stream truncated a table.
func (w *watch) truncatedOne(oid uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fresh[oid] = true
	select {
	case w.ring <- struct{}{}:
	default: // it rings already
	}
}

// truncatedNow returns the tables truncated since it was last called.
func (w *watch) truncatedNow() []uint32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	oids := slices.Sorted(maps.Keys(w.fresh))
	clear(w.fresh)
	return oids
}

// ask asks the receiver to stop a table.
func (w *watch) ask(s tableStop) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, s)
	w.pending.Store(true)
}

// take returns what was asked for.
func (w *watch) take() []tableStop {
	if !w.pending.Load() {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	asked := w.asked
	w.asked = nil
	w.pending.Store(false)
	return asked
}

// watcher looks over one session of the catalog.
type watcher struct {
	shared  *shared
	src     *source.Server
	catalog *source.Catalog
	log     *zap.Logger
}

// run looks at all tables every interval until ctx ends. An error ends the
// session: what can't be watched is not replicated.
func (w *watcher) run(ctx context.Context, interval time.Duration) error {
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-w.shared.watch.ring:
			err = w.look(ctx, w.partitioned(w.shared.watch.truncatedNow()))
		case <-t.C:
			err = w.all(ctx)
		}
		if err != nil {
			return ended(ctx, err)
		}
	}
}

// partitioned returns those of the tables that have partitions, whose
// relfilenodes a TRUNCATE changes.
func (w *watcher) partitioned(oids []uint32) []*table {
	var list []*table
	for _, oid := range oids {
		t := w.shared.tables.get(oid)
		if t == nil || t.stopped.Load() {
			continue
		}
		if was := w.shared.tables.watch(t); was != nil && source.HasPartitions(was.Marks) {
			list = append(list, t)
		}
	}
	return list
}

// all looks at every table that is captured.
func (w *watcher) all(ctx context.Context) error {
	list := slices.DeleteFunc(w.shared.tables.all(), func(t *table) bool { return t.stopped.Load() })
	if err := w.look(ctx, list); err != nil {
		return err
	}
	return w.findUnknown(ctx)
}

// look looks at tables by one statement.
func (w *watcher) look(ctx context.Context, list []*table) error {
	if len(list) == 0 {
		return nil
	}
	oids := make([]uint32, len(list))
	before := make([]*change.Watch, len(list))
	for i, t := range list {
		oids[i], before[i] = t.rel.OID, w.shared.tables.watch(t)
	}
	look, err := w.catalog.Watch(ctx, oids)
	if err != nil {
		return err
	}
	for i, t := range list {
		fault, err := w.compare(ctx, t, before[i], &look)
		if err != nil {
			return err
		}
		if fault != nil {
			w.shared.watch.ask(tableStop{oid: t.rel.OID, err: fault})
		}
	}
	return nil
}

// one looks at one table, and returns why it can't go on, nil if it can.
func (w *watcher) one(ctx context.Context, t *table) (*change.Fault, error) {
	was := w.shared.tables.watch(t)
	look, err := w.catalog.Watch(ctx, []uint32{t.rel.OID})
	if err != nil {
		return nil, err
	}
	return w.compare(ctx, t, was, &look)
}

// compare compares a look with the last one that found nothing wrong, which
// must have been taken over before this one was made, and remembers this one if
// it finds nothing either. Where another goroutine has looked meanwhile, its
// look counts: it may be the newer one.
func (w *watcher) compare(ctx context.Context, t *table, was *change.Watch, look *source.Look) (*change.Fault, error) {
	if w.shared.tables.watch(t) != was {
		return nil, nil
	}
	now, marks := look.Of(t.rel.OID), ""
	if now != nil {
		if was == nil || was.Marks == now.Marks { // an older log knows none
			w.shared.tables.setWatch(t, was, now)
			return nil, nil
		}
		marks = now.Marks
	}
	if was == nil {
		was = &change.Watch{}
	}
	// What is committed by now is what the catalog was asked about.
	until, err := w.catalog.FlushLSN(ctx)
	if err != nil {
		return nil, err
	}
	v, err := w.catalog.Judge(ctx, t.rel, was, marks, w.shared.tables.truncates(t))
	switch {
	case err != nil:
		return nil, err
	case v.Later, v.Wait && w.shared.pos.Read().Captured < until:
		return nil, nil
	case v.Reason == "":
		w.shared.tables.setWatch(t, was, now)
		return nil, nil
	}
	return &change.Fault{
		Scope: change.ScopeTable, Code: v.Code, Op: "watching the catalog", Table: t.rel.String(), TableOID: t.rel.OID,
		LSN: pglogrepl.LSN(was.At),
		Err: fmt.Errorf("%w (seen between LSN %s and %s)", errors.New(v.Reason), was.At, until), Remedy: source.Remedy,
	}, nil
}

// findUnknown names published tables that are selected and not replicated, in
// the log and in status: new ones are not loaded by themselves.
func (w *watcher) findUnknown(ctx context.Context) error {
	names, err := w.catalog.Published(ctx, w.src.Selects)
	if err != nil {
		return err
	}
	for _, t := range w.shared.tables.all() {
		names = slices.DeleteFunc(names, func(n string) bool { return n == t.rel.String() })
	}
	w.shared.watch.mu.Lock()
	news := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(w.shared.watch.unknown, n) })
	w.shared.watch.unknown = names
	w.shared.watch.mu.Unlock()
	for _, n := range news {
		w.log.Warn("table_not_replicated", zap.String("table", n),
			zap.String("remedy", "it is published and selected, but came after the first load: leave it out by source.tables.exclude, or start afresh to load it"))
	}
	return nil
}
