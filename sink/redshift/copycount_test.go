package redshift_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift"
)

// TestS4DirectCopyIsCounted: a COPY straight into a target that loads other
// than the log's rows stops the table, and nothing is committed.
func TestS4DirectCopyIsCounted(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	w := arrived(t, f, nil)
	var direct atomic.Bool
	f.answer = func(sql string) (reply, bool) {
		switch {
		case strings.Contains(sql, "COPY \"public\"."):
			direct.Store(true)
		case strings.Contains(sql, "pg_last_copy_count") && direct.Load():
			return reply{rows: [][]string{{"99"}}}, true
		}
		return counts(sql)
	}
	_, err := w.Apply(t.Context(), redshift.Run{After: 7, Batches: mixed()})
	fault, ok := errors.AsType[*change.Fault](err)
	if !ok || fault.Scope != change.ScopeTable || !direct.Load() || !strings.Contains(err.Error(), "COPY loaded 99 rows") {
		t.Errorf("a direct COPY was seen: %t, %v", direct.Load(), err)
	}
	if f.fence.seq != "7" {
		t.Errorf("the fence moved to %s", f.fence.seq)
	}
}
