package sqlrule

import (
	"strconv"
	"strings"

	"github.com/walshift/walshift/test/redshift/internal/lex"
)

const (
	maxColumns  = 1600
	maxSortKeys = 400
)

// TableDef is what the stand-in records of a table beside PostgreSQL's own
// catalog.
type TableDef struct {
	Name Name
	// DistStyle is AUTO, EVEN, ALL or KEY; SortStyle AUTO, COMPOUND,
	// INTERLEAVED or NONE.
	DistStyle, SortStyle string
	Columns              []Column
	// Constraints are the declared keys.
	Constraints []Constraint
	// Like is the table whose columns are copied.
	Like *Name
}

// Constraint is a declared key, recorded and not enforced.
type Constraint struct {
	// Name is empty where the server has to make one.
	Name string
	// Kind is p, u or f as in pg_constraint.
	Kind    string
	Columns []string
	// Ref is the table that a foreign key points at.
	Ref        Name
	RefColumns []string
}

// Column is one column of CREATE TABLE or ADD COLUMN.
type Column struct {
	Name     string
	Type     Type
	Default  string
	NotNull  bool
	nullable bool
	notNull  bool
	identity string
	collate  string
	// Encode is the compression encoding, empty if not given.
	Encode string
	// DistKey, SortKey (from 1), PK, Unique and FK are recorded, not enforced.
	DistKey        bool
	SortKey        int
	PK, Unique, FK bool
}

// Flags gives the column's record as rs_internal.record_table wants it.
func (col Column) Flags() string {
	var f []string
	if col.DistKey {
		f = append(f, "d")
	}
	if col.SortKey > 0 {
		f = append(f, "s"+strconv.Itoa(col.SortKey))
	}
	if col.PK {
		f = append(f, "p")
	}
	if col.Unique {
		f = append(f, "u")
	}
	if col.FK {
		f = append(f, "f")
	}
	if col.Encode != "" {
		f = append(f, "e:"+col.Encode)
	}
	return Short(col.Name) + "=" + strings.Join(f, ",")
}

func (t *TableDef) column(name string) *Column {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return &t.Columns[i]
		}
	}
	return nil
}

// tempTable takes CREATE [TEMP] TABLE up to the name.
func (c *compiler) tempTable() error {
	c.accept("local")
	temp := c.accept("temp") || c.accept("temporary")
	if err := c.expect("table"); err != nil {
		return err
	}
	ifNot := c.accept("if", "not", "exists")
	n, err := c.qname()
	if err != nil {
		return err
	}
	if strings.HasPrefix(n.Table, "#") {
		temp = true
	}
	if temp && n.Schema != "" {
		return refuse(CodeBadTable, "temporary tables may not specify a schema name")
	}
	if err := writableSchema(n.Schema); err != nil {
		return err
	}
	c.st.Target, c.st.Temp = n, temp
	c.st.Table = &TableDef{Name: n, DistStyle: "AUTO", SortStyle: "AUTO"}
	if c.isCreateAs() {
		if ifNot {
			return refuse(CodeSyntax, "syntax error at or near \"AS\": CREATE TABLE AS takes no IF NOT EXISTS")
		}
		return c.createAs()
	}
	return c.createTable(ifNot)
}

// isCreateAs looks for AS after the optional column list and attributes.
func (c *compiler) isCreateAs() bool {
	for i := c.i; i < len(c.toks); i++ {
		if c.toks[i].Is("(") {
			i = c.closing(i)
			continue
		}
		if c.toks[i].Is("as") {
			return true
		}
	}
	return false
}

func (c *compiler) createAs() error {
	c.st.Kind, c.st.Tag = CreateAs, "SELECT"
	var cols []string
	if c.is("(") {
		var err error
		if cols, err = c.names(); err != nil {
			return err
		}
	}
	for !c.is("as") {
		if err := c.tableAttribute(true); err != nil {
			return err
		}
	}
	c.i++
	start := c.i
	if err := c.wholeQuery(start, len(c.toks)); err != nil {
		return err
	}
	sql := "CREATE " + tempWord(c.st.Temp) + "TABLE " + c.st.Target.SQL()
	if len(cols) > 0 && c.opt.Describe != nil {
		have, err := c.opt.Describe(c.render(start, len(c.toks)))
		if err != nil {
			return err
		}
		if len(have) != len(cols) {
			return refuse(CodeSyntax, "CREATE TABLE/AS SELECT has mismatched column count")
		}
	}
	if len(cols) > 0 {
		quoted := make([]string, len(cols))
		for i, col := range cols {
			quoted[i] = QuoteName(col)
		}
		sql += " (" + strings.Join(quoted, ", ") + ")"
	}
	c.st.Backend = []string{sql + " AS " + c.render(start, len(c.toks))}
	return nil
}

