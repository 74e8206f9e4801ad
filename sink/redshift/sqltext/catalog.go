package sqltext

// Relations returns the query for the schema, name and kind (relkind) of all
// tables and views in the given schemas. pg_class is read by every user, shows
// what search_path hides, and is a leader-node table: it must not be joined
// with user tables.
func Relations(schemas []string) (string, error) {
	w := new(writer)
	w.raw("SELECT n.nspname, c.relname, c.relkind\nFROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace\n" +
		"WHERE c.relkind IN ('r', 'v', 'm', 'p') AND n.nspname IN (").lits(schemas)
	return w.raw(")").done()
}

// Schemas returns the query for those of the given schemas that exist.
func Schemas(schemas []string) (string, error) {
	w := new(writer)
	return w.raw("SELECT nspname FROM pg_namespace WHERE nspname IN (").lits(schemas).raw(")").done()
}

// CanCreateSchema returns the query that tells whether the user may make
// schemas in the database.
func CanCreateSchema() string {
	return "SELECT CASE WHEN has_database_privilege(current_database(), 'CREATE') THEN 1 ELSE 0 END"
}

// CanCreateIn returns the query that tells whether the user may make tables in
// an existing schema.
func CanCreateIn(schema string) (string, error) {
	w := new(writer)
	w.raw("SELECT CASE WHEN has_schema_privilege(").lit(schema).raw(", 'CREATE') AND has_schema_privilege(").lit(schema)
	return w.raw(", 'USAGE') THEN 1 ELSE 0 END").done()
}

// BackendPID returns the query for the session's own pid, as
// pg_terminate_backend takes it.
func BackendPID() string { return "SELECT pg_backend_pid()" }

// CaseSensitiveIdentifiers returns the query for "on" where quoted identifiers
// keep their case, and "off" where they are folded.
func CaseSensitiveIdentifiers() string { return "SHOW enable_case_sensitive_identifier" }

// DatabaseCollation returns the query for case_sensitive or case_insensitive.
func DatabaseCollation() string { return "SELECT db_collation()" }

// IsReservedColumn reports whether Redshift keeps a column name for itself
// (r_names; the last three belong to its own row headers).
func IsReservedColumn(name string) bool {
	switch Fold(name) {
	case "oid", "tableoid", "xmin", "cmin", "xmax", "cmax", "ctid",
		"deletexid", "insertxid", "tableid":
		return true
	}
	return false
}

// Set returns the statement that sets a session parameter. The name comes from
// this program's text, never from outside.
func Set(parameter, value string) (string, error) {
	return new(writer).raw("SET ", parameter, " TO ").lit(value).done()
}
