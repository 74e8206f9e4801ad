SELECT a.attname, format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 1 ELSE 0 END,
  COALESCE(pg_get_expr(d.adbin, d.adrelid), '')
FROM pg_attribute a
  JOIN pg_class c ON c.oid = a.attrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE n.nspname = 'public' AND c.relname = 'Or"ders; 2' AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum;

SELECT CASE WHEN has_table_privilege('"public"."Or""ders; 2"', 'SELECT') AND has_table_privilege('"public"."Or""ders; 2"', 'INSERT') AND has_table_privilege('"public"."Or""ders; 2"', 'UPDATE') AND has_table_privilege('"public"."Or""ders; 2"', 'DELETE') THEN 1 ELSE 0 END;

INSERT INTO "public"."Or""ders; 2" ("id", "select", "q""uote", "at")
SELECT "id", "select", "q""uote", "at"
FROM "public"."_walshift_7_00000000000000ab";

UPDATE "walshift"."positions_shop"
SET was_live = TRUE, reason = 'it''s loaded'
WHERE state = 'loaded';

ANALYZE "public"."Or""ders; 2";

GRANT SELECT, REFERENCES ON TABLE "public"."Or""ders; 2" TO "al""ice";

GRANT USAGE ON SCHEMA "public" TO "al""ice";

GRANT SELECT, REFERENCES ON TABLE "public"."Or""ders; 2" TO GROUP "bi users";

GRANT USAGE ON SCHEMA "public" TO GROUP "bi users";

GRANT SELECT, REFERENCES ON TABLE "public"."Or""ders; 2" TO ROLE "analyst";

GRANT USAGE ON SCHEMA "public" TO ROLE "analyst";

GRANT SELECT, REFERENCES ON TABLE "public"."Or""ders; 2" TO PUBLIC;

GRANT USAGE ON SCHEMA "public" TO PUBLIC;

GRANT SELECT, REFERENCES ON TABLE "public"."Or""ders; 2" TO "public";

GRANT USAGE ON SCHEMA "public" TO "public";
