package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"github.com/walshift/walshift/replicator/change"
)

// Table is a published table as the catalog describes it.
type Table struct {
	// Relation has the published columns in the order in which pgoutput
	// sends them, and of a partitioned table the root.
	Relation *change.Relation
	// Partitioned tables are read by their leaves.
	Partitioned bool
	// IsPartition: the table is published as itself, but is a partition.
	IsPartition bool
	// Filter is the publication's row filter as an SQL expression, "" for
	// none (PostgreSQL 15 and above).
	Filter string
	// Generated are the names of generated columns that are not published.
	Generated []string
	// Storage are the relations that hold rows: the table, or its leaves.
	Storage []Storage
	// KeyIndex is, under REPLICA IDENTITY FULL, the name of the index that
	// proves Relation.Keys; "" where none does.
	KeyIndex string
	// Unpublished are the names of columns that the publication's column list
	// leaves out, generated ones aside.
	Unpublished []string
	// typmods are the columns' own type modifiers, as the stream sends them;
	// Relation has a domain's instead.
	typmods []int32
}

// Storage is a relation that holds rows of a [Table].
type Storage struct {
	OID    uint32 `json:"oid"`
	Schema string `json:"schema"`
	Name   string `json:"name"`
	// Rows and Bytes are estimates of the last VACUUM or ANALYZE, TOAST
	// included; -1 if there was none.
	Rows  int64 `json:"rows"`
	Bytes int64 `json:"bytes"`
	// Kind is pg_class.relkind, Persistence relpersistence.
	Kind        string `json:"kind"`
	Persistence string `json:"persistence"`
	// Identity and KeyNames are its own replica identity, which decides what
	// its updates and deletes carry even when the root is published.
	Identity string   `json:"identity"`
	KeyNames []string `json:"key_names"`
}

// keyIndex is an index that proves a key, by provesKeySQL.
type keyIndex struct {
	OID     uint32   `json:"oid"`
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
}

// columnRow is one column in catalogSQL's answer.
type columnRow struct {
	Attnum   int16   `json:"attnum"`
	Name     string  `json:"name"`
	TypeOID  uint32  `json:"type_oid"`
	Type     string  `json:"type"`
	TypeKind string  `json:"type_kind"`
	Typmod   int32   `json:"typmod"`
	Own      int32   `json:"own"`
	NotNull  bool    `json:"not_null"`
	Missing  *string `json:"missing"`
}

// provesKeySQL is true for an index i that proves a key of its table: no two
// rows have the same values in its columns at any moment, none has a NULL
// there, and none of them is generated, which may not be published. A DEFERRABLE
// constraint allows equal keys for a moment (pitfall V10); PostgreSQL 18 knows
// NOT NULL constraints that nobody has validated.
const provesKeySQL = `i.indisunique AND i.indimmediate AND i.indisvalid AND i.indisready
           AND NOT i.indisexclusion AND i.indpred IS NULL AND i.indexprs IS NULL
           AND NOT EXISTS (SELECT 1 FROM pg_attribute ka
                WHERE ka.attrelid = i.indrelid AND ka.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
                  AND (NOT ka.attnotnull OR ka.attgenerated <> '' OR EXISTS (SELECT 1 FROM pg_constraint n WHERE n.conrelid = i.indrelid
                         AND n.contype = 'n' AND NOT n.convalidated AND ka.attnum = ANY (n.conkey))))`

