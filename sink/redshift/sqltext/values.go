package sqltext

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Misfit names a way in which a value does not fit its column, and with it the
// policy that decides what becomes of it.
type Misfit string

// The misfits.
const (
	// MisfitOversize is a value that is too much for the column: text, bytes,
	// documents and rows that are too long, numbers with too many digits, and
	// what else SUPER can't hold exactly (numbers, nesting, NUL).
	MisfitOversize Misfit = "oversize"
	// MisfitNaN is a number that is not a number.
	MisfitNaN Misfit = "nan"
	// MisfitInfinity is an infinite number, date or time.
	MisfitInfinity Misfit = "infinity"
	// MisfitOutOfRange is a date before year 1 or after year 9999, and the
	// time of day 24:00:00.
	MisfitOutOfRange Misfit = "out_of_range"
	// MisfitEmptyBytes is an empty bytea: COPY reads an empty field of a
	// VARBYTE column as NULL.
	MisfitEmptyBytes Misfit = "empty_bytes"
)

// Misfits returns all misfits, in the order of the documentation.
func Misfits() []Misfit {
	return []Misfit{MisfitOversize, MisfitNaN, MisfitInfinity, MisfitOutOfRange, MisfitEmptyBytes}
}

// Policy is what is done with a value that does not fit. Every policy but
// PolicyFail leaves an incident, and keeps the original.
type Policy string

// The policies. A column of the key has none: there every misfit is
// PolicyFail, for two keys must never become one (pitfall V19).
const (
	// PolicyKeepOut leaves the value out. Text and SUPER columns hold a
	// reference to the original instead, all others NULL.
	PolicyKeepOut Policy = "keep_out"
	// PolicyTruncate cuts text before the first character that does not fit.
	// What is not text becomes NULL.
	PolicyTruncate Policy = "truncate"
	// PolicyNull writes NULL. It isn't spelled "null", for YAML reads that
	// word as a key without a value: the default would hold instead.
	PolicyNull Policy = "set_null"
	// PolicyClamp writes the nearest value that the column holds.
	PolicyClamp Policy = "clamp"
	// PolicyFail stops the table.
	PolicyFail Policy = "fail"
)

// NumericDecimal and NumericText are the targets of numeric without a
// precision.
const (
	NumericDecimal = "decimal"
	NumericText    = "text"
)

// Policies returns the policies that a misfit can have, its default first.
func (m Misfit) Policies() []Policy {
	switch m {
	case MisfitOversize:
		return []Policy{PolicyKeepOut, PolicyTruncate, PolicyNull, PolicyFail}
	case MisfitInfinity:
		return []Policy{PolicyClamp, PolicyNull, PolicyFail}
	case MisfitOutOfRange:
		return []Policy{PolicyNull, PolicyClamp, PolicyFail}
	case MisfitNaN, MisfitEmptyBytes:
		return []Policy{PolicyNull, PolicyFail}
	}
	return nil
}

// Misfits returns the ways in which values of a column may not fit.
func (m Mapping) Misfits() []Misfit {
	switch m.Form {
	case FormFloat:
		return []Misfit{MisfitNaN, MisfitInfinity}
	case FormDecimal:
		return []Misfit{MisfitOversize, MisfitNaN, MisfitInfinity}
	case FormDate, FormTimestamp, FormTimestampTZ:
		return []Misfit{MisfitInfinity, MisfitOutOfRange}
	case FormTime, FormTimeTZ:
		return []Misfit{MisfitOutOfRange}
	case FormHex:
		return []Misfit{MisfitOversize, MisfitEmptyBytes}
	case FormPlain:
		if m.MaxBytes == MaxVarchar {
			return []Misfit{MisfitOversize}
		}
	case FormJSON, FormArray, FormRow, FormHstore, FormGeometry:
		return []Misfit{MisfitOversize}
	case FormBool, FormInt:
	}
	return nil
}

// Values are the policies of a column, or of all. An empty field is not said:
// the next wider level decides, and at the end [DefaultValues].
type Values struct {
	Oversize   Policy
	NaN        Policy
	Infinity   Policy
	OutOfRange Policy
	EmptyBytes Policy
	// UnboundedNumeric is NumericDecimal or NumericText. It is settled when a
	// table is loaded; changed later, it must be loaded again.
	UnboundedNumeric string
	// Accept are the misfits that the operator knows of: their incidents are
	// written, and never open. Nil is not said.
	Accept []Misfit
}

// acceptedPrefix begins what the incidents table holds as the policy of an
// accepted misfit.
const acceptedPrefix = "accepted:"

// Recorded returns what the incidents table holds as the policy of a misfit,
// and whether the operator accepts it.
func (v *Values) Recorded(m Misfit) (policy string, accepted bool) {
	if slices.Contains(v.Accept, m) {
		return acceptedPrefix + string(v.Policy(m)), true
	}
	return string(v.Policy(m)), false
}

