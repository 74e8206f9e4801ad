package e2e_test

import (
	"net"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/walshift/walshift/test/cluster"
	"github.com/walshift/walshift/test/world"
)

// TestTLSVerifyFull: both sides by TLS with the servers' certificates checked;
// a certificate of another authority or for another name is refused before
// anything is changed.
//
//nolint:tparallel // the cases share one world, one after the other
func TestTLSVerifyFull(t *testing.T) {
	t.Parallel()
	w := newWorld(t, world.Config{TLS: true, DDL: mainDDL})
	ca := filepath.Join(w.Dir, "ca.crt")
	other, err := cluster.NewCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	verified := func(authority, host string) func(*url.URL, url.Values) {
		return func(u *url.URL, q url.Values) {
			q.Set("sslmode", "verify-full")
			q.Set("sslrootcert", authority)
			u.Host = net.JoinHostPort(host, u.Port())
		}
	}
	source := func(authority, host string) map[string]string {
		return sourceSection(altered(t, w.Source.ReplicatorDSN(), verified(authority, host)))
	}
	house := func(authority, host string) map[string]string {
		return houseSection(altered(t, w.TargetDSN(), verified(authority, host)))
	}
	const ip, name = "127.0.0.1", "localhost" // the certificate is for the address alone
	w.Sections = house(ca, ip)
	for _, r := range []refusal{
		{
			name: "source of another authority", sections: source(other.File(), ip), code: 1,
			want: []string{"connecting to the source", "certificate signed by unknown authority", "sslrootcert", "source.dsn"},
		},
		{
			name: "source of another name", sections: source(ca, name), code: 1,
			want: []string{"connecting to the source", "match localhost", "host name in source.dsn"},
		},
		{
			name: "source without TLS", code: 1,
			sections: sourceSection(altered(t, w.Source.ReplicatorDSN(), func(_ *url.URL, q url.Values) { q.Set("sslmode", "disable") })),
			want:     []string{"connecting to the source", "no pg_hba.conf entry", "sslmode in source.dsn"},
		},
		{
			name: "warehouse of another authority", sections: house(other.File(), ip), code: 1,
			want: []string{"connecting to the warehouse", "certificate signed by unknown authority", "sslrootcert in redshift.dsn"},
		},
		{
			name: "warehouse of another name", sections: house(ca, name), code: 1,
			want: []string{"connecting to the warehouse", "match localhost", "sslrootcert in redshift.dsn"},
		},
		{
			name: "missing authority file", sections: source(filepath.Join(w.Dir, "none.crt"), ip), code: 2,
			want: []string{"source.dsn", "certificate files"},
		},
	} {
		t.Run(r.name, func(t *testing.T) { refused(t, w, &r) })
	}
	streaming(t, w)
	exec(t, w, `UPDATE items SET name = 'by TLS' WHERE id < 100`, `DELETE FROM pairs WHERE a = 1`, `INSERT INTO events VALUES (now(), 'tls')`)
	identical(t, w, mainTables())
	const sessions = `FROM pg_stat_activity a JOIN pg_stat_ssl s USING (pid) WHERE a.application_name LIKE 'walshift/%' AND `
	if n := superuser(t, w, "SELECT count(*) "+sessions+"s.ssl"); n == "0" {
		t.Error("no session of walshift uses TLS")
	}
	if n := superuser(t, w, "SELECT count(*) "+sessions+"NOT s.ssl"); n != "0" {
		t.Errorf("%s sessions of walshift use no TLS", n)
	}
}
