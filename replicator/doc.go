// Package replicator runs the two loops of walshift: capture (source to log)
// and apply (log to warehouse), the first load between them, and the one layer
// of retries above all of them.
//
// Reading order for one row: source (slot to message), pgoutput (message to
// change), capture.go and fold (change to segment), sink/stage (segment to
// file), stager.go (batch to manifest), apply.go and sink/redshift (file to
// MERGE).
//
// What holds:
//
//  1. The loops share nothing but the log and the positions: capture never
//     waits for the warehouse, apply never touches the source.
//  2. Every goroutine is started in an errgroup by Run or by one of its parts
//     that waits for it; ctx ends all of them.
//  3. Dropping an open batch is always safe: only durable positions are
//     confirmed (rules in package checkpoint).
//  4. Retries happen here and nowhere below: lower layers classify errors by
//     change.Scope.
//
// Shutdown order: the receiver stops reading and closes the batch at the last
// whole transaction; the stager writes what it was given and the manifest; the
// feedback confirms the staged position once more; then the stream, apply's
// sessions and the HTTP server are closed. Each step is bounded by the grace
// time; a second signal skips the rest.
package replicator
