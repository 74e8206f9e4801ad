package stage_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/stage"
)

// manifest makes an empty batch in a chain of equal steps.
func manifest(seq uint64) *change.Manifest {
	at := change.LSN(0x1000 * seq)
	return &change.Manifest{
		Version: change.FormatVersion, Pipeline: "shop", Epoch: 1, Attempt: fmt.Sprintf("attempt-%d", seq),
		SystemID: "7000000000000000001", Timeline: 1, Seq: seq, Prev: at, Begin: at, End: at + 0x1000,
		FirstCommit: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), LastCommit: time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC),
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	got = append(got, '\n')
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; run with UPDATE_GOLDEN=1 if that is meant. Got:\n%s", path, got)
	}
}

// TestManifestGolden pins the format of a manifest, which outlives versions.
func TestManifestGolden(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	l := open(t, f.config())
	missing := "0"
	s := smallSegment()
	s.Relation.Columns[1].Missing = &missing
	m := manifest(7)
	entry, err := l.WriteSegment(t.Context(), m.Seq, m.Attempt, 0, s)
	if err != nil {
		t.Fatal(err)
	}
	for i := range entry.Files { // what depends on the compressor's version
		entry.Files[i].Bytes, entry.Files[i].SHA256 = 1, strings.Repeat("0", 64)
	}
	m.Segments = []change.SegmentFiles{entry}
	m.Transactions = 8
	m.Tables = []change.TableCapture{{OID: 4711, Schema: "public", Name: "orders", X: 0x1000, SnapshotComplete: true, Relation: s.Relation}}
	if err := l.Commit(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	golden(t, "manifest.json", f.body(t, "log/00000000000000000007.json"))
	back, err := l.Read(t.Context(), 7)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := m.Encode()
	b, _ := back.Encode()
	if !bytes.Equal(a, b) {
		t.Errorf("read back as %s", b)
	}
}

// TestW1MandatoryEntries: COPY skips a missing file silently unless told.
func TestW1MandatoryEntries(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	l := open(t, f.config())
	files := []change.File{
		{Key: "data/x/0000-insert-00.csv.zst", Bytes: 17, NullMarker: "m", Compression: "zstd"},
		{Key: "data/x/0000-insert-01.csv.zst", Bytes: 4, NullMarker: "m", Compression: "zstd"},
	}
	url, err := l.PutCopyManifest(t.Context(), "7-a1-0", files)
	if err != nil || url != "s3://lake/pre/shop/copy/7-a1-0.manifest" {
		t.Fatal(url, err)
	}
	body := f.body(t, "copy/7-a1-0.manifest")
	golden(t, "copy.manifest", body)
	var m struct{ Entries []map[string]any }
	if err := json.Unmarshal(body, &m); err != nil || len(m.Entries) != 2 {
		t.Fatal(err, len(m.Entries))
	}
	for i, e := range m.Entries {
		if e["mandatory"] != true || e["url"] != l.URL(files[i].Key) {
			t.Errorf("entry %v", e)
		}
	}
	for name, bad := range map[string][]change.File{
		"none":        nil,
		"twice":       {files[0], files[0]},
		"marker":      {files[0], {Key: "k", NullMarker: "n", Compression: "zstd"}},
		"compression": {files[0], {Key: "k", NullMarker: "m", Compression: "gzip"}},
		"a/b":         files,
	} {
		if _, err := l.PutCopyManifest(t.Context(), name, bad); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestW2NoKeyIsPrefix: FROM is a prefix, so no manifest's URL may begin
// another's, whatever their names.
func TestW2NoKeyIsPrefix(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	l := open(t, f.config())
	var urls []string
	for _, name := range []string{"batch1", "batch10", "batch1.manifest", "batch1.manifest0"} {
		url, err := l.PutCopyManifest(t.Context(), name, []change.File{{Key: "k", Bytes: 1}})
		if err != nil {
			if strings.Contains(name, ".manifest") {
				continue
			}
			t.Fatal(err)
		}
		urls = append(urls, url)
	}
	for i, a := range urls {
		for k, b := range urls {
			if i != k && strings.HasPrefix(b, a) {
				t.Errorf("%s begins %s", a, b)
			}
		}
	}
}

// TestV17OwnManifest: the PUT took effect and its answer was lost. Whether the
// SDK or the caller tries again, 412 on our own attempt is success.
func TestV17OwnManifest(t *testing.T) {
	t.Parallel()
	for _, lost := range []int{1, 3, 4} {
		t.Run(fmt.Sprint(lost, " answers lost"), func(t *testing.T) {
			t.Parallel()
			f := newFakeS3(t)
			l := open(t, f.config())
			f.inject(&fault{method: http.MethodPut, path: "/log/", times: lost})
			m := manifest(1)
			err := l.Commit(t.Context(), m)
			if lost >= 3 { // all of the SDK's own tries
				if change.ScopeOf(err) != change.ScopeRetry || err == nil {
					t.Errorf("got %v, want a fault to retry", err)
				}
				err = l.Commit(t.Context(), m)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestCommitTaken: another attempt's manifest comes back in the error.
func TestCommitTaken(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	l := open(t, f.config())
	theirs := manifest(3)
	theirs.Attempt, theirs.Epoch = "theirs", 2
	if err := l.Commit(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	err := l.Commit(t.Context(), manifest(3))
	var taken *stage.TakenError
	if !errors.As(err, &taken) || taken.Manifest.Attempt != "theirs" || taken.Manifest.Epoch != 2 {
		t.Errorf("got %v", err)
	}
}

// TestCommitConflicts: 409, and 412 on an object that is gone when it is read,
// lead to another PUT, and not for ever.
func TestCommitConflicts(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	l := open(t, f.config())
	f.inject(&fault{method: http.MethodPut, path: "/log/", times: 2, code: http.StatusConflict, name: "ConditionalRequestConflict"})
	f.inject(&fault{method: http.MethodPut, path: "/log/", times: 1, code: http.StatusPreconditionFailed, name: "PreconditionFailed"})
	if err := l.Commit(t.Context(), manifest(1)); err != nil {
		t.Error(err)
	}
	if n := f.count("PUT"); n != 4 {
		t.Errorf("%d PUTs", n)
	}
	f.inject(&fault{method: http.MethodPut, path: "/log/", times: 1000, code: http.StatusConflict, name: "ConditionalRequestConflict"})
	err := l.Commit(t.Context(), manifest(2))
	if err == nil || change.ScopeOf(err) != change.ScopeRetry {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Commit(ctx, manifest(2)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestCommitRefusesNonsense: what Read would refuse is never written.
func TestCommitRefusesNonsense(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	l := open(t, f.config())
	m := manifest(1)
	m.Begin = m.End + 1
	if err := l.Commit(t.Context(), m); change.ScopeOf(err) != change.ScopeFatal || f.count("PUT") != 0 {
		t.Errorf("got %v", err)
	}
}

// TestReadRefuses: a manifest that is not what its place says.
func TestReadRefuses(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	l := open(t, f.config())
	for name, edit := range map[string]func(*change.Manifest){
		"version":  func(m *change.Manifest) { m.Version = change.FormatVersion + 1 },
		"pipeline": func(m *change.Manifest) { m.Pipeline = "other" },
		"seq":      func(m *change.Manifest) { m.Seq = 6 },
	} {
		m := manifest(5)
		edit(m)
		b, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		f.store(t, "pre/shop/log/00000000000000000005.json", b)
		if _, err := l.Read(t.Context(), 5); !errors.Is(err, change.ErrBadManifest) || change.ScopeOf(err) != change.ScopeFatal {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := l.Read(t.Context(), 4); !errors.Is(err, stage.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

// TestFaultScopes: which errors time heals, and which an operator.
func TestFaultScopes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code   int
		name   string
		scope  change.Scope
		remedy string
	}{
		{500, "InternalError", change.ScopeRetry, ""},
		{503, "SlowDown", change.ScopeRetry, ""},
		{0, "", change.ScopeRetry, ""},
		{400, "RequestTimeout", change.ScopeRetry, ""},
		{403, "AccessDenied", change.ScopeLoop, "s3:PutObject"},
		{403, "InvalidAccessKeyId", change.ScopeLoop, "credentials"},
		{403, "RequestTimeTooSkewed", change.ScopeLoop, "clock"},
		{404, "NoSuchBucket", change.ScopeLoop, "create bucket lake"},
		{301, "PermanentRedirect", change.ScopeLoop, "log.region"},
		{400, "KMS.DisabledException", change.ScopeLoop, "look the error code up"},
	} {
		t.Run(fmt.Sprint(c.code, " ", c.name), func(t *testing.T) {
			t.Parallel()
			f := newFakeS3(t)
			l := open(t, f.config())
			f.inject(&fault{method: http.MethodGet, path: "/log/", times: 100, code: c.code, name: c.name})
			_, err := l.Read(t.Context(), 1)
			var x *change.Fault
			if !errors.As(err, &x) || x.Scope != c.scope || !strings.Contains(x.Remedy, c.remedy) {
				t.Errorf("got %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error holds the secret: %v", err)
			}
		})
	}
}

// TestUploadFails: a segment whose upload fails is not returned, and can be
// written again.
func TestUploadFails(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	l := open(t, f.config())
	f.inject(&fault{method: http.MethodPut, path: "-partial-", times: 3, code: 500, name: "InternalError"})
	_, err := l.WriteSegment(t.Context(), 1, "a1", 0, smallSegment())
	if err == nil || change.ScopeOf(err) != change.ScopeRetry {
		t.Errorf("got %v", err)
	}
	// Answers lost: the file is there, and is ours.
	f.inject(&fault{method: http.MethodPut, path: "-insert-", times: 1})
	entry, err := l.WriteSegment(t.Context(), 1, "a1", 0, smallSegment())
	if err != nil || len(entry.Files) != 4 {
		t.Errorf("got %v", err)
	}
}

// TestOpenRemedies: what can be wrong at the start, each with its next step.
func TestOpenRemedies(t *testing.T) {
	f := newFakeS3(t)
	for name, c := range map[string]struct {
		edit   func(*stage.Config)
		remedy string
	}{
		"bucket": {func(c *stage.Config) { c.URL = "s3://nowhere/pre" }, "create bucket nowhere"},
		"region": {func(c *stage.Config) { c.Region, c.Endpoint = "", "" }, "log.region"},
		"credentials": {
			func(c *stage.Config) { c.AccessKeyID, c.SecretAccessKey = "", "" }, "AWS credentials",
		},
	} {
		for _, v := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
			t.Setenv(v, "")
		}
		t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
		t.Setenv("AWS_CONFIG_FILE", "/dev/null")
		t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
		cfg := f.config()
		c.edit(&cfg)
		l, err := stage.Open(t.Context(), cfg)
		var x *change.Fault
		if !errors.As(err, &x) || x.Scope != change.ScopeLoop || !strings.Contains(x.Remedy, c.remedy) {
			t.Errorf("%s: %v", name, err)
		}
		if l != nil {
			t.Errorf("%s: a log beside an error", name)
		}
	}
}

func TestOpenUnreachable(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	cfg := f.config()
	f.Close()
	if _, err := stage.Open(t.Context(), cfg); err == nil || change.ScopeOf(err) != change.ScopeRetry {
		t.Errorf("got %v", err)
	}
}

// TestSilentServer: a server that accepts and says nothing costs the timeout.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	cfg := f.config()
	cfg.Timeout = time.Second
	l := open(t, cfg)
	release := make(chan struct{})
	defer close(release)
	f.handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	if err := l.Commit(t.Context(), manifest(1)); err == nil || change.ScopeOf(err) != change.ScopeRetry {
		t.Errorf("got %v", err)
	}
}
