package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/walshift/walshift/replicator/change"
)

// A managed publication is made by walshift at the first start. Its comment
// says so, written in the same transaction: it lives and dies with the
// publication, and a DBA who takes it over changes it.

// Publication is what [Server.ManagePublication] found or did.
type Publication struct {
	// Made: it was made by this call, or made anew.
	Made bool
	// Tables are those that it was made for, as "schema.table".
	Tables []string
}

// publicationMark is the comment of a publication that belongs to this
// configuration's slot.
func (s *Server) publicationMark() string { return "made by walshift for slot " + s.cfg.Slot }

const publicationStateSQL = `SELECT coalesce(obj_description(p.oid, 'pg_publication'), ''),
       coalesce((SELECT string_agg(t.schemaname || '.' || t.tablename, E'\n' ORDER BY t.schemaname, t.tablename)
                   FROM pg_publication_tables t WHERE t.pubname = p.pubname), '')
  FROM pg_publication p WHERE p.pubname = $1`

// publicationState tells whether the publication exists, whether it is ours,
// and what it publishes.
func (s *Server) publicationState(ctx context.Context, c *pgx.Conn) (exists, ours bool, tables []string, err error) {
	var comment, list string
	err = c.QueryRow(ctx, publicationStateSQL, s.cfg.Publication).Scan(&comment, &list)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return false, false, nil, nil
	case err != nil:
		return false, false, nil, classify("reading publication "+s.cfg.Publication, err)
	}
	if list != "" {
		tables = strings.Split(list, "\n")
	}
	return true, comment == s.publicationMark(), tables, nil
}

// publishable are the candidates that can be in a publication at all: not
// foreign and unlogged tables, which preflight's warnings name.
func publishable(all []Candidate) []Candidate {
	return slices.DeleteFunc(all, func(c Candidate) bool {
		return c.kind == "f" || slices.ContainsFunc(c.Leaves, func(l Leaf) bool { return l.kind == "f" || l.persistence != "p" })
	})
}

// ManagePublication makes the publication for the selected tables where it does
// not exist, and makes it anew where it is walshift's own and publishes others:
// it must be called before the first start only, while nothing depends on it.
// One that somebody else made is used as it is.
//
// It never publishes a table without a usable replica identity, for PostgreSQL
// would then refuse the application's updates and deletes (pitfall S12): those
// are findings of a [change.FindingsError], as is a missing right, and nothing has
// been changed then. CREATE PUBLICATION takes SHARE UPDATE EXCLUSIVE on each
// table, which readers and writers don't notice, for Config.LockTimeout at most.
func (s *Server) ManagePublication(ctx context.Context) (Publication, error) {
	c, err := s.connect(ctx, "publication")
	if err != nil {
		return Publication{}, err
	}
	defer closeConn(ctx, c)
	exists, ours, published, err := s.publicationState(ctx, c)
	if err != nil || exists && !ours {
		return Publication{}, err
	}
	selected, err := s.readCandidates(ctx, c)
	if err != nil {
		return Publication{}, err
	}
	selected = publishable(selected)
	pub := Publication{Made: true, Tables: make([]string, len(selected))}
	for i := range selected {
		pub.Tables[i] = selected[i].String()
	}
	if exists && slices.Equal(slices.Sorted(slices.Values(published)), slices.Sorted(slices.Values(pub.Tables))) {
		return Publication{Tables: pub.Tables}, nil
	}
	p := &Plan{}
	if err := s.checkManaged(ctx, c, p, selected); err != nil {
		return Publication{}, err
	}
	if err := p.err(); err != nil {
		return Publication{}, err
	}
	change.Reach(change.SeamPublicationChecked)
	if err := s.createPublication(ctx, c, selected); err != nil {
		return Publication{}, err
	}
	change.Reach(change.SeamPublicationCreated)
	return pub, nil
}

const createRightSQL = `SELECT current_user::text, current_database()::text, has_database_privilege(current_database(), 'CREATE')`

