package e2e_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/walshift/walshift/test/world"
)

// plainWorld is newWorld without the race detector, for tests of many starts.
func plainWorld(t *testing.T, cfg world.Config) *world.World {
	t.Helper()
	w, err := world.Start(t.Context(), cfg)
	t.Cleanup(func() {
		if err := w.Stop(); err != nil {
			t.Errorf("stopping the world: %v", err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// superuser runs a statement on the source as its DBA and returns the first
// column of the first row, if there is one.
func superuser(t *testing.T, w *world.World, sql string) string {
	t.Helper()
	return first(t, w.Source.SuperuserDSN(), sql)
}

func first(t *testing.T, dsn, sql string) string {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	res, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil {
		t.Fatalf("running %.80q: %v", sql, err)
	}
	for _, r := range res {
		if len(r.Rows) > 0 && len(r.Rows[0]) > 0 {
			return string(r.Rows[0][0])
		}
	}
	return ""
}

// compareIn compares tables whose target schema is not the source's.
func compareIn(t *testing.T, w *world.World, schema string, tables map[string]string) {
	t.Helper()
	for table, columns := range tables {
		src, err := w.SourceSide().Rows(t.Context(), "SELECT "+columns+" FROM "+table)
		if err != nil {
			t.Fatal(err)
		}
		dst, err := w.TargetSide().Rows(t.Context(), "SELECT "+columns+" FROM "+schema+"."+table)
		if err != nil {
			t.Fatal(err)
		}
		if diff := world.Difference(src, dst); diff != "" {
			t.Errorf("%s.%s differs: %s", schema, table, diff)
		}
	}
}
