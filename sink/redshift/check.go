package redshift

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// Check reads only. Its error lists all that stands in the way of a first load
// of rels, each with its remedy: privileges, targets that exist and are not
// the pipeline's own, types without a mapping, names that Redshift folds onto
// one another or keeps for itself (W5), more columns than a table can have
// (W16). A server that can't be reached is an error by itself.
func (w *Warehouse) Check(ctx context.Context, rels []*change.Relation) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, err := w.ready(ctx)
	if err != nil {
		return fault("connecting", err)
	}
	c := &checker{w: w, s: s, schemas: make(map[string]bool)}
	for _, rel := range rels {
		c.relation(rel)
	}
	c.collisions(rels)
	if err := c.privileges(ctx); err != nil {
		return fault("checking privileges", err)
	}
	if err := c.existing(ctx, rels); err != nil {
		return fault("checking targets", err)
	}
	if len(c.problems) > 0 {
		return &change.Fault{
			Scope: change.ScopeFatal, Op: "checking Redshift", Err: errors.Join(c.problems...),
			Remedy: "mend what the list names, then start again; nothing has been changed",
		}
	}
	return nil
}

// checker collects problems.
type checker struct {
	w        *Warehouse
	s        *session
	schemas  map[string]bool // target schemas, as stored
	problems []error
}

func (c *checker) problem(format string, args ...any) {
	c.problems = append(c.problems, fmt.Errorf(format, args...))
}

// relation checks what needs no server: names, types, columns.
func (c *checker) relation(rel *change.Relation) {
	target := c.w.target(rel)
	c.schemas[c.w.db.stored(target.Schema)] = true
	if sqltext.Fold(target.Schema) == sqltext.Schema {
		c.problem("table %s: schema %s is walshift's own: map it to another in target.schemas", rel, target.Schema)
	}
	table, err := c.w.table(rel)
	if err != nil {
		c.problem("table %s: %w: exclude the column in the publication's column list, or change its type", rel, err)
	}
	if _, err := sqltext.CreateTable(table, target); err != nil {
		c.problem("table %s: %w: rename it on the source", rel, err)
	}
	limit := sqltext.MaxColumns
	if rel.HasKey() { // a staging table has the origin key and the flags as well
		limit -= len(rel.Keys) + 1
	}
	if n := len(rel.Columns); n > limit {
		c.problem("table %s: it has %d columns, %d can be replicated: publish fewer by a column list", rel, n, limit)
	}
	names := make(map[string]string)
	for i := range rel.Columns {
		name := rel.Columns[i].Name
		if sqltext.IsReservedColumn(name) {
			c.problem("table %s: column %q is a system column on Redshift: rename it on the source", rel, name)
		}
		if other, ok := names[c.w.db.stored(name)]; ok {
			c.problem("table %s: columns %q and %q are one name on Redshift: rename one, "+
				"or set enable_case_sensitive_identifier for the user", rel, other, name)
		}
		names[c.w.db.stored(name)] = name
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
			c.problem("tables %s and %s: both would be %s on Redshift: rename one, or map their schemas apart in target.schemas",
				other, rel, name)
		}
		taken[name] = rel
	}
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
			c.problem("schema %s: the user may not make tables in it: GRANT USAGE, CREATE ON SCHEMA %s TO the user of redshift.dsn",
				schema, schema)
		}
	}
	if len(found) == len(wanted) {
		return nil
	}
	ok, err := c.s.number(ctx)(sqltext.CanCreateSchema(), nil)
	if err != nil {
		return err
	}
	if ok != 1 {
		c.problem("the user may not make schemas: GRANT CREATE ON DATABASE to the user of redshift.dsn, " +
			"or make the missing schemas and grant USAGE and CREATE on them")
	}
	return nil
}

// existing refuses targets that are there and not recorded as the pipeline's.
func (c *checker) existing(ctx context.Context, rels []*change.Relation) error {
	if len(rels) == 0 {
		return nil
	}
	found, err := relations(ctx, c.s, slices.Sorted(maps.Keys(c.schemas)))
	if err != nil {
		return err
	}
	there := make(map[sqltext.Name]bool, len(found))
	for _, r := range found {
		there[r.name] = true
	}
	ours := make(map[sqltext.Name]bool)
	known, err := c.w.prepared(ctx, c.s)
	if err == nil && known {
		positions, err := c.w.readPositions(ctx, c.s)
		if err != nil {
			return err
		}
		for _, p := range positions {
			if p.MadeTarget {
				ours[c.w.storedName(p.Target)] = true
			}
		}
	}
	if err != nil {
		return err
	}
	for _, rel := range rels {
		if name := c.w.storedName(c.w.target(rel)); there[name] && !ours[name] {
			c.problem("table %s: target %s exists already: drop or rename it, "+
				"or map the source schema to another one in target.schemas", rel, name)
		}
	}
	return nil
}
