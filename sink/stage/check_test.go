package stage_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/stage"
	"github.com/walshift/walshift/test/cluster"
)

// found returns the level and the text of a check.
func found(f change.Findings, id string) string {
	var b strings.Builder
	for i := range f {
		if f[i].ID == id {
			b.WriteString(string(f[i].Level) + ": " + f[i].Seen + "\n")
		}
	}
	return b.String()
}

// TestCheckRealServer: everything that the log relies on holds on a real
// server, nothing stays behind, and what it doesn't know is skipped.
func TestCheckRealServer(t *testing.T) {
	t.Parallel()
	l := open(t, realServer(t, cluster.S3Config{}))
	f := l.Check(t.Context())
	if failed := f.Of(change.LevelFail); len(failed) > 0 {
		t.Errorf("failed: %v", failed)
	}
	for id, want := range map[string]string{
		"s3.conditional_put": "pass: a second write is refused", "s3.put": "pass", "s3.get": "pass", "s3.delete": "pass",
		"s3.region": "pass", "s3.clock": "pass", "s3.lifecycle": "skipped: the bucket's rules can't be read: NotImplemented",
	} {
		if got := found(f, id); !strings.HasPrefix(got, want) {
			t.Errorf("%s: want %q, found %q", id, want, got)
		}
	}
	for _, id := range stage.CheckIDs() {
		if !f.Found(id) {
			t.Errorf("%s is not made", id)
		}
	}
	p, err := l.PutProbe(t.Context())
	if err != nil || p.File.Rows != stage.ProbeRows {
		t.Fatalf("PutProbe: %+v, %v", p, err)
	}
	if err := l.RemoveProbe(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if n, err := l.DeleteAll(t.Context(), true); err != nil || n != 0 {
		t.Errorf("%d objects are left (%v)", n, err)
	}
}

// bucketSettings answers what the fake doesn't know.
type bucketSettings struct {
	next http.Handler
	// lifecycle is the rules' XML; versioning the status; region the header's.
	lifecycle, versioning, region string
	// careless drops If-None-Match, plain the order to encrypt.
	careless, plain bool
}

func (b *bucketSettings) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	switch {
	case q.Has("lifecycle") && b.lifecycle == "":
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, "<Error><Code>NoSuchLifecycleConfiguration</Code></Error>")
	case q.Has("lifecycle"):
		fmt.Fprint(w, "<LifecycleConfiguration>"+b.lifecycle+"</LifecycleConfiguration>")
	case q.Has("versioning"):
		fmt.Fprint(w, "<VersioningConfiguration><Status>"+b.versioning+"</Status></VersioningConfiguration>")
	case r.Method == http.MethodHead && strings.Trim(r.URL.Path, "/") == bucket:
		w.Header().Set("X-Amz-Bucket-Region", b.region)
		w.WriteHeader(http.StatusForbidden)
	default:
		if b.careless {
			r.Header.Del("If-None-Match")
		}
		if b.plain {
			r.Header.Del("X-Amz-Server-Side-Encryption")
			r.Header.Del("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id")
		}
		b.next.ServeHTTP(w, r)
	}
}

func checkWith(t *testing.T, b *bucketSettings, adjust func(*stage.Config)) change.Findings {
	t.Helper()
	f := newFakeS3(t)
	b.next = f.handler
	f.handler = b
	cfg := f.config()
	if adjust != nil {
		adjust(&cfg)
	}
	return open(t, cfg).Check(t.Context())
}

// TestV21LifecycleRules: rules that delete or move the log's objects are found,
// others are not.
func TestV21LifecycleRules(t *testing.T) {
	t.Parallel()
	rule := func(filter, action string) string {
		return "<Rule><ID>r</ID><Status>Enabled</Status>" + filter + action + "</Rule>"
	}
	prefix := func(p string) string { return "<Filter><Prefix>" + p + "</Prefix></Filter>" }
	const week, year = "<Expiration><Days>7</Days></Expiration>", "<Expiration><Days>365</Days></Expiration>"
	for name, c := range map[string]struct{ rules, want string }{
		"none":           {"", "pass"},
		"whole bucket":   {rule("<Filter/>", week), "fail: rule \"r\" deletes objects below s3://lake/"},
		"no filter":      {rule("<Prefix></Prefix>", week), "fail"},
		"our prefix":     {rule(prefix("pre/"), week), "fail"},
		"inside ours":    {rule(prefix("pre/shop/data/"), week), "fail"},
		"another prefix": {rule(prefix("logs/"), week), "pass"},
		"a tag":          {rule("<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>", week), "pass"},
		"disabled":       {strings.Replace(rule(prefix(""), week), "Enabled", "Disabled", 1), "pass"},
		"late":           {rule(prefix(""), year), "warn: rule \"r\" deletes"},
		"glacier":        {rule(prefix(""), "<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>"), "fail: rule \"r\" moves"},
		"cold":           {rule(prefix(""), "<Transition><Days>40</Days><StorageClass>STANDARD_IA</StorageClass></Transition>"), "warn: rule \"r\" moves"},
		"old versions":   {rule(prefix(""), "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration>"), "pass"},
		"a date":         {rule(prefix(""), "<Expiration><Date>2030-01-01T00:00:00Z</Date></Expiration>"), "fail"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := checkWith(t, &bucketSettings{lifecycle: c.rules}, nil)
			if got := found(f, "s3.lifecycle"); !strings.HasPrefix(got, c.want) || strings.Count(got, "\n") != 1 {
				t.Errorf("want %q, found %q", c.want, got)
			}
		})
	}
}

// TestCheckFaults: a server that keeps no rule of ours is refused.
func TestCheckFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		bucket   bucketSettings
		adjust   func(*stage.Config)
		id, want string
	}{
		"replaces": {bucketSettings{careless: true}, nil, "s3.conditional_put", "fail: the server replaces an object"},
		"region": {
			bucketSettings{region: "us-west-2"},
			func(c *stage.Config) { c.Region = "eu-central-1" },
			"s3.region", "fail: the bucket is in us-west-2, log.region says eu-central-1",
		},
		"no encryption": {
			bucketSettings{plain: true},
			func(c *stage.Config) { c.KMSKey = "alias/lake" },
			"s3.encryption", "fail: log.kms_key is set, and the object is not encrypted",
		},
		"versions": {bucketSettings{versioning: "Enabled"}, nil, "s3.versioning", "warn: the bucket keeps old versions"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := checkWith(t, &c.bucket, c.adjust)
			if got := found(f, c.id); !strings.HasPrefix(got, c.want) {
				t.Errorf("found %q", got)
			}
			for _, x := range f.Of(change.LevelFail) {
				if x.Remedy == "" {
					t.Errorf("no remedy: %s", x)
				}
			}
		})
	}
}

// TestCheckReadOnly: without the right to write that is one fail, and what
// hangs on it is skipped.
func TestCheckReadOnly(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	l := open(t, f.config())
	f.inject(&fault{method: http.MethodPut, path: "check-", times: 9, code: http.StatusForbidden, name: "AccessDenied"})
	got := l.Check(t.Context())
	failed := got.Of(change.LevelFail)
	if len(failed) != 1 || failed[0].ID != "s3.put" || !strings.Contains(failed[0].Remedy, "s3:PutObject") {
		t.Errorf("failed: %v", failed)
	}
	skipped := got.Of(change.LevelSkipped)
	if !slices.ContainsFunc(skipped, func(x change.Finding) bool { return x.ID == "s3.delete" }) {
		t.Errorf("skipped: %v", skipped)
	}
}
