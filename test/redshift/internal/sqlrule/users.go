package sqlrule

import (
	"strings"

	"github.com/walshift/walshift/test/redshift/internal/lex"
)

// createRole takes CREATE USER, CREATE GROUP and CREATE ROLE.
func (c *compiler) createRole() error {
	what := c.at(0).Val
	c.i++
	n, err := c.name()
	if err != nil {
		return err
	}
	if n == "public" {
		return refuse(CodeReservedName, "role name %q is reserved", n)
	}
	c.st.Kind, c.st.Tag = Utility, "CREATE "+strings.ToUpper(what)
	sql := "CREATE ROLE " + QuoteName(n)
	switch what {
	case "user":
		opts, err := c.userOptions(true)
		if err != nil {
			return err
		}
		sql = "CREATE USER " + QuoteName(n) + " " + opts
	case "group":
		if c.accept("with") || c.is("user") {
			users, err := c.userList("user")
			if err != nil {
				return err
			}
			sql += " ROLE " + users
		}
	default:
		if c.accept("externalid") {
			if c.at(0).Kind != lex.Word && c.at(0).Kind != lex.String {
				return syntaxAt(c.at(0))
			}
			c.i++
		}
	}
	c.st.Backend = []string{sql}
	return c.end()
}

func (c *compiler) userList(word string) (string, error) {
	if err := c.expect(word); err != nil {
		return "", err
	}
	var out []string
	for {
		n, err := c.name()
		if err != nil {
			return "", err
		}
		out = append(out, QuoteName(n))
		if !c.accept(",") {
			return strings.Join(out, ", "), nil
		}
	}
}

// Lengths of passwords (developer guide, CREATE USER).
const (
	minPassword = 8
	maxPassword = 64
)

// userOptions takes the options of CREATE USER and ALTER USER.
func (c *compiler) userOptions(create bool) (string, error) {
	c.accept("with")
	var sql []string
	password := false
	for !c.done() {
		password = password || c.is("password")
		opt, err := c.userOption(create)
		if err != nil {
			return "", err
		}
		if opt != "" {
			sql = append(sql, opt)
		}
	}
	if create && !password {
		return "", refuse(CodeSyntax, "syntax error: CREATE USER needs PASSWORD")
	}
	return strings.Join(sql, " "), nil
}

// userOption takes one option and gives it for PostgreSQL, if it has it.
func (c *compiler) userOption(create bool) (string, error) {
	switch {
	case c.accept("createdb"), c.accept("nocreatedb"):
		return c.at(-1).Val, nil
	case c.accept("createuser"):
		if !c.opt.Superuser {
			return "", refuse(CodeNoPrivilege, "must be superuser to create superusers")
		}
	case c.accept("nocreateuser"):
	case c.accept("password"):
		return c.password()
	case c.accept("in", "group"):
		return c.inGroups(create)
	case c.accept("valid", "until"):
		t, err := c.token(lex.String)
		return "VALID UNTIL " + t, err
	case c.accept("connection", "limit"):
		if c.accept("unlimited") {
			return "", nil
		}
		t, err := c.token(lex.Number)
		return "CONNECTION LIMIT " + t, err
	case c.accept("syslog", "access"):
		if !c.accept("restricted") && !c.accept("unrestricted") {
			return "", syntaxAt(c.at(0))
		}
	case c.accept("session", "timeout"):
		_, err := c.token(lex.Number)
		return "", err
	case c.accept("externalid"):
		_, err := c.token(lex.Word)
		return "", err
	default:
		return "", syntaxAt(c.at(0))
	}
	return "", nil
}

// token takes a token of a kind and gives its text.
func (c *compiler) token(k lex.Kind) (string, error) {
	t := c.at(0)
	if t.Kind != k {
		return "", syntaxAt(t)
	}
	c.i++
	return t.Text, nil
}

func (c *compiler) inGroups(create bool) (string, error) {
	var list []string
	for {
		n, err := c.name()
		if err != nil {
			return "", err
		}
		list = append(list, QuoteName(n))
		if !c.accept(",") {
			break
		}
	}
	if !create {
		return "", syntaxAt(c.at(-1))
	}
	return "IN ROLE " + strings.Join(list, ", "), nil
}

