package replicator

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/walshift/walshift/replicator/change"
)

// Metrics are the counters of the loops. Positions and lag are read from
// Status when they are scraped, so they cost the loops nothing.
type Metrics struct {
	stagedBatches, emptyBatches, appliedBatches prometheus.Counter
	stagedTxs                                   prometheus.Counter
	stagedRows                                  *prometheus.CounterVec
	stagedBytes                                 prometheus.Counter
	appliedRows, commits                        prometheus.Counter
	applyErrors, stops                          prometheus.Counter
	segmentSeconds, manifestSeconds             prometheus.Histogram
	applySeconds                                prometheus.Histogram
	loadedRows                                  prometheus.Counter
}

// NewMetrics makes the metrics and registers them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "walshift", Name: name, Help: help})
		reg.MustRegister(c)
		return c
	}
	seconds := func(name, help string) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "walshift", Name: name, Help: help,
			Buckets: prometheus.ExponentialBuckets(0.005, 2.5, 12), // 5 ms to about 2 min
		})
		reg.MustRegister(h)
		return h
	}
	rows := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "walshift", Name: "staged_rows_total",
		Help: "Rows written to the log's files after folding, by kind of file.",
	}, []string{"kind"})
	reg.MustRegister(rows)
	return &Metrics{
		stagedBatches:   counter("staged_batches_total", "Batches made durable in the log, empty ones included."),
		emptyBatches:    counter("staged_empty_batches_total", "Batches without rows, which only carry a position."),
		stagedTxs:       counter("staged_transactions_total", "Source transactions made durable in the log."),
		stagedRows:      rows,
		stagedBytes:     counter("staged_bytes_total", "Compressed bytes written to the log's data files."),
		appliedBatches:  counter("applied_batches_total", "Batches applied to the warehouse."),
		appliedRows:     counter("applied_rows_total", "Rows deleted, merged or inserted on the warehouse."),
		commits:         counter("warehouse_commits_total", "Transactions committed on the warehouse by apply."),
		applyErrors:     counter("apply_errors_total", "Applies that failed and are tried again."),
		stops:           counter("table_stops_total", "Tables taken out of replication."),
		segmentSeconds:  seconds("segment_seconds", "Time to encode and upload one segment."),
		manifestSeconds: seconds("manifest_seconds", "Time to make a batch's manifest durable."),
		applySeconds:    seconds("apply_seconds", "Time of one apply, staging included."),
		loadedRows:      counter("loaded_rows_total", "Rows loaded by the first load."),
	}
}

func (m *Metrics) stagedSegment(f change.SegmentFiles, took time.Duration) {
	m.segmentSeconds.Observe(took.Seconds())
	for i := range f.Files {
		m.stagedRows.WithLabelValues(string(f.Files[i].Kind)).Add(float64(f.Files[i].Rows))
		m.stagedBytes.Add(float64(f.Files[i].Bytes))
	}
}

func (m *Metrics) stagedBatch(b *change.Manifest, took time.Duration) {
	m.stagedBatches.Inc()
	m.stagedTxs.Add(float64(b.Transactions))
	if b.Empty() {
		m.emptyBatches.Inc()
	}
	m.manifestSeconds.Observe(took.Seconds())
}

func (m *Metrics) applied(run []*change.Manifest, done Applied, took time.Duration) {
	m.appliedBatches.Add(float64(len(run)))
	m.appliedRows.Add(float64(done.Rows))
	m.commits.Add(float64(done.Commits))
	m.applySeconds.Observe(took.Seconds())
}
