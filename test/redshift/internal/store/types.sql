-- The types that Redshift has and PostgreSQL lacks, or has with other rules.
-- Run once per database, by a superuser, in one transaction.

CREATE SCHEMA rs_types;
CREATE SCHEMA rs_internal;
GRANT USAGE ON SCHEMA rs_types, rs_internal TO PUBLIC;
GRANT CREATE, USAGE ON SCHEMA public TO PUBLIC;

-- VARCHAR: text whose comparisons ignore trailing blanks. The functions are
-- those of bpchar, whose values have the same layout.
CREATE TYPE rs_types.varchar;
CREATE FUNCTION rs_types.varchar_in(cstring) RETURNS rs_types.varchar LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'textin';
CREATE FUNCTION rs_types.varchar_out(rs_types.varchar) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'textout';
CREATE FUNCTION rs_types.varchar_recv(internal) RETURNS rs_types.varchar LANGUAGE internal STABLE STRICT PARALLEL SAFE AS 'textrecv';
CREATE FUNCTION rs_types.varchar_send(rs_types.varchar) RETURNS bytea LANGUAGE internal STABLE STRICT PARALLEL SAFE AS 'textsend';
CREATE TYPE rs_types.varchar (
    INPUT = rs_types.varchar_in, OUTPUT = rs_types.varchar_out,
    RECEIVE = rs_types.varchar_recv, SEND = rs_types.varchar_send,
    TYPMOD_IN = varchartypmodin, TYPMOD_OUT = varchartypmodout,
    INTERNALLENGTH = variable, STORAGE = extended, CATEGORY = 'S', PREFERRED = false, COLLATABLE = true);

CREATE FUNCTION rs_types.too_long(n int) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RAISE EXCEPTION 'value too long for type character varying(%)', n USING ERRCODE = '22001';
END $$;

-- Cuts at n bytes, never inside a character.
CREATE FUNCTION rs_types.cut(v text, n int) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
  b bytea := convert_to(v, 'UTF8');
BEGIN
  WHILE n > 0 AND n < length(b) AND (get_byte(b, n) & 192) = 128 LOOP
    n := n - 1;
  END LOOP;
  RETURN convert_from(substring(b FROM 1 FOR n), 'UTF8');
END $$;

CREATE CAST (rs_types.varchar AS text) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (text AS rs_types.varchar) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (rs_types.varchar AS pg_catalog.varchar) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (pg_catalog.varchar AS rs_types.varchar) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (rs_types.varchar AS bpchar) WITH INOUT AS ASSIGNMENT;
CREATE CAST (bpchar AS rs_types.varchar) WITH INOUT AS IMPLICIT;
CREATE CAST (name AS rs_types.varchar) WITH INOUT AS IMPLICIT;
CREATE CAST (rs_types.varchar AS regclass) WITH INOUT AS IMPLICIT;

-- Length: bytes; blanks beyond it are cut silently, explicit casts cut anything.
CREATE FUNCTION rs_types.varchar_len(v rs_types.varchar, typmod int, explicit boolean) RETURNS rs_types.varchar
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT CASE
    WHEN typmod < 4 OR octet_length(v::text) <= typmod - 4 THEN v
    WHEN explicit OR octet_length(rtrim(v::text, ' ')) <= typmod - 4 THEN rs_types.cut(v::text, typmod - 4)::rs_types.varchar
    ELSE rs_types.too_long(typmod - 4)::rs_types.varchar
  END
$$;
CREATE CAST (rs_types.varchar AS rs_types.varchar) WITH FUNCTION rs_types.varchar_len(rs_types.varchar, int, boolean) AS IMPLICIT;

-- For years this cast was refused with 42846; what it gives today is unsettled.
CREATE FUNCTION rs_types.no_bool(v boolean) RETURNS rs_types.varchar LANGUAGE plpgsql STABLE AS $$
BEGIN
  RAISE EXCEPTION 'cannot cast type boolean to character varying' USING ERRCODE = '42846';
