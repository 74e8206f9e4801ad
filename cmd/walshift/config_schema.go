package main

import (
	"reflect"
	"strconv"
	"strings"
	"time"
)

// envPattern matches a text that the environment completes: what it will be
// can't be known beforehand.
const envPattern = `\$\{`

// configSchema returns the JSON Schema (draft 2020-12) of the configuration
// file. What it accepts, the loader reads; only bounds of sizes and durations
// that are written as text, and rules between keys, are the loader's alone.
func configSchema() map[string]any {
	schema := structSchema("", reflect.TypeFor[fileConfig]())
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	schema["title"] = "walshift's configuration file"
	return schema
}

// structSchema describes the section of a key.
func structSchema(prefix string, t reflect.Type) map[string]any {
	properties := map[string]any{}
	var required []string
	for f := range t.Fields() {
		name := f.Tag.Get("koanf")
		key := join(prefix, name)
		p := typeSchema(key, f.Type)
		if s := findSetting(key); s.required || f.Type.Kind() == reflect.Struct && p["required"] != nil {
			required = append(required, name)
		}
		properties[name] = p
	}
	schema := map[string]any{"type": []string{"object", "null"}, "additionalProperties": false, "properties": properties}
	if required != nil { // then the section itself can't be left empty either
		schema["type"], schema["required"] = "object", required
	}
	return schema
}

// typeSchema describes the values of a key.
func typeSchema(key string, t reflect.Type) map[string]any {
	describe := func(s map[string]any, text string) map[string]any {
		if text != "" {
			s["description"] = plain(text)
		}
		return s
	}
	switch {
	case t.Kind() == reflect.Struct:
		return describe(structSchema(key, t), findSection(key).text)
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		s := findSection(key + "[]")
		list := map[string]any{"type": []string{"array", "null"}, "items": structSchema(key+"[]", t.Elem())}
		if s.pending {
			list["maxItems"] = 0
		}
		return describe(list, s.text+later(s.pending))
	case t.Kind() == reflect.Map && t.Elem().Kind() == reflect.Struct:
		s := findSection(key + ".*")
		return describe(map[string]any{"type": []string{"object", "null"}, "additionalProperties": structSchema(s.key, t.Elem())}, s.text)
	}
	s := findSetting(key)
	v := describe(s.schema(t), s.describe())
	if s.def != "" {
		v["default"] = s.defaultValue()
	}
	return v
}

// defaultValue is the default as the file's own types have it.
func (s *setting) defaultValue() any {
	if n, err := strconv.Atoi(s.def); err == nil {
		return n
	}
	switch {
	case s.def == "true" || s.def == "false":
		return s.def == "true"
	case s.def == "{}":
		return map[string]any{}
	case strings.HasPrefix(s.def, "["):
		list := []string{}
		for part := range strings.SplitSeq(strings.Trim(s.def, "[]"), ",") {
			if part != "" {
				list = append(list, strings.Trim(part, ` "`))
			}
		}
		return list
	}
	return s.def
}

// schema describes one value, or a list or map of them.
func (s *setting) schema(t reflect.Type) map[string]any {
	switch {
	case t == reflect.TypeFor[windowSpecs]():
		list := map[string]any{"type": []string{"array", "null"}, "items": s.textSchema()}
		if s.pending {
			list["maxItems"] = 0
			return list
		}
		return map[string]any{"anyOf": []any{s.textSchema(), list}}
	case t.Kind() == reflect.Slice:
		list := map[string]any{"type": []string{"array", "null"}, "items": s.textSchema()}
		if s.filled {
			list["minItems"] = 1
		}
		return list
	case t.Kind() == reflect.Map:
		return map[string]any{"type": []string{"object", "null"}, "additionalProperties": map[string]any{"type": "string"}}
	case t.Kind() == reflect.String:
		return s.textSchema()
	case t.Kind() == reflect.Bool && s.pending:
		return map[string]any{"enum": []any{false, nil}}
	case t.Kind() == reflect.Bool:
		return either(map[string]any{"type": []string{"boolean", "null"}}, "true|false")
	case t == reflect.TypeFor[time.Duration]():
		return map[string]any{"type": []string{"string", "null"}, "pattern": anyOf(`[0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h)([0-9.]+(ns|us|ms|s|m|h))*`)}
	case t == reflect.TypeFor[byteSize]():
		return either(s.numberSchema(t), `[0-9]+ *(B|kB|KiB|[MGT]i?B)?`)
	case s.pending:
		return map[string]any{"enum": []any{0, nil}}
	default:
		return either(s.numberSchema(t), `[0-9]+`)
	}
}

// anyOf makes a pattern that what the environment completes matches as well.
func anyOf(pattern string) string { return "^(?:" + pattern + ")$|" + envPattern }

// either accepts a value, or a text of it.
func either(value map[string]any, pattern string) map[string]any {
	return map[string]any{"anyOf": []any{value, map[string]any{"type": "string", "pattern": anyOf(pattern)}}}
}

func (s *setting) numberSchema(t reflect.Type) map[string]any {
	number := map[string]any{"type": []string{"integer", "null"}}
	if s.min != "" {
		number["minimum"] = bound(s.min, t)
		if s.zero != "" {
			number["minimum"] = 0
		}
	}
	if s.max != "" {
		number["maximum"] = bound(s.max, t)
	}
	return number
}

// textSchema describes a text, or an entry of a list of texts.
func (s *setting) textSchema() map[string]any {
	text := map[string]any{"type": []string{"string", "null"}}
	if s.required {
		text["type"], text["minLength"] = "string", 1
	}
	switch {
	case s.pending:
		text["maxLength"] = 0
	case len(s.choices) > 0:
		choices := []any{nil}
		for _, choice := range s.choices {
			choices = append(choices, choice)
		}
		if s.def == "" {
			choices = append(choices, "")
		}
		return map[string]any{"anyOf": []any{
			map[string]any{"enum": choices}, map[string]any{"type": "string", "pattern": envPattern},
		}}
	case s.pattern != "" && s.def == "" && !s.required:
		text["pattern"] = anyOf("|" + s.pattern)
	case s.pattern != "":
		text["pattern"] = anyOf(s.pattern)
	}
	return text
}
