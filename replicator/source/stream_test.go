package source_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/source"
)

func TestStreamConfirmsAndResumes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "CREATE TABLE t (id int PRIMARY KEY, v text)")
	w.publish()
	s := w.server()
	w.slot(s).Close(t.Context())
	st := w.stream(s)
	w.exec("INSERT INTO t VALUES (1, repeat('x', 3000000))")
	w.exec("INSERT INTO t VALUES (2)")
	var rows int
	txs, _ := decode(t, st, func(x tx) bool { rows += len(x.rows); return rows == 2 })
	first := txs[len(txs)-2]
	if len(first.rows[0]) < 3_000_000 {
		t.Errorf("large row has %d bytes", len(first.rows[0]))
	}
	if err := st.SendStatus(source.Status{Write: txs[len(txs)-1].end, Flush: first.end, Apply: first.end, ReplyRequested: true}); err != nil {
		t.Fatalf("SendStatus: %v", err)
	}
	ev, err := st.Next(t.Context()) // the answer
	for err == nil && ev.Kind != source.Keepalive {
		ev, err = st.Next(t.Context())
	}
	if err != nil || ev.WALEnd < first.end {
		t.Fatalf("keepalive: %+v, %v", ev, err)
	}
	if err := st.Close(t.Context()); err != nil {
		t.Errorf("Close: %v", err)
	}
	slot, _, err := s.InspectSlot(t.Context())
	if err != nil || slot.ConfirmedFlush == nil || *slot.ConfirmedFlush != first.end {
		t.Errorf("confirmed %v, want %s (%v)", slot.ConfirmedFlush, first.end, err)
	}
	// What was not confirmed comes again, whole; asking below doesn't help.
	again, err := s.StartStream(t.Context(), 1, false)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close(t.Context())
	txs, _ = decode(t, again, func(x tx) bool { return len(x.rows) > 0 })
	if got := txs[len(txs)-1]; got.end <= first.end || !strings.HasPrefix(got.rows[0], `"2"|`) {
		t.Errorf("resumed with %v", got)
	}
}

func TestStreamWaitsAndWakes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "CREATE TABLE t (id int PRIMARY KEY)")
	w.publish()
	s := w.server()
	w.slot(s).Close(t.Context())
	st := w.stream(s)
	// Cancelled, timed out, and used again after both.
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		_, err := st.Next(ctx)
		for err == nil {
			_, err = st.Next(ctx)
		}
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Next beyond its deadline: %v", err)
		}
		ctx, cancel = context.WithCancel(t.Context())
		go cancel()
		for err = nil; err == nil; { // what came before is still given out
			_, err = st.Next(ctx)
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("cancelled Next: %v", err)
		}
	}
	if st.Buffered() {
		t.Error("Buffered without a message")
	}
	w.exec("INSERT INTO t SELECT generate_series(1, 3)")
	txs, _ := decode(t, st, func(x tx) bool { return len(x.rows) > 0 })
	if got := txs[len(txs)-1].rows; len(got) != 3 {
		t.Errorf("rows %v", got)
	}
}

func TestStreamServerEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "CREATE TABLE t (id int PRIMARY KEY)")
	w.publish()
	s := w.server()
	w.slot(s).Close(t.Context())
	st := w.stream(s)
	w.admin("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '" + w.cfg.Slot + "'")
	var err error
	for err == nil {
		_, err = st.Next(t.Context())
	}
	var f *change.Fault
	if !errors.As(err, &f) || f.Scope != change.ScopeRetry {
		t.Errorf("Next after pg_terminate_backend: %v", err)
	}
	if err := st.Close(t.Context()); err == nil {
		t.Log("Close of a broken stream gave no error")
	}
}

// TestStreamBatchedReads drains a backlog that is older than the limit, so
// that reads are batched, and then must be as quick as ever.
func TestStreamBatchedReads(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "CREATE TABLE t (id int PRIMARY KEY)")
	w.publish()
	s := w.server()
	w.slot(s).Close(t.Context())
	const n = 3000
	w.exec("DO $$ BEGIN FOR i IN 1..3000 LOOP INSERT INTO t VALUES (i); COMMIT; END LOOP; END $$")
	w.admin("SELECT pg_sleep(1.1)")
	st := w.stream(s)
	rows := 0
	decode(t, st, func(x tx) bool { rows += len(x.rows); return rows == n })
	for i := range 20 {
		w.exec(fmt.Sprintf("INSERT INTO t VALUES (%d)", -i-1))
		txs, _ := decode(t, st, func(x tx) bool { return len(x.rows) > 0 })
		if got, want := txs[len(txs)-1].rows[0], fmt.Sprintf(`"%d"|`, -i-1); got != want {
			t.Fatalf("row %s, want %s", got, want)
		}
	}
}