END $$;
CREATE CAST (boolean AS rs_types.varchar) WITH FUNCTION rs_types.no_bool(boolean);

DO $$
DECLARE
  t record;
  op record;
BEGIN
  FOR t IN SELECT * FROM (VALUES
      ('rs_types.varchar', 'rs_types.varchar', 'vv'), ('rs_types.varchar', 'text', 'vt'), ('text', 'rs_types.varchar', 'tv'),
      ('rs_types.varchar', 'bpchar', 'vb'), ('bpchar', 'rs_types.varchar', 'bv'),
      ('rs_types.varchar', 'name', 'vn'), ('name', 'rs_types.varchar', 'nv')) AS x(l, r, sfx) LOOP
    FOR op IN SELECT * FROM (VALUES
        ('=', 'bpchareq', '=', '<>', 'eqsel', 'eqjoinsel'), ('<>', 'bpcharne', '<>', '=', 'neqsel', 'neqjoinsel'),
        ('<', 'bpcharlt', '>', '>=', 'scalarltsel', 'scalarltjoinsel'), ('<=', 'bpcharle', '>=', '>', 'scalarlesel', 'scalarlejoinsel'),
        ('>', 'bpchargt', '<', '<=', 'scalargtsel', 'scalargtjoinsel'), ('>=', 'bpcharge', '<=', '<', 'scalargesel', 'scalargejoinsel'))
        AS y(sym, fn, com, neg, res, jn) LOOP
      IF t.l = 'name' OR t.r = 'name' THEN
        EXECUTE format('CREATE FUNCTION rs_types.%s_%s(%s, %s) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS %L',
          op.fn, t.sfx, t.l, t.r, format('SELECT $1::text::rs_types.varchar OPERATOR(pg_catalog.%s) $2::text::rs_types.varchar', op.sym));
      ELSE
        EXECUTE format('CREATE FUNCTION rs_types.%s_%s(%s, %s) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS %L',
          op.fn, t.sfx, t.l, t.r, op.fn);
      END IF;
      EXECUTE format('CREATE OPERATOR pg_catalog.%s (FUNCTION = rs_types.%s_%s, LEFTARG = %s, RIGHTARG = %s, COMMUTATOR = OPERATOR(pg_catalog.%s), NEGATOR = OPERATOR(pg_catalog.%s), RESTRICT = %s, JOIN = %s%s)',
        op.sym, op.fn, t.sfx, t.l, t.r, op.com, op.neg, op.res, op.jn,
        CASE WHEN op.sym = '=' AND t.sfx = 'vv' THEN ', HASHES, MERGES' ELSE '' END);
    END LOOP;
  END LOOP;
END $$;

CREATE FUNCTION rs_types.varchar_cmp(rs_types.varchar, rs_types.varchar) RETURNS int LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'bpcharcmp';
CREATE FUNCTION rs_types.varchar_hash(rs_types.varchar) RETURNS int LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'hashbpchar';
CREATE FUNCTION rs_types.varchar_hashx(rs_types.varchar, bigint) RETURNS bigint LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'hashbpcharextended';
CREATE OPERATOR CLASS rs_types.varchar_btree DEFAULT FOR TYPE rs_types.varchar USING btree AS
  OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 rs_types.varchar_cmp(rs_types.varchar, rs_types.varchar);
CREATE OPERATOR CLASS rs_types.varchar_hash DEFAULT FOR TYPE rs_types.varchar USING hash AS
  OPERATOR 1 =, FUNCTION 1 rs_types.varchar_hash(rs_types.varchar), FUNCTION 2 rs_types.varchar_hashx(rs_types.varchar, bigint);

