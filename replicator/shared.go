package replicator

import (
	"crypto/rand"
	"encoding/hex"
	"sync/atomic"
	"time"

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
	// sealNow asks the receiver to close the open batch at the next
	// transaction boundary if it moves a position; recordNow even if not,
	// because the tables' state is to be in the log.
	sealNow, recordNow atomic.Bool
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
