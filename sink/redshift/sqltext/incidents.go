package sqltext

import "strings"

// IncidentColumn is a column of the incidents table and of the files that are
// copied into it.
type IncidentColumn struct {
	Name string
	Mapping
}

// The policy of a misfit that the operator accepts stands in the table behind
// [acceptedPrefix]: a column of its own would be missing in the tables, and in
// the files on S3, of pipelines made before.
const (
	incidentAccepted = "i.policy LIKE '" + acceptedPrefix + "%'"
	incidentPolicy   = "CASE WHEN " + incidentAccepted + " THEN SUBSTRING(i.policy, 10) ELSE i.policy END"
	incidentState    = "CASE WHEN " + incidentAccepted + " THEN 'accepted' WHEN a.id IS NULL THEN 'open' ELSE 'acknowledged' END"
)

// IncidentColumns returns the columns of the incidents table in order, by the
// names that files of incidents have them under.
func IncidentColumns() []IncidentColumn {
	list := []IncidentColumn{
		{"id", text(32, true)},
		{"seq", exact("BIGINT", FormInt)},
		{"lsn", text(17, true)},
		{"schema_name", text(256, true)},
		{"table_name", text(256, true)},
		{"table_oid", exact("BIGINT", FormInt)},
		{"row_key", text(MaxVarchar, true)},
		{"column_name", text(256, true)},
		{"attnum", exact("INTEGER", FormInt)},
		{"reason", text(64, true)},
		{"policy", text(32, true)},
		{"bytes", exact("BIGINT", FormInt)},
		{"original", text(4096, true)},
		{"object", text(256, true)},
	}
	return list
}

// IncidentsTable holds one row per value that a policy has changed. It only
// grows, by COPY.
func IncidentsTable(pipeline string) Name { return Name{Schema, "incidents_" + pipeline} }

// IncidentsOf returns the pipeline of an incidents table's name.
func IncidentsOf(table string) (string, bool) {
	pipeline, ok := strings.CutPrefix(table, "incidents_")
	return pipeline, ok && CheckPipeline(pipeline) == nil
}

// AcksTable holds the ids of the incidents that somebody has acknowledged. It
// is a table of its own, so that an acknowledgement never waits for an apply,
// nor an apply for it.
func AcksTable(pipeline string) Name { return Name{Schema, "acks_" + pipeline} }

// CreateIncidents returns the statements that make the two tables where they
// are missing.
func CreateIncidents(pipeline string) ([]string, error) {
	w := new(writer)
	w.raw("CREATE TABLE IF NOT EXISTS ").name(IncidentsTable(pipeline)).raw(" (")
	for i, c := range IncidentColumns() {
		if i > 0 {
			w.raw(",")
		}
		w.raw("\n  ", c.Name, " ", c.DDL)
	}
	incidents, err := w.raw("\n)").done()
	if err != nil {
		return nil, err
	}
	w = new(writer)
	w.raw("CREATE TABLE IF NOT EXISTS ").name(AcksTable(pipeline))
	acks, err := w.raw(" (\n  id VARCHAR(32) NOT NULL,\n  acked_at TIMESTAMP,\n  acked_by VARCHAR(256)\n)").done()
	return []string{incidents, acks}, err
}

// IncidentNames returns the table's columns in the order of the files.
func IncidentNames() []string {
	columns := IncidentColumns()
	names := make([]string, len(columns))
	for i := range columns {
		names[i] = columns[i].Name
	}
	return names
}

// CreateIncidentsView returns the view walshift.incidents over all the
// pipelines. It is bound to their tables, and has to be made anew for each new
// pipeline.
func CreateIncidentsView(pipelines []string) (string, error) {
	w := new(writer)
	w.raw("CREATE OR REPLACE VIEW ").name(Name{Schema, "incidents"}).raw(" AS\n")
	for i, p := range pipelines {
		if i > 0 {
			w.raw("\nUNION ALL\n")
		}
		w.raw("SELECT ").lit(p).raw("::VARCHAR(41) AS pipeline, i.id, i.seq, i.lsn, i.schema_name || '.' || i.table_name AS \"table\",\n"+
			"  i.row_key, i.column_name, i.reason, ", "("+incidentPolicy+")::VARCHAR(32) AS policy, i.bytes, i.original, i.object,\n",
			"  ", incidentState, " AS state").withAcks(p)
	}
	return w.done()
}

