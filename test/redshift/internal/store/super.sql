-- Ways into SUPER values, and what operators and casts make of them: a value of
-- the wrong type gives NULL, or false for equality, and never an error.

CREATE FUNCTION rs_types.elements(v super) RETURNS TABLE (e super, i bigint) LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT rs_types.to_super(x.e), x.n - 1
  FROM jsonb_array_elements(CASE WHEN jsonb_typeof(rs_types.super_json(v)) = 'array' THEN rs_types.super_json(v) ELSE '[]' END) WITH ORDINALITY AS x(e, n)
$$;
CREATE FUNCTION rs_types.attributes(v super) RETURNS TABLE (k rs_types.varchar, e super) LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT x.k::rs_types.varchar, rs_types.to_super(x.e)
  FROM jsonb_each(CASE WHEN jsonb_typeof(rs_types.super_json(v)) = 'object' THEN rs_types.super_json(v) ELSE '{}' END) AS x(k, e)
$$;

-- element makes JSON of an argument of ARRAY or OBJECT.
CREATE FUNCTION rs_types.element(super) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$ SELECT rs_types.super_json($1) $$;
DO $$
DECLARE
  t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['text', 'rs_types.varchar', 'boolean', 'int', 'bigint', 'numeric', 'float8', 'date', 'timestamp', 'timestamptz'] LOOP
    EXECUTE format('CREATE FUNCTION rs_types.element(%s) RETURNS jsonb LANGUAGE sql STABLE AS %L', t,
      CASE WHEN t = 'rs_types.varchar' THEN 'SELECT to_jsonb($1::text)' ELSE 'SELECT to_jsonb($1)' END);
  END LOOP;
END $$;

