package main

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-viper/mapstructure/v2"
)

// faultReport collects what is wrong with a configuration file: a line per fault,
// which begins with the key.
type faultReport struct {
	faults []error
	// faulty holds the keys that a fault names.
	faulty map[string]bool
	// written holds what the file says, unexpanded, and types what it should
	// have been, by key: "tables[0].columns[note].nan".
	written map[string]any
	types   map[string]reflect.Type
}

func newFaultReport(raw map[string]any) *faultReport {
	r := &faultReport{faulty: map[string]bool{}, written: map[string]any{}, types: map[string]reflect.Type{}}
	r.remember("", raw, reflect.TypeFor[fileConfig]())
	return r
}

// remember walks the file along the configuration's type.
func (r *faultReport) remember(key string, v any, t reflect.Type) {
	r.written[key], r.types[key] = v, t
	values, isMap := v.(map[string]any)
	list, isList := v.([]any)
	switch {
	case t.Kind() == reflect.Struct && isMap:
		for f := range t.Fields() {
			name := f.Tag.Get("koanf")
			if v, ok := values[name]; ok {
				r.remember(join(key, name), v, f.Type)
			}
		}
	case t.Kind() == reflect.Map && isMap:
		for name, v := range values {
			r.remember(key+"["+name+"]", v, t.Elem())
		}
	case t.Kind() == reflect.Slice && isList:
		for i, v := range list {
			r.remember(key+"["+strconv.Itoa(i)+"]", v, t.Elem())
		}
	}
}

// add reports a fault of key; "" is the file as a whole.
func (r *faultReport) add(key, text string) {
	if key != "" {
		r.faulty[key] = true
		text = key + ": " + text
	}
	r.faults = append(r.faults, errors.New("  "+text))
}

// refuse reports that the value of key is not what it should be. The value is
// shown as the file writes it, unless it may be a secret.
func (r *faultReport) refuse(key, want string, secret bool) {
	if shown, ok := r.shown(key); ok && !secret {
		r.add(key, shown+" is not "+want)
		return
	}
	r.add(key, "want "+want)
}

// shown returns what the file says for key, if that can be shown.
func (r *faultReport) shown(key string) (string, bool) {
	switch v := r.written[key].(type) {
	case int, bool, float64:
		return fmt.Sprint(v), true
	case string:
		// A connection string in a wrong place.
		if strings.Contains(v, "@") || strings.Contains(strings.ToLower(v), "passw") || len(v) > 200 {
			return "", false
		}
		return strconv.Quote(v), true
	}
	return "", false
}

// typeFaults walks the decoder's tree of errors: each leaf is one value of the
// wrong type. The decoder's own words name Go's types, so they are replaced.
func (r *faultReport) typeFaults(err error) {
	var many interface{ Unwrap() []error }
	fault, isLeaf := errors.AsType[*mapstructure.DecodeError](err)
	switch {
	case err == nil:
	case errors.As(err, &many):
		for _, e := range many.Unwrap() {
			r.typeFaults(e)
		}
	case !isLeaf:
		r.add("", err.Error())
	default:
		for inner, ok := fault, true; ok; inner, ok = errors.AsType[*mapstructure.DecodeError](inner.Unwrap()) {
			fault = inner
		}
		key := fault.Name()
		if r.faulty[key] {
			return // its variable is not set
		}
		want := "of its type"
		if t := r.types[key]; t != nil {
			want = wanted(t)
		}
		// Of a section or a list only the form is wrong: what stands in its
		// place belongs elsewhere, and may be anything.
		r.refuse(key, want, want == wantSection || want == wantList || r.isSecret(key))
	}
}

func (r *faultReport) isSecret(key string) bool {
	return slices.ContainsFunc(settings(), func(s setting) bool { return s.key == key && s.secret })
}

// unknownKeys reports the keys of values that t has no field for.
func (r *faultReport) unknownKeys(prefix string, value any, t reflect.Type) {
	values, isMap := value.(map[string]any)
	list, isList := value.([]any)
	switch {
	case t.Kind() == reflect.Struct && isMap:
		fields := map[string]reflect.Type{}
		for f := range t.Fields() {
			fields[f.Tag.Get("koanf")] = f.Type
		}
		for _, key := range slices.Sorted(maps.Keys(values)) {
			if field, ok := fields[key]; ok {
				r.unknownKeys(join(prefix, key), values[key], field)
				continue
			}
			text := fmt.Sprintf("unknown key %q", join(prefix, key))
			if names := similar(prefix, key, slices.Sorted(maps.Keys(fields))); len(names) > 0 {
				text += ": did you mean " + strings.Join(names, " or ") + "?"
			}
			r.add("", text)
		}
	case t.Kind() == reflect.Slice && isList:
		for i, v := range list {
			r.unknownKeys(prefix+"["+strconv.Itoa(i)+"]", v, t.Elem())
		}
	case t.Kind() == reflect.Map && isMap:
		for _, key := range slices.Sorted(maps.Keys(values)) {
			r.unknownKeys(prefix+"["+key+"]", values[key], t.Elem())
		}
	}
}

// similar returns the keys that somebody who wrote key in the section prefix
// may have meant: the nearest of the section's own, else those of this name in
// other sections; at most three.
func similar(prefix, key string, siblings []string) []string {
	best, least := "", max(1, len(key)/3)+1
	for _, name := range siblings {
		if d := distance(strings.ToLower(key), name); d < least {
			best, least = name, d
		}
	}
	if best != "" {
		return []string{join(prefix, best)}
	}
	var names []string
	for _, s := range settings() {
		if strings.HasSuffix(s.key, "."+key) && !strings.ContainsAny(s.key, "[*") {
			names = append(names, s.key)
		}
	}
	return names[:min(3, len(names))]
}

// distance is the number of letters to insert, delete, replace or swap with
// their neighbour that makes b out of a.
func distance(a, b string) int {
	before, last := []int(nil), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			change := last[j]
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(change, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
