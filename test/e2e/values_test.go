package e2e_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/walshift/walshift/test/world"
)

// markerOfWorld is the NULL marker of a world's first files.
func markerOfWorld() string {
	sum := sha256.Sum256([]byte("test/" + world.Pipeline + "/#0"))
	return "~N" + hex.EncodeToString(sum[:4])
}

// nastyTexts are values that loaders have merged, cut or bent (T11, W3, W4).
func nastyTexts() []string {
	m := markerOfWorld()
	return []string{
		"", " ", "  ", "\t", "a", "a ", "a  ", " a", "A", "á", "a\u0301", "N", `\N`, `\\N`, "NULL", "null", `"NULL"`, `"`, `""`, `"""`, `'`, "''", `\`, `\\`, `\"`,
		",", ",,", `a,"b"`, "\n", "\r", "\r\n", "a\nb", "a\rb", "a\r\nb", "\n\n", "a\\\nb", "\v", "\f", "\x01", "\x1f", "\x7f", "\u0085", "\u00a0", "\u2028",
		"\ufeff", "😀", "😀 ", "\U0010ffff", "日本語", "@NULL@", "|", ";", "$1", "%s", "{}", "[]", "t", "0", "-0", "infinity", "NaN",
		m, " " + m, m + " ", `"` + m + `"`, strings.ToUpper(m), m + "\n", m[1:],
	}
}

// textTypes are the types that carry any text, with what makes an expression of
// the type out of one of text.
func textTypes() map[string]string {
	return map[string]string{
		"text": "%s", "varchar(300)": "%s", "name": "%s::name", "citext": "%s::citext", "bytea": "convert_to(%s, 'UTF8')",
		"text[]": "ARRAY[%s]", "jsonb": "to_jsonb(%s)", "pair": "(%s, NULL)::pair", "hstore": "hstore(%s, %[1]s)", "char(40)": "%s",
	}
}

// canKey tells the types whose values are as many as the texts: the others
// have equal values for some of them.
func canKey(typ string) bool { return typ != "citext" && typ != "char(40)" }

func tableOf(typ string) string {
	return "t_" + strings.NewReplacer("(", "", ")", "", "[]", "s").Replace(typ)
}

func nastyDDL() string {
	var b strings.Builder
	b.WriteString("CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE TYPE pair AS (a text, b text);\n")
	for typ := range textTypes() {
		key := ", PRIMARY KEY (k, n)"
		if !canKey(typ) {
			key = ", PRIMARY KEY (n)"
		}
		fmt.Fprintf(&b, "CREATE TABLE %s (n int, k %s, v %s, state text%s);\n", tableOf(typ), typ, typ, key)
	}
	return b.String()
}

// nastyRows inserts each text as key and as value of every type.
func nastyRows(state string) []string {
	var out []string
	for typ, convert := range textTypes() {
		var b strings.Builder
		for _, v := range nastyTexts() {
			if typ == "name" && len(v) > 63 {
				continue
			}
			e := fmt.Sprintf(convert, "U&'"+escaped(v)+"'::text")
			if typ == "bytea" && v == "" {
				e = `'\x00'` // an empty bytea has a policy
			}
			fmt.Fprintf(&b, "INSERT INTO %s VALUES (0, %s, %s, '%s') ON CONFLICT DO NOTHING;\n", tableOf(typ), e, e, state)
		}
		if !canKey(typ) {
			b.Reset()
			for i, v := range nastyTexts() {
				e := fmt.Sprintf(convert, "U&'"+escaped(v)+"'::text")
				fmt.Fprintf(&b, "INSERT INTO %s VALUES (%d, %s, %s, '%s');\n", tableOf(typ), i, e, e, state)
			}
		}
		out = append(out, b.String())
	}
	return out
}

