package replicator

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"

	"github.com/walshift/walshift/checkpoint"
	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/fold"
	"github.com/walshift/walshift/replicator/pgoutput"
	"github.com/walshift/walshift/replicator/source"
)

// newReceiver is a receiver that resumes at 100, without a stream: messages
// are given to it one by one, and it has no reason to close its batch.
func newReceiver() *receiver {
	r := &receiver{
		cfg:    BatchConfig{Interval: time.Hour, MaxAge: time.Hour, KeepaliveEvery: time.Hour, MaxBytes: 1 << 30, SegmentBytes: 1 << 30},
		shared: &shared{pos: checkpoint.NewPositions(1, 100, 1, 100), watch: newWatch()},
		folder: fold.New(fold.Config{}), resume: 100, lastEmpty: time.Now(), nextSeq: 2,
	}
	r.openNext(100)
	return r
}

func beginAt(commit pglogrepl.LSN) *pgoutput.Message {
	return &pgoutput.Message{Kind: pgoutput.Begin, Begin: pgoutput.BeginBody{FinalLSN: commit, Time: time.Unix(1, 0)}, Xid: 7}
}

func commitAt(commit, end pglogrepl.LSN) *pgoutput.Message {
	return &pgoutput.Message{Kind: pgoutput.Commit, Commit: pgoutput.CommitBody{LSN: commit, EndLSN: end, Time: time.Unix(1, 0)}}
}

// transact plays an empty transaction, and reports whether it became part of
// the batch.
func transact(ctx context.Context, r *receiver, commit, end pglogrepl.LSN) (taken bool, err error) {
	before := r.batch.txs
	if err := r.apply(ctx, beginAt(commit)); err != nil {
		return false, err
	}
	err = r.apply(ctx, commitAt(commit, end))
	return r.batch.txs > before, err
}

// TestV3S19OldTransactionsAreDroppedWhole: a transaction belongs to the log
// already if, and only if, its commit record ends at or below the position to
// resume at. One whose record begins there is new.
func TestV3S19OldTransactionsAreDroppedWhole(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		commit, end pglogrepl.LSN
		taken       bool
	}{
		"long before":            {40, 50, false},
		"ends at the position":   {90, 100, false},
		"begins at the position": {100, 110, true},
		"after it":               {150, 160, true},
	} {
		r := newReceiver()
		taken, err := transact(t.Context(), r, c.commit, c.end)
		if err != nil || taken != c.taken {
			t.Errorf("%s: taken %t, %v", name, taken, err)
		}
		if want := max(100, c.end); r.shared.pos.Read().Captured != want {
			t.Errorf("%s: captured %s, want %s", name, r.shared.pos.Read().Captured, want)
		}
	}
}

// TestV3StraddlingCommitStops: a commit record that lies on both sides of the
// position contradicts what was staged; it is neither dropped nor taken (P6).
func TestV3StraddlingCommitStops(t *testing.T) {
	t.Parallel()
	if taken, err := transact(t.Context(), newReceiver(), 95, 105); change.ScopeOf(err) != change.ScopeFatal || taken {
		t.Errorf("taken %t, %v", taken, err)
	}
}

// TestS6KeepaliveInsideTransaction: while a transaction is half received, a
// keepalive's position moves nothing, for its commit may lie below it; nor may
// it while what was received is not staged.
func TestS6KeepaliveInsideTransaction(t *testing.T) {
	t.Parallel()
	r := newReceiver()
	keepalive := source.Event{Kind: source.Keepalive, WALEnd: 500}
	if err := r.apply(t.Context(), beginAt(150)); err != nil {
		t.Fatal(err)
	}
	if err := r.idle(t.Context(), keepalive); err != nil || r.keepalive != 0 {
		t.Fatalf("a keepalive inside a transaction is taken at %s: %v", r.keepalive, err)
	}
	if err := r.apply(t.Context(), commitAt(150, 160)); err != nil {
		t.Fatal(err)
	}
	if err := r.idle(t.Context(), keepalive); err != nil || r.batch.seq != 2 {
		t.Fatalf("a keepalive closed the batch: %v", err)
	}
	if got := r.shared.pos.Confirmable(); got != 100 {
		t.Fatalf("%s would be confirmed, and nothing is staged", got)
	}
}

// TestS17CommitMatchesItsBegin: transactions come one after another, each
// commit with its own begin.
func TestS17CommitMatchesItsBegin(t *testing.T) {
	t.Parallel()
	r := newReceiver()
	if err := r.apply(t.Context(), commitAt(150, 160)); change.ScopeOf(err) != change.ScopeFatal {
		t.Errorf("a commit without a begin: %v", err)
	}
	if err := r.apply(t.Context(), beginAt(150)); err != nil {
		t.Fatal(err)
	}
	if err := r.apply(t.Context(), beginAt(170)); change.ScopeOf(err) != change.ScopeFatal {
		t.Errorf("a begin inside a transaction: %v", err)
	}
	if err := r.apply(t.Context(), commitAt(151, 160)); change.ScopeOf(err) != change.ScopeFatal {
		t.Errorf("a commit of another transaction: %v", err)
	}
}
