package conform

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Case is one fact about Redshift and what shows it.
type Case struct {
	// Fact is one line; it names the test.
	Fact string `yaml:"fact"`
	// IDs are the facts of facts/index that the case shows.
	IDs []string `yaml:"ids"`
	// Mark is where the fact comes from: doc, issue, code, or unsure.
	Mark string `yaml:"mark"`
	// Needs are abilities of the target beyond those that the steps show.
	Needs []Ability `yaml:"needs"`
	// Objects are put into the case's S3 folder, by key. Keys that end in .gz
	// or .zst are compressed so.
	Objects map[string]string `yaml:"objects"`
	Steps   []Step            `yaml:"steps"`

	// Group is the name of the case's file without its ending.
	Group string `yaml:"-"`
	// Number counts all cases from 1, in the order of files and lines.
	Number int `yaml:"-"`
}

// Step is one statement and what must come back.
type Step struct {
	SQL string `yaml:"sql"`
	// Session is a name; each has a connection of its own. The session "other"
	// is the second user's.
	Session string `yaml:"session"`
	// Params makes the step use the extended protocol.
	Params   []string `yaml:"params"`
	Extended bool     `yaml:"extended"`
	// Rows, if given, must be the result of the last statement; NULL is null.
	Rows [][]*string `yaml:"rows"`
	Tag  string      `yaml:"tag"`
	// Code and Error must be the SQLSTATE and a part of message or detail.
	Code  string `yaml:"code"`
	Error string `yaml:"error"`
	// Background starts the step and goes on; Join waits for that session's.
	Background bool `yaml:"background"`
	Join       bool `yaml:"join"`
	// Any accepts success and the error given alike.
	Any bool `yaml:"any"`
}

// Ability is something that not every target can do.
type Ability string

// The abilities that a case may ask for under needs.
const (
	// Injection of faults.
	Injection Ability = "injection"
	// SecondUser is another login without rights in the case's schema. Cases
	// that have a session "other" or speak of {{other}} need not ask for it.
	SecondUser Ability = "second_user"
	// Reset allows settings of the whole server to be changed and put back.
	Reset Ability = "reset"
)

// Name is the group and the fact, as tests are named.
func (c Case) Name() string { return c.Group + "/" + c.Fact }

// Unsure says that no source settles the fact, wholly or in part.
func (c Case) Unsure() bool { return strings.Contains(c.Mark, "unsure") }

// needs is what the case asks of its target.
func (c Case) needs() []Ability {
	all := c.Needs
	for _, s := range c.Steps {
		if s.Session == otherSession || strings.Contains(s.SQL, "{{other}}") {
			return append([]Ability{SecondUser}, all...)
		}
	}
	return all
}

// Load reads the cases of all files dir/*.yaml.
func Load(dir string) ([]Case, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, fmt.Errorf("looking for cases: %w", err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("looking for cases: no *.yaml in %s", dir)
	}
	var all []Case
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading cases: %w", err)
		}
		var cases []Case
		dec := yaml.NewDecoder(bytes.NewReader(body))
		dec.KnownFields(true)
		if err := dec.Decode(&cases); err != nil {
			return nil, fmt.Errorf("reading cases of %s: %w", file, err)
		}
		for _, c := range cases {
			c.Group, c.Number = strings.TrimSuffix(filepath.Base(file), ".yaml"), len(all)+1
			all = append(all, c)
		}
	}
	return all, nil
}
