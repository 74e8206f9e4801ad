package redshift

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/walshift/walshift/test/redshift/internal/lex"
	"github.com/walshift/walshift/test/redshift/internal/sqlrule"
)

// simpleQuery serves one Query message: its statements are one implicit
// transaction.
func (c *session) simpleQuery(text string) error {
	ctx, done := c.statementContext()
	defer done()
	err := func() error {
		toks, err := scan(text)
		if err != nil {
			return err
		}
		parts := lex.Split(toks)
		if len(parts) == 0 {
			c.cl.Send(&pgproto3.EmptyQueryResponse{})
			return nil
		}
		c.tx.batch = len(parts) > 1
		for i, part := range parts {
			out, err := c.one(ctx, text, part)
			if err != nil {
				return err
			}
			if i == len(parts)-1 {
				if err := c.endImplicit(ctx, true); err != nil {
					return err
				}
			}
			if out.empty {
				c.cl.Send(&pgproto3.EmptyQueryResponse{})
			} else {
				c.cl.Send(&pgproto3.CommandComplete{CommandTag: []byte(out.tag)})
			}
		}
		return nil
	}()
	c.tx.batch = false
	if err != nil {
		if err = c.sendError(err); err != nil {
			return err
		}
		if err = c.endImplicit(ctx, false); err != nil {
			return err
		}
	}
	return c.ready()
}

func (c *session) ready() error {
	c.cl.Send(&pgproto3.ReadyForQuery{TxStatus: c.status()})
	if err := c.cl.Flush(); err != nil {
		return fmt.Errorf("answering client: %w", err)
	}
	return nil
}

// sendError tells the client of an error; it returns one that ends the session.
func (c *session) sendError(err error) error {
	resp, ok := errorResponse(err)
	if resp == nil {
		return err
	}
	c.cl.Send(resp)
	if !ok {
		_ = c.cl.Flush()
		return err
	}
	return nil
}

// scan cuts a text into tokens, if it is not too long.
func scan(text string) ([]lex.Token, error) {
	if len(text) > sqlrule.MaxStatement {
		return nil, refusal(sqlrule.CodeTooComplex, fmt.Sprintf("Statement is too large. Statement Size: %d bytes. Maximum Allowed: %d bytes", len(text), sqlrule.MaxStatement))
	}
	toks, err := lex.Scan(text)
	if err != nil {
		return nil, refusal(sqlrule.CodeSyntax, err.Error())
	}
	return toks, nil
}

// compile applies the rules to one statement. What is refused aborts an open
// transaction.
func (c *session) compile(text string, toks []lex.Token) (*sqlrule.Statement, error) {
	started := time.Now()
	st, err := sqlrule.Compile(text, toks, c.options())
	if err == nil && c.srv.cfg.Grammar != nil {
		if bad := c.srv.cfg.Grammar(st.SQL); bad != nil {
			err = refusal(sqlrule.CodeSyntax, bad.Error())
		}
	}
	if err == nil {
		return st, nil
	}
	if c.b.tx == 'E' {
		err = aborted()
	}
	if fatal := c.abort(); fatal != nil {
		err = fatal
	}
	c.log(&sqlrule.Statement{SQL: text[toks[0].Pos:toks[len(toks)-1].End]}, outcome{}, started, err)
	return nil, err
}

// one runs one statement of a Query message.
func (c *session) one(ctx context.Context, text string, toks []lex.Token) (outcome, error) {
	st, err := c.compile(text, toks)
	if err != nil {
		return outcome{}, err
	}
	if err := c.fillVariables(st); err != nil {
		return outcome{}, err
	}
	return c.perform(ctx, st, c.simpleRunner(st))
}

// fillVariables hands the backend what functions of this session return: its
// own settings would be rolled back with a transaction.
func (c *session) fillVariables(st *sqlrule.Statement) error {
	if st.Words["sys_query_history"] {
		if err := c.srv.flushHistory(); err != nil {
			return err
		}
	}
	if c.b.tx == 'E' {
		return nil
	}
	if st.Words["current_setting"] {
		for name, value := range c.settings {
			if _, err := c.ask("SELECT set_config(" + sqlrule.QuoteText("rs.setting_"+name) + ", " + sqlrule.QuoteText(value) + ", false)"); err != nil {
				return err
			}
		}
	}
	if !st.Words["pg_last_copy_count"] && !st.Words["pg_last_copy_id"] {
		return nil
	}
	_, err := c.ask(fmt.Sprintf("SELECT set_config('rs.last_copy_count', '%d', false), set_config('rs.last_copy_id', '%d', false)", c.copyCount, c.copyID))
	return err
}
