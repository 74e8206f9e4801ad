package replicator

import (
	"crypto/rand"
	"encoding/hex"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"
	"go.uber.org/zap"

	"github.com/walshift/walshift/checkpoint"
	"github.com/walshift/walshift/replicator/change"
)

// shared is what the loops of one run have in common.
type shared struct {
	log     *zap.Logger
	pos     *checkpoint.Positions
	tables  *tables
	metrics *Metrics
	health  *health
	gate    *gate
	// again rings when somebody asks for another try at once.
	again *bell
	// recordNow asks the receiver to close the open batch at the next
	// transaction boundary, because the tables' state is to be in the log.
	recordNow atomic.Bool
	watch     *watch
	// sealAt asks it to close the batch early, once it has received everything
	// up to that LSN; sealed is where the last closed batch ends. A request at
	// or below sealed is fulfilled.
	sealAt, sealed atomic.Uint64
}

// askSeal asks for an early seal of the batch that reaches lsn, and of no
// other: a seal for each transaction while somebody waits would make so many
// batches that apply falls behind. Of several requests the lowest comes first;
// who waits asks again.
func (s *shared) askSeal(lsn pglogrepl.LSN) {
	for {
		open, sealed := s.sealAt.Load(), s.sealed.Load()
		if uint64(lsn) <= sealed || open > sealed && open <= uint64(lsn) || s.sealAt.CompareAndSwap(open, uint64(lsn)) {
			return
		}
	}
}

// sealAsked reports whether a batch that would end at the given position has
// been asked for.
func (s *shared) sealAsked(end pglogrepl.LSN) bool {
	at := s.sealAt.Load()
	return at > s.sealed.Load() && uint64(end) >= at
}

// stopTable takes a table out of capture from the batch being written on.
func (s *shared) stopTable(oid uint32, err error) {
	staged := s.pos.Read().Staged
	if !s.tables.stop(oid, err.Error(), staged) {
		return
	}
	s.metrics.stops.Inc()
	name := ""
	if t := s.tables.get(oid); t != nil {
		name = t.rel.String()
	}
	s.log.Error("table_stopped", zap.String("table", name), zap.Stringer("lsn", staged), zap.Error(err))
}

// retrying notes that a part failed and tries again in d.
func (s *shared) retrying(p Part, err error, d time.Duration) {
	s.health.wait(p, err, d)
	s.metrics.retries.WithLabelValues(string(p)).Inc()
}

// park notes that apply can't go on until somebody acts.
func (s *shared) park(err error) {
	if s.health.parked.Load() == nil {
		s.metrics.parks.Inc()
	}
	s.health.park(err)
}

// staged notes a batch that has become durable.
func (s *shared) staged(m *change.Manifest, took time.Duration) {
	s.metrics.stagedBatch(m, took)
	s.health.captured()
	level := s.log.Info
	if m.Empty() {
		level = s.log.Debug
	}
	rows, bytes := int64(0), int64(0)
	for i := range m.Segments {
		for _, f := range m.Segments[i].Files {
			rows += f.Rows
			bytes += f.Bytes
		}
	}
	level("batch_staged", zap.Uint64("batch", m.Seq), zap.Stringer("lsn", m.End),
		zap.Int64("transactions", m.Transactions), zap.Int("segments", len(m.Segments)),
		zap.Int64("rows", rows), zap.Int64("bytes", bytes))
}

// newAttempt names a sealed batch or a load so that no two attempts ever
// share an object: 64 random bits.
func newAttempt() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}
