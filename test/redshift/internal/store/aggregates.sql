-- Aggregates and window functions that PostgreSQL lacks.

CREATE FUNCTION rs_types.first_of(anyelement, anyelement) RETURNS anyelement LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT $1 $$;
CREATE FUNCTION rs_types.last_of(anyelement, anyelement) RETURNS anyelement LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT $2 $$;
CREATE AGGREGATE pg_catalog.any_value(anyelement) (SFUNC = rs_types.first_of, STYPE = anyelement);
CREATE AGGREGATE rs_types.ignore_first_value(anyelement) (SFUNC = rs_types.first_of, STYPE = anyelement);
CREATE AGGREGATE rs_types.ignore_last_value(anyelement) (SFUNC = rs_types.last_of, STYPE = anyelement);

-- The values of a frame that are not NULL, in order and the other way round.
CREATE FUNCTION rs_types.add_value(anycompatiblearray, anycompatible) RETURNS anycompatiblearray LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN $2 IS NULL THEN $1 ELSE array_append($1, $2) END
$$;
CREATE FUNCTION rs_types.push_value(anycompatiblearray, anycompatible) RETURNS anycompatiblearray LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN $2 IS NULL THEN $1 ELSE array_prepend($2, $1) END
$$;
CREATE AGGREGATE rs_types.values_of(anycompatible) (SFUNC = rs_types.add_value, STYPE = anycompatiblearray, INITCOND = '{}');
CREATE AGGREGATE rs_types.values_back(anycompatible) (SFUNC = rs_types.push_value, STYPE = anycompatiblearray, INITCOND = '{}');

-- Percentiles as window functions; the state's first element is the fraction.
CREATE FUNCTION rs_types.percentile_add(state float8[], v float8, p float8) RETURNS float8[] LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN v IS NULL THEN coalesce(state, ARRAY[p]) ELSE coalesce(state, ARRAY[p]) || v END
$$;
CREATE FUNCTION rs_types.percentile_cont_end(state float8[]) RETURNS float8 LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT percentile_cont(state[1]) WITHIN GROUP (ORDER BY x) FROM unnest(state[2:]) AS x
$$;
CREATE FUNCTION rs_types.percentile_disc_end(state float8[]) RETURNS float8 LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT percentile_disc(state[1]) WITHIN GROUP (ORDER BY x) FROM unnest(state[2:]) AS x
$$;
CREATE AGGREGATE rs_types.percentile_cont(float8, float8) (SFUNC = rs_types.percentile_add, STYPE = float8[], FINALFUNC = rs_types.percentile_cont_end);
CREATE AGGREGATE rs_types.percentile_disc(float8, float8) (SFUNC = rs_types.percentile_add, STYPE = float8[], FINALFUNC = rs_types.percentile_disc_end);

CREATE FUNCTION rs_types.try_cast(v text, typ text) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
  out text;
BEGIN
  EXECUTE 'SELECT ($1::' || typ || ')::text' INTO out USING v;
  RETURN out;
EXCEPTION WHEN data_exception THEN
  RETURN NULL;
END $$;
