package change

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Identity is a table's replica identity as pg_class.relreplident spells it.
type Identity byte

// The replica identities of PostgreSQL.
const (
	IdentityDefault Identity = 'd' // primary key, if there is one
	IdentityNothing Identity = 'n'
	IdentityFull    Identity = 'f'
	IdentityIndex   Identity = 'i'
)

// String returns the word that ALTER TABLE … REPLICA IDENTITY takes.
func (i Identity) String() string {
	switch i {
	case IdentityDefault:
		return "DEFAULT"
	case IdentityNothing:
		return "NOTHING"
	case IdentityFull:
		return "FULL"
	case IdentityIndex:
		return "USING INDEX"
	}
	return fmt.Sprintf("unknown (%q)", byte(i))
}

// MarshalText writes the single letter of pg_class.relreplident.
func (i Identity) MarshalText() ([]byte, error) { return []byte{byte(i)}, nil }

// UnmarshalText reads what MarshalText wrote; any other input is an error.
func (i *Identity) UnmarshalText(b []byte) error {
	if len(b) != 1 || !strings.ContainsRune("dnfi", rune(b[0])) {
		return errors.New("reading replica identity: want one of d, n, f, i")
	}
	*i = Identity(b[0])
	return nil
}

// Column is one published column of a relation.
type Column struct {
	// Attnum is pg_attribute.attnum, which identifies the column for the
	// table's whole life.
	Attnum int16 `json:"attnum"`
	// Name is the column's name as the source spells it.
	Name string `json:"name"`
	// TypeOID is pg_attribute.atttypid, as pgoutput sends it (for a domain:
	// the domain's).
	TypeOID uint32 `json:"type_oid"`
	// Type is pg_type.typname of the base type: domains are resolved
	// ("int4", "varchar", "_int4" for an array).
	Type string `json:"type"`
	// TypeKind is pg_type.typtype of the base type: b(ase), e(num),
	// c(omposite), r(ange), m(ultirange).
	TypeKind string `json:"type_kind"`
	// Typmod is atttypmod, or the domain's where the column has none; -1
	// means no modifier.
	Typmod int32 `json:"typmod"`
	// NotNull is pg_attribute.attnotnull.
	NotNull bool `json:"not_null,omitempty"`
	// Missing is attmissingval in text form: the value that rows older than
	// the column have without storing it. Nil where there is none.
	Missing *string `json:"missing,omitempty"`
	// Fields are the fields of a composite, or of the composites in an array,
	// in their order as the log's beginning knew them. Nil for all other
	// columns, and in pipelines of before, which carry fields without names.
	Fields []Field `json:"fields,omitempty"`
	// Numeric says how the target holds a numeric without a precision. Nil for
	// all other columns, and where nobody has settled it yet: the pipelines of
	// before have DECIMAL(38,18), or text where the configuration says so.
	Numeric *Numeric `json:"numeric,omitempty"`
}

// Field is a field of a composite type. Type, TypeKind and Fields are as in
// [Column].
type Field struct {
	Name     string  `json:"name"`
	Type     string  `json:"type"`
	TypeKind string  `json:"type_kind"`
	Fields   []Field `json:"fields,omitempty"`
}

// Unbounded reports whether the column is a numeric without a precision, whose
// form on the target is a matter of choice.
func (c *Column) Unbounded() bool {
	const varhdrsz = 4 // a modifier is at least that (numeric.c)
	return c.Type == "numeric" && c.TypeKind == "b" && c.Typmod < varhdrsz
}

// Numeric is how the target holds a numeric without a precision. It is settled
// when the pipeline begins, stands in every relation of the log, and never
// changes: the encoder of first load and stream, the target's DDL and staging
// tables all go by it.
type Numeric struct {
	// Text: as its text.
	Text bool `json:"text,omitempty"`
	// Scale is s of DECIMAL(38,s) otherwise, from [MinNumericScale] to
	// [MaxNumericScale].
	Scale int32 `json:"scale,omitempty"`
}

// The scales of DECIMAL(38,s) for numerics without a precision. At the one end
// 29 digits stand before the point, at the other 20.
const (
	MinNumericScale = 9
	MaxNumericScale = 18
)

// NumericForm returns how the target holds the column's numbers: as it is
// settled, else as pipelines of before did. text is what the configuration says.
func (c *Column) NumericForm(text bool) Numeric {
	if c.Numeric != nil {
		return *c.Numeric
	}
	return Numeric{Text: text, Scale: MaxNumericScale}
}

// SettleNumeric settles an unbounded column by the greatest number of decimal
// places that its data needs.
func (c *Column) SettleNumeric(scale int32) {
	c.Numeric = &Numeric{Scale: min(max(scale, MinNumericScale), MaxNumericScale)}
}

