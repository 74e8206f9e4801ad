package redshift_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/klauspost/compress/zstd"
	"go.yaml.in/yaml/v3"
)

// A case is one fact about Redshift and what shows it. Files in facts/ hold
// lists of cases; adding one adds a test. Text passes text/template, see
// (*caseRun).expand.
type factCase struct {
	Fact    string            `yaml:"fact"`
	Mark    string            `yaml:"mark"`
	Objects map[string]string `yaml:"objects"`
	Steps   []step            `yaml:"steps"`
}

type step struct {
	SQL string `yaml:"sql"`
	// Session is a name; each has a connection of its own.
	Session string `yaml:"session"`
	// Params makes the step use the extended protocol.
	Params   []string `yaml:"params"`
	Extended bool     `yaml:"extended"`
	// Rows, if given, must be the result of the last statement; NULL is null.
	Rows [][]*string `yaml:"rows"`
	Tag  string      `yaml:"tag"`
	// Code and Error must be the SQLSTATE and a part of message or detail.
	Code  string `yaml:"code"`
	Error string `yaml:"error"`
	// Background starts the step and goes on; Join waits for that session's.
	Background bool `yaml:"background"`
	Join       bool `yaml:"join"`
	// Any accepts success and the error given alike.
	Any bool `yaml:"any"`
}

func TestFacts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("facts/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	n := 0
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var cases []factCase
		dec := yaml.NewDecoder(bytes.NewReader(body))
		dec.KnownFields(true)
		if err := dec.Decode(&cases); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		group := strings.TrimSuffix(filepath.Base(file), ".yaml")
		for _, fc := range cases {
			n++
			schema := fmt.Sprintf("case_%d", n)
			t.Run(group+"/"+fc.Fact, func(t *testing.T) {
				t.Parallel()
				if fc.Mark == "" {
					t.Error("case has no mark")
				}
				(&caseRun{schema: schema, conns: map[string]*pgconn.PgConn{}, running: map[string]chan outcome{}}).run(t, fc)
			})
		}
	}
}

type outcome struct {
	rows [][]*string
	tag  string
	err  error
}

type caseRun struct {
	schema  string
	objects map[string]string
	conns   map[string]*pgconn.PgConn
	running map[string]chan outcome
}

func (r *caseRun) run(t *testing.T, fc factCase) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	r.objects = map[string]string{}
	for pass := range 2 { // the second sees the sizes of the first
		for key, body := range fc.Objects {
			if strings.Contains(body, "{{size") == (pass == 1) {
				r.objects[key] = r.pack(t, key, r.expand(t, body))
			}
		}
	}
	for key, body := range r.objects {
		bucket, full := bucketName, r.schema+"/"+key
		if _, err := env.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &full, Body: strings.NewReader(body)}); err != nil {
			t.Fatal(err)
		}
	}
	defer func() {
		for _, c := range r.conns {
			c.Close(context.WithoutCancel(ctx))
		}
	}()
	for i, s := range fc.Steps {
		name := fmt.Sprintf("step %d: %.120s", i+1, s.SQL)
		conn := r.conn(ctx, t, s.Session)
		switch {
		case s.Join:
			r.compare(t, name, s, <-r.running[s.Session])
		case s.Background:
			ch := make(chan outcome, 1)
			r.running[s.Session] = ch
			sql := r.expand(t, s.SQL)
			go func() { ch <- execute(ctx, conn, sql, s) }()
		default:
			r.compare(t, name, s, execute(ctx, conn, r.expand(t, s.SQL), s))
		}
	}
}

func (r *caseRun) conn(ctx context.Context, t *testing.T, name string) *pgconn.PgConn {
	t.Helper()
	if c := r.conns[name]; c != nil {
		return c
	}
	user, password := loader, loaderPassword
	if name == "other" {
		user = "other"
	}
	c, err := pgconn.Connect(ctx, env.rs.DSN(user, password, ""))
	if err != nil {
		t.Fatal(err)
	}
	r.conns[name] = c
	first := "CREATE SCHEMA IF NOT EXISTS " + r.schema + "; "
	if user != loader {
		first = ""
	}
	if err := c.Exec(ctx, first+"SET search_path TO "+r.schema+", public").Close(); err != nil {
		t.Fatal(err)
	}
	return c
}

