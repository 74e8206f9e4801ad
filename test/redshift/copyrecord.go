package redshift

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/walshift/walshift/test/redshift/internal/load"
	"github.com/walshift/walshift/test/redshift/internal/sqlrule"
)

// recordLoad writes the system tables by the connection that no rollback of
// this session undoes.
func (c *session) recordLoad(r *copyRun, res *load.Result, loadErr error) error {
	status := "completed"
	if loadErr != nil || res.Failed {
		status = "aborted"
	}
	ended := time.Now().UTC()
	const user = "(SELECT oid::bigint::int FROM pg_roles WHERE rolname = $1)"
	err := c.srv.record("INSERT INTO rs_internal.load_history VALUES ("+user+", $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, 0)",
		c.user, r.id, int64(c.b.pid), int(c.b.pid), c.srv.database, status, r.st.Target.Table, r.started, ended, ended.Sub(r.started).Microseconds(),
		r.st.Copy.Source, fileFormat(r.st.Copy), res.Rows, res.Bytes, len(r.files), res.Bytes, len(res.Files), res.Bytes, res.Errors)
	if err != nil {
		return err
	}
	for _, f := range res.Failures {
		name, typ, length := "", "", ""
		if f.Column != nil {
			name, typ, length = f.Column.Name, f.Column.TypeText(), columnLength(f.Column)
		}
		err := c.srv.record("INSERT INTO rs_internal.load_errors VALUES ("+user+", $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
			c.user, r.id, int64(c.b.pid), int(c.b.pid), clip(c.srv.database, 64), int(r.oid), r.started, clip(f.File, 256), f.Line,
			clip(name, 127), clip(typ, 10), length, f.Position, f.Code, clip(f.Message, 512), rawText(f.RawLine), rawText(f.RawField))
		if err != nil {
			return err
		}
	}
	if status != "completed" {
		return nil
	}
	for _, f := range res.Files {
		err := c.srv.record("INSERT INTO rs_internal.load_detail VALUES ("+user+", $2, $3, $4, $5, $6, $7)",
			c.user, r.id, clip(f.URL, 256), f.Bytes, f.Lines, ended, r.started)
		if err != nil {
			return err
		}
	}
	return nil
}

// fileFormat is the format as SYS_LOAD_HISTORY names it.
func fileFormat(d *sqlrule.CopyDef) string {
	switch d.Format {
	case "TEXT", "FIXEDWIDTH":
		return "txt"
	}
	return strings.ToLower(d.Format)
}

// rawText shows a line as STL_LOAD_ERRORS does: multi-byte characters are
// points.
func rawText(s string) string {
	return strings.Map(func(r rune) rune {
		if r == 0 || r >= 0x80 {
			return '.'
		}
		return r
	}, s)
}

// clip cuts text to n bytes, whole characters.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func columnLength(c *load.Column) string {
	switch c.Type {
	case "decimal":
		return fmt.Sprintf("%d, %d", c.Prec, c.Scale)
	case "varchar", "char", "varbyte":
		return strconv.Itoa(c.Len)
	}
	return "0"
}
