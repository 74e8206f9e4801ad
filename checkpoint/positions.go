package checkpoint

import (
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pglogrepl"
)

// Snapshot is one consistent reading of [Positions].
type Snapshot struct {
	Captured pglogrepl.LSN
	Staged   pglogrepl.LSN
	Applied  pglogrepl.LSN
	// ServerEnd is the newest WAL position that the source told us.
	ServerEnd pglogrepl.LSN
	// AppliedSeq and StagedSeq are the batches that Applied and Staged end.
	StagedSeq, AppliedSeq uint64
	// OldestPending is the commit time of the oldest transaction that has
	// been received and not applied; zero when there is none.
	OldestPending time.Time
	// OldestUnstaged is the same of those received and not staged.
	OldestUnstaged time.Time
	// Transactions counts transactions received since the start; the other
	// two those staged and applied.
	TransactionsCaptured, TransactionsStaged, TransactionsApplied int64
}

// Positions holds the pipeline's positions. It is safe for concurrent use.
// The zero value is not usable; see [NewPositions].
type Positions struct {
	mu  sync.Mutex
	now Snapshot
	// pending are batches staged and not yet applied, and at its end the
	// open one: first commit time and number of transactions of each.
	pending []pendingBatch
	open    pendingBatch
	changed chan struct{}
}

type pendingBatch struct {
	seq   uint64
	first time.Time
	txs   int64
}

// NewPositions starts at the staged position of the log's end and the applied
// position as far as it is known (0 if not).
func NewPositions(stagedSeq uint64, staged pglogrepl.LSN, appliedSeq uint64, applied pglogrepl.LSN) *Positions {
	return &Positions{
		now: Snapshot{
			Captured: staged, Staged: staged, StagedSeq: stagedSeq,
			Applied: applied, AppliedSeq: appliedSeq,
		},
		changed: make(chan struct{}),
	}
}

// Read returns the positions.
func (p *Positions) Read() Snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.now
	s.OldestPending, s.OldestUnstaged = p.open.first, p.open.first
	for i := len(p.pending) - 1; i >= 0; i-- {
		b := &p.pending[i]
		if b.first.IsZero() {
			continue
		}
		s.OldestPending = b.first
		if b.seq > p.now.StagedSeq {
			s.OldestUnstaged = b.first
		}
	}
	return s
}

// Changed returns a channel that is closed at the next change of a position.
func (p *Positions) Changed() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changed
}

func (p *Positions) signal() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// Restart drops what was received and is not staged: the source sends it
// again. It is called when a stream begins at the staged position.
func (p *Positions) Restart() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now.Captured = p.now.Staged
	p.now.TransactionsCaptured = p.now.TransactionsStaged
	p.open = pendingBatch{}
	kept := p.pending[:0]
	for _, b := range p.pending {
		if b.seq <= p.now.StagedSeq {
			kept = append(kept, b)
		}
	}
	p.pending = kept
}

// Adopt notes a staged batch that this process did not receive itself: one
// left by an earlier run, or won by another writer at takeover.
func (p *Positions) Adopt(seq uint64, end pglogrepl.LSN, firstCommit time.Time, txs int64) error {
	p.mu.Lock()
	p.pending = append(p.pending, pendingBatch{seq: seq, first: firstCommit, txs: txs})
	p.now.TransactionsCaptured += txs
	p.mu.Unlock()
	return p.Stage(seq, end)
}

// SawServer notes the newest WAL position of the source.
func (p *Positions) SawServer(end pglogrepl.LSN) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now.ServerEnd = max(p.now.ServerEnd, end)
}

// Receive notes a transaction received whole, by its end LSN.
func (p *Positions) Receive(end pglogrepl.LSN, commit time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if end < p.now.Captured {
		return fmt.Errorf("receiving transaction: end LSN %s is below the captured position %s", end, p.now.Captured)
	}
	p.now.Captured = end
	p.now.ServerEnd = max(p.now.ServerEnd, end)
	p.now.TransactionsCaptured++
	p.open.txs++
	if p.open.first.IsZero() {
		p.open.first = commit
	}
	return nil
}

// Idle notes a keepalive's position while no transaction is half received. It
// reports whether the position may be staged by an empty manifest: nothing
// received whole is unstaged (rule 2).
func (p *Positions) Idle(walEnd pglogrepl.LSN) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now.ServerEnd = max(p.now.ServerEnd, walEnd)
	if p.open.txs > 0 || walEnd <= p.now.Captured || p.now.Captured != p.now.Staged {
		return false
	}
	return true
}

// Seal closes the open batch under the number seq: transactions received from
// now on belong to the next. It must be called before Stage(seq).
func (p *Positions) Seal(seq uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pending = append(p.pending, pendingBatch{seq: seq, first: p.open.first, txs: p.open.txs})
	p.open = pendingBatch{}
}

// Stage notes that batch seq, which ends at end, is durable in the log.
func (p *Positions) Stage(seq uint64, end pglogrepl.LSN) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if end < p.now.Staged || seq <= p.now.StagedSeq {
		return fmt.Errorf("staging batch %d: position would go back from %s (batch %d) to %s",
			seq, p.now.Staged, p.now.StagedSeq, end)
	}
	p.now.Staged, p.now.StagedSeq = end, seq
	p.now.Captured = max(p.now.Captured, end)
	for i := range p.pending {
		if p.pending[i].seq == seq {
			p.now.TransactionsStaged += p.pending[i].txs
		}
	}
	p.signal()
	return nil
}

// Apply notes that all batches up to seq, which ends at end, are applied.
func (p *Positions) Apply(seq uint64, end pglogrepl.LSN) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case seq < p.now.AppliedSeq || end < p.now.Applied:
		return fmt.Errorf("applying batch %d: position would go back from %s (batch %d) to %s",
			seq, p.now.Applied, p.now.AppliedSeq, end)
	case end > p.now.Staged:
		return fmt.Errorf("applying batch %d: its end %s is above the staged position %s", seq, end, p.now.Staged)
	}
	p.now.Applied, p.now.AppliedSeq = end, seq
	n := 0
	for n < len(p.pending) && p.pending[n].seq <= seq {
		p.now.TransactionsApplied += p.pending[n].txs
		n++
	}
	p.pending = p.pending[n:]
	p.signal()
	return nil
}

// Confirmable returns the position that may be confirmed to the slot.
func (p *Positions) Confirmable() pglogrepl.LSN {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now.Staged
}
