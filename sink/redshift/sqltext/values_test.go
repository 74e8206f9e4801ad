package sqltext_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/walshift/walshift/sink/redshift/sqltext"
)

const (
	typesBegin = "<!-- types:begin -->"
	typesEnd   = "<!-- types:end -->"
)

// TestTypeDocs: docs/types.md, and README where it has the markers, hold the
// type map as the code has it. UPDATE_GOLDEN=1 writes them.
func TestTypeDocs(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..", "..")
	table := typesBegin + "\n" + sqltext.TypeTable() + typesEnd + "\n"
	if strings.Contains(table, sqltext.ErrUnknownType.Error()) {
		t.Errorf("a row has no mapping:\n%s", table)
	}
	for name, must := range map[string]bool{"docs/types.md": true, "README.md": false} {
		path := filepath.Join(root, name)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text := string(b)
		begin, end := strings.Index(text, typesBegin), strings.Index(text, typesEnd)
		switch {
		case begin < 0 && !must:
			continue
		case begin < 0 || end < begin:
			t.Errorf("%s lacks the lines %s and %s", name, typesBegin, typesEnd)
			continue
		}
		want := text[:begin] + table + strings.TrimPrefix(text[end+len(typesEnd):], "\n")
		if text == want {
			continue
		}
		if os.Getenv("UPDATE_GOLDEN") == "" {
			t.Errorf("%s does not hold the type map as it is (run with UPDATE_GOLDEN=1)", name)
			continue
		}
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTypeTableMisfits: what a row says that may not fit has a policy.
func TestTypeTableMisfits(t *testing.T) {
	t.Parallel()
	for _, m := range sqltext.Misfits() {
		if len(m.Policies()) < 2 || sqltext.DefaultValues().Policy(m) != m.Policies()[0] {
			t.Errorf("%s has the policies %v and the default %s", m, m.Policies(), sqltext.DefaultValues().Policy(m))
		}
		if (sqltext.Values{}).Policy(m) != sqltext.PolicyFail {
			t.Errorf("%s has a policy where none is said", m)
		}
	}
	if err := new(sqltext.ValueRules).Validate(); err != nil {
		t.Error(err)
	}
}

func TestValueRules(t *testing.T) {
	t.Parallel()
	rules := sqltext.DefaultRules()
	rules.Accept = []sqltext.Misfit{sqltext.MisfitNaN}
	rules.Tables = []sqltext.TableValues{
		{
			Match: "public.o?ders", Values: sqltext.Values{NaN: sqltext.PolicyFail, UnboundedNumeric: sqltext.NumericText},
			Columns: map[string]sqltext.Values{"c": {Oversize: sqltext.PolicyTruncate, Accept: []sqltext.Misfit{}}},
		},
		{Match: "*", Values: sqltext.Values{Infinity: sqltext.PolicyNull}},
	}
	for _, c := range []struct {
		table, column string
		want          sqltext.Values
	}{
		{"public.orders", "c", sqltext.Values{
			Oversize: sqltext.PolicyTruncate, NaN: sqltext.PolicyFail, Infinity: sqltext.PolicyClamp,
			OutOfRange: sqltext.PolicyNull, EmptyBytes: sqltext.PolicyNull, UnboundedNumeric: sqltext.NumericText,
			Accept: []sqltext.Misfit{},
		}},
		{"public.orders", "d", sqltext.Values{
			Oversize: sqltext.PolicyKeepOut, NaN: sqltext.PolicyFail, Infinity: sqltext.PolicyClamp,
			OutOfRange: sqltext.PolicyNull, EmptyBytes: sqltext.PolicyNull, UnboundedNumeric: sqltext.NumericText,
			Accept: []sqltext.Misfit{sqltext.MisfitNaN},
		}},
		{"crm.x", "c", sqltext.Values{
			Oversize: sqltext.PolicyKeepOut, NaN: sqltext.PolicyNull, Infinity: sqltext.PolicyNull,
			OutOfRange: sqltext.PolicyNull, EmptyBytes: sqltext.PolicyNull, UnboundedNumeric: sqltext.NumericDecimal,
			Accept: []sqltext.Misfit{sqltext.MisfitNaN},
		}},
	} {
		if got := rules.Of(c.table, c.column); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s.%s: %+v, want %+v", c.table, c.column, got, c.want)
		}
	}
	bad := sqltext.ValueRules{
		Values: sqltext.Values{NaN: "clamp", UnboundedNumeric: "float", Accept: []sqltext.Misfit{"all"}},
		Tables: []sqltext.TableValues{{Columns: map[string]sqltext.Values{"c": {Oversize: "zero"}}}},
	}
	err := bad.Validate()
	for _, want := range []string{`values.nan "clamp"`, "values.unbounded_numeric", `values.accept "all"`, "tables[0].match", `tables[0].columns.c.oversize "zero"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
}

// TestValueGlobs compares the globs with a plain search for the parts between
// the stars.
func TestValueGlobs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringOf(rapid.RuneFrom([]rune("ab.é"))).Draw(t, "name")
		glob := rapid.StringOf(rapid.RuneFrom([]rune("ab.é*"))).Draw(t, "glob")
		parts := strings.Split(glob, "*")
		rest, ok := strings.CutPrefix(name, parts[0])
		for _, p := range parts[1:max(1, len(parts)-1)] {
			if ok {
				_, rest, ok = strings.Cut(rest, p)
			}
		}
		if len(parts) > 1 {
			ok = ok && strings.HasSuffix(rest, parts[len(parts)-1])
		} else {
			ok = ok && rest == ""
		}
		rules := sqltext.ValueRules{Tables: []sqltext.TableValues{{Match: glob, Values: sqltext.Values{NaN: sqltext.PolicyNull}}}}
		if got := rules.Of(name, "c").NaN == sqltext.PolicyNull; got != ok {
			t.Fatalf("%q matches %q: %t", glob, name, got)
		}
	})
}

func TestGoldenIncidents(t *testing.T) {
	t.Parallel()
	s := &script{t: t}
	tables, err := sqltext.CreateIncidents("shop")
	if err != nil {
		t.Fatal(err)
	}
	s.add(strings.Join(tables, ";\n\n"), nil)
	s.add(sqltext.CreateIncidentsView([]string{"crm", "shop"}))
	s.add(sqltext.DropIncidentsView())
	s.add(sqltext.CountOpenIncidents("shop"))
	s.add(sqltext.OpenIncidentsByTable("shop"))
	s.add(sqltext.ListIncidents("shop", false, 100))
	s.add(sqltext.ListIncidents("shop", true, 100))
	s.add(sqltext.OneIncident("shop", "0a'b"))
	s.add(sqltext.AckIncidents("shop", "", "me@here"))
	s.add(sqltext.AckIncidents("shop", "0a'b", "me@here"))
	forget, err := sqltext.ForgetIncidents("shop")
	if err != nil {
		t.Fatal(err)
	}
	s.add(strings.Join(forget, ";\n\n"), nil)
	s.compare("incidents.sql")
}

// TestT13StagingTypes: a staging table's columns have the target's types, of
// every type that the documentation shows.
func TestT13StagingTypes(t *testing.T) {
	t.Parallel()
	target := &sqltext.Table{Name: sqltext.Name{Schema: "public", Table: "t"}}
	for i, typ := range []string{"text", "varchar", "numeric", "bytea", "jsonb", "_int4", "timestamptz", "timetz", "uuid", "name", "hstore", "geometry"} {
		target.Columns = append(target.Columns, column(t, int16(i+1), typ, i == 0, base(typ, -1)))
	}
	s := &sqltext.Staging{Name: sqltext.StagingName("shop", "0123456789abcdef", 1), Target: target}
	for _, c := range target.Columns {
		s.Columns = append(s.Columns, c.Attnum)
	}
	made, err := sqltext.CreateTable(target, target.Name)
	if err != nil {
		t.Fatal(err)
	}
	staged, err := sqltext.CreateStaging(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range target.Columns {
		if strings.Count(made, " "+c.DDL) == 0 || strings.Count(made, " "+c.DDL) != strings.Count(staged, " "+c.DDL) {
			t.Errorf("%s is not in both of\n%s\n%s", c.DDL, made, staged)
		}
	}
}
