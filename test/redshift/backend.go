package redshift

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// errBackend says that the backend session is gone.
var errBackend = errors.New("backend session ended")

// backend is one session on PostgreSQL. Its messages are read by a goroutine of
// its own, so that its end is noticed while the client is silent.
type backend struct {
	conn   net.Conn
	fe     *pgproto3.Frontend
	pid    uint32
	key    []byte
	cfg    *pgconn.Config
	msgs   chan backendEvent
	ack    chan struct{}
	closed chan struct{}
	once   sync.Once
	held   bool
	tx     byte
}

type backendEvent struct {
	msg pgproto3.BackendMessage
	err error
}

// dialBackend connects as the superuser. read must be started by the caller.
func dialBackend(ctx context.Context, dsn string) (*backend, error) {
	cfg, err := pgconn.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("parsing backend dsn: %w", err)
	}
	cfg.RuntimeParams["application_name"] = "redshift"
	// A log of statements is to hold what clients send to a PostgreSQL.
	cfg.RuntimeParams["log_statement"], cfg.RuntimeParams["log_min_error_statement"] = "none", "panic"
	conn, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connecting to backend: %w", err)
	}
	h, err := conn.Hijack()
	if err != nil {
		return nil, fmt.Errorf("taking over backend connection: %w", err)
	}
	return &backend{
		conn: h.Conn, fe: h.Frontend, pid: h.PID, key: h.SecretKey, cfg: h.Config, tx: 'I',
		msgs: make(chan backendEvent), ack: make(chan struct{}), closed: make(chan struct{}),
	}, nil
}

// read hands one message after the other to recv, each valid until the next
// recv. It ends with the connection.
func (b *backend) read() {
	for {
		msg, err := b.fe.Receive()
		select {
		case b.msgs <- backendEvent{msg, err}:
		case <-b.closed:
			return
		}
		if err != nil {
			return
		}
		select {
		case <-b.ack:
		case <-b.closed:
			return
		}
	}
}

// release allows the reader to go on after a message.
func (b *backend) release() {
	if b.held {
		b.held = false
		select {
		case b.ack <- struct{}{}:
		case <-b.closed:
		}
	}
}

// took notes that a message was taken from msgs.
func (b *backend) took(e backendEvent) (pgproto3.BackendMessage, error) {
	if e.err != nil {
		return nil, fmt.Errorf("%w: %w", errBackend, e.err)
	}
	b.held = true
	if z, ok := e.msg.(*pgproto3.ReadyForQuery); ok {
		b.tx = z.TxStatus
	}
	return e.msg, nil
}

// recv takes the next message.
func (b *backend) recv() (pgproto3.BackendMessage, error) {
	b.release()
	select {
	case e := <-b.msgs:
		return b.took(e)
	case <-b.closed:
		return nil, errBackend
	}
}

// close ends the session; its open transaction is rolled back.
func (b *backend) close() {
	b.once.Do(func() {
		close(b.closed)
		b.conn.Close()
	})
}

// cancel asks PostgreSQL to end the running statement.
func (b *backend) cancel(ctx context.Context) {
	network, addr := pgconn.NetworkAddress(b.cfg.Host, b.cfg.Port)
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return
	}
	defer conn.Close()
	buf, err := (&pgproto3.CancelRequest{ProcessID: b.pid, SecretKey: b.key}).Encode(nil)
	if err != nil {
		return
	}
	if _, err := conn.Write(buf); err == nil {
		one := make([]byte, 1)
		_, _ = conn.Read(one) // PostgreSQL closes when the request is done
	}
}

// rows is the whole answer to a query of the stand-in's own.
type rows [][][]byte

// text gives a value as text; NULL is "".
func (r rows) text(row, col int) string { return string(r[row][col]) }

// query runs a statement of the stand-in's own and collects its rows.
func (b *backend) query(sql string) (rows, *pgproto3.ErrorResponse, error) {
	b.fe.SendQuery(&pgproto3.Query{String: sql})
	if err := b.fe.Flush(); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errBackend, err)
	}
	var out rows
	var failure *pgproto3.ErrorResponse
	for {
		msg, err := b.recv()
		if err != nil {
			return nil, nil, err
		}
		switch m := msg.(type) {
		case *pgproto3.DataRow:
			row := make([][]byte, len(m.Values))
			for i, v := range m.Values {
				if v != nil {
					row[i] = append([]byte{}, v...)
				}
			}
			out = append(out, row)
		case *pgproto3.ErrorResponse:
			e := *m
			failure = &e
		case *pgproto3.ReadyForQuery:
			return out, failure, nil
		}
	}
}
