package sqltext

import (
	"fmt"
	"strconv"
	"strings"
)

// Names of staging columns that stand for no source column.
const (
	// PadColumn takes the constant that ends each record of a padded file.
	PadColumn  = "_walshift_pad"
	keptColumn = "kept"
	// sourceAlias is the alias of a table that a statement only reads.
	sourceAlias = "walshift_s"
)

// Staging is a staging table of one segment: the rows of one kind. Or, where
// Part is set, one table's part of a shared staging table ([CreateShared]).
type Staging struct {
	Name   Name
	Target *Table
	// Columns, Origin and Kept are attnums, as the log's file names them.
	Columns []int16
	Origin  []int16
	Kept    []int16
	// Copies says that a number follows: of how many copies of a row of a
	// multiset are to be taken away.
	Copies bool
	Pad    bool
	Part   *Part
}

func (s *Staging) imageColumn(attnum int16) string {
	if s.Part != nil {
		return s.Part.Image[attnum]
	}
	return "c" + strconv.Itoa(int(attnum))
}

func (s *Staging) originColumn(attnum int16) string {
	if s.Part != nil {
		return s.Part.Origin[attnum]
	}
	return "o" + strconv.Itoa(int(attnum))
}

// StagedAttnum returns the attnum that a staging column stands for.
func StagedAttnum(column string) (int16, bool) {
	if len(column) < 2 || (column[0] != 'c' && column[0] != 'o') {
		return 0, false
	}
	n, err := strconv.ParseInt(column[1:], 10, 16)
	return int16(n), err == nil
}

// FileColumns returns the staging table's columns in file order.
func (s *Staging) FileColumns() []string {
	var names []string
	for _, a := range s.Columns {
		names = append(names, s.imageColumn(a))
	}
	for _, a := range s.Origin {
		names = append(names, s.originColumn(a))
	}
	if len(s.Kept) > 0 {
		names = append(names, keptColumn)
	}
	if s.Copies {
		names = append(names, copiesColumn)
	}
	if s.Pad {
		names = append(names, PadColumn)
	}
	return names
}

// CreateStaging returns the DDL of the staging table: the target's types (a
// shorter key would merge different rows), all columns nullable, and the
// target's distribution key, so that the join is local.
func CreateStaging(s *Staging) (string, error) {
	w := new(writer)
	w.raw("CREATE TABLE ").name(s.Name).raw(" (\n  ")
	var lines []string
	for _, part := range []struct {
		attnums []int16
		name    func(int16) string
	}{{s.Columns, s.imageColumn}, {s.Origin, s.originColumn}} {
		for _, a := range part.attnums {
			c, ok := s.Target.Column(a)
			if !ok {
				return "", fmt.Errorf("%w: table %s has no column with attnum %d", ErrBadName, s.Target.Name, a)
			}
			lines = append(lines, `"`+part.name(a)+`" `+s.Target.ddl(c))
		}
	}
	if len(s.Kept) > 0 {
		lines = append(lines, fmt.Sprintf(`"%s" VARCHAR(%d)`, keptColumn, MaxColumns))
	}
	if s.Copies {
		lines = append(lines, `"`+copiesColumn+`" BIGINT`)
	}
	if s.Pad {
		lines = append(lines, `"`+PadColumn+`" VARCHAR(1)`)
	}
	w.raw(strings.Join(lines, ",\n  "), "\n)")
	for _, a := range s.Columns {
		if a == s.Target.DistKey && a != 0 {
			w.raw("\nDISTSTYLE KEY DISTKEY (").ident(s.imageColumn(a)).raw(")")
		}
	}
	return w.done()
}

// side is one side of a key comparison: it writes its column for a key column.
type side func(w *writer, key Column)

func (s *Staging) target(w *writer, key Column) { w.column(s.Target.Name, key.Name) }
func (s *Staging) staged(w *writer, key Column) {
	w.raw(sourceAlias, ".").ident(s.imageColumn(key.Attnum))
}

// match writes the equality of two rows' keys. Redshift ignores trailing
// blanks when it compares text, so text keys must be equally long as well.
func (s *Staging) match(w *writer, left, right side) {
	keys := s.Target.Keys()
	if len(keys) == 0 && w.err == nil {
		w.err = fmt.Errorf("%w: table %s has no key", ErrBadName, s.Target.Name)
	}
	for i, k := range keys {
		if i > 0 {
			w.raw("\n  AND ")
		}
		left(w, k)
		w.raw(" = ")
		right(w, k)
		if k.Text() && !k.Equality {
			w.raw("\n  AND OCTET_LENGTH(")
			left(w, k)
			w.raw(") = OCTET_LENGTH(")
			right(w, k)
			w.raw(")")
		}
	}
}

