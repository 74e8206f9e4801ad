package redshift

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/walshift/walshift/test/redshift/internal/sqlrule"
)

// outcome is what a statement gave.
type outcome struct {
	tag   string
	rows  int64
	bytes int64
	// suspended says that a portal has more rows.
	suspended, empty bool
}

// runner runs a statement's own text on the backend.
type runner func() (answer, error)

// perform runs one accepted statement, with everything that goes around it.
// Errors that the client may see leave the transaction as Redshift would.
func (c *session) perform(ctx context.Context, st *sqlrule.Statement, run runner) (outcome, error) {
	started := time.Now()
	out, err := c.guarded(ctx, st, run)
	if err != nil {
		if ctx.Err() != nil && c.srv.ctx.Err() == nil && !errors.Is(err, errCut) && !errors.Is(err, errBackend) {
			err = refusal("57014", "canceling statement due to user request")
		}
		if _, ok := errorResponse(err); ok {
			if fatal := c.abort(); fatal != nil {
				err = fatal
			}
		}
	}
	c.log(st, out, started, err)
	return out, err
}

func (c *session) guarded(ctx context.Context, st *sqlrule.Statement, run runner) (outcome, error) {
	c.leader = false
	ends := st.Kind == sqlrule.Commit || st.Kind == sqlrule.Rollback
	if c.b.tx == 'E' && !ends {
		return outcome{}, aborted()
	}
	for _, f := range c.srv.cfg.Faults.strike(BeforeStatement, c.user, st.SQL) {
		if err := c.fault(ctx, f); err != nil {
			return outcome{}, err
		}
	}
	if !ends {
		c.remember(st.SQL)
	}
	out, err := c.dispatch(ctx, st, run)
	if err != nil {
		return out, err
	}
	for _, f := range c.srv.cfg.Faults.strike(AfterStatement, c.user, st.SQL) {
		if err := c.fault(ctx, f); err != nil {
			return outcome{}, err
		}
	}
	return out, nil
}

// dispatch runs a statement in its transaction.
func (c *session) dispatch(ctx context.Context, st *sqlrule.Statement, run runner) (outcome, error) {
	switch st.Kind {
	case sqlrule.Begin, sqlrule.Commit, sqlrule.Rollback:
		tag, err := c.transaction(ctx, st)
		return outcome{tag: tag}, err
	case sqlrule.Set:
		return c.set(st)
	case sqlrule.Show:
		return c.show1(st, run)
	default:
	}
	if st.Block != "" && !c.inBlock() {
		return outcome{}, refusal("25P01", st.Block+" can only be used in transaction blocks")
	}
	if st.NoBlock != "" && c.inBlock() {
		return outcome{}, refusal("25001", st.NoBlock+" cannot run inside a transaction block")
	}
	if st.NoBlock == "VACUUM" {
		if err := c.isTable(st.Target); err != nil {
			return outcome{}, err
		}
		a, err := run()
		return outcome{tag: st.Tag, rows: a.rows}, err
	}
	if st.Tag == "CALL" {
		if !c.inBlock() { // a procedure may commit
			a, err := run()
			return outcome{tag: st.Tag, rows: a.rows}, err
		}
		if err := c.checkAtomic(st); err != nil {
			return outcome{}, err
		}
	}
	if err := c.ensureTx(); err != nil {
		return outcome{}, err
	}
	if err := c.checkTables(st); err != nil {
		return outcome{}, err
	}
	if err := c.charge(ctx, st); err != nil {
		return outcome{}, err
	}
	return c.inTx(ctx, st, run)
}

// checkAtomic refuses a procedure that truncates: TRUNCATE would commit the open
// transaction.
func (c *session) checkAtomic(st *sqlrule.Statement) error {
	r, err := c.ask("SELECT 1 FROM pg_proc WHERE proname = " + sqlrule.QuoteText(sqlrule.Short(st.Target.Table)) + " AND prosrc ~* '[[:<:]]truncate[[:>:]]'")
	if err != nil || len(r) == 0 {
		return err
	}
	return refusal(sqlrule.CodeUnsupported, "TRUNCATE cannot be invoked from a procedure that is executing in an atomic context.")
}

// inTx runs a statement whose transaction is open.
func (c *session) inTx(ctx context.Context, st *sqlrule.Statement, run runner) (outcome, error) {
	switch st.Kind {
	case sqlrule.Select, sqlrule.Lock, sqlrule.Unload:
	default:
		c.tx.wrote = c.tx.wrote || writes(st)
	}
	switch st.Kind {
	case sqlrule.Copy:
		return c.runCopy(ctx, st)
	case sqlrule.Unload:
		return c.runUnload(ctx, st)
	case sqlrule.AlterTable:
		return c.runAlter(st, run)
	case sqlrule.LateView:
		return c.createLateView(st)
	case sqlrule.DropView:
		if done, err := c.dropLateView(st); done || err != nil {
			return outcome{tag: "DROP VIEW"}, err
		}
	case sqlrule.CreateTable:
		return c.runCreate(st, run)
	default:
	}
	if st.CursorVerb == "declare" && c.tx.cursor != "" {
		return outcome{}, refusal(sqlrule.CodeUnsupported, "DECLARE CURSOR: only one cursor may be open in a session")
	}
	a, err := run()
	if err != nil {
		return outcome{}, err
	}
	switch st.CursorVerb {
	case "declare":
		c.tx.cursor = st.Cursor
	case "close":
		c.tx.cursor = ""
	}
	out := outcome{tag: a.tag, rows: a.rows, suspended: a.suspend, empty: a.empty}
	if st.Tag != "" {
		out.tag = st.Tag
	}
	switch st.Kind {
	case sqlrule.CreateAs:
		err = c.afterCreateAs(st)
	case sqlrule.Truncate: // commits whatever is open
		c.tx.implicit = false
		err = c.commit(ctx)
	default:
	}
	return out, err
}

// writes reports whether the statement's COMMIT costs something.
func writes(st *sqlrule.Statement) bool {
	if st.Kind != sqlrule.Utility {
		return true
	}
	switch word, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(st.SQL)), " "); word {
	case "explain", "fetch", "close", "declare", "prepare", "deallocate", "execute":
		return false
	}
	return true
}

// simpleRunner runs the statement's texts by the simple protocol.
func (c *session) simpleRunner(st *sqlrule.Statement) runner {
	return func() (answer, error) {
		var first answer
		for i, sql := range st.Backend {
			a, err := c.simple(sql, i == 0)
			if err != nil {
				return a, err
			}
			if i == 0 {
				first = a
			}
		}
		return first, nil
	}
}
