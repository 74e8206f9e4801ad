// Package sqlrule decides what the stand-in accepts and turns it into
// PostgreSQL.
//
// It is pure: text in, a [Statement] or a [Refusal] out. Its rules are
// Redshift's as far as its documentation tells them; where that is unsettled
// the rule is the stricter one, so that whatever passes here has a fair chance
// on a real cluster.
//
// Invariants:
//
//  1. Only statements that a rule names are passed on; an unknown first word is
//     a syntax error.
//  2. Refusals look at tokens, never at raw text.
//  3. Names leave this package quoted, folded and short enough for PostgreSQL.
package sqlrule

import (
	"fmt"
	"strings"

	"github.com/walshift/walshift/test/redshift/internal/lex"
)

// SQLSTATEs used by the rules.
const (
	CodeSyntax        = "42601"
	CodeUnsupported   = "0A000"
	CodeUndefinedType = "42704"
	CodeNoFunction    = "42883"
	CodeInBlock       = "25001"
	CodeNoBlock       = "25P01"
	CodeBadParameter  = "22023"
	CodeTooComplex    = "54001"
	CodeReservedName  = "42939"
	CodeBadTable      = "42P16"
	CodeNoColumn      = "42703"
	CodeDuplicate     = "42701"
	CodeNoSchema      = "3F000"
	CodeNoTable       = "42P01"
	CodeNoPrivilege   = "42501"
	CodeInternal      = "XX000"
)

// MaxStatement is the largest statement text in bytes (management guide,
// quotas).
const MaxStatement = 16 << 20

// Refusal is the answer to a statement that Redshift would not take.
type Refusal struct { //nolint:errname // the word of this package's rules
	Code, Message, Detail, Hint string
}

// Error gives the message without the SQLSTATE.
func (r *Refusal) Error() string { return r.Message }

func refuse(code, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Message: fmt.Sprintf(format, args...)}
}

func syntaxAt(t lex.Token) *Refusal {
	return refuse(CodeSyntax, "syntax error at or near %q", t.Text)
}

func unsupportedCommand(src string) *Refusal {
	const limit = 80
	src = strings.TrimSpace(src)
	if len(src) > limit {
		src = src[:limit]
	}
	return refuse(CodeUnsupported, "SQL command %q not supported.", src)
}

// Options carries what the rules need to know of the session.
type Options struct {
	// CaseSensitive is enable_case_sensitive_identifier.
	CaseSensitive bool
	// Database is the name of the only database.
	Database string
	// CaseInsensitive is the collation of the database's text columns.
	CaseInsensitive bool
	// Superuser lifts the rules that ordinary users are held to.
	Superuser bool
	// Unique makes the names of hidden constraints unique in the database.
	Unique string
	// Builtin reports whether PostgreSQL's catalog has a function of this name.
	Builtin func(name string) bool
	// Describe returns the names of a query's result columns. QUALIFY needs it.
	Describe func(query string) ([]string, error)
	// LateView returns the definition of a late-binding view.
	LateView func(n Name) (definition string, ok bool)
	// Long is told of every name that was shortened for PostgreSQL.
	Long func(short, long string)
}

// Kind tells what a statement does.
type Kind string

// The kinds of statements.
const (
	Select      Kind = "SELECT"
	Insert      Kind = "INSERT"
	Update      Kind = "UPDATE"
	Delete      Kind = "DELETE"
	Merge       Kind = "MERGE"
	Copy        Kind = "COPY"
	Unload      Kind = "UNLOAD"
	Truncate    Kind = "TRUNCATE"
	Begin       Kind = "BEGIN"
	Commit      Kind = "COMMIT"
	Rollback    Kind = "ROLLBACK"
	CreateTable Kind = "CREATE TABLE"
	CreateAs    Kind = "CREATE TABLE AS"
	AlterTable  Kind = "ALTER TABLE"
	LateView    Kind = "CREATE VIEW"
	DropView    Kind = "DROP VIEW"
	Lock        Kind = "LOCK"
	Set         Kind = "SET"
	Show        Kind = "SHOW"
	Utility     Kind = "UTILITY"
)

// Statement is a statement that may run.
type Statement struct {
	Kind Kind
	// SQL is the client's text.
	SQL string
	// Backend is the text for PostgreSQL; several statements are run one after
	// the other, the first one's result being the client's.
	Backend []string
	// Tag replaces PostgreSQL's command tag if not empty. A tag that ends in a
	// blank takes the row count.
	Tag string
	// Target is the relation that is written or defined.
	Target Name
	// Exclusive says that the write needs its table for itself: everything but
	// INSERT and COPY under SNAPSHOT isolation.
	Exclusive bool
	// Refs are names that may be relations, Target left out.
	Refs []Name
	// Words are all names and words of the statement, lower case.
	Words map[string]bool
	// Star says that a select list holds an asterisk.
	Star bool
	// Joins says that rows go through a join or a window.
	Joins bool
	// LeaderFunc is a function in it that only the leader node has.
	LeaderFunc string
	// Temp says that the table created is temporary.
	Temp bool
	// NoBlock, when not empty, is the name under which the statement is refused
	// in a transaction block.
	NoBlock string
	// Block, when not empty, is the name under which the statement is refused
	// outside of a transaction block.
	Block string
	// Cursor is the cursor that CursorVerb, declare, fetch or close, works on.
	Cursor, CursorVerb string
	// Table describes the table created or changed.
	Table *TableDef
	// Alter describes what ALTER TABLE does.
	Alter *AlterDef
	// Copy describes a COPY, Unload an UNLOAD.
	Copy   *CopyDef
	Unload *UnloadDef
	// Setting is the parameter of SET, RESET and SHOW; Value its new value and
	// Local whether it ends with the transaction.
	Setting, Value string
	Local, Reset   bool
	// Replace says OR REPLACE.
	Replace bool
}

// Compile checks one statement, whose tokens are toks, and rewrites it.
func Compile(src string, toks []lex.Token, opt Options) (*Statement, error) {
	text := src[toks[0].Pos:toks[len(toks)-1].End]
	if len(text) > MaxStatement {
		return nil, refuse(CodeTooComplex, "Statement is too large. Statement Size: %d bytes. Maximum Allowed: %d bytes", len(text), MaxStatement)
	}
	c := &compiler{src: src, toks: toks, opt: opt, edits: map[int]edit{}, after: map[int]string{}}
	c.st = &Statement{SQL: text, Words: map[string]bool{}}
	if err := c.statement(); err != nil {
		return nil, err
	}
	return c.st, nil
}
