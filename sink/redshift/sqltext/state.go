package sqltext

import (
	"errors"
	"fmt"
	"strings"
)

// Schema is where walshift keeps its own tables, on each Redshift database.
const Schema = "walshift"

// MaxReason is the longest reason that a position can carry, in bytes.
const MaxReason = 4096

// ErrBadPipeline reports an unusable pipeline name.
var ErrBadPipeline = errors.New("pipeline name must match [a-z][a-z0-9_]{0,40}")

// CheckPipeline returns an error that wraps ErrBadPipeline unless name can be
// part of a table's name: walshift's names survive folding and cutting.
func CheckPipeline(name string) error {
	if len(name) == 0 || len(name) > 41 || name[0] < 'a' || name[0] > 'z' {
		return fmt.Errorf("%w: %q", ErrBadPipeline, name)
	}
	for _, c := range []byte(name) {
		if c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return fmt.Errorf("%w: %q", ErrBadPipeline, name)
		}
	}
	return nil
}

// FenceTable holds the one row that guards every writing transaction.
func FenceTable(pipeline string) Name { return Name{Schema, "fence_" + pipeline} }

// PositionsTable holds one row per table of the pipeline; people and BI tools
// read it through the view walshift.freshness.
func PositionsTable(pipeline string) Name { return Name{Schema, "positions_" + pipeline} }

// SessionsTable holds the backend pids of sessions that may hold the fence's
// lock. They are not in the fence itself, because LOCK shuts out readers too:
// a successor could not read the pid of the session that it waits for.
func SessionsTable(pipeline string) Name { return Name{Schema, "sessions_" + pipeline} }

// PipelineOf returns the pipeline of a positions table's name.
func PipelineOf(table string) (string, bool) {
	pipeline, ok := strings.CutPrefix(table, "positions_")
	return pipeline, ok && CheckPipeline(pipeline) == nil
}

// StagingName names the nth staging table of an attempt (16 hex digits).
func StagingName(pipeline, attempt string, n int) Name {
	return Name{Schema, fmt.Sprintf("stg_%s_%s_%d", pipeline, attempt, n)}
}

// IsStaging reports whether table is a staging table of the pipeline. Neither
// pipeline of "a" and "a_b" takes the other's for its own.
func IsStaging(pipeline, table string) bool {
	rest, ok := strings.CutPrefix(table, "stg_"+pipeline+"_")
	if !ok {
		return false
	}
	attempt, n, ok := strings.Cut(rest, "_")
	return ok && len(attempt) == 16 && only(attempt, "0123456789abcdef") && n != "" && only(n, "0123456789")
}

func only(s, set string) bool { return strings.Trim(s, set) == "" }

// ShadowName names the table that a first load fills before it takes the
// target's name.
func ShadowName(schema string, oid uint32, attempt string) Name {
	return Name{schema, fmt.Sprintf("_walshift_%d_%s", oid, attempt)}
}

// CreateState returns the statements that make the pipeline's own tables where
// they are missing. LSNs are text as PostgreSQL writes them, times are UTC.
func CreateState(pipeline string) ([]string, error) {
	var out []string
	for _, t := range []struct {
		name    Name
		columns string
	}{
		{FenceTable(pipeline), `
  epoch BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  txn VARCHAR(64) NOT NULL,
  applied_lsn VARCHAR(17) NOT NULL,
  applied_commit_time TIMESTAMP`},
		{PositionsTable(pipeline), `
  pipeline VARCHAR(41) NOT NULL,
  table_oid BIGINT NOT NULL,
  schema_name VARCHAR(256) NOT NULL,
  table_name VARCHAR(256) NOT NULL,
  state VARCHAR(16) NOT NULL,
  x_lsn VARCHAR(17) NOT NULL,
  applied_lsn VARCHAR(17) NOT NULL,
  applied_commit_time TIMESTAMP,
  reason VARCHAR(4096) NOT NULL,
  target_schema VARCHAR(256) NOT NULL,
  target_table VARCHAR(256) NOT NULL,
  shadow_table VARCHAR(256) NOT NULL,
  made_target BOOLEAN NOT NULL,
  was_live BOOLEAN NOT NULL`},
		{SessionsTable(pipeline), `
  epoch BIGINT NOT NULL,
  pid BIGINT NOT NULL`},
	} {
		w := new(writer)
		sql, err := w.raw("CREATE TABLE IF NOT EXISTS ").name(t.name).raw(" (", t.columns, "\n)").done()
		if err != nil {
			return nil, err
		}
		out = append(out, sql)
	}
	return out, nil
}

// CreateFreshness returns the view over the positions of all the pipelines. It
// is bound to their tables, and has to be made anew for each new pipeline.
func CreateFreshness(pipelines []string) (string, error) {
	w := new(writer)
	w.raw("CREATE OR REPLACE VIEW ").name(Name{Schema, "freshness"}).raw(" AS\n")
	for i, p := range pipelines {
		if i > 0 {
			w.raw("\nUNION ALL\n")
		}
		w.raw("SELECT pipeline, schema_name || '.' || table_name AS \"table\", " +
			"applied_lsn, applied_commit_time, state\nFROM ").name(PositionsTable(p))
	}
	return w.done()
}

