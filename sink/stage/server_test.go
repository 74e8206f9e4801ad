package stage_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/stage"
	"github.com/walshift/walshift/test/cluster"
)

// realServer starts a real S3 server with a bucket and returns the log's
// configuration.
func realServer(t *testing.T, cfg cluster.S3Config) stage.Config {
	t.Helper()
	s := cluster.RunS3(t, cfg)
	if err := s.CreateBucket(t.Context(), bucket); err != nil {
		t.Fatal(err)
	}
	return stage.Config{
		URL: "s3://" + bucket + "/pre", Pipeline: "shop", Region: s.Region(), Endpoint: s.Endpoint(),
		AccessKeyID: s.AccessKey(), SecretAccessKey: s.SecretKey(),
	}
}

// TestRacersForManifests: many writers want each number; one gets it, all
// others learn who.
func TestRacersForManifests(t *testing.T) {
	t.Parallel()
	cfg := realServer(t, cluster.S3Config{})
	const racers, rounds = 12, 5
	logs := make([]*stage.Log, racers)
	for i := range logs {
		logs[i] = open(t, cfg)
	}
	for seq := uint64(1); seq <= rounds; seq++ {
		results := make([]error, racers)
		var wg sync.WaitGroup
		for i, l := range logs {
			wg.Go(func() {
				m := manifest(seq)
				m.Attempt = fmt.Sprintf("racer-%d", i)
				results[i] = l.Commit(t.Context(), m)
			})
		}
		wg.Wait()
		there, err := logs[0].Read(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		winners := 0
		for i, err := range results {
			var taken *stage.TakenError
			switch {
			case err == nil:
				winners++
				if there.Attempt != fmt.Sprintf("racer-%d", i) {
					t.Errorf("batch %d: racer %d was told it won over %s", seq, i, there.Attempt)
				}
			case !errors.As(err, &taken) || taken.Manifest.Attempt != there.Attempt:
				t.Errorf("batch %d, racer %d: %v", seq, i, err)
			}
		}
		if winners != 1 {
			t.Errorf("batch %d: %d winners", seq, winners)
		}
	}
}

// TestRealServer: the whole way over TLS, which signs and sums bodies in
// another way than plain HTTP.
func TestRealServer(t *testing.T) {
	ca, err := cluster.NewCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Issue("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CA_BUNDLE", cert.CAFile)
	l := open(t, realServer(t, cluster.S3Config{TLS: cert}))
	for seq := uint64(1); seq <= 3; seq++ {
		m := manifest(seq)
		entry, err := l.WriteSegment(t.Context(), seq, m.Attempt, 0, smallSegment())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.WriteSegment(t.Context(), seq, m.Attempt, 0, smallSegment()); err != nil {
			t.Errorf("the same again: %v", err)
		}
		m.Segments = []change.SegmentFiles{entry}
		if err := l.Commit(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.PutCopyManifest(t.Context(), "x", []change.File{{Key: "k", Bytes: 1}}); err != nil {
		t.Error(err)
	}
	if first, err := l.First(t.Context()); err != nil || first != 1 {
		t.Errorf("first %d, %v", first, err)
	}
	if last, err := l.Last(t.Context()); err != nil || last != 3 {
		t.Errorf("last %d, %v", last, err)
	}
	got, err := l.ReadFrom(t.Context(), 2, 10)
	if err != nil || len(got) != 2 {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := l.Read(t.Context(), 9); !errors.Is(err, stage.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	n, err := l.Collect(t.Context(), stage.Horizon{Seq: 3, Now: got[0].LastCommit.AddDate(1, 0, 0)})
	if err != nil || n.Manifests != 2 || n.Data != 8 {
		t.Errorf("collected %+v, %v", n, err)
	}
	if n, err := l.DeleteAll(t.Context(), true); err != nil || n == 0 {
		t.Errorf("deleted %d, %v", n, err)
	}
	if last, err := l.Last(t.Context()); err != nil || last != 0 {
		t.Errorf("last %d, %v", last, err)
	}
}

// TestWrongKeys: the real server's answer to bad credentials has a remedy.
func TestWrongKeys(t *testing.T) {
	t.Parallel()
	cfg := realServer(t, cluster.S3Config{})
	cfg.SecretAccessKey = "wrong"
	_, err := stage.Open(t.Context(), cfg)
	var f *change.Fault
	if !errors.As(err, &f) || f.Scope != change.ScopeLoop || f.Remedy == "" {
		t.Errorf("got %v", err)
	}
}

// TestLastAmongManyObjects: finding the log's end on the real server stays
// below 70 requests whatever the number of objects, which are written into the
// server's folder. WALSHIFT_OBJECTS sets their number; `make test-big` takes a
// million.
func TestLastAmongManyObjects(t *testing.T) {
	t.Parallel()
	objects := 20_000
	if s := os.Getenv("WALSHIFT_OBJECTS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		objects = n
	}
	server := cluster.RunS3(t, cluster.S3Config{})
	if err := server.CreateBucket(t.Context(), bucket); err != nil {
		t.Fatal(err)
	}
	// Half of them manifests, with holes; half data files.
	dir := filepath.Join(server.Dir(), bucket, "pre", "shop")
	if err := os.MkdirAll(filepath.Join(dir, "log"), 0o755); err != nil {
		t.Fatal(err)
	}
	var last uint64
	for i := range objects / 2 {
		last = uint64(i)*3 + 1
		name := filepath.Join(dir, "log", fmt.Sprintf("%020d.json", last))
		if err := os.WriteFile(name, []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
		folder := filepath.Join(dir, "data", fmt.Sprintf("%020d-0123456789abcdef", last))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "0000-insert-00.csv.zst"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var requests atomic.Int64
	target, err := url.Parse(server.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		requests.Add(1)
		r.SetURL(target)
		r.Out.Host = r.In.Host // the signature covers it
	}}
	front := httptest.NewServer(proxy)
	defer front.Close()
	l := open(t, stage.Config{
		URL: "s3://" + bucket + "/pre", Pipeline: "shop", Region: server.Region(), Endpoint: front.URL,
		AccessKeyID: server.AccessKey(), SecretAccessKey: server.SecretKey(), Timeout: 5 * time.Minute,
	})
	got, err := l.Last(t.Context())
	if err != nil || got != last {
		t.Errorf("last %d, %v; want %d", got, err, last)
	}
	if n := requests.Load(); n > 70 {
		t.Errorf("opening the log and finding its end took %d requests among %d objects", n, objects)
	} else {
		t.Logf("%d requests among %d objects", n, objects)
	}
}
