package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/walshift/walshift/test/world"
)

const (
	alerts    = "../../deploy/alerts.yaml"
	dashboard = "../../deploy/dashboard.json"
	runbooks  = "../../deploy/runbooks"
	metrics   = "../../docs/metrics.md"
)

func TestMain(m *testing.M) {
	code := m.Run()
	world.Cleanup()
	os.Exit(code)
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// promtool runs promtool with an input and fails the test with what it says.
func promtool(t *testing.T, input string, args ...string) {
	t.Helper()
	path := os.Getenv("WALSHIFT_PROMTOOL")
	if path == "" {
		cache := os.Getenv("WALSHIFT_CACHE")
		if cache == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				t.Fatal(err)
			}
			cache = filepath.Join(home, ".cache", "walshift")
		}
		path = filepath.Join(cache, "bin", "promtool")
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("promtool is missing (run test/install.sh runtime, or set WALSHIFT_PROMTOOL): %v", err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// documented returns the metrics that docs/metrics.md lists, with their types.
func documented(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(walshift_[a-z0-9_]+)` \\| ([a-z]+) \\|").FindAllStringSubmatch(read(t, metrics), -1) {
		out[m[1]] = m[2]
	}
	if len(out) == 0 {
		t.Fatal("docs/metrics.md lists no metric")
	}
	return out
}

// metricNames returns the names of metrics in an expression or a text.
func metricNames(text string) []string {
	return regexp.MustCompile(`\bwalshift_[a-z0-9_]+`).FindAllString(text, -1)
}

// known reports whether a name is a metric, or a series of a histogram.
func known(docs map[string]string, name string) bool {
	if _, ok := docs[name]; ok {
		return true
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(name, suffix); ok && docs[base] == "histogram" {
			return true
		}
	}
	return false
}
