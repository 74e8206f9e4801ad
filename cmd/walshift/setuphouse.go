package main

import (
	"encoding/json"
	"strings"

	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// redshiftScript is the administrator's part on Redshift.
func (s *setup) redshiftScript() string {
	b := &script{}
	user := houseName(s.user)
	b.note("-- walshift, pipeline %s: user and schemas on the warehouse.", s.pipeline)
	b.note("-- Run as an administrator in database %s, with the password in its place.", s.house)
	b.line("CREATE USER %s PASSWORD '<password>';", user)
	b.note("-- With sign-in by IAM: CREATE USER %s PASSWORD DISABLE;", user)
	b.note("-- `walshift check` tries a COPY into a temporary table:")
	b.line("GRANT TEMPORARY ON DATABASE %s TO %s;", houseName(s.house), user)
	b.note("\n-- walshift's own tables: positions, fence, staging.")
	b.line("CREATE SCHEMA IF NOT EXISTS %s AUTHORIZATION %s;", houseName(sqltext.Schema), user)
	b.note("\n-- The schemas of the target tables, which walshift makes and owns.")
	schemas, open := s.sourceSchemas()
	done := map[string]bool{}
	for _, schema := range schemas {
		name := houseName(s.target(schema))
		if done[name] {
			continue
		}
		done[name] = true
		b.line("CREATE SCHEMA IF NOT EXISTS %s;", name)
		b.line("GRANT USAGE, CREATE ON SCHEMA %s TO %s;", name, user)
		if s.existing != "" && s.existing != "refuse" {
			b.note("-- target.existing is %s; for each table that is there:", s.existing)
			b.note("-- GRANT SELECT, INSERT, UPDATE, DELETE ON %s.<table> TO %s;", name, user)
		}
	}
	if open || len(schemas) == 0 {
		b.note("-- CREATE SCHEMA IF NOT EXISTS <schema>; GRANT USAGE, CREATE ON SCHEMA <schema> TO %s;", user)
		b.note("-- or let walshift make schemas: GRANT CREATE ON DATABASE %s TO %s;", houseName(s.house), user)
	}
	b.note("\n-- Only where ASSUMEROLE has been revoked from PUBLIC:")
	b.note("-- GRANT ASSUMEROLE ON %s TO %s FOR COPY;", houseText(s.iamRole), user)
	return b.String()
}

// houseName quotes a name for Redshift; one that can't be used is left for the
// server to refuse.
func houseName(name string) string {
	q, err := sqltext.Ident(name)
	if err != nil {
		return "<" + name + ">"
	}
	return q
}

func houseText(s string) string {
	q, err := sqltext.Literal(s)
	if err != nil {
		return "'<arn>'"
	}
	return q
}

// iamPolicy is an IAM policy document.
type iamPolicy struct {
	Version   string         `json:"Version"` //nolint:tagliatelle // IAM's names
	Statement []iamStatement `json:"Statement"`
}

type iamStatement struct {
	Sid       string                         `json:"Sid"`
	Effect    string                         `json:"Effect"`
	Principal map[string][]string            `json:"Principal,omitempty"`
	Action    []string                       `json:"Action"`
	Resource  []string                       `json:"Resource,omitempty"`
	Condition map[string]map[string][]string `json:"Condition,omitempty"`
}

// policies is what AWS must allow: the daemon to keep its log, the COPY role to
// read it, and Redshift to take that role.
func (s *setup) policies() string {
	bucket := "arn:aws:s3:::" + s.bucket
	objects := bucket + "/" + s.folder + "*"
	inside := map[string]map[string][]string{"StringLike": {"s3:prefix": {s.folder + "*"}}}
	allow := func(sid string, resource string, actions ...string) iamStatement {
		return iamStatement{Sid: sid, Effect: "Allow", Action: actions, Resource: []string{resource}}
	}
	list := allow("List", bucket, "s3:ListBucket")
	list.Condition = inside
	daemon := []iamStatement{
		list,
		allow("Objects", objects, "s3:GetObject", "s3:PutObject", "s3:DeleteObject"),
		allow("CheckOnly", bucket, "s3:GetBucketLocation", "s3:GetBucketVersioning", "s3:GetLifecycleConfiguration"),
	}
	copying := []iamStatement{list, allow("Read", objects, "s3:GetObject"), allow("Where", bucket, "s3:GetBucketLocation")}
	if s.kmsKey != "" {
		key := s.kmsKey
		if !strings.HasPrefix(key, "arn:") {
			key = "arn:aws:kms:" + s.region + ":<account>:key/<key>"
		}
		daemon = append(daemon, allow("Key", key, "kms:GenerateDataKey", "kms:Decrypt"))
		copying = append(copying, allow("Key", key, "kms:Decrypt"))
	}
	const version = "2012-10-17"
	var out strings.Builder
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(map[string]iamPolicy{
		"daemon":    {version, daemon},
		"copy_role": {version, copying},
		"copy_role_trust": {version, []iamStatement{{
			Sid: "Redshift", Effect: "Allow", Action: []string{"sts:AssumeRole"},
			Principal: map[string][]string{"Service": {"redshift.amazonaws.com", "redshift-serverless.amazonaws.com"}},
		}}},
	})
	if err != nil { // strings alone: it can't
		return ""
	}
	return out.String()
}