// catalogSQL describes published tables in one statement, so that each row is
// consistent. Its parameters are the publication and a table's oid (0: all);
// %[1]s and %[2]s stand for what PostgreSQL 13 and 14 lack: row filter and
// column list. %[3]s says whether a generated column in the list is sent:
// before 18 the view lists them all the same, but pgoutput never sends one.
//
// Keys are the columns of the index that serves as replica identity, by the
// rules of RelationGetIndexList: valid, unique, immediate, not partial; the
// primary key for DEFAULT. FULL names no index: there it is one that proves a
// key, the primary key first, then the narrowest. That of a partitioned table
// is valid only if every partition has its part.
const catalogSQL = `
WITH pub AS (
  SELECT c.oid, c.relname, n.nspname, c.relreplident, c.relkind, c.relispartition, %[1]s AS filter, %[2]s AS attnames
    FROM pg_publication_tables p
    JOIN pg_namespace n ON n.nspname = p.schemaname
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename
   WHERE p.pubname = $1 AND ($2 = '0' OR c.oid = $2::oid))
SELECT pub.oid::text, pub.nspname::text, pub.relname::text, pub.relreplident::text, pub.relkind::text,
       pub.relispartition, coalesce(pub.filter, ''),
       coalesce((SELECT json_agg(json_build_object('attnum', a.attnum, 'name', a.attname,
                  'type_oid', a.atttypid::bigint, 'type', b.typname, 'type_kind', b.typtype,
                  'typmod', b.typmod, 'own', a.atttypmod, 'not_null', a.attnotnull,
                  'missing', CASE WHEN a.atthasmissing THEN array_to_string(a.attmissingval, '') END)
                  ORDER BY a.attnum)
          FROM pg_attribute a
         CROSS JOIN LATERAL (
           WITH RECURSIVE base AS (
             SELECT t.typname, t.typtype, t.typbasetype, t.typtypmod, a.atttypmod AS typmod
               FROM pg_type t WHERE t.oid = a.atttypid
             UNION ALL
             SELECT t.typname, t.typtype, t.typbasetype, t.typtypmod,
                    CASE WHEN base.typmod = -1 THEN base.typtypmod ELSE base.typmod END
               FROM base JOIN pg_type t ON t.oid = base.typbasetype WHERE base.typtype = 'd')
           SELECT typname, typtype, typmod FROM base WHERE typtype <> 'd') b
         WHERE a.attrelid = pub.oid AND a.attnum > 0 AND NOT a.attisdropped
           AND (pub.attnames IS NULL OR a.attname = ANY (pub.attnames)) AND (%[3]s OR a.attgenerated = '')),
         '[]')::text,
       coalesce((SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a
         WHERE a.attrelid = pub.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> ''
           AND NOT (%[3]s AND a.attname = ANY (pub.attnames))), '[]')::text,
       coalesce((SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a
         WHERE a.attrelid = pub.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
           AND a.attname <> ALL (pub.attnames)), '[]')::text,
       coalesce((SELECT json_agg(json_build_object('oid', i.indexrelid::bigint, 'name', x.relname,
                  'columns', (SELECT json_agg(ka.attname ORDER BY ka.attnum) FROM pg_attribute ka
                    WHERE ka.attrelid = i.indrelid AND ka.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])))
                  ORDER BY NOT i.indisprimary, i.indnkeyatts, i.indexrelid)
          FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
         WHERE i.indrelid = pub.oid AND pub.relreplident = 'f' AND ` + provesKeySQL + `), '[]')::text,
       coalesce((SELECT json_agg(json_build_object('oid', s.oid::bigint, 'schema', sn.nspname, 'name', s.relname,
                  'rows', CASE WHEN s.relpages = 0 THEN -1 ELSE s.reltuples::bigint END,
                  'bytes', CASE WHEN s.relpages = 0 THEN -1 ELSE
                     (s.relpages::bigint + coalesce(toast.relpages, 0)) * current_setting('block_size')::bigint END,
                  'kind', s.relkind, 'persistence', s.relpersistence, 'identity', s.relreplident,
                  'key_names', (SELECT json_agg(ka.attname ORDER BY ka.attnum) FROM pg_index i
                     JOIN pg_attribute ka ON ka.attrelid = s.oid
                      AND ka.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
                    WHERE i.indrelid = s.oid AND i.indisvalid AND i.indisunique AND i.indimmediate
                      AND i.indpred IS NULL AND ((s.relreplident = 'd' AND i.indisprimary)
                                              OR (s.relreplident = 'i' AND i.indisreplident))))
                  ORDER BY s.oid)
          FROM (WITH RECURSIVE tree AS (
                  SELECT pub.oid UNION ALL
                  SELECT h.inhrelid FROM pg_inherits h JOIN tree ON h.inhparent = tree.oid WHERE pub.relkind = 'p')
                SELECT oid FROM tree) t
          JOIN pg_class s ON s.oid = t.oid
          JOIN pg_namespace sn ON sn.oid = s.relnamespace
          LEFT JOIN pg_class toast ON toast.oid = s.reltoastrelid), '[]')::text
  FROM pub ORDER BY pub.nspname, pub.relname`

