package replicator

import (
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"
)

// Config is what the loops need to know. Durations and sizes are checked by
// Validate; the zero value is not usable, see DefaultConfig.
type Config struct {
	Pipeline string
	// Slot is the replication slot's name.
	Slot string
	// Mode says how a pipeline begins; "" is ModeInitial.
	Mode Mode
	// StartLSN is for ModeNever: the targets hold exactly the transactions whose
	// end LSN is at or below it.
	StartLSN pglogrepl.LSN
	// ManagePublication lets walshift make the publication at the first start,
	// and drop it when nothing follows.
	ManagePublication bool
	// KeepTargets says that targets which exist are kept and filled anew.
	KeepTargets bool
	Batch       BatchConfig
	Apply       ApplyConfig
	Snapshot    SnapshotConfig
	Spool       SpoolConfig
	// WatchInterval is the time between looks at the catalog for what the
	// stream does not show.
	WatchInterval time.Duration
	// Grace bounds an orderly shutdown.
	Grace time.Duration
	// MemoryLimit bounds the whole daemon's memory in bytes; the batches in
	// flight get a share of it.
	MemoryLimit int64
}

// BatchConfig rules when a batch is sealed.
type BatchConfig struct {
	// Interval is the age at which a batch is sealed while apply keeps up,
	// MaxAge the age while batches wait to be applied.
	Interval, MaxAge time.Duration
	// MaxBytes is the size at which a batch is sealed, in bytes of messages.
	MaxBytes int64
	// SegmentBytes is the memory at which open segments are handed on even
	// inside a transaction. Set by Complete from the memory limit.
	SegmentBytes int64
	// KeepaliveEvery is the least time between empty batches.
	KeepaliveEvery time.Duration
}

// ApplyConfig rules the apply loop.
type ApplyConfig struct {
	// ParkedRetry is how long a parked apply waits before it tries again.
	ParkedRetry time.Duration
	// Retention is how long applied batches stay in the log; 0 for ever.
	Retention time.Duration
	// Window is when batches may be applied.
	Window Window
}

// SnapshotConfig rules the first load.
type SnapshotConfig struct {
	// Parallelism is the number of reader sessions on the source, 1 to 32.
	Parallelism int
	// PartBytes is the size of the page ranges that tables are read in, in
	// bytes of table.
	PartBytes int64
	// RowsPerSecond bounds what all readers read together; 0: no limit.
	RowsPerSecond int
	// Window is when a load may begin. One that has begun is read to its end:
	// to rest in it would hold its snapshot, and VACUUM on the source with it.
	Window Window
}

// Mode says how a pipeline begins.
type Mode string

// The modes.
const (
	// ModeInitial loads all tables, then replicates.
	ModeInitial Mode = "initial"
	// ModeOnly loads all tables, and nothing follows: see [Replicator.LoadOnce].
	ModeOnly Mode = "only"
	// ModeNever takes the targets as they are at Config.StartLSN.
	ModeNever Mode = "never"
)

// DefaultConfig returns the defaults of docs/design.md 5.
func DefaultConfig() Config {
	return Config{
		Batch: BatchConfig{
			Interval: 10 * time.Second, MaxAge: time.Minute, MaxBytes: 256 << 20,
			KeepaliveEvery: 10 * time.Second,
		},
		Apply:         ApplyConfig{ParkedRetry: time.Minute, Retention: 24 * time.Hour},
		Snapshot:      SnapshotConfig{Parallelism: 2, PartBytes: 128 << 20},
		Grace:         25 * time.Second,
		WatchInterval: time.Minute,
		MemoryLimit:   512 << 20,
	}
}

// minMemory is the least memory limit: below it the fixed buffers (stream,
// encoder, upload) leave no room for rows.
const minMemory = 64 << 20

// minSpool is the least spool: one that small holds about the least that
// logical_decoding_work_mem lets a server stream.
const minSpool = 1 << 20

// ProgramBytes is what Go's runtime does not count of the memory limit, once most
// of the code has run: 26 MiB of pages of the program's file were measured, and
// 6 MiB of data, threads and what the runtime's limit, a soft one, lets through.
const ProgramBytes = 32 << 20

// Complete derives what follows from other settings. Up to three sets of
// segments live at once (being folded, queued, being written), and the
// garbage collector needs headroom: an eighth of what the program leaves of the
// limit each.
func (c *Config) Complete() {
	c.Batch.SegmentBytes = (c.MemoryLimit - ProgramBytes) / 8
}

// Validate reports every setting that is out of its range.
func (c *Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(c.Pipeline != "", "pipeline: must be set")
	check(c.Batch.Interval >= 100*time.Millisecond && c.Batch.Interval <= time.Hour,
		"batch.interval: %s is not between 100ms and 1h", c.Batch.Interval)
	check(c.Batch.MaxAge >= c.Batch.Interval && c.Batch.MaxAge <= time.Hour,
		"batch.max_age: %s is not between batch.interval (%s) and 1h", c.Batch.MaxAge, c.Batch.Interval)
	check(c.Batch.MaxBytes >= 1<<20 && c.Batch.MaxBytes <= 16<<30,
		"batch.max_bytes: %d is not between 1MiB and 16GiB", c.Batch.MaxBytes)
	check(c.Snapshot.Parallelism >= 1 && c.Snapshot.Parallelism <= 32,
		"snapshot.parallelism: %d is not between 1 and 32", c.Snapshot.Parallelism)
	check(c.WatchInterval >= 100*time.Millisecond && c.WatchInterval <= time.Hour,
		"source.watch_interval: %s is not between 100ms and 1h", c.WatchInterval)
	check(c.Spool.Limit == 0 || c.Spool.Limit >= minSpool, "limits.spool: %d is below %d (1MiB)", c.Spool.Limit, minSpool)
	check(c.MemoryLimit >= minMemory, "limits.memory: %d is below %d (64MiB)", c.MemoryLimit, minMemory)
	return errors.Join(errs...)
}
