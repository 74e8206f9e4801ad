-- System views that queries of operators and tools name, with the columns most
-- used. What the stand-in does not keep is empty.

CREATE VIEW pg_catalog.svv_redshift_databases AS
  SELECT datname::text AS database_name, datdba::bigint::int AS database_owner, 'local'::text AS database_type, NULL::text AS database_acl, NULL::text AS database_options,
    'Snapshot Isolation'::text AS database_isolation_level FROM pg_catalog.pg_database WHERE datname = current_database();
CREATE VIEW pg_catalog.svv_user_info AS
  SELECT rolname::text AS user_name, oid::bigint::int AS user_id, rolcreatedb AS createdb, rolsuper AS superuser, false AS catalog_update,
    CASE WHEN rolconnlimit < 0 THEN 'UNLIMITED' ELSE rolconnlimit::text END AS connection_limit, 'RESTRICTED'::text AS syslog_access, 0 AS last_ddl_timestamp,
    0 AS session_timeout, NULL::text AS external_id FROM pg_catalog.pg_roles WHERE rolcanlogin;
CREATE VIEW pg_catalog.pg_user_info AS
  SELECT rolname AS usename, oid::bigint::int AS usesysid, rolcreatedb AS usecreatedb, rolsuper AS usesuper, false AS usecatupd, '********'::text AS passwd,
    rolvaliduntil::timestamp AS valuntil, rolconfig::text AS useconfig, CASE WHEN rolconnlimit < 0 THEN 'UNLIMITED' ELSE rolconnlimit::text END AS useconnlimit
  FROM pg_catalog.pg_roles WHERE rolcanlogin;
CREATE VIEW pg_catalog.svv_roles AS
  SELECT oid::bigint::int AS role_id, rolname::text AS role_name, NULL::text AS role_owner, NULL::text AS external_id
  FROM pg_catalog.pg_roles WHERE NOT rolcanlogin AND rolname NOT LIKE 'pg\_%';
CREATE VIEW pg_catalog.svv_user_grants AS
  SELECT m.member::bigint::int AS user_id, u.rolname::text AS user_name, m.roleid::bigint::int AS role_id, r.rolname::text AS role_name, m.admin_option
  FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles u ON u.oid = m.member JOIN pg_catalog.pg_roles r ON r.oid = m.roleid WHERE u.rolcanlogin;
CREATE VIEW pg_catalog.svv_relation_privileges AS
  SELECT n.nspname::text AS namespace_name, c.relname::text AS relation_name, x.privilege_type::text AS privilege_type, x.grantee::bigint::int AS identity_id,
    coalesce(r.rolname::text, 'public') AS identity_name, CASE WHEN x.grantee = 0 THEN 'public' WHEN r.rolcanlogin THEN 'user' ELSE 'role' END AS identity_type,
    x.is_grantable AS admin_option
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL aclexplode(c.relacl) AS x
  LEFT JOIN pg_catalog.pg_roles r ON r.oid = x.grantee
  WHERE c.relkind IN ('r', 'v', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'rs_types', 'rs_internal', 'rs_catalog');
CREATE VIEW pg_catalog.svv_schema_privileges AS
  SELECT n.nspname::text AS namespace_name, x.privilege_type::text AS privilege_type, x.grantee::bigint::int AS identity_id, coalesce(r.rolname::text, 'public') AS identity_name,
    CASE WHEN x.grantee = 0 THEN 'public' WHEN r.rolcanlogin THEN 'user' ELSE 'role' END AS identity_type, x.is_grantable AS admin_option
  FROM pg_catalog.pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) AS x LEFT JOIN pg_catalog.pg_roles r ON r.oid = x.grantee
  WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'rs_types', 'rs_internal', 'rs_catalog');

CREATE VIEW pg_catalog.stv_recents AS
  SELECT user_id AS userid, CASE btrim(status) WHEN 'success' THEN 'Done' ELSE btrim(status) END::char(20) AS status, start_time AS starttime, elapsed_time AS duration,
    NULL::char(50) AS user_name, database_name::char(50) AS db_name, left(query_text, 600)::char(600) AS query, session_id AS pid FROM pg_catalog.sys_query_history;
CREATE VIEW pg_catalog.stl_query AS
  SELECT user_id AS userid, query_id::int AS query, 'default'::char(320) AS label, transaction_id AS xid, session_id AS pid, database_name::char(32) AS database,
    query_text AS querytxt, start_time AS starttime, end_time AS endtime, CASE btrim(status) WHEN 'success' THEN 0 ELSE 1 END AS aborted, 0 AS insert_pristine,
    0 AS concurrency_scaling_status FROM pg_catalog.sys_query_history;
CREATE VIEW pg_catalog.stl_querytext AS
  SELECT user_id AS userid, transaction_id AS xid, session_id AS pid, query_id::int AS query, 0 AS sequence, left(query_text, 200)::char(200) AS text FROM pg_catalog.sys_query_history;
