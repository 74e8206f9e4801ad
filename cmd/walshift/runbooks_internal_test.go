package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// commandLines returns the walshift command lines of a Markdown text: lines of
// shell blocks and code in the text, both beginning with the program's name.
func commandLines(text string) []string {
	var out []string
	block := regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")
	for _, b := range block.FindAllStringSubmatch(text, -1) {
		for line := range strings.Lines(b[1]) {
			out = append(out, strings.TrimSpace(line))
		}
	}
	for _, m := range regexp.MustCompile("`(walshift [^`]+)`").FindAllStringSubmatch(block.ReplaceAllString(text, ""), -1) {
		out = append(out, strings.Join(strings.Fields(m[1]), " "))
	}
	kept := out[:0]
	for _, line := range out {
		if line, _, _ = strings.Cut(line, ";"); strings.HasPrefix(line, "walshift ") {
			kept = append(kept, line)
		}
	}
	return kept
}

// words splits a command line as a shell does, as far as runbooks need it.
func words(line string) []string {
	var out []string
	for _, m := range regexp.MustCompile(`"([^"]*)"|\S+`).FindAllStringSubmatch(line, -1) {
		if strings.HasPrefix(m[0], `"`) {
			out = append(out, m[1])
			continue
		}
		out = append(out, m[0])
	}
	return out
}

// TestRunbookCommands: every command in a runbook and in the alerts is one of
// ours, with flags and arguments that it takes.
func TestRunbookCommands(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../deploy/runbooks/*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("no runbooks: %v", err)
	}
	found := 0
	for _, path := range append(files, "../../deploy/alerts.yaml") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range commandLines(string(text)) {
			found++
			if err := checkCommand(words(line)[1:]); err != nil {
				t.Errorf("%s: %s: %v", filepath.Base(path), line, err)
			}
		}
	}
	if found < 30 {
		t.Errorf("only %d commands were found", found)
	}
}

func checkCommand(args []string) error {
	cmd, rest, err := newRoot().Find(args)
	if err != nil {
		return err
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

// TestCheckCommandRefuses: the comparison of runbooks can fail.
func TestCheckCommandRefuses(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"walshift stauts", "walshift status --jsn", "walshift status public.orders", "walshift wait --timeout soon"} {
		if err := checkCommand(words(line)[1:]); err == nil {
			t.Errorf("%s passed", line)
		}
	}
	if got := commandLines("```sh\nwalshift a; b\nls\n```\nuse `walshift b\n--c \"d e\"` and `x walshift`"); len(got) != 2 || got[0] != "walshift a" {
		t.Errorf("found %q", got)
	}
	if got := words(`walshift pause --reason "a b" x`); len(got) != 5 || got[3] != "a b" {
		t.Errorf("words %q", got)
	}
}
