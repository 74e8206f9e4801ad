package redshift_test

import (
	"testing"
	"time"

	"github.com/walshift/walshift/test/redshift/conform"
)

// TestFacts holds the stand-in against every case of facts/*.yaml.
func TestFacts(t *testing.T) {
	t.Parallel()
	cases, err := conform.Load("facts")
	if err != nil {
		t.Fatal(err)
	}
	target := &conform.Target{
		DSN: env.rs.DSN(loader, loaderPassword, ""), OtherDSN: env.rs.DSN("other", loaderPassword, ""), Other: "other",
		S3: env.s3, Bucket: bucketName, Role: "arn:aws:iam::123456789012:role/load",
		Schema: "case_", Timeout: 60 * time.Second,
	}
	for _, c := range cases {
		t.Run(c.Name(), func(t *testing.T) {
			t.Parallel()
			if c.Mark == "" {
				t.Error("case has no mark")
			}
			res := target.Run(t.Context(), c)
			if res.Skipped != "" {
				t.Errorf("the stand-in lacks %s", res.Skipped)
			}
			for _, d := range res.Differences {
				t.Error(d)
			}
			if res.Err != nil {
				t.Error(res.Err)
			}
		})
	}
}
