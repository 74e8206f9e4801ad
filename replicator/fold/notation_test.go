package fold_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pglogrepl"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/fold"
)

// The tests write rows as words: "-" is NULL, "~" an unchanged value, "''" the
// empty text, and BIG×n n bytes.

func tuple(words ...string) change.Tuple {
	t := change.Tuple{}
	for _, w := range words {
		v := change.Value{Kind: change.ValueText}
		switch {
		case w == "-":
			v.Kind = change.ValueNull
		case w == "~":
			v.Kind = change.ValueUnchanged
		case w == "''":
		case strings.HasPrefix(w, "BIG×"):
			var n int
			fmt.Sscanf(w, "BIG×%d", &n)
			v.Text = []byte(strings.Repeat("x", n))
		default:
			v.Text = []byte(w)
		}
		t = change.AppendValue(t, v)
	}
	return t
}

func words(t change.Tuple) string {
	var out []string
	for _, v := range t.Values(nil) {
		switch {
		case v.Kind == change.ValueNull:
			out = append(out, "-")
		case v.Kind == change.ValueUnchanged:
			out = append(out, "~")
		case len(v.Text) == 0:
			out = append(out, "''")
		case len(v.Text) > 100:
			out = append(out, fmt.Sprintf("BIG×%d", len(v.Text)))
		default:
			out = append(out, string(v.Text))
		}
	}
	return strings.Join(out, " ")
}

// relation makes a table of column names; those with a star are its key. Under
// FULL it is a multiset without one.
func relation(oid uint32, identity change.Identity, columns string) *change.Relation {
	rel := &change.Relation{OID: oid, Schema: "public", Name: fmt.Sprintf("t%d", oid), Identity: identity}
	for i, name := range strings.Fields(columns) {
		plain, key := strings.CutSuffix(name, "*")
		if key {
			rel.Keys = append(rel.Keys, i)
		}
		rel.Columns = append(rel.Columns, change.Column{Attnum: int16(i + 1), Name: plain, Type: "text", NotNull: key})
	}
	rel.Multiset = identity == change.IdentityFull && len(rel.Keys) == 0
	return rel
}

// play folds a script of lines like
//
//	insert 1 a b
//	update 1 c ~
//	update K 1 - - N 2 c ~
//	delete K 2 - -
//	truncate
//	cut
//
// and returns what comes out, as text. Line n has commit LSN n.
func play(t *testing.T, rel *change.Relation, script string) string {
	t.Helper()
	f := fold.New(fold.Config{})
	var out strings.Builder
	for i, line := range strings.Split(strings.TrimSpace(script), "\n") {
		line, _, _ = strings.Cut(line, "#")
		commit := pglogrepl.LSN(i + 1)
		switch w := strings.Fields(line); w[0] {
		case "cut":
			show(&out, f.Cut())
			out.WriteString("cut\n")
		case "truncate":
			f.Truncate(rel, commit)
		default:
			if err := f.Change(rel, rowOf(w), commit); err != nil {
				checkFault(t, err, rel, commit, w)
				fmt.Fprintf(&out, "fault: %v\n", errors.Unwrap(err))
			}
		}
	}
	show(&out, f.Cut())
	return out.String()
}

func rowOf(w []string) change.Row {
	row := change.Row{Op: change.Op(strings.ToUpper(w[0])[0])}
	values := w[1:]
	if len(values) > 0 && (values[0] == "K" || values[0] == "O") {
		row.OldKind = change.OldKind(values[0][0])
		end := slices.Index(values, "N")
		if end < 0 {
			end = len(values)
		}
		row.Old = tuple(values[1:end]...)
		values = values[min(end+1, len(values)):]
	}
	if row.Op != change.OpDelete {
		row.New = tuple(values...)
	}
	return row
}

// checkFault checks what every fault must have, and that it tells no values.
func checkFault(t *testing.T, err error, rel *change.Relation, commit pglogrepl.LSN, values []string) {
	t.Helper()
	var f *change.Fault
	if !errors.As(err, &f) || f.Scope != change.ScopeTable || f.Table != rel.String() ||
		f.TableOID != rel.OID || f.LSN != commit || f.Remedy == "" {
		t.Errorf("got %#v, want a fault of the table with oid, LSN and remedy", err)
	}
	for _, v := range values {
		if strings.HasPrefix(v, "secret") && strings.Contains(err.Error(), v) {
			t.Errorf("error %q tells a value", err)
		}
	}
}

func show(out *strings.Builder, segments []*change.Segment) {
	for _, s := range segments {
		fmt.Fprintf(out, "segment last=%d I=%d U=%d D=%d T=%d\n", s.Last,
			s.Changes.Inserts, s.Changes.Updates, s.Changes.Deletes, s.Changes.Truncates)
		if s.Truncate {
			out.WriteString("  truncate\n")
		}
		for _, key := range s.Deletes.Images {
			fmt.Fprintf(out, "  delete %s\n", words(key))
		}
		for _, image := range s.Upserts.Images {
			fmt.Fprintf(out, "  upsert %s\n", words(image))
		}
		for i, image := range s.Partials.Images {
			how := "moved"
			if s.Partials.Existed[i] {
				how = "existed"
			}
			fmt.Fprintf(out, "  partial %s from %s, %s\n", words(image), words(s.Partials.Origins[i]), how)
		}
		for i, image := range s.Removed.Images {
			fmt.Fprintf(out, "  remove %d× %s\n", s.Removed.Copies[i], words(image))
		}
		for i, image := range s.Inserts.Images {
			if s.Relation.Multiset {
				fmt.Fprintf(out, "  insert %d× %s\n", s.Inserts.Copies[i], words(image))
				continue
			}
			fmt.Fprintf(out, "  insert %s\n", words(image))
		}
		s.Release()
	}
}
