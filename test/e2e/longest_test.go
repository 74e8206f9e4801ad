package e2e_test

import (
	"strings"
	"testing"
	"time"

	"github.com/walshift/walshift/test/world"
)

// longestDDL has a table of values at the very limit of what Redshift holds,
// and tables whose keys are that long. Their values compress well, as a
// PostgreSQL index entry of more than 2,704 bytes must.
const longestDDL = `
CREATE TABLE longest (id int PRIMARY KEY, touched int, plain text, wide text, sized varchar(16383), short varchar(20000), padded char(100),
  label name, bits varbit, doc xml, string jsonb, keyed jsonb, bytes bytea, list jsonb);
CREATE TABLE text_key (k text PRIMARY KEY, v int);
CREATE TABLE wide_key (k varchar(16383) PRIMARY KEY, v int);
CREATE TABLE byte_key (k bytea PRIMARY KEY, v int);
CREATE TABLE json_key (k jsonb, n int, v int, PRIMARY KEY (k, n));
CREATE TABLE over_key (k text PRIMARY KEY, v int);`

// longestRow inserts a row with every value at its limit.
func longestRow(id string) string {
	return `INSERT INTO longest SELECT ` + id + `, 0, repeat('x', 65535), repeat('😀', 16383) || 'é ', repeat('😀', 16383), repeat('é', 20000), repeat('😀', 100),
  repeat('n', 63), repeat('10', 32767)::varbit || B'1', ('<a>' || repeat('x', 65528) || '</a>')::xml, to_jsonb(repeat('x', 65535)),
  jsonb_build_object(repeat('k', 65535), 1), decode(repeat('a5', 1024000), 'hex'),
  (SELECT jsonb_agg(repeat(chr(97 + i), 65000)) FROM generate_series(0, 19) i)`
}

func longestKeys(v string) []string {
	return []string{
		`INSERT INTO text_key SELECT repeat('x', 65535 - i) || repeat(' ', i), ` + v + ` FROM generate_series(0, 3) i`,
		`INSERT INTO wide_key SELECT repeat('😀', 16383 - i) || repeat('é', i), ` + v + ` FROM generate_series(0, 3) i`,
		`INSERT INTO byte_key SELECT decode(repeat('00', 32765) || lpad(to_hex(i), 2, '0'), 'hex'), ` + v + ` FROM generate_series(0, 3) i`,
		`INSERT INTO json_key SELECT to_jsonb(repeat('x', 65533 - i)), i, ` + v + ` FROM generate_series(0, 3) i`,
	}
}

// TestT8T9LongestValues: values of exactly the length that Redshift's types
// hold go through snapshot and stream unchanged, as keys too; a key that is a
// byte longer stops its table alone, for no policy may make two keys one.
func TestT8T9LongestValues(t *testing.T) {
	t.Parallel()
	w := plainWorld(t, world.Config{DDL: longestDDL})
	exec(t, w, append(longestKeys("1"), longestRow("1"), longestRow("2"), "INSERT INTO over_key VALUES ('short', 1)")...)
	d := streaming(t, w)
	exec(t, w, longestRow("3"), "UPDATE longest SET touched = 1 WHERE id = 2", // large values that the stream leaves out
		"UPDATE longest SET plain = repeat('y', 65535), bytes = decode(repeat('5a', 1024000), 'hex'), list = NULL WHERE id = 1")
	for _, table := range []string{"text_key", "wide_key", "byte_key", "json_key"} {
		exec(t, w, "UPDATE "+table+" SET v = 2 WHERE k = (SELECT k FROM "+table+" ORDER BY k LIMIT 1)",
			"DELETE FROM "+table+" WHERE k = (SELECT k FROM "+table+" ORDER BY k DESC LIMIT 1)")
	}
	exec(t, w, "UPDATE text_key SET k = repeat('z', 65535) WHERE v = 2")
	if err := w.WaitApplied(t.Context(), 60*time.Second); err != nil {
		t.Fatal(err)
	}
	compare(t, w, map[string]string{
		"longest":  "id, touched, plain, wide, sized, short, padded, label, bits, doc",
		"text_key": "k, v", "wide_key": "k, v", "byte_key": "k, v", "json_key": "k, n, v",
	})
	source, err := w.SourceSide().Rows(t.Context(), `SELECT id, md5(string #>> '{}'), keyed IS NOT NULL, octet_length(bytes), encode(substr(bytes, 1, 40), 'hex'),
		encode(substr(bytes, 1023961, 40), 'hex'), jsonb_array_length(list), md5(list #>> '{0}'), md5(list #>> '{19}') FROM longest`)
	if err != nil {
		t.Fatal(err)
	}
	target, err := w.TargetSide().Rows(t.Context(), `SELECT id, md5(string::varchar(65535)), keyed IS NOT NULL, octet_length(bytes), from_varbyte(substring(bytes, 1, 40), 'hex'),
		from_varbyte(substring(bytes, 1023961, 40), 'hex'), get_array_length(list), md5(list[0]::varchar(65535)), md5(list[19]::varchar(65535)) FROM longest`)
	if err != nil {
		t.Fatal(err)
	}
	if diff := world.Difference(source, target); diff != "" {
		t.Errorf("longest: %s", diff)
	}
	if n := first(t, w.TargetDSN(), "SELECT count(*) FROM walshift.incidents"); n != "0" {
		t.Errorf("%s incidents", n)
	}

	exec(t, w, "INSERT INTO over_key SELECT repeat('x', 65536), 2", "UPDATE text_key SET v = 3")
	stopped := func(s world.Status) bool {
		for _, table := range s.Tables {
			if table.Name == "public.over_key" && table.State == "stopped" && strings.Contains(table.Reason, "key") {
				return true
			}
		}
		return false
	}
	if err := d.Until(within(t, 60*time.Second), "over_key has stopped", stopped); err != nil {
		t.Fatal(err)
	}
	if err := w.WaitApplied(t.Context(), 60*time.Second); err == nil {
		t.Error("wait says that everything is there while a table has stopped")
	}
	others := func(world.Status) bool {
		return first(t, w.TargetDSN(), "SELECT count(*) FROM text_key WHERE v = 3") == "3"
	}
	if err := d.Until(within(t, 60*time.Second), "the other tables go on", others); err != nil {
		t.Fatal(err)
	}
	compare(t, w, map[string]string{"text_key": "k, v"})
	if n := first(t, w.TargetDSN(), "SELECT count(*) FROM over_key"); n != "1" {
		t.Errorf("over_key has %s rows", n)
	}
}