CREATE FUNCTION rs_types.super_number(v super) RETURNS numeric LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT CASE WHEN jsonb_typeof(rs_types.super_json(v)) = 'number' THEN (rs_types.super_json(v) #>> '{}')::numeric END
$$;
CREATE FUNCTION rs_types.super_compare(a jsonb, b jsonb) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT CASE WHEN jsonb_typeof(a) = jsonb_typeof(b) AND jsonb_typeof(a) <> 'null' THEN jsonb_cmp(a, b) END
$$;
CREATE FUNCTION rs_types.super_ne(super, super) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT rs_types.super_json($1) <> rs_types.super_json($2) $$;
CREATE OPERATOR pg_catalog.<> (FUNCTION = rs_types.super_ne, LEFTARG = super, RIGHTARG = super, COMMUTATOR = OPERATOR(pg_catalog.<>));
DO $$
DECLARE
  t record;
  op record;
  sides record;
BEGIN
  FOR t IN SELECT * FROM (VALUES ('int', 'i4'), ('bigint', 'i8'), ('numeric', 'nu'), ('float8', 'f8'), ('text', 'te'), ('rs_types.varchar', 'vc'), ('boolean', 'bo')) AS x(typ, sfx) LOOP
    FOR sides IN SELECT * FROM (VALUES ('super', t.typ, 'l'), (t.typ, 'super', 'r')) AS y(l, r, side) LOOP
      FOR op IN SELECT * FROM (VALUES ('=', 'eq', '='), ('<>', 'ne', '<>'), ('<', 'lt', '>'), ('<=', 'le', '>='), ('>', 'gt', '<'), ('>=', 'ge', '<=')) AS z(sym, nm, com) LOOP
        EXECUTE format('CREATE FUNCTION rs_types.super_%s_%s%s(%s, %s) RETURNS boolean LANGUAGE sql STABLE STRICT AS %L', op.nm, t.sfx, sides.side, sides.l, sides.r,
          CASE WHEN op.sym IN ('=', '<>') THEN format('SELECT rs_types.element($1) %s rs_types.element($2)', op.sym)
            ELSE format('SELECT rs_types.super_compare(rs_types.element($1), rs_types.element($2)) %s 0', op.sym) END);
        EXECUTE format('CREATE OPERATOR pg_catalog.%s (FUNCTION = rs_types.super_%s_%s%s, LEFTARG = %s, RIGHTARG = %s, COMMUTATOR = OPERATOR(pg_catalog.%s))',
          op.sym, op.nm, t.sfx, sides.side, sides.l, sides.r, op.com);
      END LOOP;
      IF t.sfx IN ('i4', 'i8', 'nu', 'f8') THEN
        FOR op IN SELECT * FROM (VALUES ('+', 'add'), ('-', 'sub'), ('*', 'mul'), ('/', 'div'), ('%', 'mod')) AS z(sym, nm) LOOP
          EXECUTE format('CREATE FUNCTION rs_types.super_%s_%s%s(%s, %s) RETURNS super LANGUAGE sql IMMUTABLE STRICT AS %L', op.nm, t.sfx, sides.side, sides.l, sides.r,
            format('SELECT rs_types.num_super(%s %s %s)', CASE sides.side WHEN 'l' THEN 'rs_types.super_number($1)' ELSE '$1::numeric' END, op.sym,
              CASE sides.side WHEN 'r' THEN 'rs_types.super_number($2)' ELSE '$2::numeric' END));
          EXECUTE format('CREATE OPERATOR pg_catalog.%s (FUNCTION = rs_types.super_%s_%s%s, LEFTARG = %s, RIGHTARG = %s)', op.sym, op.nm, t.sfx, sides.side, sides.l, sides.r);
        END LOOP;
      ELSIF t.sfx IN ('te', 'vc') THEN
        EXECUTE format('CREATE FUNCTION rs_types.super_cat_%s%s(%s, %s) RETURNS rs_types.varchar LANGUAGE sql IMMUTABLE STRICT AS %L', t.sfx, sides.side, sides.l, sides.r,
          CASE sides.side WHEN 'l' THEN 'SELECT (rs_types.super_scalar($1) || $2::text)::rs_types.varchar' ELSE 'SELECT ($1::text || rs_types.super_scalar($2))::rs_types.varchar' END);
        EXECUTE format('CREATE OPERATOR pg_catalog.|| (FUNCTION = rs_types.super_cat_%s%s, LEFTARG = %s, RIGHTARG = %s)', t.sfx, sides.side, sides.l, sides.r);
      END IF;
    END LOOP;
  END LOOP;
  FOR op IN SELECT * FROM (VALUES ('+', 'add'), ('-', 'sub'), ('*', 'mul'), ('/', 'div')) AS z(sym, nm) LOOP
    EXECUTE format('CREATE FUNCTION rs_types.super_%s_su(super, super) RETURNS super LANGUAGE sql IMMUTABLE STRICT AS %L', op.nm,
      format('SELECT rs_types.num_super(rs_types.super_number($1) %s rs_types.super_number($2))', op.sym));
    EXECUTE format('CREATE OPERATOR pg_catalog.%s (FUNCTION = rs_types.super_%s_su, LEFTARG = super, RIGHTARG = super)', op.sym, op.nm);
  END LOOP;
  -- casts out of SUPER
  FOR t IN SELECT * FROM (VALUES ('smallint', 'i2'), ('int', 'i4'), ('bigint', 'i8'), ('numeric', 'nu'), ('float4', 'f4'), ('float8', 'f8'), ('boolean', 'bo'),
      ('date', 'da'), ('timestamp', 'ts'), ('timestamptz', 'tz')) AS x(typ, sfx) LOOP
    EXECUTE format('CREATE FUNCTION rs_types.super_to_%s(v super) RETURNS %s LANGUAGE plpgsql STABLE STRICT AS %L', t.sfx, t.typ,
      'BEGIN RETURN rs_types.super_scalar(v)::' || CASE WHEN t.sfx IN ('i2', 'i4', 'i8') THEN 'numeric::' ELSE '' END || t.typ || '; EXCEPTION WHEN data_exception OR numeric_value_out_of_range THEN RETURN NULL; END');
    EXECUTE format('CREATE CAST (super AS %s) WITH FUNCTION rs_types.super_to_%s(super)', t.typ, t.sfx);
  END LOOP;
END $$;

CREATE FUNCTION pg_catalog.array_concat(super, super) RETURNS super LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT rs_types.to_super(CASE WHEN is_array($1) AND is_array($2) THEN rs_types.super_json($1) || rs_types.super_json($2) END)
$$;
CREATE FUNCTION pg_catalog.subarray(super, int, int) RETURNS super LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT rs_types.to_super(coalesce(jsonb_agg(rs_types.super_json(x.e) ORDER BY x.i), '[]')) FROM rs_types.elements($1) AS x WHERE x.i >= $2 AND x.i < $2 + $3
$$;
CREATE FUNCTION pg_catalog.array_flatten(super) RETURNS super LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT rs_types.to_super(coalesce(jsonb_agg(rs_types.super_json(y.e) ORDER BY x.i, y.i), '[]')) FROM rs_types.elements($1) AS x, rs_types.elements(x.e) AS y
$$;
CREATE FUNCTION pg_catalog.split_to_array(text, text) RETURNS super LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT rs_types.to_super(to_jsonb(string_to_array($1, $2))) $$;
CREATE FUNCTION pg_catalog.split_to_array(text) RETURNS super LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT split_to_array($1, ',') $$;
CREATE FUNCTION pg_catalog.can_json_parse(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
  RETURN $1::json IS NOT NULL;
EXCEPTION WHEN OTHERS THEN
  RETURN false;
END $$;
CREATE FUNCTION pg_catalog.json_serialize_to_varbyte(super) RETURNS varbyte LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT convert_to(CASE WHEN left($1::text, 1) = E'\x01' THEN substr($1::text, 2) ELSE to_json($1::text)::text END, 'UTF8')::varbyte
$$;
CREATE FUNCTION pg_catalog.is_char(super) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT is_varchar($1) AND octet_length(rs_types.super_scalar($1)) <= 4096 $$;
CREATE FUNCTION pg_catalog.is_bigint(super) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT coalesce(rs_types.super_number($1) = trunc(rs_types.super_number($1)) AND abs(rs_types.super_number($1)) <= 9223372036854775807, false)
$$;
CREATE FUNCTION pg_catalog.is_smallint(super) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT coalesce(rs_types.super_number($1) = trunc(rs_types.super_number($1)) AND abs(rs_types.super_number($1)) <= 32767, false)
$$;
CREATE FUNCTION pg_catalog.is_decimal(super) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT rs_types.super_number($1) IS NOT NULL $$;
CREATE FUNCTION pg_catalog.is_float(super) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT rs_types.super_number($1) IS NOT NULL $$;
CREATE FUNCTION pg_catalog.decimal_precision(super) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT length(regexp_replace(rs_types.super_number($1)::text, '[^0-9]', '', 'g'))
$$;
CREATE FUNCTION pg_catalog.decimal_scale(super) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT scale(rs_types.super_number($1)) $$;
CREATE FUNCTION rs_types.cased(j jsonb, up boolean) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
  RETURN CASE jsonb_typeof(j)
    WHEN 'object' THEN (SELECT coalesce(jsonb_object_agg(CASE WHEN up THEN upper(k) ELSE lower(k) END, rs_types.cased(e, up)), '{}') FROM jsonb_each(j) AS x(k, e))
    WHEN 'array' THEN (SELECT coalesce(jsonb_agg(rs_types.cased(e, up) ORDER BY n), '[]') FROM jsonb_array_elements(j) WITH ORDINALITY AS x(e, n))
    ELSE j END;
END $$;
CREATE FUNCTION pg_catalog.lower_attribute_names(super) RETURNS super LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT rs_types.to_super(rs_types.cased(rs_types.super_json($1), false)) $$;
CREATE FUNCTION pg_catalog.upper_attribute_names(super) RETURNS super LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT rs_types.to_super(rs_types.cased(rs_types.super_json($1), true)) $$;
CREATE FUNCTION pg_catalog.json_extract_path_text(text, text, boolean) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RETURN coalesce($1::jsonb #>> ARRAY[$2], '');
EXCEPTION WHEN OTHERS THEN
  IF $3 THEN RETURN NULL; END IF;
  RAISE EXCEPTION 'JSON parsing error' USING ERRCODE = 'XX000', DETAIL = 'code: 8001';
END $$;
CREATE FUNCTION pg_catalog.json_extract_array_element_text(text, int, boolean) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RETURN $1::jsonb ->> $2;
EXCEPTION WHEN OTHERS THEN
  IF $3 THEN RETURN NULL; END IF;
  RAISE EXCEPTION 'JSON parsing error' USING ERRCODE = 'XX000', DETAIL = 'code: 8001';
END $$;
CREATE FUNCTION pg_catalog.json_array_length(text, boolean) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RETURN jsonb_array_length($1::jsonb);
EXCEPTION WHEN OTHERS THEN
  IF $2 THEN RETURN NULL; END IF;
  RAISE EXCEPTION 'JSON parsing error' USING ERRCODE = 'XX000', DETAIL = 'code: 8001';
END $$;
