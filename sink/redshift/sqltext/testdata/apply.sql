SELECT COUNT(*)
FROM "walshift"."stg_shop_0123456789abcdef_1" AS walshift_s
JOIN "public"."Or""ders; 2" ON "public"."Or""ders; 2"."id" = walshift_s."c1";

MERGE INTO "public"."Or""ders; 2"
USING "walshift"."stg_shop_0123456789abcdef_1" AS walshift_s
ON "public"."Or""ders; 2"."id" = walshift_s."c1"
WHEN MATCHED THEN UPDATE SET "select" = walshift_s."c3", "q""uote" = walshift_s."c4", "at" = walshift_s."c7"
WHEN NOT MATCHED THEN INSERT ("id", "select", "q""uote", "at")
VALUES (walshift_s."c1", walshift_s."c3", walshift_s."c4", walshift_s."c7");

UPDATE "walshift"."stg_shop_0123456789abcdef_2"
SET "c2" = CASE WHEN SUBSTRING("walshift"."stg_shop_0123456789abcdef_2"."kept", 1, 1) = '1' THEN walshift_s."body" ELSE "walshift"."stg_shop_0123456789abcdef_2"."c2" END, "c5" = CASE WHEN SUBSTRING("walshift"."stg_shop_0123456789abcdef_2"."kept", 2, 1) = '1' THEN walshift_s."raw" ELSE "walshift"."stg_shop_0123456789abcdef_2"."c5" END
FROM "app"."documents" AS walshift_s
WHERE "walshift"."stg_shop_0123456789abcdef_2"."o1" = walshift_s."tenant"
  AND OCTET_LENGTH("walshift"."stg_shop_0123456789abcdef_2"."o1") = OCTET_LENGTH(walshift_s."tenant")
  AND "walshift"."stg_shop_0123456789abcdef_2"."o3" = walshift_s."no"
  AND "walshift"."stg_shop_0123456789abcdef_2"."kept" <> '00';

SELECT COUNT(*)
FROM "walshift"."stg_shop_0123456789abcdef_2" AS walshift_s
JOIN "app"."documents" ON "app"."documents"."tenant" = walshift_s."c1"
  AND OCTET_LENGTH("app"."documents"."tenant") = OCTET_LENGTH(walshift_s."c1")
  AND "app"."documents"."no" = walshift_s."c3";

DELETE FROM "app"."documents"
USING "walshift"."stg_shop_0123456789abcdef_2" AS walshift_s
WHERE "app"."documents"."tenant" = walshift_s."c1"
  AND OCTET_LENGTH("app"."documents"."tenant") = OCTET_LENGTH(walshift_s."c1")
  AND "app"."documents"."no" = walshift_s."c3";

INSERT INTO "app"."documents" ("tenant", "body", "no", "raw")
SELECT walshift_s."c1", walshift_s."c2", walshift_s."c3", walshift_s."c5"
FROM "walshift"."stg_shop_0123456789abcdef_2" AS walshift_s;

DELETE FROM "app"."documents"
USING "walshift"."stg_shop_0123456789abcdef_3" AS walshift_s
WHERE "app"."documents"."tenant" = walshift_s."c1"
  AND OCTET_LENGTH("app"."documents"."tenant") = OCTET_LENGTH(walshift_s."c1")
  AND "app"."documents"."no" = walshift_s."c3";

DELETE FROM "app"."documents";
