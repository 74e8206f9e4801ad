package redshift

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/walshift/walshift/test/redshift/internal/sqlrule"
)

// relation is a relation that a statement names.
type relation struct {
	name   sqlrule.Name
	oid    uint32
	kind   string
	schema string
	// large are the columns of types whose values may exceed 64 KB.
	large []string
	newer bool
}

func (r relation) user() bool {
	return r.schema != "pg_catalog" && r.schema != "information_schema"
}

// leaderOnly reports whether the relation exists on the leader node only, so
// that it cannot be joined with user tables.
func (r relation) leaderOnly() bool {
	return r.schema == "information_schema" || r.schema == "pg_catalog" &&
		(strings.HasPrefix(r.name.Table, "pg_") || strings.HasPrefix(r.name.Table, "svv_"))
}

// touches reports whether the statement's tables are to be looked at.
func touches(k sqlrule.Kind) bool {
	switch k {
	case sqlrule.Select, sqlrule.Insert, sqlrule.Update, sqlrule.Delete, sqlrule.Merge, sqlrule.Copy, sqlrule.Unload, sqlrule.CreateAs, sqlrule.Truncate, sqlrule.AlterTable:
		return true
	default:
		return false
	}
}

// checkTables takes the table lock that a write needs, takes the snapshot, and
// applies the rules that depend on what the names stand for.
func (c *session) checkTables(st *sqlrule.Statement) error {
	if !touches(st.Kind) {
		return nil
	}
	if st.Exclusive && st.Kind != sqlrule.Truncate && st.Kind != sqlrule.AlterTable {
		if _, err := c.ask("LOCK TABLE " + st.Target.SQL() + " IN SHARE ROW EXCLUSIVE MODE"); err != nil {
			return err
		}
	}
	had := c.tx.snapshot
	if !had {
		c.tx.snapshot, c.tx.seq = true, c.srv.commits.Load()
	}
	names := st.Refs
	writesTarget := st.Target.Table != "" && st.Kind != sqlrule.CreateAs
	if writesTarget {
		names = append([]sqlrule.Name{st.Target}, st.Refs...)
	}
	c.leader = st.LeaderFunc != ""
	if len(names) == 0 {
		return checkLeader(st, nil)
	}
	rels, err := c.resolve(names)
	if err != nil {
		return err
	}
	for _, r := range rels {
		if r.newer && had {
			return refusalDetail("XX000", "1018", fmt.Sprintf("relation %d is newer than the transaction's snapshot", r.oid))
		}
	}
	if writesTarget && len(rels) > 0 && rels[0].name == st.Target {
		if err := c.checkTarget(st, rels[0]); err != nil {
			return err
		}
	}
	for _, r := range rels {
		c.leader = c.leader || r.leaderOnly()
	}
	if st.Kind == sqlrule.Merge && len(rels) > 0 && rels[0].name == st.Target {
		if err := c.checkMergeSource(st, rels); err != nil {
			return err
		}
	}
	if err := checkLeader(st, rels); err != nil {
		return err
	}
	return c.checkLarge(st, rels)
}

// checkTarget refuses views, and writes over what another transaction has
// written since the snapshot.
func (c *session) checkTarget(st *sqlrule.Statement, r relation) error {
	if r.kind != "r" && st.Kind != sqlrule.AlterTable {
		return refusal(sqlrule.CodeUnsupported, fmt.Sprintf("%q is not a table", r.name.Table))
	}
	if !r.user() {
		return refusal(sqlrule.CodeNoPrivilege, fmt.Sprintf("permission denied: %q is a system catalog", r.name.Table))
	}
	if !st.Exclusive {
		return nil
	}
	t := c.srv.table(r.oid)
	c.srv.mu.Lock()
	stale := t.written > c.tx.seq
	c.srv.mu.Unlock()
	if stale && !c.tx.written[r.oid] {
		return violation(r.oid, int(c.b.pid))
	}
	if c.tx.written == nil {
		c.tx.written = map[uint32]bool{}
	}
	c.tx.written[r.oid] = true
	return nil
}

