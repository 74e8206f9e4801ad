package redshift

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/jackc/pglogrepl"
	"go.uber.org/zap"

	"github.com/walshift/walshift/checkpoint"
	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// timeFormat is that of times in walshift's own tables: UTC, microseconds.
const timeFormat = "2006-01-02 15:04:05.000000"

// text returns the row in the form of statements.
func (f fenceRow) text() sqltext.Fence {
	t := sqltext.Fence{Epoch: f.Epoch, Seq: f.Seq, Txn: f.Txn, LSN: f.lsn.String()}
	if !f.commitTime.IsZero() {
		t.CommitTime = f.commitTime.UTC().Format(timeFormat)
	}
	return t
}

// fenced runs body in one transaction that locks the fence and moves it from
// where it was last seen to the given row, whose epoch and id are set here. It
// returns nil when, and only when, the transaction has been committed. The
// caller holds w.mu and has called settle.
func (w *Warehouse) fenced(ctx context.Context, to fenceRow, body func(s *session) error) error {
	if w.epoch == 0 {
		return errors.New("writing to Redshift: Arrive has not been called")
	}
	to.Epoch, to.Txn = w.epoch, newID()
	s, err := w.locked(ctx, w.epoch)
	if err != nil {
		return err
	}
	n, err := s.exec(ctx)(sqltext.MoveFence(w.cfg.Pipeline, w.fence.text(), to.text()))
	if err == nil && n != 1 {
		s.rollback(ctx)
		return w.judge(ctx, s)
	}
	if err == nil {
		change.Reach(change.SeamFenceMoved)
		err = body(s)
	}
	if err != nil {
		s.rollback(ctx)
		return w.explain(ctx, s, err)
	}
	if err := w.commit(ctx, s, to.Txn); err != nil {
		return err
	}
	w.fence = to
	return nil
}

// commit sends COMMIT. If no answer comes the fence tells, under its lock and
// in a new session, what has become of it (A11, W10).
func (w *Warehouse) commit(ctx context.Context, s *session, txn string) error {
	_, err := s.exec(ctx)("COMMIT", nil)
	switch {
	case err == nil:
		return nil
	case answered(err) && !s.conn.IsClosed(): // a session that is being ended says nothing about COMMIT
		s.rollback(ctx)
		return fmt.Errorf("committing: %w", err)
	}
	w.lost = txn
	w.dropMain(ctx)
	w.log.Warn("commit_unanswered", zap.Error(err))
	committed, rerr := w.resolve(ctx)
	switch {
	case rerr != nil:
		return &change.Fault{
			Scope: change.ScopeRetry, Op: "looking up an unanswered COMMIT",
			Err: errors.Join(err, rerr),
		}
	case !committed:
		return &change.Fault{Scope: change.ScopeRetry, Op: "committing", Err: err}
	}
	w.log.Info("commit_had_succeeded")
	return nil
}

// resolve finds out whether the transaction w.lost was committed, and reads
// fence and positions anew. It waits for the fence's lock, for the session that
// lost its client may still be about to commit.
func (w *Warehouse) resolve(ctx context.Context) (bool, error) {
	txn := w.lost
	s, err := w.locked(ctx, w.epoch)
	if err != nil {
		return false, err
	}
	found, positions, err := w.read(ctx, s)
	s.rollback(ctx)
	if err != nil {
		return false, err
	}
	verdict := checkpoint.Judge(found.Fence, w.fence.Fence, txn)
	if err := verdictFault(verdict, found.Fence, w.fence.Fence); err != nil {
		return false, err
	}
	if verdict == checkpoint.Retry && found.Txn != w.fence.Txn {
		return false, verdictFault(checkpoint.Moved, found.Fence, w.fence.Fence)
	}
	w.fence, w.positions, w.lost = found, positions, ""
	return verdict == checkpoint.Committed, nil
}

