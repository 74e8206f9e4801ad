CREATE TABLE "app"."ev""ents" (
  "at" TIMESTAMPTZ,
  "body" SUPER,
  "_walshift_row" VARCHAR(32) NOT NULL
);

INSERT INTO "app"."ev""ents" ("at", "body", "_walshift_row")
SELECT "at", "body", "_walshift_row"
FROM "app"."_walshift_16384_0123456789abcdef";

-- c1, c2, c0, copies
CREATE TABLE "walshift"."stg_shop_0123456789abcdef_1" (
  "c1" TIMESTAMPTZ,
  "c2" SUPER,
  "c0" VARCHAR(32),
  "copies" BIGINT
);

SELECT COUNT(*), SUM(found), SUM(CASE WHEN found < copies THEN 1 ELSE 0 END),
  SUM(CASE WHEN found > copies THEN found - copies ELSE 0 END)
FROM (
  SELECT walshift_s."c0" AS row_hash, walshift_s."copies" AS copies, COUNT(walshift_t."_walshift_row") AS found
  FROM "walshift"."stg_shop_0123456789abcdef_1" AS walshift_s
  LEFT JOIN "app"."ev""ents" AS walshift_t ON walshift_t."_walshift_row" = walshift_s."c0"
  GROUP BY walshift_s."c0", walshift_s."copies"
) AS counted;

SELECT row_hash, found - copies
FROM (
  SELECT walshift_s."c0" AS row_hash, walshift_s."copies" AS copies, COUNT(walshift_t."_walshift_row") AS found
  FROM "walshift"."stg_shop_0123456789abcdef_1" AS walshift_s
  LEFT JOIN "app"."ev""ents" AS walshift_t ON walshift_t."_walshift_row" = walshift_s."c0"
  GROUP BY walshift_s."c0", walshift_s."copies"
) AS counted
WHERE found > copies
ORDER BY row_hash
LIMIT 1000;

SELECT row_hash, found - copies
FROM (
  SELECT walshift_s."c0" AS row_hash, walshift_s."copies" AS copies, COUNT(walshift_t."_walshift_row") AS found
  FROM "walshift"."stg_shop_0123456789abcdef_1" AS walshift_s
  LEFT JOIN "app"."ev""ents" AS walshift_t ON walshift_t."_walshift_row" = walshift_s."c0"
  WHERE walshift_s."c0" > '00ff'
  GROUP BY walshift_s."c0", walshift_s."copies"
) AS counted
WHERE found > copies
ORDER BY row_hash
LIMIT 7;

DELETE FROM "app"."ev""ents"
USING "walshift"."stg_shop_0123456789abcdef_1" AS walshift_s
WHERE "app"."ev""ents"."_walshift_row" = walshift_s."c0";

SELECT COUNT(*) FROM "app"."ev""ents"
WHERE "_walshift_row" IS NULL OR OCTET_LENGTH("_walshift_row") <> 32;
