// Package redshift writes batches and first loads to Amazon Redshift, and
// keeps the pipeline's positions there. SQL text comes from package sqltext;
// this package decides which statement runs when, in which session, and what
// its outcome means.
//
// What it promises:
//
//  1. Every transaction that writes a target, a position, a state or the fence
//     locks the fence first and moves it from the row that was last seen
//     (epoch, seq and transaction id) to a new one. Rows and positions of a run
//     of batches become visible in one commit, or not at all.
//  2. A COPY runs in an explicit transaction only: one whose client dies in
//     autocommit goes on and may commit. Into a target it runs under the fence,
//     into staging and shadow tables without.
//  3. Rows are counted at every step (COPY, fill, DELETE, INSERT, and the rows
//     that MERGE will find) and compared with the manifests. A difference rolls
//     everything back and is a fault of that table.
//  4. A COMMIT whose answer is lost is looked up, under the fence's lock and in
//     a new session, before anything else is done.
//  5. Nothing is dropped that the positions do not record as made by walshift
//     and never live; nothing is dropped with CASCADE.
//  6. Nothing is retried here. Errors are change.Faults with a scope; they carry
//     table, batch and remedy, and neither row values nor secrets.
//
// Sessions: one main session runs the fenced transactions, one after the
// other; up to Config.StagingSessions others load staging and shadow tables in
// parallel. All are opened when first needed and looked at before each use.
//
// Reading order: warehouse.go, apply.go with plan.go and stage.go, multiset.go
// with remaining.go for tables without a key, load.go, fence.go with session.go,
// errors.go.
package redshift
