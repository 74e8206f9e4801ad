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
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"

	"github.com/walshift/walshift/replicator/source"
)

const defaultConfigPath = "/etc/walshift/walshift.yaml"

// fileConfig is the configuration file. Unknown keys are errors.
type fileConfig struct {
	Pipeline string         `koanf:"pipeline"`
	Source   sourceSection  `koanf:"source"`
	Snapshot snapSection    `koanf:"snapshot"`
	Log      logSection     `koanf:"log"`
	Redshift houseSection   `koanf:"redshift"`
	Target   targetSection  `koanf:"target"`
	Batch    batchSection   `koanf:"batch"`
	Apply    applySection   `koanf:"apply"`
	Limits   limitsSection  `koanf:"limits"`
	HTTP     httpSection    `koanf:"http"`
	Logging  loggingSection `koanf:"logging"`
}

type sourceSection struct {
	DSN         string             `koanf:"dsn"`
	Slot        string             `koanf:"slot"`
	SlotTimeout time.Duration      `koanf:"slot_timeout"`
	Publication publicationSection `koanf:"publication"`
	Tables      tablesSection      `koanf:"tables"`
}

type publicationSection struct {
	Name string `koanf:"name"`
	Mode string `koanf:"mode"`
}

type tablesSection struct {
	Include []string `koanf:"include"`
	Exclude []string `koanf:"exclude"`
}

type snapSection struct {
	Mode        string   `koanf:"mode"`
	Parallelism int      `koanf:"parallelism"`
	FileBytes   byteSize `koanf:"file_bytes"`
}

type logSection struct {
	URL         string `koanf:"url"`
	Region      string `koanf:"region"`
	Endpoint    string `koanf:"endpoint"`
	KMSKey      string `koanf:"kms_key"`
	Compression string `koanf:"compression"`
	// Retention is how long applied batches stay; 0s keeps them for ever.
	Retention time.Duration `koanf:"retention"`
}

type houseSection struct {
	DSN     string         `koanf:"dsn"`
	IAMRole string         `koanf:"iam_role"`
	Session sessionSection `koanf:"session"`
}

type sessionSection struct {
	QueryGroup       string        `koanf:"query_group"`
	StatementTimeout time.Duration `koanf:"statement_timeout"`
}

type targetSection struct {
	Schemas  map[string]string `koanf:"schemas"`
	Existing string            `koanf:"existing"`
}

type batchSection struct {
	Interval time.Duration `koanf:"interval"`
	MaxAge   time.Duration `koanf:"max_age"`
	MaxBytes byteSize      `koanf:"max_bytes"`
}

type applySection struct {
	Strategy    string `koanf:"strategy"`
	CheckCounts bool   `koanf:"check_counts"`
	Sessions    int    `koanf:"sessions"`
}

type limitsSection struct {
	Memory byteSize `koanf:"memory"`
}

type httpSection struct {
	Listen    string `koanf:"listen"`
	WebConfig string `koanf:"web_config"`
}

type loggingSection struct {
	Level  string `koanf:"level"`
	Format string `koanf:"format"`
}

func defaultFileConfig() fileConfig {
	return fileConfig{
		Source: sourceSection{
			SlotTimeout: source.DefaultSlotTimeout,
			Publication: publicationSection{Mode: "existing"},
			Tables:      tablesSection{Include: []string{"public.*"}},
		},
		Snapshot: snapSection{Mode: "initial", Parallelism: 2, FileBytes: 128 << 20},
		Log:      logSection{Compression: "zstd", Retention: 24 * time.Hour},
		Redshift: houseSection{IAMRole: "default"},
		Target:   targetSection{Existing: "refuse"},
		Batch:    batchSection{Interval: 10 * time.Second, MaxAge: time.Minute, MaxBytes: 256 << 20},
		Apply:    applySection{Strategy: "auto", CheckCounts: true, Sessions: 4},
		Limits:   limitsSection{Memory: 512 << 20},
		HTTP:     httpSection{Listen: "127.0.0.1:9465"},
		Logging:  loggingSection{Level: "info", Format: "json"},
	}
}

// loadConfig finds, reads, expands and checks the configuration. Every error
// is a usage error that lists all faults at once and never holds a value that
// may be a secret.
func loadConfig(path string) (fileConfig, error) {
	path = cmp.Or(path, os.Getenv("WALSHIFT_CONFIG"), defaultConfigPath)
	c, err := readConfig(path)
	if err != nil {
		return c, exitWith(exitUsage, fmt.Errorf("configuration %s:\n%w", path, err))
	}
	return c, nil
}

func readConfig(path string) (fileConfig, error) {
	c := defaultFileConfig()
	k := koanf.New("\x00") // keys may hold dots: target.schemas names schemas
	if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
		return c, fmt.Errorf("  reading: %w", plainYAML(err))
	}
	env := expansion{missing: map[string]bool{}, written: map[string]string{}}
	expanded, _ := env.expand(k.Raw()).(map[string]any)
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(env.missing)) {
		errs = append(errs, fmt.Errorf("  environment variable %s is not set", name))
	}
	faults, err := c.decode(expanded)
	if err != nil {
		return c, err
	}
	errs = append(errs, faults...)
	for _, fault := range c.validate() {
		if !slices.ContainsFunc(faults, func(f error) bool { return keyOf(f) == keyOf(fault) }) {
			errs = append(errs, fault)
		}
	}
	return c, env.conceal(errors.Join(errs...))
}

