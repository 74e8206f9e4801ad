package sqltext

import (
	"errors"
	"fmt"
	"strings"
)

// ErrBadGrantee reports an entry of redshift.grants that names nobody.
var ErrBadGrantee = errors.New(`want "user NAME", "group NAME", "role NAME" or "public"`)

// Grantee is somebody to whom privileges are granted. The zero value is nobody.
type Grantee struct {
	// kind is GROUP, ROLE, PUBLIC, or "" for a user.
	kind string
	name string
}

// ParseGrantee reads "user alice", "group bi", "role analyst" or "public". All
// after the first word is the name. The error wraps ErrBadGrantee or ErrBadName.
func ParseGrantee(text string) (Grantee, error) {
	text = strings.TrimSpace(text)
	if strings.EqualFold(text, "public") {
		return Grantee{kind: "PUBLIC"}, nil
	}
	word, name, _ := strings.Cut(text, " ")
	g := Grantee{kind: strings.ToUpper(word), name: strings.TrimSpace(name)}
	switch g.kind {
	case "USER":
		g.kind = ""
	case "GROUP", "ROLE":
	default:
		return Grantee{}, ErrBadGrantee
	}
	if _, err := Ident(g.name); err != nil {
		return Grantee{}, fmt.Errorf("%q: %w", text, err)
	}
	return g, nil
}

func (w *writer) grantee(g Grantee) *writer {
	if g == (Grantee{}) {
		return w.add("", ErrBadGrantee)
	}
	if g.kind != "" {
		w.raw(g.kind)
	}
	switch {
	case g.kind != "" && g.name != "":
		w.raw(" ").ident(g.name)
	case g.name != "":
		w.ident(g.name)
	}
	return w
}

// Grant returns the statement that gives somebody privileges on a table.
// Writing is not among them: a table that others write to would no longer be
// what the source is. The error wraps ErrBadGrantee where there is none such.
func Grant(table Name, privileges []string, to Grantee) (string, error) {
	w := new(writer)
	w.raw("GRANT ")
	w.list(len(privileges), func(i int) {
		switch p := strings.ToUpper(privileges[i]); p {
		case "SELECT", "REFERENCES":
			w.raw(p)
		default:
			w.add("", fmt.Errorf("%w: privilege %q is neither select nor references", ErrBadGrantee, privileges[i]))
		}
	})
	if len(privileges) == 0 {
		w.raw("SELECT")
	}
	return w.raw(" ON TABLE ").name(table).raw(" TO ").grantee(to).done()
}

// GrantUsage returns the statement that lets somebody see into a schema.
func GrantUsage(schema string, to Grantee) (string, error) {
	return new(writer).raw("GRANT USAGE ON SCHEMA ").ident(schema).raw(" TO ").grantee(to).done()
}