CREATE VIEW pg_catalog.svl_qlog AS
  SELECT user_id AS userid, query_id::int AS query, transaction_id AS xid, session_id AS pid, start_time AS starttime, end_time AS endtime, elapsed_time AS elapsed,
    CASE btrim(status) WHEN 'success' THEN 0 ELSE 1 END AS aborted, 'default'::char(320) AS label, left(query_text, 60)::char(60) AS substring, NULL::int AS source_query,
    NULL::text AS concurrency_scaling_status_txt, 0 AS from_sp_call FROM pg_catalog.sys_query_history;

DO $$
DECLARE
  v record;
BEGIN
  FOR v IN SELECT * FROM (VALUES
    ('stv_inflight', 'userid int, slice int, query int, label text, xid bigint, pid int, starttime timestamp, text text, suspended int, insert_pristine int, concurrency_scaling_status int'),
    ('stv_locks', 'table_id int, last_commit timestamp, last_update timestamp, lock_owner bigint, lock_owner_pid bigint, lock_owner_start_ts timestamp, lock_owner_end_ts timestamp, lock_status text'),
    ('sys_query_detail', 'user_id int, query_id bigint, child_query_sequence int, stream_id int, segment_id int, step_id int, step_name text, table_id int, table_name text, start_time timestamp, end_time timestamp, duration bigint, input_bytes bigint, output_bytes bigint, input_rows bigint, output_rows bigint'),
    ('sys_serverless_usage', 'start_time timestamp, end_time timestamp, compute_seconds float8, compute_capacity float8, data_storage bigint, cross_region_transferred_data bigint, charged_seconds bigint'),
    ('sys_session_history', 'user_id int, session_id int, database_name text, status text, session_timeout int, start_time timestamp, end_time timestamp'),
    ('sys_transaction_history', 'user_id int, transaction_id bigint, isolation_level text, status text, transaction_start_time timestamp, commit_start_time timestamp, commit_end_time timestamp, blocks_committed int, undo_start_time timestamp, undo_end_time timestamp, session_id int'),
    ('svv_interleaved_columns', 'tbl int, col int, interleaved_skew numeric(19,2), last_reindex timestamp'),
    ('svv_mv_info', 'database_name text, schema_name text, user_name text, name text, is_stale text, owner_user_name text, state int, autorefresh text, autorewrite text'),
    ('svv_vacuum_progress', 'table_name text, status text, time_remaining_estimate text'),
    ('svv_external_schemas', 'esoid oid, eskind smallint, schemaname text, esowner int, databasename text, esoptions text'),
    ('svv_external_tables', 'schemaname text, tablename text, location text, input_format text, output_format text, serialization_lib text, serde_parameters text, compressed int, parameters text, tabletype text'),
    ('svv_external_columns', 'schemaname text, tablename text, columnname text, external_type text, columnnum int, part_key int, is_nullable text'),
    ('stl_wlm_query', 'userid int, xid bigint, task int, query int, service_class int, slot_count int, queue_start_time timestamp, queue_end_time timestamp, total_queue_time bigint, exec_start_time timestamp, exec_end_time timestamp, total_exec_time bigint'),
    ('stl_vacuum', 'userid int, xid bigint, table_id int, status text, rows bigint, sortedrows int, blocks int, max_merge_partitions int, eventtime timestamp'),
    ('stl_ddltext', 'userid int, xid bigint, pid int, label text, starttime timestamp, endtime timestamp, sequence int, text text'),
    ('stl_utilitytext', 'userid int, xid bigint, pid int, label text, starttime timestamp, endtime timestamp, sequence int, text text'),
    ('stl_tr_conflict', 'xact_id bigint, process_id int, xact_start_ts timestamp, abort_time timestamp, table_id bigint'),
    ('stl_error', 'userid int, process text, recordtime timestamp, pid int, errcode int, file text, linenum int, context text, error text')) AS x(name, cols) LOOP
    EXECUTE format('CREATE TABLE rs_internal.%I (%s)', v.name, v.cols);
    EXECUTE format('CREATE VIEW pg_catalog.%I AS SELECT * FROM rs_internal.%I', v.name, v.name);
    EXECUTE format('GRANT SELECT ON pg_catalog.%I TO PUBLIC', v.name);
  END LOOP;
  FOR v IN SELECT unnest(ARRAY['svv_redshift_databases', 'svv_user_info', 'pg_user_info', 'svv_roles', 'svv_user_grants', 'svv_relation_privileges', 'svv_schema_privileges',
      'stv_recents', 'stl_query', 'stl_querytext', 'svl_qlog']) AS name LOOP
    EXECUTE format('GRANT SELECT ON pg_catalog.%I TO PUBLIC', v.name);
  END LOOP;
END $$;
