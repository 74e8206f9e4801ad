package deploy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/walshift/walshift/test/cluster"
)

// guides are not about a symptom.
func guides() []string { return []string{"README.md", "install.md", "upgrade.md", "remove.md"} }

func eachRunbook(t *testing.T, f func(t *testing.T, name, text string)) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(runbooks, "*.md"))
	if err != nil || len(files) < len(guides()) {
		t.Fatalf("%d runbooks: %v", len(files), err)
	}
	for _, path := range files {
		f(t, filepath.Base(path), read(t, path))
	}
}

// TestRunbooks: each has its parts in the order of need, its links lead
// somewhere, and its metrics and alerts exist.
func TestRunbooks(t *testing.T) {
	t.Parallel()
	docs := documented(t)
	var names []string
	for _, r := range rules(t) {
		names = append(names, r.Alert)
	}
	index := read(t, filepath.Join(runbooks, "README.md"))
	eachRunbook(t, func(t *testing.T, name, text string) {
		t.Helper()
		if name != "README.md" && !strings.Contains(index, "("+name+")") {
			t.Errorf("README.md does not list %s", name)
		}
		if !slices.Contains(guides(), name) {
			var heads []string
			for _, m := range regexp.MustCompile(`(?m)^## (.*)$`).FindAllStringSubmatch(text, -1) {
				heads = append(heads, m[1])
			}
			if want := []string{"Symptom", "Is data at risk?", "Look here", "Do this", "When to call whom"}; !slices.Equal(heads, want) {
				t.Errorf("%s: parts are %q, want %q", name, heads, want)
			}
		}
		for _, m := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(runbooks, m[1])); err != nil {
				t.Errorf("%s: link %s: %v", name, m[1], err)
			}
		}
		for _, metric := range metricNames(text) {
			if metric != slot && !known(docs, metric) {
				t.Errorf("%s: there is no metric %s", name, metric)
			}
		}
		for _, alert := range regexp.MustCompile(`\bWalshift[A-Z]\w+`).FindAllString(text, -1) {
			if !slices.Contains(names, alert) {
				t.Errorf("%s: there is no alert %s", name, alert)
			}
		}
	})
}

// slot names slot and publication in every runbook.
const slot = "walshift_shop"

// TestRunbooksSQL runs what the runbooks give to the source's DBA, in the order
// in which it stands there, on a server that has what walshift leaves there.
func TestRunbooksSQL(t *testing.T) {
	t.Parallel()
	pg := cluster.RunPostgres(t, cluster.PostgresConfig{Settings: map[string]string{"max_prepared_transactions": "2"}})
	psql := func(t *testing.T, dsn, script string) {
		t.Helper()
		if out, err := pg.Psql(t.Context(), dsn, script); err != nil {
			t.Errorf("%v\n%s\n%s", err, script, out)
		}
	}
	blocks := regexp.MustCompile("(?ms)^```sql source\n(.*?)^```$")
	found := 0
	eachRunbook(t, func(t *testing.T, name, text string) {
		t.Helper()
		script := blocks.FindAllStringSubmatch(text, -1)
		if len(script) == 0 {
			return
		}
		found++
		db := "run_" + strings.NewReplacer("-", "_", ".md", "").Replace(name)
		admin, dsn := pg.SuperuserDSN("postgres"), pg.SuperuserDSN(db)
		psql(t, admin, "CREATE DATABASE "+db)
		psql(t, dsn, "CREATE TABLE orders (id int PRIMARY KEY); CREATE TABLE customers (id int PRIMARY KEY);")
		if name != "install.md" { // it makes all that itself
			psql(t, dsn, "CREATE ROLE walshift LOGIN REPLICATION; GRANT SELECT ON orders TO walshift; "+
				"CREATE PUBLICATION "+slot+" FOR TABLE orders; SELECT pg_create_logical_replication_slot('"+slot+"', 'pgoutput');")
		}
		for _, b := range script {
			psql(t, dsn, b[1])
		}
		psql(t, dsn, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots; "+
			"DO $$ BEGIN IF to_regrole('walshift') IS NOT NULL THEN DROP OWNED BY walshift; END IF; END $$; DROP ROLE IF EXISTS walshift;")
	})
	if found < 5 {
		t.Errorf("only %d runbooks hold SQL for the source", found)
	}
}
