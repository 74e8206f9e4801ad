SELECT n.nspname, c.relname, c.relkind
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'v', 'm', 'p') AND n.nspname IN ('public', 'o''dd');

SELECT nspname FROM pg_namespace WHERE nspname IN ('public');

SELECT CASE WHEN has_database_privilege(current_database(), 'CREATE') THEN 1 ELSE 0 END;

SELECT CASE WHEN has_schema_privilege('public', 'CREATE') AND has_schema_privilege('public', 'USAGE') THEN 1 ELSE 0 END;

SELECT pg_backend_pid();

SHOW enable_case_sensitive_identifier;

SELECT db_collation();

SET query_group TO 'et''l\\';
