// Package compare tells whether two databases hold the same rows: it reads a
// table on both sides in the same order, row by row, and hashes what it reads.
// A table without a key has no order: its rows are counted.
//
// It shares no code with walshift, on purpose: what it finds identical was not
// made so by a mistake on both sides. It knows PostgreSQL as the source, and
// anything that speaks PostgreSQL's simple query protocol as the target.
//
//  1. Both sides are read by a plain SELECT in text form. Memory does not grow
//     with the table, but for one without a key: there it takes some 200 bytes
//     per different row.
//  2. A value is compared by its canonical text, which depends on the type that
//     the column has on the source: see canonical.
//  3. Rows are counted and hashed to the end also when a difference was found,
//     so that both sides' totals are known.
package compare

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"
)

// Side is what was read on one side of a table.
type Side struct {
	Rows int64
	// Hash is the SHA-256, in hexadecimal, over the canonical text of all
	// values of all rows in order; of a table without a key the sum of the
	// rows' hashes, which no order changes.
	Hash string
}

// Result is the comparison of one table.
type Result struct {
	Table          Table
	Source, Target Side
	// Difference says where the sides part for the first time; empty if they
	// don't.
	Difference string
}

// Identical tells whether both sides hold the same rows.
func (r Result) Identical() bool {
	return r.Difference == "" && r.Source == r.Target
}

// Tables compares tables one after the other. The target's tables have the
// source's names, in a schema of targetSchema. Neither side may change
// meanwhile; both connections get other settings and can't be used for much
// else afterwards.
func Tables(ctx context.Context, source, target *pgx.Conn, targetSchema string, tables []Table) ([]Result, error) {
	for _, side := range []*pgx.Conn{source, target} {
		if err := pin(ctx, side.PgConn()); err != nil {
			return nil, err
		}
	}
	results := make([]Result, 0, len(tables))
	for _, table := range tables {
		result, err := compareTable(ctx, source, target, targetSchema, table)
		if err != nil {
			return results, fmt.Errorf("comparing table %s: %w", table.Name, err)
		}
		results = append(results, result)
	}
	return results, nil
}

// pin fixes the settings that the text of a value depends on, as far as the
// server knows them.
func pin(ctx context.Context, conn *pgconn.PgConn) error {
	for _, setting := range []string{"DateStyle TO 'ISO, YMD'", "TimeZone TO 'UTC'", "extra_float_digits TO 2"} {
		if _, err := conn.Exec(ctx, "SET "+setting).ReadAll(); err != nil {
			return fmt.Errorf("setting %s: %w", setting, err)
		}
	}
	return nil
}

func compareTable(ctx context.Context, source, target *pgx.Conn, targetSchema string, table Table) (Result, error) {
	if !table.hasKey() {
		return compareMultiset(ctx, source, target, targetSchema, table)
	}
	// Room for the rows that one side reads while the other is asked for more.
	const ahead = 1024
	left, right := make(chan row, ahead), make(chan row, ahead)
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return read(groupCtx, source.PgConn(), table.query(table.Schema, true), left)
	})
	group.Go(func() error {
		return read(groupCtx, target.PgConn(), table.query(targetSchema, false), right)
	})
	result := Result{Table: table}
	group.Go(func() error {
		result.Source, result.Target, result.Difference = walk(table, left, right)
		return nil
	})
	return result, group.Wait()
}

// row holds the values of a row as the server wrote them; nil is NULL.
type row [][]byte

// read sends a query's rows, then closes the channel.
func read(ctx context.Context, conn *pgconn.PgConn, query string, rows chan<- row) (err error) {
	defer close(rows)
	results := conn.Exec(ctx, query)
	defer func() { err = errors.Join(err, results.Close()) }()
	for results.NextResult() {
		reader := results.ResultReader()
		for reader.NextRow() {
			select {
			case rows <- clone(reader.Values()):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

// clone copies values out of the connection's buffer; an empty value stays
// apart from NULL.
func clone(values [][]byte) row {
	size := 0
	for _, value := range values {
		size += len(value)
	}
	buffer := make([]byte, 0, size+1)
	copied := make(row, len(values))
	for i, value := range values {
		if value != nil {
			begin := len(buffer)
			buffer = append(buffer, value...)
			copied[i] = buffer[begin:len(buffer):len(buffer)]
		}
	}
	return copied
}

// walk takes both sides' rows to their ends, in pairs.
func walk(table Table, left, right <-chan row) (source, target Side, difference string) {
	sourceSum, targetSum := newSum(), newSum()
	for {
		a, moreLeft := <-left
		b, moreRight := <-right
		if !moreLeft && !moreRight {
			break
		}
		if moreLeft {
			table.canonicalise(a)
			sourceSum.add(a)
		}
		if moreRight {
			table.canonicalise(b)
			targetSum.add(b)
		}
		if difference == "" {
			difference = table.difference(a, b, max(sourceSum.rows, targetSum.rows))
		}
	}
	return sourceSum.side(), targetSum.side(), difference
}

// difference describes how two rows at the same place differ, or returns
// nothing. A nil row is one that its side doesn't have.
func (t Table) difference(source, target row, number int64) string {
	place := "row " + strconv.FormatInt(number, 10)
	switch {
	case source == nil:
		return place + ": the source has ended, the target goes on with " + t.label(target)
	case target == nil:
		return place + ": the target has ended, the source goes on with " + t.label(source)
	}
	var columns []string
	for i := range t.Columns {
		if (source[i] == nil) != (target[i] == nil) || !bytes.Equal(source[i], target[i]) {
			columns = append(columns, t.Columns[i].Name+" is "+show(source[i])+" on the source, "+show(target[i])+" on the target")
		}
	}
	if len(columns) == 0 {
		return ""
	}
	return place + ", " + t.label(source) + ": " + strings.Join(columns, "; ")
}

// label names a row by its key, or by all that it has if there is none.
func (t Table) label(values row) string {
	var parts []string
	for i, column := range t.Columns {
		if column.Key > 0 || !t.hasKey() {
			parts = append(parts, column.Name+" = "+show(values[i]))
		}
	}
	return strings.Join(parts, ", ")
}

func show(value []byte) string {
	const shown = 60
	switch {
	case value == nil:
		return "NULL"
	case len(value) > shown:
		return strconv.Quote(string(value[:shown])) + "…"
	}
	return strconv.Quote(string(value))
}

// sum hashes rows.
type sum struct {
	rows int64
	hash hash.Hash
}

func newSum() *sum { return &sum{hash: sha256.New()} }

// add hashes a row: before each value its length, or a mark for NULL, so that
// no two different rows give the same bytes.
func (s *sum) add(values row) {
	s.rows++
	var length [8]byte
	for _, value := range values {
		size := ^uint64(0)
		if value != nil {
			size = uint64(len(value))
		}
		binary.BigEndian.PutUint64(length[:], size)
		write(s.hash, length[:])
		write(s.hash, value)
	}
}

func (s *sum) side() Side {
	return Side{Rows: s.rows, Hash: hex.EncodeToString(s.hash.Sum(nil))}
}

// write hashes bytes; a hash never returns an error.
func write(w io.Writer, p []byte) { _, _ = w.Write(p) }
