package redshift

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// sqlError is a server's error without the parts that may quote row values.
type sqlError struct{ pg *pgconn.PgError }

// Error implements error. Messages of class 22 (data exceptions) quote values;
// the detail of any error may.
func (e *sqlError) Error() string {
	if strings.HasPrefix(e.pg.Code, "22") {
		return fmt.Sprintf("a value is not acceptable (SQLSTATE %s)", e.pg.Code)
	}
	return fmt.Sprintf("%s (SQLSTATE %s)", e.pg.Message, e.pg.Code)
}

// Unwrap returns the server's error.
func (e *sqlError) Unwrap() error { return e.pg }

// statementError hides what a statement's error should not show.
func statementError(err error) error {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return &sqlError{pg}
	}
	return err
}

// answered reports whether the server itself refused a statement; any other
// error leaves open what has become of it.
func answered(err error) bool {
	_, ok := errors.AsType[*sqlError](err)
	return ok
}

// retryable reports the errors after which the same work may succeed:
// Redshift reports a serialization conflict as XX000 with the message 1023, and
// a relation newer than the snapshot as 1018; 40P01 is a deadlock; classes 08,
// 53 and 57 are connection, resources and operator intervention (a restart, a
// cancelled or timed-out statement).
func retryable(pg *pgconn.PgError) bool {
	switch pg.Code {
	case "40P01", "40001", "55006", "55P03":
		return true
	case "XX000":
		return pg.Message == "1023" || pg.Message == "1018" ||
			strings.Contains(pg.Detail, "Serializable isolation violation")
	}
	switch pg.Code[:min(2, len(pg.Code))] {
	case "08", "53", "57":
		return true
	}
	return false
}

// scopeOf says how far an error outside of any table reaches.
func scopeOf(err error) change.Scope {
	if f, ok := errors.AsType[*change.Fault](err); ok {
		return f.Scope
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) && !retryable(pg) || isTextError(err) {
		return change.ScopeLoop
	}
	return change.ScopeRetry
}

// tableScope says how far an error reaches that a statement on one table met.
// A missing privilege parks instead of stopping: giving it back mends it.
func tableScope(err error) change.Scope {
	if isTextError(err) || tooLargeForJoin(err) {
		return change.ScopeTable
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || retryable(pg) || len(pg.Code) < 2 {
		return scopeOf(err)
	}
	switch {
	case pg.Code == "42501":
		return change.ScopeLoop
	case strings.Contains(pg.Message, "multiple matches to update the same tuple"):
		return change.ScopeTable
	}
	switch pg.Code[:2] {
	case "0A", "22", "23", "2B", "3F", "42":
		return change.ScopeTable
	}
	return change.ScopeLoop
}

// isTextError reports that a statement could not be built at all.
func isTextError(err error) bool {
	return errors.Is(err, sqltext.ErrBadName) || errors.Is(err, sqltext.ErrBadValue) ||
		errors.Is(err, sqltext.ErrUnknownType) || errors.Is(err, sqltext.ErrBadPipeline)
}

// tooLargeForJoin reports error 8001: a join or hash carried a SUPER or
// VARBYTE value above 64 KB.
func tooLargeForJoin(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (strings.HasPrefix(pg.Message, "8001") || strings.Contains(pg.Message, "exceeds the max size of 65535"))
}

// fault wraps err for the layer above, unless it is a fault already.
func fault(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", op, err)
	}
	if _, ok := errors.AsType[*change.Fault](err); ok {
		return err
	}
	f := &change.Fault{Scope: scopeOf(err), Code: change.CodeWarehouseRefused, Op: op, Err: err}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && f.Scope == change.ScopeLoop {
		f.Remedy = remedy(pg)
	}
	return f
}

// remedy says what to do about the errors that an operator must mend.
func remedy(pg *pgconn.PgError) string {
	switch pg.Code {
	case "28000", "28P01":
		return "correct user and password in redshift.dsn"
	case "3D000":
		return "correct the database in redshift.dsn"
	case "42501":
		return "grant the user of redshift.dsn what the message names (see `walshift check`)"
	}
	return "correct what the message names; apply is tried again by itself"
}

// tableFault is fault for a statement that concerns one table.
func tableFault(op string, rel *change.Relation, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	if _, ok := errors.AsType[*change.Fault](err); ok {
		return err
	}
	f := &change.Fault{
		Scope: tableScope(err), Code: change.CodeTableStatement, Op: op, Table: rel.String(), TableOID: rel.OID, Err: err,
		Remedy: "load the table again",
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	switch {
	case f.Scope == change.ScopeRetry:
		f.Remedy = ""
	case tooLargeForJoin(err):
		f.Remedy = "set REPLICA IDENTITY FULL on the source table, so that updates carry values above 64 KB, and load it again"
	case ok && f.Scope == change.ScopeLoop:
		f.Remedy = remedy(pg)
	}
	return f
}

// countFault reports rows that are not as the manifests say.
func countFault(op string, rel *change.Relation, got, want int64) error {
	return &change.Fault{
		Scope: change.ScopeTable, Code: change.CodeCounts, Op: op, Table: rel.String(), TableOID: rel.OID,
		Err: fmt.Errorf("%d rows instead of %d: the target is not what the log left there", got, want),
		Remedy: "find who else writes to the target and take the right away; undo what was done and run `walshift retry`, or load the table again; " +
			"apply.check_counts: false would hide the difference",
	}
}
