package spool_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/walshift/walshift/replicator/spool"
)

// server makes streams as PostgreSQL does: transactions with nested
// subtransactions that get a number when they or one inside them write first,
// and are announced one by one when they go.
type server struct {
	next uint32
	txs  []*inProgress
}

// inProgress is a transaction in progress: the stack of its active subtransactions,
// the transaction itself first, and all that it has written.
type inProgress struct {
	xid   uint32
	stack []*sub
	rows  []row
	sent  bool
}

// sub is a subtransaction; members are those that were released into it.
type sub struct {
	xid     uint32
	members []uint32
}

type row struct {
	xid  uint32
	text string
}

// xid gives out the next number. PostgreSQL leaves out 0 to 2 when it begins
// again.
func (s *server) xid() uint32 {
	s.next = max(s.next+1, 3)
	return s.next
}

func (s *server) begin() {
	xid := s.xid()
	s.txs = append(s.txs, &inProgress{xid: xid, stack: []*sub{{xid: xid}}})
}

// write writes a row in the innermost subtransaction.
func (s *server) write(o *inProgress, size int) row {
	for _, level := range o.stack {
		if level.xid == 0 {
			level.xid = s.xid()
		}
	}
	r := row{o.stack[len(o.stack)-1].xid, fmt.Sprintf("%d.%d.%0*d", o.xid, len(o.rows), size, 0)}
	o.rows = append(o.rows, r)
	return r
}

// end releases the innermost subtransaction, or rolls it back and returns what
// is announced.
func (o *inProgress) end(t *rapid.T, rollback bool) []uint32 {
	n := len(o.stack) - 1
	gone, parent := o.stack[n], o.stack[n-1]
	o.stack = o.stack[:n]
	if gone.xid == 0 {
		return nil
	}
	all := slices.Concat(gone.members, []uint32{gone.xid})
	if !rollback {
		parent.members = append(parent.members, all...)
		return nil
	}
	is := map[uint32]bool{}
	for _, x := range all {
		is[x] = true
	}
	kept := o.rows[:0:0]
	for _, r := range o.rows {
		if !is[r.xid] {
			kept = append(kept, r)
		}
	}
	o.rows = kept
	return rapid.Permutation(all).Draw(t, "order")
}

func (o *inProgress) texts() []string {
	texts := []string{}
	for _, r := range o.rows {
		texts = append(texts, r.text)
	}
	return texts
}

// TestModel: any interleaving of blocks, rollbacks, commits and new sessions
// gives back exactly the rows that were not rolled back, within the limit.
func TestModel(t *testing.T) {
	t.Parallel()
	base, runs := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		dir := filepath.Join(base, strconv.Itoa(runs))
		defer os.RemoveAll(dir)
		m := &machine{t: t, dir: dir, limit: rapid.SampledFrom([]int64{200, 5000, 1 << 40}).Draw(t, "limit")}
		m.server.next = rapid.SampledFrom([]uint32{100, 1<<32 - 20}).Draw(t, "first xid")
		m.reopen()
		defer func() { _ = m.s.Close() }()
		t.Repeat(map[string]func(*rapid.T){
			"block": m.block, "commit": m.commit, "abort": m.abort, "session": m.session, "": m.check,
		})
	})
}

type machine struct {
	t      *rapid.T
	dir    string
	limit  int64
	s      *spool.Spool
	server server
}

func (m *machine) fatal(err error) {
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) reopen() {
	var err error
	m.s, err = spool.Open(m.dir, "p", m.limit)
	m.fatal(err)
}

// session begins anew: everything in progress is sent again.
func (m *machine) session(t *rapid.T) {
	if rapid.Bool().Draw(t, "process ends") {
		m.fatal(m.s.Close())
		m.reopen()
	} else {
		m.fatal(m.s.Reset())
	}
	m.server.txs = nil // it is as good as if they had never been
}

func (m *machine) pick(t *rapid.T) *inProgress {
	if len(m.server.txs) == 0 || len(m.server.txs) < 4 && rapid.Bool().Draw(t, "new") {
		m.server.begin()
	}
	return m.server.txs[rapid.IntRange(0, len(m.server.txs)-1).Draw(t, "transaction")]
}

// block sends some rows of a transaction; rollbacks are announced after it,
// so a block ends with the first.
func (m *machine) block(t *rapid.T) {
	o := m.pick(t)
	m.fatal(m.s.Begin(o.xid, !o.sent))
	o.sent = true
	for range rapid.IntRange(0, 8).Draw(t, "steps") {
		switch rapid.IntRange(0, 3).Draw(t, "step") {
		case 0:
			o.stack = append(o.stack, &sub{})
		case 1:
			if len(o.stack) > 1 {
				o.end(t, false)
			}
		default:
			r := m.server.write(o, rapid.SampledFrom([]int{1, 30, 600}).Draw(t, "size"))
			if err := m.s.Append(r.xid, []byte(r.text)); errors.Is(err, spool.ErrFull) {
				if u := m.s.Usage(); u.Bytes+int64(len(r.text))+4 <= m.limit {
					m.t.Fatalf("refused %d bytes at %+v of %d", len(r.text), u, m.limit)
				}
				m.session(t)
				return
			} else {
				m.fatal(err)
			}
		}
	}
	m.fatal(m.s.End())
	for len(o.stack) > 1 && rapid.Bool().Draw(t, "roll back") {
		for _, x := range o.end(t, true) {
			m.fatal(m.s.Abort(o.xid, x))
		}
	}
}

func (m *machine) over(o *inProgress) {
	for i := range m.server.txs {
		if m.server.txs[i] == o {
			m.server.txs = append(m.server.txs[:i:i], m.server.txs[i+1:]...)
			return
		}
	}
}

func (m *machine) commit(t *rapid.T) {
	o := m.pick(t)
	m.over(o)
	if !o.sent {
		return
	}
	m.same(o)
	m.fatal(m.s.Drop(o.xid))
}

func (m *machine) abort(t *rapid.T) {
	o := m.pick(t)
	m.over(o)
	m.fatal(m.s.Abort(o.xid, o.xid))
}

func (m *machine) same(o *inProgress) {
	got := []string{}
	m.fatal(m.s.Replay(o.xid, func(b []byte) error {
		got = append(got, string(b))
		return nil
	}))
	if fmt.Sprint(got) != fmt.Sprint(o.texts()) {
		m.t.Fatalf("transaction %d: replayed %q, want %q", o.xid, got, o.texts())
	}
}

func (m *machine) check(*rapid.T) {
	sent := 0
	for _, o := range m.server.txs {
		if o.sent {
			sent++
			m.same(o)
		}
	}
	u := m.s.Usage()
	if u.Bytes > m.limit || u.Transactions != sent {
		m.t.Fatalf("usage %+v, limit %d, %d transactions", u, m.limit, sent)
	}
}
