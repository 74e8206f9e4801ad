package source

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// sendersNeeded: while the first tables are loaded, one session holds the
	// slot's snapshot and another streams.
	sendersNeeded = 2
	// slotsWanted: the pipeline's own, and a temporary one when a table is
	// loaded later.
	slotsWanted = 2
	// leastRetained is the least WAL that a slot should be allowed to hold: an
	// outage of S3 of some minutes under load writes as much.
	leastRetained = 1 << 30
	// leastIdle is the shortest stop that a slot should outlive.
	leastIdle = 24 * time.Hour
)

// server is what serverSQL answers.
type server struct {
	walLevel, encoding  string
	maxSlots, slots     int
	own                 bool
	maxSenders, senders int
	keepBytes           int64 // -1: no limit
	idleTimeout         time.Duration
}

// serverSQL's second setting is known to PostgreSQL 18 alone; both are in the
// units of pg_settings, MB and s.
const serverSQL = `SELECT current_setting('wal_level'), current_setting('server_encoding'),
       current_setting('max_replication_slots')::int, (SELECT count(*) FROM pg_replication_slots)::int,
       EXISTS (SELECT 1 FROM pg_replication_slots WHERE slot_name = $1),
       current_setting('max_wal_senders')::int,
       (SELECT count(*) FROM pg_stat_replication WHERE application_name IS DISTINCT FROM 'walshift/preflight')::int,
       (SELECT setting::bigint FROM pg_settings WHERE name = 'max_slot_wal_keep_size'),
       coalesce((SELECT setting::bigint FROM pg_settings WHERE name = 'idle_replication_slot_timeout'), 0)`

func (s *Server) checkServer(ctx context.Context, c *pgx.Conn, p *Plan) error {
	var (
		v          server
		keep, idle int64
	)
	err := c.QueryRow(ctx, serverSQL, s.cfg.Slot).Scan(&v.walLevel, &v.encoding, &v.maxSlots, &v.slots, &v.own,
		&v.maxSenders, &v.senders, &keep, &idle)
	if err != nil {
		return classify("checking the source", err)
	}
	v.keepBytes, v.idleTimeout = keep, time.Duration(idle)*time.Second
	if keep > 0 {
		v.keepBytes = keep << 20
	}
	p.checkVersion()
	p.checkSettings(&v)
	p.checkRoom(&v)
	p.checkRetention(&v)
	if err := s.checkSlot(ctx, c, p); err != nil {
		return err
	}
	return s.checkTransactions(ctx, c, p)
}

func (p *Plan) checkVersion() {
	const id = "source.version"
	if m := p.Identity.Major(); m < oldestMajor || m > newestMajor {
		p.problem(id, "", fmt.Sprintf("PostgreSQL %d is not supported", m),
			fmt.Sprintf("use PostgreSQL %d to %d", oldestMajor, newestMajor))
	} else {
		p.pass(id, fmt.Sprintf("PostgreSQL %d", m))
	}
	if p.Identity.InRecovery {
		p.problem("source.primary", "", "the server is a standby", "name the primary in source.dsn")
	} else {
		p.pass("source.primary", "the server is a primary")
	}
}

func (p *Plan) checkSettings(v *server) {
	if v.walLevel != "logical" {
		p.problem("source.wal_level", "", "it is "+v.walLevel,
			"ALTER SYSTEM SET wal_level = 'logical'; and restart the server (rds.logical_replication = 1 on Amazon RDS and Aurora)")
	} else {
		p.pass("source.wal_level", "logical")
	}
	const id = "source.encoding"
	switch v.encoding {
	case "UTF8":
		p.pass(id, "UTF8")
	case "SQL_ASCII", "MULE_INTERNAL": // the server has no conversion from these to UTF8
		p.problem(id, "", "the database is in "+v.encoding+", which can't be converted to UTF8",
			"move the data to a database in UTF8 (pg_dump, CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0)")
	default:
		p.warn(id, "", "the database is in "+v.encoding+": the server converts text to UTF8, and a character "+
			"that has no equivalent there stops replication", "")
	}
}

// checkRoom: slots and senders, each with two to spare.
func (p *Plan) checkRoom(v *server) {
	const slotsID, sendersID = "source.max_replication_slots", "source.max_wal_senders"
	free := max(v.maxSlots-v.slots, 0)
	if v.own {
		free++
	}
	seen := fmt.Sprintf("%d of %d can be used", free, v.maxSlots)
	raise := func(name string, to int) string {
		return fmt.Sprintf("ALTER SYSTEM SET %s = %d; and restart the server", name, to)
	}
	switch more := raise("max_replication_slots", v.maxSlots-free+slotsWanted); {
	case free < 1:
		p.problem(slotsID, "", fmt.Sprintf("all %d slots are taken", v.maxSlots), more+", or drop slots that nobody uses")
	case free < slotsWanted:
		p.warn(slotsID, "", seen+": a table that is loaded later needs one more for a while", more)
	default:
		p.pass(slotsID, seen)
	}
	free = max(v.maxSenders-v.senders, 0)
	if free < sendersNeeded {
		p.problem(sendersID, "", fmt.Sprintf("%d of %d are free, %d are needed", free, v.maxSenders, sendersNeeded),
			raise("max_wal_senders", v.maxSenders-free+sendersNeeded))
	} else {
		p.pass(sendersID, fmt.Sprintf("%d of %d are free", free, v.maxSenders))
	}
}

