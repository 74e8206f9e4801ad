package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/walshift/walshift/test/redshift"
)

// shrink looks for a short script with which a failed round fails again, with
// nobody killed: first by leaving out runs of transactions, then single
// statements of those that remain. Each try has a world of its own; it ends
// after WALSHIFT_SHRINK_SECONDS.
func shrink(t *testing.T, sections map[string]string, o *chronicle) {
	t.Helper()
	until := time.Now().Add(time.Duration(numberFrom(t, "WALSHIFT_SHRINK_SECONDS", 120)) * time.Second)
	fails := func(load []string, scripts [][]string) (problem string) {
		t.Run("try", func(t *testing.T) { problem = replay(t, sections, o.tables, load, scripts) }) //nolint:paralleltest // one after the other
		return problem
	}
	load := o.commits[0].script
	var scripts [][]string
	for _, c := range o.commits[1:] {
		scripts = append(scripts, c.script)
	}
	problem := fails(load, scripts)
	if problem == "" {
		t.Log("the transactions alone do not fail again: it takes the kills, or the time")
		return
	}
	scripts = without(scripts, until, func(less [][]string) bool { return fails(load, less) != "" })
	for i := range scripts {
		// BEGIN stays; savepoints and their ends only go together, so that
		// what is left may be refused and then is kept.
		body := without(scripts[i][1:], until, func(less []string) bool {
			all := append([][]string{}, scripts...)
			all[i] = append([]string{"BEGIN"}, less...)
			return fails(load, all) != ""
		})
		scripts[i] = append([]string{"BEGIN"}, body...)
	}
	load = without(load, until, func(less []string) bool { return fails(less, scripts) != "" })
	var b strings.Builder
	b.WriteString(ddl(o.tables) + strings.Join(load, ";\n") + ";\n-- loaded\n")
	for _, s := range scripts {
		b.WriteString(strings.Join(append(s, "COMMIT"), ";\n") + ";\n")
	}
	t.Logf("fails again: %s\nwith %s", problem, b.String())
}

// without leaves out parts of a list, ever smaller ones, as long as it fails.
func without[T any](list []T, until time.Time, fails func([]T) bool) []T {
	for size := (len(list) + 1) / 2; size > 0; size /= 2 {
		for at := 0; at < len(list) && time.Now().Before(until); {
			less := append(append([]T{}, list[:at]...), list[min(at+size, len(list)):]...)
			if fails(less) {
				list = less
			} else {
				at += size
			}
		}
	}
	return list
}

// replay runs a script of transactions in a new world and returns what was
// wrong, "" if nothing.
func replay(t *testing.T, sections map[string]string, tables []*randomTable, load []string, scripts [][]string) string {
	t.Helper()
	o := newChronicle(tables, rand.New(rand.NewPCG(1, 1)))
	rd := &round{t: t, o: o, faults: new(redshift.Injector), writers: 1, sections: sections, loaded: load}
	rd.start()
	ctx := t.Context()
	for _, script := range scripts {
		open, err := play(ctx, o.conn, script)
		if err == nil && open {
			err = o.commit(ctx, script)
		}
		if err != nil {
			_, _ = query(ctx, o.conn, "ROLLBACK")
			return ""
		}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := rd.w.WaitApplied(ctx, 30*time.Second); err != nil {
		return fmt.Sprintf("%v\n%s", err, rd.d.LogTail(5))
	}
	if problem := o.judge(); problem != "" {
		return problem
	}
	return rd.differs(ctx)
}
