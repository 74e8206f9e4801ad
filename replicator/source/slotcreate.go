package source

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walshift/walshift/replicator/change"
)

// SlotSession holds the snapshot that a slot's creation exported. It lasts as
// long as the session does nothing else: open a [Keeper] on it, then close it.
type SlotSession struct {
	// Identity is the server on which the slot was created.
	Identity Identity
	// ConsistentPoint is X: a transaction is visible in the snapshot if and
	// only if its end LSN is at or below it (pitfall V3).
	ConsistentPoint pglogrepl.LSN
	// Snapshot is the exported snapshot's name.
	Snapshot string

	pc *pgconn.PgConn
}

// Close ends the session; the snapshot can't be imported any more.
func (k *SlotSession) Close(ctx context.Context) { closeConn(ctx, k.pc) }

// Blocker is a session whose open transaction delays a slot's creation.
type Blocker struct {
	PID int32
	// Age is how long its transaction has been open; 0 if our role may not
	// see it (it needs pg_read_all_stats).
	Age             time.Duration
	State           string
	ApplicationName string
	Database        string
}

// PreparedTransaction is one that waits for COMMIT PREPARED. It has no
// process, and nobody ends it by chance (pitfall V12).
type PreparedTransaction struct {
	GID, Owner, Database string
	Age                  time.Duration
}

// BlockedError says that a slot's creation was given up, and for whom it
// waited (pitfall W13).
type BlockedError struct {
	Waited   time.Duration
	Blockers []Blocker
	Prepared []PreparedTransaction
}

// Error implements error.
func (e *BlockedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "no consistent point within %s", e.Waited)
	for _, p := range e.Blockers {
		fmt.Fprintf(&b, "; waiting for the transaction of pid %d", p.PID)
		if p.Age > 0 {
			fmt.Fprintf(&b, ", open for %s, state %q, application %q, database %q",
				p.Age.Round(time.Second), p.State, p.ApplicationName, p.Database)
		} else {
			b.WriteString(" (details need the role pg_read_all_stats)")
		}
	}
	for _, p := range e.Prepared {
		fmt.Fprintf(&b, "; waiting for prepared transaction %q of %s in database %q, %s old",
			p.GID, p.Owner, p.Database, p.Age.Round(time.Second))
	}
	if len(e.Blockers)+len(e.Prepared) == 0 {
		b.WriteString("; no transaction was seen to block it")
	}
	return b.String()
}

// CreateSlot creates the configured slot and exports its snapshot. The
// publication must exist before (pitfall S11). The server waits for every
// transaction that is open when it begins, in all databases; after
// Config.SlotTimeout the creation is cancelled, nothing is left behind, and the
// error is a ScopeRetry fault around a [BlockedError].
func (s *Server) CreateSlot(ctx context.Context) (*SlotSession, error) {
	op := "creating slot " + s.cfg.Slot
	aux, err := s.connect(ctx, "slot")
	if err != nil {
		return nil, err
	}
	defer closeConn(ctx, aux)
	if err = s.readyForSlot(ctx, aux); err != nil {
		return nil, err
	}
	pc, err := s.connectReplication(ctx, "slot")
	if err != nil {
		return nil, err
	}
	id, err := identify(ctx, pc)
	if err != nil {
		closeConn(ctx, pc)
		return nil, err
	}
	res, err := s.createBounded(ctx, pc, aux)
	if err != nil {
		closeConn(ctx, pc)
		return nil, classify(op, err)
	}
	x, err := pglogrepl.ParseLSN(res.ConsistentPoint)
	if err != nil {
		closeConn(ctx, pc)
		return nil, fmt.Errorf("%s: reading its consistent point %q: %w", op, res.ConsistentPoint, err)
	}
	return &SlotSession{Identity: id, ConsistentPoint: x, Snapshot: res.SnapshotName, pc: pc}, nil
}

// CreateTemporarySlot is [Server.CreateSlot] for a slot of a name of its own
// that the server drops with the session, whatever becomes of us.
func (s *Server) CreateTemporarySlot(ctx context.Context) (*SlotSession, error) {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	t := &Server{cfg: s.cfg, cc: s.cc, temporary: true}
	t.cfg.Slot = "walshift_once_" + hex.EncodeToString(id[:])
	return t.CreateSlot(ctx)
}

// readyForSlot checks what the server would not tell, or only too late.
func (s *Server) readyForSlot(ctx context.Context, aux *pgx.Conn) error {
	op := "creating slot " + s.cfg.Slot
	var published bool
	err := aux.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_publication WHERE pubname = $1)",
		s.cfg.Publication).Scan(&published)
	if err != nil {
		return classify(op, err)
	}
	if !published {
		return &change.Fault{
			Scope: change.ScopeFatal, Code: change.CodePublication, Op: op,
			Err:    fmt.Errorf("%w: %q", ErrPublicationMissing, s.cfg.Publication),
			Remedy: "create the publication first: a slot can't decode what was written before its publication existed",
		}
	}
	_, exists, err := readSlot(ctx, aux, s.cfg.Slot)
	if err != nil {
		return err
	}
	if exists {
		return &change.Fault{
			Scope: change.ScopeFatal, Code: change.CodeSlotForeign, Op: op, Err: ErrSlotExists,
			Remedy: "choose another source.slot, or drop the slot if nothing uses it",
		}
	}
	return nil
}