func catalogQuery(major int) string {
	filter, list, generated := "NULL::text", "NULL::name[]", "false"
	if major >= 15 {
		filter, list = "p.rowfilter", "p.attnames"
	}
	if major >= 18 {
		generated = "true"
	}
	return fmt.Sprintf(catalogSQL, filter, list, generated)
}

// readTables reads one published table (by oid) or all (oid 0).
func readTables(ctx context.Context, c *pgx.Conn, publication string, oid uint32) ([]Table, error) {
	const op = "reading the catalog"
	rows, err := c.Query(ctx, catalogQuery(majorVersion(c.PgConn())), publication, strconv.FormatUint(uint64(oid), 10))
	if err != nil {
		return nil, classify(op, err)
	}
	defer rows.Close()
	var tables []Table
	for rows.Next() {
		t, err := scanTable(rows)
		if err != nil {
			return nil, classify(op, err)
		}
		tables = append(tables, t)
	}
	if err := rows.Err(); err != nil {
		return nil, classify(op, err)
	}
	return tables, classify(op, readFields(ctx, c, tables))
}

func scanTable(rows pgx.Rows) (Table, error) {
	var (
		t                           Table
		r                           change.Relation
		oid, identity, kind         string
		columns, generated, storage string
		unpublished, indexes        string
		cols                        []columnRow
		proofs                      []keyIndex
	)
	if err := rows.Scan(&oid, &r.Schema, &r.Name, &identity, &kind, &t.IsPartition, &t.Filter,
		&columns, &generated, &unpublished, &indexes, &storage); err != nil {
		return t, err
	}
	n, err := strconv.ParseUint(oid, 10, 32)
	if err != nil {
		return t, fmt.Errorf("reading oid %q: %w", oid, err)
	}
	r.OID = uint32(n)
	if err := errors.Join(r.Identity.UnmarshalText([]byte(identity)), json.Unmarshal([]byte(columns), &cols),
		json.Unmarshal([]byte(generated), &t.Generated), json.Unmarshal([]byte(unpublished), &t.Unpublished),
		json.Unmarshal([]byte(indexes), &proofs), json.Unmarshal([]byte(storage), &t.Storage)); err != nil {
		return t, fmt.Errorf("reading table %s: %w", &r, err)
	}
	r.Columns = make([]change.Column, len(cols))
	t.typmods = make([]int32, len(cols))
	for i, c := range cols {
		t.typmods[i] = c.Own
		r.Columns[i] = change.Column{
			Attnum: c.Attnum, Name: c.Name, TypeOID: c.TypeOID, Type: c.Type, TypeKind: c.TypeKind,
			Typmod: c.Typmod, NotNull: c.NotNull, Missing: c.Missing,
		}
	}
	t.Partitioned = kind == "p"
	t.Relation = &r
	t.settle(proofs)
	return t, nil
}

// settle takes the key from the table's own storage entry, or under FULL from
// the first index that proves one, and leaves in Storage only what holds rows.
func (t *Table) settle(proofs []keyIndex) {
	r := t.Relation
	for _, s := range t.Storage {
		if s.OID == r.OID {
			r.Keys = t.places(s.KeyNames)
		}
	}
	if r.Identity == change.IdentityFull {
		for _, p := range proofs {
			if r.Keys = t.places(p.Columns); r.HasKey() {
				r.KeyIndex, t.KeyIndex = p.OID, p.Name
				break
			}
		}
		r.Multiset = !r.HasKey()
	}
	if t.Partitioned {
		t.Storage = slices.DeleteFunc(t.Storage, func(s Storage) bool { return s.Kind == "p" })
	}
}

// places returns the places of columns, ascending; nil where one of them is not
// published: no row can be found by them.
func (t *Table) places(columns []string) []int {
	var places []int
	for _, name := range columns {
		i := slices.IndexFunc(t.Relation.Columns, func(c change.Column) bool { return c.Name == name })
		if i < 0 {
			return nil
		}
		places = append(places, i)
	}
	slices.Sort(places)
	return places
}

