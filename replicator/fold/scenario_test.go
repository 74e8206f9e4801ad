package fold_test

import (
	"strings"
	"testing"

	"github.com/walshift/walshift/replicator/change"
)

type scenario struct {
	name     string
	identity change.Identity // DEFAULT if left out
	columns  string          // "id* name doc" if left out
	script   string
	want     string
}

func run(t *testing.T, scenarios []scenario) {
	t.Helper()
	for _, c := range scenarios {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.identity == 0 {
				c.identity = change.IdentityDefault
			}
			if c.columns == "" {
				c.columns = "id* name doc"
			}
			got := play(t, relation(7, c.identity, c.columns), c.script)
			if trim(got) != trim(c.want) {
				t.Errorf("script\n%s\ngives\n%s\nwant\n%s", trim(c.script), trim(got), trim(c.want))
			}
		})
	}
}

// trim removes indentation and empty lines.
func trim(s string) string {
	var out []string
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

func TestNetEffect(t *testing.T) {
	t.Parallel()
	run(t, []scenario{
		{name: "insert", script: `insert 1 a x`, want: `
			segment last=1 I=1 U=0 D=0 T=0
			  insert 1 a x`},
		{name: "insert and update are an insert", script: `
			insert 1 a x
			update 1 - ''`, want: `
			segment last=2 I=1 U=1 D=0 T=0
			  insert 1 - ''`},
		{name: "insert and delete are nothing", script: `
			insert 1 a x
			delete K 1 - -`, want: ``},
		{name: "update", script: `update 1 a x`, want: `
			segment last=1 I=0 U=1 D=0 T=0
			  upsert 1 a x`},
		{name: "update and delete are a delete", script: `
			update 1 a x
			delete K 1 - -`, want: `
			segment last=2 I=0 U=1 D=1 T=0
			  delete 1`},
		{name: "delete and insert are an upsert", script: `
			delete K 1 - -
			insert 1 a x`, want: `
			segment last=2 I=1 U=0 D=1 T=0
			  upsert 1 a x`},
		{name: "insert, delete, insert are an insert", script: `
			insert 1 a x
			delete K 1 - -
			insert 1 b y`, want: `
			segment last=3 I=2 U=0 D=1 T=0
			  insert 1 b y`},
		{name: "delete, insert, delete are a delete", script: `
			delete K 1 - -
			insert 1 b y
			delete K 1 - -`, want: `
			segment last=3 I=1 U=0 D=2 T=0
			  delete 1`},
		{name: "keys are told apart by kind and length", script: `
			insert '' a x
			insert a '' x`, want: `
			segment last=2 I=2 U=0 D=0 T=0
			  insert '' a x
			  insert a '' x`},
		{name: "composite key in the middle and at the end", columns: "a b* c d*", script: `
			update 1 2 3 4
			update K - 2 - 4 N 1 2 3 5
			delete K - 9 - 4`, want: `
			segment last=3 I=0 U=2 D=1 T=0
			  delete 2 4
			  delete 9 4
			  insert 1 2 3 5`},
		{name: "composite keys don't run together", columns: "a* b*", script: `
			insert x yz
			insert xy z`, want: `
			segment last=2 I=2 U=0 D=0 T=0
			  insert x yz
			  insert xy z`},
		{name: "a cut starts afresh", script: `
			insert 1 a x
			cut
			update 1 b x
			cut
			delete K 1 - -`, want: `
			segment last=1 I=1 U=0 D=0 T=0
			  insert 1 a x
			cut
			segment last=3 I=0 U=1 D=0 T=0
			  upsert 1 b x
			cut
			segment last=5 I=0 U=0 D=1 T=0
			  delete 1`},
		{name: "images of changing size", script: `
			insert 1 a BIG×70000
			update 1 a BIG×300000
			update 1 a short
			update 1 a longer-than-before
			insert 2 b BIG×200
			update 1 a BIG×70001`, want: `
			segment last=6 I=2 U=4 D=0 T=0
			  insert 1 a BIG×70001
			  insert 2 b BIG×200`},
	})
}

// TestR1UnchangedIsKept: an unchanged TOASTed value is neither NULL nor text.
func TestR1UnchangedIsKept(t *testing.T) {
	t.Parallel()
	run(t, []scenario{
		{name: "kept", script: `update 1 a ~`, want: `
			segment last=1 I=0 U=1 D=0 T=0
			  partial 1 a ~ from 1, existed`},
		{name: "kept through updates", script: `
			update 1 a ~
			update 1 b ~`, want: `
			segment last=2 I=0 U=2 D=0 T=0
			  partial 1 b ~ from 1, existed`},
		{name: "kept until it is sent", script: `
			update 1 a ~
			update 1 b new`, want: `
			segment last=2 I=0 U=2 D=0 T=0
			  upsert 1 b new`},
		{name: "sent, then unchanged", script: `
			update 1 a new
			update 1 b ~`, want: `
			segment last=2 I=0 U=2 D=0 T=0
			  upsert 1 b new`},
		{name: "NULL, then unchanged beside it", columns: "id* a b", script: `
			update 1 - ~
			update 1 ~ x`, want: `
			segment last=2 I=0 U=2 D=0 T=0
			  upsert 1 - x`},
		{name: "a kept row that is deleted and made again keeps nothing", script: `
			update 1 a ~
			delete K 1 - -
			insert 1 b y
			update 1 c ~`, want: `
			segment last=4 I=1 U=2 D=1 T=0
			  upsert 1 c y`},
		{name: "every column unchanged", columns: "id* a b c", script: `update 1 ~ ~ ~`, want: `
			segment last=1 I=0 U=1 D=0 T=0
			  partial 1 ~ ~ ~ from 1, existed`},
	})
}

func TestR2InsertThenPartialUpdate(t *testing.T) {
	t.Parallel()
	run(t, []scenario{
		{name: "same key", script: `
			insert 1 a BIG×5000
			update 1 b ~`, want: `
			segment last=2 I=1 U=1 D=0 T=0
			  insert 1 b BIG×5000`},
		{name: "and another key", script: `
			insert 1 a BIG×5000
			update K 1 - - N 2 b ~
			update 2 c ~`, want: `
			segment last=3 I=1 U=2 D=0 T=0
			  insert 2 c BIG×5000`},
		{name: "in another segment", script: `
			insert 1 a BIG×5000
			cut
			update 1 b ~`, want: `
			segment last=1 I=1 U=0 D=0 T=0
			  insert 1 a BIG×5000
			cut
			segment last=3 I=0 U=1 D=0 T=0
			  partial 1 b ~ from 1, existed`},
	})
}

// TestR3KeyTupleNullsAreNoValues: nothing but the key is taken from K.
func TestR3KeyTupleNullsAreNoValues(t *testing.T) {
	t.Parallel()
	run(t, []scenario{
		{name: "key change", script: `update K 1 - - N 2 a ~`, want: `
			segment last=1 I=0 U=1 D=0 T=0
			  delete 1
			  partial 2 a ~ from 1, moved`},
		{name: "delete", script: `delete K 1 - -`, want: `
			segment last=1 I=0 U=0 D=1 T=0
			  delete 1`},
		{name: "values of O are real", identity: change.IdentityFull, script: `update O 1 a x N 1 b ~`, want: `
			segment last=1 I=0 U=1 D=0 T=0
			  upsert 1 b x`},
		{name: "NULL in O is real", identity: change.IdentityFull, script: `
			update O 1 - x N 1 ~ y
			delete O 2 - -`, want: `
			segment last=2 I=0 U=1 D=1 T=0
			  delete 2
			  upsert 1 - y`},
		{name: "NULL in a key column of K", script: `delete K - - -`, want: `fault: key column is NULL`},
	})
}

func TestR4KeyChange(t *testing.T) {
	t.Parallel()
	run(t, []scenario{
		{name: "old key goes, row under the new", script: `update K 1 - - N 2 a x`, want: `
			segment last=1 I=0 U=1 D=0 T=0
			  delete 1
			  insert 2 a x`},
		{name: "there and back", script: `
			update K 1 - - N 2 a ~
			update K 2 - - N 1 b ~`, want: `
			segment last=2 I=0 U=2 D=0 T=0
			  partial 1 b ~ from 1, existed`},
		{name: "chain keeps the first key as origin", script: `
			update K 1 - - N 2 a ~
			update K 2 - - N 3 a ~
			update K 3 - - N 4 b ~`, want: `
			segment last=3 I=0 U=3 D=0 T=0
			  delete 1
			  partial 4 b ~ from 1, moved`},
		{name: "to a freed key", script: `
			delete K 2 - -
			update K 1 - - N 2 a ~`, want: `
			segment last=2 I=0 U=1 D=1 T=0
			  delete 1
			  partial 2 a ~ from 1, existed`},
		{name: "everyone moves up", script: `
			update K 2 - - N 3 b ~
			update K 1 - - N 2 a ~`, want: `
			segment last=2 I=0 U=2 D=0 T=0
			  delete 1
			  partial 2 a ~ from 1, existed
			  partial 3 b ~ from 2, moved`},
		{name: "swap", script: `
			update K 1 - - N 0 a ~
			update K 2 - - N 1 b ~
			update K 0 - - N 2 a ~`, want: `
			segment last=3 I=0 U=3 D=0 T=0
			  partial 1 b ~ from 2, existed
			  partial 2 a ~ from 1, existed`},
		{name: "swap with complete images", script: `
			update K 1 - - N 0 a x
			update K 2 - - N 1 b y
			update K 0 - - N 2 a x`, want: `
			segment last=3 I=0 U=3 D=0 T=0
			  upsert 1 b y
			  upsert 2 a x`},
		{name: "cycle of three", script: `
			update K 1 - - N 0 a ~
			update K 3 - - N 1 c ~
			update K 2 - - N 3 b ~
			update K 0 - - N 2 a ~`, want: `
			segment last=4 I=0 U=4 D=0 T=0
			  partial 1 c ~ from 3, existed
			  partial 3 b ~ from 2, existed
			  partial 2 a ~ from 1, existed`},
		{name: "new row under the key that was left", script: `
			update K 1 - - N 2 a ~
			insert 1 n new
			update 1 m ~`, want: `
			segment last=3 I=1 U=2 D=0 T=0
			  upsert 1 m new
			  partial 2 a ~ from 1, moved`},
		{name: "moved, then deleted", script: `
			update K 1 - - N 2 a ~
			delete K 2 - -`, want: `
			segment last=2 I=0 U=1 D=1 T=0
			  delete 1`},
		{name: "inserted, then moved", script: `
			insert 1 a x
			update K 1 - - N 2 a ~`, want: `
			segment last=2 I=1 U=1 D=0 T=0
			  insert 2 a x`},
		{name: "moved under FULL", identity: change.IdentityFull, script: `
			update O 1 a x N 2 a ~
			update O 2 a x N 3 b ~`, want: `
			segment last=2 I=0 U=2 D=0 T=0
			  delete 1
			  insert 3 b x`},
	})
}

func TestR5Truncate(t *testing.T) {
	t.Parallel()
	run(t, []scenario{
		{name: "alone", script: `truncate`, want: `
			segment last=1 I=0 U=0 D=0 T=1
			  truncate`},
		{name: "rows before and after", script: `
			update 1 a x
			truncate
			insert 1 b y
			insert 2 c z
			delete K 2 - -`, want: `
			segment last=1 I=0 U=1 D=0 T=0
			  upsert 1 a x
			segment last=5 I=2 U=0 D=1 T=1
			  truncate
			  insert 1 b y`},
		{name: "twice", script: `
			truncate
			truncate
			insert 1 a x
			truncate`, want: `
			segment last=3 I=1 U=0 D=0 T=2
			  truncate
			  insert 1 a x
			segment last=4 I=0 U=0 D=0 T=1
			  truncate`},
		{name: "nothing can be changed right after", script: `
			truncate
			update 1 a x
			delete K 1 - -`, want: `
			fault: key is not there
			fault: key is not there
			segment last=1 I=0 U=0 D=0 T=1
			  truncate`},
		{name: "what was inserted before a cut can", script: `
			truncate
			insert 1 a x
			cut
			update 1 b ~`, want: `
			segment last=2 I=1 U=0 D=0 T=1
			  truncate
			  insert 1 a x
			cut
			segment last=4 I=0 U=1 D=0 T=0
			  partial 1 b ~ from 1, existed`},
		{name: "without a key", columns: "v", identity: change.IdentityNothing, script: `
			insert 1
			truncate
			insert 2`, want: `
			segment last=1 I=1 U=0 D=0 T=0
			  insert 1
			segment last=3 I=1 U=0 D=0 T=1
			  truncate
			  insert 2`},
	})
}
