package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/walshift/walshift/replicator/change"
)

// Candidate is a table that the configuration selects, whether or not it is
// published.
type Candidate struct {
	Schema, Name, Owner string
	// Published: the table, or one of its partitions, is in the publication.
	Published bool
	// Partitioned: rows are in Leaves.
	Partitioned bool
	// Inherited: other tables inherit from it, which are tables of their own
	// for the publication.
	Inherited bool
	// Leaves are the relations that hold rows: itself, or its partitions.
	Leaves []Leaf
	// kind and persistence are pg_class's; identity and keys the table's own
	// replica identity; proven says that an index proves a key.
	kind, persistence string
	identity          change.Identity
	keys              []string
	proven            bool
}

// Leaf is a relation that holds rows of a [Candidate].
type Leaf struct {
	Schema, Name string
	// RowSecurity: policies may hide rows from the role.
	RowSecurity bool

	kind, persistence string
	identity          change.Identity
	keys              []string // of the replica identity's index
	unique            string   // an index that could serve as identity
	primary, deferred bool     // has a primary key; it is DEFERRABLE
	proven            bool     // an index proves a key
	computed          bool     // FULL would take in generated columns, which PostgreSQL 18 refuses
}

// String returns schema.table for messages.
func (c *Candidate) String() string { return c.Schema + "." + c.Name }

// SQL returns the table's name for a statement.
func (c *Candidate) SQL() string { return quote(c.Schema) + "." + quote(c.Name) }

// Keys returns the columns of its replica identity, sorted; none under FULL.
func (c *Candidate) Keys() []string { return c.keys }

// Multiset reports whether the table has REPLICA IDENTITY FULL and no index
// that proves a key: its rows are counted by their image.
func (c *Candidate) Multiset() bool { return c.identity == change.IdentityFull && !c.proven }

// WithoutKey reports whether no index of the table could serve as its replica
// identity, so that REPLICA IDENTITY FULL is what is left.
func (c *Candidate) WithoutKey() bool {
	return c.identity != change.IdentityFull && !slices.ContainsFunc(c.Leaves, func(l Leaf) bool {
		return l.computed || l.unique != "" || l.primary && !l.deferred
	})
}

// SQL returns the relation's name for a statement.
func (l *Leaf) SQL() string { return quote(l.Schema) + "." + quote(l.Name) }

// Quote returns name as an identifier of PostgreSQL.
func Quote(name string) string { return quote(name) }

// Obstacle says why a table may not be published.
type Obstacle struct {
	// Reason is a phrase: "it has no primary key …".
	Reason string
	// Help is the statement that changes that.
	Help string
	// Harms: publishing the table all the same would make the application's
	// updates and deletes fail, but not its inserts (pitfall S12).
	Harms bool
}

// Obstacle returns why the table may not be published; false if it may.
func (c *Candidate) Obstacle() (Obstacle, bool) {
	if c.kind == "f" {
		return Obstacle{Reason: "it is a foreign table, whose changes are not in the WAL of this server", Help: "replicate it from its own server"}, true
	}
	for i := range c.Leaves {
		l := &c.Leaves[i]
		switch {
		case l.kind == "f":
			return Obstacle{
				Reason: "its partition " + l.Schema + "." + l.Name + " is a foreign table",
				Help:   "ALTER TABLE " + c.SQL() + " DETACH PARTITION " + l.SQL() + ";",
			}, true
		case l.persistence != "p":
			return Obstacle{
				Reason: l.Schema + "." + l.Name + " is unlogged: its changes are not in the WAL",
				Help:   "ALTER TABLE " + l.SQL() + " SET LOGGED;",
			}, true
		}
	}
	for i := range c.Leaves {
		l := &c.Leaves[i]
		if reason, help := l.identityFault(); reason != "" {
			return Obstacle{Reason: reason, Help: help, Harms: true}, true
		}
		if reason, help := c.leafFault(l); reason != "" {
			return Obstacle{Reason: reason, Help: help}, true
		}
	}
	return Obstacle{}, false
}

