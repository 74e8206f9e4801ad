package deploy_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

type rule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func rules(t *testing.T) []rule {
	t.Helper()
	var file struct {
		Groups []struct {
			Rules []rule `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.Unmarshal([]byte(read(t, alerts)), &file); err != nil {
		t.Fatal(err)
	}
	var out []rule
	for _, g := range file.Groups {
		out = append(out, g.Rules...)
	}
	if len(out) == 0 {
		t.Fatal("there are no rules")
	}
	return out
}

// TestAlertRules: promtool accepts the rules, and they fire on what their tests
// say and on nothing else.
func TestAlertRules(t *testing.T) {
	t.Parallel()
	promtool(t, "", "check", "rules", alerts)
	promtool(t, "", "test", "rules", "../../deploy/alerts_test.yaml")
}

// TestEveryAlertIsUsable: each has a severity, words, a runbook that exists,
// metrics that exist, and a test in which it fires and one in which it does not.
func TestEveryAlertIsUsable(t *testing.T) {
	t.Parallel()
	docs := documented(t)
	var tests struct {
		Tests []struct {
			Alerts []struct {
				Name     string `yaml:"alertname"`
				Expected []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		} `yaml:"tests"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "../../deploy/alerts_test.yaml")), &tests); err != nil {
		t.Fatal(err)
	}
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, c := range tests.Tests {
		for _, a := range c.Alerts {
			fires[a.Name] = fires[a.Name] || len(a.Expected) > 0
			quiet[a.Name] = quiet[a.Name] || len(a.Expected) == 0
		}
	}
	link := regexp.MustCompile(`^https://github\.com/walshift/walshift/blob/main/deploy/runbooks/([a-z0-9-]+\.md)$`)
	for _, r := range rules(t) {
		if s := r.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s: severity %q", r.Alert, s)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s: no summary or no description", r.Alert)
		}
		if m := link.FindStringSubmatch(r.Annotations["runbook_url"]); m == nil {
			t.Errorf("%s: runbook_url %q", r.Alert, r.Annotations["runbook_url"])
		} else if _, err := os.Stat(filepath.Join(runbooks, m[1])); err != nil {
			t.Errorf("%s: %v", r.Alert, err)
		} else if !strings.Contains(read(t, filepath.Join(runbooks, m[1])), "`"+r.Alert+"`") {
			t.Errorf("%s does not name %s among its symptoms", m[1], r.Alert)
		}
		for _, name := range metricNames(r.Expr) {
			if !known(docs, name) {
				t.Errorf("%s: there is no metric %s", r.Alert, name)
			}
		}
		if !fires[r.Alert] || !quiet[r.Alert] {
			t.Errorf("%s: a test in which it fires: %v, one in which it does not: %v", r.Alert, fires[r.Alert], quiet[r.Alert])
		}
	}
}

type panel struct {
	ID         int            `json:"id"`
	Type       string         `json:"type"`
	Title      string         `json:"title"`
	Datasource map[string]any `json:"datasource"`
	GridPos    struct{ H, W, X, Y int }
	Targets    []struct {
		Expr       string         `json:"expr"`
		Datasource map[string]any `json:"datasource"`
	} `json:"targets"`
	Panels []panel `json:"panels"`
}

// TestDashboard: Grafana's file parses, its panels have ids of their own and do
// not overlap, ask the data source that the reader chose, and for metrics that
// exist.
func TestDashboard(t *testing.T) {
	t.Parallel()
	docs := documented(t)
	var d struct {
		Panels     []panel `json:"panels"`
		Templating struct {
			List []struct{ Name, Type, Query any }
		} `json:"templating"`
	}
	if err := json.Unmarshal([]byte(read(t, dashboard)), &d); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(d.Templating.List, func(v struct{ Name, Type, Query any }) bool {
		return v.Name == "datasource" && v.Type == "datasource" && v.Query == "prometheus"
	}) {
		t.Error("the data source is no variable")
	}
	runtime := regexp.MustCompile(`\b(go|process)_[a-z_]+`)
	used := map[string]bool{}
	ids := map[int]bool{}
	cells := map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.ID == 0 {
			t.Errorf("panel %q: id %d is taken", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, ok := cells[[2]int{x, y}]; ok {
					t.Fatalf("panels %q and %q overlap", p.Title, other)
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if len(p.Targets) == 0 {
			t.Errorf("panel %q asks nothing", p.Title)
		}
		for _, target := range p.Targets {
			if p.Datasource["uid"] != "${datasource}" || target.Datasource["uid"] != "${datasource}" {
				t.Errorf("panel %q has a data source of its own", p.Title)
			}
			if !strings.Contains(target.Expr, `instance=~"$instance"`) {
				t.Errorf("panel %q does not heed the chosen instances: %s", p.Title, target.Expr)
			}
			names := metricNames(target.Expr)
			for _, name := range names {
				used[name] = true
				if !known(docs, name) {
					t.Errorf("panel %q: there is no metric %s", p.Title, name)
				}
			}
			if len(names) == 0 && !runtime.MatchString(target.Expr) {
				t.Errorf("panel %q asks for no metric: %s", p.Title, target.Expr)
			}
		}
	}
	if len(used) < len(docs)/2 {
		t.Errorf("the dashboard shows %d of %d metrics", len(used), len(docs))
	}
}
