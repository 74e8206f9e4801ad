package checkpoint_test

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"
	"pgregory.net/rapid"

	"github.com/walshift/walshift/checkpoint"
)

func TestFenceVerdicts(t *testing.T) {
	t.Parallel()
	want := checkpoint.Fence{Epoch: 5, Seq: 10}
	for name, c := range map[string]struct {
		found   checkpoint.Fence
		verdict checkpoint.Verdict
		err     error
	}{
		"W10: our own transaction had committed":    {checkpoint.Fence{Epoch: 5, Seq: 12, Txn: "me"}, checkpoint.Committed, nil},
		"own transaction, then a successor's epoch": {checkpoint.Fence{Epoch: 9, Seq: 12, Txn: "me"}, checkpoint.Committed, nil},
		"unchanged":                   {checkpoint.Fence{Epoch: 5, Seq: 10, Txn: "before"}, checkpoint.Retry, nil},
		"a successor":                 {checkpoint.Fence{Epoch: 6, Seq: 10, Txn: "x"}, checkpoint.Superseded, checkpoint.ErrSuperseded},
		"another seq under our epoch": {checkpoint.Fence{Epoch: 5, Seq: 11, Txn: "x"}, checkpoint.Moved, checkpoint.ErrFenceMoved},
		"restored to an older epoch":  {checkpoint.Fence{Epoch: 4, Seq: 10, Txn: "x"}, checkpoint.Moved, checkpoint.ErrFenceMoved},
	} {
		v := checkpoint.Judge(c.found, want, "me")
		if v != c.verdict {
			t.Errorf("%s: verdict %d, want %d", name, v, c.verdict)
		}
		if err := v.Check(c.found, want); !errors.Is(err, c.err) {
			t.Errorf("%s: error %v, want %v", name, err, c.err)
		}
	}
	if checkpoint.Judge(checkpoint.Fence{Epoch: 5, Seq: 11}, want, "") == checkpoint.Committed {
		t.Error("an empty transaction id was taken for our own")
	}
}

func TestTableStates(t *testing.T) {
	t.Parallel()
	tab := checkpoint.Table{Schema: "public", Name: "orders", State: checkpoint.Loading, X: 100}
	tab = advance(t, tab, checkpoint.Loaded, 100, 0)
	if _, err := tab.Advance(checkpoint.Live, 100, 120); err == nil {
		t.Error("V5: became live at a position that is not the common one")
	}
	below := tab
	below.Applied, below.X = 90, 100
	if _, err := below.Advance(checkpoint.Live, 90, 90); err == nil {
		t.Error("became live below its snapshot")
	}
	tab = advance(t, tab, checkpoint.CatchingUp, 110, 120)
	tab = advance(t, tab, checkpoint.Live, 120, 120)
	if _, err := tab.Advance(checkpoint.Live, 110, 110); err == nil {
		t.Error("the position went back")
	}
	tab = advance(t, tab, checkpoint.Stopped, 120, 130)
	if _, err := tab.Advance(checkpoint.Live, 130, 130); err == nil {
		t.Error("a stopped table came back without loading")
	}
	advance(t, tab, checkpoint.Loading, 0, 130)
}

