package redshift

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/walshift/walshift/test/redshift/internal/load"
	"github.com/walshift/walshift/test/redshift/internal/sqlrule"
)

// copyRun is one COPY while it runs.
type copyRun struct {
	st      *sqlrule.Statement
	id      int64
	oid     uint32
	started time.Time
	cols    []load.Column
	files   []load.File
}

// runCopy runs COPY FROM 's3://…': it reads and checks the files by itself and
// hands rows to the backend.
func (c *session) runCopy(ctx context.Context, st *sqlrule.Statement) (outcome, error) {
	def := st.Copy
	if err := copyFormats(def); err != nil {
		return outcome{}, err
	}
	if _, err := c.ask("LOCK TABLE " + st.Target.SQL() + " IN ROW EXCLUSIVE MODE"); err != nil {
		return outcome{}, err
	}
	r := &copyRun{st: st, started: time.Now().UTC()}
	if err := c.copyTarget(r); err != nil {
		return outcome{}, err
	}
	release, err := c.queueCopy(ctx, r.oid)
	if err != nil {
		return outcome{}, err
	}
	defer release()
	if r.files, err = load.Files(ctx, c.srv.s3, def.Source, def.Manifest, def.Format == "PARQUET"); err != nil {
		return outcome{}, copyError(err)
	}
	if def.Format == "PARQUET" {
		return outcome{}, refusal(sqlrule.CodeUnsupported, "COPY format PARQUET is not part of this stand-in")
	}
	r.id = c.srv.queries.Add(1)
	c.copyID, c.copyCount = r.id, 0
	res, err := c.loadFiles(ctx, r)
	if res != nil {
		if recErr := c.recordLoad(r, res, err); recErr != nil && err == nil {
			err = recErr
		}
	}
	if err != nil {
		return outcome{}, copyError(err)
	}
	if res.Failed {
		return outcome{}, refusal("XX000", "Load into table '"+st.Target.Table+"' failed.  Check 'sys_load_error_detail' system table for details.")
	}
	if def.NoLoad {
		return outcome{tag: "COPY"}, nil
	}
	c.copyCount = res.Rows
	c.cl.Send(&pgproto3.NoticeResponse{
		Severity: "INFO", SeverityUnlocalized: "INFO", Code: "00000",
		Message: fmt.Sprintf("Load into table '%s' completed, %d record(s) loaded successfully.", st.Target.Table, res.Rows),
	})
	return outcome{tag: "COPY", rows: res.Rows, bytes: res.Bytes}, nil
}

