package sqlrule

import (
	"strings"

	"github.com/walshift/walshift/test/redshift/internal/lex"
)

// grants are what a GRANT or REVOKE names, as far as PostgreSQL has it.
type grants struct {
	privileges, objects, grantees []string
	// option says WITH GRANT OPTION, only GRANT OPTION FOR.
	option, only bool
}

// grant takes GRANT and REVOKE. Rights that PostgreSQL has not are accepted and
// left out.
func (c *compiler) grant() error {
	c.st.Kind = Utility
	revoke := c.at(0).Is("revoke")
	c.st.Tag = strings.ToUpper(c.at(0).Val)
	c.i++
	var g grants
	g.only = revoke && c.accept("grant", "option", "for")
	switch {
	case c.is("role"):
		return c.grantRole(revoke)
	case c.is("assumerole"), c.is("create", "user"), c.is("drop", "user"), c.is("alter", "user"), c.is("create", "schema"), c.is("access", "system"),
		c.is("create", "table"), c.is("create", "role"), c.is("drop", "role"), c.is("alter", "table"), c.is("drop", "table"), c.is("create", "view"),
		c.is("vacuum"), c.is("analyze"), c.is("cancel"), c.is("explain"), c.is("ignore"), c.is("create", "model"):
		return standIn("have system and assumed permissions")
	}
	kind, err := c.grantObjects(&g)
	if err != nil {
		return err
	}
	want := "to"
	if revoke {
		want = "from"
	}
	if err := c.expect(want); err != nil {
		return err
	}
	if err := c.grantees(&g, revoke); err != nil {
		return err
	}
	if revoke && !c.accept("cascade") {
		c.accept("restrict")
	}
	if err := c.end(); err != nil {
		return err
	}
	c.st.Backend = []string{grantSQL(&g, kind, revoke)}
	return nil
}

// grantSQL gives the statement for PostgreSQL.
func grantSQL(g *grants, kind string, revoke bool) string {
	if len(g.privileges) == 0 || kind == "LANGUAGE" {
		return nothing
	}
	verb, word := "GRANT ", " TO "
	if revoke {
		verb, word = "REVOKE ", " FROM "
		if g.only {
			verb += "GRANT OPTION FOR "
		}
	}
	sql := verb + strings.Join(g.privileges, ", ") + " ON " + kind + " " + strings.Join(g.objects, ", ") + word + strings.Join(g.grantees, ", ")
	if g.option {
		sql += " WITH GRANT OPTION"
	}
	return sql
}

// grantObjects takes the privileges, ON and the objects.
func (c *compiler) grantObjects(g *grants) (string, error) {
	var names []string
	for {
		t := c.at(0)
		if t.Kind != lex.Word {
			return "", syntaxAt(t)
		}
		c.i++
		name := t.Val
		if name == "all" {
			c.accept("privileges")
		}
		names = append(names, name)
		cols := ""
		if c.is("(") {
			list, err := c.names()
			if err != nil {
				return "", err
			}
			if name != "select" && name != "update" && name != "all" {
				return "", syntaxAt(t)
			}
			for i := range list {
				list[i] = QuoteName(list[i])
			}
			cols = " (" + strings.Join(list, ", ") + ")"
		}
		if backendPrivilege(name) {
			g.privileges = append(g.privileges, name+cols)
		}
		if !c.accept(",") {
			break
		}
	}
	if c.is("for") {
		return "", standIn("have scoped permissions")
	}
	if err := c.expect("on"); err != nil {
		return "", err
	}
	kind, err := c.grantKind(g)
	if err != nil {
		return "", err
	}
	for _, n := range names {
		if !privilegeOf(kind, n) {
			return "", refuse(CodeSyntax, "invalid privilege type %s for %s", strings.ToUpper(n), strings.ToLower(kind))
		}
	}
	return kind, nil
}

// backendPrivilege lists the privileges that PostgreSQL has too.
func backendPrivilege(p string) bool {
	switch p {
	case "select", "insert", "update", "delete", "references", "truncate", "all", "create", "temporary", "temp", "execute":
		return true
	}
	return p == "usage"
}

// privilegeOf tells which privileges an object has (developer guide, GRANT).
func privilegeOf(kind, p string) bool {
	switch kind {
	case "TABLE", "ALL TABLES IN SCHEMA":
		switch p {
		case "select", "insert", "update", "delete", "drop", "references", "alter", "truncate", "all":
			return true
		}
	case "DATABASE":
		return p == "create" || p == "temporary" || p == "temp" || p == "alter" || p == "usage" || p == "all"
	case "SCHEMA":
		return p == "create" || p == "usage" || p == "alter" || p == "drop" || p == "all"
	case "LANGUAGE":
		return p == "usage" || p == "all"
	default:
		return p == "execute" || p == "all"
	}
	return false
}

// grantKind takes the kind of the objects and their names.
func (c *compiler) grantKind(g *grants) (string, error) {
	kind := "TABLE"
	switch {
	case c.accept("all", "tables", "in", "schema"):
		kind = "ALL TABLES IN SCHEMA"
	case c.accept("all", "functions", "in", "schema"):
		kind = "ALL FUNCTIONS IN SCHEMA"
	case c.accept("all", "procedures", "in", "schema"):
		kind = "ALL PROCEDURES IN SCHEMA"
	case c.accept("database"):
		kind = "DATABASE"
	case c.accept("schema"):
		kind = "SCHEMA"
	case c.accept("language"):
		kind = "LANGUAGE"
	case c.is("function"), c.is("procedure"):
		kind = strings.ToUpper(c.at(0).Val)
		c.i++
	case c.is("model"), c.is("datashare"), c.is("external"), c.is("copy", "job"), c.is("template"):
		return "", standIn("have permissions on " + c.at(0).Val)
	default:
		c.accept("table")
	}
	for {
		n, err := c.qname()
		if err != nil {
			return "", err
		}
		obj := n.SQL()
		if kind == "FUNCTION" || kind == "PROCEDURE" {
			args, err := c.signature()
			if err != nil {
				return "", err
			}
			obj += args
		}
		g.objects = append(g.objects, obj)
		if !c.accept(",") {
			return kind, nil
		}
	}
}

