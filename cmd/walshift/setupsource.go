package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/walshift/walshift/replicator/source"
)

// insertOnly begins the commented lines that a DBA may uncomment for tables
// which are never updated.
const insertOnly = "-- insert-only: "

// script builds text line by line.
type script struct{ strings.Builder }

func (b *script) line(format string, args ...any) { fmt.Fprintf(b, format+"\n", args...) }

// note adds a comment. A name that holds a line break must not end it: what
// follows would be run.
func (b *script) note(format string, args ...any) {
	for i := range args {
		args[i] = strings.NewReplacer("\n", " ", "\r", " ").Replace(fmt.Sprint(args[i]))
	}
	b.line(format, args...)
}

// sourceScript is the DBA's part on PostgreSQL, for psql.
func (s *setup) sourceScript() string {
	b := &script{}
	b.note("-- walshift, pipeline %s: role, grants and publication on the source.", s.pipeline)
	b.note("-- Run by psql as %s:", map[bool]string{true: "a member of rds_superuser", false: "a superuser"}[s.provider != providerSelf])
	b.note("--   walshift setup --print --only source | psql -d %s -v walshift_password=\"$PASSWORD\"", s.database)
	b.note("-- It may be run again.")
	b.line(`\set ON_ERROR_STOP on`)
	s.writeSettings(b)
	s.writeRole(b)
	if s.unknown != "" {
		s.writeTemplate(b)
		return b.String()
	}
	s.writeGrants(b)
	if s.managed && !s.state.Exists {
		s.writeManaged(b)
	} else {
		s.writePublication(b)
	}
	return b.String()
}

func (s *setup) writeSettings(b *script) {
	b.note("\n-- 1. Settings. `walshift check` tells which of them are missing.")
	if s.provider == providerSelf {
		b.note("-- These need a restart:")
		b.note("--   ALTER SYSTEM SET wal_level = 'logical';")
		b.note("--   ALTER SYSTEM SET max_replication_slots = '<those in use + 2>';")
		b.note("--   ALTER SYSTEM SET max_wal_senders = '<those in use + 2>';")
		b.note("-- How much WAL the disk can spare if walshift stands still; beyond it the slot is lost:")
		b.note("--   ALTER SYSTEM SET max_slot_wal_keep_size = '<for instance 50GB>'; SELECT pg_reload_conf();")
		return
	}
	group := "the instance's parameter group"
	if s.provider == providerAurora {
		group = "the cluster's parameter group"
	}
	b.note("-- In %s, then reboot:", group)
	b.note("--   rds.logical_replication = 1   (sets wal_level = logical)")
	b.note("--   max_replication_slots, max_wal_senders: those in use + 2")
	if s.provider == providerRDS {
		b.note("--   max_slot_wal_keep_size: how many MB of WAL the disk can spare if walshift stands still")
	} else {
		b.note("-- Aurora keeps WAL on its own storage: watch the slot's retained bytes, which cost money.")
		b.note("-- source.dsn must name the cluster's writer endpoint.")
	}
}

func (s *setup) writeRole(b *script) {
	role := source.Quote(s.role)
	b.note("\n-- 2. The role. The password comes from the variable, or psql asks for it.")
	b.line(`SELECT 'CREATE ROLE %s' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = %s) \gexec`,
		strings.ReplaceAll(role, "'", "''"), quoteText(s.role))
	if s.provider == providerSelf {
		b.line("ALTER ROLE %s LOGIN REPLICATION;", role)
	} else {
		b.line("ALTER ROLE %s LOGIN;", role)
		b.line("GRANT rds_replication TO %s;", role)
	}
	b.line(`\if :{?walshift_password}`)
	b.line("ALTER ROLE %s PASSWORD :'walshift_password';", role)
	b.line(`\else`)
	b.line(`\password %s`, role)
	b.line(`\endif`)
	b.line("GRANT CONNECT ON DATABASE %s TO %s;", source.Quote(s.database), role)
	b.note("-- Optional: `walshift check` then sees how old other roles' transactions are.")
	b.note("-- GRANT pg_read_all_stats TO %s;", role)
}

