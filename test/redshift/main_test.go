package redshift_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"go.uber.org/goleak"

	"github.com/walshift/walshift/test/cluster"
	"github.com/walshift/walshift/test/redshift"
)

const (
	loader         = "loader"
	loaderPassword = "secret"
	bucketName     = "facts"
)

// environment is what all tests of the package share.
type environment struct {
	pg *cluster.Postgres
	s3 *s3.Client
	s  *cluster.S3
	rs *redshift.Server
}

var env environment //nolint:gochecknoglobals // servers that take seconds to start, made once by TestMain

func TestMain(m *testing.M) {
	code, err := run(context.Background(), m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(ctx context.Context, m *testing.M) (code int, err error) {
	if env.pg, err = cluster.StartPostgres(ctx, cluster.PostgresConfig{}); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, env.pg.Stop()) }()
	if env.s, err = cluster.StartS3(ctx, cluster.S3Config{}); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, env.s.Stop()) }()
	if err = env.s.CreateBucket(ctx, bucketName); err != nil {
		return 1, err
	}
	env.s3 = env.s.Client()
	ignore := goleak.IgnoreCurrent()
	if env.rs, err = redshift.Start(ctx, config("facts")); err != nil {
		return 1, err
	}
	for _, u := range []string{loader, "other"} {
		if err = env.rs.CreateUser(ctx, u, loaderPassword); err != nil {
			return 1, err
		}
	}
	code = m.Run()
	if err = env.rs.Close(); err != nil {
		return 1, err
	}
	if code == 0 {
		err = goleak.Find(ignore, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
	}
	return code, err
}

// config serves a database of its own.
func config(database string) redshift.Config {
	return redshift.Config{
		Backend: env.pg.SuperuserDSN(database),
		S3: redshift.S3{
			Endpoint: env.s.Endpoint(), Region: env.s.Region(), PathStyle: true,
			AccessKey: env.s.AccessKey(), Secret: env.s.SecretKey(),
		},
	}
}
