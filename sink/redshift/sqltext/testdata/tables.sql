CREATE SCHEMA IF NOT EXISTS "public";

CREATE TABLE "public"."_walshift_16384_0123456789abcdef" (
  "id" BIGINT NOT NULL,
  "select" VARCHAR(400),
  "q""uote" DECIMAL(12,2),
  "at" TIMESTAMPTZ
)
DISTSTYLE KEY DISTKEY ("id");

CREATE TABLE "app"."documents" (
  "tenant" VARCHAR(65535) NOT NULL,
  "body" SUPER,
  "no" INTEGER NOT NULL,
  "raw" VARBYTE(1024000)
);

ALTER TABLE "public"."_walshift_16384_0123456789abcdef" ADD COLUMN "_walshift_pad" VARCHAR(1);

ALTER TABLE "public"."_walshift_16384_0123456789abcdef" DROP COLUMN "_walshift_pad";

ALTER TABLE "public"."_walshift_16384_0123456789abcdef" RENAME TO "Or""ders; 2";

DROP TABLE IF EXISTS "public"."_walshift_16384_0123456789abcdef", "public"."Or""ders; 2";

CREATE TABLE "walshift"."stg_shop_0123456789abcdef_1" (
  "c1" BIGINT,
  "c3" VARCHAR(400),
  "c4" DECIMAL(12,2),
  "c7" TIMESTAMPTZ
)
DISTSTYLE KEY DISTKEY ("c1");

CREATE TABLE "walshift"."stg_shop_0123456789abcdef_2" (
  "c1" VARCHAR(65535),
  "c2" SUPER,
  "c3" INTEGER,
  "c5" VARBYTE(1024000),
  "o1" VARCHAR(65535),
  "o3" INTEGER,
  "kept" VARCHAR(1600)
);

CREATE TABLE "walshift"."stg_shop_0123456789abcdef_3" (
  "c1" BIGINT,
  "_walshift_pad" VARCHAR(1)
)
DISTSTYLE KEY DISTKEY ("c1");

CREATE TABLE "app"."documents" (
  "tenant" VARCHAR(65535) COLLATE CASE_SENSITIVE NOT NULL,
  "body" SUPER,
  "no" INTEGER NOT NULL,
  "raw" VARBYTE(1024000)
);

CREATE TABLE "walshift"."stg_shop_0123456789abcdef_4" (
  "c1" VARCHAR(65535) COLLATE CASE_SENSITIVE,
  "c3" INTEGER
);
