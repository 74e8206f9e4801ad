package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
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
		return c, fmt.Errorf("  reading: %w", err)
	}
	raw := k.Raw()
	missing := map[string]bool{}
	expanded, _ := expand(raw, missing).(map[string]any)
	var errs []error
	for name := range missing {
		errs = append(errs, fmt.Errorf("  environment variable %s is not set", name))
	}
	dec, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		Result: &c, TagName: "koanf", ErrorUnused: true, WeaklyTypedInput: false, ZeroFields: true,
		DecodeHook: mapstructure.ComposeDecodeHookFunc(decodeScalars, mapstructure.StringToTimeDurationHookFunc()),
	})
	if err != nil {
		return c, err
	}
	if err := dec.Decode(expanded); err != nil {
		errs = append(errs, indent(err))
	}
	errs = append(errs, c.validate()...)
	return c, errors.Join(errs...)
}

func indent(err error) error {
	return errors.New("  " + strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "\n  "))
}

// expand replaces ${NAME} in every string value by the environment variable.
func expand(v any, missing map[string]bool) any {
	switch t := v.(type) {
	case map[string]any:
		for k := range t {
			t[k] = expand(t[k], missing)
		}
		return t
	case []any:
		for i := range t {
			t[i] = expand(t[i], missing)
		}
		return t
	case string:
		return regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`).ReplaceAllStringFunc(t, func(m string) string {
			name := m[2 : len(m)-1]
			val, ok := os.LookupEnv(name)
			if !ok {
				missing[name] = true
			}
			return val
		})
	}
	return v
}

// byteSize is a number of bytes, written 128MiB, 1GiB, 500kB or 4096.
type byteSize int64

// decodeScalars reads sizes, and numbers and booleans that came out of the
// environment as strings. Its errors never repeat the value.
func decodeScalars(from, to reflect.Type, data any) (any, error) {
	s, isString := data.(string)
	switch {
	case to == reflect.TypeFor[byteSize]():
		if n, ok := data.(int); ok {
			return byteSize(n), nil
		}
		return parseSize(s)
	case !isString:
		return data, nil
	case to.Kind() == reflect.Int:
		n, err := strconv.Atoi(s)
		if err != nil {
			return nil, errors.New("want a whole number")
		}
		return n, nil
	case to.Kind() == reflect.Bool:
		b, err := strconv.ParseBool(s)
		if err != nil {
			return nil, errors.New("want true or false")
		}
		return b, nil
	case from == to:
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
		return 0, errors.New("want a size such as 512MiB")
	}
	return byteSize(n * unit), nil
}
