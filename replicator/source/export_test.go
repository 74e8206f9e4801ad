package source

import (
	"context"
	"net"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walshift/walshift/replicator/change"
)

// Connect opens a regular session.
func (s *Server) Connect(ctx context.Context) (*pgx.Conn, error) { return s.connect(ctx, "test") }

// ConnectReplication opens a replication session.
func (s *Server) ConnectReplication(ctx context.Context) (*pgconn.PgConn, error) {
	return s.connectReplication(ctx, "test")
}

// NewStream reads a stream from any connection.
func NewStream(conn net.Conn, size int) *Stream { return newStream(conn, size) }

// Detach moves a connection out of the runtime's poller.
func Detach(c net.Conn) (net.Conn, error) { return detach(c) }

// BufferSize returns the stream's buffer size.
func (st *Stream) BufferSize() int { return len(st.in.buf) }

// AppendRow is appendRow.
func AppendRow(dst change.Tuple, line []byte, n int) (change.Tuple, error) {
	return appendRow(dst, line, n)
}

// StartCommand is startCommand.
func StartCommand(slot, publication string, major int, streaming bool) string {
	return startCommand(slot, publication, major, startOptions{streaming: streaming})
}

// CatalogQuery and SlotQuery are what is sent to a server of a major version.
func CatalogQuery(major int) string { return catalogQuery(major) }

// SlotQuery is slotQuery.
func SlotQuery(major int) string { return slotQuery(major) }

// Classify is classify.
func Classify(op string, err error) error { return classify(op, err) }
