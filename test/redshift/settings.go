package redshift

import (
	"maps"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/walshift/walshift/test/redshift/internal/sqlrule"
)

// set runs SET and RESET.
func (c *session) set(st *sqlrule.Statement) (outcome, error) {
	out := outcome{tag: st.Tag}
	if len(st.Backend) > 0 {
		_, err := c.simple(st.Backend[0], true)
		if err == nil && (st.Setting == "client_encoding" || st.Setting == "datestyle") {
			c.settings[st.Setting] = st.Value
		}
		return out, err
	}
	c.saveSettings(st)
	if st.Reset {
		delete(c.settings, st.Setting)
		return out, nil
	}
	c.settings[st.Setting] = st.Value
	return out, nil
}

// saveSettings keeps the parameters as they are, if a transaction is open that
// may take the change back.
func (c *session) saveSettings(st *sqlrule.Statement) {
	if c.b.tx == 'I' {
		return
	}
	if c.tx.saved == nil {
		c.tx.saved, c.tx.local = maps.Clone(c.settings), map[string]bool{}
	}
	c.tx.local[st.Setting] = st.Local
}

// restoreSettings ends a transaction's changes of parameters: all of them after
// a rollback, those of SET LOCAL after a commit.
func (c *session) restoreSettings(committed bool) {
	if c.tx.saved == nil {
		return
	}
	if !committed {
		c.settings = c.tx.saved
		return
	}
	for name, local := range c.tx.local {
		if !local {
			continue
		}
		if old, ok := c.tx.saved[name]; ok {
			c.settings[name] = old
		} else {
			delete(c.settings, name)
		}
	}
}

// showValue answers SHOW for the parameters that PostgreSQL does not have.
func (c *session) showValue(name string) string {
	if v, ok := c.settings[name]; ok {
		return v
	}
	switch name {
	case "server_version":
		return "8.0.2"
	case "server_encoding":
		return "UNICODE"
	case "transaction_isolation":
		return "snapshot"
	case "enable_result_cache_for_session", "mv_enable_aqmv_for_session", "cast_super_null_on_error", "navigate_super_null_on_error":
		return "on"
	case "wlm_query_slot_count":
		return "1"
	case "analyze_threshold_percent":
		return "10"
	case "query_group":
		return "unset"
	}
	return "off"
}

// show1 runs SHOW.
func (c *session) show1(st *sqlrule.Statement, run runner) (outcome, error) {
	if len(st.Backend) > 0 {
		a, err := run()
		return outcome{tag: "SHOW", rows: a.rows}, err
	}
	if run == nil {
		return outcome{}, nil
	}
	if !c.portal {
		c.cl.Send(describe(showColumns(st), nil))
	}
	c.cl.Send(&pgproto3.DataRow{Values: [][]byte{[]byte(c.showValue(st.Setting))}})
	return outcome{tag: "SHOW", rows: 1}, nil
}

func showColumns(st *sqlrule.Statement) []column {
	return []column{{field: pgproto3.FieldDescription{Name: []byte(st.Setting), DataTypeOID: oidVarchar, DataTypeSize: -1, TypeModifier: -1}}}
}
