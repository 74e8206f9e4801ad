package redshift

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/walshift/walshift/test/redshift/internal/sqlrule"
)

// Type OIDs, those of Redshift where they differ (redshift_connector, oids.py).
const (
	oidText        = 25
	oidVarchar     = 1043
	oidNumeric     = 1700
	oidInterval    = 1186
	oidTimeTZ      = 1266
	oidSuper       = 4000
	oidVarbyte     = 6551
	oidGeometry    = 3000
	oidGeography   = 3001
	oidSketch      = 2935
	oidYearToMonth = 1188
	oidDayToSecond = 1190
	flushRows      = 512
	superMark      = 1
)

// intervalMask is where PostgreSQL keeps an interval's fields in its typmod.
const (
	intervalShift = 16
	intervalBits  = 0x7fff
	yearToMonth   = 6
	dayToSecond   = 0x1c08
)

// column tells how the values of a result column are shown.
type column struct {
	field  pgproto3.FieldDescription
	source uint32
}

// columns turns PostgreSQL's description of a result into Redshift's.
func (c *session) columns(d *pgproto3.RowDescription) []column {
	out := make([]column, len(d.Fields))
	for i, f := range d.Fields {
		f.Name = bytes.Clone(f.Name)
		out[i] = column{field: f, source: f.DataTypeOID}
		t := &out[i].field
		t.DataTypeOID = c.srv.clientOID(f.DataTypeOID)
		t.Name = []byte(c.srv.clientName(string(f.Name)))
		switch f.DataTypeOID {
		case c.srv.oids.Varchar, oidText:
			t.DataTypeSize = -1
		case oidInterval:
			switch (f.TypeModifier >> intervalShift) & intervalBits {
			case yearToMonth:
				t.DataTypeOID = oidYearToMonth
			case dayToSecond:
				t.DataTypeOID = oidDayToSecond
			}
		}
	}
	return out
}

func (s *Server) clientOID(oid uint32) uint32 {
	switch oid {
	case s.oids.Varchar, oidText:
		return oidVarchar
	case s.oids.Super:
		return oidSuper
	case s.oids.Varbyte:
		return oidVarbyte
	case s.oids.Geometry:
		return oidGeometry
	case s.oids.Geography:
		return oidGeography
	case s.oids.Sketch:
		return oidSketch
	}
	return oid
}

func (s *Server) backendOID(oid uint32) uint32 {
	switch oid {
	case oidVarchar:
		return s.oids.Varchar
	case oidSuper:
		return s.oids.Super
	case oidVarbyte:
		return s.oids.Varbyte
	}
	return oid
}

// clientName undoes what rewriting did to a column's name.
func (s *Server) clientName(name string) string {
	switch name {
	case "rs_terminate_backend", "rs_cancel_backend":
		return "pg" + strings.TrimPrefix(name, "rs")
	case "rs_version", "rs_sysdate", "rs_format_type", "rs_date_part", "rs_extract", "rs_to_date", "rs_to_timestamp", "rs_log", "rs_regexp_substr",
		"rs_regexp_count", "rs_regexp_instr", "rs_regexp_replace", "rs_current_setting":
		return strings.Replace(strings.TrimPrefix(name, "rs_"), "extract", "date_part", 1)
	}
	if len(name) == 63 {
		s.mu.Lock()
		defer s.mu.Unlock()
		if long, ok := s.long[name]; ok {
			return long
		}
	}
	return name
}

func describe(cols []column, formats []int16) *pgproto3.RowDescription {
	d := &pgproto3.RowDescription{Fields: make([]pgproto3.FieldDescription, len(cols))}
	for i, col := range cols {
		d.Fields[i] = col.field
		d.Fields[i].Format = formatOf(formats, i)
	}
	return d
}

func formatOf(formats []int16, i int) int16 {
	switch {
	case len(formats) == 1:
		return formats[0]
	case i < len(formats):
		return formats[i]
	}
	return 0
}

// show turns a value of a row into what Redshift shows.
func (c *session) show(col column, v []byte) []byte {
	switch {
	case v == nil:
		return nil
	case col.source == c.srv.oids.Super:
		return showSuper(v)
	case col.source == c.srv.oids.Varbyte:
		return bytes.TrimPrefix(v, []byte(`\x`))
	}
	return v
}

