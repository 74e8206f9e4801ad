package redshift

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/walshift/walshift/test/redshift/internal/lex"
	"github.com/walshift/walshift/test/redshift/internal/sqlrule"
)

// maxParams is the limit of bind parameters.
const maxParams = 32767

// prepared is a statement of the extended protocol. On the backend it is always
// named, for the stand-in's own queries would end an unnamed one.
type prepared struct {
	st     *sqlrule.Statement // nil for an empty text
	name   string             // on the backend; empty if it is not prepared there
	params []uint32
	cols   []column
}

// portal is a bound statement. The backend binds it when it is executed, after
// the table locks have been taken.
type portal struct {
	p       *prepared
	bind    pgproto3.Bind
	started bool
}

// extended handles one message of the extended protocol.
func (c *session) extended(msg pgproto3.FrontendMessage) error {
	switch m := msg.(type) {
	case *pgproto3.Parse:
		return c.parse(m)
	case *pgproto3.Bind:
		return c.bind(m)
	case *pgproto3.Describe:
		return c.describe(m)
	case *pgproto3.Execute:
		return c.execute(m)
	case *pgproto3.Close:
		return c.closeObject(m)
	}
	return nil
}

func (c *session) extendedError(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errorResponse(err); ok {
		if fatal := c.abort(); fatal != nil {
			return fatal
		}
	}
	c.skipToSync = true
	if err := c.sendError(err); err != nil {
		return err
	}
	return c.cl.Flush()
}

func (c *session) sync() error {
	ctx, done := c.statementContext()
	defer done()
	if err := c.endImplicit(ctx, !c.skipToSync); err != nil {
		if err = c.sendError(err); err != nil {
			return err
		}
		if err = c.endImplicit(ctx, false); err != nil {
			return err
		}
	}
	c.skipToSync = false
	return c.ready()
}

// byBackend reports whether the backend prepares the statement; others are run
// as texts when they are executed.
func byBackend(st *sqlrule.Statement) bool {
	switch st.Kind {
	case sqlrule.Select, sqlrule.Insert, sqlrule.Update, sqlrule.Delete, sqlrule.Merge:
		return len(st.Backend) == 1
	case sqlrule.Show:
		return len(st.Backend) == 1
	case sqlrule.Utility:
		word, _, _ := strings.Cut(strings.ToLower(st.SQL), " ")
		return word == "explain" || word == "fetch" || word == "execute" || word == "call" || word == "show"
	default:
		return false
	}
}

func (c *session) parse(m *pgproto3.Parse) error {
	toks, err := scan(m.Query)
	if err != nil {
		return err
	}
	if len(m.ParameterOIDs) > maxParams {
		return refusal(sqlrule.CodeTooComplex, "too many parameters: at most 32767")
	}
	parts := lex.Split(toks)
	p := &prepared{}
	switch {
	case len(parts) > 1:
		return refusal(sqlrule.CodeSyntax, "cannot insert multiple commands into a prepared statement")
	case len(parts) == 1:
		if p.st, err = c.compile(strings.Clone(m.Query), parts[0]); err != nil {
			return err
		}
		if err := c.prepare(p, m.ParameterOIDs); err != nil {
			return err
		}
	}
	if old := c.prepared[m.Name]; old != nil {
		if m.Name != "" {
			return refusal("42P05", fmt.Sprintf("prepared statement %q already exists", m.Name))
		}
		if err := c.closePrepared(old); err != nil {
			return err
		}
	}
	c.prepared[m.Name] = p
	c.cl.Send(&pgproto3.ParseComplete{})
	return nil
}

