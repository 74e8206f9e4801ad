package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/walshift/walshift/replicator"
)

// statusCollector turns Status into gauges at each scrape.
type statusCollector struct {
	r     *replicator.Replicator
	descs map[string]*prometheus.Desc
}

func newStatusCollector(r *replicator.Replicator) *statusCollector {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("walshift_"+name, help, labels, nil)
	}
	return &statusCollector{r: r, descs: map[string]*prometheus.Desc{
		"lsn":      d("lsn_bytes", "WAL position as a number of bytes, by stage of the data path.", "stage"),
		"bytes":    d("lag_bytes", "Distance from the source's end of WAL to the applied position."),
		"seconds":  d("lag_seconds", "Age of the oldest commit received and not applied; 0 when caught up."),
		"txs":      d("lag_transactions", "Transactions received and not applied."),
		"retained": d("slot_retained_bytes", "WAL that the source keeps for the slot."),
		"safe":     d("slot_safe_bytes", "WAL that may still be written before the slot is lost."),
		"tables":   d("tables", "Tables by state.", "state"),
		"state":    d("state", "1 for the daemon's present state.", "state"),
		"build":    d("build_info", "1; the version is in the label.", "version"),
	}}
}

// Describe implements prometheus.Collector.
func (c *statusCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *statusCollector) Collect(ch chan<- prometheus.Metric) {
	st := c.r.Status()
	gauge := func(name string, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(c.descs[name], prometheus.GaugeValue, v, labels...)
	}
	gauge("lsn", float64(st.CapturedLSN), "captured")
	gauge("lsn", float64(st.StagedLSN), "staged")
	gauge("lsn", float64(st.AppliedLSN), "applied")
	gauge("lsn", float64(st.ServerLSN), "server")
	gauge("bytes", float64(st.LagBytes))
	gauge("seconds", st.LagSeconds)
	gauge("txs", float64(st.LagTransactions))
	if st.Slot.Known {
		gauge("retained", float64(st.Slot.RetainedBytes))
		if st.Slot.SafeBytes != nil {
			gauge("safe", float64(*st.Slot.SafeBytes))
		}
	}
	states := map[string]int{}
	for i := range st.Tables {
		states[string(st.Tables[i].State)]++
	}
	for state, n := range states {
		gauge("tables", float64(n), state)
	}
	gauge("state", 1, st.State)
	gauge("build", 1, version)
}
