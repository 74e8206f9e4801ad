// Package sqltext turns what walshift wants of Amazon Redshift into SQL text,
// and PostgreSQL types into Redshift types. It is a leaf: pure, no I/O, and it
// imports nothing of ours.
//
// Invariants:
//
//  1. A name gets into a statement through [Ident] and a value through
//     [Literal], and in no other way. Both refuse what Redshift would bend: a
//     name above 127 bytes is cut silently by the server, a NUL ends a value.
//  2. Every statement is a single one, fit for the simple protocol, without
//     bind parameters and without a trailing semicolon.
//  3. The target of a write never has an alias: DELETE and MERGE refuse it, and
//     UPDATE is unreliable with one.
//  4. No statement here relies on what Redshift lacks: ON CONFLICT, RETURNING,
//     savepoints, TRUNCATE inside a transaction (it commits), and E-prefixed literals.
//  5. All column lists are explicit. A column that was dropped and added again
//     stands at the table's end, so places mean nothing.
//  6. Staging columns are named by attnum (c7, o7), never by the source's
//     names: exotic names meet Redshift in one place only, the target.
//
// Each kind of statement is pinned by a golden file in testdata; run the tests
// with UPDATE_GOLDEN=1 to write them anew.
package sqltext
