CREATE TABLE IF NOT EXISTS "walshift"."fence_shop" (
  epoch BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  txn VARCHAR(64) NOT NULL,
  applied_lsn VARCHAR(17) NOT NULL,
  applied_commit_time TIMESTAMP
);

CREATE TABLE IF NOT EXISTS "walshift"."positions_shop" (
  pipeline VARCHAR(41) NOT NULL,
  table_oid BIGINT NOT NULL,
  schema_name VARCHAR(256) NOT NULL,
  table_name VARCHAR(256) NOT NULL,
  state VARCHAR(16) NOT NULL,
  x_lsn VARCHAR(17) NOT NULL,
  applied_lsn VARCHAR(17) NOT NULL,
  applied_commit_time TIMESTAMP,
  reason VARCHAR(4096) NOT NULL,
  target_schema VARCHAR(256) NOT NULL,
  target_table VARCHAR(256) NOT NULL,
  shadow_table VARCHAR(256) NOT NULL,
  made_target BOOLEAN NOT NULL,
  was_live BOOLEAN NOT NULL
);

CREATE TABLE IF NOT EXISTS "walshift"."sessions_shop" (
  epoch BIGINT NOT NULL,
  pid BIGINT NOT NULL
);

CREATE OR REPLACE VIEW "walshift"."freshness" AS
SELECT pipeline, schema_name || '.' || table_name AS "table", applied_lsn, applied_commit_time, state
FROM "walshift"."positions_crm"
UNION ALL
SELECT pipeline, schema_name || '.' || table_name AS "table", applied_lsn, applied_commit_time, state
FROM "walshift"."positions_shop";

LOCK TABLE "walshift"."fence_shop";

SELECT COUNT(*) FROM "walshift"."fence_shop";

INSERT INTO "walshift"."fence_shop" (epoch, seq, txn, applied_lsn) VALUES (0, 0, '00ff', '0/0');

SELECT epoch, seq, txn, applied_lsn, TO_CHAR(applied_commit_time, 'YYYY-MM-DD HH24:MI:SS.US')
FROM "walshift"."fence_shop";

UPDATE "walshift"."fence_shop"
SET seq = 9, txn = '11ee', applied_lsn = '16/B374D848', applied_commit_time = '2026-11-22 18:00:00.000001'
WHERE epoch = 3 AND seq = 7 AND txn = '00ff';

UPDATE "walshift"."fence_shop"
SET epoch = 4, txn = '22dd'
WHERE epoch < 4;

UPDATE "walshift"."fence_shop"
SET epoch = 3, seq = 9, txn = '11ee', applied_lsn = '16/B374D848', applied_commit_time = NULL;

UPDATE "walshift"."positions_shop"
SET applied_lsn = '16/B374D848', applied_commit_time = '2026-11-22 18:00:00.000001'
WHERE state = 'live';

SELECT table_oid, schema_name, table_name, state, x_lsn, applied_lsn, reason,
  target_schema, target_table, shadow_table,
  CASE WHEN made_target THEN 1 ELSE 0 END, CASE WHEN was_live THEN 1 ELSE 0 END
FROM "walshift"."positions_shop"
ORDER BY table_oid;

UPDATE "walshift"."positions_shop"
SET schema_name = 'public', table_name = 'o''rders', state = 'loaded', x_lsn = '0/1', applied_lsn = '0/2', reason = 'a\\b',
  target_schema = 'public', target_table = 'o''rders', shadow_table = '_walshift_16384_00ff', made_target = TRUE, was_live = FALSE
WHERE table_oid = 16384;

INSERT INTO "walshift"."positions_shop" (pipeline, table_oid, schema_name, table_name, state,
  x_lsn, applied_lsn, reason, target_schema, target_table, shadow_table, made_target, was_live)
VALUES
  ('shop', 16384, 'public', 'o''rders', 'loaded', '0/1', '0/2', 'a\\b', 'public', 'o''rders', '_walshift_16384_00ff', TRUE, FALSE),
  ('shop', 16384, 'public', 'o''rders', 'loaded', '0/1', '0/2', 'a\\b', 'public', 'o''rders', '_walshift_16384_00ff', TRUE, FALSE);

UPDATE "walshift"."positions_shop"
SET state = 'live', was_live = TRUE
WHERE state = 'loaded' AND applied_lsn = '0/2';

DELETE FROM "walshift"."positions_shop";

INSERT INTO "walshift"."sessions_shop" (epoch, pid) VALUES (3, 1073);

SELECT DISTINCT pid FROM "walshift"."sessions_shop" WHERE epoch <= 3 AND pid <> 1073;

DELETE FROM "walshift"."sessions_shop" WHERE epoch <= 3 AND pid <> 1073;

SELECT pg_terminate_backend(1073);
