package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/source"
)

// What --only takes.
const (
	partSource   = "source"
	partRedshift = "redshift"
	partIAM      = "iam"
)

type setupFlags struct {
	print                     bool
	provider, only, role, dsn string
}

func newSetupCommand(file *string) *cobra.Command {
	var f setupFlags
	cmd := &cobra.Command{
		Use:   "setup --print",
		Short: "Print what the administrators run: role, grants, publication, Redshift user, IAM policies",
		Long: `setup prints what walshift needs and may not do itself: for PostgreSQL a psql
script (role, grants, publication), for Redshift the user and its schemas, for
AWS the policies. Nothing is run, and no password is printed.

With a source that can be asked the real tables are named, and those whose
publication would harm the application are commented out with the statement that
helps. Any role may ask; before walshift's own exists give yours by --dsn. Else
the scripts have placeholders.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case !f.print:
				return exitWith(exitUsage, errors.New("give --print: walshift runs none of it by itself"))
			case !slices.Contains([]string{"", partSource, partRedshift, partIAM}, f.only):
				return exitWith(exitUsage, fmt.Errorf("--only %s: want source, redshift or iam", f.only))
			case !slices.Contains(providers(), f.provider):
				return exitWith(exitUsage, fmt.Errorf("--provider %s: want %s", f.provider, strings.Join(providers(), ", ")))
			}
			c, err := loadConfig(*file)
			if err != nil {
				return err
			}
			s, err := c.setup(cmd.Context(), f)
			if err != nil {
				return exitWith(exitUsage, err)
			}
			_, err = cmd.OutOrStdout().Write([]byte(s.text(f.only)))
			return err
		},
	}
	cmd.Flags().BoolVar(&f.print, "print", false, "print to standard output")
	cmd.Flags().StringVar(&f.provider, "provider", providerSelf, "of the source: "+strings.Join(providers(), ", "))
	cmd.Flags().StringVar(&f.only, "only", "", "print one part: source (a psql script), redshift (SQL), iam (JSON)")
	cmd.Flags().StringVar(&f.role, "role", "", "role of PostgreSQL that walshift will use (default: the one in source.dsn)")
	cmd.Flags().StringVar(&f.dsn, "dsn", "", "connection string to read the source's tables with (default: source.dsn); passwords: PGPASSWORD, ~/.pgpass")
	return cmd
}

// The providers of the source.
const (
	providerSelf   = "self-hosted"
	providerRDS    = "rds"
	providerAurora = "aurora"
)

func providers() []string { return []string{providerSelf, providerRDS, providerAurora} }

// setup is what the printed text depends on.
type setup struct {
	pipeline, provider                string
	role, database, publication, slot string
	include                           []string
	managed                           bool
	user, house, iamRole, existing    string
	schemas                           map[string]string // source schema to target schema
	bucket, folder, region, kmsKey    string
	tables                            []source.Candidate
	state                             source.PublicationState
	unknown                           string // why the source's tables are not known; "" if they are
}

// setup gathers it. An unreachable source is no error.
func (c *fileConfig) setup(ctx context.Context, f setupFlags) (*setup, error) {
	from, err := pgx.ParseConfig(c.Source.DSN)
	if err != nil {
		return nil, errors.New("source.dsn is not a valid connection string")
	}
	to, err := pgx.ParseConfig(c.Redshift.DSN)
	if err != nil {
		return nil, errors.New("redshift.dsn is not a valid connection string")
	}
	bucket, prefix, _ := strings.Cut(strings.TrimPrefix(c.Log.URL, "s3://"), "/")
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix += "/"
	}
	s := &setup{
		pipeline: c.Pipeline, provider: f.provider, role: cmp.Or(f.role, from.User), database: from.Database,
		publication: c.Source.Publication.Name, slot: c.Source.Slot, include: c.Source.Tables.Include,
		managed: c.Source.Publication.Mode == "managed", user: to.User, house: to.Database, iamRole: c.Redshift.IAMRole,
		existing: c.Target.Existing, schemas: c.Target.Schemas,
		bucket: bucket, folder: prefix + c.Pipeline + "/", region: c.Log.Region, kmsKey: c.Log.KMSKey,
	}
	cfg := c.source()
	cfg.DSN = cmp.Or(f.dsn, cfg.DSN)
	src, err := source.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("--dsn: %w", err)
	}
	if s.tables, s.state, err = src.Survey(ctx); err != nil {
		s.unknown = "connecting failed"
		if fault, ok := errors.AsType[*change.Fault](err); ok && fault.Err != nil {
			s.unknown = strings.Join(strings.Fields(fault.Err.Error()), " ")
		}
	}
	return s, nil
}

// text is one part, or all of them under headings.
func (s *setup) text(only string) string {
	switch only {
	case partSource:
		return s.sourceScript()
	case partRedshift:
		return s.redshiftScript()
	case partIAM:
		return s.policies()
	}
	return "-- ==== PostgreSQL: a psql script (alone: --only source) ====\n\n" + s.sourceScript() +
		"\n-- ==== Redshift: SQL (alone: --only redshift) ====\n\n" + s.redshiftScript() +
		"\n-- ==== AWS: IAM policies as JSON (alone: --only iam) ====\n\n" + s.policies()
}

// target returns the schema on Redshift for a schema of the source.
func (s *setup) target(schema string) string {
	if to, ok := s.schemas[schema]; ok {
		return to
	}
	return schema
}

// sourceSchemas are the schemas of the selected tables: of the real ones where
// they are known, else those that the patterns name.
func (s *setup) sourceSchemas() (schemas []string, open bool) {
	set := map[string]bool{}
	for i := range s.tables {
		set[s.tables[i].Schema] = true
	}
	if s.unknown != "" {
		for _, pattern := range s.include {
			schema, _, _ := strings.Cut(pattern, ".")
			if strings.ContainsAny(schema, "*?") {
				open = true
			} else {
				set[schema] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(set)), open
}
