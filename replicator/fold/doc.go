// Package fold turns the row changes of one batch into segments: the net
// effect per key, in bounded memory. It is pure: no I/O, no goroutines.
//
// A [Folder] holds the open segments of one batch. [Folder.Change] and
// [Folder.Truncate] add to them in stream order; [Folder.Cut] seals them all
// and may be called anywhere, also inside a transaction, as soon as
// [Folder.Bytes] nears the caller's limit. Which transactions are folded, and
// where a batch ends, is the caller's business.
//
// The key of a row is the columns of the replica identity ([change.Relation]
// Keys) and nothing else. The text of pgoutput identifies a key: two keys are
// equal when their bytes are.
//
// # What happens to a key
//
// Everything is relative to the moment the segment begins (after its truncate,
// if it has one). A key existed then if the first change that touches it is
// not the creation of a row under it. At the end of the segment
//
//	existed, row gone                      → delete
//	existed, row there, image complete     → upsert
//	did not exist, row there, complete     → insert
//	did not exist, row gone                → nothing
//	row there with kept columns            → partial
//
// A change of a row's key takes the row away from one key and puts it under
// another; neither key is forgotten. A column is kept where the stream never
// carried its value: an unchanged TOASTed value of a row that is older than
// the segment. Its value is the one that the row had in the target when the
// segment began, under the key that it had then: its origin key, which
// follows the row through every later change of key.
//
// # Multisets
//
// A table with REPLICA IDENTITY FULL and no proven key ([change.Relation]
// Multiset) is a multiset of row images. What is folded is the net number of
// copies per complete image: an insert adds a copy, a delete takes one of the
// old tuple away, an update does both, its unchanged values filled from the
// old tuple first, in which PostgreSQL sends every value under FULL. Images
// are equal when their bytes are. Positive nets become inserts with Copies,
// negative ones removed rows with Copies, and what nets to nothing vanishes.
//
// # Invariants
//
//  1. Applying the segments in order (in each: truncate, fill partial rows by
//     origin key, delete, merge upsert and partial, take away removed copies,
//     insert) gives the same table as applying the changes one by one.
//  2. A key occurs in one kind of a segment only, and once. Origin keys of a
//     segment are distinct, and all of them existed when it began. An image of
//     a multiset is either inserted or removed, and once; none is removed in a
//     segment that begins with a truncate.
//  3. A row that was created in the segment has no kept column.
//  4. Sequences that PostgreSQL can't produce are never guessed at: they
//     are a [change.Fault] of [change.ScopeTable]. A failed change leaves the
//     segment as it was.
//  5. Bytes counts the capacity of everything that open segments hold. Not
//     counted: scratch space for one row, and, while a hash table grows, the
//     old one of half its size.
//  6. Equal changes give equal segments: rows stand in the order in which
//     their keys were first touched (a multiset's large images: since their
//     copies were last balanced).
package fold
