package main

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/walshift/walshift/replicator"
	"github.com/walshift/walshift/sink/stage"
)

// neighbourMetrics count what is sent to S3 and to Redshift, where it is sent:
// no statement and no request escapes them.
type neighbourMetrics struct {
	requests    *prometheus.CounterVec
	statements  *prometheus.CounterVec
	seconds     *prometheus.HistogramVec
	errors      *prometheus.CounterVec
	connections *prometheus.CounterVec
}

// statementOther stands for a statement that begins with none of the words of
// statementWords.
const statementOther = "other"

func statementWords() []string {
	return []string{
		"begin", "lock", "copy", "merge", "update", "delete", "insert", "commit", "rollback",
		"select", "create", "alter", "drop", "set", statementOther,
	}
}

// timedWords are the statements that an apply waits for.
func timedWords() []string {
	return []string{"copy", "merge", "update", "delete", "insert", "commit", "select"}
}

// The reasons of failed statements.
const (
	failConnection = "connection"
	failConflict   = "conflict"
	failDenied     = "denied"
	failTimeout    = "timeout"
	failOther      = "other"
)

func newNeighbourMetrics(reg prometheus.Registerer) *neighbourMetrics {
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "walshift", Name: name, Help: help}, labels)
		reg.MustRegister(v)
		return v
	}
	m := &neighbourMetrics{
		requests: counters("s3_requests_total", "Requests sent to S3, by operation and result; not_found and conflict belong to normal work.",
			"operation", "result"),
		statements: counters("redshift_statements_total", "Statements sent to Redshift, by their first word.", "statement"),
		errors:     counters("redshift_errors_total", "Statements that Redshift refused or did not answer, by reason.", "reason"),
		connections: counters("redshift_connections_total", "Connections to Redshift that were tried, by result.",
			"result"),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "walshift", Name: "redshift_statement_seconds",
			Help: "Time of statements on Redshift, by their first word.", Buckets: replicator.DurationBuckets(),
		}, []string{"statement"}),
	}
	reg.MustRegister(m.seconds)
	for _, op := range stage.Operations() {
		for _, o := range stage.Outcomes() {
			m.requests.WithLabelValues(op, string(o))
		}
	}
	for _, w := range statementWords() {
		m.statements.WithLabelValues(w)
	}
	for _, w := range timedWords() {
		m.seconds.WithLabelValues(w)
	}
	for _, r := range []string{failConnection, failConflict, failDenied, failTimeout, failOther} {
		m.errors.WithLabelValues(r)
	}
	for _, r := range []string{"ok", "refused", "failed"} {
		m.connections.WithLabelValues(r)
	}
	return m
}

// request counts one request to S3.
func (m *neighbourMetrics) request(operation string, o stage.Outcome) {
	m.requests.WithLabelValues(operation, string(o)).Inc()
}

// sent is a statement on its way, kept in its context.
type sent struct {
	word string
	at   time.Time
}

type sentKey struct{}

// TraceQueryStart implements pgx.QueryTracer.
func (m *neighbourMetrics) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return context.WithValue(ctx, sentKey{}, sent{word: statementWord(data.SQL), at: time.Now()})
}

// TraceQueryEnd implements pgx.QueryTracer.
func (m *neighbourMetrics) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	s, ok := ctx.Value(sentKey{}).(sent)
	if !ok {
		return
	}
	m.statements.WithLabelValues(s.word).Inc()
	for _, w := range timedWords() {
		if w == s.word {
			m.seconds.WithLabelValues(w).Observe(time.Since(s.at).Seconds())
		}
	}
	if data.Err != nil && !errors.Is(data.Err, context.Canceled) {
		m.errors.WithLabelValues(failure(data.Err)).Inc()
	}
}

// TraceConnectStart implements pgx.ConnectTracer.
func (m *neighbourMetrics) TraceConnectStart(ctx context.Context, _ pgx.TraceConnectStartData) context.Context {
	return ctx
}

// TraceConnectEnd implements pgx.ConnectTracer.
func (m *neighbourMetrics) TraceConnectEnd(_ context.Context, data pgx.TraceConnectEndData) {
	result := "ok"
	if _, refused := errors.AsType[*pgconn.PgError](data.Err); refused {
		result = "refused"
	} else if data.Err != nil {
		result = "failed"
	}
	m.connections.WithLabelValues(result).Inc()
}

// statementWord returns a statement's first word behind comments, if it is one
// of those that are told apart.
func statementWord(sql string) string {
	sql = strings.TrimSpace(sql)
	for strings.HasPrefix(sql, "/*") {
		_, rest, _ := strings.Cut(sql, "*/")
		sql = strings.TrimSpace(rest)
	}
	end := strings.IndexFunc(sql, func(r rune) bool { return !unicode.IsLetter(r) })
	if end < 0 {
		end = len(sql)
	}
	first := strings.ToLower(sql[:end])
	for _, w := range statementWords() {
		if w == first {
			return w
		}
	}
	return statementOther
}

func failure(err error) string {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return failConnection
	}
	switch pg.Code {
	case "40001", "40P01":
		return failConflict
	case "42501":
		return failDenied
	case "57014":
		return failTimeout
	case "XX000":
		if pg.Message == "1023" || pg.Message == "1018" {
			return failConflict
		}
	}
	return failOther
}
