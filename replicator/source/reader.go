package source

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walshift/walshift/replicator/change"
)

// Reader reads parts of tables inside one snapshot. It is for one goroutine at
// a time. After an error it is useless: close it and open another.
type Reader struct {
	// Identity is the server that the reader is connected to.
	Identity Identity
	conn     *pgx.Conn
	tuple    change.Tuple
	// checked are the storage relations that are locked and found unchanged.
	checked map[uint32]bool
}

// Close ends the session.
func (r *Reader) Close(ctx context.Context) { closeConn(ctx, r.conn) }

// Read calls fn for each row of the part; the tuple is valid until fn returns
// and has the relation's columns in order. It returns the number of rows. An
// error of fn ends the read and is returned as it is. A table that was
// changed after the snapshot gives an error that wraps [ErrRewritten], with
// ScopeTable.
func (r *Reader) Read(ctx context.Context, p *Part, fn func(change.Tuple) error) (int64, error) {
	if err := r.check(ctx, p); err != nil {
		return 0, p.fault(err)
	}
	sink := &rowSink{columns: len(p.Relation.Columns), tuple: r.tuple, fn: fn}
	tag, err := r.conn.PgConn().CopyTo(ctx, sink, p.copySQL())
	r.tuple = sink.tuple[:0]
	switch {
	case sink.err != nil:
		return sink.rows, sink.err
	case err != nil:
		return sink.rows, p.fault(rewritten(err))
	case tag.RowsAffected() != sink.rows:
		return sink.rows, p.fault(fmt.Errorf("the server counted %d rows, %d were read", tag.RowsAffected(), sink.rows))
	}
	return sink.rows, nil
}

// fault makes err one of the part's table.
func (p *Part) fault(err error) error {
	if p.Storage.OID != p.Relation.OID {
		err = fmt.Errorf("partition %s.%s: %w", p.Storage.Schema, p.Storage.Name, err)
	}
	const op = "reading the snapshot"
	if !errors.Is(err, ErrRewritten) {
		return ofTable(op, p.Relation.String(), p.Relation.OID, err)
	}
	return &change.Fault{
		Scope: change.ScopeTable, Code: change.CodeSnapshotGone, Op: op, Table: p.Relation.String(), TableOID: p.Relation.OID, Err: err,
		Remedy: "load the table again under a new snapshot",
	}
}

// check takes the ACCESS SHARE lock and then compares what the snapshot says
// of the table with what it is now (pitfall V1). The lock is taken by a query
// that returns nothing, for it needs only the privilege on the columns, where
// LOCK TABLE would want the whole table's; its answer's description shows the
// columns' numbers as they are now. The lock lasts until the reader is closed,
// so that once is enough.
func (r *Reader) check(ctx context.Context, p *Part) error {
	if r.checked[p.Storage.OID] {
		return nil
	}
	fields, err := describe(ctx, r.conn.PgConn(), p.selectSQL()+" LIMIT 0")
	if err != nil {
		return rewritten(err)
	}
	var same bool
	const fileSQL = `SELECT coalesce(c.relfilenode = pg_relation_filenode(c.oid), false) FROM pg_class c WHERE c.oid = $1::oid`
	oid := strconv.FormatUint(uint64(p.Storage.OID), 10)
	err = r.conn.QueryRow(ctx, fileSQL, oid).Scan(&same)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("%w: it was created later", ErrRewritten)
	case err != nil:
		return err
	case !same:
		return fmt.Errorf("%w: it was truncated, rewritten or dropped", ErrRewritten)
	}
	attnums, err := r.attnums(ctx, oid)
	if err != nil {
		return err
	}
	for i, f := range fields {
		name := p.Relation.Columns[i].Name
		if f.TableOID != p.Storage.OID || attnums[name] != f.TableAttributeNumber {
			return fmt.Errorf("%w: column %q is another one", ErrRewritten, name)
		}
	}
	if r.checked == nil {
		r.checked = make(map[uint32]bool)
	}
	r.checked[p.Storage.OID] = true
	return nil
}

// describe runs a query that returns no row and returns its columns.
func describe(ctx context.Context, pc *pgconn.PgConn, sql string) (fields []pgconn.FieldDescription, err error) {
	res := pc.Exec(ctx, sql)
	for res.NextResult() {
		rows := res.ResultReader()
		fields = append(fields, rows.FieldDescriptions()...)
		if _, err := rows.Close(); err != nil {
			return nil, errors.Join(err, res.Close())
		}
	}
	return fields, res.Close()
}

// attnums returns the numbers of a relation's columns as of the snapshot.
func (r *Reader) attnums(ctx context.Context, oid string) (map[string]uint16, error) {
	const columnsSQL = `SELECT attname::text, attnum FROM pg_attribute
 WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped`
	rows, err := r.conn.Query(ctx, columnsSQL, oid)
	if err != nil {
		return nil, err
	}
	var (
		name string
		num  int16
		nums = make(map[string]uint16)
	)
	_, err = pgx.ForEachRow(rows, []any{&name, &num}, func() error {
		nums[name] = uint16(num)
		return nil
	})
	return nums, err
}

// rewritten recognises a table or column that is gone.
func rewritten(err error) error {
	switch serverCode(err) {
	case codeUndefinedTable, codeUndefinedColumn:
		return fmt.Errorf("%w: %w", ErrRewritten, err)
	}
	return err
}

// selectSQL reads the part's rows without bounds. The alias lets a row filter
// that was written for the root match a leaf.
func (p *Part) selectSQL() string {
	var b strings.Builder
	b.WriteString("SELECT ")
	for i := range p.Relation.Columns {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(quote(p.Relation.Columns[i].Name))
	}
	fmt.Fprintf(&b, " FROM ONLY %s.%s AS %s", quote(p.Storage.Schema), quote(p.Storage.Name), quote(p.Relation.Name))
	return b.String()
}

func (p *Part) copySQL() string {
	var conds []string
	if p.From > 0 {
		conds = append(conds, fmt.Sprintf("ctid >= '(%d,0)'", p.From))
	}
	if p.To > 0 {
		conds = append(conds, fmt.Sprintf("ctid < '(%d,0)'", p.To))
	}
	if p.Filter != "" {
		conds = append(conds, "("+p.Filter+")")
	}
	sql := p.selectSQL()
	if len(conds) > 0 {
		sql += " WHERE " + strings.Join(conds, " AND ")
	}
	return "COPY (" + sql + ") TO STDOUT"
}

// rowSink takes COPY's data; the server sends one row per message.
type rowSink struct {
	columns int
	tuple   change.Tuple
	fn      func(change.Tuple) error
	rows    int64
	// err is fn's error.
	err error
}

// Write implements io.Writer for one row.
func (s *rowSink) Write(line []byte) (int, error) {
	t, err := appendRow(s.tuple[:0], line, s.columns)
	s.tuple = t
	if err != nil {
		return 0, err
	}
	if s.err = s.fn(t); s.err != nil {
		return 0, s.err
	}
	s.rows++
	return len(line), nil
}
