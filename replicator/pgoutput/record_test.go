package pgoutput_test

import (
	"os"
	"testing"

	"github.com/walshift/walshift/test/cluster"
)

// TestRecordedStreams writes testdata/postgres<major>.hex anew with -record:
//
//	WALSHIFT_PG_BIN=<folder> go test ./replicator/pgoutput -run TestRecordedStreams -record
//	go test ./replicator/pgoutput -run TestDecodeRecorded -update
//
// Without the flag it does nothing: what a server sends changes with every run
// (oids, positions, times), so a recording is made once.
func TestRecordedStreams(t *testing.T) {
	t.Parallel()
	if !*record {
		t.Skip("it records only with -record")
	}
	script, err := os.ReadFile("testdata/record.sql")
	if err != nil {
		t.Fatal(err)
	}
	p := cluster.RunPostgres(t, cluster.PostgresConfig{Settings: map[string]string{
		"logical_decoding_work_mem": "64kB", "max_prepared_transactions": "4",
	}})
	dsn := p.SuperuserDSN("postgres")
	major, err := p.Psql(t.Context(), dsn, "select current_setting('server_version_num')::int / 10000")
	if err != nil {
		t.Fatal(err)
	}
	messages, err := p.Psql(t.Context(), dsn, string(script))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("testdata/postgres"+major[:2]+".hex", []byte(messages), 0o644); err != nil {
		t.Fatal(err)
	}
}
