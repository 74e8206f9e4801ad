package redshift

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// IDs of the checks. The first is for callers that could not connect, the last
// is [Warehouse.CheckCopy]'s.
const (
	CheckConnection = "redshift.connection"
	checkVersion    = "redshift.version"
	checkClock      = "redshift.clock"
	checkIsolation  = "redshift.isolation"
	checkCollation  = "redshift.collation"
	checkCase       = "redshift.case_sensitivity"
	checkPrivileges = "redshift.privileges"
	checkNames      = "redshift.names"
	checkTypes      = "redshift.types"
	checkColumns    = "redshift.columns"
	checkTargets    = "redshift.target"
	checkWriters    = "redshift.writers"
	checkPipelines  = "redshift.pipelines"
	checkTables     = "redshift.tables"
	checkDisk       = "redshift.disk"
	CheckCopy       = "redshift.copy"
)

// CheckIDs are the ids of the checks that need a connection, in their order.
func CheckIDs() []string {
	return []string{
		checkVersion, checkClock, checkIsolation, checkCollation, checkCase, checkPrivileges, checkNames, checkTypes,
		checkColumns, checkTargets, checkWriters, checkPipelines, checkTables, checkDisk, CheckCopy,
	}
}

// Inspect makes all checks of the server and of a first load of rels, whose
// rows take about the given bytes on the source (0: unknown); rels is nil where
// the source is not known. It reads only. The error is for a server that could
// not be asked.
func (w *Warehouse) Inspect(ctx context.Context, rels []*change.Relation, bytes int64) (change.Findings, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, err := w.ready(ctx)
	if err != nil {
		return nil, fault("connecting", err)
	}
	c := &checker{w: w, s: s, schemas: make(map[string]bool)}
	if err := c.server(ctx); err != nil {
		return nil, fault("checking the server", err)
	}
	for _, rel := range rels {
		c.relation(rel)
	}
	c.collisions(rels)
	if err := c.privileges(ctx); err != nil {
		return nil, fault("checking privileges", err)
	}
	if err := c.targets(ctx, rels); err != nil {
		return nil, fault("checking targets", err)
	}
	if err := c.room(ctx, len(rels), bytes); err != nil {
		return nil, fault("checking room", err)
	}
	return c.f, nil
}

// Check is [Warehouse.Inspect] for a start: its error lists all checks that
// fail.
func (w *Warehouse) Check(ctx context.Context, rels []*change.Relation) error {
	f, err := w.Inspect(ctx, rels, 0)
	if err != nil {
		return err
	}
	return f.Err("checking Redshift")
}

// TargetName returns where a relation's rows go, as schema.table for messages.
func (w *Warehouse) TargetName(rel *change.Relation) string { return w.target(rel).String() }

// checker collects findings.
type checker struct {
	w              *Warehouse
	s              *session
	f              change.Findings
	user, database string
	schemas        map[string]bool // target schemas, as stored
}

func (c *checker) fail(id string, rel *change.Relation, seen, remedy string) {
	c.f.Add(change.Finding{ID: id, Level: change.LevelFail, Table: rel.String(), Seen: seen, Remedy: remedy})
}

// settled adds a pass for a check of many tables that found nothing.
func (c *checker) settled(id, seen string) {
	if !c.f.Found(id) {
		c.f.Pass(id, seen)
	}
}

const leaveOut = "leave the table out by source.tables.exclude"

// relation checks what needs no server: names, types, columns.
func (c *checker) relation(rel *change.Relation) {
	target := c.w.target(rel)
	c.schemas[c.w.db.stored(target.Schema)] = true
	if sqltext.Fold(target.Schema) == sqltext.Schema {
		c.fail(checkNames, rel, "schema "+target.Schema+" is walshift's own", "map it to another in target.schemas")
	}
	if strings.HasPrefix(target.Table, "#") { // r_CREATE_TABLE_NEW, whatever the statement says
		c.fail(checkNames, rel, "a table whose name begins with # is a temporary one on Redshift", "rename it on the source, or "+leaveOut)
	}
	table, err := c.w.table(rel)
	if err != nil {
		c.fail(checkTypes, rel, err.Error(), "publish the table without the column (a column list), or change its type, or "+leaveOut)
	} else {
		c.types(rel, table)
	}
	if _, err := sqltext.CreateTable(table, target); err != nil {
		c.fail(checkNames, rel, err.Error(), "rename it on the source, or "+leaveOut)
	}
	limit := sqltext.MaxColumns
	if rel.HasKey() { // a staging table has the origin key and the flags as well
		limit -= len(rel.Keys) + 1
	}
	if rel.Multiset { // the hash, and in a staging table the number of copies
		limit -= 2
	}
	if n := len(rel.Columns); n > limit {
		c.fail(checkColumns, rel, fmt.Sprintf("it has %d columns, %d can be replicated", n, limit), "publish fewer by a column list, or "+leaveOut)
	}
	names := make(map[string]string)
	if rel.Multiset {
		names[sqltext.RowColumn] = sqltext.RowColumn
	}
	for i := range rel.Columns {
		name := rel.Columns[i].Name
		if sqltext.IsReservedColumn(name) {
			c.fail(checkNames, rel, fmt.Sprintf("column %q is a system column on Redshift", name), "rename it on the source, or "+leaveOut)
		}
		if other, ok := names[c.w.db.stored(name)]; ok {
			c.fail(checkNames, rel, fmt.Sprintf("columns %q and %q are one name on Redshift", other, name),
				"rename one, or ALTER USER "+ident(c.user)+" SET enable_case_sensitive_identifier TO true;")
		}
		names[c.w.db.stored(name)] = name
	}
}

