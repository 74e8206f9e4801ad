package redshift

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// stage writes the COPY manifests and loads the staging tables: several
// sessions at a time, each its share in one transaction, for a backlog of many
// batches has many small tables, and a commit costs as much as a COPY. It
// returns the number of statements sent.
func (w *Warehouse) stage(ctx context.Context, p *plan) (int64, error) {
	n := 0
	for _, j := range p.staged {
		for _, c := range j.copies {
			n++
			c.url = fmt.Sprintf("%020d-%s-%04d", c.seq, p.attempt, n)
		}
	}
	direct := slices.Concat(p.copies, p.incidents)
	for _, c := range direct {
		n++
		c.url = fmt.Sprintf("%020d-%s-%04d", c.seq, p.attempt, n)
	}
	var statements atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(w.cfg.StagingSessions)
	for _, jobs := range share(p.staged, w.cfg.StagingSessions) {
		g.Go(func() error {
			for _, j := range jobs {
				for _, c := range j.copies {
					if err := w.putManifest(ctx, c, c.url); err != nil {
						return err
					}
				}
			}
			return w.inSession(ctx, &statements, func(s *session) error {
				s.begins(w.cfg.Pipeline, p.label)
				return w.loadStages(ctx, s, jobs)
			})
		})
	}
	for _, c := range direct {
		g.Go(func() error { return w.putManifest(ctx, c, c.url) })
	}
	err := g.Wait()
	return statements.Load(), err
}

func (w *Warehouse) putManifest(ctx context.Context, c *copyJob, name string) error {
	url, err := w.stores.PutCopyManifest(ctx, name, c.files)
	if err != nil {
		return fmt.Errorf("writing the COPY manifest of table %s in batch %d: %w", c.rel, c.seq, err)
	}
	c.url = url
	return nil
}

// inSession runs body in a staging session.
func (w *Warehouse) inSession(ctx context.Context, statements *atomic.Int64, body func(s *session) error) error {
	s, err := w.acquire(ctx)
	if err != nil {
		return err
	}
	s.begins(w.cfg.Pipeline, "load")
	before := s.statements
	err = body(s)
	statements.Add(s.statements - before)
	w.release(ctx, s)
	return err
}

// share deals the jobs out to at most n sessions so that each gets about the
// same bytes to load.
func share(jobs []*stageJob, n int) [][]*stageJob {
	// A table and its COPY cost about as much as loading so many bytes.
	const perTable = 1 << 20
	groups := make([][]*stageJob, min(n, len(jobs)))
	loads := make([]int64, len(groups))
	for _, j := range jobs {
		least := 0
		for i := range loads {
			if loads[i] < loads[least] {
				least = i
			}
		}
		groups[least] = append(groups[least], j)
		loads[least] += perTable
		for _, c := range j.copies {
			for i := range c.files {
				loads[least] += c.files[i].Bytes
			}
		}
	}
	return groups
}

// loadStages makes staging tables and fills them.
func (w *Warehouse) loadStages(ctx context.Context, s *session, jobs []*stageJob) error {
	err := s.transaction(ctx, func() error {
		for _, j := range jobs {
			if _, err := s.exec(ctx)(j.create()); err != nil {
				return atBatch(tableFault("creating a staging table", j.rel, err), j.seq)
			}
			change.Reach(change.SeamStagingCreated)
			for _, c := range j.copies {
				if err := w.copy(ctx, s, c); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err == nil {
		change.Reach(change.SeamStagingLoaded)
	}
	return w.explain(ctx, s, err)
}

// copy runs one COPY inside the session's transaction and compares the rows.
func (w *Warehouse) copy(ctx context.Context, s *session, c *copyJob) error {
	_, err := s.exec(ctx)(sqltext.CopyFrom(sqltext.Copy{
		Target: c.target, Columns: c.columns, Manifest: c.url,
		NullMarker: c.files[0].NullMarker, Compression: c.files[0].Compression,
		IAMRole: w.cfg.IAMRole, Region: w.cfg.Region,
	}))
	if err != nil {
		return &copyError{job: c, err: err}
	}
	got, err := s.number(ctx)(sqltext.LastCopyCount(), nil)
	if err != nil {
		return fmt.Errorf("counting the rows of COPY: %w", err)
	}
	switch want := c.rows(); {
	case got == want:
	case c.shared:
		return fmt.Errorf("%w: COPY loaded %d rows, the file holds %d", errShared, got, want)
	default:
		return &change.Fault{
			Scope: change.ScopeTable, Code: change.CodeCopyFiles, Op: "copying files", Table: c.rel.String(), TableOID: c.rel.OID, Seq: c.seq,
			Err:    fmt.Errorf("COPY loaded %d rows, the files hold %d", got, want),
			Remedy: "keep the objects below " + keyPart(c.files) + " and report this; load the table again to go on",
		}
	}
	return nil
}
