package source_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/test/cluster"
)

// TestTLS: verify-full by URL, a backlog read in batches under TLS, and
// another authority's certificate.
func TestTLS(t *testing.T) {
	t.Parallel()
	started.Store(true)
	ca, err := cluster.NewCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Issue("postgres", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	pg := cluster.RunPostgres(t, cluster.PostgresConfig{TLS: cert})
	w := newWorldOn(t, pg, "CREATE TABLE t (id int PRIMARY KEY)")
	w.publish()
	s := w.server()
	w.slot(s).Close(t.Context())
	w.exec("DO $$ BEGIN FOR i IN 1..2000 LOOP INSERT INTO t VALUES (i); COMMIT; END LOOP; END $$")
	w.admin("SELECT pg_sleep(1.1)")
	st := w.stream(s)
	rows := 0
	decode(t, st, func(x tx) bool { rows += len(x.rows); return rows == 2000 })
	w.exec("INSERT INTO t VALUES (-1)")
	txs, _ := decode(t, st, func(x tx) bool { return len(x.rows) > 0 })
	if got := txs[len(txs)-1].rows; !slices.Equal(got, []string{`"-1"|`}) {
		t.Errorf("rows %v", got)
	}
	if err := st.Close(t.Context()); err != nil {
		t.Errorf("Close: %v", err)
	}
	foreign, err := cluster.NewCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w.cfg.DSN = strings.Replace(w.cfg.DSN, strings.ReplaceAll(ca.File(), "/", "%2F"), strings.ReplaceAll(foreign.File(), "/", "%2F"), 1)
	if !strings.Contains(w.cfg.DSN, "verify-full") {
		t.Fatalf("DSN is not what the test thinks")
	}
	_, err = w.server().OpenCatalog(t.Context())
	var f *change.Fault
	if !errors.As(err, &f) || f.Scope != change.ScopeFatal || f.Remedy == "" {
		t.Errorf("certificate of another authority: %v", err)
	}
}