// Catalog is a session for the small reads of the running daemon. It is safe
// for concurrent use; statements run one after the other. After an error with
// ScopeRetry it should be closed and opened again.
type Catalog struct {
	// Identity is the server that the session reached.
	Identity    Identity
	publication string
	mu          sync.Mutex
	conn        *pgx.Conn
}

// OpenCatalog opens a session.
func (s *Server) OpenCatalog(ctx context.Context) (*Catalog, error) {
	c, err := s.connect(ctx, "catalog")
	if err != nil {
		return nil, err
	}
	id, err := sessionIdentity(ctx, c)
	if err != nil {
		closeConn(ctx, c)
		return nil, err
	}
	return &Catalog{Identity: id, publication: s.cfg.Publication, conn: c}, nil
}

// Close ends the session.
func (c *Catalog) Close(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	closeConn(ctx, c.conn)
}

// Tables returns all tables of the publication, ordered by schema and name.
func (c *Catalog) Tables(ctx context.Context) ([]Table, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return readTables(ctx, c.conn, c.publication, 0)
}

// Table returns a published table by oid. If there is none, the error wraps
// [ErrPartition] for a partition of a published table, else [ErrNotPublished],
// with ScopeTable.
func (c *Catalog) Table(ctx context.Context, oid uint32) (Table, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	tables, err := readTables(ctx, c.conn, c.publication, oid)
	if err != nil {
		return Table{}, err
	}
	if len(tables) == 1 {
		return tables[0], nil
	}
	return Table{}, c.explainAbsent(ctx, oid)
}

const leafSQL = `SELECT EXISTS (
  SELECT 1 FROM pg_partition_ancestors($2::oid) a
    JOIN pg_class c ON c.oid = a.relid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_publication_tables p ON p.schemaname = n.nspname AND p.tablename = c.relname
   WHERE p.pubname = $1 AND c.oid <> $2::oid)`

// explainAbsent tells a partition of a published table from one that is not
// published at all. It is called with mu held.
func (c *Catalog) explainAbsent(ctx context.Context, oid uint32) error {
	id := strconv.FormatUint(uint64(oid), 10)
	var leaf bool
	if err := c.conn.QueryRow(ctx, leafSQL, c.publication, id).Scan(&leaf); err != nil {
		return classify("reading the catalog", err)
	}
	if leaf {
		return fmt.Errorf("reading the catalog: relation with oid %d: %w", oid, ErrPartition)
	}
	return &change.Fault{
		Scope: change.ScopeTable, Code: change.CodeTableLeft, Op: "reading the catalog", Table: "oid " + id, TableOID: oid,
		Err:    fmt.Errorf("%w %q", ErrNotPublished, c.publication),
		Remedy: "add the table to the publication again and load it again, or exclude it",
	}
}

// Relation is [Catalog.Table] for those who want the relation alone.
func (c *Catalog) Relation(ctx context.Context, oid uint32) (*change.Relation, error) {
	t, err := c.Table(ctx, oid)
	return t.Relation, err
}

// FlushLSN returns the position up to which the server's WAL is durable.
func (c *Catalog) FlushLSN(ctx context.Context) (pglogrepl.LSN, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var s string
	if err := c.conn.QueryRow(ctx, "SELECT pg_current_wal_flush_lsn()::text").Scan(&s); err != nil {
		return 0, classify("reading the source's WAL position", err)
	}
	l, err := parseLSN(&s)
	if err != nil {
		return 0, err
	}
	return *l, nil
}

// Slot reads a slot's state; false if it doesn't exist. RetainedBytes is what
// monitoring wants.
func (c *Catalog) Slot(ctx context.Context, name string) (Slot, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return readSlot(ctx, c.conn, name)
}

// names joins names for a message, a few of them.
func names(list []string) string {
	const few = 10
	if len(list) > few {
		return strings.Join(list[:few], ", ") + fmt.Sprintf(" and %d more", len(list)-few)
	}
	return strings.Join(list, ", ")
}
