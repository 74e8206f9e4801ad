package redshift

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/walshift/walshift/test/redshift/copytext"
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
	options load.Options
}

// runCopy runs COPY FROM 's3://…': it reads and checks the files by itself and
// hands rows to the backend.
func (c *session) runCopy(ctx context.Context, st *sqlrule.Statement) (outcome, error) {
	def := st.Copy
	if err := c.checkCopy(def); err != nil {
		return outcome{}, err
	}
	if _, err := c.ask("LOCK TABLE " + st.Target.SQL() + " IN ROW EXCLUSIVE MODE"); err != nil {
		return outcome{}, err
	}
	r := &copyRun{st: st, started: time.Now().UTC(), options: copytext.Options(def)}
	r.options.TruncateSuper = isOn(c.settings["json_parse_truncate_strings"])
	if err := c.copyTarget(r); err != nil {
		return outcome{}, err
	}
	release, err := c.queueCopy(ctx, r.oid)
	if err != nil {
		return outcome{}, err
	}
	defer release()
	r.id = c.srv.queries.Add(1)
	c.copyID, c.copyCount = r.id, 0
	res, err := c.readAndLoad(ctx, r)
	if s, ok := errors.AsType[*load.StatementError](err); ok && s.Recorded {
		res.Failures = append(res.Failures, &load.Failure{File: s.Context, Code: s.Code, Message: s.Message})
	}
	if recErr := c.recordLoad(r, res, err); recErr != nil && err == nil {
		err = recErr
	}
	if err != nil {
		return outcome{}, c.copyError(err, r.id)
	}
	const look = "  Check 'sys_load_error_detail' system table for details."
	if res.Failed {
		return outcome{}, refusal("XX000", "Load into table '"+st.Target.Table+"' failed."+look)
	}
	c.copyNotice(fmt.Sprintf("Load into table '%s' completed, %d record(s) loaded successfully.", st.Target.Table, res.Rows))
	if res.Errors > 0 {
		c.copyNotice(fmt.Sprintf("Load into table '%s' completed, %d record(s) could not be loaded."+look, st.Target.Table, res.Errors))
	}
	if def.NoLoad {
		return outcome{tag: "COPY"}, nil
	}
	c.copyCount = res.Rows
	return outcome{tag: "COPY", rows: res.Rows, bytes: res.Bytes}, nil
}

func (c *session) copyNotice(text string) {
	c.cl.Send(&pgproto3.NoticeResponse{Severity: "INFO", SeverityUnlocalized: "INFO", Code: "00000", Message: text})
}