func tempWord(temp bool) string {
	if temp {
		return "TEMP "
	}
	return ""
}

func (c *compiler) createTable(ifNot bool) error {
	c.st.Kind, c.st.Tag = CreateTable, "CREATE TABLE"
	if err := c.expect("("); err != nil {
		return err
	}
	likeDefaults := false
	for {
		if c.is("like") {
			if c.st.Table.Like != nil {
				return syntaxAt(c.at(0))
			}
			var err error
			if likeDefaults, err = c.like(); err != nil {
				return err
			}
		} else if err := c.tableElement(); err != nil {
			return err
		}
		if c.accept(",") {
			continue
		}
		if err := c.expect(")"); err != nil {
			return err
		}
		break
	}
	for !c.done() {
		if err := c.tableAttribute(false); err != nil {
			return err
		}
	}
	t := c.st.Table
	if err := t.check(); err != nil {
		return err
	}
	c.st.Backend = []string{c.createSQL(ifNot, likeDefaults)}
	return nil
}

func (c *compiler) createSQL(ifNot, likeDefaults bool) string {
	t := c.st.Table
	parts := make([]string, 0, len(t.Columns)+1)
	if t.Like != nil {
		p := "LIKE " + t.Like.SQL() + " INCLUDING CONSTRAINTS"
		if likeDefaults {
			p += " INCLUDING DEFAULTS"
		}
		parts = append(parts, p)
	}
	for i, col := range t.Columns {
		parts = append(parts, col.definition(), col.checks(c.opt.Unique+"_"+strconv.Itoa(i)))
	}
	kept := parts[:0]
	for _, p := range parts {
		if p != "" {
			kept = append(kept, p)
		}
	}
	sql := "CREATE " + tempWord(c.st.Temp) + "TABLE "
	if ifNot {
		sql += "IF NOT EXISTS "
	}
	return sql + t.Name.SQL() + " (" + strings.Join(kept, ", ") + ")"
}

func (c *compiler) like() (bool, error) {
	c.i++
	n, err := c.qname()
	if err != nil {
		return false, err
	}
	c.st.Table.Like = &n
	if c.accept("including", "defaults") {
		return true, nil
	}
	c.accept("excluding", "defaults")
	return false, nil
}

// tableElement takes a column or a table constraint.
func (c *compiler) tableElement() error {
	if c.is("constraint") || c.is("primary") || c.is("unique") || c.is("foreign") || c.is("check") ||
		c.is("exclude", "using") || c.is("exclude", "(") {
		return c.tableConstraint()
	}
	col, err := c.column()
	if err != nil {
		return err
	}
	if c.st.Table.column(col.Name) != nil {
		return refuse(CodeDuplicate, "column %q duplicated", col.Name)
	}
	c.st.Table.Columns = append(c.st.Table.Columns, col)
	return nil
}

// tableAttribute takes one attribute after the column list.
func (c *compiler) tableAttribute(create bool) error {
	t := c.st.Table
	c.attributes++
	switch {
	case c.attributes == 1 && (c.accept("backup", "yes") || c.accept("backup", "no")):
	case c.accept("encode", "auto") && !create:
	case c.accept("diststyle"):
		style := c.at(0)
		if !style.Is("auto") && !style.Is("even") && !style.Is("all") && !style.Is("key") {
			return syntaxAt(style)
		}
		t.DistStyle = strings.ToUpper(style.Val)
		c.i++
	case c.accept("distkey"):
		cols, err := c.names()
		if err != nil {
			return err
		}
		if len(cols) != 1 {
			return refuse(CodeSyntax, "only one column can be DISTKEY")
		}
		if create {
			t.Columns = append(t.Columns, Column{Name: cols[0], DistKey: true})
			return nil
		}
		col := t.column(cols[0])
		if col == nil {
			return refuse(CodeNoColumn, "DISTKEY column %q does not exist", cols[0])
		}
		if c.hasDistKey() {
			return refuse(CodeSyntax, "multiple DISTKEY definitions for table %q", t.Name.Table)
		}
		col.DistKey = true
	case c.is("sortkey"), c.is("compound", "sortkey"), c.is("interleaved", "sortkey"):
		return c.sortKey(create)
	default:
		return syntaxAt(c.at(0))
	}
	return nil
}

func (c *compiler) hasDistKey() bool {
	for _, col := range c.st.Table.Columns {
		if col.DistKey {
			return true
		}
	}
	return false
}

