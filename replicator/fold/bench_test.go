package fold_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/fold"
)

// pgbench returns the four tables of pgbench and a run of its transactions, as
// row changes with the place of their table.
func pgbench(transactions int) ([]*change.Relation, []int, []change.Row) {
	table := func(oid uint32, name string, keys []int, columns ...string) *change.Relation {
		rel := &change.Relation{OID: oid, Schema: "public", Name: name, Identity: change.IdentityDefault, Keys: keys}
		for i, c := range columns {
			rel.Columns = append(rel.Columns, change.Column{Attnum: int16(i + 1), Name: c, Type: "text"})
		}
		return rel
	}
	tables := []*change.Relation{
		table(1, "pgbench_accounts", []int{0}, "aid", "bid", "abalance", "filler"),
		table(2, "pgbench_tellers", []int{0}, "tid", "bid", "tbalance", "filler"),
		table(3, "pgbench_branches", []int{0}, "bid", "bbalance", "filler"),
		table(4, "pgbench_history", nil, "tid", "bid", "aid", "delta", "mtime", "filler"),
	}
	var which []int
	var rows []change.Row
	add := func(table int, op change.Op, values ...string) {
		row := change.Row{Op: op}
		for _, v := range values {
			row.New = change.AppendValue(row.New, change.Value{Kind: change.ValueText, Text: []byte(v)})
		}
		which, rows = append(which, table), append(rows, row)
	}
	blank := strings.Repeat(" ", 84)
	rnd := uint32(1)
	for range transactions {
		rnd = rnd*1664525 + 1013904223
		aid, tid, delta := fmt.Sprint(rnd>>8%100_000), fmt.Sprint(rnd>>4%10), fmt.Sprint(int(rnd>>3%10_000)-5_000)
		add(0, change.OpUpdate, aid, "1", delta, blank)
		add(1, change.OpUpdate, tid, "1", delta, blank)
		add(2, change.OpUpdate, "1", delta, blank[:4])
		add(3, change.OpInsert, tid, "1", aid, delta, "2026-11-22 01:02:03.000004", blank[:22])
	}
	return tables, which, rows
}

// BenchmarkChangePgbench folds TPC-B row changes, and cuts every million.
func BenchmarkChangePgbench(b *testing.B) {
	tables, which, rows := pgbench(250_000)
	f := fold.New(fold.Config{IdleBytes: 512 << 20})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i == len(rows) {
			i = 0
			for _, s := range f.Cut() {
				s.Release()
			}
		}
		if err := f.Change(tables[which[i]], rows[i], 1); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkChangeScattered updates a million different rows in no order: every
// lookup misses the processor's caches.
func BenchmarkChangeScattered(b *testing.B) {
	tables, _, _ := pgbench(0)
	rows := make([]change.Row, 1<<20)
	for i := range rows {
		rows[i].Op = change.OpUpdate
		for _, v := range []string{fmt.Sprint(uint32(i) * 2654435761 >> 4), "1", fmt.Sprint(i), strings.Repeat(" ", 84)} {
			rows[i].New = change.AppendValue(rows[i].New, change.Value{Kind: change.ValueText, Text: []byte(v)})
		}
	}
	f := fold.New(fold.Config{IdleBytes: 1 << 30})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i == 2*len(rows) {
			i = 0
			for _, s := range f.Cut() {
				s.Release()
			}
		}
		if err := f.Change(tables[0], rows[i%len(rows)], 1); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
