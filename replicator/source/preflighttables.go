package source

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/walshift/walshift/replicator/change"
)

// checkTables selects the tables and looks at each.
func (s *Server) checkTables(ctx context.Context, c *pgx.Conn, p *Plan, pub publication) error {
	all, err := readTables(ctx, c, s.cfg.Publication, 0)
	if err != nil {
		return err
	}
	for i := range all {
		if r := all[i].Relation; s.cfg.Selects(r.Schema, r.Name) {
			p.Tables = append(p.Tables, all[i])
		} else {
			p.Unselected = append(p.Unselected, r.String())
		}
	}
	s.checkSelection(p)
	if err := s.checkUnpublished(ctx, c, p); err != nil {
		return err
	}
	if err := checkAccess(ctx, c, p); err != nil {
		return err
	}
	for i := range p.Tables {
		s.checkTable(p, &p.Tables[i], pub)
	}
	return checkMoney(ctx, c, p)
}

func (s *Server) checkSelection(p *Plan) {
	if len(p.Tables) == 0 {
		p.problem("tables", "", "no table of the publication is selected",
			"add tables to the publication, or widen source.tables.include")
	}
	if len(p.Unselected) > 0 {
		p.warn("publication", "", fmt.Sprintf("it holds %d tables that the configuration leaves out: %s; "+
			"their changes are sent over the network and dropped here", len(p.Unselected), names(p.Unselected)),
			"drop them from the publication")
	}
	for _, pattern := range s.cfg.Include {
		hit := slices.ContainsFunc(p.Tables, func(t Table) bool { return glob(pattern, t.Relation.String()) })
		switch {
		case hit:
		case isLiteral(pattern):
			p.problem("source.tables.include", pattern, "the table is not in the publication",
				"add it to the publication, or take it out of the configuration")
		default:
			p.warn("source.tables.include", "", fmt.Sprintf("pattern %q selects no published table", pattern), "")
		}
	}
}

// unpublishedSQL lists tables outside the publication, as far as they are not
// part of a partitioned table that is in it.
const unpublishedSQL = `SELECT n.nspname::text, c.relname::text, c.relpersistence::text
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
   AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_toast%'
   AND NOT EXISTS (SELECT 1 FROM pg_publication_tables p
                    WHERE p.pubname = $1 AND p.schemaname = n.nspname AND p.tablename = c.relname)
 ORDER BY 1, 2`

// checkUnpublished names tables that the configuration selects and the
// publication lacks. It never proposes to add one without an identity, which
// would break the application's updates (pitfall S12).
func (s *Server) checkUnpublished(ctx context.Context, c *pgx.Conn, p *Plan) error {
	rows, err := c.Query(ctx, unpublishedSQL, s.cfg.Publication)
	if err != nil {
		return classify("checking tables outside the publication", err)
	}
	var (
		schema, table, persistence string
		missing, unlogged          []string
	)
	_, err = pgx.ForEachRow(rows, []any{&schema, &table, &persistence}, func() error {
		name := schema + "." + table
		switch {
		case len(s.cfg.Include) == 0 || !s.cfg.Selects(schema, table):
		case persistence == "u":
			unlogged = append(unlogged, name)
		default:
			missing = append(missing, name)
		}
		return nil
	})
	if err != nil {
		return classify("checking tables outside the publication", err)
	}
	if len(missing) > 0 {
		p.warn("publication", "", fmt.Sprintf("%d tables are selected by source.tables.include and not published: %s",
			len(missing), names(missing)), "add those that have a primary key to the publication, or exclude them")
	}
	if len(unlogged) > 0 {
		p.warn("publication", "", fmt.Sprintf("%d unlogged tables are selected and can't be replicated: %s",
			len(unlogged), names(unlogged)), "ALTER TABLE … SET LOGGED and publish them, or exclude them")
	}
	return nil
}

// accessSQL asks about every storage relation of the plan at once. A role that
// row security applies to would read fewer rows than the stream sends (V2).
const accessSQL = `SELECT c.oid::text, has_schema_privilege(c.relnamespace, 'USAGE'), row_security_active(c.oid),
       coalesce((SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
           AND NOT has_column_privilege(c.oid, a.attnum, 'SELECT')), '[]')::text
  FROM pg_class c WHERE c.oid = ANY ($1::oid[])`

// access is what our role may do with a storage relation.
type access struct {
	usage, filtered bool
	denied          []string
}

func checkAccess(ctx context.Context, c *pgx.Conn, p *Plan) error {
	var oids []string
	for i := range p.Tables {
		for _, st := range p.Tables[i].Storage {
			oids = append(oids, strconv.FormatUint(uint64(st.OID), 10))
		}
	}
	rows, err := c.Query(ctx, accessSQL, "{"+strings.Join(oids, ",")+"}")
	if err != nil {
		return classify("checking privileges", err)
	}
	var (
		oid, denied string
		a           access
		found       = make(map[string]access, len(oids))
	)
	_, err = pgx.ForEachRow(rows, []any{&oid, &a.usage, &a.filtered, &denied}, func() error {
		a.denied = nil
		if err := json.Unmarshal([]byte(denied), &a.denied); err != nil {
			return err
		}
		found[oid] = a
		return nil
	})
	if err != nil {
		return classify("checking privileges", err)
	}
	for i := range p.Tables {
		for _, st := range p.Tables[i].Storage {
			if a, ok := found[strconv.FormatUint(uint64(st.OID), 10)]; ok {
				p.checkStorageAccess(&p.Tables[i], st, a)
			}
		}
	}
	return nil
}

