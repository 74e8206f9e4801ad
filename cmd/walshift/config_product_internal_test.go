package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
)

// update writes what is generated into its files: make generate.
var update = flag.Bool("update", false, "write the generated parts of README and deploy/") //nolint:gochecknoglobals // go test's own way to take a flag

// TestSettingsDeclareEveryKey compares the declarations with the type that the
// file is read into, both ways.
func TestSettingsDeclareEveryKey(t *testing.T) {
	t.Parallel()
	declared := map[string]bool{}
	for _, s := range settings() {
		if declared[s.key] || s.text == "" {
			t.Errorf("%s is declared twice, or without a text", s.key)
		}
		declared[s.key] = true
	}
	for _, s := range sections() {
		if s.text == "" {
			t.Errorf("section %s has no text", s.key)
		}
		declared[s.key] = true
	}
	var walk func(key string, typ reflect.Type)
	walk = func(key string, typ reflect.Type) {
		switch {
		case typ.Kind() == reflect.Slice && typ.Elem().Kind() == reflect.Struct:
			walk(key+"[]", typ.Elem())
			return
		case typ.Kind() == reflect.Map && typ.Elem().Kind() == reflect.Struct:
			walk(key+".*", typ.Elem())
			return
		}
		if key != "" && !declared[key] {
			t.Errorf("nothing declares %s", key)
		}
		delete(declared, key)
		if typ.Kind() == reflect.Struct {
			for f := range typ.Fields() {
				walk(join(key, f.Tag.Get("koanf")), f.Type)
			}
		}
	}
	walk("", reflect.TypeFor[fileConfig]())
	for key := range declared {
		t.Errorf("%s is declared, and no key of the file", key)
	}
}

// TestGenerated compares what is generated from the declarations with README
// and the sample; -update writes them.
func TestGenerated(t *testing.T) {
	t.Parallel()
	const begin, end = "<!-- configuration: written by `make generate` -->\n", "<!-- configuration ends -->\n"
	readme := "../../README.md"
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("README has no lines %q and %q", begin, end)
	}
	for path, want := range map[string]string{
		readme:                              before + begin + "\n" + configTable() + "\n" + end + after,
		"../../deploy/walshift.sample.yaml": defaultsYAML(),
		"../../deploy/walshift.schema.json": string(schemaJSON(t)),
	} {
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s is not what the program would write (%v): run make generate", path, err)
		}
	}
}

// TestReadmeYAML: what README shows of the configuration is taken as it stands,
// each piece beside the least that must be set.
func TestReadmeYAML(t *testing.T) {
	t.Setenv("SOURCE_DSN", "host=db user=walshift")
	t.Setenv("REDSHIFT_DSN", "host=dw user=loader")
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	pieces := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindAllStringSubmatch(string(readme), -1)
	if len(pieces) < 2 {
		t.Errorf("README shows %d pieces of YAML", len(pieces))
	}
	for _, piece := range pieces {
		values, err := yaml.Parser().Unmarshal([]byte(minimal))
		if err != nil {
			t.Fatal(err)
		}
		shown, err := yaml.Parser().Unmarshal([]byte(piece[1]))
		if err != nil {
			t.Errorf("%v:\n%s", err, piece[1])
		}
		for section, keys := range shown {
			into, ok := values[section].(map[string]any)
			from, ok2 := keys.(map[string]any)
			if !ok || !ok2 {
				values[section] = keys
				continue
			}
			maps.Copy(into, from)
		}
		text, err := yaml.Parser().Marshal(values)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := load(t, string(text)); err != nil {
			t.Errorf("%v:\n%s", err, piece[1])
		}
	}
}

func schemaJSON(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	if code := run(t.Context(), []string{"config", "--schema"}, &out, os.Stderr); code != exitOK {
		t.Fatalf("config --schema: exit code %d", code)
	}
	return out.Bytes()
}

