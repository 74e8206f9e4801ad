package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pglogrepl"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/walshift/walshift/checkpoint"
	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/source"
	"github.com/walshift/walshift/sink/redshift"
	"github.com/walshift/walshift/sink/stage"
)

// checkFormat is the version of the JSON form of a report.
const checkFormat = 1

// checkLog is the check that compares the log with the warehouse.
const checkLog = "s3.log"

func newCheckCommand(file *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check source, S3 and Redshift, and show what would be loaded; changes nothing",
		Long: `check makes every check that a first start makes, on all three sides, shows each
with what was seen and the statement or step that mends it, and then what would
be loaded. Nothing is changed: a small object on S3 and a temporary table on
Redshift are written and removed again. It may run beside the daemon.

Exit code 0: nothing fails (there may be warnings), 1: something fails,
2: the configuration is wrong.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(*file)
			if err != nil {
				return err
			}
			r := c.check(cmd.Context())
			if err := r.write(cmd.OutOrStdout(), asJSON); err != nil {
				return exitWith(exitError, fmt.Errorf("writing the report: %w", err))
			}
			if n := r.Counts[change.LevelFail]; n > 0 {
				return exitWith(exitError, fmt.Errorf("checking: %d of the checks failed", n))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON (README describes it)")
	return cmd
}

// checkReport is what check found; its JSON is for machines, format checkFormat.
type checkReport struct {
	Format   int    `json:"format"`
	Pipeline string `json:"pipeline"`
	// Result is the gravest level of all findings: pass, warn or fail.
	Result   change.Level         `json:"result"`
	Counts   map[change.Level]int `json:"counts"`
	Findings change.Findings      `json:"findings"`
	// Plan is absent where the source's tables are not known.
	Plan *loadPlan `json:"plan,omitempty"`
}

// check makes all checks. What can't be reached is one fail, and its further
// checks are skipped.
func (c *fileConfig) check(ctx context.Context) *checkReport {
	r := &checkReport{Format: checkFormat, Pipeline: c.Pipeline, Result: change.LevelPass, Counts: map[change.Level]int{}}
	found, plan := c.checkSource(ctx)
	r.Findings.Add(found...)
	store, found := c.checkStore(ctx)
	r.Findings.Add(found...)
	var log *stage.Log
	if store != nil {
		log = store.log
		defer log.Close()
	}
	house, err := redshift.New(c.warehouse(), log, zap.NewNop())
	if err != nil {
		r.Findings.Fail(redshift.CheckConnection, err.Error(), "correct the configuration")
	} else {
		defer house.Close(context.WithoutCancel(ctx))
		r.Findings.Add(checkHouse(ctx, house, store, plan)...)
	}
	r.Findings.Add(c.checkSpool()...)
	r.Plan = newLoadPlan(plan, house, store, r.Findings)
	for _, level := range []change.Level{change.LevelPass, change.LevelSkipped, change.LevelWarn, change.LevelFail} {
		n := len(r.Findings.Of(level))
		r.Counts[level] = n
		if n > 0 && level != change.LevelSkipped {
			r.Result = level
		}
	}
	return r
}

// checkSource asks the source. The plan is nil where it could not be asked.
func (c *fileConfig) checkSource(ctx context.Context) (change.Findings, *source.Plan) {
	var f change.Findings
	src, err := source.New(c.source())
	var plan *source.Plan
	if err == nil {
		plan, err = src.Preflight(ctx)
	}
	if plan != nil {
		return plan.Findings, plan
	}
	unreachableSide(&f, source.CheckConnection, err, "check that the source is up, and host, port and sslmode in source.dsn")
	skipAll(&f, source.CheckIDs(), "the source could not be asked")
	return f, nil
}

// storeState is the log as it was found.
type storeState struct {
	log *stage.Log
	// last is the newest manifest, nil in an empty log.
	last *change.Manifest
}

// checkStore asks S3. It returns nil where the log can't be opened.
func (c *fileConfig) checkStore(ctx context.Context) (*storeState, change.Findings) {
	var f change.Findings
	log, err := stage.Open(ctx, c.stage())
	if err != nil {
		unreachableSide(&f, stage.CheckConnection, err, "check that S3 can be reached from here, and log.endpoint, log.region and log.url")
		skipAll(&f, append(stage.CheckIDs(), checkLog), "the log could not be opened")
		return nil, f
	}
	s := &storeState{log: log}
	f = log.Check(ctx)
	seq, err := log.Last(ctx)
	if err == nil && seq > 0 {
		s.last, err = log.Read(ctx, seq)
	}
	switch {
	case err != nil:
		unreachableSide(&f, checkLog, err, "look at the objects below "+log.URL("log/"))
	case s.last == nil:
		f.Pass(checkLog, "the log is empty: `walshift run` begins with a first load")
	default:
		f.Pass(checkLog, fmt.Sprintf("the pipeline is under way: batch %d reaches %s", s.last.Seq, pglogrepl.LSN(s.last.End)))
	}
	return s, f
}

// checkHouse asks the warehouse, and tries a COPY where S3 can be written.
func checkHouse(ctx context.Context, house *redshift.Warehouse, store *storeState, plan *source.Plan) change.Findings {
	var (
		f     change.Findings
		rels  []*change.Relation
		bytes int64
	)
	if plan != nil {
		rels = plan.Relations()
		_, bytes = plan.Estimates()
	}
	f, err := house.Inspect(ctx, rels, bytes)
	if err != nil {
		f = nil
		unreachableSide(&f, redshift.CheckConnection, err,
			"check that the warehouse is up, and host, port, sslmode and sslrootcert in redshift.dsn")
		skipAll(&f, redshift.CheckIDs(), "the warehouse could not be asked")
		return f
	}
	if store == nil {
		f.Skip(redshift.CheckCopy, "S3 can't be written")
		return f
	}
	f.Add(tryCopy(ctx, house, store.log)...)
	f.Add(orphaned(ctx, house, store)...)
	return f
}

// tryCopy lets the warehouse load a file that is put to S3 for it, and deletes
// the file.
func tryCopy(ctx context.Context, house *redshift.Warehouse, log *stage.Log) change.Findings {
	var f change.Findings
	probe, err := log.PutProbe(ctx)
	if err == nil {
		f.Add(house.CheckCopy(ctx, probe.File, probe.Manifest))
	} else {
		f.Skip(redshift.CheckCopy, "S3 can't be written")
	}
	if err := log.RemoveProbe(context.WithoutCancel(ctx), probe); err != nil {
		f.Warn(redshift.CheckCopy, "the file could not be deleted: "+err.Error(), "delete "+log.URL(probe.File.Key))
	}
	return f
}

// orphaned reports live tables of a pipeline whose log is gone, on which a
// start ends.
func orphaned(ctx context.Context, house *redshift.Warehouse, store *storeState) change.Findings {
	if store.last != nil {
		return nil
	}
	st, err := house.Peek(ctx)
	if err != nil {
		return nil // the daemon holds the fence, or Inspect has said it
	}
	for i := range st.Tables {
		if st.Tables[i].State == checkpoint.Live {
			return change.Findings{{
				ID: checkLog, Level: change.LevelFail, Seen: "the log on S3 is empty, but the warehouse has live tables of this pipeline",
				Remedy: "check log.url and pipeline; to load everything anew run `walshift teardown` first",
			}}
		}
	}
	return nil
}

// unreachableSide reports a side that could not be asked.
func unreachableSide(f *change.Findings, id string, err error, remedy string) {
	seen := err.Error()
	if fault, ok := errors.AsType[*change.Fault](err); ok {
		if fault.Err != nil {
			seen = fault.Op + ": " + fault.Err.Error()
		}
		if fault.Remedy != "" {
			remedy = fault.Remedy
		}
	}
	f.Fail(id, strings.ReplaceAll(seen, "\n\t", " "), remedy)
}

func skipAll(f *change.Findings, ids []string, reason string) {
	for _, id := range ids {
		if !f.Found(id) {
			f.Skip(id, reason)
		}
	}
}

func (r *checkReport) write(w io.Writer, asJSON bool) error {
	if !asJSON {
		_, err := io.WriteString(w, r.text())
		return err
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}
