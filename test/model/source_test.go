package model_test

import (
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pglogrepl"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/fold"
)

// table is what a side of the replication holds: rows by key.
type table map[string][]string

// source is the table that the script changes row by row; each change goes to
// the folder as pgoutput would send it.
type source struct {
	*schema
	rows   table
	folder *fold.Folder
	commit pglogrepl.LSN
	buffer []byte
}

// play does one step. Steps that name rows which are not there do nothing, so
// that any part of a script is one.
func (s *source) play(st step) error {
	switch st.what {
	case "insert":
		key := name(s.keyOf(st.with))
		if s.rows[key] != nil {
			return nil
		}
		s.rows[key] = st.with
		return s.change(change.Row{Op: change.OpInsert, New: s.tuple(st.with)})
	case "update":
		old := s.rows[name(st.key)]
		if old == nil {
			return nil
		}
		row := slices.Clone(st.with)
		for i := range row {
			if row[i] == leave {
				row[i] = old[i]
			}
		}
		return s.update(old, row)
	case "delete":
		old := s.rows[name(st.key)]
		if old == nil {
			return nil
		}
		delete(s.rows, name(st.key))
		row := change.Row{Op: change.OpDelete}
		row.OldKind, row.Old = s.old(old)
		return s.change(row)
	case "swap":
		return s.swap(st.key, st.with)
	case "truncate":
		clear(s.rows)
		s.folder.Truncate(s.rel, s.commit)
	case "commit":
		s.commit++
	}
	return nil
}

// update changes old to row, unless another row has its key.
func (s *source) update(old, row []string) error {
	from, to := name(s.keyOf(old)), name(s.keyOf(row))
	if from != to && s.rows[to] != nil {
		return nil
	}
	delete(s.rows, from)
	s.rows[to] = row
	sent := slices.Clone(row)
	toastedKey := false
	for i := range row {
		if s.toast[i] && toasted(old[i]) && row[i] == old[i] {
			sent[i] = kept
			toastedKey = toastedKey || s.rel.IsKey(i)
		}
	}
	out := change.Row{Op: change.OpUpdate, New: s.tuple(sent)}
	if from != to || toastedKey || s.rel.Identity == change.IdentityFull {
		out.OldKind, out.Old = s.old(old)
	}
	return s.change(out)
}

// swap exchanges the keys of two rows by way of one that nobody has.
func (s *source) swap(a, b []string) error {
	if s.rows[name(a)] == nil || s.rows[name(b)] == nil || name(a) == name(b) {
		return nil
	}
	spare := make([]string, len(a))
	for i := range spare {
		spare[i] = "z"
	}
	for _, move := range [][2][]string{{a, spare}, {b, a}, {spare, b}} {
		old := s.rows[name(move[0])]
		row := slices.Clone(old)
		for i, k := range s.rel.Keys {
			row[k] = move[1][i]
		}
		if err := s.update(old, row); err != nil {
			return err
		}
	}
	return nil
}

// old is the old tuple that the replica identity makes the server send.
func (s *source) old(row []string) (change.OldKind, change.Tuple) {
	if s.rel.Identity == change.IdentityFull {
		return change.OldFull, s.tuple(row)
	}
	key := make([]string, len(row))
	for i := range row {
		key[i] = null
		if s.rel.IsKey(i) {
			key[i] = row[i]
		}
	}
	return change.OldKey, s.tuple(key)
}

func (s *source) change(row change.Row) error {
	err := s.folder.Change(s.rel, row, s.commit)
	for i := range s.buffer { // the folder must have copied what it keeps
		s.buffer[i] = '!'
	}
	s.buffer = s.buffer[:0]
	if err != nil {
		return fmt.Errorf("folding: %w", errors.Unwrap(err))
	}
	return nil
}

func (s *source) tuple(row []string) change.Tuple {
	begin := len(s.buffer)
	if cap(s.buffer)-begin < 512 { // earlier tuples of the change stay where they are
		s.buffer = make([]byte, 0, 4096)
		begin = 0
	}
	b := s.buffer
	for _, v := range row {
		switch v {
		case null:
			b = change.AppendValue(b, change.Value{Kind: change.ValueNull})
		case kept:
			b = change.AppendValue(b, change.Value{Kind: change.ValueUnchanged})
		default:
			b = change.AppendValue(b, change.Value{Kind: change.ValueText, Text: []byte(v)})
		}
	}
	s.buffer = b
	return b[begin:len(b):len(b)]
}

// row reads a tuple.
func row(t change.Tuple) []string {
	var out []string
	for len(t) > 0 {
		var v change.Value
		v, t = t.Next()
		switch v.Kind {
		case change.ValueNull:
			out = append(out, null)
		case change.ValueUnchanged:
			out = append(out, kept)
		default:
			out = append(out, string(v.Text))
		}
	}
	return out
}
