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
	CodeTooMany       = 1202
	CodeTooFew        = 1203
	CodeTooLong       = 1204
	CodeDate          = 1205
	CodeTimestamp     = 1206
	CodeDigit         = 1207
	CodeFloat         = 1208
	CodeDecimal       = 1209
	CodeBoolean       = 1210
	CodeEmptyLine     = 1211
	CodeNotNull       = 1213
	CodeDelimiter     = 1214
	CodeChar          = 1215
	CodeLine          = 1216
	CodeIdentity      = 1217
	CodeNulByte       = 1218
	CodeUTF8          = 1220
	CodeEncoding      = 1221
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
	// maxRaw is how much of a line STL_LOAD_ERRORS keeps.
	maxRaw = 1024
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
	// Identity says that the column is GENERATED ALWAYS AS IDENTITY.
	Identity bool
}

// TypeText is the type as STL_LOAD_ERRORS names it.
func (c Column) TypeText() string {
	switch c.Type {
	case "smallint":
		return "int2"
	case "integer":
		return "int4"
	case "bigint":
		return "int8"
	case "decimal":
		return "numeric"
	case "real":
		return "float4"
	case "double precision":
		return "float8"
	case "boolean":
		return "bool"
	}
	return c.Type
}

// Failure is a row that could not be loaded; it becomes a row of
// SYS_LOAD_ERROR_DETAIL.
type Failure struct { //nolint:errname // the word of the system tables; it is a record more than an error
	File   string
	Line   int64
	Column *Column
	// Position is where in the field the error lies, in bytes.
	Position int
	Code     int
	// Message is Redshift's own words, which quote the byte at fault.
	Message string
	// RawLine and RawField are what was read, up to 1,024 bytes of it.
	RawLine, RawField string
}

// Error gives code and line, never the value.
func (f *Failure) Error() string {
	return fmt.Sprintf("loading %s line %d: load error %d", f.File, f.Line, f.Code)
}

func fail(code int, format string, args ...any) *Failure {
	return &Failure{Code: code, Message: fmt.Sprintf(format, args...)}
}

// codeNull is not an error: the value is to be NULL.
const codeNull = -1

func null() *Failure { return &Failure{Code: codeNull} }

// StatementError is an error of the COPY itself. For most of them no row is
// recorded.
type StatementError struct {
	Message string
	// Code is the error's number in the message's detail, 8001 if zero.
	Code int
	// Context is what the error is about, such as a file's URL.
	Context string
	// Recorded says that a row with Code and Context as the file's name is
	// written to SYS_LOAD_ERROR_DETAIL.
	Recorded bool
}

// Error gives the message that the client sees.
func (e *StatementError) Error() string { return e.Message }

func stmtErr(format string, args ...any) *StatementError {
	return &StatementError{Message: fmt.Sprintf(format, args...)}
}
