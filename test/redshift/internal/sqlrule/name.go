package sqlrule

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode/utf8"

	"github.com/walshift/walshift/test/redshift/internal/lex"
)

const (
	// maxName is Redshift's limit of a name in bytes; longer ones are cut.
	maxName = 127
	// backendName is PostgreSQL's limit.
	backendName = 63
	hashDigits  = 12
)

// Name is a relation's name as Redshift would hold it.
type Name struct{ Schema, Table string }

// String gives the name as a user would write it.
func (n Name) String() string {
	if n.Schema == "" {
		return n.Table
	}
	return n.Schema + "." + n.Table
}

// SQL gives the name for PostgreSQL.
func (n Name) SQL() string {
	if n.Schema == "" {
		return QuoteName(n.Table)
	}
	return QuoteName(n.Schema) + "." + QuoteName(n.Table)
}

// QuoteName quotes a name for PostgreSQL, shortened where it is too long.
func QuoteName(s string) string {
	return `"` + strings.ReplaceAll(Short(s), `"`, `""`) + `"`
}

// Short returns a name that PostgreSQL can hold: names over 63 bytes keep
// their beginning and get a hash.
func Short(s string) string {
	if len(s) <= backendName {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return cutBytes(s, backendName-hashDigits-1) + strings.Repeat("~", backendName-hashDigits-len(cutBytes(s, backendName-hashDigits-1))) +
		hex.EncodeToString(sum[:])[:hashDigits]
}

// QuoteText quotes a literal for a session whose backslashes escape.
func QuoteText(s string) string {
	return "'" + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), "'", "''") + "'"
}

func cutBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// fold gives the name that a token stands for.
func (c *compiler) fold(t lex.Token) string {
	s := t.Val
	if t.Kind == lex.Quoted && !c.opt.CaseSensitive {
		s = lex.Lower(s)
	}
	s = cutBytes(s, maxName)
	if len(s) > backendName && c.opt.Long != nil {
		c.opt.Long(Short(s), s)
	}
	return s
}