// TestPrintedDefaultsAreTheDefaults: the printed file loads, is complete, and
// holds nothing but defaults and what must be set.
func TestPrintedDefaultsAreTheDefaults(t *testing.T) {
	t.Setenv("SOURCE_DSN", "host=db user=walshift")
	t.Setenv("REDSHIFT_DSN", "host=dw user=loader")
	var out bytes.Buffer
	if code := run(t.Context(), []string{"config", "--print-defaults"}, &out, os.Stderr); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	got, err := load(t, out.String())
	if err != nil {
		t.Fatal(err)
	}
	want := defaultFileConfig()
	want.Pipeline, want.Source.Slot, want.Source.Publication.Name = "shop", "walshift_shop", "walshift_shop"
	want.Source.DSN, want.Redshift.DSN = "host=db user=walshift", "host=dw user=loader"
	want.Log.URL, want.Log.Region = "s3://my-bucket/walshift", "eu-central-1"
	if !reflect.DeepEqual(clean(got), clean(want)) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	values, err := yaml.Parser().Unmarshal(out.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range settings() {
		at, ok := any(values), true
		for part := range strings.SplitSeq(s.key, ".") {
			name, isList := strings.CutSuffix(part, "[]")
			if at, ok = at.(map[string]any)[name]; isList || !ok {
				break
			}
		}
		if !ok {
			t.Errorf("the printed file lacks %s", s.key)
		}
	}
}

// clean makes empty lists and maps the same as none.
func clean(c fileConfig) string { return fmt.Sprintf("%+v", c) }

// sample is a value of a key as the file would have it.
type sample struct {
	value any
	good  bool
	// schema says that the schema can know it too.
	schema bool
}

// samples returns good and bad values of a setting, by its declaration.
func samples(s *setting, t reflect.Type) []sample {
	list := []sample{{value: map[string]any{"x": 1}, schema: true}}
	switch {
	case t.Kind() == reflect.Map:
		list = []sample{{value: "x", schema: true}, {value: map[string]any{"a": "b"}, good: true}, {value: map[string]any{"a": 7}, schema: true}}
	case s.pending && t.Kind() == reflect.Bool:
		list = append(list, sample{value: true, schema: true}, sample{value: false, good: true})
	case s.pending && t.Kind() == reflect.Int:
		list = append(list, sample{value: 7, schema: true}, sample{value: 0, good: true})
	case s.pending:
		list = append(list, sample{value: []any{}, good: t.Kind() == reflect.Slice, schema: true})
	case s.min != "" && s.max == "":
		list = append(list, sample{value: s.min, good: true})
	case s.min != "":
		list = append(list, sample{value: s.min, good: true}, sample{value: s.max, good: true})
		if t.Kind() == reflect.Int {
			list = append(list, sample{value: int(bound(s.min, t)), good: true}, sample{value: int(bound(s.max, t)), good: true},
				sample{value: int(bound(s.max, t)) + 1, schema: true})
		}
	case s.form == windowForm:
		list = append(list, sample{value: "22:00-06:00", good: true}, sample{value: []any{"22:00-06:00", "sat,sun 0:00-24:00 Europe/Berlin"}, good: true},
			sample{value: "always", schema: true}, sample{value: []any{"25:00-26:00"}}, sample{value: "01:00-02:00 Nowhere/Here"})
	case t.Kind() == reflect.Slice && len(s.choices) > 0:
		list = append(list, sample{value: s.choices[0], schema: true}, sample{value: []any{}, good: !s.filled, schema: true},
			sample{value: []any{"nonsense"}, schema: true})
		for _, c := range s.choices {
			list = append(list, sample{value: []any{c, s.choices[0]}, good: true})
		}
		return list
	case t.Kind() == reflect.Slice:
		list = append(list, sample{value: []any{"a.b"}, good: true}, sample{value: "a.b", schema: true}, sample{value: []any{}, good: !s.filled, schema: true})
	case t.Kind() == reflect.Bool:
		list = append(list, sample{value: true, good: true}, sample{value: "perhaps", schema: true})
	case t.Kind() == reflect.String && s.pattern == "" && len(s.choices) == 0 && s.key != "log.endpoint" && !s.secret:
		list = append(list, sample{value: "x", good: true}, sample{value: 7, schema: true})
	}
	if s.min != "" && !s.pending {
		list = append(list, sample{value: "some", schema: true}, sample{value: []any{1}, schema: true})
		for _, b := range []string{s.min, s.max} {
			if b == "" {
				continue
			}
			n, step := bound(b, t), int64(1)
			if b == s.min {
				step = -1
			}
			list = append(list, sample{value: inUnits(n+step, t), good: s.zero != "" && n+step == 0})
		}
	}
	if s.pending {
		return list
	}
	for _, c := range s.choices {
		list = append(list, sample{value: c, good: true})
	}
	if len(s.choices) > 0 {
		list = append(list, sample{value: "nonsense", schema: true})
	}
	for _, c := range s.later {
		list = append(list, sample{value: c, schema: true})
	}
	if s.pattern != "" {
		list = append(list, sample{value: "\n", schema: true})
		if s.example != "" {
			list = append(list, sample{value: s.example, good: true})
		}
	}
	return list
}

// inUnits writes a number as a file would.
func inUnits(n int64, t reflect.Type) any {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return time.Duration(n).String()
	case reflect.TypeFor[byteSize]():
		return fmt.Sprint(n)
	}
	return int(n)
}