// queueCopy waits until no other COPY loads the same table.
func (c *session) queueCopy(ctx context.Context, oid uint32) (func(), error) {
	t := c.srv.table(oid)
	select {
	case t.loading <- struct{}{}:
		return func() { <-t.loading }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func copyError(err error) error {
	if s, ok := errors.AsType[*load.StatementError](err); ok {
		return refusal("XX000", s.Message)
	}
	return err
}

// copyFormats refuses date and time formats that this loader does not know.
func copyFormats(d *sqlrule.CopyDef) error {
	switch d.DateFormat {
	case "", "auto", "YYYY-MM-DD":
	default:
		return refusal(sqlrule.CodeUnsupported, "COPY DATEFORMAT is not part of this stand-in, except 'auto' and 'YYYY-MM-DD'")
	}
	switch d.TimeFormat {
	case "", "auto", "epochsecs", "epochmillisecs", "YYYY-MM-DD HH:MI:SS", "YYYY-MM-DD HH24:MI:SS", "YYYY-MM-DD HH:MI:SSOF", "YYYY-MM-DD HH24:MI:SSOF":
	default:
		return refusal(sqlrule.CodeUnsupported, "COPY TIMEFORMAT is not part of this stand-in, except 'auto', 'epochsecs', 'epochmillisecs' and the default")
	}
	return nil
}

// copyTarget finds the target's columns in the order of the files' fields.
func (c *session) copyTarget(r *copyRun) error {
	st := r.st
	rows, err := c.ask("SELECT a.attname, rs_format_type(a.atttypid, NULL), rs_format_type(a.atttypid, a.atttypmod), a.attnotnull::text," +
		" a.attidentity::text, a.atthasdef::text, a.attrelid::oid::bigint::text, has_table_privilege(a.attrelid, 'INSERT')::text, c.relkind::text" +
		" FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE a.attrelid = " + regclass(st.Target) + " AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum")
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return refusal("42P01", "Cannot COPY into nonexistent table "+st.Target.Table)
	}
	if rows.text(0, 7) != "true" {
		return refusal(sqlrule.CodeNoPrivilege, "permission denied for relation "+st.Target.Table)
	}
	oid, err := strconv.ParseUint(rows.text(0, 6), 10, 32)
	if err != nil {
		return fmt.Errorf("reading target of COPY: %w", err)
	}
	r.oid = uint32(oid)
	byName := map[string]int{}
	for i := range rows {
		byName[rows.text(i, 0)] = i
	}
	order, err := copyOrder(st, rows, byName)
	if err != nil {
		return err
	}
	for _, i := range order {
		col := load.Column{Name: c.srv.clientName(rows.text(i, 0)), NotNull: rows.text(i, 3) == "true"}
		setType(&col, rows.text(i, 1), rows.text(i, 2))
		r.cols = append(r.cols, col)
	}
	if st.Copy.Format == "JSON" && st.Copy.JSON == "noshred" && (len(r.cols) != 1 || r.cols[0].Type != "super") {
		return refusal(sqlrule.CodeUnsupported, "JSON 'noshred' loads a single SUPER column")
	}
	return nil
}

// copyOrder applies the column list and the rules of IDENTITY columns and of
// omitted NOT NULL columns.
func copyOrder(st *sqlrule.Statement, rows rows, byName map[string]int) ([]int, error) {
	var order []int
	used := map[int]bool{}
	always := func(i int) bool { return rows.text(i, 4) == "a" }
	for _, name := range st.Copy.Columns {
		i, ok := byName[sqlrule.Short(name)]
		if !ok {
			return nil, refusal(sqlrule.CodeNoColumn, fmt.Sprintf("column %q of relation %q does not exist", name, st.Target.Table))
		}
		if used[i] {
			return nil, refusal(sqlrule.CodeDuplicate, fmt.Sprintf("column %q specified more than once", name))
		}
		if always(i) && !st.Copy.ExplicitIDs {
			return nil, refusal(sqlrule.CodeUnsupported, fmt.Sprintf("cannot COPY into IDENTITY column %q without EXPLICIT_IDS", name))
		}
		used[i] = true
		order = append(order, i)
	}
	for i := range rows {
		if len(st.Copy.Columns) == 0 && (!always(i) || st.Copy.ExplicitIDs) {
			used[i] = true
			order = append(order, i)
		}
		if !used[i] && rows.text(i, 3) == "true" && rows.text(i, 4) == "" && rows.text(i, 5) != "true" {
			return nil, refusal(sqlrule.CodeUnsupported, fmt.Sprintf("NOT NULL column %q without a default cannot be omitted", rows.text(i, 0)))
		}
	}
	return order, nil
}

// setType reads a column's type out of its text, such as numeric(10,2).
func setType(col *load.Column, base, full string) {
	_, args, _ := strings.Cut(full, "(")
	args, _, _ = strings.Cut(args, ")")
	first, second, _ := strings.Cut(args, ",")
	n, _ := strconv.Atoi(first)
	m, _ := strconv.Atoi(second)
	switch base {
	case "character varying":
		col.Type, col.Len = "varchar", n
		if n == 0 {
			col.Len = 65535
		}
	case "character", "bpchar":
		col.Type, col.Len = "char", max(n, 1)
	case "numeric":
		col.Type, col.Prec, col.Scale = "decimal", n, m
		if n == 0 {
			col.Prec = 38
		}
	case "binary varying":
		col.Type, col.Len = "varbyte", n
	case "timestamp without time zone":
		col.Type = "timestamp"
	case "timestamp with time zone":
		col.Type = "timestamptz"
	case "time without time zone":
		col.Type = "time"
	case "time with time zone":
		col.Type = "timetz"
	case "interval":
		col.Type = full
	default:
		col.Type = base
	}
}

func copyOptions(d *sqlrule.CopyDef) load.Options {
	o := load.Options{
		Format: d.Format, JSON: d.JSON, Compression: d.Compression, Delimiter: d.Delimiter[0], Null: d.Null, DefaultNull: !d.NullSet,
		DateFormat: d.DateFormat, TimeFormat: d.TimeFormat, AcceptInvalid: d.AcceptInvalid, BlanksAsNull: d.BlanksAsNull,
		EmptyAsNull: d.EmptyAsNull, Escape: d.Escape, FillRecord: d.FillRecord, IgnoreBlankLines: d.IgnoreBlankLines,
		RemoveQuotes: d.RemoveQuotes, RoundDec: d.RoundDec, TrimBlanks: d.TrimBlanks, TruncateColumns: d.TruncateColumns,
		AcceptAnyDate: d.AcceptAnyDate, IgnoreHeader: d.IgnoreHeader, MaxError: d.MaxError,
	}
	if d.Quote != "" {
		o.Quote = d.Quote[0]
	}
	if d.InvalidChar != "" {
		o.InvalidChar = d.InvalidChar[0]
	}
	return o
}

// loadFiles streams checked rows into the backend's COPY.
func (c *session) loadFiles(ctx context.Context, r *copyRun) (*load.Result, error) {
	l := &load.Loader{Store: c.srv.s3, Columns: r.cols, Options: copyOptions(r.st.Copy)}
	if r.st.Copy.NoLoad {
		l.Emit = func([]byte) error { return nil }
		return l.Run(ctx, r.files)
	}
	if err := c.beginCopyIn(r); err != nil {
		return nil, err
	}
	l.Emit = func(rows []byte) error {
		if err := c.b.fe.SendUnbufferedEncodedCopyData(copyData(rows)); err != nil {
			return fmt.Errorf("%w: %w", errBackend, err)
		}
		return nil
	}
	res, err := l.Run(ctx, r.files)
	if errors.Is(err, errBackend) {
		return res, err
	}
	failed := err != nil || res.Failed
	if failed {
		c.b.fe.Send(&pgproto3.CopyFail{Message: "load failed"})
	} else {
		c.b.fe.Send(&pgproto3.CopyDone{})
	}
	if ferr := c.b.fe.Flush(); ferr != nil {
		return res, fmt.Errorf("%w: %w", errBackend, ferr)
	}
	_, relayErr := c.relay(nil, false)
	if _, ok := errors.AsType[*backendError](relayErr); ok && failed {
		relayErr = nil
	}
	if err == nil {
		err = relayErr
	}
	return res, err
}

// copyData wraps rows into one CopyData message.
func copyData(rows []byte) []byte {
	n := len(rows) + 4
	msg := make([]byte, 0, n+1)
	msg = append(msg, 'd', byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	return append(msg, rows...)
}

func (c *session) beginCopyIn(r *copyRun) error {
	names := make([]string, len(r.cols))
	for i, col := range r.cols {
		names[i] = sqlrule.QuoteName(col.Name)
	}
	c.b.fe.SendQuery(&pgproto3.Query{String: "COPY " + r.st.Target.SQL() + " (" + strings.Join(names, ", ") + ") FROM STDIN"})
	if err := c.b.fe.Flush(); err != nil {
		return fmt.Errorf("%w: %w", errBackend, err)
	}
	for {
		msg, err := c.b.recv()
		if err != nil {
			return err
		}
		switch m := msg.(type) {
		case *pgproto3.CopyInResponse:
			return nil
		case *pgproto3.ErrorResponse:
			e := *m
			if _, err := c.relay(nil, false); err != nil {
				return err
			}
			return &backendError{&e}
		}
	}
}

// recordLoad writes the system tables by the connection that no rollback of
// this session undoes.
func (c *session) recordLoad(r *copyRun, res *load.Result, loadErr error) error {
	status, message := "completed", ""
	if loadErr != nil || res.Failed {
		status, message = "failed", "load failed"
	}
	ended := time.Now().UTC()
	const user = "(SELECT oid::bigint::int FROM pg_roles WHERE rolname = $1)"
	err := c.srv.record("INSERT INTO rs_internal.load_history VALUES ("+user+", $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
		c.user, r.id, int64(c.b.pid), int(c.b.pid), c.srv.database, status, clip(r.st.Target.Table, 128), r.started, ended, ended.Sub(r.started).Microseconds(),
		clip(r.st.Copy.Source, 1024), strings.ToLower(r.st.Copy.Format), res.Rows, res.Bytes, len(res.Files), message)
	if err != nil {
		return err
	}
	for _, f := range res.Failures {
		name, typ, length := "", "", ""
		if f.Column != nil {
			name, typ, length = f.Column.Name, f.Column.TypeText(), columnLength(f.Column)
		}
		err := c.srv.record("INSERT INTO rs_internal.load_errors VALUES ("+user+", $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
			c.user, r.id, int64(c.b.pid), int(c.b.pid), clip(c.srv.database, 64), int(r.oid), r.started, clip(f.File, 256), f.Line,
			clip(name, 127), clip(typ, 10), length, f.Position, f.Code, clip(f.Message, 512))
		if err != nil {
			return err
		}
	}
	if status != "completed" {
		return nil
	}
	for _, f := range res.Files {
		err := c.srv.record("INSERT INTO rs_internal.load_detail VALUES ("+user+", $2, $3, $4, $5, $6)", c.user, r.id, clip(f.URL, 256), f.Bytes, f.Lines, ended)
		if err != nil {
			return err
		}
	}
	return nil
}

func clip(s string, n int) string { return s[:min(len(s), n)] }

func columnLength(c *load.Column) string {
	switch c.Type {
	case "decimal":
		return fmt.Sprintf("%d, %d", c.Prec, c.Scale)
	case "varchar", "char", "varbyte":
		return strconv.Itoa(c.Len)
	}
	return "0"
}
