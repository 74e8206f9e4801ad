package source

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"github.com/walshift/walshift/replicator/change"
)

// The catalog watch notices what the stream does not show: rewrites, attached
// and detached partitions, renamed enum values, a table that left the
// publication for a while (docs/design.md 7, "The catalog watch"). Here are the
// marks that describe a table; watchmarks.go compares them, and watchjudge.go
// finds out whether a difference is harmless.

// Look is what the catalog shows at one moment.
type Look struct {
	// At is a position of the WAL at or above which the look was made: it was
	// flushed before.
	At pglogrepl.LSN
	// Horizon is the low half of a transaction id below which every
	// transaction had ended.
	Horizon uint32
	// Marks are the tables' by oid. A table that does not exist has none.
	Marks map[uint32]string
}

// Of returns what is to be remembered of a table; nil if it does not exist.
func (l *Look) Of(oid uint32) *change.Watch {
	marks, ok := l.Marks[oid]
	if !ok {
		return nil
	}
	return &change.Watch{At: change.LSN(l.At), Horizon: l.Horizon, Marks: marks}
}

// marksSQL describes tables by words of numbers, separated by blanks, that
// change with everything that the watch cares for. Its parameters are the
// publication and the tables' oids; the first row has no table. It locks
// nothing but the catalog, for reading. Words (xmin is that of the catalog's
// row, which each change of it renews):
//
//	c<kind><persistence><identity>:<relfilenode>:<TOAST relation>:<xmin>:<xmin of the row type>
//	a<attnum>:<xmin>:<flags>:<oid.xmin of its default>   a column; flags: m(issing value), g(enerated)
//	x<oid>:<xmin>                                         a valid, immediate, unique index
//	l<oid>:<kind><persistence><identity>:<relfilenode>:<TOAST>:<xmin>:<xmin in pg_inherits>:<identity's index>   a partition
//	e<type>:<oid>:<xmin>                                  a value of an enum that a column's type leads to
//	k<type>:<attnum>:<type>:<typmod>                      a field of a composite type, likewise
//	p<oid>:<xmin>:<all tables>                            the publication
//	r<relation>:<oid>:<xmin>, n<schema>:<oid>:<xmin>      what puts the table or an ancestor into it
//
// %[1]s is the part about schemas, which PostgreSQL 15 brought, %[2]s the
// condition on pg_range that finds a multirange's subtype (14).
const marksSQL = `
SELECT '0', pg_snapshot_xmin(pg_current_snapshot())::text
UNION ALL
SELECT c.oid::text, concat_ws(' ',
  concat('c', c.relkind, c.relpersistence, c.relreplident, ':', c.relfilenode, ':', c.reltoastrelid, ':', c.xmin, ':', t.xmin),
  (SELECT string_agg('a' || a.attnum || ':' || a.xmin || ':' || CASE WHEN a.atthasmissing THEN 'm' ELSE '' END
            || CASE WHEN a.attgenerated <> '' THEN 'g' ELSE '' END || ':' || coalesce(d.oid || '.' || d.xmin, ''), ' ' ORDER BY a.attnum)
     FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  (SELECT string_agg('x' || i.indexrelid || ':' || i.xmin, ' ' ORDER BY i.indexrelid) FROM pg_index i
    WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate),
  CASE WHEN c.relkind = 'p' THEN (WITH RECURSIVE tree AS (
     SELECT h.inhrelid, h.xmin::text AS link FROM pg_inherits h WHERE h.inhparent = c.oid
     UNION ALL
     SELECT h.inhrelid, h.xmin::text FROM pg_inherits h JOIN tree ON h.inhparent = tree.inhrelid)
   SELECT string_agg(concat('l', l.oid, ':', l.relkind, l.relpersistence, l.relreplident, ':', l.relfilenode, ':',
            l.reltoastrelid, ':', l.xmin, ':', tree.link, ':', CASE WHEN l.relreplident = 'i' THEN
              coalesce((SELECT i.indexrelid::text FROM pg_index i WHERE i.indrelid = l.oid AND i.indisreplident), '') END), ' ' ORDER BY l.oid)
     FROM tree JOIN pg_class l ON l.oid = tree.inhrelid) END,
  (WITH RECURSIVE reach AS (
     SELECT a.atttypid AS oid FROM pg_attribute a
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid >= 16384
     UNION
     SELECT x.oid FROM reach JOIN pg_type y ON y.oid = reach.oid CROSS JOIN LATERAL (
       SELECT y.typbasetype WHERE y.typtype = 'd' UNION ALL
       SELECT y.typelem WHERE y.typelem <> 0 UNION ALL
       SELECT g.rngsubtype FROM pg_range g WHERE %[2]s UNION ALL
       SELECT b.atttypid FROM pg_attribute b
        WHERE y.typrelid <> 0 AND b.attrelid = y.typrelid AND b.attnum > 0 AND NOT b.attisdropped) x(oid)
      WHERE x.oid >= 16384)
   SELECT string_agg(w.word, ' ' ORDER BY w.word) FROM (
     SELECT 'e' || e.enumtypid || ':' || e.oid || ':' || e.xmin FROM reach JOIN pg_enum e ON e.enumtypid = reach.oid
     UNION ALL
     SELECT 'k' || y.oid || ':' || b.attnum || ':' || b.atttypid || ':' || b.atttypmod
       FROM reach JOIN pg_type y ON y.oid = reach.oid JOIN pg_attribute b ON b.attrelid = y.typrelid
      WHERE y.typrelid <> 0 AND b.attnum > 0 AND NOT b.attisdropped) w(word)),
  (SELECT 'p' || p.oid || ':' || p.xmin || ':' || p.puballtables::int FROM pg_publication p WHERE p.pubname = $1),
  (SELECT string_agg('r' || r.prrelid || ':' || r.oid || ':' || r.xmin, ' ' ORDER BY r.oid)
     FROM (SELECT c.oid UNION SELECT relid FROM pg_partition_ancestors(c.oid)) o(relid) CROSS JOIN LATERAL (
       SELECT r.oid, r.prrelid, r.xmin FROM pg_publication_rel r WHERE r.prrelid = o.relid
          AND r.prpubid = (SELECT p.oid FROM pg_publication p WHERE p.pubname = $1) OFFSET 0) r)%[1]s)
  FROM pg_class c JOIN pg_type t ON t.oid = c.reltype WHERE c.oid = ANY ($2::oid[])`

