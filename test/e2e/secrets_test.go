package e2e_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/walshift/walshift/test/world"
)

// TestSecretsAndValuesStayInside: whatever goes wrong, neither passwords and
// keys nor values of rows appear in log, status, metrics, other answers, and
// the process list.
func TestSecretsAndValuesStayInside(t *testing.T) {
	t.Parallel()
	const canary = world.Canary
	w := plainWorld(t, world.Config{DDL: `
		CREATE TABLE keyed (k text PRIMARY KEY, v text, n numeric, d date);
		CREATE TABLE edited (LIKE keyed INCLUDING ALL);
		CREATE TABLE long (LIKE keyed INCLUDING ALL);
		CREATE TABLE changed (LIKE keyed INCLUDING ALL);
		CREATE TABLE dropped (LIKE keyed INCLUDING ALL);
		CREATE TABLE doubled (LIKE keyed INCLUDING ALL);
		INSERT INTO keyed SELECT '` + canary + `' || i, '` + canary + `', i, '2024-01-01' FROM generate_series(1, 20) i;
		INSERT INTO edited SELECT * FROM keyed; INSERT INTO long SELECT * FROM keyed; INSERT INTO changed SELECT * FROM keyed;
		INSERT INTO dropped SELECT * FROM keyed; INSERT INTO doubled SELECT * FROM keyed;`})
	w.Sections["values"] = "{oversize: fail, nan: fail, infinity: fail}"
	d := streaming(t, w)
	var seen []string
	look := func(d *world.Daemon) {
		seen = append(seen, d.Log())
		cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", d.PID()))
		if err != nil || len(cmdline) == 0 {
			t.Errorf("reading the command line: %v", err)
		}
		seen = append(seen, string(cmdline))
		for _, path := range []string{"/status", "/metrics", "/healthz", "/readyz", "/wait?lsn=0/1&timeout=1s", "/wait?lsn=" + canary} {
			_, body, err := d.Get(t.Context(), path)
			if err != nil {
				t.Errorf("%s: %v", path, err)
			}
			if path != "/wait?lsn="+canary {
				seen = append(seen, string(body))
			}
		}
		for _, args := range [][]string{{"status"}, {"status", "--json"}, {"wait", "--timeout", "2s"}, {"version"}} {
			out, _, err := w.Command(t.Context(), args...)
			if err != nil {
				t.Error(err)
			}
			seen = append(seen, out)
		}
	}
	// Somebody edits one target, drops another, doubles a third; the
	// application writes what can't be held, and changes a table.
	first(t, w.TargetDSN(), `DELETE FROM edited WHERE n < 5`)
	first(t, w.TargetDSN(), `DROP TABLE dropped`)
	first(t, w.TargetDSN(), `INSERT INTO doubled SELECT * FROM doubled`)
	for _, table := range []string{"keyed", "edited", "long", "changed", "dropped", "doubled"} {
		exec(t, w, `UPDATE `+table+` SET v = v || '!'`)
	}
	exec(t, w, `UPDATE long SET v = repeat('`+canary+`', 6000) WHERE n = 3`, `INSERT INTO keyed VALUES ('`+canary+`-x', NULL, 'NaN', 'infinity')`,
		`ALTER TABLE changed ADD COLUMN more text DEFAULT '`+canary+`'`, `UPDATE changed SET more = '`+canary+`2'`)
	err := d.Until(within(t, 60*time.Second), "six tables are stopped", func(s world.Status) bool {
		stopped := 0
		for _, tab := range s.Tables {
			if tab.State == "stopped" {
				stopped++
			}
		}
		return stopped == 6
	})
	if err != nil {
		t.Error(err)
	}
	look(d)
	// The warehouse's password changes, S3 goes away, sessions are ended.
	if err := w.Target.CreateUser(t.Context(), "loader", "another-pw"); err != nil {
		t.Fatal(err)
	}
	superuser(t, w, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'walshift/%'`)
	until(t, 30*time.Second, "the stream is lost", func() bool { return strings.Contains(d.Log(), "capture_reconnecting") })
	d.Kill()
	d = startDaemon(t, w)
	until(t, 60*time.Second, "the password is refused", func() bool { return strings.Contains(d.Log(), "password authentication failed") })
	look(d)
	w.S3.Halt()
	exec(t, w, `INSERT INTO edited VALUES ('`+canary+`-y')`)
	until(t, 60*time.Second, "S3 is missed", func() bool { return strings.Contains(d.Log(), "connection refused") })
	look(d)
	d.Kill()
	seen = append(seen, d.Log())
	all := strings.Join(seen, "\n")
	for _, shown := range []string{"public.long", "walshift_build_info", `"applied_lsn"`, "run\x00-c", "connection refused", "is NaN"} {
		if !strings.Contains(all, shown) {
			t.Errorf("nothing says %q: has everything been looked at?", shown)
		}
	}
	for _, secret := range append(secrets(w), canary, "another-pw", w.S3.SecretKey()) {
		for _, text := range seen {
			if at := strings.Index(text, secret); at >= 0 {
				t.Errorf("%q is shown: …%s…", secret, text[max(0, at-300):min(len(text), at+300)])
			}
		}
	}
}
