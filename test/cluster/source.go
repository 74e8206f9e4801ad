package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// SourceConfig names what the DBA makes for an application and its replication.
// Empty fields take the values of the comments.
type SourceConfig struct {
	Database    string // shop
	Schema      string // public
	Owner       string // <database>_owner: owns the database, the schema and its tables
	Replicator  string // <database>_repl: may read and replicate, owns nothing
	Publication string // walshift_<database>
	DDL         string // run as the owner: the application's tables
}

func (c SourceConfig) withDefaults() SourceConfig {
	fill := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	fill(&c.Database, "shop")
	fill(&c.Schema, "public")
	fill(&c.Owner, c.Database+"_owner")
	fill(&c.Replicator, c.Database+"_repl")
	fill(&c.Publication, "walshift_"+c.Database)
	return c
}

// Source is a database of an application, prepared for replication.
type Source struct {
	SourceConfig
	pg *Postgres
}

// CreateSource is [Postgres.CreateApplication] and the DBA's part for walshift: a
// role for replication with the least privileges that do: LOGIN and
// REPLICATION, CONNECT on the database, USAGE on the schema, SELECT on its
// tables, those to come included. The publication comes later, by
// [Source.Publish], when all tables are there. `walshift setup --print` says the
// same with fewer tables; package world uses that.
func (p *Postgres) CreateSource(ctx context.Context, cfg SourceConfig) (*Source, error) {
	s := &Source{SourceConfig: cfg.withDefaults(), pg: p}
	schema, owner, replicator := quote(s.Schema), quote(s.Owner), quote(s.Replicator)
	create := "CREATE ROLE " + replicator + " LOGIN REPLICATION PASSWORD " + literal(s.ReplicatorPassword())
	if err := execute(ctx, p.SuperuserDSN("postgres"), create); err != nil {
		return nil, err
	}
	if err := s.create(ctx); err != nil {
		return nil, err
	}
	return s, execute(ctx, s.SuperuserDSN(),
		"GRANT CONNECT ON DATABASE "+quote(s.Database)+" TO "+replicator,
		"GRANT USAGE ON SCHEMA "+schema+" TO "+replicator,
		"GRANT SELECT ON ALL TABLES IN SCHEMA "+schema+" TO "+replicator,
		"ALTER DEFAULT PRIVILEGES FOR ROLE "+owner+" IN SCHEMA "+schema+" GRANT SELECT ON TABLES TO "+replicator,
	)
}

// CreateApplication makes a database as an application and its DBA have made it
// before walshift comes: an owner role, a schema, the application's tables. The
// public has no rights in it.
//
// Roles belong to the whole cluster: one that exists already is used as it is.
func (p *Postgres) CreateApplication(ctx context.Context, cfg SourceConfig) (*Source, error) {
	s := &Source{SourceConfig: cfg.withDefaults(), pg: p}
	return s, s.create(ctx)
}

func (s *Source) create(ctx context.Context) error {
	database, schema, owner := quote(s.Database), quote(s.Schema), quote(s.Owner)
	err := execute(ctx, s.pg.SuperuserDSN("postgres"),
		"CREATE ROLE "+owner+" LOGIN PASSWORD "+literal(s.OwnerPassword()),
		"CREATE DATABASE "+database+" OWNER "+owner,
		"REVOKE ALL ON DATABASE "+database+" FROM PUBLIC",
	)
	if err != nil {
		return err
	}
	if err := s.pg.quiet(ctx, s.Owner); err != nil {
		return err
	}
	err = execute(ctx, s.SuperuserDSN(), "CREATE SCHEMA IF NOT EXISTS "+schema, "ALTER SCHEMA "+schema+" OWNER TO "+owner)
	if err != nil || s.DDL == "" {
		return err
	}
	return execute(ctx, s.OwnerDSN(), "SET search_path = "+schema, s.DDL)
}

// RunScript runs a psql script of `walshift setup --print` as the DBA. The
// replication role's password is in the variable that the script asks for.
func (s *Source) RunScript(ctx context.Context, script string) error {
	_, err := s.pg.Psql(ctx, s.SuperuserDSN(), "\\set walshift_password "+literal(s.ReplicatorPassword())+"\n"+script)
	return err
}

// OwnerPassword is the password of the application's role.
func (s *Source) OwnerPassword() string { return s.Owner + "-pw" }

// ReplicatorPassword is the password of the replication role.
func (s *Source) ReplicatorPassword() string { return s.Replicator + "-pw" }

// OwnerDSN returns the application's URL, by TCP.
func (s *Source) OwnerDSN() string {
	return s.pg.DSN(s.Owner, s.OwnerPassword(), s.Database)
}

// ReplicatorDSN returns the URL for replication, by TCP.
func (s *Source) ReplicatorDSN() string {
	return s.pg.DSN(s.Replicator, s.ReplicatorPassword(), s.Database)
}

// ReplicatorSocketDSN returns the URL for replication, by the Unix socket.
func (s *Source) ReplicatorSocketDSN() string {
	return s.pg.SocketDSN(s.Replicator, s.ReplicatorPassword(), s.Database)
}

// SuperuserDSN returns the database's URL for the superuser.
func (s *Source) SuperuserDSN() string { return s.pg.SuperuserDSN(s.Database) }

// Publish creates the publication as the DBA, for the given tables of the
// schema, or for all ordinary and partitioned tables that it holds now. Changes
// to partitions are published as changes of the partitioned table.
func (s *Source) Publish(ctx context.Context, tables ...string) error {
	if len(tables) == 0 {
		var err error
		if tables, err = s.tables(ctx); err != nil {
			return err
		}
	}
	if len(tables) == 0 {
		return fmt.Errorf("publishing schema %s of database %s: it has no tables", s.Schema, s.Database)
	}
	names := make([]string, 0, len(tables))
	for _, table := range tables {
		names = append(names, pgx.Identifier{s.Schema, table}.Sanitize())
	}
	return execute(ctx, s.SuperuserDSN(), "CREATE PUBLICATION "+quote(s.Publication)+" FOR TABLE "+
		strings.Join(names, ", ")+" WITH (publish_via_partition_root = true)")
}

// tables returns the names of the schema's tables, without partitions and what
// belongs to extensions.
func (s *Source) tables(ctx context.Context) ([]string, error) {
	conn, err := pgx.Connect(ctx, s.SuperuserDSN())
	if err != nil {
		return nil, fmt.Errorf("listing the tables of schema %s: %w", s.Schema, err)
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `
		SELECT relname FROM pg_class c
		WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
		  AND relkind IN ('r', 'p') AND NOT relispartition AND relpersistence = 'p'
		  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
		ORDER BY relname COLLATE "C"`, s.Schema)
	if err != nil {
		return nil, fmt.Errorf("listing the tables of schema %s: %w", s.Schema, err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("listing the tables of schema %s: %w", s.Schema, err)
	}
	return names, nil
}

// execute runs statements one by one on a connection of their own. A role that
// exists already is no error.
func execute(ctx context.Context, dsn string, statements ...string) error {
	conn, err := pgconn.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("connecting as the DBA: %w", err)
	}
	defer conn.Close(ctx)
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement).ReadAll(); err != nil && !isExistingRole(statement, err) {
			return fmt.Errorf("running %q: %w", statement, err)
		}
	}
	return nil
}

func isExistingRole(statement string, err error) bool {
	const duplicateObject = "42710"
	var answer *pgconn.PgError
	return strings.HasPrefix(statement, "CREATE ROLE ") && errors.As(err, &answer) && answer.Code == duplicateObject
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

// literal quotes a string under standard_conforming_strings, the default.
func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
