package statements_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/walshift/walshift/test/statements"
	"github.com/walshift/walshift/test/world"
)

func TestMain(m *testing.M) {
	code := m.Run()
	world.Cleanup()
	os.Exit(code)
}

// TestSmallWorld: all that one pipeline sends from its first start to its
// teardown is listed, and all its sessions say whose they are.
//
//nolint:paralleltest // it sets the environment
func TestSmallWorld(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("WALSHIFT_STATEMENTS", dir)
	replicator := live(t)
	sent, err := statements.Collect(dir, keeps(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, side := range sides() {
		if len(sent[side]) < 20 {
			t.Errorf("only %d shapes of %s were collected", len(sent[side]), side)
		}
		for _, shape := range load(t, side).Unlisted(sent[side]) {
			t.Errorf("not listed in test/statements/%s.yaml (make statements adds it, to be given its notes):\n%s", side, shape)
		}
	}
	err = statements.Read(dir, func(s statements.Sent) error {
		if s.User == replicator && !s.Own() {
			t.Errorf("a session without walshift's application_name sent %q", s.SQL)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// live runs one pipeline's whole life and returns the name of its role on the
// source.
func live(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	w, err := world.Start(ctx, world.Config{DDL: `
		CREATE TABLE numbered (id bigint PRIMARY KEY, v text, doc jsonb);
		ALTER TABLE numbered ALTER COLUMN v SET STORAGE EXTERNAL;
		CREATE TABLE named (k text PRIMARY KEY, v text);
		CREATE TABLE plain (what text);
		INSERT INTO numbered SELECT i, repeat('x', 5000), '{}' FROM generate_series(1, 10) i;
		INSERT INTO named SELECT i, i FROM generate_series(1, 10) i;`})
	defer func() {
		if err := w.Stop(); err != nil {
			t.Errorf("stopping the world: %v", err)
		}
	}()
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range [][]string{
		{`UPDATE named SET v = 'u' WHERE k > '5'`, `DELETE FROM named WHERE k < '3'`, `INSERT INTO plain VALUES ('a')`},
		{`UPDATE numbered SET doc = '{"a": 1}' WHERE id < 5`, `DELETE FROM numbered WHERE id = 7`, `TRUNCATE plain`},
	} {
		d, err := w.Run(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.UntilStreaming(ctx); err != nil {
			t.Fatal(err)
		}
		if err := w.SQL(ctx, step...); err != nil {
			t.Fatal(err)
		}
		if err := w.WaitApplied(ctx, time.Minute); err != nil {
			t.Fatal(err)
		}
		if err := d.Stop(ctx); err != nil {
			t.Fatalf("%v\n%s", err, d.LogTail(20))
		}
	}
	if out, code, err := w.Command(ctx, "teardown", "--yes", "--drop-targets"); err != nil || code != 0 {
		t.Fatalf("teardown: exit code %d, %v\n%s", code, err, out)
	}
	return w.Source.Replicator
}
