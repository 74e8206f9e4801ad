-- The catalog in the form that Redshift shows. Names of the catalog in a query
-- are replaced by these; what PostgreSQL has and Redshift has not is not there.

CREATE SCHEMA rs_catalog;
GRANT USAGE ON SCHEMA rs_catalog TO PUBLIC;

-- Keys are recorded, not enforced.
CREATE TABLE rs_internal.constraints (
  rel oid NOT NULL, name text NOT NULL, kind "char" NOT NULL, cols int[] NOT NULL, ref oid, ref_cols int[], PRIMARY KEY (rel, name));
CREATE FUNCTION rs_internal.numbers(r oid, names text[]) RETURNS int[] LANGUAGE sql STABLE AS $$
  SELECT array_agg(a.attnum::int ORDER BY x.n) FROM unnest(names) WITH ORDINALITY AS x(name, n)
  JOIN pg_attribute a ON a.attrelid = r AND a.attname = x.name AND NOT a.attisdropped
$$;
-- kind is p, u or f. A foreign key must point at a key of its target.
CREATE FUNCTION rs_internal.add_constraint(r oid, wanted text, kind "char", cols text[], ref oid, ref_cols text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
#variable_conflict use_variable
DECLARE
  nums int[] := rs_internal.numbers(r, cols);
  refs int[];
  base text;
  n int := 0;
BEGIN
  IF coalesce(cardinality(nums), 0) <> cardinality(cols) THEN
    RAISE EXCEPTION 'column named in key does not exist' USING ERRCODE = '42703';
  END IF;
  IF kind = 'p' AND EXISTS (SELECT FROM rs_internal.constraints c WHERE c.rel = r AND c.kind = 'p') THEN
    RAISE EXCEPTION 'multiple primary keys for table "%" are not allowed', (SELECT relname FROM pg_class WHERE oid = r) USING ERRCODE = '42P16';
  END IF;
  IF kind = 'f' THEN
    IF ref IS NULL THEN RAISE EXCEPTION 'referenced relation does not exist' USING ERRCODE = '42P01'; END IF;
    IF cardinality(ref_cols) = 0 THEN
      SELECT c.cols INTO refs FROM rs_internal.constraints c WHERE c.rel = ref AND c.kind = 'p';
      IF refs IS NULL THEN
        RAISE EXCEPTION 'there is no primary key for referenced table "%"', (SELECT relname FROM pg_class WHERE oid = ref) USING ERRCODE = '42704';
      END IF;
    ELSE
      refs := rs_internal.numbers(ref, ref_cols);
      IF coalesce(cardinality(refs), 0) <> cardinality(ref_cols) THEN
        RAISE EXCEPTION 'column referenced in foreign key constraint does not exist' USING ERRCODE = '42703';
      END IF;
      IF NOT EXISTS (SELECT FROM rs_internal.constraints c WHERE c.rel = ref AND c.kind IN ('p', 'u') AND c.cols @> refs AND c.cols <@ refs) THEN
        RAISE EXCEPTION 'there is no unique constraint matching given keys for referenced table "%"', (SELECT relname FROM pg_class WHERE oid = ref)
          USING ERRCODE = '42830';
      END IF;
    END IF;
    IF cardinality(refs) <> cardinality(nums) THEN
      RAISE EXCEPTION 'number of referencing and referenced columns for foreign key disagree' USING ERRCODE = '42830';
    END IF;
  END IF;
  base := coalesce(nullif(wanted, ''), (SELECT relname FROM pg_class WHERE oid = r) ||
    CASE kind WHEN 'p' THEN '_pkey' WHEN 'u' THEN '_' || array_to_string(cols, '_') || '_key' ELSE '_' || array_to_string(cols, '_') || '_fkey' END);
  IF wanted <> '' AND EXISTS (SELECT FROM rs_internal.constraints c WHERE c.rel = r AND c.name = wanted) THEN
    RAISE EXCEPTION 'constraint "%" for relation "%" already exists', wanted, (SELECT relname FROM pg_class WHERE oid = r) USING ERRCODE = '42710';
  END IF;
  WHILE EXISTS (SELECT FROM rs_internal.constraints c WHERE c.rel = r AND c.name = base || CASE n WHEN 0 THEN '' ELSE n::text END) LOOP
    n := n + 1;
  END LOOP;
  INSERT INTO rs_internal.constraints VALUES (r, base || CASE n WHEN 0 THEN '' ELSE n::text END, kind, nums, ref, refs);
END $$;
CREATE FUNCTION rs_internal.drop_constraint(r oid, wanted text, cascade boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  c rs_internal.constraints;
BEGIN
  SELECT * INTO c FROM rs_internal.constraints x WHERE x.rel = r AND x.name = wanted;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'constraint "%" of relation "%" does not exist', wanted, (SELECT relname FROM pg_class WHERE oid = r) USING ERRCODE = '42704';
  END IF;
  IF c.kind <> 'f' AND EXISTS (SELECT FROM rs_internal.constraints f WHERE f.ref = r AND f.ref_cols @> c.cols AND f.ref_cols <@ c.cols) THEN
    IF NOT cascade THEN
      RAISE EXCEPTION 'cannot drop constraint % because other objects depend on it', wanted USING ERRCODE = '2BP01';
    END IF;
    DELETE FROM rs_internal.constraints f WHERE f.ref = r AND f.ref_cols @> c.cols AND f.ref_cols <@ c.cols;
  END IF;
  DELETE FROM rs_internal.constraints x WHERE x.rel = r AND x.name = wanted;
  UPDATE rs_internal.column_meta m SET
    pk = EXISTS (SELECT FROM rs_internal.constraints k WHERE k.rel = r AND k.kind = 'p' AND m.attnum = ANY (k.cols)),
    uniq = EXISTS (SELECT FROM rs_internal.constraints k WHERE k.rel = r AND k.kind = 'u' AND m.attnum = ANY (k.cols)),
    fk = EXISTS (SELECT FROM rs_internal.constraints k WHERE k.rel = r AND k.kind = 'f' AND m.attnum = ANY (k.cols)) WHERE m.rel = r;
END $$;

CREATE FUNCTION rs_internal.hidden(name) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT $1 IN ('rs_types', 'rs_internal', 'rs_catalog', 'pg_toast') OR $1 LIKE 'pg_toast%'
$$;
-- The reading of keys is left to functions: clients may not read the records.
CREATE FUNCTION rs_internal.keys() RETURNS TABLE (rel oid, name text, kind "char", cols int[], ref oid, ref_cols int[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT c.rel, rs_internal.long_name(c.name::name), c.kind, c.cols, c.ref, c.ref_cols FROM rs_internal.constraints c JOIN pg_class k ON k.oid = c.rel
$$;
CREATE FUNCTION rs_internal.dist(oid) RETURNS smallint LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT CASE (SELECT diststyle FROM rs_internal.table_meta WHERE rel = $1) WHEN 'EVEN' THEN 0 WHEN 'KEY' THEN 1 WHEN 'ALL' THEN 8 ELSE 10 END::smallint
$$;
CREATE FUNCTION rs_internal.meta(r oid, n int) RETURNS TABLE (distkey boolean, sortkey int, encoding text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT m.distkey, m.sortkey, m.encoding FROM rs_internal.column_meta m WHERE m.rel = r AND m.attnum = n
$$;
-- A type's id as clients know it.
CREATE FUNCTION rs_internal.type_id(oid) RETURNS oid LANGUAGE sql STABLE AS $$
  SELECT CASE $1 WHEN 'rs_types.varchar'::regtype THEN 1043::oid WHEN 'super'::regtype THEN 4000::oid WHEN 'varbyte'::regtype THEN 6551::oid
    WHEN 'geometry'::regtype THEN 3000::oid WHEN 'geography'::regtype THEN 3001::oid WHEN 'hllsketch'::regtype THEN 2935::oid ELSE $1 END
$$;

CREATE VIEW rs_catalog.pg_namespace AS SELECT oid, rs_internal.long_name(nspname)::name AS nspname, nspowner, nspacl FROM pg_catalog.pg_namespace WHERE NOT rs_internal.hidden(nspname);
CREATE VIEW rs_catalog.pg_class AS
  SELECT c.oid, c.relname, c.relnamespace, c.reltype, c.relowner, c.relam, c.relfilenode, c.reltablespace, c.relpages, c.reltuples, c.reltoastrelid,
    0::oid AS reltoastidxid, c.relhasindex, c.relisshared, CASE WHEN c.relkind = 'm' THEN 'v' ELSE c.relkind END AS relkind, c.relnatts, 0::oid AS relexternid,
    false AS relisreplicated, false AS relispinned, rs_internal.dist(c.oid) AS reldiststyle, 0::oid AS relprojbaseid, 0::smallint AS relchecks,
    0::smallint AS reltriggers, 0::smallint AS relukeys, 0::smallint AS relfkeys, 0::smallint AS relrefs, false AS relhasoids,
    EXISTS (SELECT FROM rs_internal.keys() k WHERE k.rel = c.oid AND k.kind = 'p') AS relhaspkey, c.relhasrules, c.relhassubclass, c.relacl
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'v', 'm') AND NOT rs_internal.hidden(n.nspname) AND NOT (n.nspname = 'pg_catalog' AND c.relname LIKE 'rs\_%');
CREATE VIEW rs_catalog.pg_attribute AS
  SELECT a.attrelid, a.attname, rs_internal.type_id(a.atttypid) AS atttypid, a.attstattarget, a.attlen, a.attnum, a.attndims, -1 AS attcacheoff,
    a.atttypmod, a.attbyval, a.attstorage, a.attalign, a.attnotnull, a.atthasdef, a.attisdropped, a.attislocal, a.attinhcount,
    coalesce(m.distkey, false) AS attisdistkey, false AS attispreloaded, coalesce(m.sortkey, 0) AS attsortkeyord, 0::smallint AS attencodingtype,
    0::smallint AS attencrypttype
  FROM pg_catalog.pg_attribute a LEFT JOIN LATERAL rs_internal.meta(a.attrelid, a.attnum) AS m ON true;
CREATE VIEW rs_catalog.pg_type AS
  SELECT rs_internal.type_id(t.oid) AS oid, t.typname, t.typnamespace, t.typowner, t.typlen, t.typbyval, t.typtype, t.typisdefined, t.typdelim, t.typrelid,
    t.typelem, t.typinput, t.typoutput, t.typreceive, t.typsend, t.typanalyze, t.typalign, t.typstorage, t.typnotnull, t.typbasetype, t.typtypmod,
    t.typndims, t.typdefault
  FROM pg_catalog.pg_type t
  WHERE t.oid IN ('bool'::regtype, 'int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype, 'float4'::regtype, 'float8'::regtype, 'bpchar'::regtype,
      'rs_types.varchar'::regtype, 'text'::regtype, 'date'::regtype, 'time'::regtype, 'timetz'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype,
      'interval'::regtype, 'super'::regtype, 'varbyte'::regtype, 'geometry'::regtype, 'geography'::regtype, 'hllsketch'::regtype, 'oid'::regtype,
      'name'::regtype, '"char"'::regtype, 'regproc'::regtype, 'regclass'::regtype, 'regtype'::regtype, 'unknown'::regtype, 'refcursor'::regtype);
CREATE VIEW rs_catalog.pg_constraint AS
  SELECT k.name::name AS conname, c.relnamespace AS connamespace, k.kind AS contype, false AS condeferrable, false AS condeferred, k.rel AS conrelid,
    0::oid AS contypid, coalesce(k.ref, 0) AS confrelid, 'a'::"char" AS confupdtype, 'a'::"char" AS confdeltype, 'u'::"char" AS confmatchtype,
    k.cols::smallint[] AS conkey, k.ref_cols::smallint[] AS confkey, NULL::text AS conbin, NULL::text AS consrc
  FROM rs_internal.keys() k JOIN pg_catalog.pg_class c ON c.oid = k.rel;
CREATE VIEW rs_catalog.pg_index AS
  SELECT indexrelid, indrelid, indkey, indclass, indnatts, indisunique, indisprimary, indisclustered FROM pg_catalog.pg_index WHERE false;
CREATE VIEW rs_catalog.pg_proc AS
  SELECT p.oid, p.proname, p.pronamespace, p.proowner, p.prolang, p.proisstrict, p.proretset, p.provolatile, p.pronargs, p.prorettype, p.proargtypes,
    p.proargnames, p.prosrc, p.proacl
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE NOT rs_internal.hidden(n.nspname) AND n.nspname <> 'pg_catalog';
CREATE VIEW rs_catalog.pg_database AS
  SELECT oid, datname, datdba, 6 AS encoding, datistemplate, datallowconn, 0::oid AS datlastsysoid, 0::int AS datvacuumxid, 0::int AS datfrozenxid,
    dattablespace, NULL::text AS datconfig, datacl FROM pg_catalog.pg_database;
CREATE VIEW rs_catalog.pg_tables AS
  SELECT schemaname, rs_internal.long_name(tablename)::text AS tablename, tableowner, tablespace, hasindexes, hasrules, hastriggers
  FROM pg_catalog.pg_tables WHERE NOT rs_internal.hidden(schemaname);
CREATE VIEW rs_catalog.pg_views AS
  SELECT schemaname, viewname, viewowner, definition FROM pg_catalog.pg_views
  WHERE NOT rs_internal.hidden(schemaname) AND NOT (schemaname = 'pg_catalog' AND viewname LIKE 'rs\_%');
CREATE VIEW rs_catalog.pg_user AS
  SELECT rolname AS usename, oid::bigint::int AS usesysid, rolcreatedb AS usecreatedb, rolsuper AS usesuper, false AS usecatupd, '********'::text AS passwd,
    rolvaliduntil::timestamp AS valuntil, rolconfig::text AS useconfig
  FROM pg_catalog.pg_roles WHERE rolcanlogin;
CREATE VIEW rs_catalog.pg_group AS
  SELECT rolname AS groname, oid::bigint::int AS grosysid, ARRAY(SELECT m.member::bigint::int FROM pg_catalog.pg_auth_members m WHERE m.roleid = r.oid) AS grolist
  FROM pg_catalog.pg_roles r WHERE NOT rolcanlogin AND rolname NOT LIKE 'pg\_%';
CREATE VIEW rs_catalog.pg_settings AS
  SELECT name, setting, context, vartype, source, min_val, max_val FROM pg_catalog.pg_settings
  WHERE name IN ('search_path', 'statement_timeout', 'DateStyle', 'TimeZone', 'extra_float_digits', 'application_name');

CREATE VIEW rs_catalog.is_columns AS SELECT * FROM rs_internal.is_columns;
CREATE VIEW rs_catalog.is_tables AS
  SELECT table_catalog, table_schema, table_name, table_type, NULL::text AS self_referencing_column_name, NULL::text AS reference_generation,
    NULL::text AS user_defined_type_catalog, NULL::text AS user_defined_type_schema, NULL::text AS user_defined_name FROM rs_internal.tables;
CREATE VIEW rs_catalog.is_schemata AS
  SELECT current_database()::text AS catalog_name, nspname::text AS schema_name, pg_get_userbyid(nspowner)::text AS schema_owner
  FROM pg_catalog.pg_namespace WHERE NOT rs_internal.hidden(nspname) AND nspname NOT LIKE 'pg\_temp%';
CREATE VIEW rs_catalog.is_views AS
  SELECT current_database()::text AS table_catalog, schemaname::text AS table_schema, viewname::text AS table_name, definition AS view_definition,
    'NONE'::text AS check_option, 'NO'::text AS is_updatable, 'NO'::text AS is_insertable_into
  FROM rs_catalog.pg_views WHERE schemaname NOT IN ('pg_catalog', 'information_schema');
CREATE VIEW rs_catalog.is_table_constraints AS
  SELECT current_database()::text AS constraint_catalog, n.nspname::text AS constraint_schema, k.name AS constraint_name, current_database()::text AS table_catalog,
    n.nspname::text AS table_schema, rs_internal.long_name(c.relname) AS table_name,
    CASE k.kind WHEN 'p' THEN 'PRIMARY KEY' WHEN 'u' THEN 'UNIQUE' ELSE 'FOREIGN KEY' END AS constraint_type, 'NO'::text AS is_deferrable, 'NO'::text AS initially_deferred
  FROM rs_internal.keys() k JOIN pg_catalog.pg_class c ON c.oid = k.rel JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace;
CREATE VIEW rs_catalog.is_key_column_usage AS
  SELECT current_database()::text AS constraint_catalog, n.nspname::text AS constraint_schema, k.name AS constraint_name, current_database()::text AS table_catalog,
    n.nspname::text AS table_schema, rs_internal.long_name(c.relname) AS table_name, rs_internal.long_name(a.attname) AS column_name, x.n::int AS ordinal_position
  FROM rs_internal.keys() k JOIN pg_catalog.pg_class c ON c.oid = k.rel JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  CROSS JOIN LATERAL unnest(k.cols) WITH ORDINALITY AS x(num, n) JOIN pg_catalog.pg_attribute a ON a.attrelid = k.rel AND a.attnum = x.num;
CREATE VIEW rs_catalog.is_constraint_column_usage AS
  SELECT current_database()::text AS table_catalog, n.nspname::text AS table_schema, rs_internal.long_name(c.relname) AS table_name,
    rs_internal.long_name(a.attname) AS column_name, current_database()::text AS constraint_catalog, n.nspname::text AS constraint_schema, k.name AS constraint_name
  FROM rs_internal.keys() k JOIN pg_catalog.pg_class c ON c.oid = coalesce(k.ref, k.rel) JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  CROSS JOIN LATERAL unnest(CASE WHEN k.kind = 'f' THEN k.ref_cols ELSE k.cols END) AS x(num) JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = x.num;
CREATE VIEW rs_catalog.is_referential_constraints AS
  SELECT current_database()::text AS constraint_catalog, n.nspname::text AS constraint_schema, k.name AS constraint_name, current_database()::text AS unique_constraint_catalog,
    m.nspname::text AS unique_constraint_schema, (SELECT u.name FROM rs_internal.keys() u WHERE u.rel = k.ref AND u.kind <> 'f' AND u.cols @> k.ref_cols AND u.cols <@ k.ref_cols LIMIT 1) AS unique_constraint_name,
    'NONE'::text AS match_option, 'NO ACTION'::text AS update_rule, 'NO ACTION'::text AS delete_rule
  FROM rs_internal.keys() k JOIN pg_catalog.pg_class c ON c.oid = k.rel JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_class d ON d.oid = k.ref JOIN pg_catalog.pg_namespace m ON m.oid = d.relnamespace WHERE k.kind = 'f';

-- What the SHOW commands and ANALYZE COMPRESSION answer.
CREATE FUNCTION pg_catalog.rs_show_databases() RETURNS TABLE (database_name text, database_owner int, database_type text, database_acl text, parameters text, database_isolation_level text)
LANGUAGE sql STABLE AS $$
  SELECT datname::text, datdba::bigint::int, 'local'::text, NULL::text, NULL::text, 'Snapshot Isolation'::text FROM pg_catalog.pg_database WHERE datname = current_database()
$$;
CREATE FUNCTION pg_catalog.rs_show_schemas() RETURNS TABLE (database_name text, schema_name text, schema_owner int, schema_type text, schema_acl text, source_database text, schema_option text)
LANGUAGE sql STABLE AS $$
  SELECT database_name, schema_name, schema_owner, schema_type, schema_acl, NULL::text, schema_option FROM pg_catalog.svv_redshift_schemas ORDER BY 2
$$;
CREATE FUNCTION pg_catalog.rs_show_tables(s text) RETURNS TABLE (database_name text, schema_name text, table_name text, table_type text, table_acl text, remarks text)
LANGUAGE sql STABLE AS $$
  SELECT database_name, schema_name, table_name, table_type, table_acl, remarks FROM pg_catalog.svv_redshift_tables WHERE schema_name = s ORDER BY 3
$$;
CREATE FUNCTION pg_catalog.rs_show_columns(r text) RETURNS TABLE (database_name text, schema_name text, table_name text, column_name text, ordinal_position int,
  column_default text, is_nullable text, data_type text, character_maximum_length int, numeric_precision int, numeric_scale int, remarks text)
LANGUAGE sql STABLE SECURITY DEFINER AS $$
  SELECT current_database()::text, c.table_schema, c.table_name, c.column_name, c.attnum, c.column_default, CASE WHEN c.attnotnull THEN 'NO' ELSE 'YES' END,
    c.base_type, c.char_len, c.num_prec, c.num_scale, NULL::text FROM rs_internal.columns c WHERE c.rel = r::regclass ORDER BY c.attnum
$$;
CREATE FUNCTION pg_catalog.rs_show_table(r text) RETURNS TABLE ("Show Table DDL statement" text) LANGUAGE sql STABLE SECURITY DEFINER AS $$
  SELECT 'CREATE TABLE ' || min(c.table_schema) || '.' || min(c.table_name) || E' (\n' ||
    string_agg('    ' || c.column_name || ' ' || c.full_type || CASE WHEN c.attnotnull THEN ' NOT NULL' ELSE '' END || coalesce(' DEFAULT ' || c.column_default, '') || coalesce(' ENCODE ' || m.encoding, '') ||
      CASE WHEN m.distkey THEN ' distkey' ELSE '' END, E',\n' ORDER BY c.attnum) || E'\n)\nDISTSTYLE ' || coalesce(min(t.diststyle), 'AUTO') || ';'
  FROM rs_internal.columns c LEFT JOIN rs_internal.column_meta m ON m.rel = c.rel AND m.attnum = c.attnum LEFT JOIN rs_internal.table_meta t ON t.rel = c.rel
  WHERE c.rel = r::regclass
$$;
CREATE FUNCTION pg_catalog.rs_show_view(r text) RETURNS TABLE ("Show View DDL statement" text) LANGUAGE sql STABLE AS $$ SELECT pg_get_viewdef(r::regclass) $$;
CREATE FUNCTION pg_catalog.rs_compression(r text) RETURNS TABLE ("Table" text, "Column" text, "Encoding" text, "Est_reduction_pct" text)
LANGUAGE sql STABLE SECURITY DEFINER AS $$
  SELECT c.table_name, c.column_name, CASE WHEN c.base_type ~ '^(char|text)' THEN 'zstd' WHEN c.base_type IN ('boolean', 'real', 'double precision') THEN 'raw' ELSE 'az64' END, '0.00'
  FROM rs_internal.columns c WHERE r = '""' OR c.rel = to_regclass(nullif(r, '""')) ORDER BY 1, c.attnum
$$;

DO $$
DECLARE
  v text;
BEGIN
  FOR v IN SELECT c.relname FROM pg_catalog.pg_class c WHERE c.relnamespace = 'rs_catalog'::regnamespace LOOP
    EXECUTE format('GRANT SELECT ON rs_catalog.%I TO PUBLIC', v);
  END LOOP;
END $$;
