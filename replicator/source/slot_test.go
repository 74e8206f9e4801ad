package source_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/source"
	"github.com/walshift/walshift/test/cluster"
)

func TestSlotLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "CREATE TABLE t (id int PRIMARY KEY)")
	w.publish()
	s := w.server()
	ctx := t.Context()
	if _, found, err := s.InspectSlot(ctx); err != nil || found {
		t.Fatalf("InspectSlot before: %t, %v", found, err)
	}
	if err := s.DropSlot(ctx); err != nil {
		t.Errorf("DropSlot of nothing: %v", err)
	}
	_, err := s.StartStream(ctx, 0, false)
	if !errors.Is(err, source.ErrSlotMissing) || change.ScopeOf(err) != change.ScopeFatal {
		t.Errorf("StartStream without a slot: %v", err)
	}
	sess := w.slot(s)
	slot, found, err := s.InspectSlot(ctx)
	if err != nil || !found {
		t.Fatalf("InspectSlot: %t, %v", found, err)
	}
	if slot.ConfirmedFlush == nil || *slot.ConfirmedFlush != sess.ConsistentPoint || slot.Restart == nil ||
		slot.Plugin != "pgoutput" || slot.Database != w.src.Database || slot.WALStatus != "reserved" || slot.TwoPhase || slot.Lost() {
		t.Errorf("slot %+v, consistent point %s", slot, sess.ConsistentPoint)
	}
	if err := slot.Check(w.src.Database); err != nil {
		t.Errorf("Check: %v", err)
	}
	if err := slot.Check("other"); err == nil {
		t.Error("Check accepts another database")
	}
	if _, err := s.CreateSlot(ctx); !errors.Is(err, source.ErrSlotExists) {
		t.Errorf("CreateSlot twice: %v", err)
	}
	st := w.stream(s)
	_, err = s.StartStream(ctx, 0, false)
	if !errors.Is(err, source.ErrSlotActive) || change.ScopeOf(err) != change.ScopeRetry {
		t.Errorf("StartStream twice: %v", err)
	}
	if err := st.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := s.DropSlot(ctx); err != nil { // the walsender may still be ending: 55006
		t.Errorf("DropSlot: %v", err)
	}
	if _, found, err := s.InspectSlot(ctx); err != nil || found {
		t.Errorf("InspectSlot after: %t, %v", found, err)
	}
}

func TestSlotCheckTellsStates(t *testing.T) {
	t.Parallel()
	lsn := pglogrepl.LSN(7)
	good := source.Slot{Name: "s", Plugin: "pgoutput", Database: "d", ConfirmedFlush: &lsn, WALStatus: "extended"}
	if err := good.Check("d"); err != nil {
		t.Fatalf("good slot: %v", err)
	}
	for name, spoil := range map[string]func(*source.Slot){
		"plugin":          func(s *source.Slot) { s.Plugin = "test_decoding" },
		"lost":            func(s *source.Slot) { s.WALStatus = "lost" },
		"invalidated":     func(s *source.Slot) { s.InvalidationReason = "idle_timeout" },
		"two_phase":       func(s *source.Slot) { s.TwoPhase = true },
		"S15 unconfirmed": func(s *source.Slot) { s.ConfirmedFlush = nil },
	} {
		s := good
		spoil(&s)
		var f *change.Fault
		if err := s.Check("d"); !errors.As(err, &f) || f.Scope != change.ScopeFatal || f.Remedy == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestS11SlotBeforePublication(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "CREATE TABLE t (id int PRIMARY KEY)")
	s := w.server()
	if w.major() >= 18 {
		t.Skip("PostgreSQL 18 skips a missing publication without an error (pitfall V7)")
	}
	_, err := s.CreateSlot(t.Context())
	if !errors.Is(err, source.ErrPublicationMissing) || change.ScopeOf(err) != change.ScopeFatal {
		t.Fatalf("CreateSlot without a publication: %v", err)
	}
	w.admin("SELECT pg_create_logical_replication_slot('" + w.cfg.Slot + "', 'pgoutput')")
	w.exec("INSERT INTO t VALUES (1)")
	w.publish()
	st := w.stream(s)
	for err = nil; err == nil; {
		_, err = st.Next(t.Context())
	}
	var f *change.Fault
	if !errors.Is(err, source.ErrPublicationMissing) || !errors.As(err, &f) || f.Scope != change.ScopeFatal ||
		!strings.Contains(f.Remedy, "drop the slot") {
		t.Errorf("Next over a time without the publication: %v", err)
	}
}

// blockedSlot tries to create a slot while something blocks it, and checks
// that nothing is left.
func blockedSlot(t *testing.T, w *world) *source.BlockedError {
	t.Helper()
	w.cfg.SlotTimeout = 700 * time.Millisecond
	s := w.server()
	_, err := s.CreateSlot(t.Context())
	var b *source.BlockedError
	if !errors.As(err, &b) || change.ScopeOf(err) != change.ScopeRetry {
		t.Fatalf("CreateSlot while blocked: %v", err)
	}
	if n := w.text("SELECT count(*)::text FROM pg_replication_slots WHERE slot_name = '" + w.cfg.Slot + "'"); n != "0" {
		t.Errorf("%s slots are left", n)
	}
	if n := w.text("SELECT count(*)::text FROM pg_stat_activity WHERE application_name = 'walshift/slot' AND query LIKE '%" +
		w.cfg.Slot + "%' AND state = 'active'"); n != "0" {
		t.Errorf("%s sessions still wait", n)
	}
	return b
}

func TestW13LongTransactionIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "CREATE TABLE t (id int PRIMARY KEY)")
	w.publish()
	w.exec("SET application_name = 'long-runner'")
	w.exec("BEGIN; INSERT INTO t VALUES (4711)")
	pid := w.owner.PgConn().PID()
	b := blockedSlot(t, w)
	if !strings.Contains(b.Error(), fmt.Sprintf("pid %d", pid)) {
		t.Errorf("pid %d is not named: %v", pid, b)
	}
	if strings.Contains(b.Error(), "4711") {
		t.Errorf("a literal is shown: %v", b)
	}
	// With the right to see it, its age and application are told too.
	w.admin("GRANT pg_read_all_stats TO " + w.src.Replicator)
	if b = blockedSlot(t, w); !strings.Contains(b.Error(), "long-runner") {
		t.Errorf("application is not named: %v", b)
	}
	w.exec("COMMIT")
	w.cfg.SlotTimeout = time.Minute
	w.slot(w.server())
}

