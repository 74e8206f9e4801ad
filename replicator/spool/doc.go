// Package spool keeps the messages of streamed transactions that are still in
// progress in files, until each is committed or aborted. It knows nothing of
// PostgreSQL but that a transaction has a number, that its messages come in
// blocks, and that a part of it, a subtransaction, may be taken back.
//
// What it holds is of no value to anybody else, nor to the next process: the
// source sends again what was not confirmed. So nothing is flushed to the
// disk, and whatever is found at the start is deleted.
//
// Invariants:
//
//  1. Replay gives the messages in the order in which they were appended,
//     without those that [Spool.Abort] took back, byte for byte.
//  2. The files together are never longer than the limit. What would exceed
//     it, or finds the disk full, is refused with [ErrFull].
//  3. In memory there is one write buffer, one read buffer and the longest
//     message during a replay, a few words per transaction, and 16 bytes per
//     subtransaction that has written and was not taken back.
//  4. At most two files are open at any time beside the lock.
//  5. After an error of Begin, Append, End, Abort or Replay the spool is good
//     for nothing but Reset and Close.
//
// A file is a sequence of messages, each behind its length in four bytes. It is
// not compressed: it is written once, mostly read back from the page cache, and
// cut at any message, while a core that compresses is taken from the reader of
// the stream.
package spool
