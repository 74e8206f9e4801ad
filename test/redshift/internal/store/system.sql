-- What the server in front records, and the system views over it.

CREATE TABLE rs_internal.bootstrap (version int NOT NULL);
CREATE TABLE rs_internal.sessions (pid int PRIMARY KEY, username text NOT NULL, started timestamp NOT NULL);
CREATE TABLE rs_internal.long_names (short text PRIMARY KEY, long text NOT NULL);
CREATE TABLE rs_internal.late_views (schema_name text, view_name text, owner text, definition text, PRIMARY KEY (schema_name, view_name));
CREATE TABLE rs_internal.table_meta (rel oid PRIMARY KEY, diststyle text NOT NULL, sortstyle text NOT NULL);
CREATE TABLE rs_internal.column_meta (
  rel oid, attnum int, distkey boolean NOT NULL DEFAULT false, sortkey int NOT NULL DEFAULT 0, encoding text,
  pk boolean NOT NULL DEFAULT false, uniq boolean NOT NULL DEFAULT false, fk boolean NOT NULL DEFAULT false, PRIMARY KEY (rel, attnum));
CREATE TABLE rs_internal.load_errors (
  user_id int, query_id bigint, transaction_id bigint, session_id int, database_name char(64), table_id int, start_time timestamp,
  file_name char(256), line_number bigint, column_name char(127), column_type char(10), column_length char(10), position int,
  error_code int, error_message char(512), raw_line char(1024), raw_field_value char(1024));
CREATE TABLE rs_internal.load_history (
  user_id int, query_id bigint, transaction_id bigint, session_id int, database_name text, status text, table_name text,
  start_time timestamp, end_time timestamp, duration bigint, data_source text, file_format text, loaded_rows bigint,
  loaded_bytes bigint, source_file_count int, source_file_bytes bigint, file_count_scanned int, file_bytes_scanned bigint,
  error_count bigint, copy_job_id bigint);
CREATE TABLE rs_internal.load_detail (
  user_id int, query_id bigint, file_name char(256), bytes_scanned int, lines_scanned int, record_time timestamp, start_time timestamp);
CREATE TABLE rs_internal.query_history (
  user_id int, query_id bigint, transaction_id bigint, session_id int, database_name text, query_type text, status char(10),
  start_time timestamp, end_time timestamp, elapsed_time bigint, queue_time bigint, execution_time bigint, error_message char(512),
  returned_rows bigint, query_text char(4000));

CREATE FUNCTION rs_internal.long_name(name) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT coalesce((SELECT long FROM rs_internal.long_names WHERE short = $1::text AND octet_length($1) = 63), $1::text)
$$;

