package redshift

import (
	"crypto/tls"
	"time"
)

// Config says what a stand-in serves and how.
type Config struct {
	// Backend is the DSN or URL of a superuser of a PostgreSQL 15 cluster. Its
	// database is created if it does not exist, and belongs to the stand-in.
	Backend string
	// Listen is the address to serve at; empty means 127.0.0.1:0.
	Listen string
	// TLS is offered to clients that ask for it, if not nil.
	TLS *tls.Config
	// S3 is where COPY reads.
	S3 S3
	// Profile is what statements cost; the zero value costs nothing.
	Profile Profile
	// Faults injects faults, if not nil.
	Faults *Injector
	// Log is called after every statement, if not nil, by the session's
	// goroutine: it must be safe for concurrent use and must not block long.
	Log func(Statement)
	// Grammar is asked after the stand-in's own rules whether a statement is
	// Redshift's, if not nil. See package test/redshift/grammar.
	Grammar func(sql string) error
	// CaseInsensitive makes a database whose text is compared without regard to
	// case: CREATE DATABASE … COLLATE CASE_INSENSITIVE.
	CaseInsensitive bool
	// IdleTimeout ends sessions that have sent nothing for so long; zero never.
	// Redshift's own is four hours.
	IdleTimeout time.Duration
}

// S3 names the object store that COPY reads from, with the stand-in's own
// credentials: those in a COPY must only be well formed.
type S3 struct {
	// Endpoint is the server's URL; empty means AWS.
	Endpoint string
	// Region defaults to us-east-1.
	Region             string
	PathStyle          bool
	AccessKey, Secret  string
	InsecureSkipVerify bool
}

// Statement is what the log is told of one statement.
type Statement struct {
	// Session is the backend's process id.
	Session int
	User    string
	// SQL is the client's text. It may hold credentials.
	SQL string
	// Kind is SELECT, COPY, MERGE and so on; empty if the text was refused.
	Kind string
	// Rows were loaded, affected or returned; Bytes is the size of the text, or
	// for COPY what was read from S3.
	Rows, Bytes int64
	Started     time.Time
	Duration    time.Duration
	// SQLState and Error are empty if the statement succeeded.
	SQLState, Error string
}

// Profile is what statements cost beside PostgreSQL's own time. The figures of
// [ProfileRA3] are assumptions.
type Profile struct {
	Copy, Merge, TempTable, DML, Commit time.Duration
}

// ProfileRA3 imitates a small RA3 cluster.
func ProfileRA3() Profile {
	return Profile{
		Copy: time.Second, Merge: 700 * time.Millisecond, TempTable: 150 * time.Millisecond,
		DML: 200 * time.Millisecond, Commit: 300 * time.Millisecond,
	}
}
