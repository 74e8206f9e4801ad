package sqlrule_test

import (
	"strings"
	"testing"

	"github.com/walshift/walshift/test/redshift/conform"
	"github.com/walshift/walshift/test/redshift/internal/lex"
	"github.com/walshift/walshift/test/redshift/internal/sqlrule"
)

func compile(t *testing.T, sql string) (*sqlrule.Statement, error) {
	t.Helper()
	toks, err := lex.Scan(sql)
	if err != nil {
		t.Fatal(err)
	}
	return sqlrule.Compile(sql, toks, sqlrule.Options{Unique: "u"})
}

func TestRewriting(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		`SELECT nvl(a, 1), "B"::varchar(3) FROM "T"`:              `SELECT coalesce(a, 1), "b"::rs_types.varchar(3) FROM "t"`,
		`SELECT TOP 3 a FROM t`:                                   `SELECT  a FROM t LIMIT 3`,
		`SELECT decode(a, 1, 'x', 'y') FROM t`:                    `SELECT (CASE WHEN (a) IS NOT DISTINCT FROM (1) THEN 'x' ELSE 'y' END) FROM t`,
		`SELECT dateadd(day, 1, d) FROM t MINUS SELECT 1`:         `SELECT dateadd('day', 1, d) FROM t EXCEPT SELECT 1`,
		`DELETE t WHERE a = 1`:                                    `DELETE FROM t WHERE a = 1`,
		`SELECT listagg(b, ',') WITHIN GROUP (ORDER BY a) FROM t`: `SELECT rs_types.fits(string_agg((b)::text, ',' ORDER BY a)) FROM t`,
		`CREATE TABLE t (a decimal, b text) DISTSTYLE EVEN`:       `CREATE TABLE "t" ("a" numeric(18,0), CONSTRAINT "rs_number_u_0_1" CHECK ("a" <> 'NaN'), "b" rs_types.varchar(256))`,
		`ALTER TABLE "S"."T" ADD COLUMN "X" super`:                `ALTER TABLE "s"."t" ADD COLUMN "x" pg_catalog.super`,
	} {
		st, err := compile(t, sql)
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		if got := strings.Join(st.Backend, "; "); got != want {
			t.Errorf("%s\n got %s\nwant %s", sql, got, want)
		}
	}
}

// TestNothingInsideLiterals checks that words in literals, quoted names and
// comments are never taken for syntax.
func TestNothingInsideLiterals(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"RETURNING", "ON CONFLICT", "FOR UPDATE", "ARRAY[1]", "LATERAL", "$$", "jsonb", "string_agg(a)"} {
		for _, sql := range []string{"SELECT '" + word + "'", `SELECT 1 AS "` + word + `"`, "SELECT 1 /* " + word + " */", "INSERT INTO t VALUES ('" + word + "') -- " + word} {
			if _, err := compile(t, sql); err != nil {
				t.Errorf("%s: %v", sql, err)
			}
		}
	}
}

// TestCompileNeverPanics cuts statements at every token.
func TestCompileNeverPanics(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{
		"MERGE INTO a.t USING (SELECT * FROM s) AS x ON t.k = x.k WHEN MATCHED THEN UPDATE SET v = CASE WHEN x.a THEN 1 END WHEN NOT MATCHED THEN INSERT (k) VALUES (x.k)",
		"COPY t (a, b) FROM 's3://b/k' IAM_ROLE 'arn:aws:iam::123456789012:role/x' FORMAT AS CSV QUOTE AS '%' NULL AS 'x' MAXERROR 3 COMPUPDATE OFF ENCODING AS UTF8",
		"CREATE TABLE IF NOT EXISTS a.t (id bigint IDENTITY(1,1) ENCODE az64, v varchar(5) DEFAULT 'x' NOT NULL, PRIMARY KEY (id)) DISTSTYLE KEY DISTKEY (id) COMPOUND SORTKEY (id, v)",
		"CREATE TEMP TABLE x DISTKEY (a) AS SELECT a, decode(a, 1, 2) FROM t QUALIFY row_number() OVER (ORDER BY a) = 1",
		"WITH x (a) AS (SELECT 1) UPDATE t SET a = x.a::decimal(5,2), b = 'c' FROM x WHERE t.a IN (SELECT cast(a AS varchar(3)) FROM y)",
		"ALTER TABLE t ALTER COLUMN c TYPE varchar(10)", "VACUUM DELETE ONLY t TO 50 PERCENT BOOST", "SET SESSION search_path TO a, \"B\"", "CREATE VIEW v (a) AS SELECT 1 WITH NO SCHEMA BINDING",
	} {
		toks, err := lex.Scan(sql)
		if err != nil {
			t.Fatal(err)
		}
		for i := range toks {
			for j := i + 1; j <= len(toks); j++ {
				_, _ = sqlrule.Compile(sql, toks[i:j], sqlrule.Options{})
			}
		}
	}
}

// TestCompileNeverPanicsOnCases cuts the statements of all cases.
func TestCompileNeverPanicsOnCases(t *testing.T) {
	t.Parallel()
	cases, err := conform.Load("../../facts")
	if err != nil {
		t.Fatal(err)
	}
	opt := sqlrule.Options{
		Describe: func(string) ([]string, error) { return []string{"a", "b"}, nil },
		Builtin:  func(string) bool { return false },
		LateView: func(sqlrule.Name) (string, bool) { return "", false },
	}
	for _, c := range cases {
		for _, s := range c.Steps {
			if len(s.SQL) > 1000 {
				continue
			}
			toks, err := lex.Scan(s.SQL)
			if err != nil {
				continue
			}
			for i := range toks {
				_, _ = sqlrule.Compile(s.SQL, toks[:i+1], opt)
				_, _ = sqlrule.Compile(s.SQL, toks[i:], opt)
			}
		}
	}
}
