package source

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walshift/walshift/replicator/change"
)

// Decisions that callers take by errors.Is.
var (
	// ErrSlotMissing: the replication slot doesn't exist.
	ErrSlotMissing = errors.New("the replication slot doesn't exist")
	// ErrSlotExists: a slot of the name exists already.
	ErrSlotExists = errors.New("a replication slot of this name exists already")
	// ErrSlotLost: the server has removed WAL that the slot needs.
	ErrSlotLost = errors.New("the replication slot is lost: the server has removed WAL that it needs")
	// ErrSlotActive: another session streams from the slot.
	ErrSlotActive = errors.New("the replication slot is in use by another session")
	// ErrPublicationMissing: the publication doesn't exist, or did not exist
	// at the position being decoded.
	ErrPublicationMissing = errors.New("the publication doesn't exist at the position being decoded")
	// ErrNotPublished: the table is not in the publication, or dropped.
	ErrNotPublished = errors.New("the table is not in the publication")
	// ErrPartition: the relation is a partition whose changes are published as
	// its root's. pgoutput announces partitions by Relation messages all the
	// same, and then sends no change under their oid: ignore the message.
	ErrPartition = errors.New("the relation is a partition of a published table")
	// ErrRewritten: the table was rewritten, truncated, altered or dropped
	// after the snapshot was taken; it must be read under a new snapshot.
	ErrRewritten = errors.New("the table was changed after its snapshot was taken")
	// ErrOtherServer: a session landed on another server than the first.
	ErrOtherServer = errors.New("the connection reached another server")
	// ErrStreamEnded: the server ended the replication stream.
	ErrStreamEnded = errors.New("the server ended the replication stream")
)

// SQLSTATE codes that are told apart.
const (
	codeInvalidPassword   = "28P01"
	codeInvalidAuth       = "28000"
	codeNoPrivilege       = "42501"
	codeNoDatabase        = "3D000"
	codeUndefinedObject   = "42704"
	codeUndefinedTable    = "42P01"
	codeUndefinedColumn   = "42703"
	codeDuplicateObject   = "42710"
	codeObjectInUse       = "55006"
	codeNotInState        = "55000"
	codeLockNotAvailable  = "55P03"
	codeUndefinedFile     = "58P01"
	codeDatabaseDropped   = "57P04"
	codeFeatureNotSupport = "0A000"
	codeProtocolViolation = "08P01"
	codeConfigLimit       = "53400"
)

// classify turns an error into a [change.Fault]; one that has a fault already,
// and the end of a context, stay what they are.
func classify(op string, err error) error {
	var f *change.Fault
	switch {
	case err == nil:
		return nil
	case errors.As(err, &f):
		return err
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", op, err)
	}
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		return classifyServer(op, err, pe)
	}
	if certificateProblem(err) {
		return &change.Fault{
			Scope: change.ScopeFatal, Code: change.CodeSourceLogin, Op: op, Err: err,
			Remedy: "check sslmode, sslrootcert and the host name in source.dsn against the server's certificate",
		}
	}
	return &change.Fault{Scope: change.ScopeRetry, Op: op, Err: err}
}

// certificateProblem tells failed verification, which stays until somebody
// acts, from TLS connections that merely broke.
func certificateProblem(err error) bool {
	var (
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		verify    *tls.CertificateVerificationError
	)
	return errors.As(err, &authority) || errors.As(err, &host) || errors.As(err, &invalid) || errors.As(err, &verify)
}

