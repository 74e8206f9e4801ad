package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/jackc/pglogrepl"
)

// The states of GET /status that the demo acts on.
const (
	stateOK       = "ok"
	stateDegraded = "degraded" // a table is stopped
	tableLive     = "live"
)

// status is what the demo reads of GET /status.
type status struct {
	State           string        `json:"state"`
	Problem         string        `json:"problem"`
	AppliedLSN      string        `json:"applied_lsn"`
	LagTransactions int64         `json:"lag_transactions"`
	LagSeconds      float64       `json:"lag_seconds"`
	Tables          []tableStatus `json:"tables"`
}

type tableStatus struct {
	Name          string `json:"name"`
	State         string `json:"state"`
	RowsLoaded    int64  `json:"rows_loaded"`
	RowsEstimated int64  `json:"rows_estimated"`
	Changes       struct {
		Inserts int64 `json:"inserts"`
		Updates int64 `json:"updates"`
		Deletes int64 `json:"deletes"`
	} `json:"changes"`
}

// live tells whether every table is live.
func (s *status) live() bool {
	for i := range s.Tables {
		if s.Tables[i].State != tableLive {
			return false
		}
	}
	return s.State == stateOK && len(s.Tables) > 0
}

// applied is the position that the warehouse holds; 0 if there is none yet.
func (s *status) applied() pglogrepl.LSN {
	lsn, err := pglogrepl.ParseLSN(s.AppliedLSN)
	if err != nil {
		return 0
	}
	return lsn
}

// loadProgress says how far the first load is.
func (s *status) loadProgress() string {
	var loaded, estimated int64
	live := 0
	for i := range s.Tables {
		loaded += s.Tables[i].RowsLoaded
		estimated += s.Tables[i].RowsEstimated
		if s.Tables[i].State == tableLive {
			live++
		}
	}
	return fmt.Sprintf("%s of about %s rows, %d of %d tables live",
		thousands(loaded), thousands(max(loaded, estimated)), live, len(s.Tables))
}

// streamProgress says how much was taken from the stream, and how far the
// warehouse is behind.
func (s *status) streamProgress() string {
	var changes int64
	for i := range s.Tables {
		c := s.Tables[i].Changes
		changes += c.Inserts + c.Updates + c.Deletes
	}
	return fmt.Sprintf("%s: %s row changes, %s transactions behind, lag %.1f s",
		s.State, thousands(changes), thousands(s.LagTransactions), s.LagSeconds)
}

// totals are the daemon's counters at the end.
type totals struct {
	rows, batches, commits int64
}

func (t totals) add(o totals) totals {
	return totals{rows: t.rows + o.rows, batches: t.batches + o.batches, commits: t.commits + o.commits}
}

// status reads GET /status.
func (d *daemon) status(ctx context.Context) (*status, error) {
	body, err := d.get(ctx, "/status")
	if err != nil {
		return nil, err
	}
	s := &status{}
	if err := json.Unmarshal(body, s); err != nil {
		return nil, fmt.Errorf("reading walshift's status: %w", err)
	}
	return s, nil
}

// totals reads GET /metrics.
func (d *daemon) totals(ctx context.Context) (totals, error) {
	body, err := d.get(ctx, "/metrics")
	if err != nil {
		return totals{}, err
	}
	counters, err := parseMetrics(string(body))
	return totals{
		rows:    counters["walshift_loaded_rows_total"] + counters["walshift_applied_rows_total"],
		batches: counters["walshift_applied_batches_total"],
		commits: counters["walshift_warehouse_commits_total"],
	}, err
}

// parseMetrics reads the whole-numbered metrics without labels from
// Prometheus's text format.
func parseMetrics(text string) (map[string]int64, error) {
	counters := map[string]int64{}
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		name, value, found := strings.Cut(lines.Text(), " ")
		if !found || strings.HasPrefix(name, "#") || strings.Contains(name, "{") {
			continue
		}
		if number, err := strconv.ParseFloat(value, 64); err == nil {
			counters[name] = int64(number)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading walshift's metrics: %w", err)
	}
	return counters, nil
}

func (d *daemon) get(ctx context.Context, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.address+path, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("asking walshift: %w", err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking walshift: %w", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("asking walshift: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("asking walshift: GET %s: %s", path, answer.Status)
	}
	return body, nil
}
