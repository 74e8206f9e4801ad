package redshift

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/walshift/walshift/test/redshift/internal/sqlrule"
)

// backendError is an error that PostgreSQL gave.
type backendError struct{ resp *pgproto3.ErrorResponse }

func (e *backendError) Error() string { return e.resp.Message }

func refusal(code, message string) *sqlrule.Refusal {
	return &sqlrule.Refusal{Code: code, Message: message}
}

func refusalDetail(code, message, detail string) *sqlrule.Refusal {
	return &sqlrule.Refusal{Code: code, Message: message, Detail: detail}
}

// errorResponse turns an error of a statement into the client's message; ok is
// false if the error ends the session.
func errorResponse(err error) (resp *pgproto3.ErrorResponse, ok bool) {
	if r, ok := errors.AsType[*sqlrule.Refusal](err); ok {
		return &pgproto3.ErrorResponse{
			Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: r.Code, Message: r.Message, Detail: r.Detail, Hint: r.Hint,
		}, true
	}
	if b, ok := errors.AsType[*backendError](err); ok {
		return translate(b.resp), b.resp.Severity != "FATAL"
	}
	return nil, false
}

const multipleMatches = "Found multiple matches to update the same tuple."

// translate gives PostgreSQL's error the form that Redshift's has.
func translate(e *pgproto3.ErrorResponse) *pgproto3.ErrorResponse {
	out := &pgproto3.ErrorResponse{
		Severity: e.Severity, SeverityUnlocalized: e.SeverityUnlocalized, Code: e.Code, Message: plainNames(e.Message),
		Detail: plainNames(e.Detail), Hint: plainNames(e.Hint), Position: e.Position, Routine: e.Routine, File: e.File, Line: e.Line,
	}
	switch {
	case e.Code == "42P01" && systemView(e.Message):
		out.Code, out.Message = sqlrule.CodeUnsupported, "the stand-in does not have this system view: "+out.Message
	case e.Code == "40001":
		out.Code, out.Message = "XX000", "1023"
		out.Detail = "Serializable isolation violation on table - 0, transactions forming the cycle are: 0, 0 (pid:0)"
	case e.Code == "21000" && strings.HasPrefix(e.Message, "MERGE command"):
		out.Code, out.Message, out.Hint = "XX000", multipleMatches, ""
	case e.Code == "23514" && strings.HasPrefix(e.ConstraintName, sqlrule.CheckNumber):
		out.Code, out.Message, out.Detail = "22003", "Numeric data overflow or NaN", "code: 8001"
	case e.Code == "23514" && strings.HasPrefix(e.ConstraintName, sqlrule.CheckTime):
		out.Code, out.Message, out.Detail = "22008", "date/time field value out of range", ""
	case e.Code == "23514" && strings.HasPrefix(e.ConstraintName, sqlrule.CheckChar):
		out.Code, out.Message, out.Detail = "22021", "CHAR string contains invalid ASCII char", "code: 8001"
	}
	return out
}

// systemView reports whether an error speaks of a relation named as Redshift
// names its system views.
func systemView(message string) bool {
	_, name, _ := strings.Cut(message, `"`)
	name = strings.TrimPrefix(name, "pg_catalog.")
	for _, prefix := range []string{"stl_", "stv_", "svl_", "svv_", "svcs_", "sys_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func plainNames(s string) string {
	s = strings.ReplaceAll(s, `rs_types."varchar"`, "character varying")
	return strings.ReplaceAll(s, "rs_types.", "")
}