func quoteText(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// writeGrants lets the role read the tables that are or may be published, and
// nothing else.
func (s *setup) writeGrants(b *script) {
	role := source.Quote(s.role)
	b.note("\n-- 3. Reading: the schemas, and each table that is published, with its partitions.")
	schemas, owners := map[string]bool{}, map[[2]string]bool{}
	var grants []string
	for i := range s.tables {
		t := &s.tables[i]
		if o, hindered := t.Obstacle(); hindered && !t.Published {
			if o.Harms { // the DBA may publish it all the same, below
				schemas[t.Schema] = true
			}
			continue
		}
		schemas[t.Schema], owners[[2]string{t.Owner, t.Schema}] = true, true
		for l := range t.Leaves {
			schemas[t.Leaves[l].Schema] = true
		}
		grants = append(grants, "GRANT SELECT ON "+strings.Join(relationsOf(t), ", ")+" TO "+role+";")
	}
	for _, schema := range slices.Sorted(maps.Keys(schemas)) {
		b.line("GRANT USAGE ON SCHEMA %s TO %s;", source.Quote(schema), role)
	}
	for _, g := range grants {
		b.line("%s", g)
	}
	b.note("-- For tables and partitions that are made later; without it each needs its own GRANT:")
	for _, o := range slices.SortedFunc(maps.Keys(owners), func(a, c [2]string) int { return slices.Compare(a[:], c[:]) }) {
		b.note("-- ALTER DEFAULT PRIVILEGES FOR ROLE %s IN SCHEMA %s GRANT SELECT ON TABLES TO %s;",
			source.Quote(o[0]), source.Quote(o[1]), role)
	}
	s.writeRowSecurity(b)
}

// relationsOf names a table and its partitions.
func relationsOf(t *source.Candidate) []string {
	names := []string{t.SQL()}
	for i := range t.Leaves {
		if name := t.Leaves[i].SQL(); name != names[0] {
			names = append(names, name)
		}
	}
	return names
}

func (s *setup) writeRowSecurity(b *script) {
	var guarded []string
	for i := range s.tables {
		for l := range s.tables[i].Leaves {
			if leaf := &s.tables[i].Leaves[l]; leaf.RowSecurity {
				guarded = append(guarded, leaf.SQL())
			}
		}
	}
	if len(guarded) == 0 {
		return
	}
	b.note("-- Row security would hide rows of %s from the first load, but not from the stream.", strings.Join(guarded, ", "))
	b.note("-- Leave them out by source.tables.exclude, or let the role see all rows:")
	b.note("-- ALTER ROLE %s BYPASSRLS;", source.Quote(s.role))
}

// writePublication publishes exactly the tables that may be published (S12).
func (s *setup) writePublication(b *script) {
	name := source.Quote(s.publication)
	b.note("\n-- 4. The publication. It must exist before walshift's first start.")
	var add []string
	for i := range s.tables {
		t := &s.tables[i]
		if _, hindered := t.Obstacle(); !hindered && !t.Published {
			add = append(add, t.SQL())
		}
	}
	const options = "publish = 'insert, update, delete, truncate', publish_via_partition_root = true"
	switch list := strings.Join(add, ",\n  "); {
	case !s.state.Exists && len(add) > 0:
		b.line("CREATE PUBLICATION %s FOR TABLE\n  %s\n  WITH (%s);", name, list, options)
	case !s.state.Exists:
		b.line("CREATE PUBLICATION %s WITH (%s);", name, options)
	case len(add) > 0:
		b.line("ALTER PUBLICATION %s ADD TABLE\n  %s;", name, list)
	default:
		b.note("-- %s exists, and holds every table that may be published.", name)
	}
	if s.state.Exists && (!s.state.Everything || !s.state.ViaRoot) {
		b.line("ALTER PUBLICATION %s SET (%s);", name, options)
	}
	for i := range s.tables {
		t := &s.tables[i]
		writeMultiset(b, t)
		if !t.Published {
			s.writeObstacle(b, t)
		}
	}
}

// writeMultiset says what a table costs that has no key to go by.
func writeMultiset(b *script, t *source.Candidate) {
	if _, hindered := t.Obstacle(); hindered || !t.Multiset() {
		return
	}
	b.note("-- %s has REPLICA IDENTITY FULL, and no index proves a key: its rows are told apart by a hash of all values.", t)
	b.note("--   A primary key, made before the first load, makes its updates and deletes cheaper on Redshift.")
}

func (s *setup) writeObstacle(b *script, t *source.Candidate) {
	o, hindered := t.Obstacle()
	if !hindered {
		return
	}
	b.note("-- Not published: %s: %s.", t, o.Reason)
	if !o.Harms {
		b.note("--   What helps: %s", o.Help)
		return
	}
	b.note("--   Published, the application's updates and deletes of it would fail. Either this, and print again:")
	b.note("--     %s", o.Help)
	if t.WithoutKey() {
		b.note("--   or, if no columns are a key (its updates and deletes then write whole rows to the WAL):")
		for _, name := range relationsOf(t) {
			b.note("--     ALTER TABLE %s REPLICA IDENTITY FULL;", name)
		}
	}
	b.note("--   or, if its rows are never updated or deleted:")
	b.note(insertOnly+"GRANT SELECT ON %s TO %s;", strings.Join(relationsOf(t), ", "), source.Quote(s.role))
	b.note(insertOnly+"ALTER PUBLICATION %s ADD TABLE %s;", source.Quote(s.publication), t.SQL())
}

// writeManaged lets walshift make the publication itself.
func (s *setup) writeManaged(b *script) {
	role := source.Quote(s.role)
	b.note("\n-- 4. source.publication.mode is managed: walshift makes the publication, for which PostgreSQL wants")
	b.note("-- the role to be a member of the tables' owners. That lets it change their rows; `existing` does not.")
	b.line("GRANT CREATE ON DATABASE %s TO %s;", source.Quote(s.database), role)
	owners := map[string]bool{}
	for i := range s.tables {
		owners[s.tables[i].Owner] = true
	}
	for _, owner := range slices.Sorted(maps.Keys(owners)) {
		b.line("GRANT %s TO %s;", source.Quote(owner), role)
	}
	b.note("-- walshift refuses to start while one of these is selected:")
	for i := range s.tables {
		if o, hindered := s.tables[i].Obstacle(); hindered {
			b.note("--   %s: %s. What helps: %s", &s.tables[i], o.Reason, o.Help)
		}
	}
	for i := range s.tables {
		writeMultiset(b, &s.tables[i])
	}
}

// writeTemplate is for a source that could not be asked.
func (s *setup) writeTemplate(b *script) {
	role, name := source.Quote(s.role), source.Quote(s.publication)
	b.note("\n-- The source's tables are not known: %s.", s.unknown)
	b.note("-- When the role above can connect (or with --dsn), print again: the rest then names every table.")
	b.note("-- To write it yourself, replace <…>:")
	b.note("--\n-- 3. Reading")
	schemas, open := s.sourceSchemas()
	for _, schema := range schemas {
		b.note("-- GRANT USAGE ON SCHEMA %s TO %s;", source.Quote(schema), role)
	}
	if open {
		b.note("-- GRANT USAGE ON SCHEMA <schema> TO %s;", role)
	}
	tables := make([]string, 0, len(s.include))
	for _, pattern := range s.include {
		tables = append(tables, placeholder(pattern))
	}
	for _, table := range tables {
		b.note("-- GRANT SELECT ON %s TO %s;", table, role)
	}
	b.note("--\n-- 4. The publication: only tables with a primary key or another replica identity, for")
	b.note("-- PostgreSQL refuses updates and deletes of others while they are published.")
	b.note("-- CREATE PUBLICATION %s FOR TABLE %s", name, strings.Join(tables, ", "))
	b.note("--   WITH (publish = 'insert, update, delete, truncate', publish_via_partition_root = true);")
}

// placeholder turns a pattern into a table's name for a template.
func placeholder(pattern string) string {
	schema, table, _ := strings.Cut(pattern, ".")
	quoted := func(name, kind string) string {
		if strings.ContainsAny(name, "*?") || name == "" {
			return "<" + kind + ">"
		}
		return source.Quote(name)
	}
	return quoted(schema, "schema") + "." + quoted(table, "table")
}