-- A text in an expression holds 65,535 bytes.
CREATE FUNCTION rs_types.too_big(n int) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RAISE EXCEPTION 'String value exceeds the max size of 65535 bytes' USING ERRCODE = 'XX000', DETAIL = 'code: 8001';
END $$;
CREATE FUNCTION rs_types.fits(v text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT CASE WHEN octet_length(v) > 65535 THEN rs_types.too_big(octet_length(v)) ELSE v END
$$;
CREATE FUNCTION rs_types.varchar_cat(l rs_types.varchar, r rs_types.varchar) RETURNS rs_types.varchar LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT CASE WHEN octet_length(l::text) + octet_length(r::text) > 65535 THEN rs_types.too_big(octet_length(l::text)) ELSE l::text || r::text END::rs_types.varchar
$$;
CREATE FUNCTION rs_types.varchar_cat(l rs_types.varchar, r text) RETURNS rs_types.varchar LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT CASE WHEN octet_length(l::text) + octet_length(r) > 65535 THEN rs_types.too_big(octet_length(l::text)) ELSE l::text || r END::rs_types.varchar
$$;
CREATE FUNCTION rs_types.varchar_cat(l text, r rs_types.varchar) RETURNS rs_types.varchar LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT CASE WHEN octet_length(l) + octet_length(r::text) > 65535 THEN rs_types.too_big(octet_length(l)) ELSE l || r::text END::rs_types.varchar
$$;
CREATE OPERATOR pg_catalog.|| (FUNCTION = rs_types.varchar_cat, LEFTARG = rs_types.varchar, RIGHTARG = rs_types.varchar);
CREATE OPERATOR pg_catalog.|| (FUNCTION = rs_types.varchar_cat, LEFTARG = rs_types.varchar, RIGHTARG = text);
CREATE OPERATOR pg_catalog.|| (FUNCTION = rs_types.varchar_cat, LEFTARG = text, RIGHTARG = rs_types.varchar);

CREATE FUNCTION rs_types.varchar_larger(rs_types.varchar, rs_types.varchar) RETURNS rs_types.varchar LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'bpchar_larger';
CREATE FUNCTION rs_types.varchar_smaller(rs_types.varchar, rs_types.varchar) RETURNS rs_types.varchar LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'bpchar_smaller';
CREATE AGGREGATE pg_catalog.max(rs_types.varchar) (SFUNC = rs_types.varchar_larger, STYPE = rs_types.varchar, SORTOP = >);
CREATE AGGREGATE pg_catalog.min(rs_types.varchar) (SFUNC = rs_types.varchar_smaller, STYPE = rs_types.varchar, SORTOP = <);

-- Columns and databases may compare text without regard to case. PostgreSQL
-- has no LIKE for such a collation.
CREATE COLLATION pg_catalog.case_insensitive (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
DO $$
DECLARE
  op record;
BEGIN
  FOR op IN SELECT * FROM (VALUES ('~~', 'like', 'LIKE', 'ILIKE'), ('!~~', 'nlike', 'NOT LIKE', 'NOT ILIKE'), ('~~*', 'ilike', 'ILIKE', 'ILIKE'),
      ('!~~*', 'nilike', 'NOT ILIKE', 'NOT ILIKE'), ('~', 'match', '~', '~*'), ('!~', 'nmatch', '!~', '!~*')) AS x(sym, nm, cs, ci) LOOP
    EXECUTE format('CREATE FUNCTION rs_types.varchar_%s(rs_types.varchar, rs_types.varchar) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS %L', op.nm,
      format('SELECT CASE WHEN (pg_collation_for($1) COLLATE "C") LIKE ''%%case_insensitive%%'' THEN ($1::text COLLATE "C") %s ($2::text COLLATE "C") ELSE ($1::text COLLATE "C") %s ($2::text COLLATE "C") END', op.ci, op.cs));
    EXECUTE format('CREATE OPERATOR pg_catalog.%s (FUNCTION = rs_types.varchar_%s, LEFTARG = rs_types.varchar, RIGHTARG = rs_types.varchar)', op.sym, op.nm);
  END LOOP;
END $$;

-- SUPER. A value that begins with byte 1 is JSON text after it; any other is
-- the value of a JSON string, which is what a plain literal becomes.
CREATE TYPE pg_catalog.super;
CREATE FUNCTION rs_types.super_in(cstring) RETURNS super LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'textin';
CREATE FUNCTION rs_types.super_out(super) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'textout';
CREATE FUNCTION rs_types.super_recv(internal) RETURNS super LANGUAGE internal STABLE STRICT PARALLEL SAFE AS 'textrecv';
CREATE FUNCTION rs_types.super_send(super) RETURNS bytea LANGUAGE internal STABLE STRICT PARALLEL SAFE AS 'textsend';
CREATE TYPE pg_catalog.super (
    INPUT = rs_types.super_in, OUTPUT = rs_types.super_out, RECEIVE = rs_types.super_recv, SEND = rs_types.super_send,
    INTERNALLENGTH = variable, STORAGE = extended, CATEGORY = 'U');
CREATE CAST (super AS text) WITHOUT FUNCTION;
CREATE CAST (text AS super) WITHOUT FUNCTION AS ASSIGNMENT;
CREATE CAST (rs_types.varchar AS super) WITHOUT FUNCTION AS ASSIGNMENT;

-- jsonb cannot hold NUL, which SUPER can.
CREATE FUNCTION rs_types.super_json(v super) RETURNS jsonb LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT CASE WHEN left(v::text, 1) = E'\x01' THEN replace(substr(v::text, 2), chr(92) || 'u0000', chr(92) || 'ufffd')::jsonb ELSE to_jsonb(v::text) END
$$;
-- The text of a scalar; NULL for anything else.
CREATE FUNCTION rs_types.super_scalar(v super) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT CASE WHEN left(v::text, 1) <> E'\x01' THEN v::text
    WHEN jsonb_typeof(rs_types.super_json(v)) IN ('object', 'array') THEN NULL
    ELSE rs_types.super_json(v) #>> '{}' END
$$;
CREATE FUNCTION rs_types.to_super(v jsonb) RETURNS super LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT (E'\x01' || v::text)::super
$$;
CREATE FUNCTION rs_types.num_super(v numeric) RETURNS super LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT rs_types.to_super(to_jsonb(v)) $$;
CREATE FUNCTION rs_types.int_super(v int) RETURNS super LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT rs_types.to_super(to_jsonb(v)) $$;
CREATE FUNCTION rs_types.big_super(v bigint) RETURNS super LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT rs_types.to_super(to_jsonb(v)) $$;
CREATE FUNCTION rs_types.dbl_super(v float8) RETURNS super LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT rs_types.to_super(to_jsonb(v)) $$;
CREATE FUNCTION rs_types.bool_super(v boolean) RETURNS super LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT rs_types.to_super(to_jsonb(v)) $$;
CREATE CAST (numeric AS super) WITH FUNCTION rs_types.num_super(numeric) AS ASSIGNMENT;
CREATE CAST (int AS super) WITH FUNCTION rs_types.int_super(int) AS ASSIGNMENT;
CREATE CAST (bigint AS super) WITH FUNCTION rs_types.big_super(bigint) AS ASSIGNMENT;
CREATE CAST (float8 AS super) WITH FUNCTION rs_types.dbl_super(float8) AS ASSIGNMENT;
CREATE CAST (boolean AS super) WITH FUNCTION rs_types.bool_super(boolean) AS ASSIGNMENT;
CREATE FUNCTION rs_types.super_varchar(v super) RETURNS rs_types.varchar LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT rs_types.super_scalar(v)::rs_types.varchar $$;
CREATE CAST (super AS rs_types.varchar) WITH FUNCTION rs_types.super_varchar(super) AS ASSIGNMENT;

CREATE FUNCTION rs_types.super_eq(super, super) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT rs_types.super_json($1) = rs_types.super_json($2) $$;
CREATE FUNCTION rs_types.super_rank(v jsonb) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT array_position(ARRAY['null', 'boolean', 'number', 'string', 'array', 'object'], jsonb_typeof(v))
$$;
CREATE FUNCTION rs_types.super_cmp(super, super) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT CASE WHEN rs_types.super_rank(rs_types.super_json($1)) <> rs_types.super_rank(rs_types.super_json($2))
    THEN sign(rs_types.super_rank(rs_types.super_json($1)) - rs_types.super_rank(rs_types.super_json($2)))::int
    ELSE jsonb_cmp(rs_types.super_json($1), rs_types.super_json($2)) END
$$;
CREATE FUNCTION rs_types.super_lt(super, super) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT rs_types.super_cmp($1, $2) < 0 $$;
CREATE FUNCTION rs_types.super_le(super, super) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT rs_types.super_cmp($1, $2) <= 0 $$;
CREATE FUNCTION rs_types.super_gt(super, super) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT rs_types.super_cmp($1, $2) > 0 $$;
CREATE FUNCTION rs_types.super_ge(super, super) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT rs_types.super_cmp($1, $2) >= 0 $$;
CREATE OPERATOR pg_catalog.= (FUNCTION = rs_types.super_eq, LEFTARG = super, RIGHTARG = super, COMMUTATOR = OPERATOR(pg_catalog.=), RESTRICT = eqsel, JOIN = eqjoinsel, MERGES);
CREATE OPERATOR pg_catalog.< (FUNCTION = rs_types.super_lt, LEFTARG = super, RIGHTARG = super);
CREATE OPERATOR pg_catalog.<= (FUNCTION = rs_types.super_le, LEFTARG = super, RIGHTARG = super);
CREATE OPERATOR pg_catalog.> (FUNCTION = rs_types.super_gt, LEFTARG = super, RIGHTARG = super);
CREATE OPERATOR pg_catalog.>= (FUNCTION = rs_types.super_ge, LEFTARG = super, RIGHTARG = super);
CREATE OPERATOR CLASS rs_types.super_btree DEFAULT FOR TYPE super USING btree AS
  OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 rs_types.super_cmp(super, super);

-- VARBYTE: bytea; the server in front shows it as hex digits without a prefix.
CREATE TYPE pg_catalog.varbyte;
CREATE FUNCTION rs_types.varbyte_in(cstring) RETURNS varbyte LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'byteain';
CREATE FUNCTION rs_types.varbyte_out(varbyte) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'byteaout';
CREATE FUNCTION rs_types.varbyte_recv(internal) RETURNS varbyte LANGUAGE internal STABLE STRICT PARALLEL SAFE AS 'bytearecv';
CREATE FUNCTION rs_types.varbyte_send(varbyte) RETURNS bytea LANGUAGE internal STABLE STRICT PARALLEL SAFE AS 'byteasend';
CREATE TYPE pg_catalog.varbyte (
    INPUT = rs_types.varbyte_in, OUTPUT = rs_types.varbyte_out, RECEIVE = rs_types.varbyte_recv, SEND = rs_types.varbyte_send,
    TYPMOD_IN = bittypmodin, TYPMOD_OUT = bittypmodout,
    INTERNALLENGTH = variable, STORAGE = extended, CATEGORY = 'U');
CREATE CAST (varbyte AS bytea) WITHOUT FUNCTION;
CREATE CAST (bytea AS varbyte) WITHOUT FUNCTION;
CREATE FUNCTION rs_types.varbyte_len(v varbyte, typmod int, explicit boolean) RETURNS varbyte LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
  IF typmod <= 0 OR length(v::bytea) <= typmod THEN RETURN v; END IF;
  IF explicit THEN RETURN substring(v::bytea FROM 1 FOR typmod)::varbyte; END IF;
  RAISE EXCEPTION 'value too long for type binary varying(%)', typmod USING ERRCODE = '22001';
END $$;
CREATE CAST (varbyte AS varbyte) WITH FUNCTION rs_types.varbyte_len(varbyte, int, boolean) AS IMPLICIT;
CREATE FUNCTION rs_types.text_varbyte(v rs_types.varchar) RETURNS varbyte LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT convert_to(v::text, 'UTF8')::varbyte $$;
CREATE FUNCTION rs_types.text_varbyte(v text) RETURNS varbyte LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT convert_to(v, 'UTF8')::varbyte $$;
CREATE FUNCTION rs_types.varbyte_text(v varbyte) RETURNS rs_types.varchar LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT convert_from(v::bytea, 'UTF8')::rs_types.varchar $$;
CREATE CAST (rs_types.varchar AS varbyte) WITH FUNCTION rs_types.text_varbyte(rs_types.varchar) AS ASSIGNMENT;
CREATE CAST (text AS varbyte) WITH FUNCTION rs_types.text_varbyte(text) AS ASSIGNMENT;
CREATE CAST (varbyte AS rs_types.varchar) WITH FUNCTION rs_types.varbyte_text(varbyte) AS ASSIGNMENT;
DO $$
DECLARE
  op record;
BEGIN
  FOR op IN SELECT * FROM (VALUES ('=', 'byteaeq', '=', '<>'), ('<>', 'byteane', '<>', '='), ('<', 'bytealt', '>', '>='),
      ('<=', 'byteale', '>=', '>'), ('>', 'byteagt', '<', '<='), ('>=', 'byteage', '<=', '<')) AS y(sym, fn, com, neg) LOOP
    EXECUTE format('CREATE FUNCTION rs_types.varbyte_%s(varbyte, varbyte) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS %L', op.fn, op.fn);
    EXECUTE format('CREATE OPERATOR pg_catalog.%s (FUNCTION = rs_types.varbyte_%s, LEFTARG = varbyte, RIGHTARG = varbyte, COMMUTATOR = OPERATOR(pg_catalog.%s), NEGATOR = OPERATOR(pg_catalog.%s)%s)',
      op.sym, op.fn, op.com, op.neg, CASE WHEN op.sym = '=' THEN ', HASHES, MERGES, RESTRICT = eqsel, JOIN = eqjoinsel' ELSE '' END);
  END LOOP;
END $$;
CREATE FUNCTION rs_types.varbyte_cmp(varbyte, varbyte) RETURNS int LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'byteacmp';
CREATE FUNCTION rs_types.varbyte_hash(varbyte) RETURNS int LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'hashvarlena';
CREATE OPERATOR CLASS rs_types.varbyte_btree DEFAULT FOR TYPE varbyte USING btree AS
  OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 rs_types.varbyte_cmp(varbyte, varbyte);
CREATE OPERATOR CLASS rs_types.varbyte_hash DEFAULT FOR TYPE varbyte USING hash AS
  OPERATOR 1 =, FUNCTION 1 rs_types.varbyte_hash(varbyte);

CREATE FUNCTION rs_types.varbyte_cat(varbyte, varbyte) RETURNS varbyte LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT ($1::bytea || $2::bytea)::varbyte $$;
CREATE OPERATOR pg_catalog.|| (FUNCTION = rs_types.varbyte_cat, LEFTARG = varbyte, RIGHTARG = varbyte);

-- Types that are stored and shown as text, and have no functions here.
DO $$
DECLARE
  t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['geometry', 'geography', 'hllsketch'] LOOP
    EXECUTE format('CREATE TYPE pg_catalog.%s', t);
    EXECUTE format('CREATE FUNCTION rs_types.%1$s_in(cstring) RETURNS %1$s LANGUAGE internal IMMUTABLE STRICT AS ''textin''', t);
    EXECUTE format('CREATE FUNCTION rs_types.%1$s_out(%1$s) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS ''textout''', t);
    EXECUTE format('CREATE TYPE pg_catalog.%1$s (INPUT = rs_types.%1$s_in, OUTPUT = rs_types.%1$s_out, INTERNALLENGTH = variable, STORAGE = extended, CATEGORY = ''U'')', t);
  END LOOP;
END $$;
