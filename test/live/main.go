package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jackc/pgx/v5"
)

// The names of the main job and the folder of the cases.
const (
	mainJob    = "main job"
	factsDir   = "test/redshift/facts"
	cleanLimit = 5 * time.Minute
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "live:", err)
		stop()
		os.Exit(1)
	}
	stop()
}

// settings are the command line and the environment.
type settings struct {
	dsn, otherDSN, bucket, role, region, endpoint string

	reportFile, facts string
	only              *regexp.Regexp
	traffic           time.Duration
	perCase, all      time.Duration
	parallel          int
}

// live is one run.
type live struct {
	settings
	id     string
	out    io.Writer
	s3     *s3.Client
	began  time.Time
	report report
}

func (l *live) schema() string   { return "walshift_live_" + l.id }
func (l *live) folder() string   { return "walshift-live-" + l.id }
func (l *live) pipeline() string { return "live_" + l.id }

// say tells of progress.
func (l *live) say(format string, args ...any) {
	_, _ = fmt.Fprintf(l.out, "%6.1f s  %s\n", time.Since(l.began).Seconds(), fmt.Sprintf(format, args...))
}

// run reads its settings, runs everything, and writes the report. The error
// says in one line what a caller must know: what differs, or was left behind.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	s, err := parse(args, stdout)
	if err != nil {
		return err
	}
	secrets, err := secretsOf(s.dsn, s.otherDSN)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.all)
	defer cancel()
	id := make([]byte, 4)
	_, _ = rand.Read(id)
	l := &live{settings: s, id: hex.EncodeToString(id), out: &redactor{w: stdout, secrets: secrets}, began: time.Now()}
	if err := l.all(ctx); err != nil {
		return errors.New(redact(err.Error(), secrets))
	}
	return nil
}

// all does the work; the report is written whatever comes.
func (l *live) all(ctx context.Context) error {
	if err := l.connect(ctx); err != nil {
		return err
	}
	err := l.runCases(ctx)
	if err == nil && l.wanted(mainJob) {
		err = l.runMainJob(ctx)
	}
	l.lookBehind(context.WithoutCancel(ctx))
	l.report.took = time.Since(l.began)
	return errors.Join(err, l.writeReport(), l.report.verdict())
}

func parse(args []string, stdout io.Writer) (settings, error) {
	s := settings{
		dsn: os.Getenv("DSN"), otherDSN: os.Getenv("OTHER_DSN"), bucket: os.Getenv("BUCKET"), role: os.Getenv("IAM_ROLE"),
		region: os.Getenv("REGION"), endpoint: os.Getenv("ENDPOINT"),
	}
	flags := flag.NewFlagSet("live", flag.ContinueOnError)
	flags.SetOutput(stdout)
	only := flags.String("run", "", "run only the cases that match this regexp; the main job is called \""+mainJob+"\"")
	flags.StringVar(&s.reportFile, "report", "", "write the report to this file too")
	flags.StringVar(&s.facts, "facts", factsDir, "the folder of the cases")
	flags.DurationVar(&s.traffic, "traffic", time.Minute, "how long the main job writes")
	flags.DurationVar(&s.perCase, "case", 10*time.Minute, "the bound of one case, and of its cleaning up")
	flags.DurationVar(&s.all, "all", 3*time.Hour, "the bound of the whole")
	flags.IntVar(&s.parallel, "parallel", 4, "how many cases run at once")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	var err error
	if s.only, err = regexp.Compile(*only); err != nil {
		return s, fmt.Errorf("reading -run: %w", err)
	}
	for name, value := range map[string]string{"DSN": s.dsn, "BUCKET": s.bucket, "IAM_ROLE": s.role} {
		if value == "" {
			err = errors.Join(err, fmt.Errorf("%s is not set: make live-redshift DSN=… BUCKET=… IAM_ROLE=…", name))
		}
	}
	return s, err
}

func (l *live) wanted(name string) bool { return l.only.MatchString(name) }

// connect makes the S3 client and asks the cluster for its version.
func (l *live) connect(ctx context.Context) error {
	var options []func(*config.LoadOptions) error
	if l.region != "" {
		options = append(options, config.WithRegion(l.region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return fmt.Errorf("reading the AWS configuration: %w", err)
	}
	if l.region = cfg.Region; l.region == "" {
		return errors.New("the bucket's region is not known: set REGION or AWS_REGION")
	}
	l.s3 = s3.NewFromConfig(cfg, func(o *s3.Options) {
		if l.endpoint != "" {
			o.BaseEndpoint, o.UsePathStyle = aws.String(l.endpoint), true
		}
	})
	rows, err := l.query(ctx, "SELECT version()")
	if err != nil {
		return err
	}
	if _, err := l.s3.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &l.bucket}); err != nil {
		return fmt.Errorf("looking at bucket %s: %w", l.bucket, err)
	}
	l.report.began, l.report.version = l.began, rows[0]
	if rows, err = l.query(ctx, "SELECT count(*) FROM pg_namespace WHERE nspname = 'walshift'"); err != nil {
		return err
	}
	l.report.stateExisted = rows[0] != "0"
	l.say("%s", l.report.version)
	return nil
}

// query runs one statement on the cluster and returns the first column.
func (l *live) query(ctx context.Context, sql string) ([]string, error) {
	cfg, err := pgx.ParseConfig(l.dsn)
	if err != nil {
		return nil, errors.New("the DSN can't be parsed (not shown, for it may hold a password)")
	}
	cfg.ConnectTimeout = time.Minute
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	defer conn.Close(ctx)
	results, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("running %.80q: %w", sql, err)
	}
	var out []string
	for _, r := range results {
		for _, row := range r.Rows {
			out = append(out, string(row[0]))
		}
	}
	return out, nil
}
