package sqltext

import "fmt"

// Column is one column of a target table.
type Column struct {
	// Name is the column's name on Redshift.
	Name string
	// Attnum identifies the column on the source; RowAttnum is the column that
	// the source does not have.
	Attnum int16
	// Key says that the column belongs to the table's key.
	Key bool
	Mapping
}

// Table is a target table.
type Table struct {
	Name    Name
	Columns []Column
	// DistKey is the attnum of the distribution key, 0 to leave it to
	// Redshift (DISTSTYLE AUTO and SORTKEY AUTO are what CREATE TABLE does
	// without the clauses).
	DistKey int16
	// CaseSensitive writes out the collation of text columns, for a database
	// whose own is case-insensitive: there 'A' and 'a' would be one key.
	CaseSensitive bool
}

// ddl returns a column's type, with the collation where it must be said.
func (t *Table) ddl(c Column) string {
	if t.CaseSensitive && c.Text() {
		return c.DDL + " COLLATE CASE_SENSITIVE"
	}
	return c.DDL
}

// Keys returns the key's columns in column order.
func (t *Table) Keys() []Column {
	var keys []Column
	for _, c := range t.Columns {
		if c.Key {
			keys = append(keys, c)
		}
	}
	return keys
}

// Column returns the column with the attnum.
func (t *Table) Column(attnum int16) (Column, bool) {
	for _, c := range t.Columns {
		if c.Attnum == attnum {
			return c, true
		}
	}
	return Column{}, false
}

// Names returns the target's names of the columns with the given attnums.
func (t *Table) Names(attnums []int16) ([]string, error) {
	names := make([]string, len(attnums))
	for i, a := range attnums {
		c, ok := t.Column(a)
		if !ok {
			return nil, fmt.Errorf("%w: table %s has no column with attnum %d", ErrBadName, t.Name, a)
		}
		names[i] = c.Name
	}
	return names, nil
}

// CanMerge reports whether MERGE may write the table: the key's equality is
// exact, no column may hold what breaks a join, and there is a column to set.
func (t *Table) CanMerge() bool {
	keys, others := 0, 0
	for _, c := range t.Columns {
		switch {
		case c.Large(), c.Key && !c.Equality:
			return false
		case c.Key:
			keys++
		default:
			others++
		}
	}
	return keys > 0 && others > 0
}

// CreateTable returns the DDL of t under the given name, which may be a
// shadow's.
//
// Columns are nullable except keys and the hash of a multiset's rows: Redshift
// has no DROP NOT NULL, so a constraint that the source drops later could not
// follow. A primary key is
// never declared: Redshift does not enforce it but its planner believes it,
// and a row that somebody else adds to the target would then give wrong
// answers instead of a duplicate that can be seen.
func CreateTable(t *Table, name Name) (string, error) {
	w := new(writer)
	w.raw("CREATE TABLE ").name(name).raw(" (\n  ")
	for i, c := range t.Columns {
		if i > 0 {
			w.raw(",\n  ")
		}
		w.ident(c.Name).raw(" ", t.ddl(c))
		if c.Key || c.Attnum == RowAttnum {
			w.raw(" NOT NULL")
		}
	}
	w.raw("\n)")
	if c, ok := t.Column(t.DistKey); ok && t.DistKey != 0 {
		w.raw("\nDISTSTYLE KEY DISTKEY (").ident(c.Name).raw(")")
	}
	return w.done()
}

// AddPad returns the statement that adds [PadColumn] to a shadow whose files
// have a pad, and DropPad the one that takes it away after the load.
func AddPad(name Name) (string, error) {
	return new(writer).raw("ALTER TABLE ").name(name).raw(" ADD COLUMN ").ident(PadColumn).raw(" VARCHAR(1)").done()
}

// DropPad undoes [AddPad].
func DropPad(name Name) (string, error) {
	return new(writer).raw("ALTER TABLE ").name(name).raw(" DROP COLUMN ").ident(PadColumn).done()
}

// CreateSchema returns the statement that makes a schema unless it is there.
func CreateSchema(schema string) (string, error) {
	return new(writer).raw("CREATE SCHEMA IF NOT EXISTS ").ident(schema).done()
}

// Rename returns the statement that renames a table within its schema.
func Rename(from Name, to string) (string, error) {
	return new(writer).raw("ALTER TABLE ").name(from).raw(" RENAME TO ").ident(to).done()
}

// DropTables returns the statement that drops tables where they exist. It
// never cascades: a view that depends on one of them makes it fail.
func DropTables(names []Name) (string, error) {
	w := new(writer)
	w.raw("DROP TABLE IF EXISTS ")
	return w.list(len(names), func(i int) { w.name(names[i]) }).done()
}

// DeleteAll returns what stands for TRUNCATE: on Redshift TRUNCATE commits the
// running transaction.
func DeleteAll(t *Table) (string, error) {
	return new(writer).raw("DELETE FROM ").name(t.Name).done()
}
