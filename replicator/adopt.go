package replicator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/walshift/walshift/checkpoint"
	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/source"
)

// This file is snapshot.mode never: the targets are taken as they are.
//
// The operator states L, the position at which they hold exactly the
// transactions that ended at or below it. That is sound when everything after L
// can still be read: the slot must exist, and must not be confirmed beyond L.
// Transactions at or below L that it still sends are dropped. walshift makes no
// slot here: one that is made now begins above everything that has happened, so
// that what lies between L and its beginning would be lost without a trace.

// adopt begins a pipeline at the stated position. It can be repeated after any
// interruption: until the log begins, nothing has been applied.
func (r *Replicator) adopt(ctx, drain context.Context) error {
	plan, err := r.src.Preflight(ctx)
	if err != nil {
		return unreachable(err, "check that the source is up, and host, port and sslmode in source.dsn")
	}
	for i := range plan.Warnings {
		r.log.Warn("source_warning", zap.Stringer("warning", plan.Warnings[i]))
	}
	id, err := r.src.Identity(ctx)
	if err != nil {
		return err
	}
	if err := r.checkStart(ctx, id); err != nil {
		return err
	}
	rels := plan.Relations()
	if err := r.checkAdopted(ctx, rels); err != nil {
		return err
	}
	err = r.house.SettleNumerics(ctx, rels)
	if err == nil {
		err = r.house.CheckNumerics(rels)
	}
	if err != nil {
		return fmt.Errorf("looking at the targets' numbers: %w", err)
	}
	if _, err := r.store.Reset(ctx); err != nil {
		return fmt.Errorf("clearing the log of an unfinished start: %w", err)
	}
	at := r.cfg.StartLSN
	if err := r.house.Adopt(ctx, Start{Epoch: 1, Seq: 1, X: at, Rels: rels}); err != nil {
		return fmt.Errorf("preparing the warehouse: %w", err)
	}
	change.Reach(change.SeamAdopted)
	captures := make([]change.TableCapture, len(rels))
	for i, rel := range rels {
		captures[i] = change.TableCapture{
			OID: rel.OID, Schema: rel.Schema, Name: rel.Name, X: change.LSN(at),
			SnapshotComplete: true, Unverified: true, Relation: rel,
		}
	}
	ident := identity{pipeline: r.cfg.Pipeline, systemID: id.SystemID, timeline: id.Timeline}
	err = r.store.Commit(ctx, &change.Manifest{
		Version: change.FormatVersion, Pipeline: ident.pipeline, Epoch: 1, Attempt: newAttempt(),
		SystemID: ident.systemID, Timeline: ident.timeline, Seq: 1,
		Prev: change.LSN(at), Begin: change.LSN(at), End: change.LSN(at), Tables: captures,
	})
	if err != nil {
		return fmt.Errorf("beginning the log: %w", err)
	}
	change.Reach(change.SeamAdoptedLog)
	r.log.Warn("tables_adopted_unverified", zap.Stringer("lsn", at), zap.Int("tables", len(rels)))
	s := r.newShared(newTables(captures), 1, at)
	r.health.enter(PhaseStreaming)
	return r.loops(ctx, drain, s, ident, nil)
}

// checkStart makes sure that every change after the stated position can be read.
func (r *Replicator) checkStart(ctx context.Context, id source.Identity) error {
	at := r.cfg.StartLSN
	f := &change.Fault{Scope: change.ScopeFatal, Code: change.CodeStartMode, Op: "starting at snapshot.lsn", LSN: at}
	slot, ok, err := r.abandonedSlot(ctx)
	switch {
	case err != nil:
		return err
	case !ok:
		f.Err = fmt.Errorf("there is no slot %s, and one that is made now begins above %s: what was committed in between would be lost",
			r.cfg.Slot, at)
		f.Remedy = fmt.Sprintf("make the slot first, by SELECT lsn FROM pg_create_logical_replication_slot('%s', 'pgoutput'), "+
			"then take the copy, and state the position of the copy", r.cfg.Slot)
		return f
	case slot.ActivePID != 0:
		f.Err = fmt.Errorf("slot %s is in use by process %d of the source", slot.Name, slot.ActivePID)
		f.Remedy = "stop what reads from it, then start again"
		return f
	}
	if err := slot.Check(id.Database); err != nil {
		return err
	}
	switch {
	case *slot.ConfirmedFlush > at:
		f.Err = fmt.Errorf("slot %s is confirmed up to %s: changes in (%s, %s] can't be read any more",
			slot.Name, *slot.ConfirmedFlush, at, *slot.ConfirmedFlush)
		f.Remedy = "take a newer copy and state its position, which must not lie below the slot's, or load the tables by snapshot.mode initial"
		return f
	case at > id.FlushLSN:
		f.Err = fmt.Errorf("the source has only come to %s", id.FlushLSN)
		f.Remedy = "state the position at which the copy was taken, on this server: pg_current_wal_lsn() at that moment"
		return f
	}
	return nil
}

// abandonedSlot reads the slot, and gives the server a moment to notice that
// the process that used it has gone.
func (r *Replicator) abandonedSlot(ctx context.Context) (source.Slot, bool, error) {
	for end := time.Now().Add(abandonedAfter); ; {
		slot, ok, err := r.src.InspectSlot(ctx)
		if err != nil || !ok || slot.ActivePID == 0 || time.Now().After(end) {
			return slot, ok, err
		}
		if err := sleep(ctx, 250*time.Millisecond); err != nil {
			return slot, ok, err
		}
	}
}

// checkAdopted looks at the warehouse without changing anything.
func (r *Replicator) checkAdopted(ctx context.Context, rels []*change.Relation) error {
	st, err := r.house.Peek(ctx)
	if err != nil {
		return unreachable(fmt.Errorf("connecting to the warehouse: %w", err),
			"check that the warehouse is up, and host, port, sslmode and sslrootcert in redshift.dsn")
	}
	for i := range st.Tables {
		t := &st.Tables[i]
		if t.State == checkpoint.Live && (t.X != r.cfg.StartLSN || t.Applied != r.cfg.StartLSN || st.Seq != 1) {
			return &change.Fault{
				Scope: change.ScopeFatal, Code: change.CodeStartMode, Op: "starting", Seq: st.Seq, LSN: st.Applied, Table: t.Schema + "." + t.Name,
				Err:    errors.New("the log on S3 is empty, but the warehouse has live tables of this pipeline, at another position"),
				Remedy: "check log.url and pipeline; run `walshift teardown`, which leaves the tables, if their state is really to be stated anew",
			}
		}
	}
	return r.house.Check(ctx, rels)
}