// keyOf returns the key that a fault names first.
func keyOf(fault error) string {
	key, _, _ := strings.Cut(strings.TrimSpace(fault.Error()), ":")
	return key
}

// plainYAML leaves the pieces of the file out that a parser's error quotes:
// a password in a wrong place could be among them.
func plainYAML(err error) error {
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return err
	}
	return errors.New(regexp.MustCompile("(?s)`.*`|'.*'").ReplaceAllString(err.Error(), "…"))
}

// decode fills c and returns what is wrong with the file's keys and types.
func (c *fileConfig) decode(values map[string]any) ([]error, error) {
	dec, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		Result: c, TagName: "koanf", ZeroFields: true, DecodeHook: decodeScalars,
		MatchName: func(key, field string) bool { return key == field },
	})
	if err != nil {
		return nil, fmt.Errorf("decoding: %w", err)
	}
	errs := unknownKeys("", values, reflect.TypeFor[fileConfig]())
	return append(errs, typeFaults(dec.Decode(values))...), nil
}

// unknownKeys reports the keys of values that t has no field for.
func unknownKeys(prefix string, values map[string]any, t reflect.Type) []error {
	fields := map[string]reflect.Type{}
	for f := range t.Fields() {
		fields[f.Tag.Get("koanf")] = f.Type
	}
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(values)) {
		field, ok := fields[key]
		section, isSection := values[key].(map[string]any)
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("  unknown key %q", prefix+key))
		case isSection && field.Kind() == reflect.Struct:
			errs = append(errs, unknownKeys(prefix+key+".", section, field)...)
		}
	}
	return errs
}

// typeFaults walks the decoder's tree of errors: each leaf is one value of the
// wrong type. The decoder's own words name Go's types, so they are replaced.
func typeFaults(err error) []error {
	var errs []error
	var many interface{ Unwrap() []error }
	fault, isLeaf := errors.AsType[*mapstructure.DecodeError](err)
	switch {
	case err == nil:
	case errors.As(err, &many):
		for _, e := range many.Unwrap() {
			errs = append(errs, typeFaults(e)...)
		}
	case !isLeaf:
		errs = append(errs, fmt.Errorf("  %w", err))
	default:
		for inner, ok := fault, true; ok; inner, ok = errors.AsType[*mapstructure.DecodeError](inner.Unwrap()) {
			fault = inner
		}
		text := fault.Unwrap().Error()
		if wrong, ok := errors.AsType[*mapstructure.UnconvertibleTypeError](fault); ok {
			text = "want " + wanted(wrong.Expected.Type())
		}
		errs = append(errs, fmt.Errorf("  %s: %s", fault.Name(), text))
	}
	return errs
}

// wanted names a type for people.
func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		return "a section of keys and values"
	case reflect.Slice:
		return "a list"
	case reflect.Bool:
		return wantBool
	case reflect.String:
		return "text"
	default:
		return wantNumber
	}
}

const (
	wantBool     = "true or false"
	wantNumber   = "a whole number"
	wantDuration = "a duration such as 10s or 24h"
	wantSize     = "a size such as 512MiB"
)

// expansion replaces ${NAME} by environment variables.
type expansion struct {
	missing map[string]bool
	// written maps an expanded value to what the file says in its place.
	written map[string]string
}

func (e *expansion) expand(v any) any {
	switch t := v.(type) {
	case map[string]any:
		// A key without a value counts as not given, as a section does whose
		// lines are all commented out.
		maps.DeleteFunc(t, func(_ string, v any) bool { return v == nil })
		for k := range t {
			t[k] = e.expand(t[k])
		}
		return t
	case []any:
		for i := range t {
			t[i] = e.expand(t[i])
		}
		return t
	case string:
		value := regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`).ReplaceAllStringFunc(t, func(m string) string {
			name := m[2 : len(m)-1]
			val, ok := os.LookupEnv(name)
			if !ok {
				e.missing[name] = true
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

// byteSize is a number of bytes, written 128MiB, 1GiB, 500kB or 4096.
type byteSize int64

// decodeScalars reads sizes and durations, and numbers and booleans that came
// out of the environment as text. Its errors never repeat the value.
func decodeScalars(from, to reflect.Type, data any) (any, error) {
	s, isText := data.(string)
	switch {
	case to == reflect.TypeFor[byteSize]():
		if n, ok := data.(int); ok {
			return byteSize(n), nil
		}
		return parseSize(s)
	case to == reflect.TypeFor[time.Duration]():
		d, err := time.ParseDuration(s)
		if err != nil {
			return nil, errors.New("want " + wantDuration)
		}
		return d, nil
	case !isText || from == to:
		return data, nil
	case to.Kind() == reflect.Int:
		n, err := strconv.Atoi(s)
		if err != nil {
			return nil, errors.New("want " + wantNumber)
		}
		return n, nil
	case to.Kind() == reflect.Bool:
		b, err := strconv.ParseBool(s)
		if err != nil {
			return nil, errors.New("want " + wantBool)
		}
		return b, nil
	}
	return data, nil
}

func parseSize(s string) (byteSize, error) {
	digits := strings.TrimRight(s, "KMGTkiB ")
	n, err := strconv.ParseInt(digits, 10, 64)
	unit, ok := map[string]int64{
		"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
		"kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
	}[strings.TrimSpace(s[len(digits):])]
	if err != nil || !ok || n < 0 || (unit > 1 && n > 1<<62/unit) {
		return 0, errors.New("want " + wantSize)
	}
	return byteSize(n * unit), nil
}