// DropFreshness returns the DROP of the view, for a pipeline that goes.
func DropFreshness() (string, error) {
	return new(writer).raw("DROP VIEW IF EXISTS ").name(Name{Schema, "freshness"}).done()
}

// LockFence returns the statement that must come first in each transaction
// that writes: a lock taken after the snapshot does not keep error 1023 away.
func LockFence(pipeline string) (string, error) {
	return new(writer).raw("LOCK TABLE ").name(FenceTable(pipeline)).done()
}

// Fence is what a fence row is, was or shall be.
type Fence struct {
	Epoch, Seq uint64
	Txn        string
	// LSN is the applied position, as PostgreSQL writes it.
	LSN string
	// CommitTime is UTC, "2006-01-02 15:04:05.000000"; "" leaves it as it is.
	CommitTime string
}

// CountFence returns the query for the number of fence rows: 0 or 1.
func CountFence(pipeline string) (string, error) {
	return new(writer).raw("SELECT COUNT(*) FROM ").name(FenceTable(pipeline)).done()
}

// InsertFence returns the INSERT of the fence's only row, before any batch.
func InsertFence(pipeline, txn string) (string, error) {
	w := new(writer)
	w.raw("INSERT INTO ").name(FenceTable(pipeline)).raw(" (epoch, seq, txn, applied_lsn) VALUES (0, 0, ").lit(txn)
	return w.raw(", '0/0')").done()
}

// ReadFence returns the query for epoch, seq, txn, applied_lsn and
// applied_commit_time as text.
func ReadFence(pipeline string) (string, error) {
	w := new(writer)
	w.raw("SELECT epoch, seq, txn, applied_lsn, TO_CHAR(applied_commit_time, 'YYYY-MM-DD HH24:MI:SS.US')\nFROM ")
	return w.name(FenceTable(pipeline)).done()
}

// MoveFence returns the UPDATE from the row as it was last seen to the row as
// it shall be. It affects no row when somebody else has written since.
func MoveFence(pipeline string, from, to Fence) (string, error) {
	w := new(writer)
	w.raw("UPDATE ").name(FenceTable(pipeline)).raw("\nSET seq = ").uint(to.Seq).raw(", txn = ").lit(to.Txn)
	w.raw(", applied_lsn = ").lit(to.LSN)
	if to.CommitTime != "" {
		w.raw(", applied_commit_time = ").lit(to.CommitTime)
	}
	w.raw("\nWHERE epoch = ").uint(from.Epoch).raw(" AND seq = ").uint(from.Seq)
	return w.raw(" AND txn = ").lit(from.Txn).done()
}

// RaiseEpoch returns the UPDATE that makes epoch the fence's owner. It affects
// no row when the fence belongs to it or to a higher one.
func RaiseEpoch(pipeline string, epoch uint64, txn string) (string, error) {
	w := new(writer)
	w.raw("UPDATE ").name(FenceTable(pipeline)).raw("\nSET epoch = ").uint(epoch).raw(", txn = ").lit(txn)
	return w.raw("\nWHERE epoch < ").uint(epoch).done()
}

// ResetFence returns the UPDATE that puts the fence at the start of a new log,
// whatever it says: the epochs of the new log begin anew as well.
func ResetFence(pipeline string, to Fence) (string, error) {
	w := new(writer)
	w.raw("UPDATE ").name(FenceTable(pipeline)).raw("\nSET epoch = ").uint(to.Epoch).raw(", seq = ").uint(to.Seq)
	w.raw(", txn = ").lit(to.Txn).raw(", applied_lsn = ").lit(to.LSN)
	return w.raw(", applied_commit_time = NULL").done()
}

// Position is one row of the positions table.
type Position struct {
	OID                   uint32
	SchemaName, TableName string
	State                 string
	X, Applied            string // LSNs as PostgreSQL writes them
	Reason                string
	Target                Name
	Shadow                string // the load's shadow table, in Target.Schema
	// MadeTarget says that the target is a table that walshift made.
	MadeTarget bool
	// WasLive says that the table has been live; only then are its rows more
	// than what a load, which can be repeated, has put there.
	WasLive bool
}

// ReadPositions returns the query for all positions, by oid, in the order of
// Position's fields; booleans come as 1 and 0.
func ReadPositions(pipeline string) (string, error) {
	w := new(writer)
	w.raw("SELECT table_oid, schema_name, table_name, state, x_lsn, applied_lsn, reason,\n" +
		"  target_schema, target_table, shadow_table,\n" +
		"  CASE WHEN made_target THEN 1 ELSE 0 END, CASE WHEN was_live THEN 1 ELSE 0 END\nFROM ")
	return w.name(PositionsTable(pipeline)).raw("\nORDER BY table_oid").done()
}

