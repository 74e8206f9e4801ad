// Package change is the vocabulary that the two halves of walshift share:
// relations, row images, segments, batches (as the log's manifests name them)
// and faults. It is a leaf: it does no I/O and imports nothing of ours.
//
// Invariants that every user of the package relies on:
//
//  1. An LSN of a transaction is always the end LSN of its commit record.
//  2. A batch covers the half-open range (Begin, End] and whole transactions.
//  3. Row images never change once they are part of a sealed [Segment].
//  4. Columns of a [Relation] stand in the order in which pgoutput sends them;
//     attnum, not the name or the place, tells which column is which.
package change
