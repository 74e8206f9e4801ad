package redshift

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/jackc/pglogrepl"
	"go.uber.org/zap"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// ErrNoIncident reports that the pipeline has no incident of the id asked for.
var ErrNoIncident = errors.New("there is no such incident")

// Incident is an incident as Redshift holds it.
type Incident struct {
	change.Incident
	// State is "open", "acknowledged", or "accepted" by the configuration.
	State string
}

// incidentJobs returns the COPYs of the incidents of batches, but for tables
// that are stopped. They run in the transaction that applies the batches.
func (w *Warehouse) incidentJobs(batches []*change.Manifest) ([]*copyJob, error) {
	var jobs []*copyJob
	for _, m := range batches {
		for i := range m.Segments {
			s := &m.Segments[i]
			if len(s.Incidents) == 0 {
				continue
			}
			table, err := w.liveTable(m.Seq, &s.Relation)
			if err != nil {
				return nil, err
			}
			if table != nil {
				jobs = w.addIncidents(jobs, &s.Relation, m.Seq, s.Incidents)
			}
		}
	}
	return jobs, nil
}

func (w *Warehouse) addIncidents(jobs []*copyJob, rel *change.Relation, seq uint64, files []change.File) []*copyJob {
	for _, f := range files {
		jobs = addCopy(jobs, &copyJob{
			rel: rel, seq: seq, target: sqltext.IncidentsTable(w.cfg.Pipeline), columns: sqltext.IncidentNames(),
			files: []change.File{f},
		})
	}
	return jobs
}

// copyIncidents runs the COPYs inside the session's transaction.
func (w *Warehouse) copyIncidents(ctx context.Context, s *session, jobs []*copyJob) error {
	for _, c := range jobs {
		if err := w.copy(ctx, s, c); err != nil {
			return fmt.Errorf("recording incidents: %w", err)
		}
	}
	return nil
}

// createIncidents makes the tables of incidents where they are missing.
func (w *Warehouse) createIncidents(ctx context.Context, s *session) error {
	tables, err := sqltext.CreateIncidents(w.cfg.Pipeline)
	if err != nil {
		return err
	}
	for _, sql := range tables {
		if _, err := s.exec(ctx)(sql, nil); err != nil {
			return err
		}
	}
	return nil
}

// completeIncidents makes the tables of incidents of a pipeline that an earlier
// version has made without them: an apply could not record what its policies
// have changed. Where the configuration accepts incidents, which older views
// don't know, it makes the view anew. found is what schema walshift holds.
func (w *Warehouse) completeIncidents(ctx context.Context, s *session, found []relation) error {
	whole := true
	for _, name := range []sqltext.Name{sqltext.IncidentsTable(w.cfg.Pipeline), sqltext.AcksTable(w.cfg.Pipeline)} {
		whole = whole && slices.ContainsFunc(found, func(r relation) bool { return r.name == name })
	}
	if whole && !w.cfg.Values.AcceptsAny() {
		return nil
	}
	if !whole {
		if err := s.transaction(ctx, func() error { return w.createIncidents(ctx, s) }); err != nil {
			return incompleteFault(err)
		}
		w.log.Warn("incidents_tables_created", zap.String("pipeline", w.cfg.Pipeline))
		var err error
		if found, err = relations(ctx, s, []string{sqltext.Schema}); err != nil {
			return err
		}
	}
	if err := w.createIncidentsView(ctx, s, found); err != nil {
		if !answered(err) {
			return err
		}
		// It may be another user's. Nothing that is applied depends on it.
		w.log.Warn("incidents_view_not_renewed", zap.Error(err))
	}
	return nil
}

func incompleteFault(err error) error {
	if scopeOf(err) != change.ScopeLoop {
		return err
	}
	return &change.Fault{
		Scope: change.ScopeLoop, Code: change.CodeWarehouseRefused, Op: "making the tables of incidents, which this version needs", Err: err,
		Remedy: "let the user of redshift.dsn make them: GRANT USAGE, CREATE ON SCHEMA " + sqltext.Schema + " TO its user or group; " +
			"apply goes on by itself then",
	}
}

// createIncidentsView makes the public view over the incidents of all
// pipelines that have a table of them.
func (w *Warehouse) createIncidentsView(ctx context.Context, s *session, found []relation) error {
	var pipelines []string
	for _, r := range found {
		if p, ok := sqltext.IncidentsOf(r.name.Table); ok && r.kind == "r" {
			pipelines = append(pipelines, p)
		}
	}
	if len(pipelines) == 0 {
		return nil
	}
	slices.Sort(pipelines)
	_, err := s.exec(ctx)(sqltext.CreateIncidentsView(pipelines))
	return err
}

