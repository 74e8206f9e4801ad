SELECT version();

SELECT TO_CHAR(GETDATE(), 'YYYY-MM-DD HH24:MI:SS');

SELECT u.usename, current_database(), CASE WHEN u.usesuper THEN 1 ELSE 0 END
FROM pg_user u WHERE u.usename = current_user;

SELECT isolation_level FROM stv_db_isolation_level WHERE db_name = current_database();

SELECT CAST(SUM(capacity) AS BIGINT), CAST(SUM(used) AS BIGINT) FROM stv_partitions WHERE part_begin = 0;

SELECT COUNT(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND SUBSTRING(n.nspname, 1, 3) <> 'pg_' AND n.nspname <> 'information_schema';

SELECT u.usename, n.nspname, c.relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN pg_user u
WHERE c.relkind = 'r' AND n.nspname IN ('public', 'it''s')
  AND u.usename <> current_user AND NOT u.usesuper
  AND (has_table_privilege(u.usename, c.oid, 'INSERT') OR has_table_privilege(u.usename, c.oid, 'UPDATE') OR has_table_privilege(u.usename, c.oid, 'DELETE'))
ORDER BY 1, 2, 3;

SELECT target_schema, target_table FROM "walshift"."positions_crm";

CREATE TEMPORARY TABLE "odd ""name""" (a VARCHAR(16), b VARCHAR(16));

COPY "probe" ("a", "b")
FROM 's3://b/m'
IAM_ROLE default
REGION 'eu-central-1'
MANIFEST
FORMAT AS CSV
NULL AS '_NULL_'
GZIP
DATEFORMAT 'auto'
TIMEFORMAT 'auto'
COMPUPDATE OFF
STATUPDATE OFF;
