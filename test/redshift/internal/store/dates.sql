-- Functions of dates and times that PostgreSQL lacks or has otherwise.

CREATE FUNCTION rs_types.part(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT CASE WHEN lower($1) IN ('dow', 'dayofweek', 'dw', 'weekday') THEN 'dow' WHEN lower($1) IN ('doy', 'dayofyear', 'dy', 'yearday') THEN 'doy'
    WHEN lower($1) IN ('c', 'cent', 'cents') THEN 'century' WHEN lower($1) IN ('dec', 'decs', 'decades') THEN 'decade' WHEN lower($1) IN ('mil', 'mils', 'millennia') THEN 'millennium'
    WHEN lower($1) IN ('yearweek') THEN 'week' ELSE coalesce(rs_types.unit($1), lower($1)) END
$$;
CREATE FUNCTION pg_catalog.rs_date_part(text, timestamp) RETURNS float8 LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT date_part(rs_types.part($1), $2) $$;
CREATE FUNCTION pg_catalog.rs_date_part(text, timestamptz) RETURNS float8 LANGUAGE sql STABLE STRICT AS $$ SELECT date_part(rs_types.part($1), $2) $$;
CREATE FUNCTION pg_catalog.rs_date_part(text, time) RETURNS float8 LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT date_part(rs_types.part($1), $2) $$;
CREATE FUNCTION pg_catalog.rs_date_part(text, timetz) RETURNS float8 LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT date_part(rs_types.part($1), $2) $$;
CREATE FUNCTION pg_catalog.rs_date_part(text, interval) RETURNS float8 LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT date_part(rs_types.part($1), $2) $$;
CREATE FUNCTION pg_catalog.rs_extract(text, timestamp) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT floor(date_part(rs_types.part($1), $2))::bigint $$;
CREATE FUNCTION pg_catalog.rs_extract(text, timestamptz) RETURNS float8 LANGUAGE sql STABLE STRICT AS $$ SELECT date_part(rs_types.part($1), $2) $$;
CREATE FUNCTION pg_catalog.rs_extract(text, time) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT floor(date_part(rs_types.part($1), $2))::bigint $$;
CREATE FUNCTION pg_catalog.rs_extract(text, timetz) RETURNS float8 LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT date_part(rs_types.part($1), $2) $$;
CREATE FUNCTION pg_catalog.rs_extract(text, interval) RETURNS float8 LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT date_part(rs_types.part($1), $2) $$;
CREATE FUNCTION pg_catalog.date_part_year(date) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT date_part('year', $1)::int $$;
CREATE FUNCTION pg_catalog.next_day(timestamp, text) RETURNS date LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
  want int := array_position(ARRAY['su', 'mo', 'tu', 'we', 'th', 'fr', 'sa'], left(lower($2), 2)) - 1;
BEGIN
  IF want IS NULL THEN RAISE EXCEPTION 'invalid day of week: %', $2 USING ERRCODE = '22023'; END IF;
  RETURN $1::date + CASE WHEN want > date_part('dow', $1)::int THEN want - date_part('dow', $1)::int ELSE want - date_part('dow', $1)::int + 7 END;
END $$;
CREATE FUNCTION pg_catalog.rs_to_date(text, text) RETURNS date LANGUAGE sql STABLE STRICT AS $$ SELECT to_date($1, $2) $$;
CREATE FUNCTION pg_catalog.rs_to_date(text, text, boolean) RETURNS date LANGUAGE sql STABLE STRICT AS $$ SELECT to_date($1, $2) $$;
CREATE FUNCTION pg_catalog.rs_to_timestamp(text, text) RETURNS timestamptz LANGUAGE sql STABLE STRICT AS $$
  SELECT CASE WHEN $2 ~* '(OF|TZ)$' THEN $1::timestamptz ELSE to_timestamp($1, $2) END
$$;
CREATE FUNCTION pg_catalog.rs_to_timestamp(text, text, boolean) RETURNS timestamptz LANGUAGE sql STABLE STRICT AS $$ SELECT rs_to_timestamp($1, $2) $$;
