package replicator

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/walshift/walshift/replicator/change"
)

// Metrics are the counters of the loops. Positions, lag and tables are read
// from Status when they are scraped, so they cost the loops nothing. All
// metrics are listed in docs/metrics.md.
type Metrics struct {
	receivedBytes                               prometheus.Counter
	stagedBatches, emptyBatches, appliedBatches prometheus.Counter
	stagedTxs                                   prometheus.Counter
	stagedRows                                  *prometheus.CounterVec
	stagedBytes                                 prometheus.Counter
	appliedRows, commits                        prometheus.Counter
	applyErrors, parks, stops                   prometheus.Counter
	retries                                     *prometheus.CounterVec
	loadedRows                                  prometheus.Counter
	streamed, fallbacks                         prometheus.Counter
	incidents                                   *prometheus.CounterVec
	sealSeconds                                 prometheus.Histogram
	segmentSeconds, manifestSeconds             prometheus.Histogram
	applySeconds                                prometheus.Histogram
}

// NewMetrics makes the metrics and registers them. Every label value is there
// from the start, so that a rate over its first increment is right.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "walshift", Name: name, Help: help})
		reg.MustRegister(c)
		return c
	}
	seconds := func(name, help string) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "walshift", Name: name, Help: help, Buckets: DurationBuckets(),
		})
		reg.MustRegister(h)
		return h
	}
	counters := func(name, help, label string, values ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "walshift", Name: name, Help: help}, []string{label})
		reg.MustRegister(v)
		for _, value := range values {
			v.WithLabelValues(value)
		}
		return v
	}
	return &Metrics{
		receivedBytes:  counter("received_bytes_total", "Bytes of messages received from the slot and sealed into batches."),
		stagedBatches:  counter("staged_batches_total", "Batches made durable in the log, empty ones included."),
		emptyBatches:   counter("staged_empty_batches_total", "Batches without rows, which only carry a position."),
		stagedTxs:      counter("staged_transactions_total", "Source transactions made durable in the log."),
		stagedRows:     counters("staged_rows_total", "Rows written to the log's files after folding, by kind of file.", "kind", kinds()...),
		stagedBytes:    counter("staged_bytes_total", "Compressed bytes written to the log's data files."),
		appliedBatches: counter("applied_batches_total", "Batches applied to the warehouse."),
		appliedRows:    counter("applied_rows_total", "Rows deleted, merged or inserted on the warehouse."),
		commits:        counter("warehouse_commits_total", "Transactions committed on the warehouse by applies."),
		applyErrors:    counter("apply_errors_total", "Applies that failed and are tried again."),
		parks:          counter("apply_parks_total", "Times that apply was parked by a fault that somebody has to mend."),
		stops:          counter("table_stops_total", "Tables taken out of replication."),
		retries:        counters("retries_total", "Tries that failed and are repeated, by part.", "part", partNames()...),
		streamed:       counter("streamed_transactions_total", "Transactions that were received before their commit, and committed."),
		fallbacks:      counter("streaming_fallbacks_total", "Times that the spool was full or failed, so that the source had to keep transactions in progress."),
		loadedRows:     counter("loaded_rows_total", "Rows read from the source by first loads."),
		incidents: counters("incidents_total",
			"Values that a policy has changed and that are on the warehouse, by the state that their incidents began in: open, or accepted by the configuration.",
			"state", incidentOpen, incidentAccepted),
		sealSeconds:    seconds("batch_seal_seconds", "Age of a batch with transactions when it was sealed."),
		segmentSeconds: seconds("segment_upload_seconds", "Time to encode and upload one segment, retries included."),
		manifestSeconds: seconds("manifest_upload_seconds",
			"Time to make a batch's manifest durable, retries included."),
		applySeconds: seconds("apply_seconds", "Time of one apply, staging and commit included."),
	}
}

// DurationBuckets are the buckets of all histograms of time: 5 ms to about
// two minutes.
func DurationBuckets() []float64 { return prometheus.ExponentialBuckets(0.005, 2.5, 12) }

// The states that an incident can begin in.
const (
	incidentOpen     = "open"
	incidentAccepted = "accepted"
)

func (m *Metrics) addIncidents(open, accepted int64) {
	m.incidents.WithLabelValues(incidentOpen).Add(float64(open))
	m.incidents.WithLabelValues(incidentAccepted).Add(float64(accepted))
}

func kinds() []string {
	return []string{
		string(change.KindDelete), string(change.KindUpsert), string(change.KindPartial),
		string(change.KindInsert), string(change.KindMultiset), string(change.KindRaw),
	}
}

func partNames() []string {
	all := AllParts()
	names := make([]string, len(all))
	for i, p := range all {
		names[i] = string(p)
	}
	return names
}

func (m *Metrics) sealedBatch(b *openBatch) {
	m.receivedBytes.Add(float64(b.bytes))
	if b.txs > 0 {
		m.sealSeconds.Observe(time.Since(b.since).Seconds())
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
	for _, b := range run {
		m.addIncidents(b.Incidents())
	}
}