-- cols: one element per column as name=flags, where flags are d (dist key),
-- sN (Nth sort key), p, u, f (keys), e:encoding, separated by commas.
CREATE FUNCTION rs_internal.record_table(r oid, diststyle text, sortstyle text, cols text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  c text; f text; col text; num int;
BEGIN
  -- an empty style leaves the old one
  INSERT INTO rs_internal.table_meta AS t VALUES (r, coalesce(nullif(record_table.diststyle, ''), 'AUTO'), coalesce(nullif(record_table.sortstyle, ''), 'AUTO'))
    ON CONFLICT (rel) DO UPDATE SET diststyle = coalesce(nullif(record_table.diststyle, ''), t.diststyle), sortstyle = coalesce(nullif(record_table.sortstyle, ''), t.sortstyle);
  FOREACH c IN ARRAY cols LOOP
    col := substr(c, 1, length(c) - strpos(reverse(c), '='));
    SELECT attnum INTO num FROM pg_attribute WHERE attrelid = r AND attname = col AND NOT attisdropped;
    IF num IS NULL THEN CONTINUE; END IF;
    INSERT INTO rs_internal.column_meta (rel, attnum) VALUES (r, num) ON CONFLICT DO NOTHING;
    FOREACH f IN ARRAY string_to_array(substr(c, length(col) + 2), ',') LOOP
      UPDATE rs_internal.column_meta m SET
        distkey = m.distkey OR f = 'd', pk = m.pk OR f = 'p', uniq = m.uniq OR f = 'u', fk = m.fk OR f = 'f',
        sortkey = CASE WHEN f ~ '^s[0-9]+$' THEN substr(f, 2)::int ELSE m.sortkey END,
        encoding = CASE WHEN f LIKE 'e:%' THEN substr(f, 3) ELSE m.encoding END
      WHERE m.rel = r AND m.attnum = num;
    END LOOP;
  END LOOP;
END $$;
CREATE FUNCTION rs_internal.clear_keys(r oid, dist boolean, sorted boolean) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
  UPDATE rs_internal.column_meta m SET distkey = m.distkey AND NOT dist, sortkey = CASE WHEN sorted THEN 0 ELSE m.sortkey END WHERE m.rel = r
$$;
CREATE FUNCTION rs_internal.record_like(child oid, parent oid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  INSERT INTO rs_internal.table_meta SELECT child, diststyle, sortstyle FROM rs_internal.table_meta WHERE rel = parent ON CONFLICT DO NOTHING;
  INSERT INTO rs_internal.column_meta (rel, attnum, distkey, sortkey, encoding)
    SELECT child, ca.attnum, m.distkey, m.sortkey, m.encoding FROM rs_internal.column_meta m
    JOIN pg_attribute pa ON pa.attrelid = parent AND pa.attnum = m.attnum
    JOIN pg_attribute ca ON ca.attrelid = child AND ca.attname = pa.attname WHERE m.rel = parent ON CONFLICT DO NOTHING;
END $$;
CREATE FUNCTION rs_internal.set_late_view(s text, v text, def text) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
  DELETE FROM rs_internal.late_views WHERE schema_name = s AND view_name = v;
  INSERT INTO rs_internal.late_views SELECT s, v, session_user, def WHERE def IS NOT NULL;
$$;
CREATE FUNCTION rs_internal.column_flags(r oid, col text) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT concat_ws(',', CASE WHEN distkey THEN 'd' END, CASE WHEN sortkey > 0 THEN 's' END, CASE WHEN pk OR uniq OR fk THEN 'k' END, 'e:' || encoding)
  FROM rs_internal.column_meta m JOIN pg_attribute a ON a.attrelid = m.rel AND a.attnum = m.attnum WHERE m.rel = r AND a.attname = col
$$;

CREATE VIEW rs_internal.columns AS
  SELECT n.nspname::text AS table_schema, rs_internal.long_name(c.relname) AS table_name, rs_internal.long_name(a.attname) AS column_name,
    a.attnum::int AS attnum, a.atttypid, a.atttypmod, a.attnotnull, a.attidentity, c.oid AS rel, c.relkind, c.relpersistence,
    pg_get_expr(d.adbin, d.adrelid) AS column_default,
    rs_format_type(a.atttypid, a.atttypmod) AS full_type, rs_format_type(a.atttypid, NULL) AS base_type,
    CASE WHEN a.atttypid = 'rs_types.varchar'::regtype THEN CASE WHEN a.atttypmod > 4 THEN a.atttypmod - 4 ELSE 65535 END
      WHEN a.atttypid IN ('bpchar'::regtype) AND a.atttypmod > 4 THEN a.atttypmod - 4
      WHEN a.atttypid = 'varbyte'::regtype THEN CASE WHEN a.atttypmod > 0 THEN a.atttypmod ELSE 16777216 END END AS char_len,
    CASE a.atttypid WHEN 'int2'::regtype THEN 16 WHEN 'int4'::regtype THEN 32 WHEN 'int8'::regtype THEN 64
      WHEN 'numeric'::regtype THEN CASE WHEN a.atttypmod > 4 THEN ((a.atttypmod - 4) >> 16) & 65535 END
      WHEN 'float4'::regtype THEN 24 WHEN 'float8'::regtype THEN 53 END AS num_prec,
    CASE a.atttypid WHEN 'int2'::regtype THEN 0 WHEN 'int4'::regtype THEN 0 WHEN 'int8'::regtype THEN 0
      WHEN 'numeric'::regtype THEN CASE WHEN a.atttypmod > 4 THEN (a.atttypmod - 4) & 2047 END END AS num_scale
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'v', 'm', 'p')
    AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'rs_types', 'rs_internal', 'rs_catalog', 'pg_toast') AND n.nspname NOT LIKE 'pg_toast%'
    AND (n.nspname NOT LIKE 'pg_temp%' OR n.oid = pg_my_temp_schema())
    AND (pg_has_role(c.relowner, 'USAGE') OR has_column_privilege(c.oid, a.attnum, 'SELECT, INSERT, UPDATE, REFERENCES'));