func classifyServer(op string, err error, pe *pgconn.PgError) error {
	f := &change.Fault{Scope: change.ScopeFatal, Code: change.CodeSourceRefused, Op: op, Err: err}
	publication := strings.Contains(strings.ToLower(pe.Routine), "publication")
	switch pe.Code {
	case codeInvalidPassword:
		f.Remedy = "check user and password in source.dsn, and the server's pg_hba.conf"
	case codeInvalidAuth:
		f.Remedy = "check user, database and sslmode in source.dsn against the server's pg_hba.conf"
	case codeNoDatabase, codeDatabaseDropped:
		f.Remedy = "name an existing database in source.dsn"
	case codeNoPrivilege:
		f.Remedy = "grant the role what the message names: REPLICATION (or the provider's replication role) " +
			"for streaming, USAGE on schemas and SELECT on tables for reading"
	case codeUndefinedObject:
		if publication {
			return publicationFault(op, err)
		}
		f.Err = fmt.Errorf("%w: %w", ErrSlotMissing, err)
		f.Remedy = "changes since the slot was dropped are lost to replication: restore the slot's server, " +
			"or load all tables again under a new slot"
	case codeDuplicateObject:
		f.Err = fmt.Errorf("%w: %w", ErrSlotExists, err)
		f.Remedy = "choose another source.slot, or drop the slot if nothing uses it"
	case codeUndefinedFile:
		f.Err = fmt.Errorf("%w: %w", ErrSlotLost, err)
		f.Remedy = slotLostRemedy
	case codeNotInState:
		f.Remedy = "bring the server into the state that the message names: wal_level = logical and a restart, " +
			"the slot's own database, or, if the slot was invalidated, a new slot and a new load of all tables"
	case codeFeatureNotSupport:
		f.Remedy = "connect to the primary server, of a version from 13 to 18"
	case codeConfigLimit:
		f.Remedy = "raise the limit that the message names (max_replication_slots, max_wal_senders) and restart the server"
	case codeObjectInUse:
		f.Scope = change.ScopeRetry
		f.Err = fmt.Errorf("%w: %w", ErrSlotActive, err)
		f.Remedy = "stop the other reader of the slot, or wait until its session has ended"
	case codeLockNotAvailable:
		f.Scope = change.ScopeRetry
		f.Remedy = "end the session that holds a lock on the table, or wait for it"
	case codeProtocolViolation:
		f.Remedy = "connect to the server itself: a connection pooler doesn't speak the replication protocol"
	default:
		if passing(pe.Code) {
			f.Scope = change.ScopeRetry
		}
	}
	return f
}

const slotLostRemedy = "the changes between the slot's position and the oldest WAL left are gone: drop the slot, " +
	"raise max_slot_wal_keep_size, and load all tables again"

// passing reports the SQLSTATE classes that heal by themselves: connections,
// rollbacks, resources, operator intervention (a server starting, stopping or
// in recovery), system and internal errors.
func passing(code string) bool {
	for _, class := range []string{"08", "40", "53", "55", "57", "58", "XX"} {
		if strings.HasPrefix(code, class) {
			return true
		}
	}
	return false
}

// publicationFault explains pitfall S11: pgoutput looks the publication up as
// it was at the position being decoded, so that creating it now, after the
// slot, doesn't help.
func publicationFault(op string, err error) error {
	return &change.Fault{
		Scope: change.ScopeFatal, Code: change.CodePublication, Op: op,
		Err: fmt.Errorf("%w: %w", ErrPublicationMissing, err),
		Remedy: "if it was never created: create it, drop the slot and load again, for a slot can't decode what was " +
			"written before its publication existed; if it was dropped or renamed, changes in between are lost: " +
			"create it again, drop the slot and load all tables again",
	}
}

// ofTable makes an error one of a table: what is fatal narrows to the table.
func ofTable(op, table string, oid uint32, err error) error {
	err = classify(op, err)
	var f *change.Fault
	if !errors.As(err, &f) {
		return err
	}
	g := *f
	g.Table, g.TableOID = table, oid
	if g.Scope == change.ScopeFatal {
		g.Scope = change.ScopeTable
	}
	return &g
}

// serverCode returns the SQLSTATE in err's chain, "" if there is none.
func serverCode(err error) string {
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pe.Code
	}
	return ""
}