// TestDeclaredRangesHold: for each key, the loader and the schema accept what
// its declaration allows and refuse what it doesn't, the loader with the key's
// name.
func TestDeclaredRangesHold(t *testing.T) {
	t.Parallel()
	schema := parsedSchema(t)
	types := map[string]reflect.Type{}
	c := defaultFileConfig()
	for _, s := range settings() {
		if strings.ContainsAny(s.key, "[*") {
			continue // of lists that are not supported yet
		}
		each(reflect.ValueOf(&c).Elem(), s.key, "", func(_ string, v reflect.Value) { types[s.key] = v.Type() })
		for _, sample := range samples(&s, types[s.key]) {
			name := fmt.Sprintf("%s: %v", s.key, sample.value)
			values, err := yaml.Parser().Unmarshal([]byte(minimal))
			if err != nil {
				t.Fatal(err)
			}
			set(values, s.key, sample.value)
			for key, value := range companions(s.key, sample.value) {
				set(values, key, value)
			}
			text, err := yaml.Parser().Marshal(values)
			if err != nil {
				t.Fatal(err)
			}
			_, err = load(t, string(text))
			if (err == nil) != sample.good || err != nil && !strings.Contains(err.Error(), "\n  "+s.key) {
				t.Errorf("%s: error %v, want one of this key: %t", name, err, !sample.good)
			}
			faults := conform(t, schema, viaJSON(t, values), "")
			if sample.good && len(faults) > 0 || !sample.good && sample.schema && len(faults) == 0 {
				t.Errorf("%s: the schema finds %q, good: %t", name, faults, sample.good)
			}
		}
	}
}

// companions are the settings without which a value is refused by a rule
// between keys, which the declarations don't know.
func companions(key string, value any) map[string]any {
	never := map[string]any{"snapshot.mode": "never", "snapshot.lsn": "16/B374D848"}
	switch {
	case key == "batch.interval":
		return map[string]any{"batch.max_age": "1h"}
	case key == "batch.max_age":
		return map[string]any{"batch.interval": "100ms"}
	case key == "snapshot.mode" && value == "never":
		return map[string]any{"snapshot.lsn": "16/B374D848"}
	case key == "target.existing" && value == "adopt":
		return never
	}
	return nil
}

// set puts a value into nested maps.
func set(values map[string]any, key string, value any) {
	parts := strings.Split(key, ".")
	for _, part := range parts[:len(parts)-1] {
		next, ok := values[part].(map[string]any)
		if !ok {
			next = map[string]any{}
			values[part] = next
		}
		values = next
	}
	values[parts[len(parts)-1]] = value
}

func viaJSON(t *testing.T, v any) any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func parsedSchema(t *testing.T) map[string]any {
	t.Helper()
	var schema map[string]any
	if err := json.Unmarshal(schemaJSON(t), &schema); err != nil {
		t.Fatal(err)
	}
	if schema["$schema"] != "https://json-schema.org/draft/2020-12/schema" {
		t.Errorf("the schema calls itself %v", schema["$schema"])
	}
	return schema
}

// TestConfigCheck: all faults at once, exit code 2, no secret; and "ok".
func TestConfigCheck(t *testing.T) {
	t.Setenv("WALSHIFT_TEST_SECRET", "pw-canary-42")
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := strings.Replace(minimal, "pw-canary", "${WALSHIFT_TEST_SECRET}", 1)
	for _, c := range []struct {
		name, text string
		code       int
		want       []string
	}{
		{"good", good, exitOK, []string{"good: ok"}},
		{"bad", good + "limits: {memory: 1MiB}\napply: {sessions: \"${WALSHIFT_TEST_SECRET}\"}\n", exitUsage, []string{
			`limits.memory: "1MiB" is not at least 64MiB`, `apply.sessions: "${WALSHIFT_TEST_SECRET}" is not a whole number`,
		}},
		{"web", good + "http: {web_config: " + write("web.yaml", "tls_server_config: {cert_file: none.crt, key_file: none.key}") + "}\n", exitUsage, []string{"http.web_config", "none.crt"}},
	} {
		var out, errs bytes.Buffer
		code := run(t.Context(), []string{"config", "--check", "-c", write(c.name, c.text)}, &out, &errs)
		all := out.String() + errs.String()
		if code != c.code || strings.Contains(all, "canary") {
			t.Errorf("%s: exit code %d, want %d: %s", c.name, code, c.code, all)
		}
		for _, want := range c.want {
			if !strings.Contains(all, want) {
				t.Errorf("%s: no %q in %s", c.name, want, all)
			}
		}
	}
	if code := run(t.Context(), []string{"config"}, &bytes.Buffer{}, &bytes.Buffer{}); code != exitUsage {
		t.Errorf("config alone: exit code %d", code)
	}
}