// createBounded runs CREATE_REPLICATION_SLOT for at most SlotTimeout, then asks
// whom it waits for and cancels it. A slot whose creation fails is dropped by
// the server; that is waited for.
func (s *Server) createBounded(
	ctx context.Context, pc *pgconn.PgConn, aux *pgx.Conn,
) (pglogrepl.CreateReplicationSlotResult, error) {
	type result struct {
		res pglogrepl.CreateReplicationSlotResult
		err error
	}
	done := make(chan result, 1)
	cctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	go func() {
		defer close(done)
		res, err := pglogrepl.CreateReplicationSlot(cctx, pc, quote(s.cfg.Slot), plugin,
			pglogrepl.CreateReplicationSlotOptions{
				Temporary: s.temporary, Mode: pglogrepl.LogicalReplication, SnapshotAction: "EXPORT_SNAPSHOT",
			})
		done <- result{res, err}
	}()
	limit := time.NewTimer(s.cfg.SlotTimeout)
	defer limit.Stop()
	var blocked error
	select {
	case r := <-done:
		return r.res, r.err
	case <-ctx.Done():
	case <-limit.C:
		blocked = s.blockedBy(ctx, aux, int32(pc.PID()))
	}
	// The server would not notice that its client has gone while it waits.
	kctx, kcancel := closing(ctx)
	defer kcancel()
	cancelErr := pc.CancelRequest(kctx)
	select {
	case r := <-done:
		if r.err == nil { // it won the race
			return r.res, nil
		}
	case <-kctx.Done():
		cancel()
		<-done
	}
	if err := s.slotGone(kctx, aux); err != nil {
		blocked = errors.Join(blocked, err, cancelErr)
	}
	if err := ctx.Err(); err != nil {
		return pglogrepl.CreateReplicationSlotResult{}, err
	}
	return pglogrepl.CreateReplicationSlotResult{}, blocked
}

// slotGone waits until the server has dropped the unfinished slot.
func (s *Server) slotGone(ctx context.Context, aux *pgx.Conn) error {
	for {
		_, found, err := readSlot(ctx, aux, s.cfg.Slot)
		if err != nil {
			return fmt.Errorf("checking that the unfinished slot is gone: %w", err)
		}
		if !found {
			return nil
		}
		if err := wait(ctx, dropInterval); err != nil {
			return fmt.Errorf("the unfinished slot is still there: %w", err)
		}
	}
}

const blockersSQL = `SELECT b.pid, coalesce(extract(epoch FROM now() - a.xact_start), 0)::float8,
       coalesce(a.state, ''), coalesce(a.application_name, ''), coalesce(a.datname::text, '')
  FROM (SELECT DISTINCT unnest(pg_blocking_pids($1)) AS pid) b
  LEFT JOIN pg_stat_activity a ON a.pid = b.pid
 ORDER BY a.xact_start NULLS LAST, b.pid`

const preparedSQL = `SELECT gid, owner::text, database::text, extract(epoch FROM now() - prepared)::float8
  FROM pg_prepared_xacts ORDER BY prepared LIMIT 10`

// blockedBy builds the [BlockedError] for the waiting walsender.
func (s *Server) blockedBy(ctx context.Context, aux *pgx.Conn, pid int32) error {
	e := &BlockedError{Waited: s.cfg.SlotTimeout}
	f := &change.Fault{
		Scope: change.ScopeRetry, Op: "creating slot " + s.cfg.Slot, Err: e,
		Remedy: "end the transactions that are named (COMMIT, ROLLBACK, COMMIT PREPARED or ROLLBACK PREPARED), " +
			"or wait for them",
	}
	prepared, err := e.readBlockers(ctx, aux, pid)
	if err == nil && (prepared || len(e.Blockers) == 0) {
		err = e.readPrepared(ctx, aux)
	}
	if err != nil {
		f.Err = errors.Join(e, err)
	}
	return f
}

// readBlockers reports whether a prepared transaction blocks: it shows as
// process 0.
func (e *BlockedError) readBlockers(ctx context.Context, aux *pgx.Conn, pid int32) (prepared bool, err error) {
	rows, err := aux.Query(ctx, blockersSQL, pid)
	if err != nil {
		return false, fmt.Errorf("asking who blocks: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var (
			b   Blocker
			age float64
		)
		if err := rows.Scan(&b.PID, &age, &b.State, &b.ApplicationName, &b.Database); err != nil {
			return false, fmt.Errorf("asking who blocks: %w", err)
		}
		b.Age = seconds(age)
		if b.PID == 0 {
			prepared = true
			continue
		}
		e.Blockers = append(e.Blockers, b)
	}
	return prepared, rows.Err()
}

func (e *BlockedError) readPrepared(ctx context.Context, aux *pgx.Conn) error {
	rows, err := aux.Query(ctx, preparedSQL)
	if err != nil {
		return fmt.Errorf("reading prepared transactions: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var (
			p   PreparedTransaction
			age float64
		)
		if err := rows.Scan(&p.GID, &p.Owner, &p.Database, &age); err != nil {
			return fmt.Errorf("reading prepared transactions: %w", err)
		}
		p.Age = seconds(age)
		e.Prepared = append(e.Prepared, p)
	}
	return rows.Err()
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
