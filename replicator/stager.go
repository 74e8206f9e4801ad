package replicator

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/walshift/walshift/replicator/change"
)

// stager makes sealed batches durable, in order. It is used by one goroutine.
// While S3 is away it retries for as long as ctx lives: the receiver waits on
// the bounded channel, and feedback keeps the stream alive meanwhile.
type stager struct {
	log    *zap.Logger
	shared *shared
	out    BatchWriter
	ident  identity
	epoch  uint64
	entry  []change.SegmentFiles
	index  int
}

// identity names the source that a log belongs to.
type identity struct {
	pipeline string
	systemID string
	timeline int32
}

func (s *stager) run(ctx context.Context, in <-chan work) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case w, ok := <-in:
			if !ok {
				return nil
			}
			if err := s.write(ctx, w); err != nil {
				return err
			}
			if w.seal == nil {
				continue
			}
			if err := s.commit(ctx, w); err != nil {
				return err
			}
		}
	}
}

func (s *stager) write(ctx context.Context, w work) error {
	for _, stop := range w.stops {
		s.shared.stopTable(stop.oid, stop.err)
	}
	for _, seg := range w.segments {
		err := s.segment(ctx, w, seg)
		seg.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *stager) segment(ctx context.Context, w work, seg *change.Segment) error {
	oid := seg.Relation.OID
	if s.shared.tables.isStopped(oid) {
		return nil
	}
	index := s.index
	s.index++
	var files change.SegmentFiles
	started := time.Now()
	err := s.shared.retry(ctx, PartLog, "writing a segment to the log", func(ctx context.Context) error {
		var err error
		s.shared.health.captured()
		files, err = s.out.WriteSegment(ctx, w.seq, w.attempt, index, seg)
		return err
	})
	if change.ScopeOf(err) == change.ScopeTable {
		s.shared.stopTable(oid, err)
		return nil
	}
	if err != nil {
		return err
	}
	s.shared.metrics.stagedSegment(files, time.Since(started))
	s.entry = append(s.entry, files)
	change.Reach(change.SeamSegmentWritten)
	return nil
}

func (s *stager) commit(ctx context.Context, w work) error {
	m := &change.Manifest{
		Version: change.FormatVersion, Pipeline: s.ident.pipeline, Epoch: s.epoch, Attempt: w.attempt,
		SystemID: s.ident.systemID, Timeline: s.ident.timeline,
		Seq: w.seq, Prev: change.LSN(w.seal.begin), Begin: change.LSN(w.seal.begin), End: change.LSN(w.seal.end),
		FirstCommit: w.seal.first, LastCommit: w.seal.last, Transactions: w.seal.txs,
		Segments: s.live(w.seal.last), Tables: s.shared.tables.captures(),
	}
	s.entry, s.index = nil, 0
	started := time.Now()
	change.Reach(change.SeamManifestBeforePut)
	err := s.shared.retry(ctx, PartLog, "writing a manifest to the log", func(ctx context.Context) error {
		s.shared.health.captured()
		return s.out.Commit(ctx, m)
	})
	if taken, ok := errors.AsType[*change.TakenError](err); ok {
		return &change.Fault{
			Scope: change.ScopeFatal, Code: change.CodeLogTaken, Op: "writing the log", Seq: m.Seq, LSN: w.seal.end, Err: taken,
			Remedy: "another walshift runs this pipeline; this one stops and has confirmed nothing of this batch",
		}
	}
	if err != nil {
		return err
	}
	change.Reach(change.SeamManifestPut)
	if err := s.shared.pos.Stage(m.Seq, w.seal.end); err != nil {
		return &change.Fault{Scope: change.ScopeFatal, Code: change.CodeInternal, Op: "staging", Seq: m.Seq, Err: err, Remedy: "report this"}
	}
	change.Reach(change.SeamStaged)
	s.shared.staged(m, time.Since(started))
	return nil
}

// live leaves out the segments of tables that were stopped while the batch was
// open, so that a table stands at the end of a whole batch. at is the batch's
// last commit time.
func (s *stager) live(at time.Time) []change.SegmentFiles {
	out := s.entry[:0:0]
	for i := range s.entry {
		oid := s.entry[i].Relation.OID
		if !s.shared.tables.isStopped(oid) {
			out = append(out, s.entry[i])
			s.shared.tables.addChanges(oid, s.entry[i].Changes, at)
		}
	}
	return out
}
