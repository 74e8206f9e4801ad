package conform

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/klauspost/compress/zstd"
)

const otherSession = "other"

// Target is where cases run. It is safe for concurrent use.
type Target struct {
	// DSN is the login that owns what the cases make. It may create schemas.
	DSN string
	// OtherDSN is the second user's login, and Other the user's name; empty:
	// there is none.
	OtherDSN, Other string
	// S3 holds Bucket, in the cluster's region. Folder, without a slash at its
	// end, is put before the cases' keys if not empty.
	S3             *s3.Client
	Bucket, Folder string
	// Role is the ARN that COPY is to use.
	Role string
	// Schema is the prefix of the cases' schemas: lower-case letters, digits and
	// underscores. Everything in the database whose schema starts with the
	// prefix, the case's number and an underscore or nothing is the case's.
	Schema string
	// Able lists what the target can do beside SecondUser.
	Able []Ability
	// Timeout bounds a case, and again its cleaning up.
	Timeout time.Duration
}

// Difference is an answer that the case did not expect.
type Difference struct {
	// Step says which, with the beginning of its statement.
	Step string
	// Got and Want are one or more lines.
	Got, Want string
}

func (d Difference) String() string { return d.Step + ": got " + d.Got + ", want " + d.Want }

// Result is what one case showed.
type Result struct {
	Case Case
	// Skipped says which abilities the target lacks; the case did not run.
	Skipped string
	// Differences are empty if all is as the case says.
	Differences []Difference
	// Err is why the case could not be run to its end, or be cleaned up.
	Err error
}

// As says that the target behaved as the case says in all that it asks.
func (r Result) As() bool { return r.Skipped == "" && r.Err == nil && len(r.Differences) == 0 }

// missing lists the abilities that the case needs and the target lacks.
func (t *Target) missing(c Case) string {
	var out []string
	for _, a := range c.needs() {
		if a == SecondUser && t.OtherDSN != "" || slices.Contains(t.Able, a) {
			continue
		}
		out = append(out, string(a))
	}
	return strings.Join(slices.Compact(out), ", ")
}

// Run runs one case and removes what it made, even if ctx has ended.
func (t *Target) Run(ctx context.Context, c Case) Result {
	res := Result{Case: c, Skipped: t.missing(c)}
	if res.Skipped != "" {
		return res
	}
	r := &run{
		t: t, schema: t.Schema + strconv.Itoa(c.Number),
		objects: map[string]string{}, conns: map[string]*pgconn.PgConn{}, running: map[string]chan outcome{},
	}
	r.folder = path.Join(t.Folder, r.schema)
	err := r.all(ctx, c)
	res.Differences = r.differences
	res.Err = errors.Join(err, r.clean(context.WithoutCancel(ctx)))
	return res
}

func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// login is whom the DSN names; empty if it cannot be read, which a connection
// tells first.
func (t *Target) login() pgconn.Config {
	cfg, err := pgconn.ParseConfig(t.DSN)
	if err != nil {
		return pgconn.Config{}
	}
	return *cfg
}

// expand fills in {{s3}}, {{role}}, {{schema}}, {{user}}, {{database}}, {{other}}, {{repeat "x" 3}},
// {{size "key"}} and {{cols 5 "c%d int"}}.
func (r *run) expand(text string) (string, error) {
	if !strings.Contains(text, "{{") {
		return text, nil
	}
	tm, err := template.New("").Funcs(template.FuncMap{
		"s3":       func() string { return "s3://" + r.t.Bucket + "/" + r.folder },
		"role":     func() string { return "IAM_ROLE '" + r.t.Role + "'" },
		"schema":   func() string { return r.schema },
		"user":     func() string { return quoteName(r.t.login().User) },
		"database": func() string { return quoteName(r.t.login().Database) },
		"other":    func() string { return quoteName(r.t.Other) },
		"repeat":   strings.Repeat,
		"size":     func(key string) int { return len(r.objects[key]) },
		"cols": func(n int, format string) string {
			parts := make([]string, n)
			for i := range parts {
				parts[i] = strings.ReplaceAll(format, "%d", strconv.Itoa(i))
			}
			return strings.Join(parts, ", ")
		},
	}).Parse(text)
	if err != nil {
		return "", fmt.Errorf("parsing template: %w", err)
	}
	var b strings.Builder
	if err := tm.Execute(&b, nil); err != nil {
		return "", fmt.Errorf("filling in template: %w", err)
	}
	return b.String(), nil
}

// pack compresses by the key's ending.
func pack(key, body string) (string, error) {
	var b bytes.Buffer
	switch filepath.Ext(key) {
	case ".gz":
		z := gzip.NewWriter(&b)
		_, err := z.Write([]byte(body))
		if err := errors.Join(err, z.Close()); err != nil {
			return "", fmt.Errorf("compressing object %s: %w", key, err)
		}
	case ".zst":
		z, err := zstd.NewWriter(&b)
		if err != nil {
			return "", fmt.Errorf("compressing object %s: %w", key, err)
		}
		_, err = z.Write([]byte(body))
		if err := errors.Join(err, z.Close()); err != nil {
			return "", fmt.Errorf("compressing object %s: %w", key, err)
		}
	default:
		return body, nil
	}
	return b.String(), nil
}
