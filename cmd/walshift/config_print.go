package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// defaultsYAML returns a complete configuration file: every key with its
// default, and a comment that says what it is for. Keys that must be set hold
// an example.
func defaultsYAML() string {
	p := printer{}
	p.b.WriteString("# Every key of walshift's configuration, with its default. Only those marked as\n" +
		"# required must be set. A key without a value keeps its default, and ${NAME} in\n" +
		"# a value is replaced from the environment.\n")
	p.keys("", reflect.TypeFor[fileConfig](), "")
	return p.b.String()
}

// printer writes YAML.
type printer struct{ b strings.Builder }

func (p *printer) line(indent, format string, args ...any) {
	p.b.WriteString(strings.TrimRight(indent+fmt.Sprintf(format, args...), " ") + "\n")
}

// keys writes the keys of t, whose own key is prefix.
func (p *printer) keys(prefix string, t reflect.Type, indent string) {
	for f := range t.Fields() {
		name := f.Tag.Get("koanf")
		key := join(prefix, name)
		if prefix == "" {
			p.b.WriteString("\n")
		}
		switch {
		case f.Type.Kind() == reflect.Struct:
			p.comment(indent, findSection(key).text)
			p.line(indent, "%s:", name)
			p.keys(key, f.Type, indent+"  ")
		case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
			s := findSection(key + "[]")
			p.comment(indent, s.text+later(s.pending))
			p.line(indent, "%s: []", name)
			p.entry(key+"[].", indent, f.Type.Elem())
		default:
			s := findSetting(key)
			p.comment(indent, s.describe())
			p.line(indent, "%s: %s", name, s.sample())
		}
	}
}

// entry writes an entry of a list as a comment.
func (p *printer) entry(prefix, indent string, t reflect.Type) {
	lead := "- "
	for f := range t.Fields() {
		name := f.Tag.Get("koanf")
		s := findSetting(prefix + name)
		text := s.describe()
		if s.key == "" {
			text = findSection(prefix+name).text + findSection(prefix+name+".*").text
			s.example = "{}"
		}
		p.line(indent, "#  %s%s: %s  # %s", lead, name, s.sample(), plain(text))
		lead = "  "
	}
}

// comment writes text above a key, in lines of at most 88 characters.
func (p *printer) comment(indent, text string) {
	const width = 88
	line := indent + "#"
	for word := range strings.FieldsSeq(plain(text)) {
		if len(line)+1+len(word) > width {
			p.line("", "%s", line)
			line = indent + "#"
		}
		line += " " + word
	}
	p.line("", "%s", line)
}

// plain takes Markdown's marks away.
func plain(text string) string { return strings.ReplaceAll(text, "`", "") }

func later(pending bool) string {
	if pending {
		return " (not supported yet)"
	}
	return ""
}

func findSetting(key string) setting {
	all := settings()
	if i := slices.IndexFunc(all, func(s setting) bool { return s.key == key }); i >= 0 {
		return all[i]
	}
	return setting{}
}

func findSection(key string) section {
	all := sections()
	if i := slices.IndexFunc(all, func(s section) bool { return s.key == key }); i >= 0 {
		return all[i]
	}
	return section{}
}

// sample is the key's value in the printed file.
func (s *setting) sample() string {
	switch {
	case s.env != "":
		return `"${` + s.env + `}"`
	case s.example != "":
		return s.example
	default:
		return s.def
	}
}

// describe says in a sentence or two what the key is for, what it may be, and
// what stands in its place when it is left out.
func (s *setting) describe() string {
	text := s.text
	explained := len(s.choices) > 0
	for _, choice := range s.choices {
		explained = explained && strings.Contains(text, "`"+choice+"`")
	}
	if allowed := s.allowed(); allowed != "" && (!explained || len(s.later) > 0) {
		text += "; " + allowed
	}
	switch {
	case s.env != "":
		text += "; for instance " + s.example
	case s.stands != "":
		text += "; default: " + s.stands
	}
	if s.required {
		text = "required: " + text
	}
	return text + later(s.pending)
}

// allowed says what the key may be, as Markdown.
func (s *setting) allowed() string {
	switch {
	case s.min != "":
		return s.bounds()
	case s.form != "":
		return s.form
	case len(s.choices) == 0:
		return ""
	}
	text := "`" + strings.Join(s.choices, "`, `") + "`"
	if len(s.later) > 0 {
		text += " (`" + strings.Join(s.later, "`, `") + "` not supported yet)"
	}
	return text
}

// configTable returns README's table of keys.
func configTable() string {
	var b strings.Builder
	b.WriteString("| key | default | allowed | |\n|---|---|---|---|\n")
	for _, s := range settings() {
		if at := strings.LastIndex(s.key, "."); at > 0 && findSection(s.key[:at]).row {
			if sec := findSection(s.key[:at]); strings.HasSuffix(s.key, ".oversize") {
				fmt.Fprintf(&b, "| `%s` | | | %s%s |\n", sec.key, sec.text, later(findSection("tables[]").pending))
			}
			continue
		}
		if strings.HasPrefix(s.key, "redshift.grants[]") || strings.HasPrefix(s.key, "tables[]") {
			s.pending = s.pending || findSection(s.key[:strings.Index(s.key, "[]")+2]).pending
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s%s |\n", s.key, s.shownDefault(), s.allowed(), s.text, later(s.pending))
	}
	return b.String()
}

// shownDefault is the default in README's table.
func (s *setting) shownDefault() string {
	switch {
	case s.required:
		return "**required**"
	case s.stands != "":
		if strings.Contains(s.stands, "<") {
			return "`" + s.stands + "`"
		}
		return s.stands
	case s.def == "":
		return ""
	default:
		return "`" + s.def + "`"
	}
}
