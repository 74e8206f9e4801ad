package checkpoint

import (
	"fmt"

	"github.com/jackc/pglogrepl"
)

// Resume returns a stopped table as live. It is for the one case in which a
// table need not be loaded again: it stands at the end of a whole batch, for
// what stopped it was rolled back, and every batch since, up to the common
// applied LSN, has been applied to it in the same transaction. at is the
// position that those batches begin at.
func (t Table) Resume(at, common pglogrepl.LSN) (Table, error) {
	switch {
	case t.State != Stopped:
		return t, fmt.Errorf("resuming table %s.%s: it is %s, not stopped", t.Schema, t.Name, t.State)
	case at != t.Applied:
		return t, fmt.Errorf("resuming table %s.%s: the batches begin at %s, it stands at %s", t.Schema, t.Name, at, t.Applied)
	case common < t.Applied || common < t.X:
		return t, fmt.Errorf("resuming table %s.%s: common position %s lies below its own, %s, or its snapshot, %s",
			t.Schema, t.Name, common, t.Applied, t.X)
	}
	t.State, t.Applied, t.Reason = Live, common, ""
	return t, nil
}
