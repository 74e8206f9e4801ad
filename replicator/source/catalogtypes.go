package source

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/walshift/walshift/replicator/change"
)

// firstRowArray is FirstGenbkiObjectId (transam.h): the arrays of the server's
// scalar types lie below it, those of row types above.
const firstRowArray = 10000

// typesSQL describes the types that composites, and arrays of them, are made of.
const typesSQL = `
WITH RECURSIVE reach AS (
  SELECT t.oid FROM pg_type t WHERE t.oid = ANY ($1::oid[])
  UNION
  SELECT part.oid FROM reach JOIN pg_type t ON t.oid = reach.oid
   CROSS JOIN LATERAL (
     SELECT t.typbasetype AS oid WHERE t.typtype = 'd'
     UNION ALL SELECT t.typelem WHERE t.typcategory = 'A' AND t.typtype = 'b'
     UNION ALL SELECT a.atttypid FROM pg_attribute a
      WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) part)
SELECT t.oid::bigint, t.typname::text, t.typtype::text, t.typbasetype::bigint,
       CASE WHEN t.typcategory = 'A' AND t.typtype = 'b' THEN t.typelem ELSE 0 END::bigint,
       coalesce((SELECT json_agg(json_build_object('name', a.attname, 'type', a.atttypid::bigint) ORDER BY a.attnum)
          FROM pg_attribute a WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped), '[]')::text
  FROM reach JOIN pg_type t ON t.oid = reach.oid`

// typeRow is a type in typesSQL's answer.
type typeRow struct {
	oid           uint32
	name, kind    string
	base, element uint32
	fields        []typeField
}

type typeField struct {
	Name string `json:"name"`
	Type uint32 `json:"type"`
}

// typeRows are types by oid.
type typeRows map[uint32]*typeRow

// readFields gives the composites among the columns of tables, and the arrays
// that may be of composites, their fields. Where there are none it asks nothing.
func readFields(ctx context.Context, c *pgx.Conn, tables []Table) error {
	var oids []string
	for i := range tables {
		for j := range tables[i].Relation.Columns {
			if col := &tables[i].Relation.Columns[j]; mayHaveFields(col) {
				oids = append(oids, strconv.FormatUint(uint64(col.TypeOID), 10))
			}
		}
	}
	if len(oids) == 0 {
		return nil
	}
	rows, err := c.Query(ctx, typesSQL, "{"+strings.Join(oids, ",")+"}")
	if err != nil {
		return err
	}
	types := make(typeRows)
	var (
		t      typeRow
		fields string
	)
	_, err = pgx.ForEachRow(rows, []any{&t.oid, &t.name, &t.kind, &t.base, &t.element, &fields}, func() error {
		row := t
		if err := json.Unmarshal([]byte(fields), &row.fields); err != nil {
			return fmt.Errorf("reading the fields of type %s: %w", row.name, err)
		}
		types[row.oid] = &row
		return nil
	})
	if err != nil {
		return err
	}
	for i := range tables {
		for j := range tables[i].Relation.Columns {
			if col := &tables[i].Relation.Columns[j]; mayHaveFields(col) {
				_, col.Fields = types.describe(col.TypeOID)
			}
		}
	}
	return nil
}

// mayHaveFields reports whether a column is a composite or an array that may be
// of composites.
func mayHaveFields(c *change.Column) bool {
	return c.TypeKind == "c" || c.TypeKind == "b" && c.TypeOID >= firstRowArray && strings.HasPrefix(c.Type, "_")
}

// describe returns a type without its domains, and the fields that it or its
// elements have. PostgreSQL lets no composite hold itself, so that it ends.
func (types typeRows) describe(oid uint32) (*typeRow, []change.Field) {
	t := types.resolve(oid)
	if t == nil {
		return nil, nil
	}
	if t.element != 0 {
		if e := types.resolve(t.element); e != nil && e.kind == "c" {
			return t, types.fieldsOf(e)
		}
		return t, nil
	}
	return t, types.fieldsOf(t)
}

func (types typeRows) resolve(oid uint32) *typeRow {
	t := types[oid]
	for t != nil && t.kind == "d" {
		t = types[t.base]
	}
	return t
}

func (types typeRows) fieldsOf(t *typeRow) []change.Field {
	if len(t.fields) == 0 {
		return nil
	}
	out := make([]change.Field, 0, len(t.fields))
	for _, f := range t.fields {
		field := change.Field{Name: f.Name}
		if of, parts := types.describe(f.Type); of != nil {
			field.Type, field.TypeKind, field.Fields = of.name, of.kind, parts
		}
		out = append(out, field)
	}
	return out
}
