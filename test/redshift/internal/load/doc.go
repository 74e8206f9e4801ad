// Package load reads the files of a COPY as Redshift does and checks every
// value by Redshift's rules.
//
// The rules differ from those of PostgreSQL's COPY, and a file that passes
// there may fail or mean something else here: a quoted null marker is NULL, an
// empty field is an empty string only for character types, ESCAPE decodes nothing, lengths
// count bytes, fractions are cut. Rows come out in PostgreSQL's text format.
//
// Invariant: a row that leaves this package is accepted by PostgreSQL, so that
// all errors a client sees carry Redshift's codes.
package load

import "fmt"

// Load error codes (developer guide, load error reference).
const (
	CodeUnknown       = 1200
	CodeTooMany       = 1202
	CodeTooFew        = 1203
	CodeTooLong       = 1204
	CodeDate          = 1205
	CodeTimestamp     = 1206
	CodeDigit         = 1207
	CodeFloat         = 1208
	CodeDecimal       = 1209
	CodeBoolean       = 1210
	CodeFileMissing   = 1212
	CodeNotNull       = 1213
	CodeDelimiter     = 1214
	CodeChar          = 1215
	CodeLine          = 1216
	CodeNulByte       = 1218
	CodeUTF8          = 1220
	CodeOverflow      = 1222
	CodeDataType      = 1223
	CodeSuper         = 1224
	CodeManifestKey   = 8001
	maxRow            = 4 << 20
	maxSuper          = 16 << 20
	maxSuperString    = 65535
	maxSuperDepth     = 1000
	maxNumberDigits   = 38
	maxFractionDigits = 6
)

// Column is a target column of the load.
type Column struct {
	Name string
	// Type is Redshift's name of the base type, as package sqlrule spells it.
	Type string
	// Len is the length in bytes of character and binary types.
	Len int
	// Prec and Scale belong to decimal.
	Prec, Scale int
	NotNull     bool
}

// TypeText is the type as SYS_LOAD_ERROR_DETAIL names it.
func (c Column) TypeText() string {
	if c.Type == "decimal" {
		return "numeric"
	}
	return c.Type
}

// Failure is a row that could not be loaded; it becomes a row of
// SYS_LOAD_ERROR_DETAIL.
type Failure struct { //nolint:errname // the word of the system tables; it is a record more than an error
	File     string
	Line     int64
	Column   *Column
	Position int
	Code     int
	Message  string
}

// Error gives code and reason, never the value.
func (f *Failure) Error() string {
	return fmt.Sprintf("loading %s line %d: %s (%d)", f.File, f.Line, f.Message, f.Code)
}

func fail(code int, format string, args ...any) *Failure {
	return &Failure{Code: code, Message: fmt.Sprintf(format, args...)}
}

// StatementError is an error of the COPY itself, for which no row is recorded.
type StatementError struct{ Message string }

// Error gives the message that the client sees.
func (e *StatementError) Error() string { return e.Message }

func stmtErr(format string, args ...any) *StatementError {
	return &StatementError{Message: fmt.Sprintf(format, args...)}
}
