package sqltext_test

import (
	"testing"

	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// TestCheckStatements pins the queries of preflight.
func TestCheckStatements(t *testing.T) {
	t.Parallel()
	s := &script{t: t}
	for _, sql := range []string{
		sqltext.Version(), sqltext.Clock(), sqltext.Whoami(), sqltext.IsolationLevel(), sqltext.Disk(), sqltext.CountTables(),
	} {
		s.add(sql, nil)
	}
	s.add(sqltext.Writers([]string{"public", `it's`}))
	s.add(sqltext.Targets("crm"))
	create, columns, err := sqltext.CreateProbe(`odd "name"`)
	s.add(create, err)
	s.add(sqltext.CopyFrom(sqltext.Copy{
		Target: sqltext.Name{Table: "probe"}, Columns: columns, Manifest: "s3://b/m", NullMarker: "_NULL_",
		Compression: "gzip", IAMRole: "default", Region: "eu-central-1",
	}))
	s.compare("check.sql")
}
