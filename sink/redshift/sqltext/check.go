package sqltext

// This file holds the queries of preflight. They read catalogs and system views;
// which of those an ordinary user may read differs between clusters.

// Version returns the query for the server's version.
func Version() string { return "SELECT version()" }

// Clock returns the query for the server's time, UTC, to the second.
func Clock() string { return "SELECT TO_CHAR(GETDATE(), 'YYYY-MM-DD HH24:MI:SS')" }

// Whoami returns the query for the user, the database, and 1 for a superuser.
func Whoami() string {
	return "SELECT u.usename, current_database(), CASE WHEN u.usesuper THEN 1 ELSE 0 END\n" +
		"FROM pg_user u WHERE u.usename = current_user"
}

// IsolationLevel returns the query for the database's isolation level. The view
// is for superusers unless granted.
func IsolationLevel() string {
	return "SELECT isolation_level FROM stv_db_isolation_level WHERE db_name = current_database()"
}

// Disk returns the query for the capacity of all nodes and what is used of it,
// in blocks of 1 MB (r_STV_PARTITIONS). Serverless has no such view.
func Disk() string {
	return "SELECT CAST(SUM(capacity) AS BIGINT), CAST(SUM(used) AS BIGINT) FROM stv_partitions WHERE part_begin = 0"
}

// CountTables returns the query for the number of tables in the database.
func CountTables() string {
	return "SELECT COUNT(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace\n" +
		"WHERE c.relkind = 'r' AND SUBSTRING(n.nspname, 1, 3) <> 'pg_' AND n.nspname <> 'information_schema'"
}

// Writers returns the query for user, schema and table wherever a user other
// than the session's, and no superuser, may write a table of the given schemas.
func Writers(schemas []string) (string, error) {
	w := new(writer)
	w.raw("SELECT u.usename, n.nspname, c.relname\n" +
		"FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN pg_user u\n" +
		"WHERE c.relkind = 'r' AND n.nspname IN (").lits(schemas)
	w.raw(")\n  AND u.usename <> current_user AND NOT u.usesuper\n  AND (")
	for i, p := range []string{"INSERT", "UPDATE", "DELETE"} {
		if i > 0 {
			w.raw(" OR ")
		}
		w.raw("has_table_privilege(u.usename, c.oid, '", p, "')")
	}
	return w.raw(")\nORDER BY 1, 2, 3").done()
}

// Targets returns the query for the target schemas and tables of a pipeline.
func Targets(pipeline string) (string, error) {
	return new(writer).raw("SELECT target_schema, target_table FROM ").name(PositionsTable(pipeline)).done()
}

// CreateProbe returns the statement that makes the temporary table of two text
// columns that a COPY is tried on, and its columns.
func CreateProbe(table string) (sql string, columns []string, err error) {
	sql, err = new(writer).raw("CREATE TEMPORARY TABLE ").ident(table).raw(" (a VARCHAR(16), b VARCHAR(16))").done()
	return sql, []string{"a", "b"}, err
}
