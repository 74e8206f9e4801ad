-- Functions that Redshift has and PostgreSQL lacks. They live in pg_catalog,
-- where every search_path finds them.

SET LOCAL check_function_bodies = off;

CREATE FUNCTION pg_catalog.getdate() RETURNS timestamp LANGUAGE sql STABLE AS $$ SELECT date_trunc('second', statement_timestamp() AT TIME ZONE 'UTC') $$;
CREATE FUNCTION pg_catalog.rs_sysdate() RETURNS timestamp LANGUAGE sql STABLE AS $$ SELECT now() AT TIME ZONE 'UTC' $$;
CREATE FUNCTION pg_catalog.rs_version() RETURNS text LANGUAGE sql STABLE AS $$ SELECT 'PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC gcc (GCC) 3.4.2 20041017 (Red Hat 3.4.2-6.fc3), Redshift 1.0.187211'::text $$;
CREATE FUNCTION pg_catalog.is_large_string_enabled() RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT false $$;
CREATE FUNCTION pg_catalog.pg_last_copy_count() RETURNS bigint LANGUAGE sql VOLATILE AS $$ SELECT coalesce(nullif(current_setting('rs.last_copy_count', true), ''), '0')::bigint $$;
CREATE FUNCTION pg_catalog.pg_last_copy_id() RETURNS bigint LANGUAGE sql VOLATILE AS $$ SELECT coalesce(nullif(current_setting('rs.last_copy_id', true), ''), '-1')::bigint $$;
CREATE FUNCTION pg_catalog.pg_last_unload_count() RETURNS bigint LANGUAGE sql VOLATILE AS $$ SELECT coalesce(nullif(current_setting('rs.last_unload_count', true), ''), '0')::bigint $$;
CREATE FUNCTION pg_catalog.pg_last_unload_id() RETURNS bigint LANGUAGE sql VOLATILE AS $$ SELECT coalesce(nullif(current_setting('rs.last_unload_id', true), ''), '-1')::bigint $$;
CREATE FUNCTION pg_catalog.slice_num() RETURNS int LANGUAGE sql STABLE AS $$ SELECT 0 $$;
CREATE FUNCTION pg_catalog.default_iam_role() RETURNS text LANGUAGE sql STABLE AS $$ SELECT 'arn:aws:iam::123456789012:role/default'::text $$;
CREATE FUNCTION pg_catalog.current_aws_account() RETURNS text LANGUAGE sql STABLE AS $$ SELECT '123456789012'::text $$;
CREATE FUNCTION pg_catalog.current_namespace() RETURNS text LANGUAGE sql STABLE AS $$ SELECT '00000000-0000-0000-0000-000000000000'::text $$;
CREATE FUNCTION pg_catalog.has_assumerole_privilege(text, text, text) RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT true $$;
CREATE FUNCTION pg_catalog.db_collation() RETURNS text LANGUAGE sql STABLE AS $$ SELECT coalesce(nullif(current_setting('rs.db_collation', true), ''), 'case_sensitive') $$;
CREATE FUNCTION pg_catalog.user_is_member_of(text, text) RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT pg_has_role($1::name, $2::name, 'MEMBER') $$;
CREATE FUNCTION pg_catalog.role_is_member_of(text, text) RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT pg_has_role($1::name, $2::name, 'MEMBER') $$;
-- Parameters that the server in front keeps are handed over as rs.setting_….
CREATE FUNCTION pg_catalog.rs_current_setting(text) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT coalesce(nullif(current_setting('rs.setting_' || lower($1), true), ''), current_setting($1, true), 'off')
$$;
CREATE FUNCTION pg_catalog.pg_last_query_id() RETURNS bigint LANGUAGE sql VOLATILE AS $$ SELECT coalesce(nullif(current_setting('rs.last_query_id', true), ''), '-1')::bigint $$;
CREATE FUNCTION pg_catalog.current_user_id() RETURNS int LANGUAGE sql STABLE AS $$ SELECT oid::bigint::int FROM pg_roles WHERE rolname = current_user $$;