// UpdatePosition returns the UPDATE of a table's row; together with
// [InsertPositions] it stands for the upsert that Redshift lacks: under the
// fence's lock nobody comes between the two.
func UpdatePosition(pipeline string, p Position) (string, error) {
	w := new(writer)
	w.raw("UPDATE ").name(PositionsTable(pipeline)).raw("\nSET schema_name = ").lit(p.SchemaName)
	w.raw(", table_name = ").lit(p.TableName).raw(", state = ").lit(p.State)
	w.raw(", x_lsn = ").lit(p.X).raw(", applied_lsn = ").lit(p.Applied).raw(", reason = ").lit(p.Reason)
	w.raw(",\n  target_schema = ").lit(p.Target.Schema).raw(", target_table = ").lit(p.Target.Table)
	w.raw(", shadow_table = ").lit(p.Shadow)
	w.raw(", made_target = ").boolean(p.MadeTarget).raw(", was_live = ").boolean(p.WasLive)
	return w.raw("\nWHERE table_oid = ").uint(uint64(p.OID)).done()
}

// InsertPositions returns the INSERT of the rows of one or more tables.
func InsertPositions(pipeline string, positions []Position) (string, error) {
	w := new(writer)
	w.raw("INSERT INTO ").name(PositionsTable(pipeline)).raw(" (pipeline, table_oid, schema_name, table_name, state,\n" +
		"  x_lsn, applied_lsn, reason, target_schema, target_table, shadow_table, made_target, was_live)\nVALUES")
	for i, p := range positions {
		if i > 0 {
			w.raw(",")
		}
		w.raw("\n  (").lit(pipeline).raw(", ").uint(uint64(p.OID)).raw(", ")
		w.lits([]string{
			p.SchemaName, p.TableName, p.State, p.X, p.Applied, p.Reason,
			p.Target.Schema, p.Target.Table, p.Shadow,
		})
		w.raw(", ").boolean(p.MadeTarget).raw(", ").boolean(p.WasLive).raw(")")
	}
	return w.done()
}

func (w *writer) boolean(b bool) *writer {
	if b {
		return w.raw("TRUE")
	}
	return w.raw("FALSE")
}

// ClearPositions returns the DELETE of all of the pipeline's positions.
func ClearPositions(pipeline string) (string, error) {
	return new(writer).raw("DELETE FROM ").name(PositionsTable(pipeline)).done()
}

// AdvanceLive returns the UPDATE that moves all live tables to a position.
func AdvanceLive(pipeline string, to Fence) (string, error) {
	w := new(writer)
	w.raw("UPDATE ").name(PositionsTable(pipeline)).raw("\nSET applied_lsn = ").lit(to.LSN)
	if to.CommitTime != "" {
		w.raw(", applied_commit_time = ").lit(to.CommitTime)
	}
	return w.raw("\nWHERE state = 'live'").done()
}

// MakeLive returns the UPDATE that makes all tables live that are loaded and
// stand at lsn.
func MakeLive(pipeline, lsn string) (string, error) {
	w := new(writer)
	w.raw("UPDATE ").name(PositionsTable(pipeline)).raw("\nSET state = 'live', was_live = TRUE")
	return w.raw("\nWHERE state = 'loaded' AND applied_lsn = ").lit(lsn).done()
}

// AddSession returns the INSERT that registers a session that is about to
// take the fence's lock.
func AddSession(pipeline string, epoch uint64, pid int64) (string, error) {
	w := new(writer)
	w.raw("INSERT INTO ").name(SessionsTable(pipeline)).raw(" (epoch, pid) VALUES (").uint(epoch)
	return w.raw(", ").int(int(pid)).raw(")").done()
}

// OtherSessions returns the query for the registered pids up to epoch but one.
func OtherSessions(pipeline string, epoch uint64, pid int64) (string, error) {
	w := new(writer)
	w.raw("SELECT DISTINCT pid FROM ")
	return w.otherSessions(pipeline, epoch, pid).done()
}

// ForgetSessions returns the DELETE of what [OtherSessions] finds.
func ForgetSessions(pipeline string, epoch uint64, pid int64) (string, error) {
	w := new(writer)
	w.raw("DELETE FROM ")
	return w.otherSessions(pipeline, epoch, pid).done()
}

func (w *writer) otherSessions(pipeline string, epoch uint64, pid int64) *writer {
	w.name(SessionsTable(pipeline)).raw(" WHERE epoch <= ").uint(epoch)
	return w.raw(" AND pid <> ").int(int(pid))
}

// Terminate returns the query that ends another session of the same user.
func Terminate(pid int64) (string, error) {
	return new(writer).raw("SELECT pg_terminate_backend(").int(int(pid)).raw(")").done()
}
