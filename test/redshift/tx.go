package redshift

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/walshift/walshift/test/redshift/internal/sqlrule"
)

// maxTxText bounds what is kept of a transaction's statements for matching
// faults at its COMMIT.
const maxTxText = 256 << 10

// txState is the transaction as the client and the rules see it.
type txState struct {
	// implicit says that the backend's transaction is that of one statement or
	// one batch, so that the client sees none.
	implicit bool
	// batch says that the message holds several statements.
	batch bool
	// snapshot says that the snapshot is taken; seq is the last commit in it.
	snapshot bool
	seq      uint64
	wrote    bool
	written  map[uint32]bool
	text     strings.Builder
	// late are the late-binding views made, or dropped (nil), by the transaction.
	late map[sqlrule.Name]*string
	// saved are the parameters as they were when the transaction first set one,
	// local those that end with it.
	saved map[string]string
	local map[string]bool
	// cursor is the one that is open.
	cursor string
}

// status is the transaction status of ReadyForQuery.
func (c *session) status() byte {
	if c.tx.implicit {
		return 'I'
	}
	return c.b.tx
}

// inBlock reports whether a statement would run in a transaction block.
func (c *session) inBlock() bool { return c.status() != 'I' || c.tx.batch }

func (c *session) resetTx() {
	batch := c.tx.batch
	c.tx = txState{batch: batch}
	for name := range c.portals {
		delete(c.portals, name)
	}
}

// ensureTx opens the implicit transaction of a statement.
func (c *session) ensureTx() error {
	if c.b.tx != 'I' {
		return nil
	}
	if _, err := c.ask("BEGIN"); err != nil {
		return err
	}
	c.tx.implicit = true
	return nil
}

// endImplicit ends the implicit transaction, if there is one.
func (c *session) endImplicit(ctx context.Context, ok bool) error {
	if !c.tx.implicit {
		return nil
	}
	if ok && c.b.tx == 'T' {
		return c.commit(ctx)
	}
	return c.rollback()
}

func (c *session) rollback() error {
	_, err := c.ask("ROLLBACK")
	c.restoreSettings(false)
	c.resetTx()
	return err
}

// commit ends the backend's transaction, with costs and faults.
func (c *session) commit(ctx context.Context) error {
	counts := c.tx.wrote || !c.tx.implicit
	text := c.tx.text.String()
	if counts {
		if err := c.srv.cfg.Faults.wait(ctx); err != nil {
			return errCut
		}
		if c.tx.wrote {
			if err := c.sleep(ctx, c.srv.costs().Commit); err != nil {
				return err
			}
		}
		if err := c.strikeCommit(ctx, BeforeCommit, text); err != nil {
			return err
		}
	}
	seq := c.srv.commits.Add(1)
	for oid := range c.tx.written {
		t := c.srv.table(oid)
		c.srv.mu.Lock()
		t.written = max(t.written, seq)
		c.srv.mu.Unlock()
	}
	_, err := c.ask("COMMIT")
	if err == nil {
		c.publishLate()
	}
	c.restoreSettings(err == nil)
	c.resetTx()
	if err != nil || !counts {
		return err
	}
	c.srv.counters.commits.Add(1)
	return c.strikeCommit(ctx, AfterCommit, text)
}

func (c *session) strikeCommit(ctx context.Context, at Point, text string) error {
	for _, f := range c.srv.cfg.Faults.strike(at, c.user, text) {
		if err := c.fault(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// fault does what a fault says.
func (c *session) fault(ctx context.Context, f Fault) error {
	switch f.Do {
	case Delay:
		return c.sleep(ctx, f.Delay)
	case Cut:
		c.drop()
		return errCut
	case Serialization:
		return violation(0, int(c.b.pid))
	case NewerRelation:
		return refusalDetail("XX000", "1018", "relation is newer than the transaction's snapshot")
	case Deadlock:
		return refusalDetail("40P01", "deadlock detected", fmt.Sprintf("Process %d waits for a lock held by another transaction.", c.b.pid))
	case Refuse:
		return refusal(or(f.SQLState, "XX000"), or(f.Message, "refused by a fault"))
	}
	return nil
}

// violation is the error of a transaction that cannot be serialised.
func violation(table uint32, pid int) *sqlrule.Refusal {
	return refusalDetail("XX000", "1023", fmt.Sprintf(
		"Serializable isolation violation on table - %d, transactions forming the cycle are: %d, %d (pid:%d)", table, pid*2, pid*2+1, pid))
}

// transaction runs BEGIN, COMMIT and ROLLBACK.
func (c *session) transaction(ctx context.Context, st *sqlrule.Statement) (string, error) {
	switch st.Kind {
	case sqlrule.Begin:
		if c.b.tx == 'E' {
			return "", aborted()
		}
		if c.b.tx == 'I' {
			sql := "BEGIN"
			if st.Value != "" {
				sql += " " + st.Value
			}
			if _, err := c.ask(sql); err != nil {
				return "", err
			}
		}
		c.tx.implicit = false
		return st.Tag, nil
	case sqlrule.Commit:
		if c.b.tx == 'T' {
			c.tx.implicit = false
			return "COMMIT", c.commit(ctx)
		}
		if c.b.tx == 'E' {
			return "ROLLBACK", c.rollback()
		}
		return "COMMIT", nil
	default:
		if c.b.tx == 'I' {
			return "ROLLBACK", nil
		}
		return "ROLLBACK", c.rollback()
	}
}

func aborted() error {
	return refusal("25P02", "current transaction is aborted, commands ignored until end of transaction block")
}

// abort puts an open transaction into the failed state, after an error that
// PostgreSQL has not seen.
func (c *session) abort() error {
	if c.b.tx != 'T' {
		return nil
	}
	_, _, err := c.b.query("rs_abort")
	return err
}

// remember keeps a statement's text for the faults at COMMIT.
func (c *session) remember(sql string) {
	if room := maxTxText - c.tx.text.Len(); room > 0 {
		c.tx.text.WriteString(sql[:min(len(sql), room)])
		c.tx.text.WriteByte('\n')
	}
}

// charge waits for what the statement would cost on a cluster.
func (c *session) charge(ctx context.Context, st *sqlrule.Statement) error {
	p := c.srv.costs()
	var d time.Duration
	switch st.Kind {
	case sqlrule.Copy:
		d = p.Copy
	case sqlrule.Merge:
		d = p.Merge
	case sqlrule.CreateTable, sqlrule.CreateAs:
		d = p.TempTable
	case sqlrule.Insert, sqlrule.Update, sqlrule.Delete, sqlrule.Truncate, sqlrule.AlterTable:
		d = p.DML
	default:
	}
	return c.sleep(ctx, d)
}
