package model_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/walshift/walshift/replicator/change"
)

// null and kept are values that have no text; values that begin with T are
// stored TOASTed where the column allows it, so that an UPDATE which leaves
// them alone does not send them.
const (
	null = "-"
	kept = "~"
)

func toasted(v string) bool { return strings.HasPrefix(v, "T") }

// schema is a table: its relation, and which columns may hold TOASTed values.
type schema struct {
	rel   *change.Relation
	toast []bool
}

// String writes the table as "id* a b~ identity d": a star marks the key, a
// tilde a column that may be TOASTed.
func (s *schema) String() string {
	var out []string
	for i := range s.rel.Columns {
		name := s.rel.Columns[i].Name
		if s.rel.IsKey(i) {
			name += "*"
		}
		if s.toast[i] {
			name += kept
		}
		out = append(out, name)
	}
	return fmt.Sprintf("%s identity %c", strings.Join(out, " "), s.rel.Identity)
}

// drawSchema draws a table with a key of one to three columns at any places.
func drawSchema(r *rand.Rand) *schema {
	keys := 1 + r.IntN(3)
	n := keys + r.IntN(4)
	identities := []change.Identity{change.IdentityDefault, change.IdentityDefault, change.IdentityIndex, change.IdentityFull}
	s := &schema{
		rel:   &change.Relation{OID: 7, Schema: "public", Name: "t", Identity: identities[r.IntN(len(identities))]},
		toast: make([]bool, n),
	}
	s.rel.Keys = slices.Sorted(slices.Values(r.Perm(n)[:keys]))
	for i := range n {
		s.toast[i] = r.IntN(2) == 0
		s.rel.Columns = append(s.rel.Columns, change.Column{
			Attnum: int16(2*i + 1), Name: string(rune('a' + i)), Type: "text", TypeKind: "b", Typmod: -1, NotNull: s.rel.IsKey(i),
		})
	}
	return s
}

// value draws from few values, so that keys meet.
func (s *schema) value(r *rand.Rand, column int) string {
	choice := []string{null, "", "1", "22"}
	switch {
	case s.rel.IsKey(column) && s.toast[column]:
		choice = []string{"a", "T2", "T3"}
	case s.rel.IsKey(column):
		choice = []string{"a", "b", "c"}
	case s.toast[column]:
		choice = []string{null, "a", "T1", "T2", "T3"}
	}
	return choice[r.IntN(len(choice))]
}

func (s *schema) row(r *rand.Rand) []string {
	values := make([]string, len(s.rel.Columns))
	for i := range values {
		values[i] = s.value(r, i)
	}
	return values
}

func (s *schema) keyOf(row []string) []string {
	key := make([]string, len(s.rel.Keys))
	for i, k := range s.rel.Keys {
		key[i] = row[k]
	}
	return key
}

// name is the identity of a row in maps.
func name(key []string) string { return strings.Join(key, " ") }

// step is one line of a script.
type step struct {
	what string
	key  []string // of delete, update and swap
	with []string // swap: the other key; insert and update: the row, in an update with leave for columns that stay
}

const leave = "."

func (s step) String() string {
	parts := []string{s.what}
	for _, list := range [][]string{s.key, s.with} {
		for _, v := range list {
			if v == "" {
				v = "''"
			}
			parts = append(parts, v)
		}
		if s.what == "update" || s.what == "swap" {
			parts = append(parts, "→")
		}
	}
	return strings.TrimSuffix(strings.Join(parts, " "), " →")
}

// drawScript draws steps that mostly find the rows they name. A "cut" ends the
// segments, a "commit" the transaction, an "apply" the run of segments that
// apply takes together.
func drawScript(r *rand.Rand, s *schema) []step {
	var keys [][]string // of rows that may be there
	some := func() []string {
		if len(keys) == 0 || r.IntN(12) == 0 {
			return s.keyOf(s.row(r))
		}
		return keys[r.IntN(len(keys))]
	}
	script := make([]step, 0, 40)
	for range 4 + r.IntN(30) {
		switch what := r.IntN(40); {
		case what < 12:
			row := s.row(r)
			keys = append(keys, s.keyOf(row))
			script = append(script, step{"insert", nil, row})
		case what < 22:
			row := s.row(r)
			for i := range row {
				if r.IntN(2) == 0 || s.rel.IsKey(i) && r.IntN(2) == 0 {
					row[i] = leave
				}
			}
			key := some()
			script = append(script, step{"update", key, row})
			after := slices.Clone(key)
			for i, k := range s.rel.Keys {
				if row[k] != leave {
					after[i] = row[k]
				}
			}
			keys = append(keys, after)
		case what < 27:
			script = append(script, step{"delete", some(), nil})
		case what < 30:
			script = append(script, step{"swap", some(), some()})
		case what < 31:
			script = append(script, step{what: "truncate"})
		case what < 33:
			script = append(script, step{what: "commit"})
		case what < 37:
			script = append(script, step{what: "cut"})
		default:
			script = append(script, step{what: "apply"})
		}
	}
	return script
}

// shrink takes steps out of a script as long as it fails, many at once first.
func shrink(script []step, fails func([]step) bool) []step {
	for size := len(script); size > 0; size /= 2 {
		for at := 0; at < len(script); {
			shorter := slices.Concat(script[:at], script[min(at+size, len(script)):])
			if fails(shorter) {
				script = shorter
			} else {
				at += size
			}
		}
		if size == 1 { // what stayed may go now that others have gone
			for at := range slices.Backward(script) {
				if shorter := slices.Concat(script[:at], script[at+1:]); fails(shorter) {
					script = shorter
				}
			}
		}
	}
	return script
}

func text(s *schema, script []step) string {
	lines := []string{"table " + s.String()}
	for _, st := range script {
		lines = append(lines, st.String())
	}
	return strings.Join(lines, "\n")
}
