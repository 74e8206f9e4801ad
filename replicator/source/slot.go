package source

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"github.com/walshift/walshift/replicator/change"
)

// plugin is the output plugin that walshift decodes.
const plugin = "pgoutput"

// Slot is the state of the configured replication slot.
type Slot struct {
	Name     string
	Plugin   string // "" for a physical slot
	Database string
	// ConfirmedFlush is nil while the slot has no consistent point yet: that
	// is not position 0 (pitfall S15).
	ConfirmedFlush *pglogrepl.LSN
	// Restart is the oldest WAL that the slot holds; nil if it holds none.
	Restart *pglogrepl.LSN
	// WALStatus is reserved, extended, unreserved or lost; "" if unknown.
	WALStatus string
	// SafeWALSize is how many more bytes of WAL may be written before the
	// slot is in danger; nil if there is no limit, or the slot is lost.
	SafeWALSize *int64
	// LimitBytes is the server's max_slot_wal_keep_size in bytes; nil if it
	// sets none.
	LimitBytes *int64
	// XminAge and CatalogXminAge are how many transactions ago those began
	// whose dead rows the slot keeps VACUUM from removing; 0 if it keeps none.
	XminAge, CatalogXminAge int64
	// RetainedBytes is the distance from Restart to the server's position.
	RetainedBytes int64
	// ActivePID is the process that streams from the slot, 0 if none.
	ActivePID int32
	TwoPhase  bool
	Temporary bool
	// InvalidationReason is the server's word (PostgreSQL 17 and above).
	InvalidationReason string
}

// slotSQL takes the columns that not every version has as parameters.
const slotSQL = `SELECT slot_name::text, coalesce(plugin::text, ''), coalesce(database::text, ''),
       confirmed_flush_lsn::text, restart_lsn::text, coalesce(wal_status, ''), safe_wal_size,
       coalesce(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                                     ELSE pg_current_wal_lsn() END, restart_lsn), 0)::bigint,
       coalesce(active_pid, 0), %s, temporary, %s,
       nullif(pg_size_bytes(current_setting('max_slot_wal_keep_size')), -1),
       coalesce(age(xmin), 0)::bigint, coalesce(age(catalog_xmin), 0)::bigint
  FROM pg_replication_slots WHERE slot_name = $1`

func slotQuery(major int) string {
	twoPhase, reason := "false", "''"
	if major >= 14 {
		twoPhase = "two_phase"
	}
	if major >= 17 {
		reason = "coalesce(invalidation_reason, '')"
	}
	return fmt.Sprintf(slotSQL, twoPhase, reason)
}

// readSlot returns false if there is no slot of the name.
func readSlot(ctx context.Context, c *pgx.Conn, name string) (Slot, bool, error) {
	var (
		s                  Slot
		confirmed, restart *string
	)
	err := c.QueryRow(ctx, slotQuery(majorVersion(c.PgConn())), name).Scan(&s.Name, &s.Plugin, &s.Database,
		&confirmed, &restart, &s.WALStatus, &s.SafeWALSize, &s.RetainedBytes,
		&s.ActivePID, &s.TwoPhase, &s.Temporary, &s.InvalidationReason,
		&s.LimitBytes, &s.XminAge, &s.CatalogXminAge)
	if errors.Is(err, pgx.ErrNoRows) {
		return Slot{}, false, nil
	}
	if err != nil {
		return Slot{}, false, classify("inspecting slot "+name, err)
	}
	if s.ConfirmedFlush, err = parseLSN(confirmed); err != nil {
		return Slot{}, false, err
	}
	s.Restart, err = parseLSN(restart)
	return s, err == nil, err
}

func parseLSN(s *string) (*pglogrepl.LSN, error) {
	if s == nil {
		return nil, nil //nolint:nilnil // NULL stays NULL
	}
	l, err := pglogrepl.ParseLSN(*s)
	if err != nil {
		return nil, fmt.Errorf("reading position %q: %w", *s, err)
	}
	return &l, nil
}

// Lost reports whether WAL that the slot needs is gone.
func (s *Slot) Lost() bool { return s.WALStatus == "lost" || s.InvalidationReason != "" }

// Check reports why the slot can't be streamed from by walshift in the given
// database: a fatal [change.Fault] with a remedy, or nil.
func (s *Slot) Check(database string) error {
	f := &change.Fault{Scope: change.ScopeFatal, Code: change.CodeSlotForeign, Op: "checking slot " + s.Name}
	switch {
	case s.Plugin != plugin:
		f.Err = fmt.Errorf("its output plugin is %q, not %s", s.Plugin, plugin)
		f.Remedy = "choose another source.slot: this one belongs to something else"
	case s.Database != database:
		f.Err = fmt.Errorf("it belongs to database %q, not %q", s.Database, database)
		f.Remedy = "choose another source.slot, or the slot's database in source.dsn"
	case s.Lost():
		f.Err = ErrSlotLost
		if s.InvalidationReason != "" {
			f.Err = fmt.Errorf("%w (%s)", ErrSlotLost, s.InvalidationReason)
		}
		f.Remedy = slotLostRemedy
	case s.TwoPhase:
		f.Err = errors.New("it decodes prepared transactions, of which COMMIT PREPARED would bring only the name")
		f.Remedy = "drop the slot and let walshift create its own"
	case s.ConfirmedFlush == nil:
		f.Err = errors.New("it has no confirmed position: its creation was never finished")
		f.Remedy = "end the session that creates it, drop the slot and start again"
	default:
		return nil
	}
	return f
}

// InspectSlot reads the configured slot's state; false if it doesn't exist.
func (s *Server) InspectSlot(ctx context.Context) (Slot, bool, error) {
	c, err := s.connect(ctx, "slot")
	if err != nil {
		return Slot{}, false, err
	}
	defer closeConn(ctx, c)
	return readSlot(ctx, c, s.cfg.Slot)
}

const (
	dropTimeout  = 30 * time.Second
	dropInterval = 100 * time.Millisecond
)

// DropSlot drops the configured slot. A slot that doesn't exist is fine. One
// that is in use is tried again for half a minute, since a walsender needs a
// moment to let go of it; then the error wraps [ErrSlotActive].
func (s *Server) DropSlot(ctx context.Context) error {
	c, err := s.connect(ctx, "slot")
	if err != nil {
		return err
	}
	defer closeConn(ctx, c)
	return dropSlot(ctx, c, s.cfg.Slot, dropTimeout)
}

func dropSlot(ctx context.Context, c *pgx.Conn, name string, limit time.Duration) error {
	op := "dropping slot " + name
	for end := time.Now().Add(limit); ; {
		_, err := c.Exec(ctx, "SELECT pg_drop_replication_slot($1)", name)
		switch serverCode(err) {
		case codeUndefinedObject:
			return nil
		case codeObjectInUse:
			if time.Now().After(end) {
				return classify(op, err)
			}
		default:
			return classify(op, err)
		}
		if err := wait(ctx, dropInterval); err != nil {
			return fmt.Errorf("%s: %w", op, err)
		}
	}
}

// explainStart improves the error of a refused START_REPLICATION by what the
// slot's own row says, for the server's message may be translated.
func (s *Server) explainStart(ctx context.Context, err error) error {
	var f *change.Fault
	if !errors.As(err, &f) || f.Scope != change.ScopeFatal || errors.Is(err, ErrPublicationMissing) {
		return err
	}
	slot, found, ierr := s.InspectSlot(ctx)
	if ierr != nil || !found {
		return err
	}
	if cerr := slot.Check(slot.Database); cerr != nil {
		return cerr
	}
	return err
}
