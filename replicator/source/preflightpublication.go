package source

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// PublicationState is what pg_publication says.
type PublicationState struct {
	Exists bool
	// Everything: inserts, updates, deletes and truncates are published.
	Everything bool
	// ViaRoot: changes of partitions are published as the root's.
	ViaRoot bool
	// AllTables: it is FOR ALL TABLES.
	AllTables bool
}

const publicationSQL = `SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate, pubviaroot, puballtables
  FROM pg_publication WHERE pubname = $1`

func (s *Server) readPublication(ctx context.Context, c *pgx.Conn) (PublicationState, error) {
	pub := PublicationState{Exists: true}
	err := c.QueryRow(ctx, publicationSQL, s.cfg.Publication).Scan(&pub.Everything, &pub.ViaRoot, &pub.AllTables)
	if errors.Is(err, pgx.ErrNoRows) {
		return PublicationState{}, nil
	}
	return pub, classify("checking the publication", err)
}

func (s *Server) checkPublication(p *Plan) {
	name := quote(s.cfg.Publication)
	switch pub := p.Publication; {
	case !pub.Exists && s.cfg.Managed: // Preflight looks whether it can be made
	case !pub.Exists:
		p.problem(checkPublication, "", name+" doesn't exist in database "+p.Identity.Database,
			"CREATE PUBLICATION "+name+" FOR TABLE … WITH (publish_via_partition_root = true); `walshift setup --print` names the tables")
	case !pub.Everything:
		p.problem(checkPublication, "", name+" doesn't publish all operations",
			"ALTER PUBLICATION "+name+" SET (publish = 'insert, update, delete, truncate');")
	case pub.AllTables:
		p.warn(checkPublication, "", name+" is FOR ALL TABLES: the application's updates of every table without a "+
			"replica identity fail, also of those that are made later", "publish named tables: `walshift setup --print`")
	default:
		p.pass(checkPublication, name+" publishes inserts, updates, deletes and truncates")
	}
}

// checkSelection compares the publication with the configuration.
func (s *Server) checkSelection(p *Plan) {
	const include = "source.include"
	if len(p.Tables) == 0 {
		p.problem(checkSelection, "", "no table of the publication is selected",
			"add tables to the publication (`walshift setup --print`), or widen source.tables.include")
	}
	if len(p.Unselected) > 0 {
		p.warn(checkSelection, "", fmt.Sprintf("the publication holds %d tables that the configuration leaves out: %s; "+
			"their changes are sent over the network and dropped here", len(p.Unselected), names(p.Unselected)),
			"ALTER PUBLICATION "+quote(s.cfg.Publication)+" DROP TABLE …;")
	}
	for _, pattern := range s.cfg.Include {
		hit := slices.ContainsFunc(p.Tables, func(t Table) bool { return glob(pattern, t.Relation.String()) })
		switch {
		case hit:
		case isLiteral(pattern):
			p.problem(include, pattern, "the table is not in the publication",
				"add it to the publication, or take it out of source.tables.include")
		default:
			p.warn(include, "", fmt.Sprintf("pattern %q selects no published table", pattern), "")
		}
	}
	p.settled(checkSelection, fmt.Sprintf("%d published tables are selected", len(p.Tables)))
	p.settled(include, "every pattern selects tables")
}

// checkCandidates names tables that the configuration selects and the
// publication lacks. It never proposes to add one without an identity, which
// would break the application's updates (pitfall S12).
func (s *Server) checkCandidates(p *Plan) {
	var missing []Candidate
	for i := range p.Candidates {
		c := &p.Candidates[i]
		if c.Inherited && c.Published {
			p.warn("source.inheritance", c.String(), "tables inherit from it: each is replicated by itself, with its own rows only", "")
		}
		if c.Published || len(s.cfg.Include) == 0 {
			continue
		}
		if o, hindered := c.Obstacle(); hindered {
			seen := "it is selected, not published, and may not be: " + o.Reason
			if o.Harms {
				seen += "; the application's updates and deletes would fail"
			}
			p.warn(checkUnpublished, c.String(), seen, o.Help+" or leave it out by source.tables.exclude")
			continue
		}
		missing = append(missing, *c)
	}
	if len(missing) > 0 {
		list := make([]string, len(missing))
		for i := range missing {
			list[i] = missing[i].String()
		}
		const many = 20
		remedy := "`walshift setup --print` prints the ALTER PUBLICATION"
		if len(missing) <= many {
			remedy = "ALTER PUBLICATION " + quote(s.cfg.Publication) + " ADD TABLE " + namesSQL(missing) + ";"
		}
		p.warn(checkUnpublished, "", fmt.Sprintf("%d tables are selected and not published: %s",
			len(missing), names(list)), remedy+" or leave them out by source.tables.exclude")
	}
	p.settled(checkUnpublished, "every selected table is published")
	p.settled("source.inheritance", "no published table has inheritance children")
}
