package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	_ "time/tzdata" // windows name time zones, and an image without a system has none

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"

	"github.com/walshift/walshift/replicator/change"
)

const defaultConfigPath = "/etc/walshift/walshift.yaml"

// loadConfig finds, reads, expands and checks the configuration. Every error
// is a usage error that lists all faults at once and never holds a value that
// may be a secret.
func loadConfig(path string) (fileConfig, error) {
	path = configPath(path)
	c, err := readConfig(path)
	if err != nil {
		return c, exitWith(exitUsage, fmt.Errorf("%s configuration %s:\n%w", change.CodeConfig, path, err))
	}
	return c, nil
}

// configPath returns the file that -c, the environment or the default names.
func configPath(flag string) string {
	return cmp.Or(flag, os.Getenv("WALSHIFT_CONFIG"), defaultConfigPath)
}

func readConfig(path string) (fileConfig, error) {
	c := defaultFileConfig()
	k := koanf.New("\x00") // keys may hold dots: target.schemas names schemas
	if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
		return c, fmt.Errorf("  reading: %w", plainYAML(err))
	}
	env := expansion{missing: map[string][]string{}, written: map[string]string{}}
	raw := k.Raw()
	expanded, _ := env.expand("", raw).(map[string]any)
	r := newFaultReport(raw)
	for _, name := range slices.Sorted(maps.Keys(env.missing)) {
		keys := env.missing[name]
		slices.Sort(keys)
		r.add("", fmt.Sprintf("environment variable %s is not set (%s)", name, strings.Join(keys, ", ")))
		for _, key := range keys {
			r.faulty[key] = true
		}
	}
	if err := c.decode(expanded, r); err != nil {
		return c, err
	}
	c.validate(r)
	return c, env.conceal(errors.Join(r.faults...))
}

// defaultFileConfig returns the defaults that settings declares.
func defaultFileConfig() fileConfig {
	values := map[string]any{}
	for _, s := range settings() {
		if s.def == "" {
			continue
		}
		at, parts := values, strings.Split(s.key, ".")
		for _, part := range parts[:len(parts)-1] {
			if at[part] == nil {
				at[part] = map[string]any{}
			}
			at, _ = at[part].(map[string]any)
		}
		parsed, err := yaml.Parser().Unmarshal([]byte("value: " + s.def))
		if err != nil {
			panic(err) // a fault in settings, which the tests find
		}
		at[parts[len(parts)-1]] = parsed["value"]
	}
	var c fileConfig
	r := newFaultReport(values)
	if err := errors.Join(c.decode(values, r), errors.Join(r.faults...)); err != nil {
		panic(err)
	}
	return c
}

// plainYAML leaves the pieces of the file out that a parser's error quotes:
// a password in a wrong place could be among them.
func plainYAML(err error) error {
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return err
	}
	return errors.New(regexp.MustCompile("(?s)`.*`|'.*'").ReplaceAllString(err.Error(), "…"))
}

// decode fills c, and reports what is wrong with the file's keys and types.
func (c *fileConfig) decode(values map[string]any, r *faultReport) error {
	dec, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		Result: c, TagName: "koanf", ZeroFields: true, DecodeHook: decodeScalars,
		MatchName: func(key, field string) bool { return key == field },
	})
	if err != nil {
		return fmt.Errorf("decoding: %w", err)
	}
	r.unknownKeys("", values, reflect.TypeFor[fileConfig]())
	r.typeFaults(dec.Decode(values))
	return nil
}

// expansion replaces ${NAME} by environment variables.
type expansion struct {
	// missing maps variables that are not set to the keys that want them.
	missing map[string][]string
	// written maps an expanded value to what the file says in its place.
	written map[string]string
}

// expand returns a copy of v, the value of key.
func (e *expansion) expand(key string, v any) any {
	switch t := v.(type) {
	case map[string]any:
		// A key without a value counts as not given, as a section does whose
		// lines are all commented out.
		out := map[string]any{}
		for k := range t {
			if t[k] != nil {
				out[k] = e.expand(join(key, k), t[k])
			}
		}
		return out
	case []any:
		out := make([]any, len(t))
		for i := range t {
			out[i] = e.expand(key+"["+strconv.Itoa(i)+"]", t[i])
		}
		return out
	case string:
		value := regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`).ReplaceAllStringFunc(t, func(m string) string {
			name := m[2 : len(m)-1]
			val, ok := os.LookupEnv(name)
			if !ok && !slices.Contains(e.missing[name], key) {
				e.missing[name] = append(e.missing[name], key)
			}
			return val
		})
		if value != t {
			e.written[value] = t
		}
		return value
	}
	return v
}

func join(prefix, key string) string {
	if prefix == "" {
		return key
	}
	return prefix + "." + key
}

// conceal puts what the file says in the place of values that came out of the
// environment, which often are secrets, where an error quotes them.
func (e *expansion) conceal(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for value, written := range e.written {
		text = strings.ReplaceAll(text, strconv.Quote(value), strconv.Quote(written))
	}
	return errors.New(text)
}
