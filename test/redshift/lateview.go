package redshift

import (
	"fmt"
	"strings"

	"github.com/walshift/walshift/test/redshift/internal/sqlrule"
)

// createLateView keeps the text of a late-binding view; it is undone with its
// transaction.
func (c *session) createLateView(st *sqlrule.Statement) (outcome, error) {
	n, err := c.lateName(st.Target)
	if err != nil {
		return outcome{}, err
	}
	if _, ok := c.lateDefinition(n); ok && !st.Replace {
		return outcome{}, refusal("42P07", fmt.Sprintf("relation %q already exists", n.Table))
	}
	if err := c.setLateView(n, &st.Value); err != nil {
		return outcome{}, err
	}
	return outcome{tag: "CREATE VIEW"}, nil
}

func (c *session) setLateView(n sqlrule.Name, def *string) error {
	text := "NULL"
	if def != nil {
		text = sqlrule.QuoteText(*def)
	}
	if _, err := c.ask("SELECT rs_internal.set_late_view(" + sqlrule.QuoteText(n.Schema) + ", " + sqlrule.QuoteText(n.Table) + ", " + text + ")"); err != nil {
		return err
	}
	if c.tx.late == nil {
		c.tx.late = map[sqlrule.Name]*string{}
	}
	c.tx.late[n] = def
	return nil
}

// lateName gives an unqualified name the schema that a new object would have.
func (c *session) lateName(n sqlrule.Name) (sqlrule.Name, error) {
	if n.Schema != "" {
		return n, nil
	}
	r, err := c.ask("SELECT coalesce(current_schema(), 'public')")
	if err != nil {
		return n, err
	}
	n.Schema = r.text(0, 0)
	return n, nil
}

// lateDefinition gives the text of a late-binding view as this transaction sees
// it.
func (c *session) lateDefinition(n sqlrule.Name) (string, bool) {
	if def, ok := c.tx.late[n]; ok {
		if def == nil {
			return "", false
		}
		return *def, true
	}
	c.srv.mu.Lock()
	defer c.srv.mu.Unlock()
	def, ok := c.srv.late[n]
	return def, ok
}

// lateView finds a late-binding view by the name in a query.
func (c *session) lateView(n sqlrule.Name) (string, bool) {
	if n.Schema != "" {
		return c.lateDefinition(n)
	}
	if !c.knowsLate(n.Table) || c.b.tx == 'E' {
		return "", false
	}
	r, err := c.ask("SELECT unnest(current_schemas(false))")
	if err != nil {
		return "", false
	}
	for i := range r {
		if def, ok := c.lateDefinition(sqlrule.Name{Schema: r.text(i, 0), Table: n.Table}); ok {
			return def, true
		}
	}
	return "", false
}

// knowsLate reports whether any late-binding view has the name.
func (c *session) knowsLate(table string) bool {
	for n := range c.tx.late {
		if n.Table == table {
			return true
		}
	}
	c.srv.mu.Lock()
	defer c.srv.mu.Unlock()
	for n := range c.srv.late {
		if n.Table == table {
			return true
		}
	}
	return false
}

func (c *session) dropLateView(st *sqlrule.Statement) (bool, error) {
	if !c.knowsLate(st.Target.Table) {
		return false, nil
	}
	n, err := c.lateName(st.Target)
	if err != nil {
		return false, err
	}
	if _, ok := c.lateDefinition(n); !ok {
		return false, nil
	}
	return true, c.setLateView(n, nil)
}

// publishLate makes the late-binding views of a committed transaction known.
func (c *session) publishLate() {
	c.srv.mu.Lock()
	defer c.srv.mu.Unlock()
	for n, def := range c.tx.late {
		if def == nil {
			delete(c.srv.late, n)
		} else {
			c.srv.late[n] = *def
		}
	}
}

// lateReads reports whether a late-binding view's text names a table.
func (c *session) lateReads(view sqlrule.Name, table string) bool {
	def, ok := c.lateView(view)
	return ok && strings.Contains(def, table)
}
