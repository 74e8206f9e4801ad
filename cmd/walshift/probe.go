package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
)

// probeTimeout is below the shortest time that container engines and
// Kubernetes are usually given for a probe.
const probeTimeout = 3 * time.Second

// probe asks /healthz: nil means that no loop of the daemon is stuck. It says
// nothing else, and costs neither the source nor Redshift a statement. Every
// failure has exit code 1, for container engines reserve 2.
func probe(ctx context.Context, f *clientFlags, path string) error {
	var h httpSection
	if f.url == "" {
		var err error
		if h, err = httpOf(configPath(path)); err != nil {
			return exitWith(exitError, err)
		}
	}
	body, status, err := f.ask(ctx, h, "/healthz", probeTimeout)
	switch {
	case err != nil:
		return exitWith(exitError, err)
	case status != http.StatusOK:
		return exitWith(exitError, fmt.Errorf("the daemon is not healthy: %s", strings.TrimSpace(string(body))))
	}
	return nil
}

// httpOf reads the section http alone: a probe has nothing to do with the
// rest, and often not its environment.
func httpOf(path string) (httpSection, error) {
	k := koanf.New("\x00")
	if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
		return httpSection{}, fmt.Errorf("reading configuration %s: %w", path, plainYAML(err))
	}
	c, values := defaultFileConfig(), map[string]any{"http": k.Raw()["http"]}
	env := expansion{missing: map[string][]string{}, written: map[string]string{}}
	expanded, _ := env.expand("", values).(map[string]any)
	r := newFaultReport(values)
	err := c.decode(expanded, r)
	if err = errors.Join(err, errors.Join(r.faults...)); err != nil {
		return httpSection{}, env.conceal(err)
	}
	return c.HTTP, nil
}
