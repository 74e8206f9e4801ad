package main

import (
	"errors"
	"fmt"
	"net"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/walshift/walshift/replicator"
)

// validate reports every setting that is missing or out of its range, all at
// once and with the file's key names, as settings declares them. A section
// without a fault is also shown to its package, which knows the rest.
func (c *fileConfig) validate(r *faultReport) {
	for _, s := range settings() {
		each(reflect.ValueOf(c).Elem(), s.key, "", func(key string, v reflect.Value) {
			if !r.faulty[key] {
				s.check(r, key, v)
			}
		})
	}
	for _, s := range sections() {
		list, ok := strings.CutSuffix(s.key, "[]")
		if s.pending && ok {
			each(reflect.ValueOf(c).Elem(), list, "", func(key string, v reflect.Value) {
				if v.Len() > 0 {
					r.add(key, "is not supported yet")
				}
			})
		}
	}
	if r.faulty["pipeline"] { // the packages know it as well, and would say it again
		return
	}
	if c.Source.Slot == "" {
		c.Source.Slot = "walshift_" + c.Pipeline
	}
	if c.Source.Publication.Name == "" {
		c.Source.Publication.Name = "walshift_" + c.Pipeline
	}
	c.packageFaults(r)
}

// packageFaults adds what the packages find in sections without a fault.
func (c *fileConfig) packageFaults(r *faultReport) {
	sound := func(sections ...string) bool {
		for key := range r.faulty {
			section, _, _ := strings.Cut(key, ".")
			if slices.Contains(sections, section) {
				return false
			}
		}
		return true
	}
	if sound("source") {
		r.addLines("", c.source().Validate())
	}
	if sound("log") {
		r.addLines("log: ", c.stage().Validate())
	}
	if sound("redshift", "target", "apply") {
		house := c.warehouse()
		r.addLines("", house.Validate())
	}
	r.addLines("", c.startFaults())
	loops := c.replicator()
	r.addLines("", loops.Validate())
}

// addLines reports joined errors, one per line, but those of keys that have a
// fault already.
func (r *faultReport) addLines(section string, err error) {
	if err == nil {
		return
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		key, _, _ := strings.Cut(line, ":")
		if !r.faulty[key] {
			r.faults = append(r.faults, errors.New("  "+section+line))
		}
	}
}

// each calls visit for every value in v that a setting's key stands for.
func each(v reflect.Value, key, path string, visit func(path string, v reflect.Value)) {
	if key == "" {
		visit(path, v)
		return
	}
	part, rest, _ := strings.Cut(key, ".")
	if part == "*" {
		names := v.MapKeys()
		slices.SortFunc(names, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, name := range names {
			each(v.MapIndex(name), rest, path+"["+name.String()+"]", visit)
		}
		return
	}
	name, isList := strings.CutSuffix(part, "[]")
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("koanf") != name {
			continue
		}
		if !isList {
			each(v.Field(i), rest, join(path, name), visit)
			return
		}
		for n := range v.Field(i).Len() {
			each(v.Field(i).Index(n), rest, join(path, name)+"["+strconv.Itoa(n)+"]", visit)
		}
	}
}

// check reports what is wrong with the value of a key.
func (s *setting) check(r *faultReport, key string, v reflect.Value) {
	switch {
	case s.required && v.IsZero():
		r.add(key, "must be set, for instance "+s.example)
	case s.filled && v.Len() == 0:
		r.add(key, "must name at least one")
	case s.pending && given(v):
		r.add(key, "is not supported yet")
	case s.min != "" && !s.within(v):
		r.refuse(key, s.bounds(), s.secret)
	case v.Kind() == reflect.String:
		s.checkText(r, key, v.String())
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.String:
		for i := range v.Len() {
			entry := key + "[" + strconv.Itoa(i) + "]"
			if r.written[entry] == nil {
				entry = key // a single one
			}
			if v.Index(i).String() == "" {
				r.add(entry, "must not be empty")
				continue
			}
			s.checkText(r, entry, v.Index(i).String())
		}
	}
}

// checkText checks a text, or an entry of a list of them.
func (s *setting) checkText(r *faultReport, key, v string) {
	switch {
	case slices.Contains(s.later, v):
		r.add(key, fmt.Sprintf("%q is not supported yet, want %s", v, strings.Join(s.choices, " or ")))
	case len(s.choices) > 0 && !slices.Contains(s.choices, v) && (v != "" || s.def != ""):
		r.refuse(key, "one of "+strings.Join(s.choices, ", "), s.secret)
	case s.pattern != "" && (v != "" || s.def != "") && !regexp.MustCompile("^(?:"+s.pattern+")$").MatchString(v):
		r.refuse(key, s.form, s.secret)
	case v != "" && s.form == windowForm:
		if _, err := replicator.ParseWindow(v); err != nil {
			r.add(key, err.Error())
		}
	case v != "" && s.form == listenForm:
		if _, _, err := net.SplitHostPort(v); err != nil {
			r.refuse(key, s.form, s.secret)
		}
	}
}

// given reports whether a value differs from nothing: pending keys have no
// other default.
func given(v reflect.Value) bool {
	if k := v.Kind(); k == reflect.Slice || k == reflect.Map {
		return v.Len() > 0
	}
	return !v.IsZero()
}

// within reports whether a number lies within the bounds.
func (s *setting) within(v reflect.Value) bool {
	n := v.Int()
	return n == 0 && s.zero != "" || n >= bound(s.min, v.Type()) && (s.max == "" || n <= bound(s.max, v.Type()))
}

// bound reads a bound in the notation of type t.
func bound(text string, t reflect.Type) int64 {
	switch t {
	case reflect.TypeFor[time.Duration]():
		d, _ := time.ParseDuration(text)
		return int64(d)
	case reflect.TypeFor[byteSize]():
		n, _ := parseSize(text)
		return int64(n)
	default:
		n, _ := strconv.ParseInt(text, 10, 64)
		return n
	}
}

// bounds says in words what within allows.
func (s *setting) bounds() string {
	text := "at least " + s.min
	if s.max != "" {
		text = "between " + s.min + " and " + s.max
	}
	if s.zero == "" {
		return text
	}
	zero := "0"
	if strings.ContainsAny(s.min, "smh") {
		zero = "0s"
	}
	return zero + " (" + s.zero + ") or " + text
}
