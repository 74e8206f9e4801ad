// Package source is the PostgreSQL side of walshift: it connects, checks that
// a database can be replicated, reads its catalog, owns slot and replication
// stream, and reads snapshots. It does I/O and nothing else: no retry, no
// decoding of pgoutput messages, no decision about positions.
//
// Promises, numbered because other code relies on them:
//
//  1. Every session is pinned: no setting of a role or database changes a
//     value's text, ends a session, or makes a statement fail (see pinned).
//  2. A value's text is the same in a snapshot and in the stream, for both run
//     the same output functions under the same settings.
//  3. A snapshot of a table either yields exactly the rows that the exported
//     snapshot shows, or fails; a table that was rewritten, truncated or
//     altered since is reported by [ErrRewritten], never read as empty.
//  4. The stream has one reader ([Stream.Next]) and one writer
//     ([Stream.SendStatus]); they may be different goroutines.
//  5. Errors that somebody must act on are a [change.Fault]: ScopeRetry for
//     what passes by itself, ScopeFatal or ScopeTable with a remedy for what
//     doesn't. Passwords and row values are never part of an error.
//
// PostgreSQL 13 to 18 are supported; what differs between them is decided by
// the server's own version number.
package source
