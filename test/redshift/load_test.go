package redshift_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jackc/pgx/v5"
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