// prepare has the backend parse a statement. In an open transaction the table
// lock comes first: parsing takes a lock of its own, and an upgrade would
// deadlock where Redshift waits.
func (c *session) prepare(p *prepared, oids []uint32) error {
	st := p.st
	if c.b.tx == 'E' && st.Kind != sqlrule.Rollback && st.Kind != sqlrule.Commit {
		return aborted()
	}
	if !byBackend(st) {
		if st.Kind == sqlrule.Show {
			p.cols = showColumns(st)
		}
		return nil
	}
	if st.Exclusive && c.b.tx == 'T' {
		if _, err := c.ask("LOCK TABLE " + st.Target.SQL() + " IN SHARE ROW EXCLUSIVE MODE"); err != nil {
			return err
		}
	}
	c.nameSeq++
	p.name = "rs_" + strconv.Itoa(c.nameSeq)
	mapped := make([]uint32, len(oids))
	for i, oid := range oids {
		mapped[i] = c.srv.backendOID(oid)
	}
	c.b.fe.Send(&pgproto3.Parse{Name: p.name, Query: st.Backend[0], ParameterOIDs: mapped})
	c.b.fe.Send(&pgproto3.Describe{ObjectType: 'S', Name: p.name})
	a, err := c.roundTrip(nil, false)
	p.params, p.cols = a.params, a.cols
	return err
}

// roundTrip sends what was queued, with a Sync, and relays the answer.
func (c *session) roundTrip(cols []column, forward bool) (answer, error) {
	c.b.fe.Send(&pgproto3.Sync{})
	if err := c.b.fe.Flush(); err != nil {
		return answer{}, fmt.Errorf("%w: %w", errBackend, err)
	}
	return c.relay(cols, forward)
}

func (c *session) bind(m *pgproto3.Bind) error {
	p := c.prepared[m.PreparedStatement]
	if p == nil {
		return refusal("26000", fmt.Sprintf("prepared statement %q does not exist", m.PreparedStatement))
	}
	if len(m.Parameters) > maxParams {
		return refusal(sqlrule.CodeTooComplex, "too many parameters: at most 32767")
	}
	if len(m.Parameters) != len(p.params) {
		return refusal("08P01", fmt.Sprintf("bind message supplies %d parameters, but the statement requires %d", len(m.Parameters), len(p.params)))
	}
	for i, col := range p.cols {
		if formatOf(m.ResultFormatCodes, i) == 1 && notBinary(col.field.DataTypeOID) {
			return refusalDetail(sqlrule.CodeUnsupported, fmt.Sprintf("binary format of column %q is not PostgreSQL's", col.field.Name),
				"Redshift sends numeric as a scaled integer and other types as text: ask for text results.")
		}
	}
	for i, oid := range p.params {
		if formatOf(m.ParameterFormatCodes, i) == 1 && notBinary(oid) {
			return refusal(sqlrule.CodeUnsupported, fmt.Sprintf("binary format of parameter $%d is not PostgreSQL's", i+1))
		}
	}
	keep := pgproto3.Bind{
		PreparedStatement: p.name, ParameterFormatCodes: append([]int16(nil), m.ParameterFormatCodes...),
		ResultFormatCodes: append([]int16(nil), m.ResultFormatCodes...), Parameters: make([][]byte, len(m.Parameters)),
	}
	for i, v := range m.Parameters {
		if v != nil {
			keep.Parameters[i] = append([]byte{}, v...)
		}
	}
	c.portals[m.DestinationPortal] = &portal{p: p, bind: keep}
	c.cl.Send(&pgproto3.BindComplete{})
	return nil
}

// notBinary lists the types whose binary form differs from PostgreSQL's.
func notBinary(oid uint32) bool {
	switch oid {
	case oidNumeric, oidSuper, oidVarbyte, oidInterval, oidTimeTZ, oidYearToMonth, oidDayToSecond:
		return true
	}
	return false
}

func (c *session) describe(m *pgproto3.Describe) error {
	var p *prepared
	var formats []int16
	if m.ObjectType == 'S' {
		if p = c.prepared[m.Name]; p == nil {
			return refusal("26000", fmt.Sprintf("prepared statement %q does not exist", m.Name))
		}
		c.cl.Send(&pgproto3.ParameterDescription{ParameterOIDs: p.params})
	} else {
		o := c.portals[m.Name]
		if o == nil {
			return refusal("34000", fmt.Sprintf("portal %q does not exist", m.Name))
		}
		p, formats = o.p, o.bind.ResultFormatCodes
	}
	if len(p.cols) == 0 {
		c.cl.Send(&pgproto3.NoData{})
	} else {
		c.cl.Send(describe(p.cols, formats))
	}
	return nil
}

