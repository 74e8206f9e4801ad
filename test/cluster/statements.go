package cluster

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

// statementsEnv names the folder that statements are collected in, if set:
// every server leaves a file of JSON lines there when it stops. See package
// test/statements. The owners of databases are left out, for they are the
// applications, and of the superuser all but walshift's sessions.
const statementsEnv = "WALSHIFT_STATEMENTS"

// collecting tells whether the server's statements are to be collected. A
// test that logs statements itself keeps its own way.
func (p *Postgres) collecting() bool {
	return os.Getenv(statementsEnv) != "" && p.cfg.Settings["log_statement"] == "" && p.cfg.Settings["log_line_prefix"] == ""
}

// statementSettings make the server log what each session is sent.
func statementSettings() map[string]string {
	return map[string]string{
		"log_statement": "all", "log_replication_commands": "on", "log_line_prefix": "%m [%p] %u@%d {%a} ",
	}
}

// quiet keeps a role's statements out of the log: an application's load would
// fill it.
func (p *Postgres) quiet(ctx context.Context, role string) error {
	if !p.collecting() {
		return nil
	}
	return execute(ctx, p.SuperuserDSN("postgres"), "ALTER ROLE "+quote(role)+" SET log_statement = 'none'")
}

// statement is one line of a file of the collection.
type statement struct {
	Side   string `json:"side"`
	App    string `json:"app"`
	User   string `json:"user"`
	SQL    string `json:"sql"`
	Params string `json:"params,omitempty"`
}

// collect leaves the statements of the server's log in the folder.
func (p *Postgres) collect() (err error) {
	if !p.collecting() {
		return nil
	}
	log, err := os.Open(p.logFile())
	if errors.Is(err, os.ErrNotExist) { // stopped, and collected, before
		return nil
	}
	if err != nil {
		return fmt.Errorf("collecting statements: %w", err)
	}
	defer log.Close() //nolint:errcheck // it was only read
	found, err := readStatements(log)
	if err != nil || len(found) == 0 {
		return err
	}
	out, err := os.CreateTemp(os.Getenv(statementsEnv), "source-*.jsonl")
	if err != nil {
		return fmt.Errorf("collecting statements: %w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	for _, s := range found {
		if err := lines.Encode(s); err != nil {
			return fmt.Errorf("collecting statements: %w", err)
		}
	}
	return nil
}

// entry takes apart a line of the log, as written under statementSettings.
var entry = regexp.MustCompile(`^\d{4}-\d\d-\d\d \S+ \S+ \[\d+\] (.*?)@(.*?) \{(.*?)\} ([A-Z]+):  (.*)$`)

// readStatements returns the different statements of a log. A statement's own
// line breaks come back as such: the server indents by a tab what follows one.
func readStatements(log io.Reader) ([]statement, error) {
	var found []statement
	seen := map[statement]bool{}
	var last statement
	flush := func() {
		dba := last.User == superuser && !strings.HasPrefix(last.App, "walshift")
		if last.SQL != "" && !dba && !seen[last] {
			seen[last] = true
			found = append(found, last)
		}
		last = statement{}
	}
	text := &last.SQL // what a line that is indented continues
	lines := bufio.NewReader(log)
	for {
		line, err := lines.ReadString('\n')
		line = strings.TrimSuffix(line, "\n")
		if part := entry.FindStringSubmatch(line); part != nil {
			text = nil
			user, app, severity, message := part[1], part[3], part[4], part[5]
			if params, ok := cutParams(severity, message); ok && last.SQL != "" {
				last.Params = params
				text = &last.Params
			} else {
				flush()
				if sql, ok := cutStatement(severity, message); ok {
					last = statement{Side: "source", App: app, User: user, SQL: sql}
					text = &last.SQL
				}
			}
		} else if more, ok := strings.CutPrefix(line, "\t"); ok && text != nil {
			*text += "\n" + more
		}
		switch {
		case errors.Is(err, io.EOF):
			flush()
			return found, nil
		case err != nil:
			return nil, fmt.Errorf("reading the server's log: %w", err)
		}
	}
}

// cutStatement finds the statement of a log message. STATEMENT follows an
// error, and is the only trace of what was refused before it ran.
func cutStatement(severity, message string) (string, bool) {
	if severity == "STATEMENT" {
		return message, true
	}
	if severity != "LOG" {
		return "", false
	}
	for _, prefix := range []string{"statement: ", "received replication command: "} {
		if sql, ok := strings.CutPrefix(message, prefix); ok {
			return sql, true
		}
	}
	if rest, ok := strings.CutPrefix(message, "execute "); ok { // execute <name>: <statement>
		_, sql, ok := strings.Cut(rest, ": ")
		return sql, ok
	}
	return "", false
}

// cutParams finds the values that belong to the statement before: PostgreSQL
// 16 and later write Parameters.
func cutParams(severity, message string) (string, bool) {
	if severity != "DETAIL" {
		return "", false
	}
	_, params, ok := strings.Cut(message, "arameters: ")
	return params, ok
}
