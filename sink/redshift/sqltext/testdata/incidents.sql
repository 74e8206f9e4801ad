CREATE TABLE IF NOT EXISTS "walshift"."incidents_shop" (
  id VARCHAR(32),
  seq BIGINT,
  lsn VARCHAR(17),
  schema_name VARCHAR(256),
  table_name VARCHAR(256),
  table_oid BIGINT,
  row_key VARCHAR(65535),
  column_name VARCHAR(256),
  attnum INTEGER,
  reason VARCHAR(64),
  policy VARCHAR(32),
  bytes BIGINT,
  original VARCHAR(4096),
  object VARCHAR(256)
);

CREATE TABLE IF NOT EXISTS "walshift"."acks_shop" (
  id VARCHAR(32) NOT NULL,
  acked_at TIMESTAMP,
  acked_by VARCHAR(256)
);

CREATE OR REPLACE VIEW "walshift"."incidents" AS
SELECT 'crm'::VARCHAR(41) AS pipeline, i.id, i.seq, i.lsn, i.schema_name || '.' || i.table_name AS "table",
  i.row_key, i.column_name, i.reason, (CASE WHEN i.policy LIKE 'accepted:%' THEN SUBSTRING(i.policy, 10) ELSE i.policy END)::VARCHAR(32) AS policy, i.bytes, i.original, i.object,
  CASE WHEN i.policy LIKE 'accepted:%' THEN 'accepted' WHEN a.id IS NULL THEN 'open' ELSE 'acknowledged' END AS state
FROM "walshift"."incidents_crm" AS i LEFT JOIN (SELECT DISTINCT id FROM "walshift"."acks_crm") AS a ON a.id = i.id
UNION ALL
SELECT 'shop'::VARCHAR(41) AS pipeline, i.id, i.seq, i.lsn, i.schema_name || '.' || i.table_name AS "table",
  i.row_key, i.column_name, i.reason, (CASE WHEN i.policy LIKE 'accepted:%' THEN SUBSTRING(i.policy, 10) ELSE i.policy END)::VARCHAR(32) AS policy, i.bytes, i.original, i.object,
  CASE WHEN i.policy LIKE 'accepted:%' THEN 'accepted' WHEN a.id IS NULL THEN 'open' ELSE 'acknowledged' END AS state
FROM "walshift"."incidents_shop" AS i LEFT JOIN (SELECT DISTINCT id FROM "walshift"."acks_shop") AS a ON a.id = i.id;

DROP VIEW IF EXISTS "walshift"."incidents";

SELECT COUNT(*)
FROM "walshift"."incidents_shop" AS i
WHERE NOT (i.policy LIKE 'accepted:%') AND id NOT IN (SELECT id FROM "walshift"."acks_shop");

SELECT schema_name, table_name, reason, policy, COUNT(*)
FROM "walshift"."incidents_shop" AS i
WHERE NOT (i.policy LIKE 'accepted:%') AND id NOT IN (SELECT id FROM "walshift"."acks_shop")
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4;

SELECT i.id, i.seq::VARCHAR, i.lsn, i.schema_name, i.table_name, i.table_oid::VARCHAR, i.row_key, i.column_name, i.attnum::VARCHAR, i.reason, CASE WHEN i.policy LIKE 'accepted:%' THEN SUBSTRING(i.policy, 10) ELSE i.policy END, i.bytes::VARCHAR, i.original, i.object,
  CASE WHEN i.policy LIKE 'accepted:%' THEN 'accepted' WHEN a.id IS NULL THEN 'open' ELSE 'acknowledged' END
FROM "walshift"."incidents_shop" AS i LEFT JOIN (SELECT DISTINCT id FROM "walshift"."acks_shop") AS a ON a.id = i.id
WHERE a.id IS NULL AND NOT (i.policy LIKE 'accepted:%')
ORDER BY i.seq DESC, i.id
LIMIT 100;

SELECT i.id, i.seq::VARCHAR, i.lsn, i.schema_name, i.table_name, i.table_oid::VARCHAR, i.row_key, i.column_name, i.attnum::VARCHAR, i.reason, CASE WHEN i.policy LIKE 'accepted:%' THEN SUBSTRING(i.policy, 10) ELSE i.policy END, i.bytes::VARCHAR, i.original, i.object,
  CASE WHEN i.policy LIKE 'accepted:%' THEN 'accepted' WHEN a.id IS NULL THEN 'open' ELSE 'acknowledged' END
FROM "walshift"."incidents_shop" AS i LEFT JOIN (SELECT DISTINCT id FROM "walshift"."acks_shop") AS a ON a.id = i.id
ORDER BY i.seq DESC, i.id
LIMIT 100;

SELECT i.id, i.seq::VARCHAR, i.lsn, i.schema_name, i.table_name, i.table_oid::VARCHAR, i.row_key, i.column_name, i.attnum::VARCHAR, i.reason, CASE WHEN i.policy LIKE 'accepted:%' THEN SUBSTRING(i.policy, 10) ELSE i.policy END, i.bytes::VARCHAR, i.original, i.object,
  CASE WHEN i.policy LIKE 'accepted:%' THEN 'accepted' WHEN a.id IS NULL THEN 'open' ELSE 'acknowledged' END
FROM "walshift"."incidents_shop" AS i LEFT JOIN (SELECT DISTINCT id FROM "walshift"."acks_shop") AS a ON a.id = i.id
WHERE i.id = '0a''b';

INSERT INTO "walshift"."acks_shop" (id, acked_at, acked_by)
SELECT id, SYSDATE, 'me@here'
FROM "walshift"."incidents_shop" AS i
WHERE NOT (i.policy LIKE 'accepted:%') AND id NOT IN (SELECT id FROM "walshift"."acks_shop");

INSERT INTO "walshift"."acks_shop" (id, acked_at, acked_by)
SELECT id, SYSDATE, 'me@here'
FROM "walshift"."incidents_shop" AS i
WHERE NOT (i.policy LIKE 'accepted:%') AND id NOT IN (SELECT id FROM "walshift"."acks_shop") AND id = '0a''b';

DELETE FROM "walshift"."incidents_shop";

DELETE FROM "walshift"."acks_shop";