// resolve finds the relations among names. Names come from the catalog as it
// is now, the rest as the transaction's snapshot has it.
func (c *session) resolve(names []sqlrule.Name) ([]relation, error) {
	seen := map[sqlrule.Name]bool{}
	var list []string
	var unique []sqlrule.Name
	for _, n := range names {
		if !seen[n] {
			seen[n] = true
			unique = append(unique, n)
			list = append(list, sqlrule.QuoteText(n.SQL()))
		}
	}
	rows, err := c.ask("SELECT r.i, r.o::oid::bigint, coalesce(c.relkind::text, ''), coalesce(n.nspname::text, '')," +
		" (SELECT string_agg(a.attname::text, ',') FROM pg_attribute a WHERE a.attrelid = r.o AND NOT a.attisdropped" +
		" AND a.atttypid IN ('pg_catalog.super'::regtype, 'pg_catalog.varbyte'::regtype))," +
		" (c.oid IS NULL)::text" +
		" FROM (SELECT i, to_regclass(n) AS o FROM unnest(ARRAY[" + strings.Join(list, ",") + "]) WITH ORDINALITY AS x(n, i)) AS r" +
		" LEFT JOIN pg_class c ON c.oid = r.o LEFT JOIN pg_namespace n ON n.oid = c.relnamespace WHERE r.o IS NOT NULL ORDER BY r.i")
	if err != nil {
		return nil, err
	}
	out := make([]relation, 0, len(rows))
	for i := range rows {
		n, err := strconv.Atoi(rows.text(i, 0))
		if err != nil {
			return nil, fmt.Errorf("resolving relations: %w", err)
		}
		oid, err := strconv.ParseUint(rows.text(i, 1), 10, 32)
		if err != nil {
			return nil, fmt.Errorf("resolving relations: %w", err)
		}
		r := relation{name: unique[n-1], oid: uint32(oid), kind: rows.text(i, 2), schema: rows.text(i, 3), newer: rows.text(i, 5) == "true"}
		if s := rows.text(i, 4); s != "" {
			r.large = strings.Split(s, ",")
		}
		out = append(out, r)
	}
	return out, nil
}

// checkLeader refuses to mix what only the leader node has with user tables.
func checkLeader(st *sqlrule.Statement, rels []relation) error {
	user, leader := st.Kind == sqlrule.CreateAs, st.LeaderFunc != ""
	for _, r := range rels {
		user = user || r.user() && r.kind != ""
		leader = leader || r.leaderOnly()
	}
	if st.Kind == sqlrule.Insert && !st.Words["select"] || st.Kind == sqlrule.AlterTable {
		return nil
	}
	if st.Words["listagg"] && leader && st.LeaderFunc == "" || user && leader {
		return refusal(sqlrule.CodeUnsupported, "Specified types or functions (one per INFO message) not supported on Redshift tables.")
	}
	return nil
}

// isTable refuses what is not a table, where a statement works on tables only.
func (c *session) isTable(n sqlrule.Name) error {
	if n.Table == "" {
		return nil
	}
	rels, err := c.resolve([]sqlrule.Name{n})
	if err != nil {
		return err
	}
	if len(rels) == 0 {
		return refusal("42P01", fmt.Sprintf("relation %q does not exist", n.String()))
	}
	if k := rels[0].kind; k != "r" && k != "m" {
		return refusal(sqlrule.CodeUnsupported, fmt.Sprintf("%q is not a table", n.Table))
	}
	return nil
}

// checkMergeSource refuses a source view that reads the target.
func (c *session) checkMergeSource(st *sqlrule.Statement, rels []relation) error {
	bad := refusal(sqlrule.CodeUnsupported, "Source view/subquery in Merge statement cannot reference target table")
	for _, n := range st.Refs {
		if n != st.Target && c.lateReads(n, st.Target.Table) {
			return bad
		}
	}
	for _, r := range rels[1:] {
		if r.kind != "v" && r.kind != "m" {
			continue
		}
		found, err := c.ask(fmt.Sprintf("WITH RECURSIVE v(o) AS (SELECT %d::oid UNION SELECT d.refobjid FROM v JOIN pg_rewrite w ON w.ev_class = v.o"+
			" JOIN pg_depend d ON d.objid = w.oid AND d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass) SELECT 1 FROM v WHERE o = %d", r.oid, rels[0].oid))
		if err != nil {
			return err
		}
		if len(found) > 0 {
			return bad
		}
	}
	return nil
}

// maxJoined is the size above which a SUPER value breaks joins and windows. Of
// VARBYTE nothing is known, so it is taken to be no better.
const maxJoined = 65535

// checkLarge fails where a join or a window would carry a large value.
func (c *session) checkLarge(st *sqlrule.Statement, rels []relation) error {
	if !st.Joins {
		return nil
	}
	for _, r := range rels {
		whole := st.Star || r.name == st.Target
		for _, col := range r.large {
			if !whole && !st.Words[col] {
				continue
			}
			found, err := c.ask("SELECT 1 FROM " + r.name.SQL() + " WHERE rs_types.bytes(" + sqlrule.QuoteName(col) + ") > " + strconv.Itoa(maxJoined) + " LIMIT 1")
			if err != nil {
				return err
			}
			if len(found) > 0 {
				return refusalDetail("XX000", "String value exceeds the max size of 65535 bytes", "code: 8001")
			}
		}
	}
	return nil
}
