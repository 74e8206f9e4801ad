package redshift

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// Strategy says how rows that may exist already get into their table.
type Strategy string

// The strategies.
const (
	// StrategyAuto uses MERGE where the key's equality is exact on Redshift and
	// no column holds values above 64 KB, and delete_insert elsewhere.
	StrategyAuto Strategy = "auto"
	// StrategyMerge is the same today: MERGE elsewhere would not be exact.
	StrategyMerge Strategy = "merge"
	// StrategyDeleteInsert uses DELETE and INSERT for every table.
	StrategyDeleteInsert Strategy = "delete_insert"
)

// Existing says what a first load does with a target that is there before it.
type Existing string

// The ways.
const (
	// ExistingRefuse ends the start with the tables' names.
	ExistingRefuse Existing = "refuse"
	// ExistingTruncate keeps the table, with its views, grants and comments, and
	// replaces its rows in one transaction.
	ExistingTruncate Existing = "truncate"
	// ExistingAdopt takes table and rows as they are: see [Warehouse.Adopt].
	ExistingAdopt Existing = "adopt"
)

// Grant is what somebody may do with target tables, from when one is made.
type Grant struct {
	To sqltext.Grantee
	// Privileges are select and references; none means select.
	Privileges []string
	// Applies says which source tables it is for; nil means all.
	Applies func(schema, table string) bool
}

// Config is what a Warehouse needs to know.
type Config struct {
	// DSN is a PostgreSQL URL or keyword string; its sslmode holds.
	DSN string
	// IAMRole is what COPY reads S3 with: one or more ARNs joined by commas, or
	// "default" for the cluster's default role.
	IAMRole string
	// Region is the log bucket's region, "" if it is the warehouse's.
	Region string
	// Pipeline is the pipeline's name, [a-z][a-z0-9_]{0,40}.
	Pipeline string
	Strategy Strategy
	// CheckCounts compares affected rows with the manifests. Rows that COPY
	// loads, and rows whose kept columns are filled, are compared in any case.
	CheckCounts bool
	// StagingSessions is the number of sessions that load staging and shadow
	// tables, 1 to 50 (the slots of a manual queue).
	StagingSessions int
	// FoldBytes bounds, in memory, what is folded of one table's small files at
	// a time; about twelve times as much may be in use. It bounds as well one
	// file of the rows that remain of a multiset's. At least 64 KiB.
	FoldBytes int64
	// Schemas maps source schemas to target schemas; one that is missing keeps
	// its name.
	Schemas map[string]string
	// Existing is what to do with targets that are there before a first load;
	// "" is ExistingRefuse.
	Existing Existing
	// Grants are given in the transaction in which a table gets its name.
	Grants []Grant
	// Values are the policies of values, of which the target's types need to
	// know values.unbounded_numeric; the same as the log's.
	Values sqltext.ValueRules
	// QueryGroup is set in every session, for workload management; "" is none.
	QueryGroup string
	// StatementTimeout is set in every session, in whole milliseconds; it
	// counts the time in the queue. 0 leaves it to the server.
	StatementTimeout time.Duration
	// ConnectTimeout bounds one attempt to connect.
	ConnectTimeout time.Duration
	// LockWait is how long to wait for the fence's lock before the sessions of
	// predecessors are ended.
	LockWait time.Duration
	// Tracer sees every statement and every connection, from many goroutines
	// at once. May be nil.
	Tracer pgx.QueryTracer
}

// DefaultConfig returns the defaults; DSN, IAMRole and Pipeline have none.
func DefaultConfig() Config {
	return Config{
		Strategy: StrategyAuto, CheckCounts: true, StagingSessions: 4, FoldBytes: 8 << 20,
		ConnectTimeout: 30 * time.Second, LockWait: 30 * time.Second,
	}
}

// maxSessions is the number of slots that manual WLM queues share.
const maxSessions = 50

const minFoldBytes = 64 << 10

// Validate returns all faults of the configuration, each naming its key.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.DSN == "" {
		bad("redshift.dsn is empty: give postgres://user:password@host:5439/database?sslmode=verify-full")
	} else if _, err := parseDSN(c); err != nil {
		errs = append(errs, err)
	}
	if c.IAMRole != "default" && !strings.HasPrefix(c.IAMRole, "arn:") {
		bad("redshift.iam_role is %q: give an ARN or \"default\"", c.IAMRole)
	}
	if err := sqltext.CheckPipeline(c.Pipeline); err != nil {
		bad("pipeline: %w", err)
	}
	switch c.Strategy {
	case StrategyAuto, StrategyMerge, StrategyDeleteInsert:
	default:
		bad("apply.strategy is %q: give auto, merge or delete_insert", c.Strategy)
	}
	switch c.Existing {
	case "", ExistingRefuse, ExistingTruncate, ExistingAdopt:
	default:
		bad("target.existing is %q: give refuse, truncate or adopt", c.Existing)
	}
	for i := range c.Grants {
		if _, err := sqltext.Grant(sqltext.Name{Schema: "s", Table: "t"}, c.Grants[i].Privileges, c.Grants[i].To); err != nil {
			bad("redshift.grants: entry %d: %w", i+1, err)
		}
	}
	if c.StagingSessions < 1 || c.StagingSessions > maxSessions {
		bad("redshift.staging_sessions is %d: give 1 to %d", c.StagingSessions, maxSessions)
	}
	if c.FoldBytes < minFoldBytes {
		bad("redshift: fold bytes are %d: give %d or more", c.FoldBytes, minFoldBytes)
	}
	for from, to := range c.Schemas {
		if _, err := sqltext.Ident(to); err != nil {
			bad("target.schemas: %s: %w", from, err)
		}
		if sqltext.Fold(to) == sqltext.Schema {
			bad("target.schemas: %s: schema %s is walshift's own, give another", from, to)
		}
	}
	if strings.IndexByte(c.QueryGroup, 0) >= 0 {
		bad("redshift.session.query_group contains a NUL")
	}
	if c.StatementTimeout < 0 || c.StatementTimeout%time.Millisecond != 0 {
		bad("redshift.session.statement_timeout is %s: give whole milliseconds, 0 or more", c.StatementTimeout)
	}
	if c.ConnectTimeout <= 0 || c.LockWait <= 0 {
		bad("redshift: connect timeout is %s and lock wait %s: give more than 0", c.ConnectTimeout, c.LockWait)
	}
	return errors.Join(errs...)
}
