// Package store prepares a PostgreSQL database to hold what a Redshift database
// holds: Redshift's types, functions and system views, and the tables in which
// the stand-in keeps its own records.
//
// Everything that a client can see lives in pg_catalog, where every
// search_path finds it; types that PostgreSQL names otherwise are in rs_types,
// records in rs_internal.
package store

import (
	"context"
	"embed"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

//go:embed *.sql
var files embed.FS

// version is that of the SQL files; databases of another one are refused.
const version = 3

// ErrVersion says that the database was prepared by another version.
var ErrVersion = errors.New("the database was prepared by another version of the stand-in: drop it")

// OIDs are the object ids of the stand-in's types.
type OIDs struct{ Varchar, Super, Varbyte, Geometry, Geography, Sketch uint32 }

// Prepare creates the database of dsn if it is missing, with the C collation
// that Redshift's byte order asks for, and fills it. It may be called again.
func Prepare(ctx context.Context, dsn string) (OIDs, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return OIDs{}, fmt.Errorf("parsing backend dsn: %w", err)
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Code == "3D000" {
		if err = create(ctx, cfg); err != nil {
			return OIDs{}, err
		}
		conn, err = pgx.ConnectConfig(ctx, cfg)
	}
	if err != nil {
		return OIDs{}, fmt.Errorf("connecting to backend: %w", err)
	}
	defer conn.Close(ctx)
	if err := fill(ctx, conn); err != nil {
		return OIDs{}, err
	}
	var o OIDs
	err = conn.QueryRow(ctx, "SELECT 'rs_types.varchar'::regtype::oid, 'super'::regtype::oid, 'varbyte'::regtype::oid, 'geometry'::regtype::oid,"+
		" 'geography'::regtype::oid, 'hllsketch'::regtype::oid").Scan(&o.Varchar, &o.Super, &o.Varbyte, &o.Geometry, &o.Geography, &o.Sketch)
	if err != nil {
		return OIDs{}, fmt.Errorf("reading type ids: %w", err)
	}
	return o, nil
}

func create(ctx context.Context, cfg *pgx.ConnConfig) error {
	admin := cfg.Copy()
	admin.Database = "postgres"
	conn, err := pgx.ConnectConfig(ctx, admin)
	if err != nil {
		return fmt.Errorf("connecting to database postgres: %w", err)
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{cfg.Database}.Sanitize()+" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'")
	if err != nil {
		return fmt.Errorf("creating database %s: %w", cfg.Database, err)
	}
	return nil
}

func fill(ctx context.Context, conn *pgx.Conn) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return fmt.Errorf("beginning to prepare backend: %w", err)
	}
	defer tx.Rollback(ctx)
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(7255734)"); err != nil {
		return fmt.Errorf("locking backend: %w", err)
	}
	var there bool
	if err := tx.QueryRow(ctx, "SELECT to_regclass('rs_internal.bootstrap') IS NOT NULL").Scan(&there); err != nil {
		return fmt.Errorf("reading backend state: %w", err)
	}
	if there {
		var v int
		if err := tx.QueryRow(ctx, "SELECT version FROM rs_internal.bootstrap").Scan(&v); err != nil {
			return fmt.Errorf("reading backend version: %w", err)
		}
		if v != version {
			return ErrVersion
		}
		_, err := tx.Exec(ctx, "DELETE FROM rs_internal.sessions s WHERE NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = s.pid)")
		if err != nil {
			return fmt.Errorf("clearing session records: %w", err)
		}
		return tx.Commit(ctx)
	}
	if err := run(ctx, tx); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// run runs the files in their order.
func run(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, "SET LOCAL allow_system_table_mods = on; SET LOCAL client_min_messages = error; SET LOCAL standard_conforming_strings = on"); err != nil {
		return fmt.Errorf("preparing backend: %w", err)
	}
	for _, name := range []string{"types", "functions", "super", "strings", "dates", "aggregates", "system", "views", "catalog"} {
		text, err := files.ReadFile(name + ".sql")
		if err != nil {
			return fmt.Errorf("reading %s.sql: %w", name, err)
		}
		if _, err := tx.Exec(ctx, string(text)); err != nil {
			return fmt.Errorf("preparing backend with %s.sql: %w", name, err)
		}
	}
	return nil
}