// DropIncidentsView returns the DROP of the view, for a pipeline that goes.
func DropIncidentsView() (string, error) {
	return new(writer).raw("DROP VIEW IF EXISTS ").name(Name{Schema, "incidents"}).done()
}

// openIncidents writes FROM and WHERE for the open incidents.
func (w *writer) openIncidents(pipeline string) *writer {
	w.raw("\nFROM ").name(IncidentsTable(pipeline)).raw(" AS i\nWHERE NOT (", incidentAccepted, ")")
	return w.raw(" AND id NOT IN (SELECT id FROM ").name(AcksTable(pipeline)).raw(")")
}

// CountOpenIncidents returns the query for the number of open incidents.
func CountOpenIncidents(pipeline string) (string, error) {
	return new(writer).raw("SELECT COUNT(*)").openIncidents(pipeline).done()
}

// OpenIncidentsByTable returns the query for the number of open incidents by
// schema, table, reason and policy.
func OpenIncidentsByTable(pipeline string) (string, error) {
	w := new(writer).raw("SELECT schema_name, table_name, reason, policy, COUNT(*)").openIncidents(pipeline)
	return w.raw("\nGROUP BY 1, 2, 3, 4\nORDER BY 1, 2, 3, 4").done()
}

// ListIncidents returns the query for at most limit incidents in the order of
// [IncidentColumns] and their state, newest first; numbers are text. Unless all
// is set only the open ones.
func ListIncidents(pipeline string, all bool, limit int) (string, error) {
	w := new(writer).incidentList(pipeline)
	if !all {
		w.raw("\nWHERE a.id IS NULL AND NOT (", incidentAccepted, ")")
	}
	return w.raw("\nORDER BY i.seq DESC, i.id\nLIMIT ").int(limit).done()
}

// OneIncident returns the query for one incident, as [ListIncidents] shows it.
func OneIncident(pipeline, id string) (string, error) {
	return new(writer).incidentList(pipeline).raw("\nWHERE i.id = ").lit(id).done()
}

func (w *writer) incidentList(pipeline string) *writer {
	columns := IncidentColumns()
	w.raw("SELECT ").list(len(columns), func(i int) {
		switch name := columns[i].Name; {
		case name == "policy":
			w.raw(incidentPolicy)
		case columns[i].Text():
			w.raw("i.", name)
		default:
			w.raw("i.", name, "::VARCHAR")
		}
	})
	w.raw(",\n  ", incidentState)
	return w.withAcks(pipeline)
}

// withAcks joins the incidents i with their acknowledgements a.
func (w *writer) withAcks(pipeline string) *writer {
	w.raw("\nFROM ").name(IncidentsTable(pipeline)).raw(" AS i LEFT JOIN (SELECT DISTINCT id FROM ").name(AcksTable(pipeline))
	return w.raw(") AS a ON a.id = i.id")
}

// AckIncidents returns the INSERT that acknowledges open incidents: the one
// with the id, or all where id is "".
func AckIncidents(pipeline, id, by string) (string, error) {
	w := new(writer)
	w.raw("INSERT INTO ").name(AcksTable(pipeline)).raw(" (id, acked_at, acked_by)\nSELECT id, SYSDATE, ").lit(by)
	w.openIncidents(pipeline)
	if id != "" {
		w.raw(" AND id = ").lit(id)
	}
	return w.done()
}

// ForgetIncidents returns the DELETEs of all incidents and acknowledgements, for
// a first load that starts over.
func ForgetIncidents(pipeline string) ([]string, error) {
	var out []string
	for _, n := range []Name{IncidentsTable(pipeline), AcksTable(pipeline)} {
		sql, err := new(writer).raw("DELETE FROM ").name(n).done()
		if err != nil {
			return nil, err
		}
		out = append(out, sql)
	}
	return out, nil
}