func (p *Plan) checkStorageAccess(t *Table, st Storage, a access) {
	table, target := t.Relation.String(), quote(st.Schema)+"."+quote(st.Name)
	if !a.usage {
		p.problem("privileges", table, "no USAGE on schema "+quote(st.Schema), "GRANT USAGE ON SCHEMA "+quote(st.Schema)+" TO …")
	}
	var denied []string
	for _, c := range t.Relation.Columns {
		if slices.Contains(a.denied, c.Name) {
			denied = append(denied, quote(c.Name))
		}
	}
	if len(denied) > 0 {
		p.problem("privileges", table, fmt.Sprintf("no SELECT on %s (%s)", target, names(denied)),
			"GRANT SELECT ON "+target+" TO …")
	}
	if a.filtered {
		p.problem("row security", table, "policies on "+target+" would hide rows from the snapshot, but not from the stream",
			"ALTER ROLE … BYPASSRLS, or exclude the table")
	}
}

// checkTable looks at one table's definition.
func (s *Server) checkTable(p *Plan, t *Table, pub publication) {
	r := t.Relation
	name := r.String()
	if len(r.Columns) == 0 {
		p.problem("columns", name, "no column is published", "exclude the table")
	}
	if t.IsPartition && !pub.viaRoot {
		p.problem("publication", name, "partitions are published one by one",
			"ALTER PUBLICATION "+quote(s.cfg.Publication)+" SET (publish_via_partition_root = true)")
	}
	for _, st := range t.Storage {
		switch {
		case st.Kind == "f":
			p.problem("partitions", name, "partition "+st.Schema+"."+st.Name+" is a foreign table, whose changes are not in the WAL",
				"detach it, or exclude the table")
		case st.Persistence != "p":
			p.problem("persistence", name, st.Schema+"."+st.Name+" is unlogged or temporary", "SET LOGGED, or exclude the table")
		}
	}
	s.checkIdentity(p, t)
	if len(t.Generated) > 0 {
		p.warn("generated columns", name, "left out: "+names(t.Generated), "")
	}
	if t.Filter != "" {
		p.warn("row filter", name, "only rows that match the publication's filter are replicated; a row that an update "+
			"moves into it stops the table where it has large values that the update left alone",
			"use no row filter on tables with large values")
	}
}

// checkIdentity says how rows of the table can be found again.
func (s *Server) checkIdentity(p *Plan, t *Table) {
	const check = "replica identity"
	r := t.Relation
	name := r.String()
	remedy := "give the table a primary key (REPLICA IDENTITY DEFAULT), or ALTER TABLE … REPLICA IDENTITY USING INDEX " +
		"on a unique index of NOT NULL columns, or exclude the table"
	for _, st := range t.Storage {
		if st.OID != r.OID && st.Identity == string(rune(change.IdentityFull)) && r.Identity != change.IdentityFull {
			p.problem(check, name, "partition "+st.Schema+"."+st.Name+" has REPLICA IDENTITY FULL", remedy)
		}
	}
	if r.Identity == change.IdentityFull {
		p.problem(check, name, "FULL is not supported yet", remedy)
		return
	}
	if !r.HasKey() {
		p.warn(check, name, fmt.Sprintf("%s gives no key: the table is replicated by its inserts and truncates only. "+
			"PostgreSQL itself refuses updates and deletes of it while it is published", r.Identity), remedy)
	}
	key := make([]string, 0, len(r.Keys))
	for _, c := range r.KeyColumns() {
		key = append(key, c.Name)
	}
	slices.Sort(key)
	for _, st := range t.Storage {
		own := slices.Sorted(slices.Values(st.KeyNames))
		switch {
		case !t.Partitioned && len(own) > 0 && !r.HasKey():
			p.problem(check, name, "the publication's column list leaves out a column of the key ("+names(own)+")",
				"add the key's columns to the list")
		case t.Partitioned && st.Identity != string(rune(change.IdentityFull)) && !slices.Equal(own, key):
			p.problem(check, name, fmt.Sprintf("partition %s.%s has the identity (%s), the table itself (%s)",
				st.Schema, st.Name, names(own), names(key)),
				"give table and partitions the same replica identity")
		}
	}
}

// moneyScale is what '1'::money is inside the server with two decimals.
const moneyScale = "0000000000000064"

// checkMoney makes sure that money reads the same under the pinned locale: its
// number of decimals is not stored with the value, but comes from lc_monetary.
func checkMoney(ctx context.Context, c *pgx.Conn, p *Plan) error {
	var hit *change.Relation
	for i := range p.Tables {
		for _, col := range p.Tables[i].Relation.Columns {
			if col.Type == "money" || col.Type == "_money" {
				hit = p.Tables[i].Relation
			}
		}
	}
	if hit == nil {
		return nil
	}
	const op = "checking the scale of money"
	if _, err := c.Exec(ctx, "RESET lc_monetary"); err != nil {
		return classify(op, err)
	}
	var inside string
	if err := c.QueryRow(ctx, "SELECT encode(cash_send('1'::money), 'hex')").Scan(&inside); err != nil {
		return classify(op, err)
	}
	if inside != moneyScale {
		p.problem("money", hit.String(), "the database's lc_monetary gives money another number of decimals than two",
			"ALTER TABLE … ALTER COLUMN … TYPE numeric, or exclude the table")
	}
	return nil
}