// judge turns a fence that was not where we left it into an error.
func (w *Warehouse) judge(ctx context.Context, s *session) error {
	found, err := w.readFence(ctx, s)
	if err != nil {
		return err
	}
	verdict := checkpoint.Judge(found.Fence, w.fence.Fence, "")
	if verdict == checkpoint.Retry && found.Txn != w.fence.Txn {
		verdict = checkpoint.Moved
	}
	if err := verdictFault(verdict, found.Fence, w.fence.Fence); err != nil {
		return err
	}
	return &change.Fault{Scope: change.ScopeRetry, Op: "moving the fence", Err: errors.New("it stood elsewhere for a moment")}
}

func verdictFault(v checkpoint.Verdict, found, want checkpoint.Fence) error {
	err := v.Check(found, want)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, checkpoint.ErrSuperseded):
		return &change.Fault{
			Scope: change.ScopeFatal, Code: change.CodeSuperseded, Op: "moving the fence", Err: err,
			Remedy: "leave this process stopped: the other one replicates",
		}
	}
	return &change.Fault{
		Scope: change.ScopeLoop, Code: change.CodeWarehouseState, Op: "moving the fence", Err: err,
		Remedy: "find out whether schema walshift was restored or edited, or whether two logs feed this pipeline; " +
			"then run `walshift teardown` and start afresh",
	}
}

// locked begins a transaction on the main session, or on a new one, and takes
// the fence's lock as its first statement (a later one does not keep 1023
// away). When the lock does not come, the sessions of predecessors up to the
// epoch are ended: a frozen process, or our own session whose client is gone.
func (w *Warehouse) locked(ctx context.Context, epoch uint64) (*session, error) {
	for ended := false; ; ended = true {
		s, err := w.current(ctx)
		if err != nil {
			return nil, err
		}
		if err := w.register(ctx, s); err != nil {
			return nil, err
		}
		err = w.lock(ctx, s)
		switch {
		case err == nil:
			return s, nil
		case ctx.Err() != nil || !errors.Is(err, errLockWait):
			s.rollback(ctx)
			return nil, err
		case ended:
			return nil, &change.Fault{
				Scope: change.ScopeLoop, Code: change.CodeFenceLocked, Op: "locking the fence", Err: err,
				Remedy: "find the session that holds " + sqltext.FenceTable(w.cfg.Pipeline).String() +
					" in SVV_TRANSACTIONS and end it",
			}
		}
		w.dropMain(ctx)
		if err := w.endOthers(ctx, epoch); err != nil {
			return nil, err
		}
	}
}

var errLockWait = errors.New("another session holds the fence's lock")

func (w *Warehouse) lock(ctx context.Context, s *session) error {
	wait, cancel := context.WithTimeout(ctx, w.cfg.LockWait)
	defer cancel()
	run := s.exec(wait)
	_, err := run("BEGIN", nil)
	if err == nil {
		_, err = run(sqltext.LockFence(w.cfg.Pipeline))
	}
	if err != nil && wait.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("%w for more than %s", errLockWait, w.cfg.LockWait)
	}
	return err
}

// register notes the main session's pid, once per session.
func (w *Warehouse) register(ctx context.Context, s *session) error {
	if s.registered || w.epoch == 0 {
		return nil
	}
	if _, err := s.exec(ctx)(sqltext.AddSession(w.cfg.Pipeline, w.epoch, s.pid)); err != nil {
		return fmt.Errorf("registering a session: %w", err)
	}
	s.registered = true
	return nil
}

// endOthers ends the registered sessions of epochs up to ours but the main one.
func (w *Warehouse) endOthers(ctx context.Context, epoch uint64) error {
	s, err := w.current(ctx)
	if err != nil {
		return err
	}
	pids, err := s.numbers(ctx)(sqltext.OtherSessions(w.cfg.Pipeline, min(epoch, math.MaxInt64), s.pid))
	if err != nil {
		return fmt.Errorf("looking for the fence's holder: %w", err)
	}
	for _, pid := range pids {
		w.log.Warn("ending_predecessor_session", zap.Int64("pid", pid))
		// A session that has gone meanwhile is an error or false: both are fine.
		_, err := s.texts(ctx)(sqltext.Terminate(pid))
		if err != nil && !answered(err) {
			return fmt.Errorf("ending session %d: %w", pid, err)
		}
	}
	return nil
}