func showSuper(v []byte) []byte {
	if len(v) > 0 && v[0] == superMark {
		var b bytes.Buffer
		if json.Compact(&b, v[1:]) == nil {
			return b.Bytes()
		}
		return v[1:]
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(string(v)) != nil {
		return v
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// answer is the outcome of one exchange with the backend.
type answer struct {
	tag     string
	rows    int64
	cols    []column
	failure *pgproto3.ErrorResponse
	params  []uint32
	suspend bool
	empty   bool
	// refused says that the result has a type that Redshift has not.
	refused bool
}

// relay passes the backend's messages on until it is ready again. cols are
// those of a portal; for a simple query they are nil and come with the answer.
func (c *session) relay(cols []column, forward bool) (answer, error) {
	a := answer{cols: cols}
	n := 0
	for {
		msg, err := c.b.recv()
		if err != nil {
			return a, err
		}
		switch m := msg.(type) {
		case *pgproto3.ReadyForQuery:
			if a.failure != nil {
				return a, &backendError{a.failure}
			}
			return a, nil
		case *pgproto3.DataRow:
			if !forward || a.refused {
				continue
			}
			c.row(a.cols, m)
			if n++; n%flushRows == 0 {
				if err := c.cl.Flush(); err != nil {
					return a, fmt.Errorf("sending rows: %w", err)
				}
			}
		default:
			c.note(&a, msg, forward)
		}
	}
}

// row sends one row.
func (c *session) row(cols []column, m *pgproto3.DataRow) {
	for i := range m.Values {
		if i < len(cols) {
			m.Values[i] = c.show(cols[i], m.Values[i])
		}
	}
	c.cl.Send(m)
}

// note takes what a message other than a row says.
func (c *session) note(a *answer, msg pgproto3.BackendMessage, forward bool) {
	switch m := msg.(type) {
	case *pgproto3.RowDescription:
		a.cols = c.columns(m)
		if !forward {
			return
		}
		if bad := c.foreign(a.cols); bad != nil {
			a.failure, a.refused = bad, true
			return
		}
		c.cl.Send(describe(a.cols, nil))
	case *pgproto3.ParameterDescription:
		for _, oid := range m.ParameterOIDs {
			a.params = append(a.params, c.srv.clientOID(oid))
		}
	case *pgproto3.CommandComplete:
		a.tag = string(m.CommandTag)
		a.rows = tagRows(a.tag)
	case *pgproto3.PortalSuspended:
		a.suspend = true
	case *pgproto3.EmptyQueryResponse:
		a.empty = true
	case *pgproto3.ErrorResponse:
		e := *m
		a.failure = &e
	case *pgproto3.NoticeResponse:
		if forward {
			c.cl.Send(&pgproto3.NoticeResponse{Severity: m.Severity, SeverityUnlocalized: m.SeverityUnlocalized, Code: m.Code, Message: plainNames(m.Message)})
		}
	case *pgproto3.ParameterStatus:
		if m.Name == "TimeZone" || m.Name == "application_name" {
			c.cl.Send(&pgproto3.ParameterStatus{Name: m.Name, Value: m.Value})
		}
	}
}

// foreign refuses a result with a type that Redshift has not: rows, arrays,
// JSON and so on. The catalog on the leader node shows more.
func (c *session) foreign(cols []column) *pgproto3.ErrorResponse {
	if c.leader {
		return nil
	}
	for _, col := range cols {
		if !known(col.field.DataTypeOID) {
			return &pgproto3.ErrorResponse{
				Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: sqlrule.CodeUnsupported,
				Message: fmt.Sprintf("column %q has a type that is not supported", col.field.Name),
			}
		}
	}
	return nil
}

// known lists the types that a client may see, by their ids in Redshift.
func known(oid uint32) bool {
	switch oid {
	case 16, 18, 19, 20, 21, 23, 24, 25, 26, 700, 701, 705, 1042, 1043, 1082, 1083, 1114, 1184, oidInterval, oidYearToMonth, oidDayToSecond,
		oidTimeTZ, oidNumeric, 1790, 2205, 2206, 2278, oidSuper, oidVarbyte, oidGeometry, oidGeography, oidSketch:
		return true
	}
	return false
}

func tagRows(tag string) int64 {
	n, err := strconv.ParseInt(tag[strings.LastIndexByte(tag, ' ')+1:], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// simple runs text on the backend by the simple protocol.
func (c *session) simple(sql string, forward bool) (answer, error) {
	c.b.fe.SendQuery(&pgproto3.Query{String: sql})
	if err := c.b.fe.Flush(); err != nil {
		return answer{}, fmt.Errorf("%w: %w", errBackend, err)
	}
	return c.relay(nil, forward)
}

// ask runs a query of the stand-in's own; PostgreSQL's error is the client's.
func (c *session) ask(sql string) (rows, error) {
	r, failure, err := c.b.query(sql)
	if err != nil {
		return nil, err
	}
	if failure != nil {
		return nil, &backendError{failure}
	}
	return r, nil
}
