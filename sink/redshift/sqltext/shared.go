package sqltext

import (
	"fmt"
	"strconv"
	"strings"
)

// Op says what a row of a shared staging table is for.
type Op int

// The ops.
const (
	// OpDelete is a key whose row goes; the other columns are NULL.
	OpDelete Op = iota + 1
	// OpReplace is a complete row whose key is in the target.
	OpReplace
	// OpInsert is a complete row whose key is not.
	OpInsert
)

// Columns that every shared staging table begins with.
const (
	partColumn = "part"
	opColumn   = "op"
)

// Part is one table's share of a shared staging table: rows of many tables in
// one, so that one COPY loads them all. Its columns are slots: each has one
// type, and every table puts its columns into slots of just that type, so that
// COPY reads a value there as it would in a staging table of the table's own.
type Part struct {
	// Number is the value of column part, unique in the staging table.
	Number int
	// Image and Origin name the slot of each attnum.
	Image, Origin map[int16]string
}

// part writes the condition that picks the part's rows by op.
func (s *Staging) part(w *writer, compare string, op Op) {
	w.raw(sourceAlias, ".").ident(partColumn).raw(" = ").int(s.Part.Number)
	w.raw("\n  AND ", sourceAlias, ".").ident(opColumn).raw(" " + compare + " ").int(int(op))
}

// SlotType returns the type of the slot for a column. Texts share slots of few
// widths: a wider one holds the same values, and a value that fits the target
// stays as it is on its way there.
func (t *Table) SlotType(c Column) string {
	if !c.Text() {
		return c.DDL
	}
	for width := 256; width < MaxVarchar; width *= 16 {
		if c.MaxBytes <= width {
			return t.ddl(Column{Mapping: text(width, true)})
		}
	}
	return t.ddl(Column{Mapping: text(MaxVarchar, true)})
}

// SlotColumn returns the name of the n-th slot, counted from 0.
func SlotColumn(n int) string { return "s" + strconv.Itoa(n+1) }

// CreateShared returns the DDL of a shared staging table with slots of the
// given types, all nullable.
func CreateShared(name Name, slots []string) (string, error) {
	if len(slots)+len(sharedColumns()) > MaxColumns {
		return "", fmt.Errorf("%w: a shared staging table with %d slots", ErrBadName, len(slots))
	}
	w := new(writer)
	w.raw("CREATE TABLE ").name(name).raw(" (\n  ")
	lines := []string{
		`"` + partColumn + `" INTEGER`, `"` + opColumn + `" SMALLINT`,
		fmt.Sprintf(`"%s" VARCHAR(%d)`, keptColumn, MaxColumns),
	}
	for i, typ := range slots {
		lines = append(lines, `"`+SlotColumn(i)+`" `+typ)
	}
	return w.raw(strings.Join(lines, ",\n  "), "\n)\nDISTSTYLE EVEN").done()
}

func sharedColumns() []string { return []string{partColumn, opColumn, keptColumn} }

// SharedColumns returns a shared staging table's columns in file order.
func SharedColumns(slots int) []string {
	names := sharedColumns()
	for i := range slots {
		names = append(names, SlotColumn(i))
	}
	return names
}
