package sqltext

import "strconv"

// This file is about tables without a key. Their rows are told apart by a hash
// of the whole image, in a column of their target that the source does not have.

const (
	// RowColumn is the column of the hash.
	RowColumn = "_walshift_row"
	// RowAttnum stands for it among attnums; the source's begin at 1.
	RowAttnum = 0
	// rowBytes is the length of a hash: 128 bits, in hexadecimal.
	rowBytes = 32

	copiesColumn = "copies"
	// targetAlias is the alias of a target that a statement only reads.
	targetAlias = "walshift_t"
)

// RowHash returns the column of the hash.
//
// It gets no ENCODE, for one column with an encoding of its own takes the whole
// table out of ENCODE AUTO (r_CREATE_TABLE_NEW). It is no distribution key
// either: thousands of equal rows, which only a table without a key has, would
// lie on one slice.
func RowHash() Column {
	return Column{Name: RowColumn, Attnum: RowAttnum, Mapping: text(rowBytes, true)}
}

// counted writes the query for each staged hash, the copies of it to be taken
// away and the rows that the target has of it. No other column is read: a join
// must not carry large values (8001). after leaves out hashes up to it.
func (s *Staging) counted(w *writer, after string) {
	hash := s.imageColumn(RowAttnum)
	w.raw("SELECT ", sourceAlias, ".").ident(hash).raw(" AS row_hash, ", sourceAlias, ".").ident(copiesColumn)
	w.raw(" AS copies, COUNT(", targetAlias, ".").ident(RowColumn).raw(") AS found")
	w.raw("\n  FROM ").name(s.Name).raw(" AS ", sourceAlias)
	w.raw("\n  LEFT JOIN ").name(s.Target.Name).raw(" AS ", targetAlias)
	w.raw(" ON ", targetAlias, ".").ident(RowColumn).raw(" = ", sourceAlias, ".").ident(hash)
	if after != "" {
		w.raw("\n  WHERE ", sourceAlias, ".").ident(hash).raw(" > ").lit(after)
	}
	w.raw("\n  GROUP BY ", sourceAlias, ".").ident(hash).raw(", ", sourceAlias, ".").ident(copiesColumn)
}

// CountRemoved returns the query for what taking staged copies away will find:
// the number of different hashes staged, of rows that have one of them, of
// hashes of which the target has fewer copies than are to go, and of the copies
// that remain of the others.
func CountRemoved(s *Staging) (string, error) {
	w := new(writer)
	w.raw("SELECT COUNT(*), SUM(found), SUM(CASE WHEN found < copies THEN 1 ELSE 0 END),\n" +
		"  SUM(CASE WHEN found > copies THEN found - copies ELSE 0 END)\nFROM (\n  ")
	s.counted(w, "")
	return w.raw("\n) AS counted").done()
}

// ListRemaining returns the query for hashes of which copies remain, and how
// many: at most limit, in order, and only such that come behind after.
func ListRemaining(s *Staging, after string, limit int) (string, error) {
	w := new(writer)
	w.raw("SELECT row_hash, found - copies\nFROM (\n  ")
	s.counted(w, after)
	return w.raw("\n) AS counted\nWHERE found > copies\nORDER BY row_hash\nLIMIT ").int(limit).done()
}

// DeleteRows returns the DELETE of all rows of the target that have one of the
// staged hashes.
func DeleteRows(s *Staging) (string, error) {
	w := new(writer)
	w.raw("DELETE FROM ").name(s.Target.Name).raw("\nUSING ").name(s.Name).raw(" AS ", sourceAlias, "\nWHERE ")
	w.column(s.Target.Name, RowColumn).raw(" = ", sourceAlias, ".").ident(s.imageColumn(RowAttnum))
	return w.done()
}

// CountUnhashed returns the query for the rows of a target that lack a hash.
func CountUnhashed(target Name) (string, error) {
	w := new(writer)
	w.raw("SELECT COUNT(*) FROM ").name(target).raw("\nWHERE ").ident(RowColumn).raw(" IS NULL OR OCTET_LENGTH(")
	return w.ident(RowColumn).raw(") <> ", strconv.Itoa(rowBytes)).done()
}
