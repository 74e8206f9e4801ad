package statements_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/walshift/walshift/test/statements"
)

const docs = "../../docs"

func sides() []statements.Side { return []statements.Side{statements.Source, statements.Redshift} }

func load(t *testing.T, side statements.Side) *statements.List {
	t.Helper()
	l, err := statements.Load(".", side)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func keeps(t *testing.T) map[statements.Side][]string {
	t.Helper()
	out := map[statements.Side][]string{}
	for _, side := range sides() {
		out[side] = load(t, side).Keep
	}
	return out
}

// TestListsAreWhole: every shape has its notes, and the documents say what the
// lists say.
func TestListsAreWhole(t *testing.T) {
	t.Parallel()
	for _, side := range sides() {
		l := load(t, side)
		for _, fault := range l.Faults(side) {
			t.Errorf("%s.yaml: %s", side, fault)
		}
		text, err := os.ReadFile(statements.DocumentFile(docs, side))
		if err != nil {
			t.Fatal(err)
		}
		if string(text) != l.Document(side) {
			t.Errorf("%s is not what %s.yaml makes of it: run make statements", statements.DocumentFile("docs", side), side)
		}
	}
}

// TestListSurvivesSaving: a list that is written is read as it was.
func TestListSurvivesSaving(t *testing.T) {
	t.Parallel()
	for _, side := range sides() {
		l, dir := load(t, side), t.TempDir()
		if err := l.Save(dir, side); err != nil {
			t.Fatal(err)
		}
		again, err := statements.Load(dir, side)
		if err != nil {
			t.Fatal(err)
		}
		if again.Document(side) != l.Document(side) || !slices.Equal(again.Keep, l.Keep) {
			t.Errorf("%s.yaml is another after saving", side)
		}
	}
}

func TestListComparesBothWays(t *testing.T) {
	t.Parallel()
	l := &statements.List{Statements: []statements.Note{
		{Shape: "SELECT a", When: "start", Often: "once"},
		{Shape: "SELECT b", When: "start", Often: "once"},
		{Shape: "SELECT c", When: "apply", Often: "once", Rare: "a cut connection"},
		{Shape: "SELECT d", When: "start"},
	}}
	sent := statements.Shapes{"SELECT a": {"select a"}, "SELECT d": {"select d"}, "SELECT e": {"select e"}}
	if got := l.Unlisted(sent); !slices.Equal(got, []string{"SELECT e"}) {
		t.Errorf("unlisted: %q", got)
	}
	if got := l.Unsent(sent); !slices.Equal(got, []string{"SELECT b"}) {
		t.Errorf("unsent: %q", got)
	}
	if got := l.Faults(statements.Redshift); len(got) != 1 || !strings.Contains(got[0], "SELECT d") {
		t.Errorf("faults: %q", got)
	}
	if got := l.Faults(statements.Source); len(got) != 5 {
		t.Errorf("faults of a source's list without locks: %q", got)
	}
	l.Add(sent)
	l.Prune(sent)
	if len(l.Unlisted(sent)) != 0 || len(l.Unsent(sent)) != 0 || len(l.Statements) != 4 {
		t.Errorf("after the update: %+v", l.Statements)
	}
}
