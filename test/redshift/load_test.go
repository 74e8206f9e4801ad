package redshift_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func put(ctx context.Context, t *testing.T, key string, body []byte) {
	t.Helper()
	bucket := bucketName
	if _, err := env.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body)}); err != nil {
		t.Fatal(err)
	}
}

const role = "IAM_ROLE 'arn:aws:iam::123456789012:role/load'"

func TestCopyMillionRows(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("loads a million rows")
	}
	n := 1_000_000
	if raceEnabled {
		n = 100_000
	}
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	for i := range n {
		fmt.Fprintf(z, "%d,1,0,\"%-84s\"\n", i, "")
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	put(t.Context(), t, "million/a.gz", b.Bytes())
	c := connect(t, env.rs)
	mustExec(t, c, "CREATE SCHEMA million; CREATE TABLE million.accounts (aid int, bid int, abalance int, filler varchar(84))")
	began := time.Now()
	mustExec(t, c, "COPY million.accounts FROM 's3://"+bucketName+"/million/a.gz' "+role+" CSV GZIP COMPUPDATE OFF STATUPDATE OFF")
	t.Logf("%d rows in %v", n, time.Since(began))
	if got := count(t, c, "million.accounts"); got != n {
		t.Fatalf("%d rows", got)
	}
}

// TestConcurrentSessions has twenty sessions load, merge and delete in tables
// of their own and in one that all share.
func TestConcurrentSessions(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	put(ctx, t, "many/f.csv", []byte(strings.Repeat("1,a\n", 200)))
	admin := connect(t, env.rs)
	mustExec(t, admin, "CREATE SCHEMA many; CREATE TABLE many.shared (a int, b varchar(5)); CREATE TABLE many.fence (seq int); INSERT INTO many.fence VALUES (0)")
	var wg sync.WaitGroup
	errs := make(chan error, 20)
	for i := range 20 {
		wg.Go(func() { errs <- work(ctx, i) })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	if n := count(t, admin, "many.shared"); n != 20*3*200 {
		t.Errorf("%d rows", n)
	}
	var seq int
	if err := admin.QueryRow(ctx, "SELECT seq FROM many.fence", pgx.QueryExecModeExec).Scan(&seq); err != nil || seq != 60 {
		t.Errorf("fence at %d: %v", seq, err)
	}
}

func work(ctx context.Context, i int) error {
	c, err := pgx.Connect(ctx, env.rs.DSN(loader, loaderPassword, ""))
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	table := fmt.Sprintf("many.t%d", i)
	from := " FROM 's3://" + bucketName + "/many/f.csv' " + role + " CSV"
	if _, err := c.Exec(ctx, "CREATE TABLE "+table+" (a int, b varchar(5))"); err != nil {
		return err
	}
	for range 3 {
		for _, sql := range []string{
			"BEGIN", "LOCK many.fence", "UPDATE many.fence SET seq = seq + 1", "COPY " + table + from, "DELETE FROM " + table + " WHERE b = 'a'",
			"COPY many.shared" + from, "COMMIT",
		} {
			if _, err := c.Exec(ctx, sql); err != nil {
				return fmt.Errorf("%s: %w", sql, err)
			}
		}
	}
	return nil
}

// TestUnreadFormats wants a plain refusal, after all other checks, of what this
// stand-in has no reader for.
func TestUnreadFormats(t *testing.T) {
	t.Parallel()
	put(t.Context(), t, "unread/a", []byte("PAR1"))
	put(t.Context(), t, "unread/m", []byte(`{"entries":[{"url":"s3://`+bucketName+`/unread/a","meta":{"content_length":4}}]}`))
	c := connect(t, env.rs)
	mustExec(t, c, "CREATE SCHEMA unread; CREATE TABLE unread.t (a int); CREATE TABLE unread.s (a int, s super)")
	from := " FROM 's3://" + bucketName + "/unread/m' " + role
	for tail, want := range map[string]string{
		"unread.t" + from + " MANIFEST FORMAT AS PARQUET FILLRECORD ACCEPTINVCHARS STATUPDATE OFF": "PARQUET is not part of this stand-in",
		"unread.s" + from + " MANIFEST FORMAT AS PARQUET SERIALIZETOJSON":                          "PARQUET is not part of this stand-in",
		"unread.t" + from + " FORMAT AS ORC":                                                       "ORC is not part of this stand-in",
		"unread.t" + from + " FORMAT AS SHAPEFILE SIMPLIFY AUTO":                                   "SHAPEFILE is not part of this stand-in",
		"unread.t" + from + " LZOP":                                                                "LZOP is not part of this stand-in",
		"unread.t" + from + " ENCODING EUCJP":                                                      "ENCODING EUCJP is not part of this stand-in",
	} {
		_, err := c.Exec(t.Context(), "COPY "+tail)
		if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.Code != "0A000" || !strings.Contains(pg.Message, want) {
			t.Errorf("COPY %s: %v", tail, err)
		}
	}
}

// TestEmittedRowsAreTaken loads odd values into every type: PostgreSQL may
// refuse none that the loader let through.
func TestEmittedRowsAreTaken(t *testing.T) {
	t.Parallel()
	values := []string{
		"0", "-0", "+1", "007", "1e-320", "4e-324", "1e-46", "3.4e38", "1e38", "+.5e+3", "5.", ".5", "-.0", "99999999999999999999999999999999999999",
		"0001-01-01", "9999-12-31 23:59:59.999999", "2020-02-29", "1900-02-29", "Jan-01-4713 BC", "Dec-31-01 BC", "J0", "J1", "J5373484", "J9999999",
		"0001-01-01 00:00:00+15:59", "9999-12-31 23:59:59-15:59", "Jan-01-4713 BC", "0000.366", "2020.366", "2021.366", "19960108 040809", "960108",
		"10:00:00+15:59", "10:00:00-15:59", "00:00:00.000001", "23:59:59.999999", "10:00:00 +02", "true", "N", "é", "\U0001f600", "\ufffe", "a\\b", "\\.", "\\N", "\ttab",
		`{"a":{"b":[1.5,null,true,"x\u0000y","😀"]}}`, `"\u0001"`, `[1e300,-1e-300,12345678901234567890123456789012345678]`, "00", "ABcd", "abcd0", "x'00'",
	}
	var b bytes.Buffer
	for _, v := range values {
		fmt.Fprintf(&b, "%s\n", v)
	}
	put(t.Context(), t, "odd/a", b.Bytes())
	c := connect(t, env.rs)
	mustExec(t, c, "CREATE SCHEMA odd")
	for i, typ := range []string{
		"varchar(9)", "char(5)", "smallint", "integer", "bigint", "decimal(38,0)", "decimal(38,37)", "decimal(5,2)", "real", "float8", "boolean", "date", "timestamp",
		"timestamptz", "time", "timetz", "super", "varbyte(2)",
	} {
		table := fmt.Sprintf("odd.t%d", i)
		mustExec(t, c, "CREATE TABLE "+table+" (a "+typ+")")
		for _, options := range []string{"", "DATEFORMAT 'auto' TIMEFORMAT 'auto'", "ACCEPTINVCHARS TRUNCATECOLUMNS ROUNDEC ESCAPE TIMEFORMAT 'epochsecs'"} {
			mustExec(t, c, "COPY "+table+" FROM 's3://"+bucketName+"/odd/a' "+role+" IGNOREALLERRORS DELIMITER '\x01' "+options)
		}
		if count(t, c, table) == 0 {
			t.Errorf("%s took no value", typ)
		}
	}
}

// TestTableInfo wants no row for a table that was never filled, and rows for
// superusers alone.
func TestTableInfo(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	if err := env.rs.CreateUser(ctx, "chief", loaderPassword); err != nil {
		t.Fatal(err)
	}
	admin, err := pgx.Connect(ctx, env.pg.SuperuserDSN("facts"))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(ctx)
	mustExec(t, admin, "ALTER ROLE chief SUPERUSER")
	put(ctx, t, "info/a", []byte("1\n"))
	c := connect(t, env.rs)
	mustExec(t, c, "CREATE SCHEMA info; CREATE TABLE info.none (a int); CREATE TABLE info.some (a int)")
	mustExec(t, c, "COPY info.some FROM 's3://"+bucketName+"/info/a' "+role)
	chief, err := pgx.Connect(ctx, env.rs.DSN("chief", loaderPassword, ""))
	if err != nil {
		t.Fatal(err)
	}
	defer chief.Close(ctx)
	rows, err := chief.Query(ctx, `SELECT "table" FROM svv_table_info WHERE schema = 'info'`, pgx.QueryExecModeExec)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(got) != 1 || got[0] != "some" {
		t.Errorf("tables %v, %v", got, err)
	}
	var n int
	if err := chief.QueryRow(ctx, "SELECT count(*) FROM sys_load_history WHERE data_source LIKE '%/info/a'", pgx.QueryExecModeExec).Scan(&n); err != nil || n != 1 {
		t.Errorf("the superuser sees %d loads of others, %v", n, err)
	}
}