CREATE FUNCTION pg_catalog.len(text) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT char_length($1) $$;
CREATE FUNCTION pg_catalog.len(bpchar) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT char_length($1) $$;
CREATE FUNCTION pg_catalog.len(varbyte) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT length($1::bytea) $$;
CREATE FUNCTION pg_catalog.length(varbyte) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT length($1::bytea) $$;
CREATE FUNCTION pg_catalog.octet_length(varbyte) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT length($1::bytea) $$;
CREATE FUNCTION pg_catalog.charindex(text, text) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT strpos($2, $1) $$;
CREATE FUNCTION pg_catalog.replicate(text, int) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT repeat($1, $2) $$;

CREATE FUNCTION pg_catalog.strtol(text, int) RETURNS bigint LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
  s text := lower(btrim($1)); neg boolean := false; d int; r numeric := 0; i int;
BEGIN
  IF $2 < 2 OR $2 > 36 THEN RAISE EXCEPTION 'base % is not allowed: base must be between 2 and 36', $2 USING ERRCODE = '22023'; END IF;
  IF left(s, 1) IN ('-', '+') THEN neg := left(s, 1) = '-'; s := substr(s, 2); END IF;
  IF $2 = 16 AND left(s, 2) = '0x' THEN s := substr(s, 3); END IF;
  FOR i IN 1..length(s) LOOP
    d := strpos('0123456789abcdefghijklmnopqrstuvwxyz', substr(s, i, 1)) - 1;
    IF d < 0 OR d >= $2 THEN RAISE EXCEPTION 'The input % is not valid to be converted to base %', $1, $2 USING ERRCODE = '22023'; END IF;
    r := r * $2 + d;
  END LOOP;
  IF neg THEN r := -r; END IF;
  RETURN r::bigint;
END $$;
CREATE FUNCTION pg_catalog.sha2(text, int) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT CASE $2 WHEN 0 THEN encode(sha256(convert_to($1, 'UTF8')), 'hex') WHEN 256 THEN encode(sha256(convert_to($1, 'UTF8')), 'hex')
    WHEN 224 THEN encode(sha224(convert_to($1, 'UTF8')), 'hex') WHEN 384 THEN encode(sha384(convert_to($1, 'UTF8')), 'hex')
    WHEN 512 THEN encode(sha512(convert_to($1, 'UTF8')), 'hex') END
$$;
CREATE FUNCTION pg_catalog.sha2(varbyte, int) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT CASE $2 WHEN 0 THEN encode(sha256($1::bytea), 'hex') WHEN 256 THEN encode(sha256($1::bytea), 'hex')
    WHEN 512 THEN encode(sha512($1::bytea), 'hex') END
$$;
CREATE FUNCTION pg_catalog.md5(varbyte) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT md5($1::bytea) $$;
CREATE FUNCTION pg_catalog.to_varbyte(text, text) RETURNS varbyte LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
  IF lower($2) IN ('hex') THEN
    RETURN decode($1, 'hex')::varbyte;
  ELSIF lower($2) IN ('utf8', 'utf-8') THEN
    RETURN convert_to($1, 'UTF8')::varbyte;
  ELSIF lower($2) = 'base64' THEN
    RETURN decode($1, 'base64')::varbyte;
  END IF;
  RAISE EXCEPTION 'to_varbyte: format % is not supported', $2 USING ERRCODE = '22023';