func (c *compiler) sortKey(create bool) error {
	t := c.st.Table
	style := "COMPOUND"
	if c.accept("interleaved") {
		style = "INTERLEAVED"
	}
	c.accept("compound")
	c.i++
	if style == "COMPOUND" && c.tok(c.i-2).Val != "compound" && c.accept("auto") {
		return nil
	}
	cols, err := c.names()
	if err != nil {
		return err
	}
	limit := maxSortKeys
	if style == "INTERLEAVED" {
		limit = 8
	}
	if len(cols) > limit {
		return refuse(CodeTooComplex, "%s sort key can have at most %d columns", style, limit)
	}
	for _, col := range t.Columns {
		if col.SortKey > 0 {
			return refuse(CodeSyntax, "multiple SORTKEY definitions for table %q", t.Name.Table)
		}
	}
	t.SortStyle = style
	for i, name := range cols {
		col := t.column(name)
		if col != nil && col.SortKey > 0 {
			return refuse(CodeSyntax, "column %q appears twice in the sort key", name)
		}
		if col == nil && create {
			t.Columns = append(t.Columns, Column{Name: name})
			col = &t.Columns[len(t.Columns)-1]
		}
		if col == nil {
			return refuse(CodeNoColumn, "SORTKEY column %q does not exist", name)
		}
		col.SortKey = i + 1
	}
	return nil
}

// check applies the rules that need the whole table.
func (t *TableDef) check() error {
	if len(t.Columns) == 0 && t.Like == nil {
		return refuse(CodeSyntax, "syntax error at or near \")\"")
	}
	if len(t.Columns) > maxColumns {
		return refuse("54011", "tables can have at most %d columns", maxColumns)
	}
	dist, sorts, identities, keys := 0, 0, 0, 0
	for _, k := range t.Constraints {
		if k.Kind == "p" {
			keys++
		}
	}
	for _, col := range t.Columns {
		if col.SortKey == 1 {
			sorts++
		}
		if col.identity != "" {
			identities++
		}
		if col.DistKey {
			dist++
		}
		if (col.DistKey || col.SortKey > 0) && col.Type.keyless() {
			return refuse(CodeUnsupported, "column %q of type %s cannot be a DISTKEY or SORTKEY", col.Name, col.Type.Base)
		}
	}
	switch {
	case keys > 1:
		return refuse(CodeBadTable, "multiple primary keys for table %q are not allowed", t.Name.Table)
	case sorts > 1:
		return refuse(CodeSyntax, "multiple SORTKEY definitions for table %q", t.Name.Table)
	case identities > 1:
		return refuse(CodeSyntax, "table %q can have only one IDENTITY column", t.Name.Table)
	case dist > 1:
		return refuse(CodeSyntax, "multiple DISTKEY definitions for table %q", t.Name.Table)
	case dist == 1 && t.DistStyle != "KEY" && t.DistStyle != "AUTO":
		return refuse(CodeSyntax, "DISTKEY contradicts DISTSTYLE %s", t.DistStyle)
	case dist == 0 && t.DistStyle == "KEY" && t.Like == nil:
		return refuse(CodeSyntax, "DISTSTYLE KEY needs a DISTKEY")
	case dist == 1:
		t.DistStyle = "KEY"
	}
	return nil
}

// defaultEnd finds the end of a DEFAULT expression that begins at token i.
func (c *compiler) defaultEnd(i int) int {
	depth := 0
	for start := i; i < len(c.toks); i++ {
		switch t := c.toks[i]; {
		case t.Is("("):
			depth++
		case t.Is(")"):
			if depth == 0 {
				return i
			}
			depth--
		case depth == 0 && t.Is(","):
			return i
		case depth == 0 && i > start && t.Kind == lex.Word && columnWord(t.Val) && (!t.Is("null") || !c.toks[i-1].Is("not")):
			return i
		}
	}
	return i
}

// columnWord lists the words that begin a column's next attribute.
func columnWord(w string) bool {
	switch w {
	case "not", "null", "encode", "distkey", "sortkey", "primary", "unique", "references", "identity", "generated", "collate", "check":
		return true
	}
	return false
}

// keyless reports whether a column of the type can be neither DISTKEY nor
// SORTKEY.
func (t Type) keyless() bool {
	switch t.Base {
	case "super", "varbyte", "geometry", "geography", "hllsketch":
		return true
	}
	return false
}

// writableSchema refuses to make anything in a schema of the system.
func writableSchema(schema string) error {
	switch {
	case schema == "pg_catalog", schema == "information_schema":
		return refuse(CodeNoPrivilege, "permission denied to create in schema %q: system catalog modifications are disallowed", schema)
	case strings.HasPrefix(schema, "pg_"), strings.HasPrefix(schema, "rs_"):
		return refuse(CodeNoSchema, "schema %q does not exist", schema)
	}
	return nil
}
