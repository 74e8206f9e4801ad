package change

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"
)

// FormatVersion is the version of the manifest format that this build writes,
// and the highest one that it reads.
const FormatVersion = 1

// File is one data file of a segment or of a snapshot.
type File struct {
	// Key is the object's key relative to the pipeline's folder, for
	// instance "data/00000000000000000007-5f…/0003-upsert-00.csv.zst".
	Key  string `json:"key"`
	Kind Kind   `json:"kind"`
	// Rows is the number of records; of them Existed had their key in the
	// target when the segment began, and Kept have kept columns. Of incidents
	// Existed are those that the operator accepts.
	Rows    int64 `json:"rows"`
	Existed int64 `json:"existed,omitempty"`
	Kept    int64 `json:"kept,omitempty"`
	// Columns are the attnums in file order. A partial file continues with
	// the origin key columns (Origin) and one text column that holds, per
	// entry of KeptColumns, '1' where the value is kept and '0' where not.
	Columns     []int16 `json:"columns"`
	Origin      []int16 `json:"origin,omitempty"`
	KeptColumns []int16 `json:"kept_columns,omitempty"`
	// RowHash says that the text column [RowColumn] follows: files of a
	// multiset's rows. In one of KindMultiset, whose records are distinct
	// images, a number follows it: of how many copies each is taken away.
	RowHash bool `json:"row_hash,omitempty"`
	// Pad says that a constant column "1" ends each record: files never have
	// a single column, for a blank line is ambiguous to COPY.
	Pad bool `json:"pad,omitempty"`
	// NullMarker is the text that stands for NULL; no value of the file
	// equals it.
	NullMarker  string `json:"null_marker"`
	Compression string `json:"compression"` // "zstd" or "gzip"
	// Bytes is the object's size; SHA256 its hex digest.
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// SegmentFiles is a segment as the log holds it.
type SegmentFiles struct {
	Relation Relation `json:"relation"`
	Truncate bool     `json:"truncate,omitempty"`
	Changes  Counts   `json:"changes"`
	Files    []File   `json:"files"`
	// Incidents are the files that list the values of Files that a policy has
	// changed, all of kind KindIncident.
	Incidents []File `json:"incidents,omitempty"`
}

// TableCapture is what capture must know again of a table after a restart
// without the warehouse.
type TableCapture struct {
	OID    uint32 `json:"oid"`
	Schema string `json:"schema"`
	Name   string `json:"name"`
	// X is the consistent point of the table's snapshot: a transaction is
	// applied to the table if and only if its end LSN is above X.
	X LSN `json:"x"`
	// SnapshotComplete says that the table's first load has been committed.
	SnapshotComplete bool `json:"snapshot_complete"`
	// Unverified says that the rows as of X are the operator's word.
	Unverified bool `json:"unverified,omitempty"`
	// PendingSince is the first seq that the table still needs while it is
	// not live; 0 when it is live.
	PendingSince uint64 `json:"pending_since,omitempty"`
	// Stopped is why the table's changes are no longer captured, "" if they
	// are; StoppedAt is the end of the last transaction captured for it.
	Stopped   string `json:"stopped,omitempty"`
	StoppedAt LSN    `json:"stopped_at,omitempty"`
	// Relation is the version of the table that capture last saw.
	Relation *Relation `json:"relation,omitempty"`
	// Watch is what the catalog last showed of the table; nil in older logs.
	Watch *Watch `json:"watch,omitempty"`
	// Truncates are the low halves of the numbers of the newest transactions
	// that truncated the table, oldest first: they explain what the catalog
	// shows after it, also to a process that did not see them.
	Truncates []uint32 `json:"truncates,omitempty"`
}

// Watch is a look at a table's place in the catalog that found nothing wrong.
// It is immutable once built.
type Watch struct {
	// At is a position of the WAL at or above which the look was made.
	At LSN `json:"at"`
	// Horizon is the low half of a transaction id below which every
	// transaction had ended.
	Horizon uint32 `json:"horizon"`
	// Marks describe the table, as replicator/source writes and reads them.
	Marks string `json:"marks"`
}

// Manifest commits a batch to the log: the batch exists when, and only when,
// its manifest does.
type Manifest struct {
	Version  int    `json:"version"`
	Pipeline string `json:"pipeline"`
	// Epoch is the seq that this writer won at takeover.
	Epoch uint64 `json:"epoch"`
	// Attempt names one immutable sealed batch; our own attempt id in an
	// object that we failed to create means that we had created it.
	Attempt string `json:"attempt"`
	// SystemID is the source's system identifier, Timeline its timeline.
	SystemID string `json:"system_id"`
	Timeline int32  `json:"timeline"`
	Seq      uint64 `json:"seq"`
	// Prev is the end LSN of batch Seq-1: the chain.
	Prev LSN `json:"prev"`
	// The batch covers (Begin, End].
	Begin LSN `json:"begin"`
	End   LSN `json:"end"`
	// FirstCommit and LastCommit are commit times of the batch's first and
	// last transaction; zero in a batch without transactions.
	FirstCommit  time.Time `json:"first_commit"`
	LastCommit   time.Time `json:"last_commit"`
	Transactions int64     `json:"transactions"`

	Segments []SegmentFiles `json:"segments,omitempty"`
	Tables   []TableCapture `json:"tables"`
}

// LSN is a [pglogrepl.LSN] that JSON shows as "16/B374D848".
type LSN pglogrepl.LSN

// String returns the usual form, for instance "16/B374D848".
func (l LSN) String() string { return pglogrepl.LSN(l).String() }

// MarshalText implements encoding.TextMarshaler.
func (l LSN) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *LSN) UnmarshalText(b []byte) error {
	v, err := pglogrepl.ParseLSN(string(b))
	if err != nil {
		return fmt.Errorf("reading LSN: %w", err)
	}
	*l = LSN(v)
	return nil
}