// Relation is a source table at one schema version. It is immutable once
// built; a changed table is a new Relation.
type Relation struct {
	OID      uint32   `json:"oid"`
	Schema   string   `json:"schema"`
	Name     string   `json:"name"`
	Identity Identity `json:"identity"`
	Columns  []Column `json:"columns"`
	// Keys are the places in Columns of the replica identity's columns,
	// ascending; under REPLICA IDENTITY FULL those of the unique index that
	// proves a key. Empty: the table is insert-only, or a multiset.
	Keys []int `json:"keys,omitempty"`
	// KeyIndex is, under REPLICA IDENTITY FULL, the oid of the index that
	// proves that Keys are one; 0 otherwise.
	KeyIndex uint32 `json:"key_index,omitempty"`
	// Multiset says that the table has REPLICA IDENTITY FULL and no proven
	// key: its rows are told apart by their whole image, and equal ones are
	// counted. Its target has a column [RowColumn] of the images' hashes.
	Multiset bool `json:"multiset,omitempty"`
}

// RowColumn is the column that the target of a multiset has beside the
// source's: a hash of the row's text image (docs/design.md 2.2).
const RowColumn = "_walshift_row"

// String returns schema.table for messages; it is not quoted for SQL.
func (r *Relation) String() string { return r.Schema + "." + r.Name }

// HasKey reports whether rows of the relation can be found again by the
// replica identity.
func (r *Relation) HasKey() bool { return len(r.Keys) > 0 }

// IsKey reports whether the column at place i belongs to the key.
func (r *Relation) IsKey(i int) bool { return slices.Contains(r.Keys, i) }

// KeyColumns returns the key's columns in key order.
func (r *Relation) KeyColumns() []Column {
	cols := make([]Column, len(r.Keys))
	for i, k := range r.Keys {
		cols[i] = r.Columns[k]
	}
	return cols
}

// Diff says in words how now differs from r, or "" where they describe the
// same table version. Missing values do not count: VACUUM FULL erases them
// without a change of meaning. Nor does how numerics are carried, which is no
// property of the source's.
func (r *Relation) Diff(now *Relation) string {
	switch {
	case r.OID != now.OID:
		return fmt.Sprintf("table oid was %d, is %d", r.OID, now.OID)
	case r.Schema != now.Schema || r.Name != now.Name:
		return fmt.Sprintf("table %s is now named %s", r, now)
	case r.Identity != now.Identity:
		return fmt.Sprintf("replica identity was %s, is %s", r.Identity, now.Identity)
	}
	for i := range max(len(r.Columns), len(now.Columns)) {
		if i >= len(r.Columns) {
			return fmt.Sprintf("column %q was added", now.Columns[i].Name)
		}
		if i >= len(now.Columns) {
			return fmt.Sprintf("column %q was removed", r.Columns[i].Name)
		}
		if d := r.Columns[i].diff(&now.Columns[i]); d != "" {
			return d
		}
	}
	switch {
	case !slices.Equal(r.Keys, now.Keys):
		return fmt.Sprintf("key was (%s), is (%s)", r.keyNames(), now.keyNames())
	case r.KeyIndex != now.KeyIndex:
		return fmt.Sprintf("the unique index that proves key (%s) was oid %d, is %d", r.keyNames(), r.KeyIndex, now.KeyIndex)
	case r.Multiset != now.Multiset:
		return fmt.Sprintf("rows without a key: was %t, is %t", r.Multiset, now.Multiset)
	}
	return ""
}

// check reports what can't be true of any relation.
func (r *Relation) check() error {
	for _, k := range r.Keys {
		if k < 0 || k >= len(r.Columns) {
			return fmt.Errorf("key column %d of %d", k, len(r.Columns))
		}
	}
	full := r.Identity == IdentityFull
	switch {
	case r.Multiset && (!full || len(r.Keys) > 0):
		return fmt.Errorf("a multiset with replica identity %s and %d key columns", r.Identity, len(r.Keys))
	case r.KeyIndex != 0 && (!full || len(r.Keys) == 0):
		return fmt.Errorf("index %d proves a key of %d columns under replica identity %s", r.KeyIndex, len(r.Keys), r.Identity)
	case full && len(r.Keys) > 0 && r.KeyIndex == 0:
		return errors.New("a key under replica identity FULL that no index proves")
	}
	return nil
}

func (c *Column) diff(now *Column) string {
	switch {
	case c.Attnum != now.Attnum:
		return fmt.Sprintf("column %q (attnum %d) stands where %q (attnum %d) was",
			now.Name, now.Attnum, c.Name, c.Attnum)
	case c.Name != now.Name:
		return fmt.Sprintf("column %q was renamed to %q", c.Name, now.Name)
	case c.TypeOID != now.TypeOID || c.Type != now.Type:
		return fmt.Sprintf("type of column %q was %s (oid %d), is %s (oid %d)",
			c.Name, c.Type, c.TypeOID, now.Type, now.TypeOID)
	case c.Typmod != now.Typmod:
		return fmt.Sprintf("type modifier of column %q was %d, is %d", c.Name, c.Typmod, now.Typmod)
	case c.NotNull != now.NotNull:
		return fmt.Sprintf("NOT NULL of column %q was %t, is %t", c.Name, c.NotNull, now.NotNull)
	}
	return ""
}

func (r *Relation) keyNames() string {
	names := make([]string, len(r.Keys))
	for i, k := range r.Keys {
		names[i] = r.Columns[k].Name
	}
	return strings.Join(names, ", ")
}
