package replicator

import (
	"context"

	"github.com/jackc/pglogrepl"

	"github.com/walshift/walshift/checkpoint"
	"github.com/walshift/walshift/replicator/change"
)

// BatchWriter is the log as capture needs it (sink/stage satisfies it).
type BatchWriter interface {
	// WriteSegment encodes and uploads one segment of batch seq. It is
	// durable when it returns, but belongs to nothing before Commit.
	// seq and attempt name the batch, index is the segment's place in it.
	WriteSegment(ctx context.Context, seq uint64, attempt string, index int, seg *change.Segment) (change.SegmentFiles, error)
	// Commit creates the manifest, which is what makes the batch exist. It
	// returns a *change.TakenError when another writer holds the number.
	Commit(ctx context.Context, m *change.Manifest) error
}

// BatchReader is the log as restart and apply need it.
type BatchReader interface {
	// Last returns the highest seq in the log, 0 if it is empty.
	Last(ctx context.Context) (uint64, error)
	// Read returns a manifest; the error wraps change.ErrNoBatch if there is
	// none of that number.
	Read(ctx context.Context, seq uint64) (*change.Manifest, error)
	// First returns the lowest seq in the log, 0 if it is empty.
	First(ctx context.Context) (uint64, error)
}

// ControlStore keeps small objects beside the log.
type ControlStore interface {
	// ReadControl returns an object's content, nil if there is none.
	ReadControl(ctx context.Context, name string) ([]byte, error)
	// WriteControl creates or replaces an object.
	WriteControl(ctx context.Context, name string, body []byte) error
	// RemoveControl deletes an object; one that is not there is fine.
	RemoveControl(ctx context.Context, name string) error
}

// SnapshotFile receives the rows of one part of a table's snapshot.
type SnapshotFile interface {
	Write(ctx context.Context, t change.Tuple) error
	// Close uploads what is left and returns all files of the part.
	Close(ctx context.Context) ([]change.File, error)
	// Abort gives up; what was uploaded is collected later.
	Abort()
}

// SnapshotStore is the log as the first load needs it.
type SnapshotStore interface {
	// SnapshotFile returns a writer for one part of a table's snapshot at x.
	SnapshotFile(rel *change.Relation, x pglogrepl.LSN, attempt string, part int) (SnapshotFile, error)
	// Reset deletes every object of the pipeline but the kept originals and
	// what operators asked for, and returns their number.
	Reset(ctx context.Context) (int64, error)
}

// Log is the whole log.
type Log interface {
	BatchWriter
	BatchReader
	SnapshotStore
	Collector
	ControlStore
	// Ping returns an error when the log can't be reached.
	Ping(ctx context.Context) error
}

// WarehouseState is what the warehouse remembers of the pipeline.
type WarehouseState struct {
	// Known is false when the warehouse has never seen the pipeline.
	Known   bool
	Epoch   uint64
	Seq     uint64
	Applied pglogrepl.LSN
	Tables  []checkpoint.Table
	// Once says that the tables were loaded by a load that nothing follows.
	Once bool
}

// Warehouse is Redshift as the loops need it (sink/redshift satisfies it).
type Warehouse interface {
	Loader
	Applier
	// Check reads only; its error lists everything that stands in the way of
	// a first load, with remedies.
	Check(ctx context.Context, rels []*change.Relation) error
	// Peek reads the pipeline's state without changing anything.
	Peek(ctx context.Context) (WarehouseState, error)
	// Adopt makes the pipeline's own tables and takes the targets as they are
	// at start.X; it may be repeated.
	Adopt(ctx context.Context, start Start) error
	// SettleNumerics settles of numerics without a precision what the
	// configuration or a target that is kept says. The others are left to
	// their data.
	SettleNumerics(ctx context.Context, rels []*change.Relation) error
	// CheckNumerics settles those that nobody has settled, and refuses a
	// configuration that wants what is settled otherwise. It asks nobody.
	CheckNumerics(rels []*change.Relation) error
	// Finish ends a load that nothing follows, for the reason given.
	Finish(ctx context.Context, reason string) error
}

// Loader does the first load.
type Loader interface {
	// Begin makes the pipeline's own tables and starts at (seq, x), dropping
	// what an interrupted first load of this pipeline left.
	Begin(ctx context.Context, start Start) error
	// Load makes the target table and fills it from files.
	Load(ctx context.Context, rel *change.Relation, x pglogrepl.LSN, files []change.File) (int64, error)
	// Stop marks a table as stopped.
	Stop(ctx context.Context, oid uint32, reason string) error
	// GoLive makes all loaded tables live; those that are stopped stay so.
	GoLive(ctx context.Context) error
}

// Start is where a pipeline begins.
type Start struct {
	Epoch uint64
	Seq   uint64
	X     pglogrepl.LSN
	Rels  []*change.Relation
}

// Run is a run of consecutive batches to apply in one transaction. The fence
// stands at After; batches between it and the first of the run were empty.
type Run struct {
	After   uint64
	Batches []*change.Manifest
}

// Applied is what one apply did.
type Applied struct {
	Rows    int64
	Commits int64
}

// Applier applies batches.
type Applier interface {
	// OpenIncidents counts the incidents that nobody has acknowledged.
	OpenIncidents(ctx context.Context) (int64, error)
	// Arrive raises the fence to epoch and returns the state.
	Arrive(ctx context.Context, epoch uint64) (WarehouseState, error)
	// Apply applies consecutive batches in one transaction. A table that
	// can't go on is a ScopeTable fault with its oid; nothing is applied then.
	Apply(ctx context.Context, run Run) (Applied, error)
	// Stop marks a table as stopped.
	Stop(ctx context.Context, oid uint32, reason string) error
	// CatchUp applies to a stopped table what it has missed since from, where
	// it stands: batches that hold nothing else. It makes the table live.
	CatchUp(ctx context.Context, oid uint32, from pglogrepl.LSN, batches []*change.Manifest) (int64, error)
	// Peek reads the pipeline's state.
	Peek(ctx context.Context) (WarehouseState, error)
	// Reset drops the sessions; the next call connects again.
	Reset(ctx context.Context)
}
