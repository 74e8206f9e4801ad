package redshift

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// copyError is a COPY that the server refused; explain makes a fault of it
// once its transaction has been rolled back.
type copyError struct {
	job *copyJob
	err error
}

// Error implements error.
func (e *copyError) Error() string { return "copying files: " + e.err.Error() }

// Unwrap returns the server's error.
func (e *copyError) Unwrap() error { return e.err }

// errShared reports that rows which share a staging table with those of other
// tables met something that stops a table. The run is done once more with each
// file by itself: then the error names file, line and column of the log.
var errShared = errors.New("applying from a shared staging table")

// loadError is a row of SYS_LOAD_ERROR_DETAIL.
type loadError struct {
	file, column, columnType string
	line, code               int64
}

// explain turns a failed COPY into a fault with table, column, line and
// reason. It must be called after ROLLBACK; other errors pass unchanged.
func (w *Warehouse) explain(ctx context.Context, s *session, err error) error {
	c, ok := errors.AsType[*copyError](err)
	if !ok {
		return err
	}
	job := c.job
	if !answered(c.err) {
		return fmt.Errorf("copying files of table %s in batch %d: %w", job.rel, job.seq, c.err)
	}
	found, lookup := w.loadErrors(ctx, s, keyPart(job.files))
	switch {
	case job.shared && (len(found) > 0 || tableScope(c.err) == change.ScopeTable):
		return fmt.Errorf("%w: %w", errShared, c.err)
	case lookup != nil || len(found) == 0:
		// S3, permissions and memory leave no row there: the statement's own
		// error is all there is.
		f := &change.Fault{
			Scope: scopeOf(c.err), Code: change.CodeCopyFiles, Op: "copying files", Table: job.rel.String(), Seq: job.seq, Err: c.err,
			Remedy: "check that redshift.iam_role may read the log's bucket and that the bucket's region is set",
		}
		if tableScope(c.err) == change.ScopeTable {
			f.Scope, f.TableOID, f.Remedy = change.ScopeTable, job.rel.OID, "load the table again"
		}
		return f
	case found[0].code == 1212:
		return &change.Fault{
			Scope: change.ScopeLoop, Code: change.CodeLogGap, Op: "copying files", Table: job.rel.String(), Seq: job.seq,
			Err:    fmt.Errorf("file %s is missing", found[0].file),
			Remedy: "restore the object, and take any lifecycle rule off the log's prefix",
		}
	}
	e := found[0]
	return &change.Fault{
		Scope: change.ScopeTable, Code: change.CodeCopyValue, Op: "copying files", Table: job.rel.String(), TableOID: job.rel.OID, Seq: job.seq,
		Err: fmt.Errorf("line %d of %s, column %q (%s): %s (load error %d)",
			e.line, e.file, job.column(e.column), e.columnType, loadReason(e.code), e.code),
		Remedy: "look at the line in that file, mend the value or the column on the source, and load the table again",
	}
}

func (w *Warehouse) loadErrors(ctx context.Context, s *session, part string) ([]loadError, error) {
	var found []loadError
	err := s.query(ctx, 5, func(r record) error {
		e := loadError{
			file: strings.TrimSpace(r.text(0)), column: strings.TrimSpace(r.text(2)), columnType: strings.TrimSpace(r.text(3)),
		}
		var err error
		if e.line, err = r.number(1); err != nil {
			return err
		}
		e.code, err = r.number(4)
		found = append(found, e)
		return err
	})(sqltext.LoadError(part))
	return found, err
}

// column returns the source's name of a staging column.
func (c *copyJob) column(name string) string {
	if c.target.Schema != sqltext.Schema {
		return name
	}
	attnum, ok := sqltext.StagedAttnum(name)
	for i := range c.rel.Columns {
		if ok && c.rel.Columns[i].Attnum == attnum {
			return c.rel.Columns[i].Name
		}
	}
	return name
}

// loadReason puts a load error's code into words (r_Load_Error_Reference);
// Redshift's own message is not used, for it quotes the value.
func loadReason(code int64) string {
	switch code {
	case 1201, 1203, 1214:
		return "the record has too few fields"
	case 1202:
		return "the record has too many fields"
	case 1204:
		return "the value is too long or out of the type's range"
	case 1205, 1206:
		return "the value is no date or time that Redshift reads"
	case 1207, 1208, 1209, 1222:
		return "the value is no number of the column's type, or too large for it"
	case 1210:
		return "the value is no boolean"
	case 1213:
		return "NULL for a column that takes none"
	case 1216:
		return "the record is invalid or larger than 4 MB"
	case 1218:
		return "the value holds a NUL byte"
	case 1219, 1220, 1221:
		return "the value is not valid UTF-8"
	case 1224:
		return "the value is no JSON that SUPER takes"
	}
	return "Redshift refused the value"
}
