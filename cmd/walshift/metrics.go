package main

import (
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/walshift/walshift/checkpoint"
	"github.com/walshift/walshift/replicator"
)

const (
	// maxTableLabels bounds the series of one daemon: tables beyond the first
	// so many share the label otherTables.
	maxTableLabels = 500
	otherTables    = "other"
)

// statusCollector turns Status into metrics at each scrape.
type statusCollector struct {
	status func() replicator.Status
	descs  map[string]*prometheus.Desc

	// labels are the tables that have a label of their own. They keep it, for
	// a counter must not go back when another table comes.
	mu     sync.Mutex
	labels map[string]bool
}

func newStatusCollector(status func() replicator.Status) *statusCollector {
	c := &statusCollector{status: status, descs: map[string]*prometheus.Desc{}, labels: map[string]bool{}}
	d := func(name, help string, labels ...string) {
		c.descs[name] = prometheus.NewDesc("walshift_"+name, help, labels, nil)
	}
	d("build_info", "1; version, Go version and pipeline are in the labels.", "version", "goversion", "pipeline")
	d("start_time_seconds", "When the daemon started, in Unix time.")
	d("state", "1 for the daemon's present state, 0 for the others.", "state")
	d("ready", "1 when the first load is complete and capture runs.")
	d("held", "1 while apply or the first load rests although nothing is wrong, by reason.", "kind")
	d("apply_parked", "1 while apply can't go on until somebody acts.")
	d("waiting_seconds", "For how long a part of the daemon has been waiting for its neighbour; 0 if it is not.", "part")
	d("loop_last_turn_timestamp_seconds", "When a loop last went round, in Unix time; 0 if it does not run.", "loop")
	d("loop_stuck", "1 when a loop has not gone round for longer than it ever should.", "loop")
	d("incidents_open", "Open incidents.")
	d("lsn_bytes", "WAL position as a number of bytes, by place in the data path.", "position")
	d("lag_bytes", "Distance of a stage from the source's end of WAL; absent while it is not known.", "stage")
	d("lag_seconds", "Age of the oldest commit that has not come to a stage; 0 when there is none.", "stage")
	d("lag_transactions", "Transactions received that have not come to a stage.", "stage")
	d("source_last_seen_timestamp_seconds", "When the source last answered, in Unix time; 0 if it never did.")
	d("slot_retained_bytes", "WAL that the source keeps for the slot.")
	d("slot_limit_bytes", "The source's max_slot_wal_keep_size; absent where it sets none.")
	d("slot_safe_bytes", "WAL that may still be written before the slot is lost; absent where there is no limit.")
	d("slot_active", "1 when a session streams from the slot.")
	d("slot_wal_status", "1 for the slot's present wal_status, 0 for the others.", "status")
	d("slot_xmin_age_transactions", "Age of the oldest transaction whose dead rows the slot keeps; 0 if it keeps none.")
	d("slot_catalog_xmin_age_transactions", "The same for rows of the catalog.")
	d("streaming", "1 when the source sends transactions that are in progress.")
	d("spool_bytes", "What transactions in progress take in limits.spool_dir.")
	d("spool_limit_bytes", "The configuration's limits.spool.")
	d("spool_transactions", "Transactions in progress that the spool holds.")
	d("memory_used_bytes", "Memory that the Go runtime holds, which limits.memory is about.")
	d("memory_limit_bytes", "The configuration's limits.memory.")
	d("tables", "Tables by state.", "state")
	d("table_live", "1 when a table is live; of several tables under one label the least.", "table")
	d("table_changes_total", "Row changes and truncates made durable in the log since the daemon's start.", "table", "operation")
	d("table_loaded_rows", "Rows of a table that the first load has read, since the daemon's start.", "table")
	d("table_estimated_rows", "Rows that the first load expected, by the source's statistics.", "table")
	d("table_last_change_timestamp_seconds", "Commit time of the last change since the daemon's start; 0 if there was none.", "table")
	return c
}