func advance(t *testing.T, tab checkpoint.Table, next checkpoint.State, at, common pglogrepl.LSN) checkpoint.Table {
	t.Helper()
	out, err := tab.Advance(next, at, common)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestS6KeepaliveAck: a keepalive's position is staged only when nothing that
// was received whole lies unstaged.
func TestS6KeepaliveAck(t *testing.T) {
	t.Parallel()
	p := checkpoint.NewPositions(1, 100, 1, 100)
	if !p.Idle(150) {
		t.Error("an idle stream may not move on")
	}
	must(t, p.Receive(200, time.Unix(1, 0)))
	if p.Idle(250) {
		t.Error("a keepalive overtook a received transaction")
	}
	p.Seal(2)
	if p.Idle(250) {
		t.Error("a keepalive overtook a sealed batch that is not durable")
	}
	if got := p.Confirmable(); got != 100 {
		t.Errorf("confirmable %s before staging", got)
	}
	must(t, p.Stage(2, 200))
	if got := p.Confirmable(); got != 200 {
		t.Errorf("confirmable %s after staging", got)
	}
	if !p.Idle(250) {
		t.Error("after staging the keepalive may move on")
	}
	if p.Idle(150) {
		t.Error("a keepalive below the staged position is no progress")
	}
}

// TestPositionsProperty drives the positions with random steps, the illegal
// ones among them, and checks the package's rules after each.
func TestPositionsProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := checkpoint.NewPositions(1, 100, 0, 0)
		var sealed []uint64
		ends := map[uint64]pglogrepl.LSN{}
		next := uint64(2)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			before := p.Read()
			lsn := pglogrepl.LSN(rapid.IntRange(50, 400).Draw(t, "lsn"))
			seq := uint64(rapid.IntRange(1, 12).Draw(t, "seq"))
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0:
				_ = p.Receive(lsn, time.Unix(int64(lsn), 0))
			case 1:
				p.Seal(next)
				sealed, ends[next] = append(sealed, next), before.Captured
				next++
			case 2:
				if len(sealed) > 0 {
					must(t, p.Stage(sealed[0], ends[sealed[0]]))
					sealed = sealed[1:]
				}
			case 3:
				_ = p.Apply(seq, lsn)
			case 4:
				p.Idle(lsn)
			case 5:
				p.Restart()
				sealed, next = nil, before.StagedSeq+1
			}
			now := p.Read()
			if now.Staged < before.Staged || now.Applied < before.Applied || now.StagedSeq < before.StagedSeq {
				t.Fatalf("a position went back: %+v to %+v", before, now)
			}
			if now.Captured < now.Staged || now.Staged < now.Applied {
				t.Fatalf("captured ≥ staged ≥ applied is broken: %+v", now)
			}
			if p.Confirmable() != now.Staged {
				t.Fatalf("confirmable %s is not staged %s", p.Confirmable(), now.Staged)
			}
		}
	})
}

func TestLagIsTheOldestCommitNotApplied(t *testing.T) {
	t.Parallel()
	p := checkpoint.NewPositions(1, 100, 1, 100)
	if !p.Read().OldestPending.IsZero() {
		t.Error("lag without a transaction")
	}
	must(t, p.Receive(200, time.Unix(10, 0)))
	must(t, p.Receive(210, time.Unix(11, 0)))
	p.Seal(2)
	must(t, p.Receive(300, time.Unix(12, 0)))
	if got := p.Read().OldestUnstaged; !got.Equal(time.Unix(10, 0)) {
		t.Errorf("oldest unstaged %s, want the sealed batch's first commit", got)
	}
	must(t, p.Stage(2, 210))
	if got := p.Read().OldestPending; !got.Equal(time.Unix(10, 0)) {
		t.Errorf("oldest pending %s, want the first commit", got)
	}
	if got := p.Read().OldestUnstaged; !got.Equal(time.Unix(12, 0)) {
		t.Errorf("oldest unstaged %s, want the open batch's first commit", got)
	}
	must(t, p.Apply(2, 210))
	if got := p.Read().OldestPending; !got.Equal(time.Unix(12, 0)) {
		t.Errorf("oldest pending %s, want the open batch's first commit", got)
	}
	p.Seal(3)
	must(t, p.Stage(3, 300))
	must(t, p.Apply(3, 300))
	r := p.Read()
	if !r.OldestPending.IsZero() || r.TransactionsCaptured != 3 || r.TransactionsApplied != 3 {
		t.Errorf("not caught up: %+v", r)
	}
}

func TestChangedWakes(t *testing.T) {
	t.Parallel()
	p := checkpoint.NewPositions(1, 100, 1, 100)
	ch := p.Changed()
	select {
	case <-ch:
		t.Fatal("signalled without a change")
	default:
	}
	p.Seal(2)
	must(t, p.Stage(2, 120))
	<-ch
}

func must(tb interface {
	Helper()
	Fatal(...any)
}, err error,
) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
