package statements

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// List is what walshift sends to one side.
type List struct {
	// Keep are string literals that belong to statements, see [Shape].
	Keep []string `yaml:"keep"`
	// Statements are grouped in the document by When, in the order in which
	// each When appears first.
	Statements []Note `yaml:"statements"`
}

// Note is what is known of one shape.
type Note struct {
	Shape string `yaml:"shape"`
	// When is the occasion, the heading in the document.
	When string `yaml:"when"`
	// Often is how many are sent on that occasion.
	Often string `yaml:"often"`
	// Lock is what it locks. Only the source's statements have it.
	Lock string `yaml:"lock,omitempty"`
	// Why is the purpose, where the statement doesn't say it.
	Why string `yaml:"why,omitempty"`
	// Rare says why a whole run of the tests may not send it; empty: it does.
	Rare string `yaml:"rare,omitempty"`
}

// file is a list's file beside this package.
func file(dir string, side Side) string { return filepath.Join(dir, string(side)+".yaml") }

// Load reads the list of a side from dir, this package's folder.
func Load(dir string, side Side) (*List, error) {
	body, err := os.ReadFile(file(dir, side))
	if err != nil {
		return nil, fmt.Errorf("reading the list: %w", err)
	}
	l := &List{}
	dec := yaml.NewDecoder(bytes.NewReader(body))
	dec.KnownFields(true)
	if err := dec.Decode(l); err != nil {
		return nil, fmt.Errorf("reading the list of %s: %w", file(dir, side), err)
	}
	for i := range l.Statements {
		l.Statements[i].Shape = oneLine(l.Statements[i].Shape)
	}
	return l, nil
}

const header = `# Every shape of statement that walshift sends to %s. The notes are kept by
# hand; make statements adds what is new and writes docs/statements-%s.md.
`

// Save writes the list to dir.
func (l *List) Save(dir string, side Side) error {
	out := List{Keep: l.Keep, Statements: slices.Clone(l.Statements)}
	for i := range out.Statements {
		out.Statements[i].Shape = wrap(out.Statements[i].Shape)
	}
	var b bytes.Buffer
	name := map[Side]string{Source: "the source", Redshift: "Redshift"}[side]
	fmt.Fprintf(&b, header, name, side)
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(out), enc.Close()); err != nil {
		return fmt.Errorf("writing the list: %w", err)
	}
	if err := os.WriteFile(file(dir, side), b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("writing the list: %w", err)
	}
	return nil
}

// Add appends the shapes that are not listed, without notes, and returns them.
func (l *List) Add(sent Shapes) []string {
	var added []string
	for _, shape := range sent.Sorted() {
		if l.note(shape) == nil {
			l.Statements = append(l.Statements, Note{Shape: shape})
			added = append(added, shape)
		}
	}
	return added
}

// Prune removes the shapes that were not sent and are not rare, and returns
// them.
func (l *List) Prune(sent Shapes) []string {
	gone := l.Unsent(sent)
	l.Statements = slices.DeleteFunc(l.Statements, func(n Note) bool { return slices.Contains(gone, n.Shape) })
	return gone
}

// Unlisted returns the shapes that were sent and are not listed.
func (l *List) Unlisted(sent Shapes) []string {
	return slices.DeleteFunc(sent.Sorted(), func(shape string) bool { return l.note(shape) != nil })
}

// Unsent returns the shapes that are listed, not rare, and were not sent.
func (l *List) Unsent(sent Shapes) []string {
	var out []string
	for _, n := range l.Statements {
		if sent[n.Shape] == nil && n.Rare == "" {
			out = append(out, n.Shape)
		}
	}
	return out
}

// Faults returns what is wrong with the list itself: notes that are missing,
// shapes that are listed twice.
func (l *List) Faults(side Side) []string {
	var out []string
	seen := map[string]bool{}
	for _, n := range l.Statements {
		if seen[n.Shape] {
			out = append(out, "listed twice: "+n.Shape)
		}
		seen[n.Shape] = true
		for field, text := range map[string]string{"when": n.When, "often": n.Often} {
			if text == "" {
				out = append(out, "without "+field+": "+n.Shape)
			}
		}
		if side == Source && n.Lock == "" {
			out = append(out, "without lock: "+n.Shape)
		}
	}
	slices.Sort(out)
	return out
}

func (l *List) note(shape string) *Note {
	for i := range l.Statements {
		if l.Statements[i].Shape == shape {
			return &l.Statements[i]
		}
	}
	return nil
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// wrap breaks a shape into lines of at most 100 bytes, where words allow it.
func wrap(shape string) string {
	const width = 100
	var b strings.Builder
	length := 0
	for i, w := range strings.Fields(shape) {
		switch {
		case i == 0:
		case length+1+len(w) > width:
			b.WriteString("\n  ")
			length = 2
		default:
			b.WriteByte(' ')
			length++
		}
		b.WriteString(w)
		length += len(w)
	}
	return b.String()
}
