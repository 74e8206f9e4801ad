package source

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/walshift/walshift/replicator/change"
)

// storageMarks describe what holds rows: a table or a partition.
type storageMarks struct {
	kind, persistence, identity byte
	filenode, toast, xmin       uint32
}

// columnMarks describe a column.
type columnMarks struct {
	xmin               string
	missing, generated bool
	def                string // oid and xmin of its default, "" for none
}

// leafMarks describe a partition.
type leafMarks struct {
	storageMarks
	link  string // xmin of its row in pg_inherits
	index string // of REPLICA IDENTITY USING INDEX
}

// marks are the words of marksSQL for one table.
type marks struct {
	storageMarks
	rowType string // xmin of the row type: RENAME, SET SCHEMA and OWNER TO change it
	columns map[int16]columnMarks
	leaves  map[uint32]leafMarks
	// types are the enum values and composite fields by their type's oid, each
	// with what identifies it and what must stay.
	types map[string]map[string]string
	enums map[string]bool // which of types are enums
	// publication is the publication's row, entries are the rows that put the
	// table into it, by what they name.
	publication string
	entries     map[string]string
}

// parseMarks reads what marksSQL wrote.
func parseMarks(text string) (*marks, error) {
	m := &marks{
		columns: map[int16]columnMarks{}, leaves: map[uint32]leafMarks{}, types: map[string]map[string]string{},
		enums: map[string]bool{}, entries: map[string]string{},
	}
	for word := range strings.FieldsSeq(text) {
		if err := m.word(word[0], strings.Split(word[1:], ":")); err != nil {
			return nil, fmt.Errorf("reading the mark %q: %w", word, err)
		}
	}
	return m, nil
}

// fieldsOf says how many fields a word has, 0 for one that is not known.
func fieldsOf(kind byte) int {
	switch kind {
	case 'c':
		return 5
	case 'a', 'k':
		return 4
	case 'l':
		return 7
	case 'x':
		return 2
	case 'e', 'p', 'r', 'n':
		return 3
	}
	return 0
}

func (m *marks) word(kind byte, f []string) error {
	if len(f) != fieldsOf(kind) {
		return fmt.Errorf("%d fields", len(f))
	}
	switch kind {
	case 'c':
		m.rowType = f[4]
		return m.read(f)
	case 'a':
		n, err := strconv.ParseInt(f[0], 10, 16)
		m.columns[int16(n)] = columnMarks{
			xmin: f[1], missing: strings.Contains(f[2], "m"), generated: strings.Contains(f[2], "g"), def: f[3],
		}
		return err
	case 'l':
		oid, err := strconv.ParseUint(f[0], 10, 32)
		if err != nil {
			return err
		}
		l := leafMarks{link: f[5], index: f[6]}
		if err := l.read(f[1:]); err != nil {
			return err
		}
		m.leaves[uint32(oid)] = l
	case 'e':
		m.enums[f[0]] = true
		m.part(f[0], f[1], f[2])
	case 'k':
		m.part(f[0], f[1], f[2]+":"+f[3])
	case 'p':
		m.publication = strings.Join(f, ":")
	case 'r', 'n':
		m.entries[string(kind)+f[0]] = f[1] + ":" + f[2]
	}
	return nil
}

func (m *marks) part(of, id, what string) {
	if m.types[of] == nil {
		m.types[of] = map[string]string{}
	}
	m.types[of][id] = what
}

// read takes the fields that tables and partitions have in common.
func (s *storageMarks) read(f []string) error {
	if len(f[0]) != 3 {
		return fmt.Errorf("%q is not kind, persistence and identity", f[0])
	}
	s.kind, s.persistence, s.identity = f[0][0], f[0][1], f[0][2]
	for i, to := range []*uint32{&s.filenode, &s.toast, &s.xmin} {
		n, err := strconv.ParseUint(f[i+1], 10, 32)
		if err != nil {
			return err
		}
		*to = uint32(n)
	}
	return nil
}

// allTables reports whether the publication is FOR ALL TABLES.
func (m *marks) allTables() bool { return strings.HasSuffix(m.publication, ":1") }

// published says in words how the table's place in the publication has
// changed, "" if it has not.
func (m *marks) published(now *marks, name string) (string, change.Code) {
	was, _, _ := strings.Cut(m.publication, ":")
	is, _, _ := strings.Cut(now.publication, ":")
	switch {
	case now.publication == "":
		return fmt.Sprintf("publication %q was dropped", name), change.CodePublication
	case was != is:
		return fmt.Sprintf("publication %q was dropped and created again: changes made in between were not published", name), change.CodePublication
	case len(now.entries) == 0 && !now.allTables():
		return fmt.Sprintf("the table was taken out of publication %q", name), change.CodeTableLeft
	case m.publication != now.publication:
		return fmt.Sprintf("publication %q was altered: changes made meanwhile may not have been published", name), change.CodePublication
	case !maps.Equal(m.entries, now.entries):
		return fmt.Sprintf("the table left publication %q for a while, or its column list or row filter was altered: "+
			"changes made meanwhile may not have been published", name), change.CodeTableLeft
	case len(now.entries) > 0 && !now.listed() && m.rowType != now.rowType:
		return fmt.Sprintf("the table, which publication %q has by its schema, was moved, renamed or given to another owner: "+
			"changes made meanwhile may not have been published", name), change.CodeTableLeft
	}
	return "", ""
}

// listed reports whether the publication names a table and not only a schema.
func (m *marks) listed() bool {
	for entry := range m.entries {
		if entry[0] == 'r' {
			return true
		}
	}
	return false
}

// alteredType returns the oid of a type that prints older values differently
// now: an enum's value was renamed, a composite's fields were altered.
func (m *marks) alteredType(now *marks) (oid string, enum bool) {
	for _, of := range slices.Sorted(maps.Keys(m.types)) {
		enum = m.enums[of]
		if !enum && len(m.types[of]) != len(now.types[of]) && len(now.types[of]) > 0 {
			return of, false
		}
		for id, what := range m.types[of] {
			// A type that is gone altogether went with its column.
			if is, ok := now.types[of][id]; is != what && (ok || len(now.types[of]) > 0) {
				return of, enum
			}
		}
	}
	return "", false
}

// touched returns a column of the relation whose own row in the catalog was
// written, other than by the erasure of its missing value; "" for none. ALTER
// TYPE always writes it, and the default's row too; VACUUM FULL and CLUSTER
// erase missing values, and leave the default's row alone.
func (m *marks) touched(now *marks, rel *change.Relation) string {
	for i := range rel.Columns {
		was, is := m.columns[rel.Columns[i].Attnum], now.columns[rel.Columns[i].Attnum]
		erased := was.missing && !is.missing && was.def == is.def && was.def != ""
		if was.xmin != is.xmin && !erased || is.generated && was.def != is.def {
			return rel.Columns[i].Name
		}
	}
	return ""
}

// HasPartitions reports whether the marks are those of a table with partitions.
func HasPartitions(text string) bool { return strings.Contains(text, " l") }

// leafOIDs returns the partitions of either, ascending.
func leafOIDs(a, b *marks) []uint32 {
	all := slices.AppendSeq(slices.Collect(maps.Keys(a.leaves)), maps.Keys(b.leaves))
	slices.SortFunc(all, cmp.Compare[uint32])
	return slices.Compact(all)
}
