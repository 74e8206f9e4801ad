package compare

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"
)

// rowColumn is what walshift gives the target of a table whose rows it tells
// apart by their whole image: a hash of it, in hexadecimal.
const (
	rowColumn     = "_walshift_row"
	rowHashLength = 32
)

// digest is what a row is known by.
type digest [sha256.Size]byte

// bag counts rows without regard to their order.
type bag struct {
	table Table
	// surplus is, per row, how many more of it the source has than the target.
	surplus        map[digest]int64
	source, target bagSum
	// hashes and rows are the target's hash of each row and the other way.
	hashes map[digest]string
	rows   map[string]digest
	fault  string
}

// compareMultiset compares a table without a key: rows as often as they occur.
// Where the target has a column of hashes, they are as different as the rows.
func compareMultiset(ctx context.Context, source, target *pgx.Conn, targetSchema string, table Table) (Result, error) {
	hashed, err := hasRowColumn(ctx, target.PgConn(), targetSchema, table.Name)
	if err != nil {
		return Result{}, err
	}
	b := &bag{table: table, surplus: make(map[digest]int64), hashes: make(map[digest]string), rows: make(map[string]digest)}
	sourceQuery, targetQuery := table.selectRows(table.Schema, false), table.selectRows(targetSchema, hashed)
	if err := each(ctx, source.PgConn(), sourceQuery, b.addSource); err != nil {
		return Result{}, err
	}
	if err := each(ctx, target.PgConn(), targetQuery, func(r row) { b.addTarget(r, hashed) }); err != nil {
		return Result{}, err
	}
	result := Result{Table: table, Source: b.source.side(), Target: b.target.side()}
	odd, surplus, found := b.odd()
	if !found {
		result.Difference = b.fault
		return result, nil
	}
	conn, query, where := source, sourceQuery, "source"
	if surplus < 0 {
		conn, query, where, surplus = target, targetQuery, "target", -surplus
	}
	err = each(ctx, conn.PgConn(), query, func(r row) {
		if result.Difference != "" {
			return
		}
		if values := r[:len(table.Columns)]; b.digest(values) == odd {
			result.Difference = fmt.Sprintf("%d more on the %s: %s", surplus, where, table.label(values))
		}
	})
	return result, err
}

// each runs a query and gives its rows to do.
func each(ctx context.Context, conn *pgconn.PgConn, query string, do func(row)) error {
	rows := make(chan row, 1024)
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return read(groupCtx, conn, query, rows) })
	for r := range rows {
		do(r)
	}
	return group.Wait()
}

// hasRowColumn asks the catalog, in which names may be folded to lower case.
func hasRowColumn(ctx context.Context, conn *pgconn.PgConn, schema, table string) (bool, error) {
	literal := func(name string) string { return "'" + strings.ReplaceAll(strings.ToLower(name), "'", "''") + "'" }
	results, err := conn.Exec(ctx, "SELECT a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "+
		"JOIN pg_namespace n ON n.oid = c.relnamespace WHERE LOWER(n.nspname) = "+literal(schema)+
		" AND LOWER(c.relname) = "+literal(table)+" AND a.attname = '"+rowColumn+"'").ReadAll()
	if err != nil {
		return false, fmt.Errorf("reading the target's columns: %w", err)
	}
	return len(results) > 0 && len(results[0].Rows) > 0, nil
}

// selectRows selects all columns in any order, and then the hash.
func (t Table) selectRows(schema string, hashed bool) string {
	var columns []string
	for _, column := range t.Columns {
		columns = append(columns, pgx.Identifier{column.Name}.Sanitize())
	}
	if hashed {
		columns = append(columns, rowColumn)
	}
	return "SELECT " + strings.Join(columns, ", ") + " FROM " + pgx.Identifier{schema, t.Name}.Sanitize()
}

// digest canonicalises a row and hashes it.
func (b *bag) digest(values row) digest {
	b.table.canonicalise(values)
	one := newSum()
	one.add(values)
	return digest(one.hash.Sum(nil))
}

func (b *bag) addSource(values row) {
	d := b.digest(values)
	b.source.add(d)
	b.count(d, 1)
}

func (b *bag) addTarget(values row, hashed bool) {
	d := b.digest(values[:len(b.table.Columns)])
	b.target.add(d)
	b.count(d, -1)
	if hashed && b.fault == "" {
		b.fault = b.hash(d, values)
	}
}

func (b *bag) count(d digest, n int64) {
	if b.surplus[d] += n; b.surplus[d] == 0 {
		delete(b.surplus, d)
	}
}

// hash notes a row's hash and says what is wrong with it, "" for nothing. Rows
// that differ on the source only, for a policy made the same value of two, would
// be reported: tables with such values are not for this package.
func (b *bag) hash(d digest, values row) string {
	last := len(b.table.Columns)
	hash := string(values[last])
	where := rowColumn + " of " + b.table.label(values[:last]) + " is " + show(values[last])
	if decoded, err := hex.DecodeString(hash); err != nil || 2*len(decoded) != rowHashLength || strings.ToLower(hash) != hash {
		return where + ": that is no hash"
	}
	if other, ok := b.hashes[d]; ok && other != hash {
		return where + " here and " + other + " in an equal row"
	}
	if other, ok := b.rows[hash]; ok && other != d {
		return where + " as in a row that differs"
	}
	b.hashes[d], b.rows[hash] = hash, d
	return ""
}

// odd returns a row that one side has more often than the other, the same
// whenever it is asked.
func (b *bag) odd() (least digest, surplus int64, found bool) {
	for d, n := range b.surplus {
		if !found || slices.Compare(d[:], least[:]) < 0 {
			least, surplus, found = d, n, true
		}
	}
	return least, surplus, found
}

// bagSum adds the hashes of rows, as numbers modulo 2^256.
type bagSum struct {
	n     int64
	words [sha256.Size / 8]uint64
}

func (s *bagSum) add(d digest) {
	s.n++
	var carry uint64
	for i := range s.words {
		s.words[i], carry = bits.Add64(s.words[i], binary.LittleEndian.Uint64(d[8*i:]), carry)
	}
}

func (s *bagSum) side() Side {
	var d digest
	for i, w := range s.words {
		binary.LittleEndian.PutUint64(d[8*i:], w)
	}
	return Side{Rows: s.n, Hash: hex.EncodeToString(d[:])}
}
