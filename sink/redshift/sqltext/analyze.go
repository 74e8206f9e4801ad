package sqltext

// Analyze returns the statement that refreshes a table's statistics. It belongs
// to the table's owner, and outside of transactions: in one it would hold the
// table's lock to the end.
func Analyze(table Name) (string, error) {
	return new(writer).raw("ANALYZE ").name(table).done()
}