END $$;
CREATE FUNCTION pg_catalog.from_varbyte(varbyte, text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
  IF lower($2) = 'hex' THEN
    RETURN rs_types.fits(encode($1::bytea, 'hex'));
  ELSIF lower($2) IN ('utf8', 'utf-8') THEN
    RETURN convert_from($1::bytea, 'UTF8');
  ELSIF lower($2) = 'base64' THEN
    RETURN encode($1::bytea, 'base64');
  END IF;
  RAISE EXCEPTION 'from_varbyte: format % is not supported', $2 USING ERRCODE = '22023';
END $$;
CREATE FUNCTION pg_catalog.to_hex(varbyte) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT rs_types.fits(encode($1::bytea, 'hex')) $$;
-- How much of a join's 64 KB a value takes.
CREATE FUNCTION rs_types.bytes(varbyte) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT octet_length($1::bytea) $$;
CREATE FUNCTION rs_types.bytes(super) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT octet_length($1::text) $$;
CREATE FUNCTION pg_catalog.from_hex(text) RETURNS varbyte LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT decode($1, 'hex')::varbyte $$;

CREATE FUNCTION rs_types.unit(text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
  RETURN CASE
    WHEN lower($1) IN ('year', 'years', 'yr', 'yrs', 'y') THEN 'year' WHEN lower($1) IN ('quarter', 'quarters', 'qtr', 'qtrs') THEN 'quarter'
    WHEN lower($1) IN ('month', 'months', 'mon', 'mons') THEN 'month' WHEN lower($1) IN ('week', 'weeks', 'w') THEN 'week'
    WHEN lower($1) IN ('day', 'days', 'd') THEN 'day' WHEN lower($1) IN ('hour', 'hours', 'hr', 'hrs', 'h') THEN 'hour'
    WHEN lower($1) IN ('minute', 'minutes', 'min', 'mins', 'm') THEN 'minute' WHEN lower($1) IN ('second', 'seconds', 'sec', 'secs', 's') THEN 'second'
    WHEN lower($1) IN ('millisecond', 'milliseconds', 'ms', 'msec', 'msecs', 'msecond', 'mseconds') THEN 'millisecond'
    WHEN lower($1) IN ('microsecond', 'microseconds', 'us', 'usec', 'usecs', 'usecond', 'useconds') THEN 'microsecond' END;
END $$;
CREATE FUNCTION pg_catalog.dateadd(text, bigint, timestamp) RETURNS timestamp LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT CASE rs_types.unit($1)
    WHEN 'year' THEN $3 + make_interval(years => $2::int) WHEN 'quarter' THEN $3 + make_interval(months => 3 * $2::int)
    WHEN 'month' THEN $3 + make_interval(months => $2::int) WHEN 'week' THEN $3 + make_interval(weeks => $2::int)
    WHEN 'day' THEN $3 + make_interval(days => $2::int) WHEN 'hour' THEN $3 + $2 * interval '1 hour'
    WHEN 'minute' THEN $3 + $2 * interval '1 minute' WHEN 'second' THEN $3 + $2 * interval '1 second'
    WHEN 'millisecond' THEN $3 + $2 * interval '1 millisecond' WHEN 'microsecond' THEN $3 + $2 * interval '1 microsecond' END
$$;
CREATE FUNCTION pg_catalog.dateadd(text, bigint, timestamptz) RETURNS timestamptz LANGUAGE sql STABLE STRICT AS $$
  SELECT dateadd($1, $2, $3 AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
$$;
CREATE FUNCTION pg_catalog.datediff(text, timestamp, timestamp) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT CASE rs_types.unit($1)
    WHEN 'year' THEN (extract(year FROM $3) - extract(year FROM $2))::bigint
    WHEN 'quarter' THEN ((extract(year FROM $3) - extract(year FROM $2)) * 4 + extract(quarter FROM $3) - extract(quarter FROM $2))::bigint
    WHEN 'month' THEN ((extract(year FROM $3) - extract(year FROM $2)) * 12 + extract(month FROM $3) - extract(month FROM $2))::bigint
    WHEN 'week' THEN ((date_trunc('week', $3)::date - date_trunc('week', $2)::date) / 7)::bigint
    WHEN 'day' THEN ($3::date - $2::date)::bigint
    WHEN 'microsecond' THEN (extract(epoch FROM $3 - $2) * 1000000)::bigint
    ELSE trunc(extract(epoch FROM date_trunc(rs_types.unit($1), $3) - date_trunc(rs_types.unit($1), $2))
      / CASE rs_types.unit($1) WHEN 'hour' THEN 3600 WHEN 'minute' THEN 60 WHEN 'second' THEN 1 WHEN 'millisecond' THEN 0.001 END)::bigint END
$$;
CREATE FUNCTION pg_catalog.datediff(text, timestamptz, timestamptz) RETURNS bigint LANGUAGE sql STABLE STRICT AS $$
  SELECT datediff($1, $2 AT TIME ZONE 'UTC', $3 AT TIME ZONE 'UTC')
$$;
CREATE FUNCTION pg_catalog.add_months(timestamp, bigint) RETURNS timestamp LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT CASE WHEN $1::date = (date_trunc('month', $1) + interval '1 month - 1 day')::date
    THEN date_trunc('month', $1 + make_interval(months => $2::int)) + interval '1 month - 1 day' + $1::time::interval
    ELSE $1 + make_interval(months => $2::int) END
$$;
CREATE FUNCTION pg_catalog.last_day(timestamp) RETURNS date LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT (date_trunc('month', $1) + interval '1 month - 1 day')::date $$;
CREATE FUNCTION pg_catalog.months_between(timestamp, timestamp) RETURNS float8 LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT ((extract(year FROM $1) - extract(year FROM $2)) * 12 + extract(month FROM $1) - extract(month FROM $2) + (extract(day FROM $1) - extract(day FROM $2)) / 31)::float8
$$;
CREATE FUNCTION pg_catalog.trunc(timestamp) RETURNS date LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT $1::date $$;
CREATE FUNCTION pg_catalog.convert_timezone(text, timestamp) RETURNS timestamp LANGUAGE sql STABLE STRICT AS $$ SELECT ($2 AT TIME ZONE 'UTC') AT TIME ZONE $1 $$;
CREATE FUNCTION pg_catalog.convert_timezone(text, text, timestamp) RETURNS timestamp LANGUAGE sql STABLE STRICT AS $$ SELECT ($3 AT TIME ZONE $1) AT TIME ZONE $2 $$;

CREATE FUNCTION pg_catalog.json_parse(text) RETURNS super LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
  ok json;
BEGIN
  IF octet_length($1) > 16777216 THEN
    RAISE EXCEPTION 'JSON parsing error: value exceeds the max size of 16777216 bytes' USING ERRCODE = 'XX000';
  END IF;
  BEGIN
    ok := $1::json;
  EXCEPTION WHEN OTHERS THEN
    RAISE EXCEPTION 'JSON parsing error' USING ERRCODE = 'XX000', DETAIL = 'The input is not valid JSON.';
  END;
  IF octet_length($1) > 65535 AND EXISTS (
      SELECT FROM jsonb_path_query($1::jsonb, 'strict $.** ? (@.type() == "string")') AS s(v) WHERE octet_length(v #>> '{}') > 65535) THEN
    RAISE EXCEPTION 'String value exceeds the max size of 65535 bytes' USING ERRCODE = 'XX000', DETAIL = 'code: 8001';
  END IF;
  RETURN (E'\x01' || $1)::super;
END $$;
CREATE FUNCTION pg_catalog.json_serialize(super) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
  v text := CASE WHEN left($1::text, 1) = E'\x01' THEN substr($1::text, 2) ELSE to_json($1::text)::text END;
BEGIN
  v := regexp_replace(v, E'("(?:[^"\\\\]|\\\\.)*")|[[:space:]]+', E'\\1', 'g'); -- no blanks outside of strings
  IF octet_length(v) > 65535 THEN
    RAISE EXCEPTION 'String value exceeds the max size of 65535 bytes' USING ERRCODE = 'XX000', DETAIL = 'code: 8001';
  END IF;
  RETURN v;
END $$;
CREATE FUNCTION pg_catalog.json_typeof(super) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT jsonb_typeof(rs_types.super_json($1)) $$;
CREATE FUNCTION pg_catalog.json_size(super) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT octet_length($1::text)::bigint $$;
CREATE FUNCTION pg_catalog.is_object(super) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT jsonb_typeof(rs_types.super_json($1)) = 'object' $$;
CREATE FUNCTION pg_catalog.is_array(super) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT jsonb_typeof(rs_types.super_json($1)) = 'array' $$;
CREATE FUNCTION pg_catalog.is_scalar(super) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT jsonb_typeof(rs_types.super_json($1)) NOT IN ('array', 'object') $$;
CREATE FUNCTION pg_catalog.is_varchar(super) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT jsonb_typeof(rs_types.super_json($1)) = 'string' $$;
CREATE FUNCTION pg_catalog.is_boolean(super) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT jsonb_typeof(rs_types.super_json($1)) = 'boolean' $$;
CREATE FUNCTION pg_catalog.is_integer(super) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT jsonb_typeof(rs_types.super_json($1)) = 'number' AND rs_types.super_scalar($1) ~ '^-?[0-9]+$' $$;
CREATE FUNCTION pg_catalog.get_array_length(super) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT CASE WHEN is_array($1) THEN jsonb_array_length(rs_types.super_json($1)) END::bigint $$;
CREATE FUNCTION pg_catalog.rs_super_get(super, text) RETURNS super LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT rs_types.to_super(CASE WHEN is_object($1) THEN rs_types.super_json($1) -> $2 END) $$;
CREATE FUNCTION pg_catalog.rs_super_get(super, int) RETURNS super LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT rs_types.to_super(CASE WHEN is_array($1) THEN rs_types.super_json($1) -> $2 END) $$;
CREATE FUNCTION pg_catalog.is_valid_json(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
  RETURN jsonb_typeof($1::jsonb) = 'object';
EXCEPTION WHEN OTHERS THEN
  RETURN false;
END $$;
CREATE FUNCTION pg_catalog.is_valid_json_array(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
  RETURN jsonb_typeof($1::jsonb) = 'array';
EXCEPTION WHEN OTHERS THEN
  RETURN false;
END $$;
CREATE FUNCTION pg_catalog.json_extract_path_text(text, VARIADIC text[]) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT coalesce($1::jsonb #>> $2, '') $$;
CREATE FUNCTION pg_catalog.json_array_length(text) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT jsonb_array_length($1::jsonb) $$;
CREATE FUNCTION pg_catalog.json_extract_array_element_text(text, int) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT $1::jsonb ->> $2 $$;

CREATE FUNCTION pg_catalog.rs_format_type(oid, int) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN $1 = 'rs_types.varchar'::regtype THEN 'character varying' || CASE WHEN $2 > 4 THEN '(' || $2 - 4 || ')' ELSE '' END
    WHEN $1 IN ('varbyte'::regtype, 6551) THEN 'binary varying' || CASE WHEN $2 > 0 THEN '(' || $2 || ')' ELSE '' END
    WHEN $1 = 4000 THEN 'super'
    ELSE format_type($1, $2) END
$$;
CREATE FUNCTION pg_catalog.rs_terminate_backend(pid int) RETURNS boolean LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT EXISTS (SELECT FROM rs_internal.sessions s WHERE s.pid = $1 AND
      (s.username = session_user OR (SELECT rolsuper FROM pg_roles WHERE rolname = session_user))) AND pg_terminate_backend($1)
$$;
CREATE FUNCTION pg_catalog.rs_cancel_backend(pid int) RETURNS boolean LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT EXISTS (SELECT FROM rs_internal.sessions s WHERE s.pid = $1 AND
      (s.username = session_user OR (SELECT rolsuper FROM pg_roles WHERE rolname = session_user))) AND pg_cancel_backend($1)
$$;