// schemaMarks is the part of marksSQL about schemas in publications.
const schemaMarks = `,
  (SELECT string_agg('n' || n.pnnspid || ':' || n.oid || ':' || n.xmin, ' ' ORDER BY n.oid)
     FROM pg_publication p JOIN pg_publication_namespace n ON n.pnpubid = p.oid
    WHERE p.pubname = $1 AND n.pnnspid IN (SELECT c.relnamespace UNION ALL
          SELECT o.relnamespace FROM pg_partition_ancestors(c.oid) a JOIN pg_class o ON o.oid = a.relid))`

func marksQuery(major int) string {
	schemas, ranges := "", "g.rngtypid = y.oid"
	if major >= 14 {
		ranges = "y.oid IN (g.rngtypid, g.rngmultitypid)"
	}
	if major >= 15 {
		schemas = schemaMarks
	}
	return fmt.Sprintf(marksSQL, schemas, ranges)
}

// readMarks fills a look's marks and horizon.
func readMarks(ctx context.Context, c *pgx.Conn, publication string, oids []uint32) (Look, error) {
	const op = "watching the catalog"
	l := Look{Marks: make(map[uint32]string, len(oids))}
	list := make([]string, len(oids))
	for i, oid := range oids {
		list[i] = strconv.FormatUint(uint64(oid), 10)
	}
	rows, err := c.Query(ctx, marksQuery(majorVersion(c.PgConn())), publication, "{"+strings.Join(list, ",")+"}")
	if err != nil {
		return l, classify(op, err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, text string
		if err := rows.Scan(&id, &text); err != nil {
			return l, classify(op, err)
		}
		oid, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			return l, fmt.Errorf("%s: reading oid %q: %w", op, id, err)
		}
		if oid != 0 {
			l.Marks[uint32(oid)] = text
			continue
		}
		full, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return l, fmt.Errorf("%s: reading transaction id %q: %w", op, text, err)
		}
		l.Horizon = uint32(full & 0xffffffff) // the half that rows carry
	}
	return l, classify(op, rows.Err())
}

// Watch looks at tables.
func (c *Catalog) Watch(ctx context.Context, oids []uint32) (Look, error) {
	// The position is read by a statement of its own, for a function in the
	// statement runs after its snapshot was taken.
	at, err := c.FlushLSN(ctx)
	if err != nil {
		return Look{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l, err := readMarks(ctx, c.conn, c.publication, oids)
	l.At = at
	return l, err
}

// Watch looks at tables as of the snapshot, whose position is at.
func (k *Keeper) Watch(ctx context.Context, oids []uint32, at pglogrepl.LSN) (Look, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	l, err := readMarks(ctx, k.conn, k.server.cfg.Publication, oids)
	l.At = at
	return l, err
}

const publishedSQL = `SELECT schemaname::text, tablename::text FROM pg_publication_tables WHERE pubname = $1 ORDER BY 1, 2`

// Published returns the names of the publication's tables that selects accepts.
func (c *Catalog) Published(ctx context.Context, selects func(schema, table string) bool) ([]string, error) {
	const op = "reading what is published"
	c.mu.Lock()
	defer c.mu.Unlock()
	rows, err := c.conn.Query(ctx, publishedSQL, c.publication)
	if err != nil {
		return nil, classify(op, err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var schema, name string
		if err := rows.Scan(&schema, &name); err != nil {
			return nil, classify(op, err)
		}
		if selects(schema, name) {
			out = append(out, schema+"."+name)
		}
	}
	return out, classify(op, rows.Err())
}
