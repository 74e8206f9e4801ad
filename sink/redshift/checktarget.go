package redshift

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// targets checks tables that exist already: those in the way, those that
// others may write, those of other pipelines.
func (c *checker) targets(ctx context.Context, rels []*change.Relation) error {
	if err := c.existing(ctx, rels); err != nil {
		return err
	}
	if rels != nil {
		c.settled(checkTargets, "no target is in the way (target.existing: "+string(c.w.existing())+")")
	}
	wanted := make(map[sqltext.Name]*change.Relation, len(rels))
	for _, rel := range rels {
		wanted[c.w.storedName(c.w.target(rel))] = rel
	}
	if err := c.writers(ctx, wanted); err != nil {
		return err
	}
	return c.pipelines(ctx, wanted)
}

// existing returns the configuration's value, with its default.
func (w *Warehouse) existing() Existing {
	if w.cfg.Existing == "" {
		return ExistingRefuse
	}
	return w.cfg.Existing
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
	there := make(map[sqltext.Name]string, len(found))
	for _, r := range found {
		there[r.name] = r.kind
	}
	ours := make(map[sqltext.Name]bool)
	_, known, err := c.w.prepared(ctx, c.s)
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
		name := c.w.storedName(c.w.target(rel))
		switch c.w.cfg.Existing {
		case ExistingTruncate, ExistingAdopt:
			if err := c.kept(ctx, rel, there[name]); err != nil {
				return err
			}
			continue
		case ExistingRefuse:
		}
		if there[name] != "" && !ours[name] {
			c.fail(checkTargets, rel, fmt.Sprintf("target %s exists already", name), "drop or rename it, keep it by "+
				"target.existing: truncate, or map the source schema to another one in target.schemas")
		}
	}
	return nil
}

// writers names users beside walshift's that may write a target (pitfall V22).
func (c *checker) writers(ctx context.Context, wanted map[sqltext.Name]*change.Relation) error {
	if len(wanted) == 0 {
		c.f.Skip(checkWriters, "the source's tables are not known")
		return nil
	}
	tables := make(map[string][]string)
	err := c.s.query(ctx, 3, func(r record) error {
		name := sqltext.Name{Schema: r.text(1), Table: r.text(2)}
		if _, ok := wanted[name]; ok {
			tables[r.text(0)] = append(tables[r.text(0)], ident(name.Schema)+"."+ident(name.Table))
		}
		return nil
	})(sqltext.Writers(slices.Sorted(maps.Keys(c.schemas))))
	if ok, err := c.optional(checkWriters, "who may write the targets", 1, err); err != nil || !ok {
		return err
	}
	const few = 5
	for _, user := range slices.Sorted(maps.Keys(tables)) {
		list := tables[user]
		seen := strings.Join(list[:min(few, len(list))], ", ")
		if len(list) > few {
			seen += fmt.Sprintf(" and %d more", len(list)-few)
		}
		c.f.Warn(checkWriters, "user "+user+" may write "+seen+": a table that others write stops being the source's",
			"REVOKE INSERT, UPDATE, DELETE ON "+strings.Join(list, ", ")+" FROM "+ident(user)+";")
	}
	c.settled(checkWriters, "no ordinary user beside "+c.user+" may write a target that is there (groups and roles included)")
	return nil
}

// pipelines looks at the state of this pipeline and of others in the database.
func (c *checker) pipelines(ctx context.Context, wanted map[sqltext.Name]*change.Relation) error {
	found, err := relations(ctx, c.s, []string{sqltext.Schema})
	if err != nil {
		return err
	}
	var names []string
	for _, r := range found {
		pipeline, ok := sqltext.PipelineOf(r.name.Table)
		if !ok {
			continue
		}
		names = append(names, pipeline)
		if pipeline == c.w.cfg.Pipeline {
			continue
		}
		theirs, err := c.targetsOf(ctx, pipeline)
		if ok, err := c.optional(checkPipelines, "the state of pipeline "+pipeline, 1, err); err != nil {
			return err
		} else if !ok {
			continue
		}
		for _, name := range theirs {
			if rel := wanted[c.w.storedName(name)]; rel != nil {
				c.fail(checkPipelines, rel, fmt.Sprintf("pipeline %s writes target %s too", pipeline, name),
					"leave the table out of one of the two, or map the source schema to another one in target.schemas")
			}
		}
	}
	switch {
	case len(names) == 0:
		c.settled(checkPipelines, "schema walshift holds no pipeline yet")
	default:
		c.settled(checkPipelines, "schema walshift holds "+strings.Join(names, ", ")+"; none shares a target with another")
	}
	return nil
}

func (c *checker) targetsOf(ctx context.Context, pipeline string) ([]sqltext.Name, error) {
	var out []sqltext.Name
	err := c.s.query(ctx, 2, func(r record) error {
		out = append(out, sqltext.Name{Schema: r.text(0), Table: r.text(1)})
		return nil
	})(sqltext.Targets(pipeline))
	return out, err
}

// errProbe reports a COPY that loaded something else than the file.
var errProbe = errors.New("COPY loaded another number of rows than the file has")

// CheckCopy tries a real COPY: a file of two text columns, named by a COPY
// manifest, into a temporary table of a transaction that is rolled back.
func (w *Warehouse) CheckCopy(ctx context.Context, file change.File, manifest string) change.Finding {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := change.Finding{ID: CheckCopy, Level: change.LevelPass, Seen: "COPY reads the log's place with IAM role " + w.cfg.IAMRole}
	s, err := w.ready(ctx)
	if err != nil {
		return change.Finding{ID: CheckCopy, Level: change.LevelSkipped, Seen: "no session: " + err.Error()}
	}
	table := "walshift_check_" + newID()
	create, columns, err := sqltext.CreateProbe(table)
	run := s.exec(ctx)
	if err == nil {
		_, err = run("BEGIN", nil)
	}
	if err == nil {
		defer s.rollback(ctx)
		_, err = run(create, nil)
	}
	if err != nil {
		if hasCode(err, "42501") {
			out.Level, out.Seen = change.LevelSkipped, "the user may not make temporary tables, so that COPY can't be tried"
			out.Remedy = "GRANT TEMPORARY ON DATABASE " + ident(s.conn.Config().Database) + " TO " + ident(s.conn.Config().User) + ";"
			return out
		}
		return change.Finding{ID: CheckCopy, Level: change.LevelFail, Seen: "a temporary table can't be made: " + err.Error(), Remedy: "mend what the message names"}
	}
	_, err = run(sqltext.CopyFrom(sqltext.Copy{
		Target: sqltext.Name{Table: table}, Columns: columns, Manifest: manifest, NullMarker: file.NullMarker,
		Compression: file.Compression, IAMRole: w.cfg.IAMRole, Region: w.cfg.Region,
	}))
	if err == nil {
		var n int64
		if n, err = s.number(ctx)(sqltext.LastCopyCount(), nil); err == nil && n != file.Rows {
			err = fmt.Errorf("%w: %d instead of %d", errProbe, n, file.Rows)
		}
	}
	if err != nil {
		out.Level, out.Seen = change.LevelFail, "COPY failed: "+err.Error()
		out.Remedy = "attach the role to the cluster or workgroup and let it read the log's place (`walshift setup --print --only iam`); " +
			"check redshift.iam_role and log.region"
	}
	return out
}
