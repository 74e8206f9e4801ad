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
func (s *Server) checkTables(ctx context.Context, c *pgx.Conn, p *Plan) error {
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
	if err := checkAccess(ctx, c, p); err != nil {
		return err
	}
	for i := range p.Tables {
		s.checkTable(p, &p.Tables[i])
	}
	if err := checkMoney(ctx, c, p); err != nil {
		return err
	}
	p.settled("source.privileges", fmt.Sprintf("USAGE and SELECT on %d tables", len(p.Tables)))
	p.settled("source.row_security", "no policy hides rows from role "+p.Role)
	p.settled(checkIdentity, "every table has a key that PostgreSQL can publish")
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
		p.problem("source.privileges", table, "no USAGE on schema "+quote(st.Schema),
			"GRANT USAGE ON SCHEMA "+quote(st.Schema)+" TO "+quote(p.Role)+";")
	}
	var denied []string
	for _, c := range t.Relation.Columns {
		if slices.Contains(a.denied, c.Name) {
			denied = append(denied, quote(c.Name))
		}
	}
	if len(denied) > 0 {
		p.problem("source.privileges", table, fmt.Sprintf("no SELECT on %s (%s)", target, names(denied)),
			"GRANT SELECT ON "+target+" TO "+quote(p.Role)+";")
	}
	if a.filtered {
		p.problem("source.row_security", table, "policies on "+target+" would hide rows from the snapshot, but not from the stream",
			"ALTER ROLE "+quote(p.Role)+" BYPASSRLS; or leave the table out by source.tables.exclude")
	}
}

// leaveOut ends a remedy with the way out that always works.
const leaveOut = " or leave the table out by source.tables.exclude"

// checkTable looks at one table's definition.
func (s *Server) checkTable(p *Plan, t *Table) {
	r := t.Relation
	name := r.String()
	if len(r.Columns) == 0 {
		p.problem("source.columns", name, "no column is published", "leave the table out by source.tables.exclude")
	}
	for _, c := range r.Columns {
		if strings.EqualFold(c.Name, change.RowColumn) {
			p.problem("source.columns", name, fmt.Sprintf("column %q has the name of walshift's own column", c.Name),
				"rename it,"+leaveOut)
		}
	}
	if t.IsPartition && !p.Publication.ViaRoot {
		p.problem(checkPublication, name, "partitions are published one by one",
			"ALTER PUBLICATION "+quote(s.cfg.Publication)+" SET (publish_via_partition_root = true);")
	}
	for _, st := range t.Storage {
		switch {
		case st.Kind == "f":
			p.problem("source.partitions", name, "partition "+st.Schema+"."+st.Name+" is a foreign table, whose changes are not in the WAL",
				"detach it, or exclude the table")
		case st.Persistence != "p":
			p.problem("source.persistence", name, st.Schema+"."+st.Name+" is unlogged or temporary",
				"ALTER TABLE "+quote(st.Schema)+"."+quote(st.Name)+" SET LOGGED; or leave the table out by source.tables.exclude")
		}
	}
	s.checkTableIdentity(p, t)
	if len(t.Generated) > 0 {
		p.warn("source.generated_columns", name, "left out: "+names(t.Generated), "")
	}
	switch {
	case t.Filter != "" && r.Identity == change.IdentityFull: // every change has the whole row
		p.warn("source.row_filter", name, "only rows that match the publication's filter are replicated", "")
	case t.Filter != "":
		p.warn("source.row_filter", name, "only rows that match the publication's filter are replicated; a row that an update "+
			"moves into it stops the table where it has large values that the update left alone",
			"use no row filter on tables with large values, or REPLICA IDENTITY FULL")
	}
}

// checkTableIdentity says how rows of the table can be found again.
func (s *Server) checkTableIdentity(p *Plan, t *Table) {
	r := t.Relation
	name := r.String()
	if r.Identity == change.IdentityFull {
		p.checkFull(t, s.cfg.Publication)
		p.checkLeaves(t)
		return
	}
	if !r.HasKey() {
		remedy := "give the table a primary key (REPLICA IDENTITY DEFAULT), or ALTER TABLE … REPLICA IDENTITY USING INDEX " +
			"on a unique index of NOT NULL columns," + leaveOut
		why := ""
		if o, hindered := p.obstacle(r); hindered && o.Harms {
			remedy, why = o.Help+leaveOut, " ("+o.Reason+")"
		}
		p.warn(checkIdentity, name, fmt.Sprintf("%s gives no key%s: the table is replicated by its inserts and truncates only. "+
			"PostgreSQL itself refuses updates and deletes of it while it is published", r.Identity, why), remedy)
	}
	for _, c := range r.KeyColumns() {
		if !c.NotNull {
			p.problem(checkIdentity, name, fmt.Sprintf("column %q of the key may be NULL", c.Name),
				"ALTER TABLE "+quote(r.Schema)+"."+quote(r.Name)+" ALTER COLUMN "+quote(c.Name)+" SET NOT NULL;")
		}
	}
	p.checkLeaves(t)
}

