package source

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walshift/walshift/replicator/change"
)

// supported major versions.
const (
	oldestMajor = 13
	newestMajor = 18
)

// IDs of the checks that are not made in one place alone. The first is also for
// callers whose [Server.Preflight] found no server.
const (
	CheckConnection  = "source.connection"
	checkReplication = "source.replication"
	checkPooler      = "source.pooler"
	checkIdentity    = "source.replica_identity"
	checkPublication = "source.publication"
	checkUnpublished = "source.unpublished"
	checkSelection   = "source.selection"
)

// CheckIDs are the ids of the checks that need a connection and are made of
// every source, in their order.
func CheckIDs() []string {
	return []string{
		checkPooler, "source.clock", checkReplication, "source.version", "source.primary", "source.wal_level", "source.encoding",
		"source.max_replication_slots", "source.max_wal_senders", "source.max_slot_wal_keep_size", "source.slot",
		"source.transactions", checkPublication, checkSelection, "source.include", "source.privileges", "source.row_security",
		checkIdentity, checkUnpublished, "source.inheritance",
	}
}

// Preflight finds out whether the source can be replicated, without changing
// it, and makes all checks instead of stopping at the first that fails. Failed
// ones make the error a fatal fault around a [change.FindingsError]; the plan
// comes with it, as far as it could be made. An error without a plan means that
// the source could not be asked. It takes two sessions one after the other, and
// reads system catalogs only.
func (s *Server) Preflight(ctx context.Context) (*Plan, error) {
	p := &Plan{}
	c, err := s.connect(ctx, "preflight")
	if err != nil {
		return nil, err
	}
	defer closeConn(ctx, c)
	if p.Identity, err = sessionIdentity(ctx, c); err != nil {
		return nil, err
	}
	if err := s.checkSession(ctx, c, p); err != nil {
		return nil, err
	}
	if err := s.checkReplication(ctx, p); err != nil {
		return nil, err
	}
	if err := s.checkServer(ctx, c, p); err != nil {
		return nil, err
	}
	if p.Publication, err = s.readPublication(ctx, c); err != nil {
		return nil, err
	}
	s.checkPublication(p)
	if p.Candidates, err = s.readCandidates(ctx, c); err != nil {
		return nil, err
	}
	switch {
	case p.Publication.Exists:
		err = s.checkTables(ctx, c, p)
		s.checkCandidates(p)
	case s.cfg.Managed:
		err = s.checkManaged(ctx, c, p, publishable(slices.Clone(p.Candidates)))
		p.settled(checkPublication, quote(s.cfg.Publication)+" doesn't exist yet: `walshift run` makes it")
	default:
		s.checkCandidates(p)
	}
	if err != nil {
		return nil, err
	}
	return p, p.err()
}

const sessionSQL = `SELECT current_user::text, pg_backend_pid(), current_setting('extra_float_digits'),
       current_setting('IntervalStyle'), clock_timestamp()`

// checkSession looks at the connection itself.
func (s *Server) checkSession(ctx context.Context, c *pgx.Conn, p *Plan) error {
	var (
		pid            int32
		digits, style  string
		theirs         time.Time
		asked          = time.Now()
		major          = p.Identity.Major()
		address, local = address(c.PgConn())
	)
	if err := c.QueryRow(ctx, sessionSQL).Scan(&p.Role, &pid, &digits, &style, &theirs); err != nil {
		return classify("checking the session", err)
	}
	ours := asked.Add(time.Since(asked) / 2)
	seen := fmt.Sprintf("PostgreSQL %d at %s, database %s, role %s", major, address, p.Identity.Database, p.Role)
	switch version := tlsVersion(c.PgConn().Conn()); {
	case version != "":
		p.pass(CheckConnection, seen+", "+version)
	case local:
		p.pass(CheckConnection, seen+", no TLS on this machine")
	default:
		p.warn(CheckConnection, "", seen+", without TLS: passwords and rows cross the network in clear",
			"source.dsn: sslmode=verify-full and sslrootcert=<the server's CA>")
	}
	switch {
	case digits != "3" || style != "postgres":
		p.problem(checkPooler, "", "settings that are sent when connecting don't arrive: a connection pooler drops them, and values would read wrong",
			"name the server's own address in source.dsn")
	case c.PgConn().PID() != uint32(pid):
		p.warn(checkPooler, "", fmt.Sprintf("the session was announced as process %d and is process %d: a connection pooler or proxy stands in front",
			c.PgConn().PID(), pid), "name the server's own address in source.dsn; a pooler must keep one server session per client")
	default:
		p.pass(checkPooler, "the session is the server's own")
	}
	p.checkClock(theirs.Sub(ours))
	return nil
}

// maxSkew is how far clocks may be apart before lag in seconds means little.
const maxSkew = 5 * time.Second

func (p *Plan) checkClock(skew time.Duration) {
	const id = "source.clock"
	seen := fmt.Sprintf("the server's clock is %s ahead of this machine's", skew.Round(10*time.Millisecond))
	if skew < 0 {
		seen = fmt.Sprintf("the server's clock is %s behind this machine's", -skew.Round(10*time.Millisecond))
	}
	if skew.Abs() > maxSkew {
		p.warn(id, "", seen+": lag in seconds will be off by as much", "let both follow the same time servers (NTP)")
		return
	}
	p.pass(id, seen)
}

// address returns where a session leads, and whether that is this machine.
func address(pc *pgconn.PgConn) (text string, local bool) {
	remote := pc.Conn().RemoteAddr()
	switch a := remote.(type) {
	case *net.TCPAddr:
		return a.String(), a.IP.IsLoopback()
	case *net.UnixAddr:
		return "the Unix socket", true
	}
	return remote.String(), false
}

// tlsVersion names the TLS version of a connection, "" for none.
func tlsVersion(c net.Conn) string {
	if t, ok := c.(*tls.Conn); ok {
		return tls.VersionName(t.ConnectionState().Version)
	}
	return ""
}

// checkReplication tries what no catalog can tell: whether the replication
// protocol is spoken at the address at all (pitfall V20), whether the role may
// use it, and whether it leads to the same server.
func (s *Server) checkReplication(ctx context.Context, p *Plan) error {
	pc, err := s.connectReplication(ctx, "preflight")
	if err != nil {
		var f *change.Fault
		switch {
		case serverCode(err) == codeNoPrivilege:
			p.problem(checkReplication, "", "role "+p.Role+" may not start replication",
				"ALTER ROLE "+quote(p.Role)+" REPLICATION; on Amazon RDS and Aurora: GRANT rds_replication TO "+quote(p.Role)+";")
		case serverCode(err) == codeProtocolViolation:
			p.problem(checkPooler, "", "the address doesn't speak the replication protocol: it looks like a connection pooler",
				"name the server's own address in source.dsn")
		case errors.As(err, &f) && f.Scope == change.ScopeFatal:
			p.problem(checkReplication, "", f.Err.Error(), f.Remedy)
		default:
			return err
		}
		return nil
	}
	defer closeConn(ctx, pc)
	id, err := identify(ctx, pc)
	if err != nil {
		return err
	}
	if err := p.Identity.sameProcess(id); err != nil && !id.InRecovery {
		p.problem(checkReplication, "", "regular and replication sessions reach different servers",
			"name one server, the primary, in source.dsn")
	} else {
		p.pass(checkReplication, fmt.Sprintf("role %s may replicate; system %s, timeline %d", p.Role, id.SystemID, id.Timeline))
	}
	p.Identity.Timeline, p.Identity.FlushLSN = id.Timeline, id.FlushLSN
	return nil
}
