package redshift

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/jackc/pglogrepl"
	"go.uber.org/zap"

	"github.com/walshift/walshift/checkpoint"
	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// Files are what apply needs of S3: package stage's Log.
type Files interface {
	// PutCopyManifest writes a COPY manifest for files under a name that is
	// unique in the pipeline, and returns its s3:// URL.
	PutCopyManifest(ctx context.Context, name string, files []change.File) (url string, err error)
	// ReadRecords returns a data file's records, uncompressed; more than limit
	// bytes are [change.ErrTooLarge].
	ReadRecords(ctx context.Context, f *change.File, limit int64) ([]byte, error)
	// OpenRecords is ReadRecords for records of any size: they are unpacked as
	// they are read.
	OpenRecords(ctx context.Context, f *change.File) (io.ReadCloser, error)
	// PutRecords writes records as a data file under a name that is unique in
	// the pipeline, and returns it.
	PutRecords(ctx context.Context, name, marker string, rows int64, records []byte) (change.File, error)
}

// State is what Redshift remembers of the pipeline.
type State struct {
	// Known is false when Redshift has never seen the pipeline.
	Known bool
	Epoch uint64
	// Seq is the last batch applied; Applied and CommitTime are its end and
	// the commit time of the newest transaction in it (zero before the first).
	Seq        uint64
	Applied    pglogrepl.LSN
	CommitTime time.Time
	// Tables are ordered by oid.
	Tables []checkpoint.Table
	// Once says that the tables were loaded by a load that nothing follows.
	Once bool
}

// Start is where a pipeline begins.
type Start struct {
	Epoch uint64
	Seq   uint64
	X     pglogrepl.LSN
	Rels  []*change.Relation
}

// Warehouse is one pipeline's side of a Redshift database. Its methods are
// safe for concurrent use; those that write under the fence run one at a time.
type Warehouse struct {
	cfg    Config
	stores Files
	log    *zap.Logger

	// mu guards the main session and what this process believes of Redshift.
	mu   sync.Mutex
	main *session
	// doing is what the main session's statements are labelled with.
	doing string
	// epoch is ours, 0 before Arrive or Begin.
	epoch uint64
	fence fenceRow
	// positions are the rows of the positions table, by oid.
	positions map[uint32]sqltext.Position
	// newSchemas are the target schemas that this process has made.
	newSchemas map[string]bool
	// largeKept are tables with values too large to fill kept columns by a join.
	largeKept map[uint32]bool
	// lost is the id of a transaction whose COMMIT was not answered.
	lost string
	db   database

	// pool holds the sessions of the staging workers that are not in use.
	pool chan *session
}

// fenceRow is the fence's row as it was last seen.
type fenceRow struct {
	checkpoint.Fence
	lsn        pglogrepl.LSN
	commitTime time.Time
}

// database is what does not change while we are connected.
type database struct {
	known bool
	// folds says that identifiers are folded to lower case.
	folds bool
	// ignoresCase says that text is compared without regard to case unless a
	// column says otherwise (W19).
	ignoresCase bool
}

// New returns a Warehouse for a valid configuration. It does not connect: the
// daemon starts whatever state Redshift is in.
func New(cfg Config, files Files, log *zap.Logger) (*Warehouse, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configuring redshift: %w", err)
	}
	return &Warehouse{cfg: cfg, stores: files, doing: "state", log: log, pool: make(chan *session, cfg.StagingSessions), newSchemas: make(map[string]bool), largeKept: make(map[uint32]bool)}, nil
}

// Reset drops the sessions; the next call connects again. What a running COPY
// has done in them is rolled back by the server.
func (w *Warehouse) Reset(ctx context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dropMain(ctx)
	for {
		select {
		case s := <-w.pool:
			s.close(ctx)
		default:
			return
		}
	}
}

// Close ends all sessions that are not in use. The Warehouse may be used again.
func (w *Warehouse) Close(ctx context.Context) { w.Reset(ctx) }

func (w *Warehouse) dropMain(ctx context.Context) {
	if w.main != nil {
		w.main.close(ctx)
		w.main = nil
	}
}

// ready makes sure that the main session answers. It is called once per
// operation, at its first need of the session.
func (w *Warehouse) ready(ctx context.Context) (*session, error) {
	if w.main != nil && !w.main.alive(ctx) {
		w.dropMain(ctx)
	}
	return w.current(ctx)
}