// leafFault says how the identity of a partition differs from the table's: its
// updates and deletes would carry what the table's identity doesn't announce
// (pitfall V10).
func (c *Candidate) leafFault(l *Leaf) (reason, help string) {
	full, leafFull := c.identity == change.IdentityFull, l.identity == change.IdentityFull
	switch {
	case !c.Partitioned || full && leafFull || full == leafFull && slices.Equal(l.keys, c.keys):
		return "", ""
	case full:
		return fmt.Sprintf("its partition %s.%s has not REPLICA IDENTITY FULL as the table itself has", l.Schema, l.Name),
			"ALTER TABLE " + l.SQL() + " REPLICA IDENTITY FULL;"
	case leafFull:
		return fmt.Sprintf("its partition %s.%s has REPLICA IDENTITY FULL, the table itself has not", l.Schema, l.Name),
			"ALTER TABLE " + l.SQL() + " REPLICA IDENTITY DEFAULT;"
	}
	return fmt.Sprintf("its partition %s.%s has the replica identity (%s), the table itself (%s)",
			l.Schema, l.Name, names(l.keys), names(c.keys)),
		"ALTER TABLE " + l.SQL() + " REPLICA IDENTITY DEFAULT;"
}

// identityFault says why PostgreSQL would refuse updates and deletes of the
// relation while it is published; "" if it would not.
func (l *Leaf) identityFault() (reason, help string) {
	full := l.identity == change.IdentityFull
	if full && !l.computed || len(l.keys) > 0 {
		return "", ""
	}
	name := l.Schema + "." + l.Name
	switch {
	case full:
		reason = name + " has REPLICA IDENTITY FULL and generated columns, which are not published"
	case l.identity == change.IdentityNothing:
		reason = name + " has REPLICA IDENTITY NOTHING"
	case l.identity == change.IdentityIndex:
		reason = name + " has lost the index of its replica identity"
	case l.deferred:
		reason = "the primary key of " + name + " is DEFERRABLE, which can't be a replica identity"
	default:
		reason = name + " has no primary key"
	}
	switch {
	case l.primary && !l.deferred:
		help = "ALTER TABLE " + l.SQL() + " REPLICA IDENTITY DEFAULT;"
	case l.unique != "":
		help = "ALTER TABLE " + l.SQL() + " REPLICA IDENTITY USING INDEX " + quote(l.unique) + ";"
	default:
		help = "ALTER TABLE " + l.SQL() + " ADD PRIMARY KEY (…);"
	}
	return reason, help
}

// candidatesSQL has a row for every relation that holds rows of a table, and
// one for each partitioned table itself. Tables of extensions are theirs. The
// rules for keys are those of catalogSQL.
const candidatesSQL = `
WITH RECURSIVE tree AS (
  SELECT c.oid AS root, c.oid, c.relkind
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition AND c.relpersistence <> 't'
     AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_toast%'
     AND NOT EXISTS (SELECT 1 FROM pg_depend d
                      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
  UNION ALL
  SELECT tree.root, c.oid, c.relkind
    FROM tree JOIN pg_inherits h ON h.inhparent = tree.oid JOIN pg_class c ON c.oid = h.inhrelid
   WHERE tree.relkind = 'p')
SELECT rn.nspname::text, r.relname::text, pg_get_userbyid(r.relowner)::text, r.relkind::text, r.relpersistence::text,
       r.relkind = 'r' AND EXISTS (SELECT 1 FROM pg_inherits h WHERE h.inhparent = r.oid), r.oid = s.oid,
       EXISTS (SELECT 1 FROM pg_publication_tables p
                WHERE p.pubname = $1 AND p.schemaname = sn.nspname AND p.tablename = s.relname),
       sn.nspname::text, s.relname::text, s.relkind::text, s.relpersistence::text, s.relreplident::text, s.relrowsecurity,
       coalesce((SELECT json_agg(a.attname ORDER BY a.attname) FROM pg_index i
          JOIN pg_attribute a ON a.attrelid = s.oid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
         WHERE i.indrelid = s.oid AND i.indisvalid AND i.indisunique AND i.indimmediate AND i.indpred IS NULL
           AND ((s.relreplident = 'd' AND i.indisprimary) OR (s.relreplident = 'i' AND i.indisreplident))), '[]')::text,
       coalesce((SELECT min(x.relname::text) FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
         WHERE i.indrelid = s.oid AND i.indisvalid AND i.indisunique AND i.indimmediate AND i.indpred IS NULL
           AND i.indexprs IS NULL AND NOT i.indisprimary
           AND NOT EXISTS (SELECT 1 FROM pg_attribute a
                WHERE a.attrelid = s.oid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
                  AND NOT a.attnotnull)), ''),
       EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = s.oid AND i.indisprimary),
       EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = s.oid AND i.indisprimary AND NOT i.indimmediate),
       EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = s.oid AND ` + provesKeySQL + `),
       current_setting('server_version_num')::int >= 180000 AND EXISTS (SELECT 1 FROM pg_attribute a
         WHERE a.attrelid = s.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> '')
  FROM tree t
  JOIN pg_class r ON r.oid = t.root JOIN pg_namespace rn ON rn.oid = r.relnamespace
  JOIN pg_class s ON s.oid = t.oid JOIN pg_namespace sn ON sn.oid = s.relnamespace
 ORDER BY rn.nspname, r.relname, r.oid, sn.nspname, s.relname`

