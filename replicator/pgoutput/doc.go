// Package pgoutput decodes the messages of PostgreSQL's logical decoding
// plugin pgoutput, protocol versions 1 and 2 ("Logical Replication Message
// Formats" in PostgreSQL's documentation). It is pure: bytes in, a [Message]
// out, no I/O.
//
// It does not map columns or types, does not know the catalog, and does not
// spool: what a message means for a table is its reader's business.
//
// Invariants:
//
//  1. No input makes the decoder panic, and no input is half accepted: a
//     message is decoded to its last byte or refused with an error.
//  2. A row message (insert, update, delete) allocates nothing.
//  3. A decoded tuple is valid: it holds exactly as many well-formed values as
//     [Message.NewColumns] or [Message.OldColumns] says, each null, unchanged
//     or text, so that [change.Tuple.Next] may be used on it without checks.
//  4. Flags and order are checked as strictly as PostgreSQL's own subscriber
//     does, and a flag that nobody knows is refused: it may change what the
//     message means.
//
// In protocol 2 a transaction that is still in progress may be streamed in
// blocks (stream start … stream stop); inside a block the messages that belong
// to a transaction carry the xid of the (sub)transaction that wrote them. The
// decoder keeps track of being inside a block, so it must see all messages of
// one connection in order, and a new connection needs a new [Decoder]. Messages
// of a block that were kept until the transaction's commit are decoded by one of
// [NewBlock].
package pgoutput