// current returns the main session as it is, or a new one where it is closed.
func (w *Warehouse) current(ctx context.Context) (*session, error) {
	if w.main != nil && !w.main.conn.IsClosed() {
		w.main.begins(w.cfg.Pipeline, w.doing)
		return w.main, nil
	}
	w.dropMain(ctx)
	s, err := connect(ctx, &w.cfg)
	if err != nil {
		return nil, err
	}
	if err := w.learn(ctx, s); err != nil {
		s.close(ctx)
		return nil, err
	}
	w.main = s
	s.begins(w.cfg.Pipeline, w.doing)
	return s, nil
}

// learn reads how the database treats names and text, once.
func (w *Warehouse) learn(ctx context.Context, s *session) error {
	if w.db.known {
		return nil
	}
	db := database{known: true, folds: true}
	switch v, err := s.texts(ctx)(sqltext.CaseSensitiveIdentifiers(), nil); {
	case err == nil && len(v) == 1:
		db.folds = v[0] != "on" && v[0] != "true"
	case !hasCode(err, "42704"): // older releases lack the parameter and fold
		return fmt.Errorf("reading enable_case_sensitive_identifier: %w", err)
	}
	switch v, err := s.texts(ctx)(sqltext.DatabaseCollation(), nil); {
	case err == nil && len(v) == 1:
		db.ignoresCase = v[0] == "case_insensitive"
	case !hasCode(err, "42883"): // older releases lack the function and the feature
		return fmt.Errorf("reading the database's collation: %w", err)
	}
	w.db = db
	return nil
}

// hasCode reports whether err is a server's error with the SQLSTATE.
func hasCode(err error, code string) bool {
	e, ok := errors.AsType[*sqlError](err)
	return ok && e.pg.Code == code
}

// acquire takes a staging session from the pool or opens one.
func (w *Warehouse) acquire(ctx context.Context) (*session, error) {
	for {
		select {
		case s := <-w.pool:
			if time.Since(s.idle) < trustIdle || s.alive(ctx) {
				return s, nil
			}
			s.close(ctx)
		default:
			return connect(ctx, &w.cfg)
		}
	}
}

// trustIdle is how long a staging session may wait before it is looked at
// again: the jobs of one apply follow each other at once.
const trustIdle = 5 * time.Second

// release gives a staging session back.
func (w *Warehouse) release(ctx context.Context, s *session) {
	if s.conn.IsClosed() {
		return
	}
	s.idle = time.Now()
	select {
	case w.pool <- s:
	default:
		s.close(ctx)
	}
}

// table returns the target of a relation.
func (w *Warehouse) table(rel *change.Relation) (*sqltext.Table, error) {
	t := &sqltext.Table{Name: w.target(rel), CaseSensitive: w.db.ignoresCase}
	var errs []error
	for i := range rel.Columns {
		c := &rel.Columns[i]
		number := c.NumericForm(w.cfg.Values.Of(rel.String(), c.Name).UnboundedNumeric == sqltext.NumericText)
		m, err := sqltext.MapType(sqltext.SourceColumn{
			Type: c.Type, Kind: c.TypeKind, Typmod: c.Typmod, Key: rel.IsKey(i),
			NumericText: number.Text, NumericScale: int(number.Scale),
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("column %q: %w", c.Name, err))
		}
		t.Columns = append(t.Columns, sqltext.Column{Name: c.Name, Attnum: c.Attnum, Key: rel.IsKey(i), Mapping: m})
	}
	if rel.Multiset {
		t.Columns = append(t.Columns, sqltext.RowHash())
	}
	return t, errors.Join(errs...)
}

func (w *Warehouse) target(rel *change.Relation) sqltext.Name {
	schema := rel.Schema
	if to, ok := w.cfg.Schemas[schema]; ok {
		schema = to
	}
	return sqltext.Name{Schema: schema, Table: rel.Name}
}

// stored returns the name under which Redshift keeps an identifier.
func (d database) stored(name string) string {
	if d.folds {
		return sqltext.Fold(name)
	}
	return name
}

// newID returns 16 hex digits, 64 random bits: the name of an attempt or of a
// transaction.
func newID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}
