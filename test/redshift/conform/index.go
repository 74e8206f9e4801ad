package conform

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Entry is a fact of the index, dir/index/*.yaml: what is known of Redshift,
// whether or not a case shows it.
type Entry struct {
	ID   string `yaml:"id"`
	Says string `yaml:"says"`
	// Mark is as in a case.
	Mark string `yaml:"mark"`
	// NotObservable says why no case shows it; empty: one does.
	NotObservable string `yaml:"not_observable"`
}

// Unsure says that no source settles the fact, wholly or in part.
func (e Entry) Unsure() bool { return strings.Contains(e.Mark, "unsure") }

// LoadIndex reads the index below dir, the cases' folder. A folder without an
// index has no entries.
func LoadIndex(dir string) ([]Entry, error) {
	files, err := filepath.Glob(filepath.Join(dir, "index", "*.yaml"))
	if err != nil {
		return nil, fmt.Errorf("looking for the index: %w", err)
	}
	var all []Entry
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading the index: %w", err)
		}
		var entries []Entry
		if err := yaml.Unmarshal(body, &entries); err != nil {
			return nil, fmt.Errorf("reading the index %s: %w", file, err)
		}
		all = append(all, entries...)
	}
	return all, nil
}
