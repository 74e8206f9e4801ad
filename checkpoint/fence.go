package checkpoint

import (
	"errors"
	"fmt"
)

// Fence is the row that guards every writing transaction of a pipeline.
type Fence struct {
	// Epoch is the seq that the newest writer won in the log.
	Epoch uint64
	// Seq is the last batch applied.
	Seq uint64
	// Txn is the random id of the transaction that wrote the row last.
	Txn string
}

// Verdict says what a fence update of 0 rows means.
type Verdict int

// The verdicts of [Judge].
const (
	// Retry: the row is as it was expected; the update may be tried again.
	Retry Verdict = iota
	// Committed: the row carries our own transaction id: our COMMIT had
	// taken effect, though its answer was lost.
	Committed
	// Superseded: a writer of a higher epoch owns the target. Stop.
	Superseded
	// Moved: the row stands at another seq under our own epoch. Somebody
	// else uses our epoch, or a state was restored: stop apply.
	Moved
)

// ErrSuperseded reports that another walshift of the same pipeline took over.
var ErrSuperseded = errors.New("another walshift with a higher epoch has taken over this pipeline")

// ErrFenceMoved reports a fence row that no rule of ours explains.
var ErrFenceMoved = errors.New("the fence row is not where this pipeline left it")

// Judge compares the fence row found with the one expected before the update
// (want, whose Txn is ignored) and our transaction's id.
func Judge(found, want Fence, txn string) Verdict {
	switch {
	case found.Txn == txn && txn != "":
		return Committed
	case found.Epoch > want.Epoch:
		return Superseded
	case found.Epoch == want.Epoch && found.Seq == want.Seq:
		return Retry
	default:
		return Moved
	}
}

// Check turns the verdicts that end a writer into errors; nil for the others.
func (v Verdict) Check(found, want Fence) error {
	switch v {
	case Superseded:
		return fmt.Errorf("%w (epoch %d, ours is %d)", ErrSuperseded, found.Epoch, want.Epoch)
	case Moved:
		return fmt.Errorf("%w: found epoch %d seq %d, expected epoch %d seq %d",
			ErrFenceMoved, found.Epoch, found.Seq, want.Epoch, want.Seq)
	case Retry, Committed:
	}
	return nil
}
