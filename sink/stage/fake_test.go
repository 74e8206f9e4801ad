package stage_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/walshift/walshift/sink/stage"
)

// fakeS3 is an S3 server in process with faults in front.
type fakeS3 struct {
	*httptest.Server
	backend *s3mem.Backend
	handler http.Handler
	clock   clock

	mu       sync.Mutex
	requests []string
	faults   []*fault
}

// fault meets the next requests that match.
type fault struct {
	method, path string // path is a part of the URL's
	times        int
	// code is sent instead of an answer; 0 lets the request take effect and
	// cuts the connection before the answer.
	code int
	name string // the error's code in XML
	then func() // runs before
}

// clock is settable; objects are stamped by it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Since implements the server's interface.
func (c *clock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

const bucket = "lake"

func newFakeS3(tb testing.TB) *fakeS3 {
	tb.Helper()
	f := &fakeS3{clock: clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}}
	f.backend = s3mem.New(s3mem.WithTimeSource(&f.clock))
	if err := f.backend.CreateBucket(bucket); err != nil {
		tb.Fatal(err)
	}
	f.handler = gofakes3.New(f.backend).Server()
	f.Server = httptest.NewServer(f)
	tb.Cleanup(f.Close)
	return f
}

// ServeHTTP implements http.Handler.
func (f *fakeS3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	hit := f.meet(r)
	switch {
	case hit == nil:
		f.handler.ServeHTTP(w, r)
	case hit.code == 0:
		f.handler.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	default:
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(hit.code)
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>injected</Message></Error>", hit.name)
	}
}

func (f *fakeS3) meet(r *http.Request) *fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, r.Method+" "+r.URL.Path)
	for _, x := range f.faults {
		if x.times > 0 && x.method == r.Method && strings.Contains(r.URL.Path, x.path) {
			x.times--
			if x.then != nil {
				x.then()
			}
			return x
		}
	}
	return nil
}

func (f *fakeS3) inject(x *fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, x)
}

// count returns the number of requests since the last call.
func (f *fakeS3) count(prefix string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, r := range f.requests {
		if strings.HasPrefix(r, prefix) {
			n++
		}
	}
	f.requests = nil
	return n
}

// store puts an object past the requests.
func (f *fakeS3) store(tb testing.TB, key string, body []byte) {
	tb.Helper()
	if _, err := f.backend.PutObject(bucket, key, map[string]string{}, bytes.NewReader(body), int64(len(body)), nil); err != nil {
		tb.Fatal(err)
	}
}

// keys lists all objects by the tail of their keys.
func (f *fakeS3) keys(tb testing.TB) []string {
	tb.Helper()
	list, err := f.backend.ListBucket(bucket, nil, gofakes3.ListBucketPage{})
	if err != nil {
		tb.Fatal(err)
	}
	var keys []string
	for _, c := range list.Contents {
		keys = append(keys, strings.TrimPrefix(c.Key, "pre/shop/"))
	}
	return keys
}

func (f *fakeS3) body(tb testing.TB, key string) []byte {
	tb.Helper()
	o, err := f.backend.GetObject(bucket, "pre/shop/"+key, nil)
	if err != nil {
		tb.Fatal(err)
	}
	defer o.Contents.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(o.Contents); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func (f *fakeS3) config() stage.Config {
	return stage.Config{
		URL: "s3://" + bucket + "/pre", Pipeline: "shop", Region: "eu-central-1", Endpoint: f.URL,
		AccessKeyID: "id", SecretAccessKey: "secret",
	}
}

func open(tb testing.TB, cfg stage.Config) *stage.Log {
	tb.Helper()
	l, err := stage.Open(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(l.Close)
	return l
}