// signature takes the argument types of a function.
func (c *compiler) signature() (string, error) {
	if err := c.expect("("); err != nil {
		return "", err
	}
	var types []string
	for !c.accept(")") {
		if t, next := c.at(0), c.at(1); t.Kind == lex.Word && next.Kind == lex.Word && !next.Is("precision") && !next.Is("varying") && !t.Is("timestamp") && !t.Is("time") {
			c.i++ // the argument's name
		}
		typ, err := c.parseType(false)
		if err != nil {
			return "", err
		}
		types = append(types, typ.Backend)
		if !c.accept(",") && !c.is(")") {
			return "", syntaxAt(c.at(0))
		}
	}
	return "(" + strings.Join(types, ", ") + ")", nil
}

// grantees takes users, GROUP and ROLE names and PUBLIC.
func (c *compiler) grantees(g *grants, revoke bool) error {
	for {
		user := true
		if c.accept("group") || c.accept("role") {
			user = false
		}
		t := c.at(0)
		if t.Is("public") {
			c.i++
			user = false
			g.grantees = append(g.grantees, "PUBLIC")
		} else {
			n, err := c.name()
			if err != nil {
				return err
			}
			g.grantees = append(g.grantees, QuoteName(n))
		}
		if !revoke && c.is("with", "grant", "option") {
			if !user {
				return refuse(CodeUnsupported, "grant options can only be granted to users")
			}
			c.i += 3
			g.option = true
		}
		if !c.accept(",") {
			return nil
		}
	}
}

// grantRole takes GRANT ROLE r TO …, REVOKE ROLE r FROM ….
func (c *compiler) grantRole(revoke bool) error {
	word, verb := "to", "GRANT "
	if revoke {
		word, verb = "from", "REVOKE "
	}
	var roles []string
	for {
		if err := c.expect("role"); err != nil {
			return err
		}
		n, err := c.name()
		if err != nil {
			return err
		}
		roles = append(roles, QuoteName(n))
		if !c.accept(",") {
			break
		}
	}
	if err := c.expect(word); err != nil {
		return err
	}
	var g grants
	for {
		c.accept("role")
		n, err := c.name()
		if err != nil {
			return err
		}
		g.grantees = append(g.grantees, QuoteName(n))
		if c.accept("with", "admin", "option") {
			g.option = true
		}
		if !c.accept(",") {
			break
		}
	}
	sql := verb + strings.Join(roles, ", ") + " " + word + " " + strings.Join(g.grantees, ", ")
	if g.option {
		sql += " WITH ADMIN OPTION"
	}
	c.st.Backend = []string{sql}
	return c.end()
}

// defaultPrivileges takes ALTER DEFAULT PRIVILEGES.
func (c *compiler) defaultPrivileges() error {
	c.st.Kind, c.st.Tag = Utility, "ALTER DEFAULT PRIVILEGES"
	c.i += 3
	sql := "ALTER DEFAULT PRIVILEGES"
	if c.accept("for", "user") {
		n, err := c.name()
		if err != nil {
			return err
		}
		sql += " FOR ROLE " + QuoteName(n)
	}
	if c.accept("in", "schema") {
		n, err := c.name()
		if err != nil {
			return err
		}
		sql += " IN SCHEMA " + QuoteName(n)
	}
	if !c.is("grant") && !c.is("revoke") {
		return syntaxAt(c.at(0))
	}
	revoke := c.is("revoke")
	c.i++
	var g grants
	g.only = revoke && c.accept("grant", "option", "for")
	if err := c.defaultList(&g); err != nil {
		return err
	}
	if err := c.expect("on"); err != nil {
		return err
	}
	kind := c.at(0).Val
	if kind != "tables" && kind != "functions" && kind != "procedures" {
		return syntaxAt(c.at(0))
	}
	c.i++
	word := "to"
	if revoke {
		word = "from"
	}
	if err := c.expect(word); err != nil {
		return err
	}
	if err := c.grantees(&g, revoke); err != nil {
		return err
	}
	if revoke && !c.accept("cascade") {
		c.accept("restrict")
	}
	if kind == "procedures" {
		kind = "routines"
	}
	if len(g.privileges) > 0 {
		c.st.Backend = []string{sql + " " + grantSQL(&grants{privileges: g.privileges, grantees: g.grantees, option: g.option, only: g.only}, kind, revoke)}
	} else {
		c.st.Backend = []string{nothing}
	}
	return c.end()
}

// defaultList takes the privileges of ALTER DEFAULT PRIVILEGES.
func (c *compiler) defaultList(g *grants) error {
	for {
		t := c.at(0)
		if t.Kind != lex.Word {
			return syntaxAt(t)
		}
		c.i++
		if t.Is("all") {
			c.accept("privileges")
		}
		if backendPrivilege(t.Val) {
			g.privileges = append(g.privileges, t.Val)
		} else if t.Val != "drop" && t.Val != "alter" {
			return syntaxAt(t)
		}
		if !c.accept(",") {
			return nil
		}
	}
}
