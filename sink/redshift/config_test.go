package redshift_test

import (
	"strings"
	"testing"
	"time"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift"
)

func TestConfigValidate(t *testing.T) {
	t.Parallel()
	good := redshift.DefaultConfig()
	good.DSN, good.IAMRole, good.Pipeline = "postgres://u:p@h:5439/d?sslmode=verify-full", "default", "shop"
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for key, spoil := range map[string]func(c *redshift.Config){
		"redshift.dsn":              func(c *redshift.Config) { c.DSN = "" },
		"redshift.iam_role":         func(c *redshift.Config) { c.IAMRole = "loader" },
		"pipeline":                  func(c *redshift.Config) { c.Pipeline = "Shop" },
		"apply.strategy":            func(c *redshift.Config) { c.Strategy = "guess" },
		"redshift.staging_sessions": func(c *redshift.Config) { c.StagingSessions = 0 },
		"target.schemas":            func(c *redshift.Config) { c.Schemas = map[string]string{"a": "WALSHIFT"} },
		"statement_timeout":         func(c *redshift.Config) { c.StatementTimeout = time.Microsecond },
		"lock wait":                 func(c *redshift.Config) { c.LockWait = 0 },
		"query_group":               func(c *redshift.Config) { c.QueryGroup = "a\x00" },
	} {
		c := good
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: error %v", key, err)
		}
	}
	c := redshift.Config{}
	if err := c.Validate(); strings.Count(err.Error(), "\n") < 4 {
		t.Errorf("not all faults at once: %v", err)
	}
}

// TestPasswordStaysOut: no error shows the DSN's password, however broken.
func TestPasswordStaysOut(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{
		"postgres://u:hunter2@h:port/d", "postgres://u:hun%ter2@h/d", "host=h password=hunter2 sslmode=wrong",
		"host=h password='hunter2", "postgres://u:hunter2@127.0.0.1:1/d?sslmode=disable",
	} {
		c := redshift.DefaultConfig()
		c.DSN, c.IAMRole, c.Pipeline = dsn, "default", "shop"
		w, err := redshift.New(c, nil, nil)
		if err == nil {
			_, err = w.Peek(t.Context())
		}
		if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "ter2@") {
			t.Errorf("%s: error %v", dsn, err)
		}
	}
}

// TestNotConnectedByNew: a daemon starts without Redshift, and its absence is
// retried.
func TestNotConnectedByNew(t *testing.T) {
	t.Parallel()
	c := redshift.DefaultConfig()
	c.DSN, c.IAMRole, c.Pipeline = "postgres://u@127.0.0.1:1/d?sslmode=disable", "default", "shop"
	w, err := redshift.New(c, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Arrive(t.Context(), 1); change.ScopeOf(err) != change.ScopeRetry {
		t.Errorf("error %v", err)
	}
	if err := w.GoLive(t.Context()); err == nil {
		t.Error("live without a server")
	}
}