// checkFull looks at a table with REPLICA IDENTITY FULL: by what its rows are
// told apart, and what makes PostgreSQL refuse its updates and deletes.
func (p *Plan) checkFull(t *Table, publication string) {
	r := t.Relation
	name := r.String()
	target := quote(r.Schema) + "." + quote(r.Name)
	const refuses = ": PostgreSQL refuses the application's updates and deletes"
	if len(t.Unpublished) > 0 {
		p.problem(checkIdentity, name, "REPLICA IDENTITY FULL, and the publication's column list leaves out "+names(t.Unpublished)+refuses,
			"publish the table without a column list,"+leaveOut)
	}
	if len(t.Generated) > 0 && p.Identity.Major() >= 18 {
		p.problem(checkIdentity, name, "REPLICA IDENTITY FULL, and generated columns are not published ("+names(t.Generated)+")"+refuses,
			"ALTER TABLE "+target+" REPLICA IDENTITY DEFAULT; with a primary key, or ALTER PUBLICATION "+quote(publication)+
				" SET (publish_generated_columns = stored); where all of them are stored,"+leaveOut)
	}
	if r.Multiset {
		p.warn(checkIdentity, name, "FULL, and no index proves a key: the table is replicated as a multiset. Its rows are told apart by a hash "+
			"of all their values, in a column "+change.RowColumn+" of the target; before copies of rows are taken away, the target's are "+
			"counted and what remains is loaded again", "give the table a primary key, or a unique index that is not DEFERRABLE, "+
			"of NOT NULL columns, before the first load")
		return
	}
	key := make([]string, len(r.Keys))
	for i, c := range r.KeyColumns() {
		key[i] = c.Name
	}
	p.add(change.Finding{
		ID: checkIdentity, Level: change.LevelPass, Table: name,
		Seen: fmt.Sprintf("FULL; index %s proves that (%s) is a key. Should it be dropped, the table stops", t.KeyIndex, names(key)),
	})
}

// checkLeaves compares the replica identities of partitions with the table's:
// changes come by those, and are announced by this (pitfall V10).
func (p *Plan) checkLeaves(t *Table) {
	r := t.Relation
	name := r.String()
	key := make([]string, len(r.Keys))
	for i, c := range r.KeyColumns() {
		key[i] = c.Name
	}
	slices.Sort(key)
	full := r.Identity == change.IdentityFull
	for _, st := range t.Storage {
		own := slices.Sorted(slices.Values(st.KeyNames))
		leaf, alter := st.Schema+"."+st.Name, "ALTER TABLE "+quote(st.Schema)+"."+quote(st.Name)+" REPLICA IDENTITY "
		leafFull := st.Identity == string(rune(change.IdentityFull))
		switch {
		case !t.Partitioned && !full && len(own) > 0 && !r.HasKey():
			p.problem(checkIdentity, name, "the publication's column list leaves out a column of the key ("+names(own)+")",
				"add the key's columns to the list")
		case !t.Partitioned || full && leafFull:
		case full:
			p.problem(checkIdentity, name, "partition "+leaf+" has not REPLICA IDENTITY FULL as the table itself has", alter+"FULL;")
		case leafFull:
			p.problem(checkIdentity, name, "partition "+leaf+" has REPLICA IDENTITY FULL, the table itself has not", alter+"DEFAULT;")
		case !slices.Equal(own, key):
			p.problem(checkIdentity, name, fmt.Sprintf("partition %s has the identity (%s), the table itself (%s)",
				leaf, names(own), names(key)), "give table and partitions the same replica identity")
		}
	}
}

// obstacle is what stands in the way of publishing a table; false for none.
func (p *Plan) obstacle(r *change.Relation) (Obstacle, bool) {
	for i := range p.Candidates {
		if c := &p.Candidates[i]; c.Schema == r.Schema && c.Name == r.Name {
			return c.Obstacle()
		}
	}
	return Obstacle{}, false
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
		p.problem("source.money", hit.String(), "the database's lc_monetary gives money another number of decimals than two",
			"ALTER TABLE … ALTER COLUMN … TYPE numeric, or exclude the table")
	}
	return nil
}
