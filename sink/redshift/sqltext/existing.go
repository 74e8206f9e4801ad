package sqltext

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// This file is about targets that exist already and are kept.

// CatalogColumn is a column of an existing table as the catalog shows it.
type CatalogColumn struct {
	// Name is the name as it is stored.
	Name string
	// Type is what format_type says, for instance "character varying(256)".
	Type    string
	NotNull bool
	// Default is its DEFAULT as an expression, "" for none.
	Default string
}

// TableColumns returns the query for name, type, 1 or 0 for NOT NULL, and
// default of a table's columns in order, by the names stored. It reads catalogs
// of the leader node alone.
func TableColumns(table Name) (string, error) {
	w := new(writer)
	w.raw("SELECT a.attname, format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 1 ELSE 0 END,\n" +
		"  COALESCE(pg_get_expr(d.adbin, d.adrelid), '')\n" +
		"FROM pg_attribute a\n" +
		"  JOIN pg_class c ON c.oid = a.attrelid\n" +
		"  JOIN pg_namespace n ON n.oid = c.relnamespace\n" +
		"  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum\n" +
		"WHERE n.nspname = ").lit(table.Schema).raw(" AND c.relname = ").lit(table.Table)
	return w.raw(" AND a.attnum > 0 AND NOT a.attisdropped\nORDER BY a.attnum").done()
}

// CanWrite returns the query that tells whether the user may do with a table
// what applying changes does.
func CanWrite(table Name) (string, error) {
	quoted, err := new(writer).name(table).done()
	if err != nil {
		return "", err
	}
	w := new(writer)
	w.raw("SELECT CASE WHEN ")
	for i, p := range []string{"SELECT", "INSERT", "UPDATE", "DELETE"} {
		if i > 0 {
			w.raw(" AND ")
		}
		w.raw("has_table_privilege(").lit(quoted).raw(", '", p, "')")
	}
	return w.raw(" THEN 1 ELSE 0 END").done()
}

// Misfits says why an existing table with the given columns can't hold the rows
// of t, nothing if it can: all of t's columns by name, each of a type in which
// every value of t's type is the same value, and the table's own further ones
// left alone by an INSERT that does not name them. stored maps a name of t to
// the one that the catalog shows.
func (t *Table) Misfits(have []CatalogColumn, stored func(string) string) []string {
	var out []string
	bad := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	found := make(map[string]CatalogColumn, len(have))
	for _, c := range have {
		found[c.Name] = c
	}
	for _, c := range t.Columns {
		name := stored(c.Name)
		h, ok := found[name]
		delete(found, name)
		switch {
		case !ok && c.Attnum == RowAttnum:
			bad("column %q, for the hashes of rows without a key, is missing: ALTER TABLE %s ADD COLUMN %s %s;",
				name, quoted(t.Name), `"`+RowColumn+`"`, t.ddl(c))
		case !ok:
			bad("column %q (%s) is missing", name, c.DDL)
		case !holds(h.Type, c.DDL):
			bad("column %q is %s, which can't hold every %s", name, h.Type, c.DDL)
		case strings.Contains(h.Default, "identity"):
			bad("column %q is an identity column, which gives its own values", name)
		case h.NotNull && !c.Key && c.Attnum != RowAttnum:
			bad("column %q is NOT NULL, and the source's may hold NULL", name)
		}
	}
	for _, h := range have {
		if _, further := found[h.Name]; further && h.NotNull && h.Default == "" {
			bad("column %q is not replicated, NOT NULL and without a default", h.Name)
		}
	}
	return out
}

// quoted returns a table's name for a statement that people run.
func quoted(n Name) string {
	q, err := new(writer).name(n).done()
	if err != nil {
		return n.String()
	}
	return q
}

// sqlType is a type's name in CREATE TABLE's words and its parameters.
type sqlType struct {
	name   string
	params []int
}

// parseType reads a type as CREATE TABLE takes it or as format_type prints it.
func parseType(text string) sqlType {
	text = strings.ToUpper(strings.TrimSpace(text))
	var t sqlType
	if m := regexp.MustCompile(`\(([0-9, ]+)\)`).FindStringSubmatch(text); m != nil {
		for p := range strings.SplitSeq(m[1], ",") {
			n, err := strconv.Atoi(strings.TrimSpace(p))
			if err != nil {
				n = 0
			}
			t.params = append(t.params, n)
		}
		text = strings.Replace(text, m[0], "", 1)
	}
	t.name = strings.Join(strings.Fields(text), " ")
	switch t.name {
	case "CHARACTER VARYING":
		t.name = "VARCHAR"
	case "NUMERIC":
		t.name = "DECIMAL"
	case "BINARY VARYING":
		t.name = "VARBYTE"
	case "TIMESTAMP WITHOUT TIME ZONE":
		t.name = "TIMESTAMP"
	case "TIMESTAMP WITH TIME ZONE":
		t.name = "TIMESTAMPTZ"
	case "TIME WITHOUT TIME ZONE":
		t.name = "TIME"
	case "TIME WITH TIME ZONE":
		t.name = "TIMETZ"
	}
	return t
}

// holds reports whether a column of type have keeps every value of type want
// as it is. REAL does not widen to DOUBLE PRECISION: 0.1 would be 0.1 where a
// file brings it and 0.100000001490116 where a staging table does.
func holds(have, want string) bool {
	h, w := parseType(have), parseType(want)
	integer := func(name string) int {
		switch name {
		case "SMALLINT":
			return 1
		case "INTEGER":
			return 2
		case "BIGINT":
			return 3
		}
		return 0
	}
	switch {
	case integer(w.name) > 0:
		return integer(h.name) >= integer(w.name)
	case h.name != w.name:
		return false
	case w.name == "DECIMAL":
		return len(h.params) == 2 && len(w.params) == 2 &&
			h.params[1] >= w.params[1] && h.params[0]-h.params[1] >= w.params[0]-w.params[1]
	case len(w.params) == 1: // VARCHAR, VARBYTE; without a length it is the longest
		return len(h.params) == 0 || h.params[0] >= w.params[0]
	}
	return true
}

// NumericScale returns s of DECIMAL(38,s), as the catalog prints it.
func (c *CatalogColumn) NumericScale() (int32, bool) {
	t := parseType(c.Type)
	if t.name != "DECIMAL" || len(t.params) != 2 || t.params[0] != maxPrecision {
		return 0, false
	}
	return int32(t.params[1]), true
}

// MoveRows returns the INSERT that fills a table from a shadow of t.
func MoveRows(t *Table, from Name) (string, error) {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	w := new(writer)
	w.raw("INSERT INTO ").name(t.Name).raw(" (").idents(names).raw(")\nSELECT ").idents(names)
	return w.raw("\nFROM ").name(from).done()
}

// FinishLoad returns the UPDATE that ends a load which nothing follows: the
// rows are not to be dropped as those of an interrupted load are.
func FinishLoad(pipeline, reason string) (string, error) {
	w := new(writer)
	w.raw("UPDATE ").name(PositionsTable(pipeline)).raw("\nSET was_live = TRUE, reason = ").lit(reason)
	return w.raw("\nWHERE state = 'loaded'").done()
}
