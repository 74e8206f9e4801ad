package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func unknownSource(provider string) *setup {
	return &setup{
		pipeline: "shop", provider: provider, role: "walshift", database: "shop", publication: "walshift_shop", slot: "walshift_shop",
		include: []string{"public.*", "crm.Customers", "*.log"}, user: "loader", house: "dev",
		iamRole: "arn:aws:iam::123456789012:role/copy", existing: "truncate", schemas: map[string]string{"public": "shop"},
		bucket: "lake", folder: "walshift/shop/", region: "eu-central-1", kmsKey: "alias/lake", unknown: "connection refused",
	}
}

// TestSetupTemplate: what is printed while the source can't be asked.
func TestSetupTemplate(t *testing.T) {
	t.Parallel()
	for _, provider := range providers() {
		got := unknownSource(provider).text("")
		name := filepath.Join("testdata", "setup-"+provider+".txt")
		if os.Getenv("UPDATE_GOLDEN") != "" {
			if err := os.WriteFile(name, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s differs from (UPDATE_GOLDEN=1 writes it):\n%s", name, got)
		}
	}
}

// TestSetupPolicies: the policies are JSON in IAM's form, and allow the log's
// folder alone.
func TestSetupPolicies(t *testing.T) {
	t.Parallel()
	var p map[string]struct {
		Version   string
		Statement []struct {
			Effect           string
			Action, Resource []string
		}
	}
	text := unknownSource(providerSelf).text(partIAM)
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatal(err)
	}
	for name, least := range map[string]int{"daemon": 4, "copy_role": 4, "copy_role_trust": 1} {
		if len(p[name].Statement) != least || p[name].Version == "" {
			t.Errorf("%s: %+v", name, p[name])
		}
		for _, s := range p[name].Statement {
			for _, r := range s.Resource {
				if s.Effect != "Allow" || strings.HasPrefix(r, "arn:aws:s3:::lake/") && r != "arn:aws:s3:::lake/walshift/shop/*" || strings.HasSuffix(r, ":*") {
					t.Errorf("%s allows too much: %+v", name, s)
				}
			}
		}
	}
}

// TestSetupUsage: nothing is printed by mistake.
func TestSetupUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"setup"}, {"setup", "--print", "--only", "s3"}, {"setup", "--print", "--provider", "azure"}, {"setup", "--print", "more"},
	} {
		var out, errs strings.Builder
		if code := run(t.Context(), args, &out, &errs); code != exitUsage || out.Len() > 0 {
			t.Errorf("%v: exit code %d: %s", args, code, out.String())
		}
	}
}