// ownedSQL tells whose tables the role may publish.
const ownedSQL = `SELECT pg_has_role($1::name, 'USAGE')`

// checkManaged gathers what stands in the way of the publication.
func (s *Server) checkManaged(ctx context.Context, c *pgx.Conn, p *Plan, selected []Candidate) error {
	if len(selected) == 0 {
		p.problem(checkPublication, "", "no table is selected", "widen source.tables.include")
	}
	var database string
	var may bool
	if err := c.QueryRow(ctx, createRightSQL).Scan(&p.Role, &database, &may); err != nil {
		return classify("checking the right to make a publication", err)
	}
	byDBA := ", or have the DBA run: " + s.createSQL(selected) + ";"
	if !may {
		p.problem(checkPublication, "", "the role may not make publications",
			fmt.Sprintf("GRANT CREATE ON DATABASE %s TO %s;%s", quote(database), quote(p.Role), byDBA))
	}
	owned := make(map[string]bool)
	var foreign, owners []string
	for i := range selected {
		t := &selected[i]
		if _, known := owned[t.Owner]; !known {
			var has bool
			if err := c.QueryRow(ctx, ownedSQL, t.Owner).Scan(&has); err != nil {
				return classify("checking the right to publish tables", err)
			}
			owned[t.Owner] = has
			if !has {
				owners = append(owners, quote(t.Owner))
			}
		}
		if !owned[t.Owner] {
			foreign = append(foreign, t.String())
		}
		if o, hindered := t.Obstacle(); hindered {
			p.problem(checkIdentity, t.String(), o.Reason+": once it is published PostgreSQL refuses the application's updates and deletes",
				o.Help+" or leave the table out by source.tables.exclude")
		}
	}
	if len(foreign) > 0 {
		p.problem(checkPublication, "", fmt.Sprintf("the role does not own %d of the tables: %s", len(foreign), names(foreign)),
			"GRANT "+strings.Join(owners, ", ")+" TO "+quote(p.Role)+";"+byDBA)
	}
	return nil
}

func (s *Server) createSQL(tables []Candidate) string {
	return "CREATE PUBLICATION " + quote(s.cfg.Publication) + " FOR TABLE " + namesSQL(tables) +
		" WITH (publish = 'insert, update, delete, truncate', publish_via_partition_root = true)"
}

// createPublication makes the publication and its comment in one transaction,
// in the place of an older one of ours.
func (s *Server) createPublication(ctx context.Context, c *pgx.Conn, tables []Candidate) error {
	name := quote(s.cfg.Publication)
	for _, sql := range []string{
		"BEGIN",
		fmt.Sprintf("SET LOCAL lock_timeout = %d", s.cfg.LockTimeout.Milliseconds()),
		"DROP PUBLICATION IF EXISTS " + name,
		s.createSQL(tables),
		"COMMENT ON PUBLICATION " + name + " IS " + literal(s.publicationMark()),
		"COMMIT",
	} {
		if _, err := c.Exec(ctx, sql); err != nil {
			return classify("making publication "+s.cfg.Publication, err) // closing the session rolls back
		}
		if strings.HasPrefix(sql, "COMMENT") {
			change.Reach(change.SeamPublicationBeforeCommit)
		}
	}
	return nil
}

// DropPublication drops the publication if, and only if, walshift made it for
// this slot, and reports whether it did.
func (s *Server) DropPublication(ctx context.Context) (bool, error) {
	c, err := s.connect(ctx, "publication")
	if err != nil {
		return false, err
	}
	defer closeConn(ctx, c)
	_, ours, _, err := s.publicationState(ctx, c)
	if err != nil || !ours {
		return false, err
	}
	_, err = c.Exec(ctx, "DROP PUBLICATION IF EXISTS "+quote(s.cfg.Publication))
	return err == nil, classify("dropping publication "+s.cfg.Publication, err)
}
