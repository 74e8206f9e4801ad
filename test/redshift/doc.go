// Package redshift is a stand-in for Amazon Redshift: a wire-protocol server
// over a real PostgreSQL 15, for tests and the demo.
//
// Clients connect with pgx as they connect to Redshift. The stand-in takes what
// Redshift takes, refuses what Redshift refuses, and shows Redshift's own rules
// where PostgreSQL has others: COPY from S3, bytes instead of characters,
// trailing blanks, TRUNCATE that commits, keys that nobody enforces. Where
// Redshift's documentation leaves a question open, it gives the stricter
// answer. It proves nothing about a real cluster.
//
// A [Server] is made by [Start] over a database that the caller provides. It
// can inject faults ([Injector]), charge a cluster's costs ([Profile]) and
// report every statement ([Statement]).
//
// Invariants:
//
//  1. Every statement passes the rules of package sqlrule before PostgreSQL
//     sees it.
//  2. A client session owns one backend session; what the backend holds in a
//     transaction is what the client has done in it.
//  3. What Redshift keeps through a rollback (load errors, load history) is
//     written by another connection.
//  4. Close ends every goroutine and connection that Start made.
package redshift