// readCandidates lists the tables that the configuration selects.
func (s *Server) readCandidates(ctx context.Context, c *pgx.Conn) ([]Candidate, error) {
	const op = "listing tables"
	rows, err := c.Query(ctx, candidatesSQL, s.cfg.Publication)
	if err != nil {
		return nil, classify(op, err)
	}
	defer rows.Close()
	var out []Candidate
	for rows.Next() {
		var (
			t                candidateRow
			identity, keys   string
			itself, relation bool
		)
		if err := rows.Scan(&t.table.Schema, &t.table.Name, &t.table.Owner, &t.table.kind, &t.table.persistence,
			&t.table.Inherited, &itself, &relation, &t.leaf.Schema, &t.leaf.Name, &t.leaf.kind, &t.leaf.persistence,
			&identity, &t.leaf.RowSecurity, &keys, &t.leaf.unique, &t.leaf.primary, &t.leaf.deferred,
			&t.leaf.proven, &t.leaf.computed); err != nil {
			return nil, classify(op, err)
		}
		if err := errors.Join(t.leaf.identity.UnmarshalText([]byte(identity)), json.Unmarshal([]byte(keys), &t.leaf.keys)); err != nil {
			return nil, fmt.Errorf("%s: %w", op, err)
		}
		if !s.cfg.Selects(t.table.Schema, t.table.Name) {
			continue
		}
		if n := len(out); n == 0 || out[n-1].SQL() != t.table.SQL() {
			out = append(out, t.table)
		}
		out[len(out)-1].include(t.leaf, itself, relation)
	}
	return out, classify(op, rows.Err())
}

// candidateRow is one row of candidatesSQL.
type candidateRow struct {
	table Candidate
	leaf  Leaf
}

func (c *Candidate) include(l Leaf, itself, published bool) {
	c.Published = c.Published || published
	if itself {
		c.identity, c.keys, c.proven, c.Partitioned = l.identity, l.keys, l.proven, l.kind == "p"
	}
	if l.kind != "p" {
		c.Leaves = append(c.Leaves, l)
	}
}

// Survey lists the tables that the configuration selects, and says what the
// publication publishes. It needs a connection and no other privilege.
func (s *Server) Survey(ctx context.Context) ([]Candidate, PublicationState, error) {
	c, err := s.connect(ctx, "survey")
	if err != nil {
		return nil, PublicationState{}, err
	}
	defer closeConn(ctx, c)
	pub, err := s.readPublication(ctx, c)
	if err != nil {
		return nil, pub, err
	}
	found, err := s.readCandidates(ctx, c)
	return found, pub, err
}

// namesSQL joins tables for a statement.
func namesSQL(list []Candidate) string {
	out := make([]string, len(list))
	for i := range list {
		out[i] = list[i].SQL()
	}
	return strings.Join(out, ", ")
}