// readAndLoad finds the files and loads them. Its result is never nil.
func (c *session) readAndLoad(ctx context.Context, r *copyRun) (*load.Result, error) {
	def := r.st.Copy
	var err error
	if r.files, err = load.Files(ctx, c.srv.s3, def.Source, def.Manifest, def.Format == "PARQUET"); err != nil {
		return &load.Result{}, err
	}
	if def.Format == "PARQUET" {
		return &load.Result{}, refusal(sqlrule.CodeUnsupported, "COPY format PARQUET is not part of this stand-in: its options and its manifest were checked, its files cannot be read")
	}
	if strings.HasPrefix(def.Paths, "s3://") {
		if r.options.Paths, err = load.ReadPaths(ctx, c.srv.s3, def.Paths); err != nil {
			return &load.Result{}, err
		}
		if r.options.JSON = "auto"; r.options.Paths != nil && len(r.options.Paths) != len(r.cols) {
			return &load.Result{}, &load.StatementError{Message: fmt.Sprintf(
				"Number of jsonpaths and the number of columns should match. JSONPath size: %d, Number of columns in table or column list: %d", len(r.options.Paths), len(r.cols))}
		}
	}
	res, err := c.loadFiles(ctx, r)
	if res == nil {
		res = &load.Result{}
	}
	return res, err
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

// copyError gives an error of the statement the form of Redshift's internal
// errors.
func (c *session) copyError(err error, query int64) error {
	s, ok := errors.AsType[*load.StatementError](err)
	if !ok {
		return err
	}
	code := s.Code
	if code == 0 {
		code = load.CodeManifestKey
	}
	const rule = "\n  -----------------------------------------------\n"
	return refusalDetail("XX000", s.Message, fmt.Sprintf("%s  error:  %s\n  code:      %d\n  context:   %s\n  query:     %d\n  location:  s3_utility.cpp:0\n  process:   padbmaster [pid=%d]%s",
		rule, s.Message, code, s.Context, query, c.b.pid, rule))
}

// checkCopy looks at what the rules cannot know: formats of dates and times,
// and where the bucket is.
func (c *session) checkCopy(d *sqlrule.CopyDef) error {
	masks := []string{d.DateFormat, d.TimeFormat}
	if d.DateFormat == "auto" {
		masks[0] = ""
	}
	switch d.TimeFormat {
	case "auto", "epochsecs", "epochmillisecs":
		masks[1] = ""
	}
	for _, m := range masks {
		if m == "" {
			continue
		}
		if err := load.CheckMask(m); err != nil {
			return refusal(sqlrule.CodeBadParameter, err.Error())
		}
	}
	if region := or(c.srv.cfg.S3.Region, "us-east-1"); d.Region != "" && d.Region != region {
		return c.copyError(&load.StatementError{
			Message: "S3ServiceException:The bucket you are attempting to access must be addressed using the specified endpoint. " +
				"Please send all future requests to this endpoint.,Status 301,Error PermanentRedirect",
			Context: d.Source,
		}, 0)
	}
	return nil
}

// copyTarget finds the target's columns in the order of the files' fields.
func (c *session) copyTarget(r *copyRun) error {
	st := r.st
	rows, err := c.ask("SELECT a.attname, rs_format_type(a.atttypid, NULL), rs_format_type(a.atttypid, a.atttypmod), a.attnotnull::text," +
		" a.attidentity::text, a.atthasdef::text, a.attrelid::oid::bigint::text, has_table_privilege(a.attrelid, 'INSERT')::text," +
		" pg_has_role(c.relowner, 'USAGE')::text" +
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
	if st.Copy.StatUpdate && rows.text(0, 8) != "true" {
		return refusal(sqlrule.CodeNoPrivilege, "must be owner of relation "+st.Target.Table+" for STATUPDATE ON")
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
		col := load.Column{Name: c.srv.clientName(rows.text(i, 0)), NotNull: rows.text(i, 3) == "true", Identity: rows.text(i, 4) == "a"}
		setType(&col, rows.text(i, 1), rows.text(i, 2))
		r.cols = append(r.cols, col)
	}
	return checkColumns(st.Copy, r.cols)
}

// checkColumns applies the rules that some formats have about columns.
func checkColumns(d *sqlrule.CopyDef, cols []load.Column) error {
	if d.Format == "JSON" && d.Paths == "noshred" && (len(cols) != 1 || cols[0].Type != "super") {
		return refusal(sqlrule.CodeUnsupported, "JSON 'noshred' loads a single SUPER column")
	}
	if d.Format == "FIXEDWIDTH" && len(d.Widths) != len(cols) {
		return refusal(sqlrule.CodeBadParameter, fmt.Sprintf("fixedwidth specification has %d columns, the table or column list has %d", len(d.Widths), len(cols)))
	}
	for i := range cols {
		switch cols[i].Type {
		case "varbyte":
			if d.Format == "FIXEDWIDTH" || d.RemoveQuotes {
				return refusal(sqlrule.CodeUnsupported, fmt.Sprintf("VARBYTE column %q cannot be loaded with FIXEDWIDTH or REMOVEQUOTES", cols[i].Name))
			}
		case "super":
			if d.Format == "PARQUET" && !d.SerializeJSON {
				return refusal(sqlrule.CodeUnsupported, "SUPER column in COPY query requires SERIALIZETOJSON option")
			}
		}
	}
	return nil
}

// copyOrder applies the column list and the rules of IDENTITY columns and of
// omitted NOT NULL columns.
func copyOrder(st *sqlrule.Statement, rows rows, byName map[string]int) ([]int, error) {
	var order []int
	used := map[int]bool{}
	always := func(i int) bool { return rows.text(i, 4) == "a" }
	identities := 0
	for i := range rows {
		if rows.text(i, 4) != "" {
			identities++
		}
	}
	if st.Copy.ExplicitIDs && identities == 0 {
		return nil, refusal(sqlrule.CodeUnsupported, "EXPLICIT_IDS needs a table with an IDENTITY column")
	}
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
		if always(i) && !used[i] && st.Copy.ExplicitIDs {
			return nil, refusal(sqlrule.CodeUnsupported, fmt.Sprintf("EXPLICIT_IDS cannot be specified: IDENTITY column %q is not in the column list", rows.text(i, 0)))
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

// loadFiles streams checked rows into the backend's COPY.
func (c *session) loadFiles(ctx context.Context, r *copyRun) (*load.Result, error) {
	l := &load.Loader{Store: c.srv.s3, Columns: r.cols, Options: r.options}
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