// types says which columns become another type than their own.
func (c *checker) types(rel *change.Relation, table *sqltext.Table) {
	var changed []string
	for i := range rel.Columns {
		m, col := table.Columns[i].Mapping, &rel.Columns[i]
		if (m.Exact && !col.Unbounded()) || m.Super() {
			continue
		}
		ddl := m.DDL
		if col.Unbounded() && col.Numeric == nil && !m.Text() {
			ddl = fmt.Sprintf("DECIMAL(38,s), s from %d to %d by its values (of more than 8 GiB by a sample)",
				change.MinNumericScale, change.MaxNumericScale)
		}
		changed = append(changed, fmt.Sprintf("%q (%s) becomes %s", col.Name, col.Type, ddl))
	}
	if len(changed) > 0 {
		c.f.Add(change.Finding{
			ID: checkTypes, Level: change.LevelWarn, Table: rel.String(),
			Seen: strings.Join(changed, ", ") + "; a value that doesn't fit goes by `values`",
		})
	}
}

// storedName returns a target's name as the catalog shows it.
func (w *Warehouse) storedName(n sqltext.Name) sqltext.Name {
	return sqltext.Name{Schema: w.db.stored(n.Schema), Table: w.db.stored(n.Table)}
}

// collisions finds relations that would share a target.
func (c *checker) collisions(rels []*change.Relation) {
	taken := make(map[sqltext.Name]*change.Relation)
	for _, rel := range rels {
		name := c.w.storedName(c.w.target(rel))
		if other, ok := taken[name]; ok {
			c.fail(checkNames, rel, fmt.Sprintf("tables %s and %s would both be %s on Redshift", other, rel, name),
				"rename one, or map their schemas apart in target.schemas")
		}
		taken[name] = rel
	}
	if rels == nil {
		for _, id := range []string{checkNames, checkTypes, checkColumns, checkTargets} {
			c.f.Skip(id, "the source's tables are not known")
		}
		return
	}
	c.settled(checkNames, "all names of tables and columns stay different")
	c.settled(checkTypes, "every column has a type that holds the same values")
	c.settled(checkColumns, fmt.Sprintf("no table has too many, staging included (%d)", sqltext.MaxColumns))
}

// ident quotes a name for a remedy.
func ident(name string) string {
	q, err := sqltext.Ident(name)
	if err != nil {
		return name
	}
	return q
}

// privileges checks that the user may make what a first load makes.
func (c *checker) privileges(ctx context.Context) error {
	wanted := slices.Sorted(maps.Keys(c.schemas))
	if !slices.Contains(wanted, sqltext.Schema) {
		wanted = append(wanted, sqltext.Schema)
	}
	found, err := c.s.texts(ctx)(sqltext.Schemas(wanted))
	if err != nil {
		return err
	}
	for _, schema := range found {
		ok, err := c.s.number(ctx)(sqltext.CanCreateIn(schema))
		if err != nil {
			return err
		}
		if ok != 1 {
			c.f.Fail(checkPrivileges, "schema "+schema+": the user may not make tables in it",
				"GRANT USAGE, CREATE ON SCHEMA "+ident(schema)+" TO "+ident(c.user)+";")
		}
	}
	missing := slices.DeleteFunc(slices.Clone(wanted), func(s string) bool { return slices.Contains(found, s) })
	if len(missing) > 0 {
		ok, err := c.s.number(ctx)(sqltext.CanCreateSchema(), nil)
		if err != nil {
			return err
		}
		if ok != 1 {
			statements := make([]string, len(missing))
			for i, schema := range missing {
				statements[i] = "CREATE SCHEMA " + ident(schema) + " AUTHORIZATION " + ident(c.user) + ";"
			}
			c.f.Fail(checkPrivileges, "the user may not make schemas, and there is no "+strings.Join(missing, ", "),
				strings.Join(statements, " ")+" or GRANT CREATE ON DATABASE "+ident(c.database)+" TO "+ident(c.user)+";")
		}
	}
	c.settled(checkPrivileges, "the user may make tables in "+strings.Join(wanted, ", "))
	return nil
}