CREATE VIEW rs_internal.is_columns AS
  SELECT current_database()::text AS table_catalog, table_schema, table_name, column_name, attnum AS ordinal_position,
    column_default, CASE WHEN attnotnull THEN 'NO' ELSE 'YES' END AS is_nullable, base_type AS data_type,
    char_len AS character_maximum_length, NULL::int AS character_octet_length, num_prec AS numeric_precision,
    CASE WHEN num_prec IS NOT NULL THEN CASE WHEN atttypid = 'numeric'::regtype THEN 10 ELSE 2 END END AS numeric_precision_radix,
    num_scale AS numeric_scale, CASE WHEN base_type LIKE 'time%' THEN 6 END AS datetime_precision,
    NULL::text AS character_set_name, NULL::text AS collation_name, NULL::text AS domain_name,
    current_database()::text AS udt_catalog, 'pg_catalog'::text AS udt_schema, (SELECT typname::text FROM pg_type t WHERE t.oid = atttypid) AS udt_name
  FROM rs_internal.columns WHERE table_schema NOT LIKE 'pg_temp%';
CREATE VIEW pg_catalog.svv_columns AS
  SELECT table_catalog, table_schema, table_name, column_name, ordinal_position, column_default, is_nullable, data_type,
    character_maximum_length, numeric_precision, numeric_precision_radix, numeric_scale, datetime_precision, NULL::text AS interval_type,
    NULL::text AS interval_precision, character_set_name, collation_name, domain_name, NULL::text AS remarks
  FROM rs_internal.is_columns;
CREATE VIEW pg_catalog.svv_redshift_columns AS
  SELECT current_database()::text AS database_name, table_schema AS schema_name, table_name, column_name, c.attnum AS ordinal_position,
    full_type AS data_type, column_default, CASE WHEN attnotnull THEN 'NO' ELSE 'YES' END AS is_nullable,
    coalesce(m.encoding, 'none') AS encoding, coalesce(m.distkey, false) AS distkey, coalesce(m.sortkey, 0) AS sortkey,
    NULL::text AS column_acl, NULL::text AS remarks
  FROM rs_internal.columns c LEFT JOIN rs_internal.column_meta m ON m.rel = c.rel AND m.attnum = c.attnum WHERE table_schema NOT LIKE 'pg_temp%';
CREATE VIEW pg_catalog.svv_all_columns AS
  SELECT current_database()::text AS database_name, table_schema AS schema_name, table_name, column_name, attnum AS ordinal_position,
    column_default, CASE WHEN attnotnull THEN 'NO' ELSE 'YES' END AS is_nullable, base_type AS data_type, char_len AS character_maximum_length,
    num_prec AS numeric_precision, num_scale AS numeric_scale, NULL::text AS remarks
  FROM rs_internal.columns WHERE table_schema NOT LIKE 'pg_temp%';
CREATE VIEW rs_internal.tables AS
  SELECT current_database()::text AS table_catalog, n.nspname::text AS table_schema, rs_internal.long_name(c.relname) AS table_name,
    CASE c.relkind WHEN 'r' THEN 'BASE TABLE' ELSE 'VIEW' END AS table_type, obj_description(c.oid, 'pg_class') AS remarks
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'v', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'rs_types', 'rs_internal', 'rs_catalog') AND n.nspname NOT LIKE 'pg_toast%' AND n.nspname NOT LIKE 'pg_temp%';
CREATE VIEW pg_catalog.svv_tables AS SELECT * FROM rs_internal.tables;
CREATE VIEW pg_catalog.svv_redshift_tables AS
  SELECT table_catalog AS database_name, table_schema AS schema_name, table_name, CASE table_type WHEN 'BASE TABLE' THEN 'TABLE' ELSE table_type END AS table_type,
    NULL::text AS table_acl, remarks FROM pg_catalog.svv_tables;