// password takes a password by Redshift's rules: 8 to 64 characters, an upper
// and a lower case letter and a digit, or a hash, or DISABLE.
func (c *compiler) password() (string, error) {
	t := c.at(0)
	c.i++
	if t.Is("disable") {
		return "PASSWORD NULL", nil
	}
	if t.Kind != lex.String {
		return "", syntaxAt(t)
	}
	if strings.HasPrefix(t.Val, "md5") || strings.HasPrefix(t.Val, "sha256|") {
		return "PASSWORD " + QuoteText(strings.Split(t.Val, "|")[0]), nil
	}
	upper, lower, digit := false, false, false
	for _, r := range t.Val {
		upper = upper || r >= 'A' && r <= 'Z'
		lower = lower || r >= 'a' && r <= 'z'
		digit = digit || r >= '0' && r <= '9'
	}
	if len(t.Val) < minPassword || len(t.Val) > maxPassword || !upper || !lower || !digit {
		return "", refuse("28P01", "password must have %d to %d characters, with upper and lower case letters and digits", minPassword, maxPassword)
	}
	return "PASSWORD " + QuoteText(t.Val), nil
}

// alterRole takes ALTER USER, ALTER GROUP and ALTER ROLE.
func (c *compiler) alterRole() error {
	c.i++
	what := c.at(0).Val
	c.i++
	n, err := c.name()
	if err != nil {
		return err
	}
	c.st.Kind, c.st.Tag = Utility, "ALTER "+strings.ToUpper(what)
	id := QuoteName(n)
	switch {
	case c.accept("rename", "to"):
		to, err := c.name()
		if err != nil {
			return err
		}
		c.st.Backend = []string{"ALTER ROLE " + id + " RENAME TO " + QuoteName(to)}
		return c.end()
	case what == "group":
		verb, word := "GRANT ", " TO "
		if c.is("drop", "user") {
			verb, word = "REVOKE ", " FROM "
		} else if !c.is("add", "user") {
			return syntaxAt(c.at(0))
		}
		c.i++
		users, err := c.userList("user")
		if err != nil {
			return err
		}
		c.st.Backend = []string{verb + id + word + users}
		return c.end()
	case what == "role":
		if c.accept("owner", "to") {
			_, err := c.name()
			c.st.Backend = []string{nothing}
			return errOr(err, c.end)
		}
		return syntaxAt(c.at(0))
	case c.is("set"), c.is("reset"):
		return c.alterUserSetting(id)
	}
	opts, err := c.userOptions(false)
	if err != nil {
		return err
	}
	c.st.Backend = []string{"ALTER ROLE " + id + " " + opts}
	if opts == "" {
		c.st.Backend = []string{nothing}
	}
	return nil
}

func errOr(err error, next func() error) error {
	if err != nil {
		return err
	}
	return next()
}

// alterUserSetting takes ALTER USER u SET parameter TO value.
func (c *compiler) alterUserSetting(id string) error {
	verb := c.at(0).Val
	c.i++
	t := c.at(0)
	if !t.IsName() {
		return syntaxAt(t)
	}
	c.i++
	switch settingKind(lex.Lower(t.Val)) {
	case settingBackend:
		c.st.Backend = []string{"ALTER ROLE " + id + " " + verb + " " + c.render(c.i-1, len(c.toks))}
		return nil
	case settingOwn:
		return standIn("keep parameters of users")
	default:
		return unknownSetting(t.Val)
	}
}

// dropRole takes DROP USER, DROP GROUP and DROP ROLE.
func (c *compiler) dropRole() error {
	what := c.at(0).Val
	c.i++
	c.st.Kind, c.st.Tag = Utility, "DROP "+strings.ToUpper(what)
	sql := "DROP ROLE "
	if what == "user" && c.accept("if", "exists") {
		sql += "IF EXISTS "
	}
	var list []string
	for {
		n, err := c.name()
		if err != nil {
			return err
		}
		list = append(list, QuoteName(n))
		if what != "user" || !c.accept(",") {
			break
		}
	}
	sql += strings.Join(list, ", ")
	if what == "role" && !c.accept("force") {
		c.accept("restrict")
	}
	c.st.Backend = []string{sql}
	return c.end()
}