// ErrBadManifest reports a manifest that this build must not act on.
var ErrBadManifest = errors.New("unusable batch manifest")

// ErrTooLarge reports a file whose records are more than the reader wants.
var ErrTooLarge = errors.New("the records are too large")

// ErrNoBatch reports that the log holds no manifest of the number asked for.
var ErrNoBatch = errors.New("no such batch in the log")

// TakenError reports that a batch number is held by another writer's manifest.
type TakenError struct {
	// Theirs is the manifest that holds the number.
	Theirs *Manifest
}

// Error implements error.
func (e *TakenError) Error() string {
	return fmt.Sprintf("batch %d of pipeline %s is already written by another walshift (epoch %d, attempt %s)",
		e.Theirs.Seq, e.Theirs.Pipeline, e.Theirs.Epoch, e.Theirs.Attempt)
}

// Empty reports whether the batch changes no row.
func (m *Manifest) Empty() bool { return len(m.Segments) == 0 }

// Encode returns the manifest's JSON.
func (m *Manifest) Encode() ([]byte, error) {
	b, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return nil, fmt.Errorf("encoding manifest %d: %w", m.Seq, err)
	}
	return b, nil
}

// DecodeManifest reads and checks a manifest. The error wraps ErrBadManifest.
func DecodeManifest(b []byte) (*Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadManifest, err)
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("%w: seq %d: %w", ErrBadManifest, m.Seq, err)
	}
	return &m, nil
}

func (m *Manifest) check() error {
	switch {
	case m.Version < 1 || m.Version > FormatVersion:
		return fmt.Errorf("format version %d, this build reads 1 to %d: run a newer walshift", m.Version, FormatVersion)
	case m.Seq == 0 || m.Attempt == "" || m.Pipeline == "" || m.SystemID == "":
		return errors.New("seq, attempt, pipeline or system_id is missing")
	case m.Begin > m.End || m.Prev > m.Begin:
		return fmt.Errorf("range (%s, %s] after %s is not ascending", m.Begin, m.End, m.Prev)
	}
	for i := range m.Segments {
		if err := m.Segments[i].check(); err != nil {
			return fmt.Errorf("segment %d of table %s: %w", i, &m.Segments[i].Relation, err)
		}
	}
	return nil
}

func (s *SegmentFiles) check() error {
	if err := s.Relation.check(); err != nil {
		return err
	}
	known := make(map[int16]bool, len(s.Relation.Columns))
	for i := range s.Relation.Columns {
		known[s.Relation.Columns[i].Attnum] = true
	}
	for i := range s.Incidents {
		if f := &s.Incidents[i]; f.Kind != KindIncident || f.Key == "" || f.Rows <= 0 || f.Bytes <= 0 || f.NullMarker == "" {
			return fmt.Errorf("file %q lists no incidents, or lacks key, rows, bytes or null marker", f.Key)
		}
	}
	for i := range s.Files {
		f := &s.Files[i]
		if err := f.checkMultiset(s.Relation.Multiset); err != nil {
			return fmt.Errorf("file %s: %w", f.Key, err)
		}
		switch f.Kind {
		case KindDelete, KindUpsert, KindPartial, KindInsert, KindMultiset, KindRaw:
		default:
			return fmt.Errorf("file %s has unknown kind %q", f.Key, f.Kind)
		}
		if f.Key == "" || f.Rows <= 0 || f.Bytes <= 0 || f.NullMarker == "" || len(f.Columns) == 0 {
			return fmt.Errorf("file %q lacks key, rows, bytes, columns or null marker", f.Key)
		}
		for _, list := range [][]int16{f.Columns, f.Origin, f.KeptColumns} {
			for _, a := range list {
				if !known[a] {
					return fmt.Errorf("file %s names attnum %d, which the relation lacks", f.Key, a)
				}
			}
		}
	}
	return nil
}

// checkMultiset checks what sets files of a multiset apart: the rows' hashes,
// in all of its folded files and in no others, and kinds that need no key.
func (f *File) checkMultiset(multiset bool) error {
	switch f.Kind {
	case KindRaw:
	case KindInsert, KindMultiset:
		switch {
		case f.RowHash != multiset:
			return fmt.Errorf("hashes of rows: %t, in a relation that is a multiset: %t", f.RowHash, multiset)
		case f.Kind == KindMultiset && !multiset:
			return errors.New("copies are taken away in a relation that is no multiset")
		case f.RowHash && f.Pad:
			return errors.New("a constant column beside the hashes of rows")
		}
	default:
		if multiset || f.RowHash {
			return fmt.Errorf("hashes of rows, or a multiset's, in a file of kind %s", f.Kind)
		}
	}
	return nil
}