// Fill returns the UPDATE that gives staged rows the values of their kept
// columns from the row that stands under the origin key in the target. It
// affects each row with a kept column exactly once, if the target has it.
func Fill(s *Staging) (string, error) {
	w := new(writer)
	w.raw("UPDATE ").name(s.Name).raw("\nSET ")
	w.list(len(s.Kept), func(i int) {
		c, ok := s.Target.Column(s.Kept[i])
		if !ok && w.err == nil {
			w.err = fmt.Errorf("%w: table %s has no column with attnum %d", ErrBadName, s.Target.Name, s.Kept[i])
			return
		}
		image := s.imageColumn(s.Kept[i])
		w.ident(image).raw(" = CASE WHEN SUBSTRING(").column(s.Name, keptColumn).raw(", ").int(i + 1)
		w.raw(", 1) = '1' THEN ", sourceAlias, ".").ident(c.Name)
		w.raw(" ELSE ").column(s.Name, image).raw(" END")
	})
	w.raw("\nFROM ").name(s.Target.Name).raw(" AS ", sourceAlias, "\nWHERE ")
	s.match(w,
		func(w *writer, k Column) { w.column(s.Name, s.originColumn(k.Attnum)) },
		func(w *writer, k Column) { w.raw(sourceAlias, ".").ident(k.Name) })
	w.raw("\n  AND ").column(s.Name, keptColumn).raw(" <> ").lit(strings.Repeat("0", len(s.Kept)))
	if s.Part != nil {
		w.raw("\n  AND ").column(s.Name, partColumn).raw(" = ").int(s.Part.Number)
	}
	return w.done()
}

// Delete returns the DELETE of the target's rows whose keys are staged. It
// serves both for delete keys and, in delete_insert, for rows that come again.
// Of a part it takes all rows whose keys are in the target.
func Delete(s *Staging) (string, error) {
	w := new(writer)
	w.raw("DELETE FROM ").name(s.Target.Name)
	w.raw("\nUSING ").name(s.Name).raw(" AS ", sourceAlias, "\nWHERE ")
	s.match(w, s.target, s.staged)
	if s.Part != nil {
		w.raw("\n  AND ")
		s.part(w, "<>", OpInsert)
	}
	return w.done()
}

// CountExisting returns the query for the number of staged rows whose key is
// in the target. A duplicate on either side shows as a number too high.
func CountExisting(s *Staging) (string, error) {
	w := new(writer)
	w.raw("SELECT COUNT(*)\nFROM ").name(s.Name).raw(" AS ", sourceAlias)
	w.raw("\nJOIN ").name(s.Target.Name).raw(" ON ")
	s.match(w, s.target, s.staged)
	return w.done()
}

// Merge returns the MERGE of complete staged rows into the target. Redshift
// demands both arms, takes no alias for the target and no qualified name on
// the left of SET; the staging table must hold one row per key.
func Merge(s *Staging) (string, error) {
	if !s.Target.CanMerge() {
		return "", fmt.Errorf("%w: table %s can't be written by MERGE", ErrBadName, s.Target.Name)
	}
	names, err := s.Target.Names(s.Columns)
	w := &writer{err: err}
	w.raw("MERGE INTO ").name(s.Target.Name)
	w.raw("\nUSING ").name(s.Name).raw(" AS ", sourceAlias, "\nON ")
	s.match(w, s.target, s.staged)
	w.raw("\nWHEN MATCHED THEN UPDATE SET ")
	var set []int
	for i, a := range s.Columns {
		if c, ok := s.Target.Column(a); ok && !c.Key {
			set = append(set, i)
		}
	}
	w.list(len(set), func(i int) {
		w.ident(names[set[i]]).raw(" = ")
		s.image(w, set[i])
	})
	w.raw("\nWHEN NOT MATCHED THEN INSERT (").idents(names).raw(")\nVALUES (")
	return w.list(len(s.Columns), func(i int) { s.image(w, i) }).raw(")").done()
}

// Insert returns the INSERT of all staged rows into the target; of a part,
// those that hold an image.
func Insert(s *Staging) (string, error) {
	names, err := s.Target.Names(s.Columns)
	w := &writer{err: err}
	w.raw("INSERT INTO ").name(s.Target.Name).raw(" (").idents(names).raw(")\nSELECT ")
	w.list(len(s.Columns), func(i int) { s.image(w, i) })
	w.raw("\nFROM ").name(s.Name).raw(" AS ", sourceAlias)
	if s.Part != nil {
		w.raw("\nWHERE ")
		s.part(w, "<>", OpDelete)
	}
	return w.done()
}

func (s *Staging) image(w *writer, i int) {
	w.raw(sourceAlias, ".").ident(s.imageColumn(s.Columns[i]))
}