CREATE VIEW pg_catalog.svv_all_tables AS SELECT * FROM pg_catalog.svv_redshift_tables;
CREATE VIEW pg_catalog.svv_redshift_schemas AS
  SELECT current_database()::text AS database_name, nspname::text AS schema_name, nspowner::bigint::int AS schema_owner, 'local'::text AS schema_type,
    NULL::text AS schema_acl, NULL::text AS schema_option
  FROM pg_namespace WHERE nspname NOT LIKE 'pg_toast%' AND nspname NOT LIKE 'pg_temp%' AND nspname NOT IN ('rs_types', 'rs_internal', 'rs_catalog');
CREATE VIEW pg_catalog.svv_all_schemas AS SELECT * FROM pg_catalog.svv_redshift_schemas;
CREATE VIEW pg_catalog.pg_table_def AS
  SELECT c.table_schema AS schemaname, c.table_name AS tablename, c.column_name AS "column", c.full_type AS type,
    coalesce(m.encoding, 'none') AS encoding, coalesce(m.distkey, false) AS distkey, coalesce(m.sortkey, 0) AS sortkey, c.attnotnull AS "notnull"
  FROM rs_internal.columns c LEFT JOIN rs_internal.column_meta m ON m.rel = c.rel AND m.attnum = c.attnum
  WHERE c.relkind = 'r' AND pg_table_is_visible(c.rel);

-- pg_relation_size instead of a count: a table emptied by DELETE still has
-- blocks until VACUUM, as on Redshift.
CREATE VIEW rs_internal.table_info AS
  SELECT current_database()::text AS database, n.nspname::text AS schema, c.oid::bigint AS table_id, rs_internal.long_name(c.relname) AS "table",
    'Y, AUTO(ENCODE)'::text AS encoded,
    coalesce(CASE WHEN t.diststyle = 'KEY' THEN 'KEY(' || (SELECT a.attname FROM rs_internal.column_meta m JOIN pg_attribute a ON a.attrelid = m.rel AND a.attnum = m.attnum WHERE m.rel = c.oid AND m.distkey LIMIT 1) || ')'
      WHEN t.diststyle = 'AUTO' THEN 'AUTO(ALL)' ELSE t.diststyle END, 'AUTO(ALL)') AS diststyle,
    (SELECT a.attname::text FROM rs_internal.column_meta m JOIN pg_attribute a ON a.attrelid = m.rel AND a.attnum = m.attnum WHERE m.rel = c.oid AND m.sortkey = 1) AS sortkey1,
    (SELECT max(char_len) FROM rs_internal.columns k WHERE k.rel = c.oid) AS max_varchar,
    greatest(1, pg_total_relation_size(c.oid) / 1048576) AS size, 0.01::numeric(10,4) AS pct_used, 0::bigint AS empty, 0.0::numeric(5,2) AS unsorted,
    CASE WHEN c.reltuples < 0 THEN 99.0 ELSE 0.0 END::numeric(5,2) AS stats_off,
    greatest(c.reltuples, 0)::numeric(38,0) AS tbl_rows, 1.0::numeric(19,2) AS skew_rows, 0::numeric AS estimated_visible_rows
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN rs_internal.table_meta t ON t.rel = c.oid
  WHERE c.relkind = 'r' AND pg_relation_size(c.oid) > 0 AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'rs_types', 'rs_internal', 'rs_catalog') AND n.nspname NOT LIKE 'pg_t%';
CREATE VIEW pg_catalog.svv_table_info AS SELECT * FROM rs_internal.table_info;

CREATE FUNCTION rs_internal.is_admin() RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT rolsuper FROM pg_roles WHERE rolname = session_user
$$;
CREATE FUNCTION rs_internal.user_id() RETURNS int LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT oid::bigint::int FROM pg_roles WHERE rolname = session_user
$$;
CREATE VIEW pg_catalog.sys_load_error_detail AS
  SELECT user_id, query_id, transaction_id, session_id, database_name, table_id, start_time, file_name, line_number, column_name, column_type,
    column_length, position, error_code, error_message
  FROM rs_internal.load_errors WHERE rs_internal.is_admin() OR user_id = rs_internal.user_id();
CREATE VIEW pg_catalog.stl_load_errors AS
  SELECT user_id AS userid, 0 AS slice, table_id AS tbl, start_time AS starttime, session_id AS session, query_id::int AS query, file_name AS filename,
    line_number, column_name AS colname, column_type AS type, column_length AS col_length, position, raw_line, raw_field_value,
    error_code AS err_code, error_message::char(100) AS err_reason, 0 AS is_partial, 0::bigint AS start_offset, 0::bigint AS copy_job_id
  FROM rs_internal.load_errors WHERE rs_internal.is_admin() OR user_id = rs_internal.user_id();
