package source

import "strings"

// Selects reports whether the configuration's Include and Exclude globs choose
// the table. It is how changes of tables that the publication holds beyond
// them are left out (pitfall S14).
func (c Config) Selects(schema, table string) bool {
	name := schema + "." + table
	if matchesAny(c.Exclude, name) {
		return false
	}
	return len(c.Include) == 0 || matchesAny(c.Include, name)
}

func matchesAny(globs []string, name string) bool {
	for _, g := range globs {
		if glob(g, name) {
			return true
		}
	}
	return false
}

// glob matches name against pattern, in which * stands for any characters,
// dots too, and ? for one. Everything else, brackets and backslashes as well,
// stands for itself: all of it may be part of a table's name.
func glob(pattern, name string) bool {
	p, n := []rune(pattern), []rune(name)
	pi, ni := 0, 0
	star, mark := -1, 0
	for ni < len(n) {
		switch {
		case pi < len(p) && p[pi] == '*':
			star, mark = pi, ni
			pi++
		case pi < len(p) && (p[pi] == '?' || p[pi] == n[ni]):
			pi++
			ni++
		case star >= 0:
			mark++
			pi, ni = star+1, mark
		default:
			return false
		}
	}
	for pi < len(p) && p[pi] == '*' {
		pi++
	}
	return pi == len(p)
}

// isLiteral reports whether a pattern names one table.
func isLiteral(pattern string) bool { return !strings.ContainsAny(pattern, "*?") }

// quote returns name as an SQL identifier.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// literal returns s as an SQL string; standard_conforming_strings is pinned.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// Selects is [Config.Selects] of the server's configuration.
func (s *Server) Selects(schema, table string) bool { return s.cfg.Selects(schema, table) }