// escaped writes a text for U&'…'.
func escaped(v string) string {
	var b strings.Builder
	for _, r := range v {
		switch {
		case r == '\'':
			b.WriteString("''")
		case r == '\\':
			b.WriteString(`\\`)
		case r < ' ' || r > '~':
			fmt.Fprintf(&b, `\+%06X`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func compareNasty(t *testing.T, w *world.World) {
	t.Helper()
	if err := w.WaitApplied(t.Context(), 60*time.Second); err != nil {
		t.Fatal(err)
	}
	for typ := range textTypes() {
		source, dest := "n, k, v, state", "n, k, v, state"
		switch typ {
		case "bytea":
			source, dest = "n, k::text, encode(v, 'hex'), state", "n, k, from_varbyte(v, 'hex'), state"
		case "jsonb":
			source, dest = "n, k::text, v::text, state", "n, k, json_serialize(v), state"
		case "text[]":
			source, dest = "n, k::text, json_build_array(v[1])::text, state", "n, k, json_serialize(v), state"
		case "pair":
			source, dest = "n, k::text, '{\"a\":' || to_json((v).a)::text || ',\"b\":null}', state", "n, k, json_serialize(v), state"
		case "hstore":
			source = "n, k::text, replace(hstore_to_json(v)::text, '\": \"', '\":\"'), state"
			dest = "n, k, json_serialize(v), state"
		case "char(40)":
			source = "n, format('%s', k), format('%s', v), state"
		}
		if !canKey(typ) {
			source, dest = strings.Replace(source, "n,", "n, octet_length(k::text) > 0,", 1), strings.Replace(dest, "n,", "n, octet_length(k) > 0,", 1)
		}
		if typ == "char(40)" {
			source, dest = strings.Replace(source, "octet_length(k::text) > 0, ", "", 1), strings.Replace(dest, "octet_length(k) > 0, ", "", 1)
		}
		src, err := w.SourceSide().Rows(t.Context(), "SELECT "+source+" FROM "+tableOf(typ))
		if err != nil {
			t.Fatal(err)
		}
		dst, err := w.TargetSide().Rows(t.Context(), "SELECT "+dest+" FROM "+tableOf(typ))
		if err != nil {
			t.Fatal(err)
		}
		if typ == "jsonb" || typ == "pair" || typ == "text[]" || typ == "hstore" {
			src, dst = sameEscapes(src), sameEscapes(dst)
		}
		if diff := world.Difference(src, dst); diff != "" {
			t.Errorf("%s: %s", typ, diff)
		}
	}
}

// sameEscapes takes out what JSON can spell in two ways, and with it the
// lengths that stand before the values.
func sameEscapes(rows []string) []string {
	out := make([]string, len(rows))
	for i, r := range rows {
		r = strings.NewReplacer(`\u000b`, "<vt>", "\\u007f", "\x7f", `\f`, `\u000c`, `\b`, `\u0008`).Replace(r)
		var b strings.Builder
		for part := range strings.SplitSeq(r, "|") {
			_, value, _ := strings.Cut(part, ":")
			b.WriteString(value + "|")
		}
		out[i] = b.String()
	}
	return out
}

// TestT11W3W4NastyTexts: every such text, in every type that carries text, as
// value and as key, by snapshot, insert, update, key change and delete.
func TestT11W3W4NastyTexts(t *testing.T) {
	t.Parallel()
	w := plainWorld(t, world.Config{DDL: nastyDDL()})
	exec(t, w, nastyRows("by snapshot")...)
	streaming(t, w)
	compareNasty(t, w)
	found := false
	for _, text := range logged(t, w) {
		found = found || strings.Contains(text, markerOfWorld())
	}
	if !found {
		t.Fatalf("no file of the log holds %s: the marker's own text was not tried", markerOfWorld())
	}
	var update, remove, move []string
	for typ := range textTypes() {
		update = append(update, "UPDATE "+tableOf(typ)+" SET state = 'updated'")
		remove = append(remove, "DELETE FROM "+tableOf(typ)+" WHERE ctid IN (SELECT ctid FROM "+tableOf(typ)+" ORDER BY md5(v::text) LIMIT 30)")
		move = append(move, "UPDATE "+tableOf(typ)+" SET n = n + 1000")
	}
	for _, step := range [][]string{update, remove, move} {
		exec(t, w, step...)
		compareNasty(t, w)
	}
	for typ := range textTypes() {
		exec(t, w, "DELETE FROM "+tableOf(typ))
	}
	exec(t, w, nastyRows("by stream")...)
	compareNasty(t, w)
}

// TestV19NoPolicyOnKeys: a key that would need a policy stops its table, and
// no other; keys of types that SUPER or a policy would blur are told apart.
func TestV19NoPolicyOnKeys(t *testing.T) {
	t.Parallel()
	keys := map[string][]string{
		"k_float": {"float8", "'NaN'"}, "k_numeric": {"numeric", "'1e30'"}, "k_date": {"date", "'infinity'"},
		"k_bc": {"timestamp", "'0044-03-15 12:00:00 BC'"}, "k_time": {"time", "'24:00:00'"},
	}
	blurred := map[string][]string{
		"b_timetz": {"timetz", "'12:00+00'", "'13:00+01'"}, "b_jsonb": {"jsonb", `'1e400'`, `'1e401'`, `'"1e400"'`},
		"b_array": {"int[]", "'{1}'", "'[2:2]={1}'"}, "b_bytea": {"bytea", `'\x'`, `'\x00'`},
		"b_interval": {"interval", "'1 mon'", "'31 days'"}, "b_text": {"text", "'a'", "'a '"},
	}
	ddl := "CREATE TABLE good (id int PRIMARY KEY, v text);"
	for table, k := range keys {
		ddl += fmt.Sprintf("CREATE TABLE %s (k %s PRIMARY KEY, v text);", table, k[0])
	}
	for table, k := range blurred {
		ddl += fmt.Sprintf("CREATE TABLE %s (k %s PRIMARY KEY, v text); INSERT INTO %s SELECT k, 's' FROM unnest(ARRAY[%s]) AS k(k);",
			table, k[0], table, strings.Join(casts(k[1:], k[0]), ", "))
		if k[0] == "int[]" {
			ddl = strings.Replace(ddl, "SELECT k, 's' FROM unnest(ARRAY['{1}'::int[], '[2:2]={1}'::int[]]) AS k(k)",
				"VALUES ('{1}', 's'), ('[2:2]={1}', 's')", 1)
		}
	}
	w := plainWorld(t, world.Config{DDL: ddl})
	d := streaming(t, w)
	for table, k := range keys {
		exec(t, w, fmt.Sprintf("INSERT INTO %s VALUES (%s, 'v')", table, k[1]))
	}
	var update []string
	for table, k := range blurred {
		update = append(update, fmt.Sprintf("UPDATE %s SET v = 'only this' WHERE k = %s::%s", table, k[1], k[0]))
	}
	exec(t, w, append(update, "INSERT INTO good VALUES (1, 'x')")...)
	stopped := map[string]bool{}
	err := d.Until(within(t, 60*time.Second), "the tables with such keys are stopped", func(s world.Status) bool {
		for _, tab := range s.Tables {
			if tab.State == "stopped" {
				stopped[tab.Name] = true
			}
		}
		return len(stopped) == len(keys)
	})
	if err != nil {
		t.Errorf("%v: %v", err, stopped)
	}
	until(t, 30*time.Second, "the others go on", func() bool {
		for table, k := range blurred {
			key := "k::text"
			if k[0] == "text" {
				key = "k"
			}
			src, err := w.SourceSide().Rows(t.Context(), "SELECT "+key+", v FROM "+table)
			if err != nil {
				t.Fatal(err)
			}
			dst, err := w.TargetSide().Rows(t.Context(), "SELECT k, v FROM "+table)
			if err != nil || world.Difference(src, dst) != "" {
				return false
			}
		}
		diff, err := w.Compare(t.Context(), "good", "id, v")
		return err == nil && diff == ""
	})
}

func casts(values []string, typ string) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = v + "::" + typ
	}
	return out
}
