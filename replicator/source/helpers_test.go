package source_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// shower asks for settings on any session.
type shower struct {
	pc *pgconn.PgConn
	t  *testing.T
}

func (s shower) show(ctx context.Context, name string) string {
	s.t.Helper()
	res, err := s.pc.Exec(ctx, "SHOW "+name).ReadAll()
	if err != nil {
		s.t.Errorf("SHOW %s: %v", name, err)
		return ""
	}
	return string(res[0].Rows[0][0])
}
