package sqltext_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// TestExistingStatements pins what is sent for targets that are kept, grants
// and statistics.
func TestExistingStatements(t *testing.T) {
	t.Parallel()
	s := &script{t: t}
	tab := orders(t)
	s.add(sqltext.TableColumns(tab.Name))
	s.add(sqltext.CanWrite(tab.Name))
	s.add(sqltext.MoveRows(tab, sqltext.ShadowName("public", 7, "00000000000000ab")))
	s.add(sqltext.FinishLoad("shop", "it's loaded"))
	s.add(sqltext.Analyze(tab.Name))
	for _, text := range []string{`user al"ice`, "group bi users", "ROLE analyst", "Public", "user public"} {
		to, err := sqltext.ParseGrantee(text)
		if err != nil {
			t.Fatal(err)
		}
		s.add(sqltext.Grant(tab.Name, []string{"select", "references"}, to))
		s.add(sqltext.GrantUsage("public", to))
	}
	s.compare("existing.sql")
}

func TestGranteesThatNameNobody(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "  ", "alice", "user", "user a\x00b", "group " + strings.Repeat("x", 128)} {
		if _, err := sqltext.ParseGrantee(text); !errors.Is(err, sqltext.ErrBadGrantee) && !errors.Is(err, sqltext.ErrBadName) {
			t.Errorf("%q: %v", text, err)
		}
	}
	to, err := sqltext.ParseGrantee("public")
	if err != nil {
		t.Fatal(err)
	}
	name := sqltext.Name{Schema: "s", Table: "t"}
	if _, err := sqltext.Grant(name, []string{"delete"}, to); !errors.Is(err, sqltext.ErrBadGrantee) {
		t.Errorf("a right to write was granted: %v", err)
	}
	if _, err := sqltext.Grant(name, nil, sqltext.Grantee{}); !errors.Is(err, sqltext.ErrBadGrantee) {
		t.Errorf("a right was granted to nobody: %v", err)
	}
}

// catalogOf is the catalog of a table that was made by CreateTable.
func catalogOf(t *testing.T, tab *sqltext.Table) []sqltext.CatalogColumn {
	t.Helper()
	var out []sqltext.CatalogColumn
	for _, c := range tab.Columns {
		typ := strings.NewReplacer("VARCHAR", "character varying", "DECIMAL", "numeric", "TIMESTAMPTZ", "timestamp with time zone",
			"VARBYTE", "binary varying").Replace(c.DDL)
		out = append(out, sqltext.CatalogColumn{Name: sqltext.Fold(c.Name), Type: strings.ToLower(typ), NotNull: c.Key})
	}
	return out
}

// TestMisfits: what walshift would make itself fits, and so does everything
// that is wider; what could bend or refuse a row does not.
func TestMisfits(t *testing.T) {
	t.Parallel()
	for _, tab := range []*sqltext.Table{orders(t), documents(t)} {
		if bad := tab.Misfits(catalogOf(t, tab), sqltext.Fold); len(bad) > 0 {
			t.Errorf("table %s does not fit itself: %q", tab.Name, bad)
		}
	}
	tab := orders(t) // id bigint key, select varchar(400), q"uote decimal(12,2), at timestamptz
	for name, c := range map[string]struct {
		change func(h []sqltext.CatalogColumn) []sqltext.CatalogColumn
		want   string
	}{
		"wider": {func(h []sqltext.CatalogColumn) []sqltext.CatalogColumn {
			h[1].Type, h[2].Type = "character varying(65535)", "numeric(20,4)"
			return h
		}, ""},
		"further columns that need nothing": {func(h []sqltext.CatalogColumn) []sqltext.CatalogColumn {
			return append(h, sqltext.CatalogColumn{Name: "note", Type: "integer"},
				sqltext.CatalogColumn{Name: "loaded", Type: "date", NotNull: true, Default: "getdate()"})
		}, ""},
		"in another order": {func(h []sqltext.CatalogColumn) []sqltext.CatalogColumn {
			h[0], h[3] = h[3], h[0]
			return h
		}, ""},
		"a column missing":     {func(h []sqltext.CatalogColumn) []sqltext.CatalogColumn { return h[:3] }, `"at" (TIMESTAMPTZ) is missing`},
		"text too short":       {retype(1, "character varying(399)"), "can't hold every VARCHAR(400)"},
		"CHAR":                 {retype(1, "character(400)"), "can't hold"},
		"integer too small":    {retype(0, "integer"), "can't hold every BIGINT"},
		"fewer digits":         {retype(2, "numeric(13,4)"), "can't hold"},
		"fewer decimals":       {retype(2, "numeric(38,1)"), "can't hold"},
		"time zone lost":       {retype(3, "timestamp without time zone"), "can't hold"},
		"number for a decimal": {retype(2, "double precision"), "can't hold"},
		"not null": {func(h []sqltext.CatalogColumn) []sqltext.CatalogColumn {
			h[3].NotNull = true
			return h
		}, "NOT NULL"},
		"identity": {func(h []sqltext.CatalogColumn) []sqltext.CatalogColumn {
			h[0].Default = `"identity"(100, 0, '1,1'::text)`
			return h
		}, "identity column"},
		"a further column that wants a value": {func(h []sqltext.CatalogColumn) []sqltext.CatalogColumn {
			return append(h, sqltext.CatalogColumn{Name: "must", Type: "integer", NotNull: true})
		}, `"must" is not replicated, NOT NULL`},
	} {
		bad := tab.Misfits(c.change(catalogOf(t, tab)), sqltext.Fold)
		if text := strings.Join(bad, "; "); (c.want == "") != (text == "") || !strings.Contains(text, c.want) || len(bad) > 1 {
			t.Errorf("%s: %q, want %q", name, text, c.want)
		}
	}
}

func retype(i int, typ string) func(h []sqltext.CatalogColumn) []sqltext.CatalogColumn {
	return func(h []sqltext.CatalogColumn) []sqltext.CatalogColumn {
		h[i].Type = typ
		return h
	}
}
