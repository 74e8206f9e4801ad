package replicator

import (
	"errors"
	"testing"

	"github.com/jackc/pglogrepl"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/spool"
)

func newStreaming(t *testing.T, cfg SpoolConfig) (*streaming, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zap.WarnLevel)
	s := &streaming{cfg: cfg, pipeline: "shop", log: zap.New(core), metrics: NewMetrics(prometheus.NewRegistry())}
	t.Cleanup(s.close)
	return s, logs
}

// TestStreamingFallsBack: after a fault of the spool streaming is off until the
// position is staged, and is tried again then, with an empty spool.
func TestStreamingFallsBack(t *testing.T) {
	t.Parallel()
	s, logs := newStreaming(t, SpoolConfig{Dir: t.TempDir(), Limit: 1 << 20})
	if err := s.open(); err != nil {
		t.Fatal(err)
	}
	sp := s.ready(10)
	s.began(true, true)
	if err := errors.Join(sp.Begin(5, true), sp.Append(5, []byte("x"))); err != nil {
		t.Fatal(err)
	}
	s.fallBack(&spoolError{err: spool.ErrFull, at: 50}, 100)
	if st := s.status(); st.Streaming || st.Reason == "" || st.Bytes != 0 || st.Transactions != 0 {
		t.Errorf("after the fault: %+v", st)
	}
	for _, staged := range []pglogrepl.LSN{10, 99} {
		if s.ready(staged) != nil {
			t.Errorf("streams again at %s", staged)
		}
		s.began(false, false)
	}
	if logs.Len() != 1 {
		t.Errorf("%d warnings, want 1", logs.Len())
	}
	if sp = s.ready(100); sp == nil {
		t.Fatal("does not stream again")
	}
	s.began(true, true)
	if st := s.status(); !st.Streaming || st.Reason != "" {
		t.Errorf("afterwards: %+v", st)
	}
	if err := sp.Begin(5, true); err != nil {
		t.Errorf("the transaction comes again, and the spool is not empty: %v", err)
	}
}

// TestSpoolFolder: one that was named must be usable, but may be another
// process's for a while; without one, and on PostgreSQL 13, it goes without.
func TestSpoolFolder(t *testing.T) {
	t.Parallel()
	s, _ := newStreaming(t, SpoolConfig{Dir: "/dev/null/spool", Limit: 1 << 20})
	err := s.open()
	if change.ScopeOf(err) != change.ScopeFatal || change.CodeOf(err) != change.CodeConfig {
		t.Errorf("an unusable folder: %v", err)
	}
	dir := t.TempDir()
	first, err := spool.Open(dir, "shop", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	s, logs := newStreaming(t, SpoolConfig{Dir: dir, Limit: 1 << 20})
	if err := s.open(); err != nil {
		t.Errorf("a folder in use: %v", err)
	}
	if s.ready(1) != nil || logs.Len() != 1 {
		t.Errorf("uses a folder that is in use; %d warnings", logs.Len())
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if s.ready(1) == nil {
		t.Error("does not take the folder when it is free")
	}
	s.began(true, false)
	if st := s.status(); st.Streaming || st.Reason == "" {
		t.Errorf("on PostgreSQL 13: %+v", st)
	}
	s, _ = newStreaming(t, SpoolConfig{Dir: "/dev/null/spool"})
	if err := s.open(); err != nil || s.ready(1) != nil {
		t.Errorf("with limits.spool 0: %v", err)
	}
}

func TestRepeatedAnnouncements(t *testing.T) {
	t.Parallel()
	a := announcements{}
	for i, c := range []struct {
		oid     uint32
		message string
		want    bool
	}{
		{1, "R\x00\x00\x00\x07one", false},
		{1, "R\x00\x00\x00\x08one", true},
		{2, "R\x00\x00\x00\x08one", false},
		{1, "R\x00\x00\x00\x08two", false},
		{1, "R\x00\x00\x00\x07one", false},
	} {
		if got := a.repeats(c.oid, []byte(c.message)); got != c.want {
			t.Errorf("message %d repeats: %t", i, got)
		}
	}
}
