package source

import (
	"context"
	"fmt"

	"github.com/jackc/pglogrepl"
)

// Mark returns a WAL position at or above everything that is committed, and
// visible, on the source when it is called. It commits a small logical message
// with synchronous_commit=on first: commits of other sessions that are
// asynchronous may be visible while pg_current_wal_lsn() still lies below them,
// but not below a later synchronous commit (pitfall V11). It needs no grant:
// pg_logical_emit_message is open to everybody by default.
func (s *Server) Mark(ctx context.Context) (pglogrepl.LSN, error) {
	c, err := s.connect(ctx, "wait")
	if err != nil {
		return 0, err
	}
	defer closeConn(ctx, c)
	for _, q := range []string{
		"SET synchronous_commit = on",
		"SELECT pg_catalog.pg_logical_emit_message(true, 'walshift.wait', '')",
	} {
		if _, err := c.Exec(ctx, q); err != nil {
			return 0, classify("marking the source's position", err)
		}
	}
	var text string
	if err := c.QueryRow(ctx, "SELECT pg_catalog.pg_current_wal_flush_lsn()::text").Scan(&text); err != nil {
		return 0, classify("reading the source's flushed position", err)
	}
	lsn, err := pglogrepl.ParseLSN(text)
	if err != nil {
		return 0, fmt.Errorf("reading the source's flushed position: %w", err)
	}
	return lsn, nil
}
