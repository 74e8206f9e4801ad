COPY "public"."Or""ders; 2" ("id", "q""uote")
FROM 's3://bucket/it''s/copy/7-ab.manifest'
IAM_ROLE 'arn:aws:iam::123456789012:role/loader'
MANIFEST
FORMAT AS CSV
NULL AS '~null''7~'
ZSTD
DATEFORMAT 'auto'
TIMEFORMAT 'auto'
COMPUPDATE OFF
STATUPDATE OFF;

COPY "public"."Or""ders; 2" ("id", "q""uote")
FROM 's3://bucket/it''s/copy/7-ab.manifest'
IAM_ROLE default
REGION 'eu-west-1'
MANIFEST
FORMAT AS CSV
NULL AS '~null''7~'
GZIP
DATEFORMAT 'auto'
TIMEFORMAT 'auto'
COMPUPDATE OFF
STATUPDATE OFF;

SELECT pg_last_copy_count();

SELECT file_name, line_number, column_name, column_type, error_code
FROM sys_load_error_detail
WHERE STRPOS(file_name, 'data/00000000000000000007-5f\\e/') > 0
ORDER BY start_time DESC, line_number
LIMIT 1;
