package world

import (
	"context"
	"fmt"
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
