package change

import "github.com/jackc/pglogrepl"

// Op is what happened to a row.
type Op byte

// The row operations, spelled as pgoutput's message types.
const (
	OpInsert Op = 'I'
	OpUpdate Op = 'U'
	OpDelete Op = 'D'
)

// OldKind tells what the old tuple of an update or delete holds.
type OldKind byte

// The kinds of old tuples. A K tuple holds the replica identity's columns;
// its other values are null because they are absent, not because they were
// NULL (pitfall R3). An O tuple is the whole old row.
const (
	OldNone OldKind = 0
	OldKey  OldKind = 'K'
	OldFull OldKind = 'O'
)

// Row is one row change as the decoder yields it. Old and New alias the
// decoder's buffer and are valid until its next call.
type Row struct {
	Op      Op
	OldKind OldKind
	Old     Tuple
	New     Tuple
}

// Kind names what the rows of a file are, relative to the moment their
// segment begins (docs/design.md 2.2).
type Kind string

// The kinds of files in the log.
const (
	KindDelete   Kind = "delete"   // keys only
	KindUpsert   Kind = "upsert"   // complete new images of rows that existed
	KindPartial  Kind = "partial"  // rows with kept columns, existed or moved
	KindInsert   Kind = "insert"   // complete rows whose key did not exist
	KindMultiset Kind = "multiset" // images of a multiset of which copies are taken away, hash, number of copies
	KindRaw      Kind = "raw"      // every change, unfolded
)

// Rows are folded rows of one kind. The images belong to the segment.
type Rows struct {
	// Images holds, for KindDelete, tuples of the key columns in key order;
	// for all other kinds tuples of all columns, where only KindPartial may
	// have unchanged values.
	Images []Tuple
	// Origins is set for KindPartial only: per image the key columns, in key
	// order, under which the row stood when the segment began.
	Origins []Tuple
	// Existed is set for KindPartial only: whether the image's key existed
	// when the segment began (else the row moved there).
	Existed []bool
	// Copies is set for the rows of a multiset only: per image, how many
	// copies of it are added or taken away; each is at least 1.
	Copies []int64
}

// Len returns the number of rows.
func (r *Rows) Len() int { return len(r.Images) }

// Segment is the net effect of a run of changes to one relation version
// inside one batch. Segments of a relation apply in order; in a segment the
// order is truncate, fill partial, delete, merge (upsert and partial), insert.
type Segment struct {
	Relation *Relation
	// Truncate empties the table before anything else of the segment.
	Truncate bool
	Deletes  Rows
	Upserts  Rows
	Partials Rows
	Inserts  Rows
	// Removed are, of a multiset, the complete images of which copies are
	// taken away; Inserts those of which copies are added, and no image is in
	// both. All other kinds are empty there.
	Removed Rows
	// Counts of the row changes that were folded, for people and metrics.
	Changes Counts
	// Last is the commit LSN (as Begin announces it) of the last transaction
	// with a change in the segment, for messages about its values.
	Last pglogrepl.LSN
	// Bytes is the memory that the segment holds until Release.
	Bytes int64
	// Free, if set, hands the memory back; call it through Release.
	Free func()
}

// Release gives the segment's memory back to the folder that built it. No
// tuple of the segment may be used afterwards. It may be called once, from
// any goroutine.
func (s *Segment) Release() {
	if s.Free != nil {
		s.Free()
	}
}

// Counts are numbers of row changes by operation.
type Counts struct {
	Inserts   int64 `json:"inserts,omitempty"`
	Updates   int64 `json:"updates,omitempty"`
	Deletes   int64 `json:"deletes,omitempty"`
	Truncates int64 `json:"truncates,omitempty"`
}

// Add adds o to c.
func (c *Counts) Add(o Counts) {
	c.Inserts += o.Inserts
	c.Updates += o.Updates
	c.Deletes += o.Deletes
	c.Truncates += o.Truncates
}

// Total returns the sum of row changes (truncates are not rows).
func (c Counts) Total() int64 { return c.Inserts + c.Updates + c.Deletes }
