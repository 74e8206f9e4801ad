package source

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/walshift/walshift/replicator/change"
)

// This file finds out how many decimal places the numerics without a precision
// need.

// What [Numerics] stands for where it says nothing.
const (
	// DefaultScanBytes is about a minute's read.
	DefaultScanBytes = 8 << 30
	// DefaultSampleBytes is a second's.
	DefaultSampleBytes = 256 << 20
)

// Numerics bounds what [Server.MeasureNumerics] reads, in bytes; 0 stands for
// the default.
type Numerics struct {
	// ScanBytes is the size of a heap, that of a table or a partition, up to
	// which every row is looked at.
	ScanBytes int64
	// SampleBytes is about what is read of a larger one.
	SampleBytes int64
}

// MeasureNumerics settles the numerics without a precision that nobody has
// settled yet, by one read of their columns: s of DECIMAL(38,s) is the greatest
// number of decimal places that a value needs, zeros at the end not counted,
// from [change.MinNumericScale] to [change.MaxNumericScale].
//
// Of a large table only some pages are read, so that the greatest is not known:
// s is 18 then, and smaller only where the sample has numbers that leave no room
// for so many places. A column without a value has 18 too.
//
// Each table is read by a statement of its own under ACCESS SHARE, outside any
// snapshot that must be kept: the choice need not be exact as of a moment, for a
// value that doesn't fit is kept out whenever it comes.
func (s *Server) MeasureNumerics(ctx context.Context, tables []Table, how Numerics) error {
	var c *pgx.Conn
	for i := range tables {
		columns := unsettled(tables[i].Relation)
		if len(columns) == 0 {
			continue
		}
		if c == nil {
			var err error
			if c, err = s.connect(ctx, "catalog"); err != nil {
				return err
			}
			defer closeConn(context.WithoutCancel(ctx), c)
		}
		if err := measure(ctx, c, &tables[i], columns, how); err != nil {
			return ofTable("looking at numbers", tables[i].Relation.String(), tables[i].Relation.OID, err)
		}
	}
	return nil
}

// unsettled returns the places of a relation's columns that are to be settled.
func unsettled(rel *change.Relation) []int {
	var out []int
	for i := range rel.Columns {
		if c := &rel.Columns[i]; c.Unbounded() && c.Numeric == nil {
			out = append(out, i)
		}
	}
	return out
}

// digits is what a column's numbers need.
type digits struct {
	// scale is the number of decimal places, -1 where there is no number.
	scale int32
	// whole is the number of digits before the point.
	whole int32
}

func measure(ctx context.Context, c *pgx.Conn, t *Table, columns []int, how Numerics) error {
	found := make([]digits, len(columns))
	for i := range found {
		found[i].scale = -1
	}
	sampled := false
	for i := range t.Storage {
		oid := strconv.FormatUint(uint64(t.Storage[i].OID), 10)
		var size *int64 // NULL once the table is gone
		var block int64
		if err := c.QueryRow(ctx, sizeSQL, oid).Scan(&size, &block); err != nil {
			return err
		}
		percent := ""
		if size != nil && *size > cmp.Or(how.ScanBytes, DefaultScanBytes) {
			sampled = true
			share := float64(cmp.Or(how.SampleBytes, DefaultSampleBytes)) / float64(*size)
			percent = strconv.FormatFloat(min(100*share, 100), 'f', 6, 64)
		}
		if err := scan(ctx, c, t.measureSQL(&t.Storage[i], columns, percent), found); err != nil {
			return err
		}
	}
	for i, at := range columns {
		t.Relation.Columns[at].SettleNumeric(found[i].settle(sampled))
	}
	return nil
}

// settle returns the scale for such numbers.
func (d digits) settle(sampled bool) int32 {
	switch {
	case d.scale < 0:
		return change.MaxNumericScale
	case sampled: // as many as there is room for
		return 38 - d.whole
	}
	return d.scale
}

// measureSQL returns the query for place, decimal places and whole digits of
// the columns. Its own names are long ones, for the filter's columns must not be
// mistaken for them.
func (t *Table) measureSQL(s *Storage, columns []int, percent string) string {
	names := make([]string, len(columns))
	for i, at := range columns {
		names[i] = quote(t.Relation.Columns[at].Name) + "::numeric"
	}
	var b strings.Builder
	// NaN and the infinities have no scale.
	b.WriteString("SELECT walshift_i::int, max(min_scale(walshift_n)), " +
		"trunc(max(abs(walshift_n)) FILTER (WHERE min_scale(walshift_n) IS NOT NULL))::text")
	fmt.Fprintf(&b, " FROM ONLY %s.%s AS %s", quote(s.Schema), quote(s.Name), quote(t.Relation.Name))
	if percent != "" {
		fmt.Fprintf(&b, " TABLESAMPLE SYSTEM (%s)", percent)
	}
	fmt.Fprintf(&b, ", unnest(ARRAY[%s]) WITH ORDINALITY AS walshift_v (walshift_n, walshift_i)", strings.Join(names, ", "))
	if t.Filter != "" {
		b.WriteString(" WHERE (" + t.Filter + ")")
	}
	return b.String() + " GROUP BY walshift_i"
}

// scan adds what the query finds.
func scan(ctx context.Context, c *pgx.Conn, sql string, found []digits) error {
	rows, err := c.Query(ctx, sql)
	if err != nil {
		return err
	}
	var (
		place int
		scale *int32
		whole *string
	)
	_, err = pgx.ForEachRow(rows, []any{&place, &scale, &whole}, func() error {
		if scale != nil && whole != nil && place >= 1 && place <= len(found) {
			d := &found[place-1]
			d.scale, d.whole = max(d.scale, *scale), max(d.whole, int32(min(len(*whole), 1<<20)))
		}
		return nil
	})
	return err
}