// forgetIncidents removes what an interrupted first load has recorded.
func (w *Warehouse) forgetIncidents(ctx context.Context, s *session) error {
	statements, err := sqltext.ForgetIncidents(w.cfg.Pipeline)
	if err != nil {
		return err
	}
	for _, sql := range statements {
		if _, err := s.exec(ctx)(sql, nil); err != nil {
			return fmt.Errorf("removing incidents: %w", err)
		}
	}
	return nil
}

// OpenIncidents returns the number of incidents that nobody has acknowledged
// and that the configuration does not accept.
func (w *Warehouse) OpenIncidents(ctx context.Context) (int64, error) {
	var n int64
	err := w.withIncidents(ctx, func(s *session) error {
		var err error
		n, err = s.number(ctx)(sqltext.CountOpenIncidents(w.cfg.Pipeline))
		return err
	})
	return n, fault("counting incidents", err)
}

// Incidents returns at most limit incidents, the newest first; unless all is
// set only those that are open.
func (w *Warehouse) Incidents(ctx context.Context, all bool, limit int) ([]Incident, error) {
	var list []Incident
	err := w.withIncidents(ctx, func(s *session) error {
		return s.incidents(ctx, &list)(sqltext.ListIncidents(w.cfg.Pipeline, all, limit))
	})
	return list, fault("listing incidents", err)
}

// Incident returns one incident. The error wraps [ErrNoIncident].
func (w *Warehouse) Incident(ctx context.Context, id string) (Incident, error) {
	var list []Incident
	err := w.withIncidents(ctx, func(s *session) error {
		return s.incidents(ctx, &list)(sqltext.OneIncident(w.cfg.Pipeline, id))
	})
	switch {
	case err != nil:
		return Incident{}, fault("reading an incident", err)
	case len(list) == 0:
		return Incident{}, fmt.Errorf("reading incident %s: %w", id, ErrNoIncident)
	}
	return list[0], nil
}

// AckIncidents acknowledges an open incident, or all where id is "", and
// returns how many there were.
func (w *Warehouse) AckIncidents(ctx context.Context, id, by string) (int64, error) {
	var n int64
	err := w.withIncidents(ctx, func(s *session) error {
		var err error
		n, err = s.exec(ctx)(sqltext.AckIncidents(w.cfg.Pipeline, id, by))
		return err
	})
	return n, fault("acknowledging incidents", err)
}

// withIncidents runs body where the pipeline's incidents table exists.
func (w *Warehouse) withIncidents(ctx context.Context, body func(s *session) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, err := w.ready(ctx)
	if err != nil {
		return err
	}
	found, err := relations(ctx, s, []string{sqltext.Schema})
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(found, func(r relation) bool { return r.name == sqltext.IncidentsTable(w.cfg.Pipeline) }) {
		w.log.Debug("no_incidents_table", zap.String("pipeline", w.cfg.Pipeline))
		return nil
	}
	return body(s)
}

// incidents returns a function that runs a query of incidents.
func (s *session) incidents(ctx context.Context, list *[]Incident) func(sql string, err error) error {
	return s.query(ctx, len(sqltext.IncidentColumns())+1, func(r record) error {
		e, err := r.incident()
		*list = append(*list, e)
		return err
	})
}

// incident reads a row in the order of sqltext.IncidentColumns and the state.
func (r record) incident() (Incident, error) {
	var e Incident
	var errs [5]error
	var lsn pglogrepl.LSN
	e.ID, e.Schema, e.Table, e.Key = r.text(0), r.text(3), r.text(4), r.text(6)
	e.Column, e.Reason, e.Policy, e.Object = r.text(7), r.text(9), r.text(10), r.text(13)
	e.Seq, errs[0] = strconv.ParseUint(r.text(1), 10, 64)
	lsn, errs[1] = pglogrepl.ParseLSN(r.text(2))
	oid, err := strconv.ParseUint(r.text(5), 10, 32)
	errs[2] = err
	attnum, err := strconv.ParseInt(r.text(8), 10, 16)
	errs[3] = err
	e.Bytes, errs[4] = r.number(11)
	e.LSN, e.OID, e.Attnum = change.LSN(lsn), uint32(oid), int16(attnum)
	if !r.null(12) {
		e.Original = append([]byte{}, r[12]...)
	}
	e.State = r.text(14)
	return e, errors.Join(errs[:]...)
}