func TestV12PreparedTransactionIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "CREATE TABLE t (id int PRIMARY KEY)")
	w.publish()
	gid := "dangling " + w.cfg.Slot
	w.exec("BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION '" + gid + "'")
	defer w.super.Exec(context.Background(), "ROLLBACK PREPARED '"+gid+"'")
	b := blockedSlot(t, w)
	if !strings.Contains(b.Error(), gid) || !strings.Contains(b.Error(), w.src.Owner) {
		t.Errorf("prepared transaction is not named: %v", b)
	}
	w.admin("ROLLBACK PREPARED '" + gid + "'")
	w.cfg.SlotTimeout = time.Minute
	w.slot(w.server())
}

// TestS15UnfinishedSlot looks at a slot whose creation hangs, and ends the
// creation by its context.
func TestS15UnfinishedSlot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "CREATE TABLE t (id int PRIMARY KEY)")
	w.publish()
	w.exec("BEGIN; INSERT INTO t VALUES (1)")
	s := w.server()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := s.CreateSlot(ctx)
		done <- err
	}()
	for {
		slot, found, err := s.InspectSlot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !found {
			continue
		}
		if slot.ConfirmedFlush != nil {
			t.Errorf("confirmed position is %s, not unknown", slot.ConfirmedFlush)
		}
		if err := slot.Check(w.src.Database); err == nil {
			t.Error("Check accepts an unfinished slot")
		}
		break
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled CreateSlot: %v", err)
	}
	if _, found, err := s.InspectSlot(t.Context()); err != nil || found {
		t.Errorf("slot is left: %t, %v", found, err)
	}
}

func TestS3LostSlot(t *testing.T) {
	t.Parallel()
	started.Store(true)
	pg := cluster.RunPostgres(t, cluster.PostgresConfig{Settings: map[string]string{
		"max_slot_wal_keep_size": "1MB", "min_wal_size": "32MB", "max_wal_size": "32MB",
	}})
	w := newWorldOn(t, pg, "CREATE TABLE t (id int PRIMARY KEY)")
	w.publish()
	s := w.server()
	w.slot(s).Close(t.Context())
	for range 4 {
		w.exec("INSERT INTO t SELECT coalesce(max(id), 0) + 1 FROM t")
		w.admin("SELECT pg_switch_wal()")
	}
	w.admin("CHECKPOINT")
	slot, found, err := s.InspectSlot(t.Context())
	if err != nil || !found || !slot.Lost() {
		t.Fatalf("slot %+v, %t, %v", slot, found, err)
	}
	_, err = s.StartStream(t.Context(), 0, false)
	if !errors.Is(err, source.ErrSlotLost) || change.ScopeOf(err) != change.ScopeFatal {
		t.Errorf("StartStream from a lost slot: %v", err)
	}
}