// DefaultValues returns the defaults.
func DefaultValues() Values {
	v := Values{UnboundedNumeric: NumericDecimal}
	for _, m := range Misfits() {
		*v.policy(m) = m.Policies()[0]
	}
	return v
}

func (v *Values) policy(m Misfit) *Policy {
	switch m {
	case MisfitNaN:
		return &v.NaN
	case MisfitInfinity:
		return &v.Infinity
	case MisfitOutOfRange:
		return &v.OutOfRange
	case MisfitEmptyBytes:
		return &v.EmptyBytes
	case MisfitOversize:
	}
	return &v.Oversize
}

// Policy returns the policy of a misfit; PolicyFail where none is said.
func (v Values) Policy(m Misfit) Policy {
	if p := *v.policy(m); p != "" {
		return p
	}
	return PolicyFail
}

// over returns v with what it does not say taken from wider.
func (v Values) over(wider Values) Values {
	for _, m := range Misfits() {
		if p := v.policy(m); *p == "" {
			*p = *wider.policy(m)
		}
	}
	if v.UnboundedNumeric == "" {
		v.UnboundedNumeric = wider.UnboundedNumeric
	}
	if v.Accept == nil {
		v.Accept = wider.Accept
	}
	return v
}

// Validate reports every policy that is none of its misfit's. key goes before
// each, for instance "values.".
func (v Values) Validate(key string) error {
	var errs []error
	for _, m := range Misfits() {
		if p := *v.policy(m); p != "" && !slices.Contains(m.Policies(), p) {
			errs = append(errs, fmt.Errorf("%s%s %q: want one of %q", key, m, p, m.Policies()))
		}
	}
	for _, m := range v.Accept {
		if !slices.Contains(Misfits(), m) {
			errs = append(errs, fmt.Errorf("%saccept %q: want a list of %q", key, m, Misfits()))
		}
	}
	switch v.UnboundedNumeric {
	case "", NumericDecimal, NumericText:
	default:
		errs = append(errs, fmt.Errorf("%sunbounded_numeric %q: want %q or %q", key, v.UnboundedNumeric, NumericDecimal, NumericText))
	}
	return errors.Join(errs...)
}

// TableValues are the policies of some tables.
type TableValues struct {
	// Match is a glob over schema.table: * stands for any characters, ? for
	// one.
	Match string
	Values
	// Columns are policies by column name.
	Columns map[string]Values
}

// ValueRules are the policies of a pipeline: those of a column win over those
// of its table, and these over the common ones. Of the entries of Tables the
// first that matches counts. The zero value stops a table at each misfit.
type ValueRules struct {
	Values
	Tables []TableValues
}

// DefaultRules returns the rules of a configuration that says nothing.
func DefaultRules() ValueRules { return ValueRules{Values: DefaultValues()} }

// Of returns the policies of a column of schema.table.
func (r *ValueRules) Of(table, column string) Values {
	for i := range r.Tables {
		if t := &r.Tables[i]; matches(t.Match, table) {
			return t.Columns[column].over(t.Values).over(r.Values)
		}
	}
	return r.Values
}

// AcceptsAny reports whether any column's incidents can be accepted ones.
func (r *ValueRules) AcceptsAny() bool {
	if len(r.Accept) > 0 {
		return true
	}
	for i := range r.Tables {
		if len(r.Tables[i].Accept) > 0 {
			return true
		}
		for _, v := range r.Tables[i].Columns {
			if len(v.Accept) > 0 {
				return true
			}
		}
	}
	return false
}

// Validate reports every fault by key.
func (r *ValueRules) Validate() error {
	errs := []error{r.Values.Validate("values.")}
	for i := range r.Tables {
		t := &r.Tables[i]
		key := fmt.Sprintf("tables[%d].", i)
		if t.Match == "" {
			errs = append(errs, fmt.Errorf("%smatch: want schema.table, in which * and ? are wild", key))
		}
		errs = append(errs, t.Validate(key+"values."))
		for _, name := range slices.Sorted(maps.Keys(t.Columns)) {
			errs = append(errs, t.Columns[name].Validate(fmt.Sprintf("%scolumns.%s.", key, name)))
		}
	}
	return errors.Join(errs...)
}

// matches compares a name with a glob: * is any characters, ? is one.
func matches(glob, name string) bool {
	for i, g := range glob {
		switch {
		case g == '*':
			for j := range name {
				if matches(glob[i+1:], name[j:]) {
					return true
				}
			}
			return matches(glob[i+1:], "")
		case name == "":
			return false
		}
		r := []rune(name)[0]
		if g != '?' && g != r {
			return false
		}
		name = name[len(string(r)):]
	}
	return name == ""
}
