// Command update brings the lists of test/statements and the documents made
// from them up to what a run of the tests has collected. make statements runs
// it in the module's root.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/walshift/walshift/test/statements"
)

const (
	lists = "test/statements"
	docs  = "docs"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "statements:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("update", flag.ContinueOnError)
	from := flags.String("from", "", "the folder of a collection; empty: only write the documents")
	prune := flags.Bool("prune", false, "remove what the collection, of a whole run, doesn't hold")
	if err := flags.Parse(args); err != nil {
		return err
	}
	keep, all := map[statements.Side][]string{}, map[statements.Side]*statements.List{}
	sides := []statements.Side{statements.Source, statements.Redshift}
	for _, side := range sides {
		l, err := statements.Load(lists, side)
		if err != nil {
			return err
		}
		all[side], keep[side] = l, l.Keep
	}
	sent := map[statements.Side]statements.Shapes{}
	if *from != "" {
		var err error
		if sent, err = statements.Collect(*from, keep); err != nil {
			return err
		}
	}
	var missing error
	for _, side := range sides {
		l := all[side]
		if *from != "" {
			tell(stdout, side, "new, to be given its notes", l.Add(sent[side]))
			if *prune {
				tell(stdout, side, "removed", l.Prune(sent[side]))
			} else {
				tell(stdout, side, "not sent (-prune removes it)", l.Unsent(sent[side]))
			}
		}
		if err := errors.Join(l.Save(lists, side), l.WriteDocument(docs, side)); err != nil {
			return err
		}
		if faults := l.Faults(side); len(faults) > 0 {
			missing = errors.Join(missing, fmt.Errorf("%s/%s.yaml: %d faults, the first is: %s", lists, side, len(faults), faults[0]))
		}
	}
	return missing
}

func tell(w io.Writer, side statements.Side, what string, shapes []string) {
	for _, s := range shapes {
		_, _ = fmt.Fprintf(w, "%s: %s:\n  %s\n", side, what, s)
	}
}
