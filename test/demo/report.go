package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/walshift/walshift/test/demo/compare"
)

// report writes what was compared and what it took, and ends with the word
// identical, or with an error that says where the sides differ.
func report(w io.Writer, results []compare.Result, totals totals, elapsed time.Duration) error {
	const hashShown = 16
	var differences []error
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\ntable\trows, source\trows, target\tSHA-256, source\tSHA-256, target")
	for _, r := range results {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", r.Table.Name, thousands(r.Source.Rows), thousands(r.Target.Rows),
			r.Source.Hash[:hashShown], r.Target.Hash[:hashShown])
		if !r.Identical() {
			differences = append(differences, fmt.Errorf("table %s differs: %s", r.Table.Name, r.Difference))
		}
	}
	fmt.Fprintf(table, "\nrows moved, about\tbatches\tcommits\tseconds\t\n")
	fmt.Fprintf(table, "%s\t%s\t%s\t%.1f\t\n\n", thousands(totals.rows), thousands(totals.batches), thousands(totals.commits), elapsed.Seconds())
	if err := table.Flush(); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if len(results) == 0 {
		return errors.New("no table was compared")
	}
	if len(differences) > 0 {
		return errors.Join(differences...)
	}
	_, err := fmt.Fprintln(w, "identical")
	return err
}
