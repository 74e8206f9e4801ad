package main

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/knadh/koanf/parsers/yaml"
)

// TestSchemaOnWholeFiles: the loader and the schema agree.
func TestSchemaOnWholeFiles(t *testing.T) {
	for name, value := range map[string]string{
		"SOURCE_DSN": "host=db", "REDSHIFT_DSN": "host=dw", "MEM": "1GiB", "N": "3", "B": "false", "S": "merge",
	} {
		t.Setenv(name, value)
	}
	schema := parsedSchema(t)
	for name, c := range map[string]struct {
		text string
		good bool
	}{
		"minimal":           {minimal, true},
		"defaults":          {defaultsYAML(), true},
		"environment":       {minimal + `limits: {memory: "${MEM}"}` + "\n" + `apply: {sessions: "${N}", check_counts: "${B}", strategy: "${S}"}`, true},
		"empty sections":    {minimal + "apply:\nhttp: {listen: }\n", true},
		"nothing":           {"{}", false},
		"no pipeline":       {strings.Replace(minimal, "pipeline", "# ", 1), false},
		"unknown key":       {minimal + "batch: {intervall: 1s}\n", false},
		"unknown section":   {minimal + "btch: {interval: 1s}\n", false},
		"section as text":   {minimal + "batch: 1s\n", false},
		"no DSN":            {"pipeline: shop\nsource: {}\nlog: {url: \"s3://b\", region: r}\nredshift: {dsn: x}\n", false},
		"empty source":      {"pipeline: shop\nsource:\nlog: {url: \"s3://b\", region: r}\nredshift: {dsn: x}\n", false},
		"tables":            {minimal + "tables: [{match: a.b}]\n", true},
		"grants":            {strings.Replace(minimal, "redshift: {", "redshift: {grants: [{to: group bi}], ", 1), true},
		"grant to nobody":   {strings.Replace(minimal, "redshift: {", "redshift: {grants: [{privileges: [select]}], ", 1), false},
		"a size of a float": {minimal + "limits: {memory: 1.5}\n", false},
	} {
		values, err := yaml.Parser().Unmarshal([]byte(c.text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if faults := conform(t, schema, viaJSON(t, values), ""); (len(faults) == 0) != c.good {
			t.Errorf("%s: the schema finds %q", name, faults)
		}
		if _, err := load(t, c.text); (err == nil) != c.good {
			t.Errorf("%s: the loader finds %v", name, err)
		}
	}
}

// conform checks a value against a schema, as far as ours uses the language;
// a keyword that it does not know fails the test.
func conform(t *testing.T, schema map[string]any, v any, at string) []string {
	t.Helper()
	var faults []string
	bad := func(ok bool, what string) {
		if !ok {
			faults = append(faults, at+": "+what)
		}
	}
	object, isObject := v.(map[string]any)
	list, isList := v.([]any)
	text, isText := v.(string)
	number, isNumber := v.(float64)
	properties, _ := schema["properties"].(map[string]any)
	for _, keyword := range slices.Sorted(maps.Keys(schema)) {
		switch limit := schema[keyword]; keyword {
		case "$schema", "title", "description", "default", "properties":
		case "type":
			bad(hasType(v, limit), fmt.Sprint("type is not ", limit))
		case "enum":
			bad(slices.Contains(limit.([]any), v), "enum")
		case "pattern":
			bad(!isText || regexp.MustCompile(limit.(string)).MatchString(text), "pattern")
		case "minimum":
			bad(!isNumber || number >= limit.(float64), "minimum")
		case "maximum":
			bad(!isNumber || number <= limit.(float64), "maximum")
		case "minLength":
			bad(!isText || len(text) >= int(limit.(float64)), "minLength")
		case "maxLength":
			bad(!isText || len(text) <= int(limit.(float64)), "maxLength")
		case "minItems":
			bad(!isList || len(list) >= int(limit.(float64)), "minItems")
		case "maxItems":
			bad(!isList || len(list) <= int(limit.(float64)), "maxItems")
		case "required":
			for _, key := range limit.([]any) {
				bad(!isObject || object[key.(string)] != nil, "lacks "+key.(string))
			}
		case "items":
			for i := range list {
				faults = append(faults, conform(t, limit.(map[string]any), list[i], fmt.Sprintf("%s[%d]", at, i))...)
			}
		case "additionalProperties":
			for key := range object {
				if properties[key] != nil {
					continue
				}
				rest, ok := limit.(map[string]any)
				bad(ok, "unknown key "+key)
				if ok {
					faults = append(faults, conform(t, rest, object[key], join(at, key))...)
				}
			}
		case "anyOf":
			bad(slices.ContainsFunc(limit.([]any), func(s any) bool {
				return len(conform(t, s.(map[string]any), v, at)) == 0
			}), "anyOf")
		default:
			t.Fatalf("%s: this test does not know %q", at, keyword)
		}
	}
	for key := range properties {
		if value, ok := object[key]; ok {
			faults = append(faults, conform(t, properties[key].(map[string]any), value, join(at, key))...)
		}
	}
	return faults
}

func hasType(v, types any) bool {
	if one, ok := types.(string); ok {
		types = []any{one}
	}
	number, isNumber := v.(float64)
	name := map[reflect.Kind]string{
		reflect.Invalid: "null", reflect.Map: "object", reflect.Slice: "array", reflect.String: "string", reflect.Bool: "boolean",
	}[reflect.ValueOf(v).Kind()]
	return slices.ContainsFunc(types.([]any), func(t any) bool {
		return t == name && !isNumber || isNumber && (t == "number" || t == "integer" && number == math.Trunc(number))
	})
}
