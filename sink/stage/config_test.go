package stage_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/walshift/walshift/sink/stage"
)

func TestConfigValidate(t *testing.T) {
	t.Parallel()
	good := stage.Config{URL: "s3://lake/a/b/", Pipeline: "shop"}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	bad := stage.Config{
		URL: "http://lake", Pipeline: "a/b", Compression: "lz4", FileBytes: 1, Parallel: 65,
		Timeout: time.Millisecond, AccessKeyID: "id", Endpoint: "lake:9000",
	}
	err := bad.Validate()
	for _, want := range []string{
		`log url "http://lake"`, `pipeline "a/b"`, `compression "lz4"`, "file bytes 1: want 65536 to 1073741824",
		"parallel 65: want 1 to 64", "timeout 1ms", "secret access key", `endpoint "lake:9000"`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
	for _, url := range []string{"s3://", "s3:///x", "lake", "s3://a//b//c", "s3://a/b?c", "s3://u@a/b", `s3://a/b'c`} {
		c := stage.Config{URL: url, Pipeline: "shop"}
		if c.Validate() == nil {
			t.Errorf("%s: no error", url)
		}
	}
	for _, name := range []string{"", "..", "a b", "é", strings.Repeat("x", 129)} {
		c := stage.Config{URL: "s3://a", Pipeline: name}
		if c.Validate() == nil {
			t.Errorf("pipeline %q: no error", name)
		}
	}
}

// TestConfigHidesSecrets: a configuration may end up in a log line.
func TestConfigHidesSecrets(t *testing.T) {
	t.Parallel()
	c := stage.Config{URL: "s3://lake", Pipeline: "shop", SecretAccessKey: "hush", SessionToken: "hush"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, c); strings.Contains(text, "hush") || !strings.Contains(text, "shop") {
			t.Errorf("%s: %s", verb, text)
		}
		if text := fmt.Sprintf(verb, &c); strings.Contains(text, "hush") {
			t.Errorf("%s of a pointer: %s", verb, text)
		}
	}
}

func TestConfigMemory(t *testing.T) {
	t.Parallel()
	c := stage.Config{FileBytes: 8 << 20}
	if got := c.Memory(2); got < 4*8<<20 || got > 150<<20 {
		t.Errorf("%d bytes", got)
	}
}

// TestURL: prefixes with and without slashes, and none.
func TestURL(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	for url, want := range map[string]string{
		"s3://lake": "s3://lake/shop/k", "s3://lake/": "s3://lake/shop/k", "s3://lake/a/b": "s3://lake/a/b/shop/k", "s3://lake/a/": "s3://lake/a/shop/k",
	} {
		cfg := f.config()
		cfg.URL = url
		l := open(t, cfg)
		if got := l.URL("k"); got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
		if l.Region() != "eu-central-1" {
			t.Errorf("region %s", l.Region())
		}
	}
}