// Describe implements prometheus.Collector.
func (c *statusCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

// scrape is one collection.
type scrape struct {
	c  *statusCollector
	ch chan<- prometheus.Metric
}

func (s scrape) gauge(name string, v float64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(s.c.descs[name], prometheus.GaugeValue, v, labels...)
}

func (s scrape) counter(name string, v float64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(s.c.descs[name], prometheus.CounterValue, v, labels...)
}

// one sets 1 for the value that holds and 0 for the rest.
func (s scrape) one(name, holds string, all ...string) {
	for _, v := range all {
		s.gauge(name, truth(v == holds), v)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func unixTime(t *time.Time) float64 {
	if t == nil || t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

// Collect implements prometheus.Collector.
func (c *statusCollector) Collect(ch chan<- prometheus.Metric) {
	st := c.status()
	s := scrape{c, ch}
	s.gauge("build_info", 1, version, runtime.Version(), st.Pipeline)
	s.gauge("start_time_seconds", unixTime(&st.StartedAt))
	s.one("state", st.State, replicator.AllStates()...)
	s.gauge("ready", truth(st.Phase == replicator.PhaseStreaming))
	kind := ""
	if st.Hold != nil {
		kind = st.Hold.Kind
	}
	s.one("held", kind, replicator.HoldKinds()...)
	s.gauge("apply_parked", truth(st.State == replicator.StateParked))
	s.gauge("incidents_open", float64(st.Incidents))
	s.gauge("streaming", truth(st.Spool.Streaming))
	s.gauge("spool_bytes", float64(st.Spool.Bytes))
	s.gauge("spool_limit_bytes", float64(st.Spool.LimitBytes))
	s.gauge("spool_transactions", float64(st.Spool.Transactions))
	s.gauge("memory_used_bytes", float64(st.Memory.UsedBytes))
	s.gauge("memory_limit_bytes", float64(st.Memory.LimitBytes))
	s.gauge("source_last_seen_timestamp_seconds", unixTime(st.SourceSeen))
	s.signs(&st)
	s.positions(&st)
	s.slot(&st.Slot)
	s.tables(st.Tables)
}

// signs are the signs of life.
func (s scrape) signs(st *replicator.Status) {
	waits := map[replicator.Part]float64{}
	for i := range st.Waiting {
		waits[st.Waiting[i].Part] = st.Waiting[i].Seconds
	}
	for _, p := range replicator.AllParts() {
		s.gauge("waiting_seconds", waits[p], string(p))
	}
	for _, name := range []string{"capture", "apply"} {
		last, stuck := 0.0, false
		for _, l := range st.Loops {
			if l.Name == name {
				last = float64(time.Now().UnixMilli())/1000 - l.Seconds
				stuck = l.Seconds > l.LimitSeconds
			}
		}
		s.gauge("loop_last_turn_timestamp_seconds", last, name)
		s.gauge("loop_stuck", truth(stuck), name)
	}
}

func (s scrape) positions(st *replicator.Status) {
	s.gauge("lsn_bytes", float64(st.ServerLSN), "server")
	s.gauge("lsn_bytes", float64(st.CapturedLSN), "captured")
	s.gauge("lsn_bytes", float64(st.StagedLSN), "staged")
	s.gauge("lsn_bytes", float64(st.AppliedLSN), "applied")
	for stage, l := range map[string]replicator.StageLag{
		"captured": st.Lag.Captured, "staged": st.Lag.Staged, "applied": st.Lag.Applied,
	} {
		if stage != "applied" || st.AppliedKnown {
			s.gauge("lag_bytes", float64(l.Bytes), stage)
		}
		s.gauge("lag_seconds", l.Seconds, stage)
		if stage != "captured" { // what was not received can't be counted
			s.gauge("lag_transactions", float64(l.Transactions), stage)
		}
	}
}

func (s scrape) slot(slot *replicator.SlotStatus) {
	if !slot.Known {
		return
	}
	s.gauge("slot_retained_bytes", float64(slot.RetainedBytes))
	if slot.LimitBytes != nil {
		s.gauge("slot_limit_bytes", float64(*slot.LimitBytes))
	}
	if slot.SafeBytes != nil {
		s.gauge("slot_safe_bytes", float64(*slot.SafeBytes))
	}
	s.gauge("slot_active", truth(slot.ActivePID != 0))
	s.one("slot_wal_status", slot.WALStatus, "reserved", "extended", "unreserved", "lost")
	s.gauge("slot_xmin_age_transactions", float64(slot.XminAge))
	s.gauge("slot_catalog_xmin_age_transactions", float64(slot.CatalogXminAge))
}

// tableSums are the figures of the tables under one label.
type tableSums struct {
	live              float64
	changes           [4]int64
	loaded, estimated int64
	last              float64
}

func (s scrape) tables(tables []replicator.TableStatus) {
	counts := map[checkpoint.State]int{}
	sums := map[string]*tableSums{}
	for i := range tables {
		t := &tables[i]
		counts[t.State]++
		label := s.c.label(t.Name)
		sum := sums[label]
		if sum == nil {
			sum = &tableSums{live: 1}
			sums[label] = sum
		}
		sum.live = min(sum.live, truth(t.State == checkpoint.Live))
		for k, n := range []int64{t.Changes.Inserts, t.Changes.Updates, t.Changes.Deletes, t.Changes.Truncates} {
			sum.changes[k] += n
		}
		sum.loaded += t.RowsLoaded
		sum.estimated += max(0, t.RowsEstimated)
		sum.last = max(sum.last, unixTime(t.LastChange))
	}
	for _, st := range []checkpoint.State{
		checkpoint.Loading, checkpoint.Loaded, checkpoint.CatchingUp, checkpoint.Live, checkpoint.Stopped,
	} {
		s.gauge("tables", float64(counts[st]), string(st))
	}
	for label, sum := range sums {
		s.gauge("table_live", sum.live, label)
		for k, op := range []string{"insert", "update", "delete", "truncate"} {
			s.counter("table_changes_total", float64(sum.changes[k]), label, op)
		}
		s.gauge("table_loaded_rows", float64(sum.loaded), label)
		s.gauge("table_estimated_rows", float64(sum.estimated), label)
		s.gauge("table_last_change_timestamp_seconds", sum.last, label)
	}
}

// label returns a table's label: its name as long as there is room.
func (c *statusCollector) label(name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.labels[name] {
		return name
	}
	if len(c.labels) >= maxTableLabels {
		return otherTables
	}
	c.labels[name] = true
	return name
}