// checkRetention: both ways to lose. Without a limit a daemon that stands still
// fills the source's disk, with a small one it loses its slot.
func (p *Plan) checkRetention(v *server) {
	const keep, idle = "source.max_slot_wal_keep_size", "source.idle_replication_slot_timeout"
	const remedy = "ALTER SYSTEM SET max_slot_wal_keep_size = '<WAL that the disk can spare>'; SELECT pg_reload_conf();"
	switch {
	case v.keepBytes < 0:
		p.warn(keep, "", "no limit: if walshift stands still, WAL fills the source's disk", remedy)
	case v.keepBytes < leastRetained:
		p.warn(keep, "", fmt.Sprintf("%d MB: a short outage of S3 under load may cost the slot, and with it a new load of all tables",
			v.keepBytes>>20), remedy)
	default:
		p.pass(keep, fmt.Sprintf("%d MB: beyond that the slot is lost, and the disk is safe", v.keepBytes>>20))
	}
	switch {
	case p.Identity.Major() < 18:
	case v.idleTimeout == 0:
		p.pass(idle, "off")
	case v.idleTimeout < leastIdle:
		p.warn(idle, "", fmt.Sprintf("%s: a longer stop of walshift costs the slot, and with it a new load of all tables", v.idleTimeout),
			"ALTER SYSTEM SET idle_replication_slot_timeout = 0; SELECT pg_reload_conf();")
	default:
		p.pass(idle, v.idleTimeout.String())
	}
}

// checkSlot looks at the slot, should there be one already.
func (s *Server) checkSlot(ctx context.Context, c *pgx.Conn, p *Plan) error {
	const id = "source.slot"
	slot, found, err := readSlot(ctx, c, s.cfg.Slot)
	if err != nil {
		return err
	}
	if !found {
		p.pass(id, s.cfg.Slot+" doesn't exist yet: `walshift run` makes it")
		return nil
	}
	p.Slot = &slot
	state := fmt.Sprintf("%s exists, WAL %s, holds %d MB", slot.Name, slot.WALStatus, slot.RetainedBytes>>20)
	switch {
	case slot.Plugin != plugin || slot.Database != p.Identity.Database:
		err := slot.Check(p.Identity.Database)
		p.problem(id, "", err.Error(), "set source.slot to a name of its own")
	case slot.Lost():
		p.problem(id, "", slot.Name+" is lost: the server has removed WAL that it needs", slotLostRemedy)
	case slot.ActivePID != 0:
		p.pass(id, fmt.Sprintf("%s, is in use by process %d", state, slot.ActivePID))
	case slot.WALStatus == "unreserved" || slot.WALStatus == "extended":
		p.warn(id, "", state+": it may soon be lost", "start walshift; watch its lag until the slot is reserved again")
	default:
		p.pass(id, state)
	}
	return nil
}

// transactionsSQL finds the transactions that a slot's creation would wait for.
// Everybody may read pg_locks; how old a transaction of another role is takes
// pg_read_all_stats, so that its distance in transactions stands in.
const transactionsSQL = `SELECT l.pid, coalesce(extract(epoch FROM now() - a.xact_start), -1)::float8, age(l.transactionid)::bigint,
       coalesce(a.state, ''), coalesce(a.application_name, ''), coalesce(a.datname::text, '')
  FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
 WHERE l.locktype = 'transactionid' AND l.granted AND l.pid IS NOT NULL AND l.pid <> pg_backend_pid()
 ORDER BY 3 DESC LIMIT 20`

const (
	// longTransaction is when a slot's creation starts to be a wait.
	longTransaction = time.Minute
	// manyTransactions stands for it where the age is hidden.
	manyTransactions = 50_000
)

// checkTransactions names what would hold up the slot's creation (W13).
func (s *Server) checkTransactions(ctx context.Context, c *pgx.Conn, p *Plan) error {
	const id = "source.transactions"
	rows, err := c.Query(ctx, transactionsSQL)
	if err != nil {
		return classify("looking for long transactions", err)
	}
	var (
		pid              *int32
		age              float64
		distance         int64
		state, app, base string
		open             int
		long             []string
		ends             []string
	)
	_, err = pgx.ForEachRow(rows, []any{&pid, &age, &distance, &state, &app, &base}, func() error {
		open++
		switch {
		case seconds(age) > longTransaction:
			long = append(long, fmt.Sprintf("process %d for %s (%s, application %q, database %q)",
				*pid, seconds(age).Round(time.Second), state, app, base))
		case age < 0 && distance > manyTransactions:
			long = append(long, fmt.Sprintf("process %d for %d transactions", *pid, distance))
		default:
			return nil
		}
		ends = append(ends, fmt.Sprintf("SELECT pg_terminate_backend(%d);", *pid))
		return nil
	})
	if err != nil {
		return classify("looking for long transactions", err)
	}
	blocked := &BlockedError{}
	if err := blocked.readPrepared(ctx, c); err != nil {
		return classify("looking for prepared transactions", err)
	}
	for _, t := range blocked.Prepared {
		long = append(long, fmt.Sprintf("prepared transaction %q of %s in database %s, %s old",
			t.GID, t.Owner, t.Database, t.Age.Round(time.Second)))
		ends = append(ends, "ROLLBACK PREPARED "+literal(t.GID)+"; or COMMIT PREPARED in database "+t.Database)
	}
	if len(long) == 0 {
		p.pass(id, strconv.Itoa(open)+" write at the moment, none for long")
		return nil
	}
	p.warn(id, "", "they are open and hold WAL, and a new slot waits for them: "+strings.Join(long, "; "),
		"wait for them, or end them: "+strings.Join(ends, " "))
	return nil
}
