package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/prometheus/exporter-toolkit/web"
	"github.com/spf13/cobra"
)

func newConfigCommand(path *string) *cobra.Command {
	var check, defaults, schema, markdown bool
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check the configuration, or print all keys, as YAML, JSON Schema or Markdown",
		Long: `config --check reads the configuration and the file of http.web_config, and
reports all faults at once (exit code 2). It connects to nothing and prints no
value of a connection string or of an environment variable.

The others print what the program knows of its keys: --print-defaults a
complete, commented file; --schema a JSON Schema (draft 2020-12) for editors
and pipelines; --markdown the table of README.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			switch {
			case check:
				return checkConfig(out, *path)
			case defaults:
				_, err := io.WriteString(out, defaultsYAML())
				return err
			case schema:
				enc := json.NewEncoder(out)
				enc.SetIndent("", "  ")
				enc.SetEscapeHTML(false)
				return enc.Encode(configSchema())
			case markdown:
				_, err := io.WriteString(out, configTable())
				return err
			}
			return exitWith(exitUsage, errors.New("want one of --check, --print-defaults, --schema and --markdown"))
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "check the configuration file")
	cmd.Flags().BoolVar(&defaults, "print-defaults", false, "print every key with its default and meaning, as YAML")
	cmd.Flags().BoolVar(&schema, "schema", false, "print the JSON Schema of the configuration file")
	cmd.Flags().BoolVar(&markdown, "markdown", false, "print the table of keys for README")
	cmd.MarkFlagsMutuallyExclusive("check", "print-defaults", "schema", "markdown")
	return cmd
}

func checkConfig(out io.Writer, path string) error {
	c, err := loadConfig(path)
	if err != nil {
		return err
	}
	if err := checkWebConfig(c.HTTP.WebConfig); err != nil {
		return exitWith(exitUsage, err)
	}
	_, err = fmt.Fprintf(out, "configuration %s: ok\n", configPath(path))
	return err
}

// checkWebConfig reads the file of http.web_config with all that it names.
func checkWebConfig(path string) error {
	if err := web.Validate(path); err != nil {
		return fmt.Errorf("reading the file of http.web_config: %w", err)
	}
	return nil
}
