-- Functions of text and bytes that PostgreSQL lacks or has otherwise.

CREATE FUNCTION pg_catalog.octetindex(text, text) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT CASE WHEN strpos($2, $1) = 0 THEN 0 ELSE octet_length(left($2, strpos($2, $1) - 1)) + 1 END
$$;
CREATE FUNCTION pg_catalog.bpcharcmp(text, text) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT rs_types.varchar_cmp($1::rs_types.varchar, $2::rs_types.varchar) $$;
CREATE FUNCTION pg_catalog.rs_log(float8) RETURNS float8 LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT log($1) $$;
CREATE FUNCTION pg_catalog.rs_log(numeric) RETURNS numeric LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT log($1) $$;

CREATE FUNCTION pg_catalog.soundex(text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
  s text := regexp_replace(upper($1), '[^A-Z]', '', 'g');
  out text;
  prev text;
  code text;
BEGIN
  IF s = '' THEN RETURN ''; END IF;
  out := left(s, 1);
  prev := translate(out, 'BFPVCGJKQSXZDTLMNRAEIOUYHW', '11112222222233455600000099');
  FOR i IN 2..length(s) LOOP
    code := translate(substr(s, i, 1), 'BFPVCGJKQSXZDTLMNRAEIOUYHW', '11112222222233455600000099');
    IF code NOT IN ('0', '9') AND code <> prev THEN out := out || code; END IF;
    IF code <> '9' THEN prev := code; END IF;
    EXIT WHEN length(out) = 4;
  END LOOP;
  RETURN rpad(out, 4, '0');
END $$;
CREATE FUNCTION pg_catalog.difference(text, text) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT count(*)::int FROM generate_series(1, 4) AS i WHERE substr(soundex($1), i, 1) = substr(soundex($2), i, 1)
$$;

CREATE FUNCTION pg_catalog.crc32(text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
  b bytea := convert_to($1, 'UTF8');
  crc bigint := 4294967295;
BEGIN
  FOR i IN 0..length(b) - 1 LOOP
    crc := crc # get_byte(b, i);
    FOR k IN 1..8 LOOP
      crc := CASE WHEN crc & 1 = 1 THEN (crc >> 1) # 3988292384 ELSE crc >> 1 END;
    END LOOP;
  END LOOP;
  RETURN to_hex(crc # 4294967295);
END $$;
CREATE FUNCTION pg_catalog.fnv_hash(text) RETURNS bigint LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
  b bytea := convert_to($1, 'UTF8');
  h numeric := 14695981039346656037;
  low bigint;
BEGIN
  FOR i IN 0..length(b) - 1 LOOP
    low := (h % 256)::bigint;
    h := h - low + (low # get_byte(b, i));
    h := (h * 1099511628211) % 18446744073709551616;
  END LOOP;
  RETURN CASE WHEN h > 9223372036854775807 THEN h - 18446744073709551616 ELSE h END::bigint;
END $$;
CREATE FUNCTION pg_catalog.fnv_hash(bigint) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT fnv_hash($1::text) $$;
CREATE FUNCTION pg_catalog.checksum(text) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT hashtext($1) $$;
CREATE FUNCTION pg_catalog.checksum(numeric) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT hash_numeric($1) $$;

CREATE FUNCTION rs_types.rotate(x bigint, n int) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT ((x << n) | (x >> (32 - n))) & 4294967295 $$;
CREATE FUNCTION pg_catalog.sha1(text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
  m bytea := convert_to($1, 'UTF8');
  bits bigint := octet_length($1)::bigint * 8;
  h bigint[] := ARRAY[1732584193, 4023233417, 2562383102, 271733878, 3285377520];
  w bigint[];
  a bigint; b bigint; c bigint; d bigint; e bigint; f bigint; k bigint; t bigint;
BEGIN
  m := m || decode('80', 'hex');
  WHILE length(m) % 64 <> 56 LOOP m := m || decode('00', 'hex'); END LOOP;
  m := m || int8send(bits);
  FOR block IN 0..length(m) / 64 - 1 LOOP
    FOR i IN 0..15 LOOP
      w[i] := (get_byte(m, block * 64 + i * 4)::bigint << 24) | (get_byte(m, block * 64 + i * 4 + 1) << 16) | (get_byte(m, block * 64 + i * 4 + 2) << 8) | get_byte(m, block * 64 + i * 4 + 3);
    END LOOP;
    FOR i IN 16..79 LOOP
      w[i] := rs_types.rotate(w[i - 3] # w[i - 8] # w[i - 14] # w[i - 16], 1);
    END LOOP;
    a := h[1]; b := h[2]; c := h[3]; d := h[4]; e := h[5];
    FOR i IN 0..79 LOOP
      IF i < 20 THEN f := (b & c) | ((~b & 4294967295) & d); k := 1518500249;
      ELSIF i < 40 THEN f := b # c # d; k := 1859775393;
      ELSIF i < 60 THEN f := (b & c) | (b & d) | (c & d); k := 2400959708;
      ELSE f := b # c # d; k := 3395469782; END IF;
      t := (rs_types.rotate(a, 5) + f + e + k + w[i]) & 4294967295;
      e := d; d := c; c := rs_types.rotate(b, 30); b := a; a := t;
    END LOOP;
    h := ARRAY[(h[1] + a) & 4294967295, (h[2] + b) & 4294967295, (h[3] + c) & 4294967295, (h[4] + d) & 4294967295, (h[5] + e) & 4294967295];
  END LOOP;
  RETURN lpad(to_hex(h[1]), 8, '0') || lpad(to_hex(h[2]), 8, '0') || lpad(to_hex(h[3]), 8, '0') || lpad(to_hex(h[4]), 8, '0') || lpad(to_hex(h[5]), 8, '0');
END $$;
CREATE FUNCTION pg_catalog.sha(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT sha1($1) $$;
CREATE FUNCTION pg_catalog.func_sha1(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT sha1($1) $$;

-- Regular expressions: all matches are replaced, no match is an empty string.
CREATE FUNCTION rs_types.regexp_flags(params text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
  IF $1 !~ '^[ceip]*$' THEN
    RAISE EXCEPTION 'invalid regular expression option: %', $1 USING ERRCODE = '22023';
  END IF;
  RETURN translate($1, 'cep', '');
END $$;
CREATE FUNCTION pg_catalog.rs_regexp_substr(s text, p text, pos int DEFAULT 1, occ int DEFAULT 1, params text DEFAULT 'c') RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT coalesce(regexp_substr($1, $2, $3, $4, rs_types.regexp_flags($5), CASE WHEN $5 LIKE '%e%' THEN 1 ELSE 0 END), '')
$$;
CREATE FUNCTION pg_catalog.rs_regexp_count(s text, p text, pos int DEFAULT 1, params text DEFAULT 'c') RETURNS int LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT regexp_count($1, $2, $3, rs_types.regexp_flags($4))
$$;
CREATE FUNCTION pg_catalog.rs_regexp_instr(s text, p text, pos int DEFAULT 1, occ int DEFAULT 1, opt int DEFAULT 0, params text DEFAULT 'c') RETURNS int LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT regexp_instr($1, $2, $3, $4, $5, rs_types.regexp_flags($6))
$$;
CREATE FUNCTION pg_catalog.rs_regexp_replace(s text, p text, r text DEFAULT '', pos int DEFAULT 1, params text DEFAULT 'c') RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT regexp_replace($1, $2, $3, $4, 0, rs_types.regexp_flags($5))
$$;

CREATE FUNCTION pg_catalog.substring(varbyte, int, int) RETURNS varbyte LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT substring($1::bytea FROM $2 FOR $3)::varbyte $$;
CREATE FUNCTION pg_catalog.substring(varbyte, int) RETURNS varbyte LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT substring($1::bytea FROM $2)::varbyte $$;
CREATE FUNCTION pg_catalog.substr(varbyte, int, int) RETURNS varbyte LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT substring($1::bytea FROM $2 FOR $3)::varbyte $$;
CREATE FUNCTION pg_catalog.getbit(varbyte, int) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT get_bit($1::bytea, $2) $$;
CREATE FUNCTION pg_catalog.reverse(varbyte) RETURNS varbyte LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT coalesce(string_agg(substring($1::bytea FROM n FOR 1), ''::bytea ORDER BY n DESC), ''::bytea)::varbyte FROM generate_series(1, length($1::bytea)) AS n
$$;
