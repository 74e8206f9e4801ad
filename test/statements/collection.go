package statements

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Side is where a statement went.
type Side string

// The two sides.
const (
	Source   Side = "source"
	Redshift Side = "redshift"
)

// Sent is a statement that a server was sent.
type Sent struct {
	Side Side `json:"side"`
	// App is the session's application_name, User who logged in.
	App  string `json:"app"`
	User string `json:"user"`
	SQL  string `json:"sql"`
	// Params are the values of an extended query as PostgreSQL logs them.
	Params string `json:"params"`
}

// testing is the application_name of sessions that walshift opened for a test
// of the sessions themselves: the test decides what they are sent.
const testing = "walshift/test"

// Own tells whether a session of walshift's sent it.
func (s Sent) Own() bool { return strings.HasPrefix(s.App, "walshift") && s.App != testing }

// Read calls each with every statement of the folder's files.
func Read(dir string, each func(Sent) error) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		return fmt.Errorf("looking for the collection: %w", err)
	}
	if len(files) == 0 {
		return fmt.Errorf("reading the collection: %s holds no *.jsonl: were the tests run with WALSHIFT_STATEMENTS set to it?", dir)
	}
	for _, file := range files {
		if err := readFile(file, each); err != nil {
			return fmt.Errorf("reading the collection: %s: %w", filepath.Base(file), err)
		}
	}
	return nil
}

func readFile(file string, each func(Sent) error) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was only read
	dec := json.NewDecoder(bufio.NewReader(f))
	for {
		var s Sent
		if err := dec.Decode(&s); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := each(s); err != nil {
			return err
		}
	}
}

// samples is how many instances of a shape are kept.
const samples = 3

// Shapes are the shapes that walshift sent to one side, each with a few of its
// instances, whole texts.
type Shapes map[string][]string

// Sorted returns the shapes in order.
func (s Shapes) Sorted() []string { return slices.Sorted(maps.Keys(s)) }

// Collect reads the shapes of walshift's own statements, by side.
func Collect(dir string, keep map[Side][]string) (map[Side]Shapes, error) {
	out := map[Side]Shapes{Source: {}, Redshift: {}}
	err := Read(dir, func(s Sent) error {
		if !s.Own() {
			return nil
		}
		for _, shape := range Shape(s.Side, s.SQL, keep[s.Side]) {
			if seen := out[s.Side][shape]; len(seen) < samples && !slices.Contains(seen, s.SQL) {
				out[s.Side][shape] = append(seen, s.SQL)
			}
		}
		return nil
	})
	return out, err
}
