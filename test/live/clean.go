package main

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/walshift/walshift/test/world"
)

// tearDown has walshift remove what the main job made.
func (l *live) tearDown(ctx context.Context, w *world.World) {
	ctx, cancel := context.WithTimeout(ctx, cleanLimit)
	defer cancel()
	w.KillDaemon()
	out, code, err := w.Command(ctx, "teardown", "--yes", "--drop-targets")
	if err != nil || code != 0 {
		l.report.job.fault("walshift teardown: exit code %d, %v\n%s", code, err, out)
	}
	if _, err := l.query(ctx, "DROP SCHEMA IF EXISTS "+l.schema()); err != nil {
		l.report.job.fault("%v", err)
	}
	if l.report.stateExisted {
		return
	}
	// Teardown leaves the schema, for it may be another pipeline's too. RESTRICT
	// is the default: what is not empty stays.
	if _, err := l.query(ctx, "DROP SCHEMA IF EXISTS walshift"); err != nil {
		l.report.job.fault("%v", err)
	}
}

// lookBehind lists what is left in the database and the bucket.
func (l *live) lookBehind(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, cleanLimit)
	defer cancel()
	left := func(format string, args ...any) { l.report.left = append(l.report.left, fmt.Sprintf(format, args...)) }
	schemas, err := l.query(ctx, fmt.Sprintf("SELECT nspname FROM pg_namespace WHERE substring(nspname, 1, %d) = '%s'", len(l.schema()), l.schema()))
	if err != nil {
		left("unknown: %v", err)
	}
	for _, s := range schemas {
		left("schema %s: DROP SCHEMA %s CASCADE", s, s)
	}
	tables, err := l.query(ctx, "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'walshift' AND position('"+
		l.pipeline()+"' IN c.relname) > 0")
	if err != nil {
		left("unknown: %v", err)
	}
	for _, t := range tables {
		left("table walshift.%s", t)
	}
	pages := s3.NewListObjectsV2Paginator(l.s3, &s3.ListObjectsV2Input{Bucket: &l.bucket, Prefix: aws.String(l.folder() + "/")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			left("unknown: listing s3://%s/%s/: %v", l.bucket, l.folder(), err)
			return
		}
		for _, o := range page.Contents {
			left("object s3://%s/%s", l.bucket, aws.ToString(o.Key))
		}
	}
}
