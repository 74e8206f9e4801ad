package world

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Side is one of the two databases to compare.
type Side struct {
	DSN string
	// Exec prepares the session, for instance its time zone.
	Prepare []string
}

// Rows runs a query by the simple protocol and returns its rows as text: one
// string per row, values as the server prints them, NULL told from text.
func (s Side) Rows(ctx context.Context, query string) ([]string, error) {
	cfg, err := pgx.ParseConfig(s.DSN)
	if err != nil {
		return nil, fmt.Errorf("parsing DSN: %w", err)
	}
	conn, err := pgconn.ConnectConfig(ctx, &cfg.Config)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, q := range append(s.Prepare, query) {
		res, err := conn.Exec(ctx, q).ReadAll()
		if err != nil {
			return nil, fmt.Errorf("running %q: %w", q, err)
		}
		if q == query {
			return rowsAsText(res), nil
		}
	}
	return nil, nil
}

func rowsAsText(results []*pgconn.Result) []string {
	var out []string
	for _, r := range results {
		for _, row := range r.Rows {
			var b strings.Builder
			for _, v := range row {
				if v == nil {
					b.WriteString("∅|")
					continue
				}
				fmt.Fprintf(&b, "%d:%s|", len(v), v)
			}
			out = append(out, b.String())
		}
	}
	return out
}

// Difference compares two lists of rows as multisets and describes the first
// few differences, "" if there is none.
func Difference(source, target []string) string {
	slices.Sort(source)
	slices.Sort(target)
	var b strings.Builder
	shown := 0
	i, j := 0, 0
	for (i < len(source) || j < len(target)) && shown < 8 {
		switch {
		case j >= len(target) || (i < len(source) && source[i] < target[j]):
			fmt.Fprintf(&b, "\n  only on the source: %s", clip(source[i]))
			i++
			shown++
		case i >= len(source) || target[j] < source[i]:
			fmt.Fprintf(&b, "\n  only on the target: %s", clip(target[j]))
			j++
			shown++
		default:
			i++
			j++
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return fmt.Sprintf("%d rows on the source, %d on the target:%s", len(source), len(target), b.String())
}

func clip(s string) string {
	if len(s) > 240 {
		return s[:160] + fmt.Sprintf("… (%d bytes) …", len(s)) + s[len(s)-60:]
	}
	return s
}

// CompareMultiset compares a table without a key, row by row as often as each
// occurs, by a column list for each side; and then the hashes by which walshift
// tells the target's rows apart: there are as many different ones as different
// rows on the source, none is missing, and rows that differ in the list never
// share one.
func (w *World) CompareMultiset(ctx context.Context, table, sourceColumns, targetColumns string) (string, error) {
	source, err := w.SourceSide().Rows(ctx, "SELECT "+sourceColumns+" FROM "+table)
	if err != nil {
		return "", fmt.Errorf("reading %s on the source: %w", table, err)
	}
	hashed, err := w.TargetSide().Rows(ctx, "SELECT "+rowColumn+", "+targetColumns+" FROM "+table)
	if err != nil {
		return "", fmt.Errorf("reading %s on the target: %w", table, err)
	}
	// Rows are different on the source by their whole text, also where the
	// target can't hold what they differ in.
	images, err := w.SourceSide().Rows(ctx, "SELECT DISTINCT whole_row::text FROM "+table+" AS whole_row")
	if err != nil {
		return "", fmt.Errorf("counting different rows of %s on the source: %w", table, err)
	}
	target, rowOf := make([]string, len(hashed)), make(map[string]string)
	for i, row := range hashed {
		hash, image, _ := strings.Cut(row, "|")
		if !regexp.MustCompile(`^32:[0-9a-f]{32}$`).MatchString(hash) {
			return fmt.Sprintf("%s has %q in a row", rowColumn, clip(hash)), nil
		}
		if other, ok := rowOf[hash]; ok && other != image {
			return fmt.Sprintf("two different rows have the hash %s:\n  %s\n  %s", hash, clip(other), clip(image)), nil
		}
		target[i], rowOf[hash] = image, image
	}
	if diff := Difference(source, target); diff != "" {
		return diff, nil
	}
	if len(rowOf) != len(images) {
		return fmt.Sprintf("%d different hashes on the target, %d different rows on the source", len(rowOf), len(images)), nil
	}
	return "", nil
}

// rowColumn is the column of the hashes.
const rowColumn = "_walshift_row"
