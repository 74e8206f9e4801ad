package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/walshift/walshift/test/redshift/conform"
)

var errBadDSN = errors.New("a DSN can't be parsed (not shown, for it may hold a password)")

// report is what a run has found.
type report struct {
	began        time.Time
	took         time.Duration
	version      string
	stateExisted bool // schema walshift was there before
	index        []conform.Entry
	results      []conform.Result
	job          job
	left         []string
}

// job is what the main job has found.
type job struct {
	ran          bool
	rounds, rows int
	took         time.Duration
	faults       []string
}

func (j *job) fault(format string, args ...any) {
	j.faults = append(j.faults, fmt.Sprintf(format, args...))
}

// The three ways a fact can come out.
const (
	asAssumed  = "settled as assumed"
	otherwise  = "settled otherwise"
	notSettled = "not settled"
)

// verdictOf is what one case says of its fact.
func verdictOf(r conform.Result) string {
	switch {
	case len(r.Differences) > 0:
		return otherwise
	case r.As():
		return asAssumed
	default:
		return notSettled
	}
}

// told says what came back, or why nothing did.
func told(r conform.Result) string {
	var out []string
	if r.Skipped != "" {
		out = append(out, "skipped: the target lacks "+r.Skipped)
	}
	for _, d := range r.Differences {
		out = append(out, d.String())
	}
	if r.Err != nil {
		out = append(out, r.Err.Error())
	}
	return strings.Join(out, "\n")
}

// settled is one row of the report's first table.
type settled struct{ id, fact, verdict, told string }

// unsure sums up every fact that is marked unsure, in the index or in a case.
func (r *report) unsure() []settled {
	var out []settled
	shown := map[string]bool{} // cases that stand for an entry of the index
	for _, e := range r.index {
		if !e.Unsure() {
			continue
		}
		row := settled{id: e.ID, fact: e.Says, verdict: notSettled, told: "no case that ran shows it"}
		if e.NotObservable != "" {
			row.told = "not observable: " + e.NotObservable
		}
		var seen []conform.Result
		for _, res := range r.results {
			if slices.Contains(res.Case.IDs, e.ID) {
				seen = append(seen, res)
				shown[res.Case.Name()] = true
			}
		}
		if len(seen) > 0 {
			row.verdict, row.told = sum(seen)
		}
		out = append(out, row)
	}
	for _, res := range r.results {
		if res.Case.Unsure() && !shown[res.Case.Name()] {
			out = append(out, settled{id: strings.Join(res.Case.IDs, ", "), fact: res.Case.Fact, verdict: verdictOf(res), told: told(res)})
		}
	}
	return out
}

// sum puts the cases of one fact together: one that differs decides, then one
// that could not be asked.
func sum(results []conform.Result) (verdict, text string) {
	verdict = asAssumed
	var texts []string
	for _, res := range results {
		switch v := verdictOf(res); {
		case v == otherwise:
			verdict = otherwise
		case v == notSettled && verdict == asAssumed:
			verdict = notSettled
		}
		if t := told(res); t != "" {
			texts = append(texts, res.Case.Name()+": "+t)
		}
	}
	return verdict, strings.Join(texts, "\n")
}

// text is the report as Markdown.
func (r *report) text() string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("# walshift on a real Redshift\n")
	say("%s, %s, %s.\n", r.began.UTC().Format("2006-01-02 15:04 UTC"), r.version, r.took.Round(time.Second))
	say("## Facts marked unsure\n")
	rows := r.unsure()
	for _, verdict := range []string{otherwise, notSettled, asAssumed} {
		of := slices.DeleteFunc(slices.Clone(rows), func(s settled) bool { return s.verdict != verdict })
		say("%s: %d\n", verdict, len(of))
		for _, s := range of {
			say("- %s%s", strings.TrimLeft(s.id+" ", " "), s.fact)
			quote(&b, s.told)
		}
		if len(of) > 0 {
			say("")
		}
	}
	r.others(say, &b)
	r.jobText(say, &b)
	say("## Left behind\n")
	for _, l := range r.left {
		say("- %s", l)
	}
	if len(r.left) == 0 {
		say("Nothing.")
	}
	return b.String()
}

// others writes the cases whose facts are not marked unsure.
func (r *report) others(say func(string, ...any), b *strings.Builder) {
	as := 0
	say("## Other facts\n")
	for _, res := range r.results {
		switch {
		case res.As():
			as++
		case !res.Case.Unsure():
			say("- %s: %s", verdictOf(res), res.Case.Name())
			quote(b, told(res))
		}
	}
	say("\n%d of %d cases gave what they say.\n", as, len(r.results))
}

func (r *report) jobText(say func(string, ...any), b *strings.Builder) {
	say("## Main job\n")
	switch {
	case !r.job.ran:
		say("Not run.\n")
	case len(r.job.faults) > 0:
		say("Failed:\n")
		for _, f := range r.job.faults {
			first, rest, _ := strings.Cut(f, "\n")
			say("- %s", first)
			quote(b, rest)
		}
		say("")
	default:
		say("Both sides are identical: %d rows after %d rounds of typed writes beside pgbench and a kill -9, in %s.\n",
			r.job.rows, r.job.rounds, r.job.took.Round(time.Second))
	}
}

// quote writes text as an indented block below an item of a list.
func quote(b *strings.Builder, text string) {
	if text == "" {
		return
	}
	for line := range strings.Lines(text) {
		fmt.Fprintf(b, "      %s\n", strings.TrimRight(line, "\n"))
	}
}

// verdict is the error of a run that did not go as it should.
func (r *report) verdict() error {
	count := map[string]int{}
	for _, res := range r.results {
		count[verdictOf(res)]++
		if res.Skipped != "" {
			count[notSettled]--
		}
	}
	var errs []error
	if n := count[otherwise]; n > 0 {
		errs = append(errs, fmt.Errorf("%d cases are otherwise on this cluster", n))
	}
	if n := count[notSettled]; n > 0 {
		errs = append(errs, fmt.Errorf("%d cases could not be run", n))
	}
	if len(r.job.faults) > 0 {
		errs = append(errs, errors.New("the main job failed"))
	}
	if len(r.left) > 0 {
		errs = append(errs, fmt.Errorf("%d things were left behind", len(r.left)))
	}
	return errors.Join(errs...)
}

// writeReport prints the report and writes it to its file.
func (l *live) writeReport() error {
	text := l.report.text()
	_, _ = fmt.Fprintf(l.out, "\n%s", text)
	if l.reportFile == "" {
		return nil
	}
	secrets, err := secretsOf(l.dsn, l.otherDSN)
	if err != nil {
		return err
	}
	if err := os.WriteFile(l.reportFile, []byte(redact(text, secrets)), 0o644); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}