CREATE VIEW pg_catalog.sys_load_history AS SELECT * FROM rs_internal.load_history WHERE rs_internal.is_admin() OR user_id = rs_internal.user_id();
CREATE VIEW pg_catalog.sys_load_detail AS
  SELECT user_id, query_id, file_name, bytes_scanned, lines_scanned, record_time, 1 AS splits_scanned, start_time, record_time AS end_time
  FROM rs_internal.load_detail WHERE rs_internal.is_admin() OR user_id = rs_internal.user_id();
CREATE VIEW pg_catalog.stl_load_commits AS
  SELECT d.user_id AS userid, d.query_id::int AS query, 0 AS slice, ''::char(256) AS name, d.file_name AS filename, 0 AS byte_offset, d.lines_scanned,
    0 AS errors, d.record_time AS curtime, 1 AS status,
    CASE h.file_format WHEN 'json' THEN 'JSON' WHEN 'avro' THEN 'Avro' ELSE 'Text' END::char(16) AS file_format,
    0 AS is_partial, 0::bigint AS start_offset, 0::bigint AS copy_job_id
  FROM rs_internal.load_detail d LEFT JOIN rs_internal.load_history h ON h.query_id = d.query_id
  WHERE rs_internal.is_admin() OR d.user_id = rs_internal.user_id();
CREATE VIEW pg_catalog.sys_query_history AS SELECT * FROM rs_internal.query_history WHERE rs_internal.is_admin() OR user_id = rs_internal.user_id();

CREATE FUNCTION rs_internal.transactions() RETURNS TABLE (
  txn_owner text, txn_db text, xid bigint, pid int, txn_start timestamp, lock_mode text, lockable_object_type text, relation int, granted boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT s.username, a.datname::text, coalesce(a.backend_xid::text::bigint, 0), a.pid, a.xact_start AT TIME ZONE 'UTC',
    l.mode, CASE l.locktype WHEN 'relation' THEN 'relation' ELSE 'transactionid' END, l.relation::bigint::int, l.granted
  FROM rs_internal.sessions s JOIN pg_stat_activity a ON a.pid = s.pid JOIN pg_locks l ON l.pid = a.pid
  WHERE l.locktype IN ('relation', 'transactionid') AND (s.username = session_user OR rs_internal.is_admin())
    AND (l.relation IS NULL OR l.relation > 16384)
$$;
CREATE VIEW pg_catalog.svv_transactions AS SELECT * FROM rs_internal.transactions();
CREATE FUNCTION rs_internal.session_list() RETURNS TABLE (starttime timestamp, process int, user_name char(50), db_name char(50))
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT started, pid, username::char(50), current_database()::char(50) FROM rs_internal.sessions WHERE username = session_user OR rs_internal.is_admin()
$$;
CREATE VIEW pg_catalog.stv_sessions AS SELECT * FROM rs_internal.session_list();
CREATE VIEW pg_catalog.stv_slices AS SELECT 0 AS node, g AS slice, g AS localslice, 'D'::char(1) AS type FROM generate_series(0, 1) AS g;
CREATE VIEW pg_catalog.stv_db_isolation_level AS
  SELECT oid::bigint::int AS db_id, datname::char(128) AS db_name, 'Snapshot Isolation'::char(20) AS isolation_level FROM pg_database;

-- Ordinary users may read the views above, except those of superusers.
DO $$
DECLARE
  v text;
BEGIN
  FOREACH v IN ARRAY ARRAY['svv_columns', 'svv_redshift_columns', 'svv_all_columns', 'svv_tables', 'svv_redshift_tables',
      'svv_all_tables', 'svv_redshift_schemas', 'svv_all_schemas', 'pg_table_def', 'sys_load_error_detail', 'stl_load_errors', 'sys_load_history',
      'sys_load_detail', 'stl_load_commits', 'sys_query_history', 'svv_transactions', 'stv_sessions', 'stv_slices'] LOOP
    EXECUTE format('GRANT SELECT ON pg_catalog.%I TO PUBLIC', v);
  END LOOP;
END $$;
INSERT INTO rs_internal.bootstrap VALUES (3);
