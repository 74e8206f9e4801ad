package sqltext_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/walshift/walshift/sink/redshift/sqltext"
)

func TestGoldenKept(t *testing.T) {
	t.Parallel()
	s := &script{t: t}
	table := documents(t)
	table.Columns = append(table.Columns,
		column(t, 6, "no'te", false, base("text", -1)), column(t, 7, "sum", false, base("numeric", (12<<16|2)+4)))
	rows := &sqltext.KeptRows{Target: table, Keys: [][]string{{"it's", "1"}, {`\' OR 1 = 1 --`, "-2"}, {"é ", "0"}}}
	s.add(rows.Sizes([]int16{2, 5, 6, 7}))
	s.add(rows.Values([]sqltext.Chunk{{Attnum: 2}, {Attnum: 2, From: sqltext.ChunkBytes}, {Attnum: 5}, {Attnum: 6}, {Attnum: 7}}))
	numbers := &sqltext.KeptRows{Target: orders(t), Keys: [][]string{{"9223372036854775807"}}}
	s.add(numbers.Sizes([]int16{3}))
	s.add(sqltext.HasLarge(table, []int16{2, 5, 6}))
	if sql, err := sqltext.HasLarge(orders(t), []int16{3}); !errors.Is(err, sqltext.ErrBadName) {
		t.Errorf("%q, %v", sql, err)
	}
	s.compare("kept.sql")
}

// TestW7ReadingRefuses: keys that are none, and values that would not come back
// as they were.
func TestW7ReadingRefuses(t *testing.T) {
	t.Parallel()
	table := documents(t)
	table.Columns = append(table.Columns, column(t, 9, "at", false, base("timestamptz", -1)), column(t, 10, "x", false, base("float8", -1)),
		column(t, 11, "shape", false, base("geometry", -1)))
	for name, c := range map[string]struct {
		keys   [][]string
		attnum int16
		want   error
	}{
		"no rows":     {nil, 2, sqltext.ErrBadName},
		"half a key":  {[][]string{{"a"}}, 2, sqltext.ErrBadValue},
		"NUL":         {[][]string{{"a\x00", "1"}}, 2, sqltext.ErrBadValue},
		"no column":   {[][]string{{"a", "1"}}, 99, sqltext.ErrBadName},
		"a timestamp": {[][]string{{"a", "1"}}, 9, sqltext.ErrBadName},
		"a double":    {[][]string{{"a", "1"}}, 10, sqltext.ErrBadName},
		"a geometry":  {[][]string{{"a", "1"}}, 11, sqltext.ErrBadName},
	} {
		rows := &sqltext.KeptRows{Target: table, Keys: c.keys}
		if sql, err := rows.Sizes([]int16{c.attnum}); !errors.Is(err, c.want) || sql != "" {
			t.Errorf("%s: sizes %q, %v", name, sql, err)
		}
		sql, err := rows.Values([]sqltext.Chunk{{Attnum: c.attnum}})
		if !errors.Is(err, c.want) || sql != "" {
			t.Errorf("%s: values %q, %v", name, sql, err)
		}
		if err != nil && strings.Contains(err.Error(), "a\x00") {
			t.Errorf("%s: the error shows the value", name)
		}
	}
}
