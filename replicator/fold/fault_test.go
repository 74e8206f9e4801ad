package fold_test

import (
	"strings"
	"testing"

	"github.com/walshift/walshift/replicator/change"
)

// TestV9UnchangedInInsert: an UPDATE that a row filter turned into an INSERT
// leaves values out that the target never had.
func TestV9UnchangedInInsert(t *testing.T) {
	t.Parallel()
	run(t, []scenario{
		{name: "insert", script: `insert 1 a ~`, want: `fault: unchanged value without an old one`},
		{name: "of a deleted key", script: `
			delete K 1 - -
			insert 1 a ~`, want: `
			fault: unchanged value without an old one
			segment last=1 I=0 U=0 D=1 T=0
			  delete 1`},
		{name: "without a key", columns: "a b", script: `insert 1 ~`, want: `fault: unchanged value without an old one`},
	})
}

// TestV10KeyIsTheIdentity: of an identity that is not the primary key (id, of
// which nothing is known here), and of TOASTed key columns.
func TestV10KeyIsTheIdentity(t *testing.T) {
	t.Parallel()
	run(t, []scenario{
		{name: "primary key changes without an old tuple", identity: change.IdentityIndex, columns: "id code*", script: `
			update 1 A
			update 2 A
			delete K - A`, want: `
			segment last=3 I=0 U=2 D=1 T=0
			  delete A`},
		{name: "toasted key sends K without a change", columns: "k* v", script: `
			update K longkey - N ~ 1
			update K longkey - N ~ 2`, want: `
			segment last=2 I=0 U=2 D=0 T=0
			  upsert longkey 2`},
		{name: "toasted key beside a kept column", columns: "k* v doc", script: `update K longkey - - N ~ 1 ~`, want: `
			segment last=1 I=0 U=1 D=0 T=0
			  partial longkey 1 ~ from longkey, existed`},
		{name: "half of a composite key is toasted, the other changes", columns: "v a* b*", script: `
			update K - long 1 N x ~ 2
			update K - long 2 N ~ ~ 3`, want: `
			segment last=2 I=0 U=2 D=0 T=0
			  delete long 1
			  insert x long 3`},
		{name: "toasted key replaced", columns: "k* v", script: `update K longkey - N short 1`, want: `
			segment last=1 I=0 U=1 D=0 T=0
			  delete longkey
			  insert short 1`},
		{
			name: "toasted key without K", columns: "k* v", script: `update ~ 1`,
			want: `fault: unchanged value without an old one`,
		},
		{name: "toasted key under FULL", identity: change.IdentityFull, columns: "k* v", script: `update O longkey 1 N ~ 2`, want: `
			segment last=1 I=0 U=1 D=0 T=0
			  upsert longkey 2`},
		{name: "the same key twice for a moment", identity: change.IdentityFull, columns: "k* v", script: `
			insert 1 a
			update O 2 b N 1 b`, want: `
			fault: key is there already
			segment last=1 I=1 U=0 D=0 T=0
			  insert 1 a`},
		{name: "old tuple differs from what was folded", identity: change.IdentityFull, script: `
			insert 1 a x
			update O 1 secretz x N 1 b x
			delete O 1 a -
			update O 1 a x N 1 b ~
			delete O 1 b x`, want: `
			fault: old tuple differs from the row as folded
			fault: old tuple differs from the row as folded`},
		{name: "unchanged values agree with any", identity: change.IdentityFull, script: `
			update O 1 a ~ N 1 b ~
			update O 1 b x N 1 c ~
			update O 1 c ~ N 1 d ~`, want: `
			segment last=3 I=0 U=3 D=0 T=0
			  upsert 1 d x`},
		{name: "a leaf's identity is not the root's", identity: change.IdentityFull, script: `
			update 1 b x
			delete K 1 - -`, want: `
			fault: old tuple does not fit the replica identity
			fault: old tuple does not fit the replica identity`},
		{name: "O without FULL", script: `
			update O 1 a x N 1 b x
			delete O 1 a x`, want: `
			fault: old tuple does not fit the replica identity
			fault: old tuple does not fit the replica identity`},
	})
}

func TestImpossibleSequences(t *testing.T) {
	t.Parallel()
	run(t, []scenario{
		{name: "insert of a key that is there", script: `
			insert 1 secret1 x
			insert 1 secret2 y`, want: `
			fault: key is there already
			segment last=1 I=1 U=0 D=0 T=0
			  insert 1 secret1 x`},
		{name: "insert of a key that was updated", script: `
			update 1 a ~
			insert 1 b y`, want: `
			fault: key is there already
			segment last=1 I=0 U=1 D=0 T=0
			  partial 1 a ~ from 1, existed`},
		{name: "insert of a key that a row moved to", script: `
			update K 1 - - N 2 a x
			insert 2 b y`, want: `
			fault: key is there already
			segment last=1 I=0 U=1 D=0 T=0
			  delete 1
			  insert 2 a x`},
		{name: "move to a key that is there leaves all as it was", script: `
			update 1 a x
			update 2 b ~
			update K 2 - - N 1 c ~
			update K 3 - - N 1 c ~`, want: `
			fault: key is there already
			fault: key is there already
			segment last=2 I=0 U=2 D=0 T=0
			  upsert 1 a x
			  partial 2 b ~ from 2, existed`},
		{name: "changes of a key that is gone", script: `
			delete K 1 - -
			update 1 a x
			delete K 1 - -
			update K 1 - - N 2 a x`, want: `
			fault: key is not there
			fault: key is not there
			fault: key is not there
			segment last=1 I=0 U=0 D=1 T=0
			  delete 1`},
		{name: "changes of a key that was left", script: `
			update K 1 - - N 2 a x
			update 1 b y
			delete K 1 - -`, want: `
			fault: key is not there
			fault: key is not there
			segment last=1 I=0 U=1 D=0 T=0
			  delete 1
			  insert 2 a x`},
		{name: "NULL keys", script: `
			insert - a x
			update - a x
			update K - - - N 1 a x
			update K 1 - - N - a x`, want: `
			fault: key column is NULL
			fault: key column is NULL
			fault: key column is NULL
			fault: key column is NULL`},
		{name: "delete without an old tuple", script: `delete`, want: `
			fault: old tuple does not fit the replica identity`},
		{name: "unknown operation", script: `x 1 a b`, want: `
			fault: operation 'X': tuple does not fit the relation's columns`},
		{name: "numbers of values", script: `
			insert 1 a
			insert 1 a x y
			update 1 a
			update K 1 - N 1 a x
			update K 1 - - - N 1 a x
			delete K 1 -`, want: strings.Repeat("fault: tuple does not fit the relation's columns\n", 6)},
	})
}

// TestS12InsertOnly: a table without identity takes inserts, nothing else.
func TestS12InsertOnly(t *testing.T) {
	t.Parallel()
	run(t, []scenario{
		{name: "equal rows stay apart", columns: "a b", identity: change.IdentityNothing, script: `
			insert 1 -
			insert 1 -
			insert - ''`, want: `
			segment last=3 I=3 U=0 D=0 T=0
			  insert 1 -
			  insert 1 -
			  insert - ''`},
		{name: "other changes", columns: "a b", identity: change.IdentityNothing, script: `
			update 1 2
			delete K 1 2`, want: `
			fault: update or delete of a table without replica identity
			fault: update or delete of a table without replica identity`},
	})
}
