package change

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pglogrepl"
)

// Scope says how far a fault reaches, and so what the one retry layer (in
// package replicator) does about it.
type Scope int

// The scopes, from the mildest to the gravest.
const (
	// ScopeRetry: the same step may succeed later; it is tried again.
	ScopeRetry Scope = iota
	// ScopeTable: one table can't go on; it stops, the others run on.
	ScopeTable
	// ScopeLoop: the loop that met it is parked, and tried again slowly;
	// capture never ends for a fault of apply.
	ScopeLoop
	// ScopeFatal: going on could lose or repeat data; the daemon stops.
	ScopeFatal
)

// Fault is an error with what an operator needs: where, and what to do.
// Zero fields are left out of the text. Row values and secrets never go in.
type Fault struct { //nolint:errname // the field's word, used in every message and metric
	Scope Scope
	// Code names the kind of fault; every fault that is not retried has one.
	Code Code
	// Op is what was being done, as a phrase: "loading segment".
	Op string
	// Table is schema.table of the source.
	Table string
	// TableOID identifies Table for ScopeTable; 0 if unknown.
	TableOID uint32
	// LSN is the position concerned, Seq the batch.
	LSN pglogrepl.LSN
	Seq uint64
	Err error
	// Remedy is the next step, as an imperative sentence.
	Remedy string
}

// Error implements error.
func (f *Fault) Error() string {
	var b strings.Builder
	if f.Code != "" {
		b.WriteString(string(f.Code) + " ")
	}
	b.WriteString(f.Op)
	if f.Table != "" {
		fmt.Fprintf(&b, " of table %s", f.Table)
	}
	if f.Seq != 0 {
		fmt.Fprintf(&b, " in batch %d", f.Seq)
	}
	if f.LSN != 0 {
		fmt.Fprintf(&b, " at LSN %s", f.LSN)
	}
	if f.Err != nil {
		fmt.Fprintf(&b, ": %s", f.Err.Error())
	}
	if f.Remedy != "" {
		fmt.Fprintf(&b, " (remedy: %s)", f.Remedy)
	}
	return b.String()
}

// Unwrap returns the cause.
func (f *Fault) Unwrap() error { return f.Err }

// ScopeOf returns the scope of the outermost Fault in err's chain. An error
// without one counts as ScopeRetry when it is nobody's statement that data is
// at stake: plain I/O errors are retried.
func ScopeOf(err error) Scope {
	if f, ok := errors.AsType[*Fault](err); ok {
		return f.Scope
	}
	return ScopeRetry
}