func (c *session) execute(m *pgproto3.Execute) error {
	o := c.portals[m.Portal]
	if o == nil {
		return refusal("34000", fmt.Sprintf("portal %q does not exist", m.Portal))
	}
	if o.p.st == nil {
		c.cl.Send(&pgproto3.EmptyQueryResponse{})
		return nil
	}
	c.portal = true
	defer func() { c.portal = false }()
	ctx, done := c.statementContext()
	defer done()
	st := o.p.st
	if o.started {
		a, err := c.runPortal(o, m.Portal, m.MaxRows)
		return c.finish(outcome{tag: or(st.Tag, a.tag), suspended: a.suspend}, err)
	}
	if err := c.fillVariables(st); err != nil {
		return err
	}
	run := c.simpleRunner(st)
	if o.p.name != "" {
		run = func() (answer, error) { return c.runPortal(o, m.Portal, m.MaxRows) }
	}
	return c.finish(c.perform(ctx, st, run))
}

func (c *session) finish(out outcome, err error) error {
	switch {
	case err != nil:
		return err
	case out.suspended:
		c.cl.Send(&pgproto3.PortalSuspended{})
	case out.empty:
		c.cl.Send(&pgproto3.EmptyQueryResponse{})
	default:
		c.cl.Send(&pgproto3.CommandComplete{CommandTag: []byte(out.tag)})
	}
	return nil
}

// runPortal binds the portal on the backend, the first time, and executes it.
func (c *session) runPortal(o *portal, name string, limit uint32) (answer, error) {
	if bad := c.foreign(o.p.cols); bad != nil {
		return answer{}, &backendError{bad}
	}
	if !o.started {
		b := o.bind
		b.DestinationPortal = "rs_" + name
		c.b.fe.Send(&pgproto3.Close{ObjectType: 'P', Name: b.DestinationPortal})
		c.b.fe.Send(&b)
		o.started = true
	}
	c.b.fe.Send(&pgproto3.Execute{Portal: "rs_" + name, MaxRows: limit})
	if limit == 0 { // it runs to its end; left open it would pin its tables until the transaction ends
		c.b.fe.Send(&pgproto3.Close{ObjectType: 'P', Name: "rs_" + name})
	}
	return c.roundTrip(o.p.cols, true)
}

func (c *session) closeObject(m *pgproto3.Close) error {
	if m.ObjectType == 'S' {
		if p := c.prepared[m.Name]; p != nil {
			delete(c.prepared, m.Name)
			if err := c.closePrepared(p); err != nil {
				return err
			}
		}
	} else {
		delete(c.portals, m.Name)
	}
	c.cl.Send(&pgproto3.CloseComplete{})
	return nil
}

func (c *session) closePrepared(p *prepared) error {
	if p.name == "" {
		return nil
	}
	c.b.fe.Send(&pgproto3.Close{ObjectType: 'S', Name: p.name})
	_, err := c.roundTrip(nil, false)
	return err
}

// describeQuery names the result columns of a query.
func (c *session) describeQuery(query string) ([]string, error) {
	if c.b.tx == 'E' {
		return nil, aborted()
	}
	c.b.fe.Send(&pgproto3.Parse{Name: "rs_describe", Query: query})
	c.b.fe.Send(&pgproto3.Describe{ObjectType: 'S', Name: "rs_describe"})
	c.b.fe.Send(&pgproto3.Close{ObjectType: 'S', Name: "rs_describe"})
	a, err := c.roundTrip(nil, false)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(a.cols))
	for i, col := range a.cols {
		names[i] = string(bytes.Clone(col.field.Name))
	}
	return names, nil
}
