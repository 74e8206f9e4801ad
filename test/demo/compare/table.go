package compare

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// Table is a table of the source.
type Table struct {
	Schema  string
	Name    string
	Columns []Column
}

// Column is a column of a [Table]. Its type is the source's.
type Column struct {
	Name string
	OID  uint32
	Key  int // the place in the primary key, from 1; 0 outside of it
}

// Published reads the tables of a publication from the source's catalog, in the
// order of their names. The key is the primary key.
func Published(ctx context.Context, source *pgx.Conn, publication string) ([]Table, error) {
	rows, err := source.Query(ctx, `
		SELECT n.nspname, c.relname, a.attname, a.atttypid,
			COALESCE(array_position(i.indkey::int2[], a.attnum) + 1, 0) -- an int2vector begins at 0
		FROM pg_publication_tables p
		JOIN pg_namespace n ON n.nspname = p.schemaname
		JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
		WHERE p.pubname = $1
		ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C", a.attnum`, publication)
	if err != nil {
		return nil, fmt.Errorf("reading the tables of publication %s: %w", publication, err)
	}
	var tables []Table
	var schema, name string
	var column Column
	_, err = pgx.ForEachRow(rows, []any{&schema, &name, &column.Name, &column.OID, &column.Key}, func() error {
		if last := len(tables) - 1; last < 0 || tables[last].Schema != schema || tables[last].Name != name {
			tables = append(tables, Table{Schema: schema, Name: name})
		}
		table := &tables[len(tables)-1]
		table.Columns = append(table.Columns, column)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the tables of publication %s: %w", publication, err)
	}
	if len(tables) == 0 {
		return nil, fmt.Errorf("reading the tables of publication %s: there are none", publication)
	}
	return tables, nil
}

func (t Table) hasKey() bool {
	return slices.ContainsFunc(t.Columns, func(c Column) bool { return c.Key > 0 })
}

// query selects all columns in the order of the key. The source sorts text by
// bytes, as Redshift always does.
func (t Table) query(schema string, source bool) string {
	columns := make([]string, 0, len(t.Columns))
	var order []Column
	for _, column := range t.Columns {
		columns = append(columns, pgx.Identifier{column.Name}.Sanitize())
		if column.Key > 0 {
			order = append(order, column)
		}
	}
	slices.SortStableFunc(order, func(a, b Column) int { return a.Key - b.Key })
	terms := make([]string, 0, len(order))
	for _, column := range order {
		term := pgx.Identifier{column.Name}.Sanitize()
		if source && isText(column.OID) {
			term += ` COLLATE "C"`
		}
		terms = append(terms, term)
	}
	return "SELECT " + strings.Join(columns, ", ") + " FROM " + pgx.Identifier{schema, t.Name}.Sanitize() +
		" ORDER BY " + strings.Join(terms, ", ")
}

func isText(oid uint32) bool {
	return oid == pgtype.TextOID || oid == pgtype.VarcharOID || oid == pgtype.BPCharOID
}

// canonicalise replaces a row's values by their canonical text: what both sides
// write alike, although each has its own way to write it.
func (t Table) canonicalise(values row) {
	for i, column := range t.Columns {
		if values[i] != nil {
			values[i] = canonical(column.OID, values[i])
		}
	}
}

// canonical returns the canonical text of a value that is not NULL.
func canonical(oid uint32, value []byte) []byte {
	switch oid {
	case pgtype.BPCharOID:
		// Trailing blanks of char(n) are not part of its value.
		return value[:len(bytes.TrimRight(value, " "))]
	case pgtype.BoolOID:
		// t and f, or true and false.
		return value[:min(1, len(value))]
	case pgtype.TimestampOID, pgtype.TimestamptzOID, pgtype.TimeOID:
		// Zeros that end a fraction of a second may be written or not.
		return trimFraction(value)
	default:
		return value
	}
}

// trimFraction drops the zeros that end the fraction of a time, and the point
// if nothing follows it; a zone after it stays.
func trimFraction(value []byte) []byte {
	point := bytes.IndexByte(value, '.')
	if point < 0 {
		return value
	}
	end := point + 1
	for end < len(value) && value[end] >= '0' && value[end] <= '9' {
		end++
	}
	fraction := bytes.TrimRight(value[point:end], "0")
	if len(fraction) == 1 {
		fraction = nil
	}
	return append(append(value[:point:point], fraction...), value[end:]...)
}
