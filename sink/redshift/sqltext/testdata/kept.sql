SELECT COALESCE (CASE WHEN "tenant" = 'it''s' AND OCTET_LENGTH("tenant") = 4 AND "no" = '1' THEN 0 END, CASE WHEN "tenant" = '\\'' OR 1 = 1 --' AND OCTET_LENGTH("tenant") = 14 AND "no" = '-2' THEN 1 END, CASE WHEN "tenant" = 'é ' AND OCTET_LENGTH("tenant") = 3 AND "no" = '0' THEN 2 END), "tenant",
  OCTET_LENGTH(JSON_SERIALIZE_TO_VARBYTE("body")),
  OCTET_LENGTH("raw"),
  OCTET_LENGTH(TO_VARBYTE("no'te", 'utf8')),
  OCTET_LENGTH(TO_VARBYTE(CAST("sum" AS VARCHAR(64)), 'utf8'))
FROM "app"."documents"
WHERE "tenant" = 'it''s' AND OCTET_LENGTH("tenant") = 4 AND "no" = '1'
  OR "tenant" = '\\'' OR 1 = 1 --' AND OCTET_LENGTH("tenant") = 14 AND "no" = '-2'
  OR "tenant" = 'é ' AND OCTET_LENGTH("tenant") = 3 AND "no" = '0';

SELECT COALESCE (CASE WHEN "tenant" = 'it''s' AND OCTET_LENGTH("tenant") = 4 AND "no" = '1' THEN 0 END, CASE WHEN "tenant" = '\\'' OR 1 = 1 --' AND OCTET_LENGTH("tenant") = 14 AND "no" = '-2' THEN 1 END, CASE WHEN "tenant" = 'é ' AND OCTET_LENGTH("tenant") = 3 AND "no" = '0' THEN 2 END), "tenant",
  FROM_VARBYTE(SUBSTRING(JSON_SERIALIZE_TO_VARBYTE("body"), 1, 32000), 'hex'),
  FROM_VARBYTE(SUBSTRING(JSON_SERIALIZE_TO_VARBYTE("body"), 32001, 32000), 'hex'),
  FROM_VARBYTE(SUBSTRING("raw", 1, 32000), 'hex'),
  FROM_VARBYTE(SUBSTRING(TO_VARBYTE("no'te", 'utf8'), 1, 32000), 'hex'),
  FROM_VARBYTE(SUBSTRING(TO_VARBYTE(CAST("sum" AS VARCHAR(64)), 'utf8'), 1, 32000), 'hex')
FROM "app"."documents"
WHERE "tenant" = 'it''s' AND OCTET_LENGTH("tenant") = 4 AND "no" = '1'
  OR "tenant" = '\\'' OR 1 = 1 --' AND OCTET_LENGTH("tenant") = 14 AND "no" = '-2'
  OR "tenant" = 'é ' AND OCTET_LENGTH("tenant") = 3 AND "no" = '0';

SELECT COALESCE (CASE WHEN "id" = '9223372036854775807' THEN 0 END),
  OCTET_LENGTH(TO_VARBYTE("select", 'utf8'))
FROM "public"."Or""ders; 2"
WHERE "id" = '9223372036854775807';

SELECT 1 FROM "app"."documents"
WHERE JSON_SIZE("body") > 65535 OR OCTET_LENGTH("raw") > 65535
LIMIT 1;
