package statements_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/walshift/walshift/test/statements"
)

func TestShape(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		side      statements.Side
		sql, want string
	}{
		{statements.Redshift, `SELECT 1 -- ; nothing
			, 'it\'s; "x"', NULL /* , 2 */ FROM "public"."a" WHERE b IS NULL AND c = true`, "SELECT ? FROM <table> WHERE b IS NULL AND c = ?"},
		{statements.Redshift, `UPDATE "walshift"."fence_shop" SET seq = 9, applied_commit_time = NULL WHERE epoch = 3`, "UPDATE walshift.fence_<pipeline> SET seq = ?, applied_commit_time = ? WHERE epoch = ?"},
		{statements.Redshift, `COPY "walshift"."stg_shop_0a_1" ("a", "b") FROM 's3://x' IAM_ROLE default REGION 'x' NULL AS '~N' GZIP DATEFORMAT 'auto'`, "COPY <staging> (<name>) FROM ? IAM_ROLE default [REGION ?] NULL AS ? ZSTD DATEFORMAT 'auto'"},
		{
			statements.Redshift, `CREATE TABLE "public"."_walshift_16388_d8ab" ("id" BIGINT NOT NULL, "p" DECIMAL(12,2)) DISTSTYLE KEY DISTKEY ("id")`,
			"CREATE TABLE <shadow> (<name> <type>) DISTSTYLE KEY DISTKEY (<name>)",
		},
		{statements.Redshift, `CREATE TABLE "walshift"."fence_x" (epoch BIGINT NOT NULL, txn VARCHAR(64))`, "CREATE TABLE walshift.fence_<pipeline> (epoch BIGINT NOT NULL, txn VARCHAR(?))"},
		{statements.Redshift, `SELECT SUBSTRING(s."k", 1, 1), SUBSTRING(s."l", 2, 1) FROM "a"."b" AS s`, "SELECT SUBSTRING(s.<name>, ?, ?) FROM <table> AS s"},
		{
			statements.Redshift, `UPDATE "a"."b" SET "x" = CASE WHEN 'a' = "k" THEN 1 ELSE s."y" END, "z" = CASE WHEN 'b' = "k" THEN 2 ELSE s."u" END`,
			"UPDATE <table> SET <name> = CASE WHEN ? = <name> THEN ? ELSE s.<name> END",
		},
		{statements.Redshift, `SELECT a FROM "walshift"."positions_a" UNION ALL SELECT a FROM "walshift"."positions_b"`, "SELECT a FROM walshift.positions_<pipeline>"},
		{statements.Redshift, `DROP TABLE IF EXISTS "walshift"."stg_a_1", "walshift"."stg_a_2"`, "DROP TABLE IF EXISTS <staging>"},
		{
			statements.Source, `COPY (SELECT "a", "b" FROM ONLY "x"."y" AS "y" WHERE ((id % 2) = 0) AND ctid >= '(0,1)') TO STDOUT`,
			"COPY (SELECT <name> FROM ONLY <table> AS <name> WHERE (<row filter>) AND ctid >= ?) TO STDOUT",
		},
		{
			statements.Redshift, `SELECT COALESCE (CASE WHEN "k" = 'a' AND OCTET_LENGTH("k") = 1 THEN 0 END), "k", FROM_VARBYTE(SUBSTRING(TO_VARBYTE("v", 'utf8'), 1, 32000), 'hex') FROM "a"."b" WHERE ("k" = 'a' AND OCTET_LENGTH("k") = 1)`,
			"SELECT COALESCE (CASE WHEN <key> THEN ? END), <key>, FROM_VARBYTE(SUBSTRING(<kept value>, ?, ?), ?) FROM <table> WHERE <key>",
		},
		{
			statements.Redshift, `SELECT COALESCE (CASE WHEN "k" = '1' THEN 0 END, CASE WHEN "k" = '2' THEN 1 END), "k", OCTET_LENGTH("v"), OCTET_LENGTH(JSON_SERIALIZE_TO_VARBYTE("w")) FROM "a"."b" WHERE "k" = '1' OR "k" = '2'`,
			"SELECT COALESCE (CASE WHEN <key> THEN ? END), <key>, OCTET_LENGTH(<kept value>) FROM <table> WHERE <key>",
		},
		{statements.Source, `SELECT 1 FROM ONLY "a"."b" AS "b", unnest(ARRAY["x"::numeric, "y"::numeric])`, "SELECT ? FROM ONLY <table> AS <name>, unnest(ARRAY[<name>::numeric])"},
		{statements.Source, `START_REPLICATION SLOT "s" LOGICAL 16/B374D848 (proto_version '2')`, "START_REPLICATION SLOT <name> LOGICAL ? (proto_version ?)"},
		{statements.Source, `SELECT 'a\', current_setting( 'auto' ) FROM x WHERE y = E'\''`, "SELECT ?, current_setting('auto') FROM x WHERE y = ?"},
	} {
		if got := statements.Shape(c.side, c.sql, []string{"auto"}); len(got) != 1 || got[0] != c.want {
			t.Errorf("%s\n got %q\nwant %q", c.sql, got, c.want)
		}
	}
	if got := statements.Shape(statements.Source, "SET a = 'x;y'; SET b = 2;", nil); !slices.Equal(got, []string{"SET a = ?", "SET b = ?"}) {
		t.Errorf("two statements: %q", got)
	}
}

// TestShapeKnowsNoNamesAndLengths: however tables and columns are called, and
// however many there are, the shape is one.
func TestShapeKnowsNoNamesAndLengths(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.Custom(func(t *rapid.T) string {
			return `"` + strings.ReplaceAll(rapid.StringMatching(`[a-z"'; ,()?-]{1,12}x`).Draw(t, "name"), `"`, `""`) + `"`
		})
		table := name.Draw(t, "schema") + "." + name.Draw(t, "table")
		var columns, sets, values []string
		for _, c := range rapid.SliceOfN(name, 1, 5).Draw(t, "columns") {
			value := `'` + strings.ReplaceAll(rapid.StringMatching(`[a-z";\\(]{0,9}`).Draw(t, "value"), `\`, `\\`) + `'`
			columns, values = append(columns, c), append(values, value)
			sets = append(sets, c+" = walshift_s."+c)
		}
		sql := fmt.Sprintf("MERGE INTO %s USING s ON %s WHEN MATCHED THEN UPDATE SET %s WHEN NOT MATCHED THEN INSERT (%s) VALUES (%s)",
			table, strings.Join(sets, " AND "), strings.Join(sets, ", "), strings.Join(columns, ", "), strings.Join(values, ","))
		want := "MERGE INTO <table> USING s ON <name> = walshift_s.<name> WHEN MATCHED THEN UPDATE SET <name> = walshift_s.<name> " +
			"WHEN NOT MATCHED THEN INSERT (<name>) VALUES (?)"
		if got := statements.Shape(statements.Redshift, sql, nil); len(got) != 1 || got[0] != want {
			t.Fatalf("%s\n got %q\nwant %q", sql, got, want)
		}
	})
}
