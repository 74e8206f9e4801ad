package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/walshift/walshift/sink/redshift"
)

// exitIncidents is the code of `incidents` while some are open.
const exitIncidents = 6

func newIncidentsCommand(file *string) *cobra.Command {
	var all, asJSON bool
	var limit int
	cmd := &cobra.Command{
		Use:   "incidents",
		Short: "List the values that Redshift could not hold and that a policy has changed",
		Long: `incidents lists what the view walshift.incidents holds for the pipeline, the
newest first: values that did not fit their column and what was done with them.
Originals are kept; "incidents get" prints one. Status is not green while an
incident is open; "incidents ack" closes it, and values.accept says which are
never open. Exit codes: 0 none is open, 6 some
are, 1 anything else.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withParts(cmd, *file, func(p *parts) error {
				list, err := p.warehouse.Incidents(cmd.Context(), all, limit)
				if err != nil {
					return err
				}
				if err := printIncidents(cmd.OutOrStdout(), list, asJSON); err != nil {
					return err
				}
				n, err := p.warehouse.OpenIncidents(cmd.Context())
				if err == nil && n > 0 {
					err = exitWith(exitIncidents, fmt.Errorf("%d incidents are open", n))
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "list acknowledged and accepted incidents too")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, one incident a line")
	cmd.Flags().IntVar(&limit, "limit", 1000, "list at most so many")
	cmd.AddCommand(newIncidentGetCommand(file), newIncidentAckCommand(file))
	return cmd
}

func newIncidentGetCommand(file *string) *cobra.Command {
	return &cobra.Command{
		Use:   "get ID",
		Short: "Print the original of an incident's value, as PostgreSQL printed it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withParts(cmd, *file, func(p *parts) error {
				e, err := p.warehouse.Incident(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				body := e.Original
				if e.Object != "" {
					if body, err = p.log.Kept(cmd.Context(), e.Object); err != nil {
						return err
					}
				}
				_, err = cmd.OutOrStdout().Write(body)
				return err
			})
		},
	}
}

func newIncidentAckCommand(file *string) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "ack ID… | --all",
		Short: "Acknowledge incidents, so that they are no longer open",
		Long: `ack closes incidents. It changes neither the target tables nor what is kept of
the originals.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return exitWith(exitUsage, errors.New("give incidents' ids, or --all"))
			}
			if all {
				args = []string{""}
			}
			return withParts(cmd, *file, func(p *parts) error {
				for _, id := range args {
					n, err := p.warehouse.AckIncidents(cmd.Context(), id, userName())
					switch {
					case err != nil:
						return err
					case n == 0 && !all:
						return fmt.Errorf("acknowledging incident %s: no such incident is open", id)
					}
					_, _ = fmt.Fprintf(cmd.OutOrStdout(), "acknowledged %d incidents\n", n)
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "acknowledge all that are open")
	return cmd
}

// withParts opens log and warehouse for a command. Its errors exit with 1
// unless they say otherwise.
func withParts(cmd *cobra.Command, file string, body func(*parts) error) error {
	c, err := loadConfig(file)
	if err != nil {
		return err
	}
	p, err := c.open(cmd.Context(), zap.NewNop(), nil)
	if err != nil {
		return exitWith(exitError, err)
	}
	defer p.close()
	err = body(p)
	if _, ok := errors.AsType[*exitCodeError](err); err == nil || ok {
		return err
	}
	return exitWith(exitError, err)
}

// userName is who acknowledges, for the record.
func userName() string {
	name := os.Getenv("USER")
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	const most = 256 // of the column
	return name[:min(len(name), most)]
}

// listed is an incident without its value: what is listed may be seen by
// people who must not see the rows.
type listed struct {
	ID     string `json:"id"`
	Seq    uint64 `json:"seq"`
	LSN    string `json:"lsn"`
	Table  string `json:"table"`
	Key    string `json:"key,omitempty"`
	Column string `json:"column"`
	Reason string `json:"reason"`
	Policy string `json:"policy"`
	Bytes  int64  `json:"bytes"`
	Object string `json:"object,omitempty"`
	Open   bool   `json:"open"`
	State  string `json:"state"`
}

func printIncidents(w io.Writer, list []redshift.Incident, asJSON bool) error {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	enc := json.NewEncoder(&b)
	if !asJSON {
		_, _ = fmt.Fprintln(tw, "ID\tTABLE\tCOLUMN\tREASON\tPOLICY\tBYTES\tLSN\tSTATE\tKEY")
	}
	for i := range list {
		e := &list[i]
		row := listed{
			ID: e.ID, Seq: e.Seq, LSN: e.LSN.String(), Table: e.Schema + "." + e.Table, Key: e.Key, Column: e.Column,
			Reason: e.Reason, Policy: e.Policy, Bytes: e.Bytes, Object: e.Object, Open: e.State == "open", State: e.State,
		}
		if asJSON {
			if err := enc.Encode(row); err != nil {
				return fmt.Errorf("printing incidents: %w", err)
			}
			continue
		}
		_, _ = fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n",
			row.ID, row.Table, row.Column, row.Reason, row.Policy, row.Bytes, row.LSN, row.State, row.Key)
	}
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("printing incidents: %w", err)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
