package main

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"
)

// validate reports every setting that is missing or out of its range. The
// packages check their own sections again when they are opened; here all
// faults come at once, with the file's key names.
func (c *fileConfig) validate() []error {
	var errs []error
	need := func(ok bool, key, rule string) {
		if !ok {
			errs = append(errs, fmt.Errorf("  %s: %s", key, rule))
		}
	}
	oneOf := func(v, key string, allowed ...string) {
		need(slices.Contains(allowed, v), key, fmt.Sprintf("%q is not one of %s", v, strings.Join(allowed, ", ")))
	}
	name := regexp.MustCompile(`^[a-z][a-z0-9_]{0,40}$`)
	need(name.MatchString(c.Pipeline), "pipeline", "must be 1 to 41 of a-z, 0-9 and _, beginning with a letter")
	if name.MatchString(c.Pipeline) {
		if c.Source.Slot == "" {
			c.Source.Slot = "walshift_" + c.Pipeline
		}
		if c.Source.Publication.Name == "" {
			c.Source.Publication.Name = "walshift_" + c.Pipeline
		}
	}
	need(c.Source.DSN != "", "source.dsn", "must be set, for instance postgres://walshift@db:5432/shop?sslmode=verify-full")
	need(c.Source.Slot == "" || regexp.MustCompile(`^[a-z0-9_]{1,63}$`).MatchString(c.Source.Slot),
		"source.slot", "must be 1 to 63 of a-z, 0-9 and _")
	oneOf(c.Source.Publication.Mode, "source.publication.mode", "existing")
	need(len(c.Source.Tables.Include) > 0, "source.tables.include", "must name at least one table or pattern")
	oneOf(c.Snapshot.Mode, "snapshot.mode", "initial")
	need(c.Snapshot.Parallelism >= 1 && c.Snapshot.Parallelism <= 32, "snapshot.parallelism", "must be 1 to 32")
	need(c.Snapshot.FileBytes >= 1<<20 && c.Snapshot.FileBytes <= 1<<30, "snapshot.file_bytes", "must be 1MiB to 1GiB")
	need(strings.HasPrefix(c.Log.URL, "s3://") && len(c.Log.URL) > len("s3://"), "log.url", "must be s3://bucket/prefix")
	need(c.Log.Region != "", "log.region", "must be set, for instance eu-central-1")
	need(c.Log.Retention == 0 || c.Log.Retention >= time.Second, "log.retention", "must be 0s (for ever) or at least 1s")
	oneOf(c.Log.Compression, "log.compression", "zstd", "gzip")
	need(c.Redshift.DSN != "", "redshift.dsn", "must be set, for instance postgres://loader@cluster:5439/dw?sslmode=verify-full")
	need(c.Redshift.IAMRole != "", "redshift.iam_role", "must be default or a role's ARN")
	need(c.Redshift.Session.StatementTimeout >= 0, "redshift.session.statement_timeout", "must not be negative")
	oneOf(c.Target.Existing, "target.existing", "refuse")
	oneOf(c.Apply.Strategy, "apply.strategy", "auto", "merge", "delete_insert")
	need(c.Apply.Sessions >= 1 && c.Apply.Sessions <= 32, "apply.sessions", "must be 1 to 32")
	oneOf(c.Logging.Level, "logging.level", "debug", "info", "warn", "error")
	oneOf(c.Logging.Format, "logging.format", "json", "console")
	if c.HTTP.Listen != "" {
		_, _, err := net.SplitHostPort(c.HTTP.Listen)
		need(err == nil, "http.listen", "must be host:port")
	}
	cfg := c.replicator()
	if err := cfg.Validate(); err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			if !strings.HasPrefix(line, "pipeline:") && !strings.HasPrefix(line, "snapshot.parallelism:") {
				errs = append(errs, fmt.Errorf("  %s", line))
			}
		}
	}
	return errs
}
