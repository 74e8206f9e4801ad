package e2e_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/walshift/walshift/test/world"
)

// shared is a world with a running daemon that several tests use at the same
// time, each with tables of its own: a world takes seconds to start. The first
// test that asks starts it, endShared ends it.
type shared struct {
	cfg world.Config
	// prepare does what is left of the DBA's part, before the daemon starts.
	prepare func(t *testing.T, s *shared)

	once  sync.Once
	w     *world.World
	d     *world.Daemon
	major int // of the source's version
	marks atomic.Int64
}

// sharedDDL is part of every shared world.
const sharedDDL = `CREATE TABLE marks (n bigint PRIMARY KEY);`

// use returns the world, once its first load is complete.
func (s *shared) use(t *testing.T) *shared {
	t.Helper()
	s.once.Do(func() { s.start(t) })
	if s.d == nil {
		t.Fatal("the shared world did not start, see the test that started it")
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.d.LogTail(60))
		}
	})
	return s
}

func (s *shared) start(t *testing.T) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // it outlives the test
	s.cfg.DDL = sharedDDL + s.cfg.DDL
	var err error
	if s.w, err = world.Start(ctx, s.cfg); err != nil {
		t.Fatal(err)
	}
	s.w.Sections["batch"] = "{interval: 100ms, max_age: 500ms}"
	number, err := strconv.Atoi(superuser(t, s.w, "SHOW server_version_num"))
	if err != nil {
		t.Fatal(err)
	}
	s.major = number / 10000
	s.prepare(t, s)
	d, err := s.w.Run(ctx)
	if err == nil {
		err = d.UntilStreaming(within(t, 2*time.Minute))
	}
	if err != nil {
		t.Fatal(err)
	}
	s.d = d
}

func (s *shared) stop() error {
	if s.w == nil {
		return nil
	}
	return s.w.Stop()
}

// same runs statements, waits until they are on the warehouse, and compares
// tables. What comes after on the source is on the warehouse with a later
// commit (P1), so a mark tells. Another test's table may be stopped meanwhile.
func (s *shared) same(t *testing.T, tables map[string]string, statements ...string) {
	t.Helper()
	exec(t, s.w, statements...)
	s.arrived(t)
	compare(t, s.w, tables)
}

// arrived waits until the warehouse has everything that is committed by now.
func (s *shared) arrived(t *testing.T) {
	t.Helper()
	n := s.marks.Add(1)
	exec(t, s.w, fmt.Sprintf("INSERT INTO marks VALUES (%d)", n))
	eventually(t, time.Minute, "a mark arrives", func() bool {
		return first(t, s.w.TargetDSN(), fmt.Sprintf("SELECT count(*) FROM marks WHERE n = %d", n)) == "1"
	})
}

// stopped waits until a table is stopped, and returns why.
func (s *shared) stopped(t *testing.T, table string) (reason string) {
	t.Helper()
	err := s.d.Until(within(t, time.Minute), table+" is stopped", func(st world.Status) bool {
		for _, tab := range st.Tables {
			if tab.Name == table && tab.State == "stopped" {
				reason = tab.Reason
			}
		}
		return reason != ""
	})
	if err != nil {
		t.Fatal(err)
	}
	return reason
}

// says fails where text lacks one of the words.
func says(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%q is not in: %s", word, text)
		}
	}
}

// columnsOf are the columns of a target table, in order.
func columnsOf(t *testing.T, w *world.World, table string) string {
	t.Helper()
	rows := target(t, w, "SELECT column_name FROM svv_columns WHERE table_schema = 'public' AND table_name = '"+table+"' ORDER BY ordinal_position")
	for i, row := range rows {
		_, name, _ := strings.Cut(strings.TrimSuffix(row, "|"), ":")
		rows[i] = name
	}
	return strings.Join(rows, " ")
}