func execute(ctx context.Context, c *pgconn.PgConn, sql string, s step) outcome {
	var results []*pgconn.Result
	var err error
	if s.Params != nil || s.Extended {
		params := make([][]byte, len(s.Params))
		for i, p := range s.Params {
			params[i] = []byte(p)
		}
		res := c.ExecParams(ctx, sql, params, nil, nil, nil).Read()
		results, err = []*pgconn.Result{res}, res.Err
	} else {
		results, err = c.Exec(ctx, sql).ReadAll()
	}
	out := outcome{err: err}
	if len(results) > 0 {
		last := results[len(results)-1]
		out.tag = last.CommandTag.String()
		for _, row := range last.Rows {
			vals := make([]*string, len(row))
			for i, v := range row {
				if v != nil {
					str := string(v)
					vals[i] = &str
				}
			}
			out.rows = append(out.rows, vals)
		}
	}
	return out
}

func (r *caseRun) compare(t *testing.T, name string, s step, got outcome) {
	t.Helper()
	if s.Code != "" || s.Error != "" {
		var pg *pgconn.PgError
		if !errors.As(got.err, &pg) {
			if s.Any && got.err == nil {
				return
			}
			t.Errorf("%s: got %v, want an error %s %s", name, got.err, s.Code, s.Error)
			return
		}
		if s.Code != "" && pg.Code != s.Code || !strings.Contains(pg.Message+"\n"+pg.Detail, r.expand(t, s.Error)) {
			t.Errorf("%s: got %s %q (%q), want %s %q", name, pg.Code, pg.Message, pg.Detail, s.Code, s.Error)
		}
		return
	}
	if got.err != nil {
		t.Errorf("%s: %v", name, describeError(got.err))
		return
	}
	if s.Tag != "" && got.tag != s.Tag {
		t.Errorf("%s: tag %q, want %q", name, got.tag, s.Tag)
	}
	if s.Rows != nil {
		for _, row := range s.Rows {
			for i, v := range row {
				if v != nil {
					x := r.expand(t, *v)
					row[i] = &x
				}
			}
		}
		if g, w := rowsText(got.rows), rowsText(s.Rows); g != w {
			t.Errorf("%s: rows\n%swant\n%s", name, g, w)
		}
	}
}

func describeError(err error) string {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return fmt.Sprintf("%s %s (%s)", pg.Code, pg.Message, pg.Detail)
	}
	return err.Error()
}

func rowsText(rows [][]*string) string {
	var b strings.Builder
	for _, row := range rows {
		for i, v := range row {
			if i > 0 {
				b.WriteString(" | ")
			}
			if v == nil {
				b.WriteString("NULL")
			} else {
				fmt.Fprintf(&b, "%.200q", *v)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// expand fills in {{s3}}, {{role}}, {{schema}}, {{repeat "x" 3}}, {{size "key"}}
// and {{cols 5 "c%d int"}}.
func (r *caseRun) expand(t *testing.T, text string) string {
	t.Helper()
	if !strings.Contains(text, "{{") {
		return text
	}
	tm, err := template.New("").Funcs(template.FuncMap{
		"s3":     func() string { return "s3://" + bucketName + "/" + r.schema },
		"role":   func() string { return "IAM_ROLE 'arn:aws:iam::123456789012:role/load'" },
		"schema": func() string { return r.schema },
		"repeat": strings.Repeat,
		"size":   func(key string) int { return len(r.objects[key]) },
		"cols": func(n int, format string) string {
			parts := make([]string, n)
			for i := range parts {
				parts[i] = strings.ReplaceAll(format, "%d", fmt.Sprint(i))
			}
			return strings.Join(parts, ", ")
		},
	}).Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := tm.Execute(&b, nil); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// pack compresses by the key's ending.
func (r *caseRun) pack(t *testing.T, key, body string) string {
	t.Helper()
	var b bytes.Buffer
	switch filepath.Ext(key) {
	case ".gz":
		z := gzip.NewWriter(&b)
		_, _ = z.Write([]byte(body))
		_ = z.Close()
	case ".zst":
		z, err := zstd.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = z.Write([]byte(body))
		_ = z.Close()
	default:
		return body
	}
	return b.String()
}
