package main

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"
)

// validate reports every setting that is missing or out of its range, all at
// once and with the file's key names. A section without a fault here is also
// shown to its package, which knows the rest of the rules.
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
	common := len(errs)
	need(c.Source.DSN != "", "source.dsn", "must be set, for instance postgres://walshift@db:5432/shop?sslmode=verify-full")
	need(c.Source.Slot == "" || regexp.MustCompile(`^[a-z0-9_]{1,63}$`).MatchString(c.Source.Slot),
		"source.slot", "must be 1 to 63 of a-z, 0-9 and _")
	oneOf(c.Source.Publication.Mode, "source.publication.mode", "existing")
	need(len(c.Source.Tables.Include) > 0, "source.tables.include", "must name at least one table or pattern")
	need(!slices.Contains(c.Source.Tables.Include, ""), "source.tables.include", "must not hold an empty pattern")
	need(!slices.Contains(c.Source.Tables.Exclude, ""), "source.tables.exclude", "must not hold an empty pattern")
	need(c.Source.SlotTimeout >= time.Second, "source.slot_timeout", "must be at least 1s")
	sourceFaults := len(errs)
	oneOf(c.Snapshot.Mode, "snapshot.mode", "initial")
	need(c.Snapshot.Parallelism >= 1 && c.Snapshot.Parallelism <= 32, "snapshot.parallelism", "must be 1 to 32")
	need(c.Snapshot.FileBytes >= 1<<20 && c.Snapshot.FileBytes <= 1<<30, "snapshot.file_bytes", "must be 1MiB to 1GiB")
	otherFaults := len(errs)
	need(strings.HasPrefix(c.Log.URL, "s3://") && len(c.Log.URL) > len("s3://"), "log.url", "must be s3://bucket/prefix")
	need(c.Log.Region != "", "log.region", "must be set, for instance eu-central-1")
	need(c.Log.Retention == 0 || c.Log.Retention >= time.Second, "log.retention", "must be 0s (for ever) or at least 1s")
	oneOf(c.Log.Compression, "log.compression", "zstd", "gzip")
	logFaults := len(errs)
	need(c.Redshift.DSN != "", "redshift.dsn", "must be set, for instance postgres://loader@cluster:5439/dw?sslmode=verify-full")
	need(c.Redshift.IAMRole != "", "redshift.iam_role", "must be default or a role's ARN")
	need(c.Redshift.Session.StatementTimeout >= 0, "redshift.session.statement_timeout", "must not be negative")
	oneOf(c.Target.Existing, "target.existing", "refuse")
	oneOf(c.Apply.Strategy, "apply.strategy", "auto", "merge", "delete_insert")
	need(c.Apply.Sessions >= 1 && c.Apply.Sessions <= 32, "apply.sessions", "must be 1 to 32")
	houseFaults := len(errs)
	oneOf(c.Logging.Level, "logging.level", "debug", "info", "warn", "error")
	oneOf(c.Logging.Format, "logging.format", "json", "console")
	if c.HTTP.Listen != "" {
		_, _, err := net.SplitHostPort(c.HTTP.Listen)
		need(err == nil, "http.listen", "must be host:port")
	}
	errs = append(errs, c.loopFaults()...)
	if common > 0 { // the packages know the pipeline as well, and would say it again
		return errs
	}
	if sourceFaults == common {
		errs = append(errs, lines("", c.source().Validate())...)
	}
	if logFaults == otherFaults {
		errs = append(errs, lines("log: ", c.stage().Validate())...)
	}
	if houseFaults == logFaults {
		house := c.warehouse()
		errs = append(errs, lines("", house.Validate())...)
	}
	return errs
}

// loopFaults reports what the loops' configuration knows and validate does not.
func (c *fileConfig) loopFaults() []error {
	cfg := c.replicator()
	return slices.DeleteFunc(lines("", cfg.Validate()), func(err error) bool {
		text := strings.TrimSpace(err.Error())
		return strings.HasPrefix(text, "pipeline:") || strings.HasPrefix(text, "snapshot.parallelism:")
	})
}

// lines splits joined errors into one per line of the report.
func lines(section string, err error) []error {
	if err == nil {
		return nil
	}
	var errs []error
	for line := range strings.SplitSeq(err.Error(), "\n") {
		errs = append(errs, fmt.Errorf("  %s%s", section, line))
	}
	return errs
}
