package sqlrule

import "strings"

// tableConstraint takes a constraint after the columns of CREATE TABLE.
func (c *compiler) tableConstraint() error {
	k, err := c.constraint()
	if err != nil {
		return err
	}
	t := c.st.Table
	seen := map[string]bool{}
	for _, name := range k.Columns {
		col := t.column(name)
		switch {
		case seen[name]:
			return refuse(CodeDuplicate, "column %q appears twice in key", name)
		case col == nil && t.Like == nil:
			return refuse(CodeNoColumn, "column %q named in key does not exist", name)
		case col == nil:
		case k.Kind == "p" && col.nullable:
			return refuse(CodeBadTable, "primary key column %q must be NOT NULL", name)
		default:
			col.mark(k.Kind)
		}
		seen[name] = true
	}
	t.Constraints = append(t.Constraints, k)
	return nil
}

// mark notes that the column belongs to a key.
func (col *Column) mark(kind string) {
	switch kind {
	case "p":
		col.PK, col.NotNull = true, true
	case "u":
		col.Unique = true
	default:
		col.FK = true
	}
}

// constraint takes [CONSTRAINT name] { UNIQUE | PRIMARY KEY | FOREIGN KEY }
// (columns) [REFERENCES …].
func (c *compiler) constraint() (Constraint, error) {
	var k Constraint
	var err error
	if c.accept("constraint") {
		if k.Name, err = c.name(); err != nil {
			return k, err
		}
		k.Name = Short(k.Name)
	}
	switch {
	case c.accept("primary", "key"):
		k.Kind = "p"
	case c.accept("unique"):
		k.Kind = "u"
	case c.accept("foreign", "key"):
		k.Kind = "f"
	case c.is("check"), c.is("exclude"):
		return k, refuse(CodeUnsupported, "%s constraints are not supported", strings.ToUpper(c.at(0).Text))
	default:
		return k, syntaxAt(c.at(0))
	}
	if k.Columns, err = c.names(); err != nil {
		return k, err
	}
	if k.Kind == "f" {
		if !c.is("references") {
			return k, syntaxAt(c.at(0))
		}
		return k, c.references(&k)
	}
	return k, c.constraintEnd()
}

// references takes REFERENCES table [(columns)] and nothing after it.
func (c *compiler) references(k *Constraint) error {
	c.i++
	var err error
	if k.Ref, err = c.qname(); err != nil {
		return err
	}
	if c.is("(") {
		if k.RefColumns, err = c.names(); err != nil {
			return err
		}
	}
	return c.constraintEnd()
}

func (c *compiler) constraintEnd() error {
	if c.is("on") || c.is("match") || c.is("deferrable") || c.is("initially") || c.is("not", "deferrable") || c.is("not", "valid") ||
		c.is("include") || c.is("nulls") || c.is("using") {
		return syntaxAt(c.at(0))
	}
	return nil
}
