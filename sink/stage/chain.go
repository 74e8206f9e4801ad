package stage

import (
	"errors"
	"fmt"

	"github.com/jackc/pglogrepl"

	"github.com/walshift/walshift/replicator/change"
)

// ErrGap reports that batches are missing between two that are there.
var ErrGap = errors.New("the log has a gap")

// ErrBrokenChain reports two batches that don't follow each other.
var ErrBrokenChain = errors.New("the log's batches do not form a chain")

// CheckChain reports whether next follows prev: the next number, from where
// prev ended, of the same pipeline and source, by no older writer, on no older
// timeline. Otherwise it returns a fault of scope ScopeFatal, which wraps
// [ErrGap] or [ErrBrokenChain] and names the range at stake (pitfall V21).
func CheckChain(prev, next *change.Manifest) error {
	if next.Seq > prev.Seq+1 {
		return gap(prev.Seq+1, next.Seq-1, prev.End, next.Begin)
	}
	broken := func(format string, args ...any) error {
		return &change.Fault{
			Scope: change.ScopeFatal, Code: change.CodeLogDamaged, Op: "following the log", Seq: next.Seq, LSN: pglogrepl.LSN(prev.End),
			Err:    fmt.Errorf("%w: changes in (%s, %s] are at stake: %s", ErrBrokenChain, prev.End, next.End, fmt.Sprintf(format, args...)),
			Remedy: "nothing of this batch was applied; find who wrote to the log's folder, then load the tables again",
		}
	}
	switch {
	case next.Seq != prev.Seq+1:
		return broken("batch %d was read after batch %d", next.Seq, prev.Seq)
	case next.Prev != prev.End:
		return broken("it says that batch %d ended at %s", prev.Seq, next.Prev)
	case next.Begin < prev.End:
		return broken("it begins at %s", next.Begin)
	case next.Pipeline != prev.Pipeline:
		return broken("pipeline %q follows pipeline %q", next.Pipeline, prev.Pipeline)
	case next.SystemID != prev.SystemID:
		return broken("source system %s follows %s", next.SystemID, prev.SystemID)
	case next.Timeline < prev.Timeline:
		return broken("timeline %d follows %d", next.Timeline, prev.Timeline)
	case next.Epoch < prev.Epoch:
		return broken("the writer of epoch %d follows the one of epoch %d", next.Epoch, prev.Epoch)
	}
	return nil
}

// gap is the fault of batches first to last missing, which covered the range
// above begin, as far as end if that is known.
func gap(first, last uint64, begin, end change.LSN) error {
	batches := fmt.Sprintf("batches %d to %d are missing", first, last)
	if first == last {
		batches = fmt.Sprintf("batch %d is missing", first)
	}
	switch {
	case begin != 0 && end != 0:
		batches += fmt.Sprintf(", changes in (%s, %s] are lost", begin, end)
	case begin != 0:
		batches += fmt.Sprintf(", changes after %s are lost", begin)
	}
	return &change.Fault{
		Scope: change.ScopeFatal, Code: change.CodeLogDamaged, Op: "following the log", Seq: first, LSN: pglogrepl.LSN(begin),
		Err: fmt.Errorf("%w: %s", ErrGap, batches),
		Remedy: "look for a lifecycle rule or a hand that deletes objects of the log, restore them from an older " +
			"version of the objects if the bucket keeps those, else load the tables again",
	}
}
