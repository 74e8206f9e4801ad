package source

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/walshift/walshift/replicator/change"
)

// supported major versions.
const (
	oldestMajor = 13
	newestMajor = 18
)

// Preflight finds out whether the source can be replicated, without changing
// it, and gathers all problems instead of stopping at the first. Problems make
// the error a fatal fault around a [PreflightError]; the plan comes with it,
// as far as it could be made. An error without a plan means that the source
// could not be asked. It takes two sessions one after the other, and reads
// system catalogs only.
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
	if err := s.checkReplication(ctx, p); err != nil {
		return nil, err
	}
	if err := s.checkServer(ctx, c, p); err != nil {
		return nil, err
	}
	pub, err := s.checkPublication(ctx, c, p)
	if err != nil {
		return nil, err
	}
	if pub.exists {
		if err := s.checkTables(ctx, c, p, pub); err != nil {
			return nil, err
		}
	}
	return p, p.err()
}

// checkReplication tries what no catalog can tell: whether the replication
// protocol is spoken at the address at all (pitfall V20), whether the role may
// use it, and whether it leads to the same server.
func (s *Server) checkReplication(ctx context.Context, p *Plan) error {
	const check = "replication connection"
	pc, err := s.connectReplication(ctx, "preflight")
	if err != nil {
		var f *change.Fault
		switch {
		case serverCode(err) == codeNoPrivilege:
			p.problem(check, "", "the role may not start replication",
				"ALTER ROLE … REPLICATION, or grant the provider's replication role (rds_replication on Amazon RDS)")
		case serverCode(err) == codeProtocolViolation:
			p.problem(check, "", "the address doesn't speak the replication protocol: it looks like a connection pooler",
				"connect to the server itself")
		case errors.As(err, &f) && f.Scope == change.ScopeFatal:
			p.problem(check, "", f.Err.Error(), f.Remedy)
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
		p.problem(check, "", "regular and replication sessions reach different servers",
			"name one server, the primary, in source.dsn")
	}
	p.Identity.Timeline, p.Identity.FlushLSN = id.Timeline, id.FlushLSN
	return nil
}

const serverSQL = `SELECT current_setting('wal_level'), current_setting('server_encoding'),
       current_setting('max_replication_slots')::int, (SELECT count(*) FROM pg_replication_slots)::int,
       EXISTS (SELECT 1 FROM pg_replication_slots WHERE slot_name = $1),
       current_setting('max_wal_senders')::int,
       (SELECT count(*) FROM pg_stat_replication WHERE application_name IS DISTINCT FROM 'walshift/preflight')::int`

// sendersNeeded: while the first tables are loaded, one session holds the
// slot's snapshot and another streams.
const sendersNeeded = 2

func (s *Server) checkServer(ctx context.Context, c *pgx.Conn, p *Plan) error {
	var (
		walLevel, encoding                    string
		maxSlots, slots, maxSenders, senderss int
		own                                   bool
	)
	err := c.QueryRow(ctx, serverSQL, s.cfg.Slot).Scan(&walLevel, &encoding, &maxSlots, &slots, &own, &maxSenders, &senderss)
	if err != nil {
		return classify("checking the source", err)
	}
	if m := p.Identity.Major(); m < oldestMajor || m > newestMajor {
		p.problem("server version", "", fmt.Sprintf("PostgreSQL %d is not supported", m),
			fmt.Sprintf("use PostgreSQL %d to %d", oldestMajor, newestMajor))
	}
	if p.Identity.InRecovery {
		p.problem("server role", "", "the server is a standby", "name the primary in source.dsn")
	}
	if walLevel != "logical" {
		p.problem("wal_level", "", "it is "+walLevel,
			"set wal_level = logical (rds.logical_replication = 1 on Amazon RDS) and restart the server")
	}
	if encoding != "UTF8" {
		p.problem("server_encoding", "", "it is "+encoding, "only databases in UTF8 can be replicated")
	}
	if !own && maxSlots-slots < 1 {
		p.problem("max_replication_slots", "", fmt.Sprintf("all %d slots are taken", maxSlots),
			"raise max_replication_slots and restart the server, or drop slots that nobody uses")
	}
	if free := maxSenders - senderss; free < sendersNeeded {
		p.problem("max_wal_senders", "", fmt.Sprintf("%d of %d are free, %d are needed", max(free, 0), maxSenders, sendersNeeded),
			"raise max_wal_senders and restart the server")
	}
	return nil
}

// publication is what pg_publication says.
type publication struct {
	exists, insert, update, delete, truncate, viaRoot bool
}

const publicationSQL = `SELECT pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot
  FROM pg_publication WHERE pubname = $1`

func (s *Server) checkPublication(ctx context.Context, c *pgx.Conn, p *Plan) (publication, error) {
	const check = "publication"
	pub := publication{exists: true}
	name := quote(s.cfg.Publication)
	err := c.QueryRow(ctx, publicationSQL, s.cfg.Publication).
		Scan(&pub.insert, &pub.update, &pub.delete, &pub.truncate, &pub.viaRoot)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		p.problem(check, "", name+" doesn't exist in database "+p.Identity.Database,
			"CREATE PUBLICATION "+name+" FOR TABLE … WITH (publish_via_partition_root = true)")
		return publication{}, nil
	case err != nil:
		return publication{}, classify("checking the publication", err)
	}
	if !pub.insert || !pub.update || !pub.delete || !pub.truncate {
		p.problem(check, "", name+" doesn't publish all operations",
			"ALTER PUBLICATION "+name+" SET (publish = 'insert, update, delete, truncate')")
	}
	return pub, nil
}
