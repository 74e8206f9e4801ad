// Package checkpoint holds positions and table states, and the rules by which
// they move. It is a leaf: pure, no I/O, imports nothing of ours.
//
// The rule, stated once. For every moment
//
//		captured ≥ staged = confirmable ≥ applied
//
//	 1. Captured is the end LSN of the last transaction that was received whole,
//	    or a keepalive's position above it.
//	 2. Staged moves to a batch's end only after the batch's manifest is durable
//	    on S3. A keepalive's position may become staged (through an empty
//	    manifest) only when every transaction received whole is staged, and no
//	    transaction received whole lies below it unstaged (pitfall S6).
//	 3. Only staged is confirmed to the slot (promise P3); nothing else ever is.
//	 4. Applied moves to a batch's end only in the Redshift transaction that
//	    holds the batch's rows, guarded by the fence; an empty batch moves it in
//	    memory, and on Redshift with the next rows.
//	 5. No position moves back. A request to do so is an error, never ignored.
//
// The fence is one row per pipeline on Redshift: (epoch, seq, txn). Every
// transaction that writes a target, a position or a state locks it and moves
// it from (epoch = mine, seq = a) to seq = b first. See [Judge] for what a
// missed update means.
//
// A table goes loading → loaded → catching-up → live; stopped can be reached
// from each of them, and is left only by loading again or, where every batch that it
// missed is applied to it in one transaction, by [Table.Resume]. A table becomes live
// only when its own position equals the common applied LSN and is ≥ its X.
package checkpoint
