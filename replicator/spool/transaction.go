package spool

import "slices"

// transaction is one streamed transaction.
type transaction struct {
	xid uint32
	// size is how much of the file is valid, extent its greatest length since
	// it was cut last.
	size, extent int64
	// subs are the subtransactions that have written something, in the order of
	// their numbers.
	subs []subtransaction
	// last is the writer of the last message.
	last uint32
}

// subtransaction is where a subtransaction wrote first. age is its number's
// distance from the transaction's: numbers are given out in ascending order,
// modulo 2^32, a transaction's own before those of its subtransactions and a
// parent's before its children's.
type subtransaction struct {
	age   uint32
	first int64
}

// note remembers where a subtransaction begins to write.
func (t *transaction) note(subxid uint32) {
	if subxid == t.last {
		return
	}
	t.last = subxid
	if subxid == t.xid {
		return
	}
	at, known := t.find(subxid)
	if !known { // nearly always at the end
		t.subs = slices.Insert(t.subs, at, subtransaction{first: t.size, age: subxid - t.xid})
		return
	}
	// What it began with may have been taken back.
	t.subs[at].first = min(t.subs[at].first, t.size)
}

func (t *transaction) find(subxid uint32) (int, bool) {
	age := subxid - t.xid
	if n := len(t.subs); n == 0 || t.subs[n-1].age < age {
		return n, false
	}
	return slices.BinarySearchFunc(t.subs, age, func(s subtransaction, age uint32) int {
		switch {
		case s.age < age:
			return -1
		case s.age > age:
			return 1
		}
		return 0
	})
}

// cut takes back a subtransaction, and reports whether it had written anything.
//
// While a subtransaction is in progress nothing outside of it writes, and all
// numbers given out meanwhile are those of subtransactions inside it. When it
// is aborted, all that came after its first message, and all subtransactions
// with higher numbers, go with it. One that was released ends with the one
// that it was released into: then the others are announced one by one as well.
// A parent may have written only after its child, so the lowest beginning of
// all those counts.
func (t *transaction) cut(subxid uint32) bool {
	at, known := t.find(subxid)
	if !known {
		return false
	}
	for _, s := range t.subs[at:] {
		t.size = min(t.size, s.first)
	}
	t.subs = t.subs[:at]
	t.last = 0
	if cap(t.subs) > 1<<10 && len(t.subs) < cap(t.subs)/4 {
		t.subs = slices.Clone(t.subs)
	}
	return true
}
