-- walshift, pipeline shop: role, grants and publication on the source.
-- Run by psql as a superuser:
--   walshift setup --print --only source | psql -d shop -v walshift_password="$PASSWORD"
-- It may be run again.
\set ON_ERROR_STOP on

-- 1. Settings. `walshift check` tells which of them are missing.
-- These need a restart:
--   ALTER SYSTEM SET wal_level = 'logical';
--   ALTER SYSTEM SET max_replication_slots = '<those in use + 2>';
--   ALTER SYSTEM SET max_wal_senders = '<those in use + 2>';
-- How much WAL the disk can spare if walshift stands still; beyond it the slot is lost:
--   ALTER SYSTEM SET max_slot_wal_keep_size = '<for instance 50GB>'; SELECT pg_reload_conf();

-- 2. The role. The password comes from the variable, or psql asks for it.
SELECT 'CREATE ROLE "shop_repl"' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'shop_repl') \gexec
ALTER ROLE "shop_repl" LOGIN REPLICATION;
\if :{?walshift_password}
ALTER ROLE "shop_repl" PASSWORD :'walshift_password';
\else
\password "shop_repl"
\endif
GRANT CONNECT ON DATABASE "shop" TO "shop_repl";
-- Optional: `walshift check` then sees how old other roles' transactions are.
-- GRANT pg_read_all_stats TO "shop_repl";

-- 3. Reading: the schemas, and each table that is published, with its partitions.
GRANT USAGE ON SCHEMA "public" TO "shop_repl";
GRANT SELECT ON "public"."Odd ""name""" TO "shop_repl";
GRANT SELECT ON "public"."guarded" TO "shop_repl";
GRANT SELECT ON "public"."parts", "public"."parts_1" TO "shop_repl";
GRANT SELECT ON "public"."plain" TO "shop_repl";
GRANT SELECT ON "public"."two
lines :walshift_password \\q" TO "shop_repl";
-- For tables and partitions that are made later; without it each needs its own GRANT:
-- ALTER DEFAULT PRIVILEGES FOR ROLE "shop_owner" IN SCHEMA "public" GRANT SELECT ON TABLES TO "shop_repl";
-- Row security would hide rows of "public"."guarded" from the first load, but not from the stream.
-- Leave them out by source.tables.exclude, or let the role see all rows:
-- ALTER ROLE "shop_repl" BYPASSRLS;

-- 4. The publication. It must exist before walshift's first start.
CREATE PUBLICATION "walshift_shop" FOR TABLE
  "public"."Odd ""name""",
  "public"."guarded",
  "public"."parts",
  "public"."plain",
  "public"."two
lines :walshift_password \\q"
  WITH (publish = 'insert, update, delete, truncate', publish_via_partition_root = true);
-- Not published: public.events: public.events has no primary key.
--   Published, the application's updates and deletes of it would fail. Either this, and print again:
--     ALTER TABLE "public"."events" ADD PRIMARY KEY (…);
--   or, if no columns are a key (its updates and deletes then write whole rows to the WAL):
--     ALTER TABLE "public"."events" REPLICA IDENTITY FULL;
--   or, if its rows are never updated or deleted:
-- insert-only: GRANT SELECT ON "public"."events" TO "shop_repl";
-- insert-only: ALTER PUBLICATION "walshift_shop" ADD TABLE "public"."events";
-- Not published: public.harmless DROP TABLE plain; --: public.harmless DROP TABLE plain; -- has no primary key.
--   Published, the application's updates and deletes of it would fail. Either this, and print again:
--     ALTER TABLE "public"."harmless DROP TABLE plain; --" ADD PRIMARY KEY (…);
--   or, if no columns are a key (its updates and deletes then write whole rows to the WAL):
--     ALTER TABLE "public"."harmless DROP TABLE plain; --" REPLICA IDENTITY FULL;
--   or, if its rows are never updated or deleted:
-- insert-only: GRANT SELECT ON "public"."harmless DROP TABLE plain; --" TO "shop_repl";
-- insert-only: ALTER PUBLICATION "walshift_shop" ADD TABLE "public"."harmless DROP TABLE plain; --";
-- Not published: public.indexed: public.indexed has no primary key.
--   Published, the application's updates and deletes of it would fail. Either this, and print again:
--     ALTER TABLE "public"."indexed" REPLICA IDENTITY USING INDEX "indexed_id_key";
--   or, if its rows are never updated or deleted:
-- insert-only: GRANT SELECT ON "public"."indexed" TO "shop_repl";
-- insert-only: ALTER PUBLICATION "walshift_shop" ADD TABLE "public"."indexed";
-- Not published: public.scratch: public.scratch is unlogged: its changes are not in the WAL.
--   What helps: ALTER TABLE "public"."scratch" SET LOGGED;
