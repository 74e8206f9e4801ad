package source

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walshift/walshift/replicator/change"
)

// Identity says which server, and which life of it, a session reached.
type Identity struct {
	// SystemID is the cluster's identifier, shared by its standbys.
	SystemID string
	Timeline int32
	// Version is server_version_num, for instance 150018.
	Version int
	// FlushLSN is the position up to which WAL was durable.
	FlushLSN pglogrepl.LSN
	Database string
	// InRecovery says that the server is a standby.
	InRecovery bool
	// Started is the postmaster's start time: it tells servers of one
	// cluster apart.
	Started time.Time
}

// Major returns the major version, for instance 15.
func (i Identity) Major() int { return i.Version / 10000 }

// Same reports a system identifier that differs from the expected one, as an
// error that wraps [ErrOtherServer] and is fatal (pitfall W18).
func (i Identity) Same(systemID string) error {
	if i.SystemID == systemID {
		return nil
	}
	return &change.Fault{
		Scope: change.ScopeFatal, Code: change.CodeSourceIdentity, Op: "checking the source's identity",
		Err:    fmt.Errorf("%w: system identifier is %s, expected %s", ErrOtherServer, i.SystemID, systemID),
		Remedy: "point source.dsn at the server that this pipeline was set up with, or set up a new pipeline",
	}
}

// sameProcess also tells standbys and clones from the server i.
func (i Identity) sameProcess(o Identity) error {
	if err := o.Same(i.SystemID); err != nil {
		return err
	}
	if o.InRecovery || !o.Started.Equal(i.Started) {
		return &change.Fault{
			Scope: change.ScopeRetry, Op: "checking the source's identity",
			Err: fmt.Errorf("%w of the cluster: it was started at %s, expected %s (in recovery: %t)",
				ErrOtherServer, o.Started.UTC().Format(time.RFC3339Nano), i.Started.UTC().Format(time.RFC3339Nano), o.InRecovery),
			Remedy: "name the primary itself in source.dsn, not an address that is balanced over standbys",
		}
	}
	return nil
}

const identitySQL = `SELECT system_identifier::text, pg_is_in_recovery(), pg_postmaster_start_time(),
       current_setting('server_version_num')::int, current_database()::text
  FROM pg_control_system()`

// sessionIdentity asks a regular session; Timeline and FlushLSN stay 0.
func sessionIdentity(ctx context.Context, c *pgx.Conn) (Identity, error) {
	var i Identity
	err := c.QueryRow(ctx, identitySQL).Scan(&i.SystemID, &i.InRecovery, &i.Started, &i.Version, &i.Database)
	if err != nil {
		return Identity{}, classify("reading the source's identity", err)
	}
	return i, nil
}

// identify asks a replication session for everything.
func identify(ctx context.Context, pc *pgconn.PgConn) (Identity, error) {
	const op = "identifying the source"
	sys, err := pglogrepl.IdentifySystem(ctx, pc)
	if err != nil {
		return Identity{}, classify(op, err)
	}
	i := Identity{SystemID: sys.SystemID, Timeline: sys.Timeline, FlushLSN: sys.XLogPos, Database: sys.DBName}
	const sql = `SELECT pg_is_in_recovery()::text, (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint::text,
       current_setting('server_version_num')`
	res, err := pc.Exec(ctx, sql).ReadAll()
	if err != nil {
		return Identity{}, classify(op, err)
	}
	if len(res) != 1 || len(res[0].Rows) != 1 || len(res[0].Rows[0]) != 3 {
		return Identity{}, &change.Fault{Scope: change.ScopeRetry, Op: op, Err: errUnexpectedReply}
	}
	row := res[0].Rows[0]
	var micros int64
	if _, err := fmt.Sscan(string(row[1])+" "+string(row[2]), &micros, &i.Version); err != nil {
		return Identity{}, &change.Fault{Scope: change.ScopeRetry, Op: op, Err: errUnexpectedReply}
	}
	i.InRecovery = string(row[0]) == "true"
	i.Started = time.UnixMicro(micros)
	return i, nil
}

// Identity connects with the replication protocol and returns who answers.
func (s *Server) Identity(ctx context.Context) (Identity, error) {
	pc, err := s.connectReplication(ctx, "identify")
	if err != nil {
		return Identity{}, err
	}
	defer closeConn(ctx, pc)
	return identify(ctx, pc)
}