// read reads fence and positions.
func (w *Warehouse) read(ctx context.Context, s *session) (fenceRow, map[uint32]sqltext.Position, error) {
	f, err := w.readFence(ctx, s)
	if err != nil {
		return f, nil, err
	}
	positions, err := w.readPositions(ctx, s)
	return f, positions, err
}

func (w *Warehouse) readFence(ctx context.Context, s *session) (fenceRow, error) {
	var f fenceRow
	rows := 0
	err := s.query(ctx, 5, func(r record) error {
		rows++
		epoch, err := r.number(0)
		if err != nil {
			return err
		}
		seq, err := r.number(1)
		if err != nil {
			return err
		}
		f.Epoch, f.Seq, f.Txn = uint64(epoch), uint64(seq), r.text(2)
		if f.lsn, err = pglogrepl.ParseLSN(r.text(3)); err != nil || r.null(4) {
			return err
		}
		f.commitTime, err = time.Parse(timeFormat, r.text(4))
		return err
	})(sqltext.ReadFence(w.cfg.Pipeline))
	if err == nil && rows != 1 {
		err = &change.Fault{
			Scope: change.ScopeLoop, Code: change.CodeWarehouseState, Op: "reading the fence",
			Err:    fmt.Errorf("%d rows instead of 1 in %s", rows, sqltext.FenceTable(w.cfg.Pipeline)),
			Remedy: "restore schema walshift, or run `walshift teardown` and start afresh",
		}
	}
	return f, err
}

func (w *Warehouse) readPositions(ctx context.Context, s *session) (map[uint32]sqltext.Position, error) {
	positions := make(map[uint32]sqltext.Position)
	err := s.query(ctx, 12, func(r record) error {
		oid, err := r.number(0)
		p := sqltext.Position{
			OID: uint32(oid), SchemaName: r.text(1), TableName: r.text(2), State: r.text(3),
			X: r.text(4), Applied: r.text(5), Reason: r.text(6),
			Target: sqltext.Name{Schema: r.text(7), Table: r.text(8)}, Shadow: r.text(9),
			MadeTarget: r.text(10) == "1", WasLive: r.text(11) == "1",
		}
		positions[p.OID] = p
		return err
	})(sqltext.ReadPositions(w.cfg.Pipeline))
	return positions, err
}

// checkpointOf returns a position in checkpoint's words.
func checkpointOf(p sqltext.Position) (checkpoint.Table, error) {
	x, err := pglogrepl.ParseLSN(p.X)
	if err != nil {
		return checkpoint.Table{}, fmt.Errorf("reading the position of table %s.%s: %w", p.SchemaName, p.TableName, err)
	}
	applied, err := pglogrepl.ParseLSN(p.Applied)
	if err != nil {
		return checkpoint.Table{}, fmt.Errorf("reading the position of table %s.%s: %w", p.SchemaName, p.TableName, err)
	}
	return checkpoint.Table{
		OID: p.OID, Schema: p.SchemaName, Name: p.TableName, State: checkpoint.State(p.State),
		X: x, Applied: applied, Reason: p.Reason,
	}, nil
}

// withTable returns p as t says.
func withTable(p sqltext.Position, t checkpoint.Table) sqltext.Position {
	p.State, p.X, p.Applied = string(t.State), t.X.String(), t.Applied.String()
	p.Reason = cut(t.Reason, sqltext.MaxReason)
	return p
}

// cut shortens s to at most n bytes, between characters, and drops NULs.
func cut(s string, n int) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "?")
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}
