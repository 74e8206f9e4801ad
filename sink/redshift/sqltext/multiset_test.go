package sqltext_test

import (
	"strings"
	"testing"

	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// events has no key: its rows are told apart by their hashes.
func events(t *testing.T) *sqltext.Table {
	t.Helper()
	return &sqltext.Table{
		Name: sqltext.Name{Schema: "app", Table: `ev"ents`},
		Columns: []sqltext.Column{
			column(t, 1, "at", false, base("timestamptz", -1)),
			column(t, 2, "body", false, base("jsonb", -1)),
			sqltext.RowHash(),
		},
	}
}

func TestGoldenMultiset(t *testing.T) {
	t.Parallel()
	s := &script{t: t}
	table := events(t)
	s.add(sqltext.CreateTable(table, table.Name))
	s.add(sqltext.MoveRows(table, sqltext.ShadowName("app", 16384, "0123456789abcdef")))
	taken := staging(table, 1, 1, 2, sqltext.RowAttnum)
	taken.Copies = true
	s.say("-- %s", strings.Join(taken.FileColumns(), ", "))
	s.add(sqltext.CreateStaging(taken))
	s.add(sqltext.CountRemoved(taken))
	s.add(sqltext.ListRemaining(taken, "", 1000))
	s.add(sqltext.ListRemaining(taken, "00ff", 7))
	s.add(sqltext.DeleteRows(taken))
	s.add(sqltext.CountUnhashed(table.Name))
	s.compare("multiset.sql")
}

// TestMisfitsOfMultiset: an existing target needs the column of the hashes.
func TestMisfitsOfMultiset(t *testing.T) {
	t.Parallel()
	have := []sqltext.CatalogColumn{{Name: "at", Type: "timestamp with time zone"}, {Name: "body", Type: "super"}}
	stored := func(name string) string { return name }
	bad := events(t).Misfits(have, stored)
	if len(bad) != 1 || !strings.Contains(bad[0], `ALTER TABLE "app"."ev""ents" ADD COLUMN "_walshift_row" VARCHAR(32);`) {
		t.Errorf("misfits %q", bad)
	}
	for typ, ok := range map[string]bool{"character varying(32)": true, "character varying(31)": false, "character(32)": false} {
		for _, notNull := range []bool{false, true} {
			row := sqltext.CatalogColumn{Name: sqltext.RowColumn, Type: typ, NotNull: notNull}
			if bad := events(t).Misfits(append(have[:2:2], row), stored); (len(bad) == 0) != ok {
				t.Errorf("%s: misfits %q", typ, bad)
			}
		}
	}
}
