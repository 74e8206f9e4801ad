package sqlrule

import (
	"strings"

	"github.com/walshift/walshift/test/redshift/internal/lex"
)

// utility handles the statements that are neither queries, DML nor DDL.
func (c *compiler) utility() error {
	c.st.Kind = Utility
	switch t := c.at(0); t.Val {
	case "lock":
		return c.lock()
	case "set":
		return c.set()
	case "reset":
		return c.resetSetting()
	case "show":
		return c.show()
	case "vacuum":
		return c.vacuum()
	case "analyze", "analyse":
		return c.analyze()
	case "explain":
		return c.explain()
	case "grant", "revoke":
		return c.grant()
	case "comment":
		return c.comment()
	case "call":
		return c.call()
	case "declare", "fetch", "close":
		return c.cursor()
	case "prepare", "execute", "deallocate":
		return c.preparedStatement()
	case "refresh":
		return c.refresh()
	case "unload":
		return c.unload()
	case "cancel":
		if n := c.at(1); n.Kind == lex.Number && (len(c.toks) == 2 || len(c.toks) == 3 && c.at(2).Kind == lex.String) {
			c.st.Backend = []string{"SELECT rs_cancel_backend(" + n.Text + ")"}
			c.st.Tag = "CANCEL"
			return nil
		}
	}
	return syntaxAt(c.at(0))
}

func (c *compiler) explain() error {
	n := 1
	if c.at(n).Is("verbose") {
		n++
	}
	if c.at(n).Is("analyze") || c.at(n).Is("(") {
		return syntaxAt(c.at(n))
	}
	if n >= len(c.toks) {
		return syntaxAt(c.at(n))
	}
	inner, err := Compile(c.src, c.toks[n:], c.opt)
	if err != nil {
		return err
	}
	switch inner.Kind {
	case Select, Insert, Update, Delete, Merge, CreateAs:
	default:
		return syntaxAt(c.at(n))
	}
	c.st.Refs, c.st.Words = inner.Refs, inner.Words
	c.st.Backend = []string{"EXPLAIN " + inner.Backend[0]}
	c.st.Tag = "EXPLAIN"
	return nil
}

func (c *compiler) lock() error {
	c.i++
	c.accept("table")
	if err := c.target(Lock, false); err != nil {
		return err
	}
	names := []string{c.st.Target.SQL()}
	for c.accept(",") {
		n, err := c.qname()
		if err != nil {
			return err
		}
		names = append(names, n.SQL())
	}
	c.st.Tag, c.st.Block = "LOCK TABLE", "LOCK TABLE"
	c.st.Backend = []string{"LOCK TABLE " + strings.Join(names, ", ") + " IN ACCESS EXCLUSIVE MODE"}
	return c.end() // no modes, no NOWAIT
}

// setting tells how a parameter is handled: by PostgreSQL, by the server in
// front, or not at all.
type setting uint8

const (
	settingUnknown setting = iota
	settingBackend
	settingOwn
)

func settingKind(name string) setting {
	switch name {
	case "search_path", "statement_timeout", "datestyle", "timezone", "extra_float_digits", "application_name", "client_encoding":
		return settingBackend
	case "query_group", "seed", "enable_case_sensitive_identifier", "enable_result_cache_for_session", "wlm_query_slot_count",
		"analyze_threshold_percent", "json_parse_truncate_strings", "mv_enable_aqmv_for_session", "default_geometry_encoding",
		"describe_field_name_in_uppercase", "enable_vacuum_boost", "cast_super_null_on_error", "navigate_super_null_on_error",
		"parse_super_null_on_error", "enable_numeric_rounding", "interval_forbid_composite_literals", "stored_proc_log_min_messages",
		"spectrum_query_maxerror", "wlm_json_configuration", "query_priority", "error_on_nondeterministic_update", "enable_case_sensitive_super_attribute",
		"max_cursor_result_set_size", "use_fips_ssl", "require_ssl", "auto_analyze", "enable_large_strings_opt_in", "json_serialize_mode",
		"downcast_delimited_varchar", "pg_federation_repeatable_read", "numeric_rounding":
		return settingOwn
	}
	return settingUnknown
}

func unknownSetting(name string) *Refusal {
	return refuse(CodeUndefinedType, "unrecognized configuration parameter %q", name)
}

func (c *compiler) set() error {
	c.i++
	c.st.Kind, c.st.Tag = Set, "SET"
	switch {
	case c.accept("local"):
		c.st.Local = true
	case c.is("session", "authorization"), c.is("session_authorization"):
		return c.authorization()
	case c.is("session") && !c.is("session", "characteristics"):
		c.i++
	}
	t := c.at(0)
	if t.Is("transaction") || t.Is("session") || t.Is("constraints") || t.Is("role") {
		return unsupportedCommand(c.st.SQL)
	}
	if c.is("time", "zone") {
		c.st.Setting = "timezone"
		c.i += 2
		return c.setValue()
	}
	if !t.IsName() {
		return syntaxAt(t)
	}
	c.st.Setting = lex.Lower(t.Val)
	c.i++
	if !c.accept("to") {
		if err := c.expect("="); err != nil {
			return err
		}
	}
	return c.setValue()
}

func (c *compiler) setValue() error {
	if c.done() {
		return syntaxAt(c.at(0))
	}
	if c.is("default") {
		c.st.Reset = true
	}
	var parts []string
	for ; !c.done(); c.i++ {
		t := c.at(0)
		switch {
		case t.Kind == lex.Quoted:
			parts = append(parts, c.fold(t))
		case t.Kind == lex.Prefixed || t.Kind == lex.Dollar || t.Kind == lex.Param:
			return syntaxAt(t)
		case t.Is(","):
		case t.Is("-") && c.at(1).Kind == lex.Number:
			c.i++
			parts = append(parts, "-"+c.at(0).Val)
		default:
			parts = append(parts, t.Val)
		}
	}
	c.st.Value = strings.Join(parts, ", ")
	switch settingKind(c.st.Setting) {
	case settingBackend:
		c.st.Backend = []string{c.renderAll()}
	case settingOwn:
	default:
		return unknownSetting(c.st.Setting)
	}
	return nil
}

func (c *compiler) authorization() error {
	if !c.opt.Superuser {
		return refuse(CodeNoPrivilege, "permission denied to set session authorization")
	}
	return refuse(CodeUnsupported, "SET SESSION AUTHORIZATION is not part of this stand-in")
}

func (c *compiler) resetSetting() error {
	c.i++
	c.st.Kind, c.st.Tag, c.st.Reset = Set, "RESET", true
	t := c.at(0)
	if !t.IsName() {
		return syntaxAt(t)
	}
	c.i++
	c.st.Setting = lex.Lower(t.Val)
	switch settingKind(c.st.Setting) {
	case settingBackend:
		c.st.Backend = []string{c.renderAll()}
	case settingOwn:
	default:
		return unknownSetting(c.st.Setting)
	}
	return c.end()
}
