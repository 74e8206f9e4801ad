package source_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/source"
)

// hostile are settings that bend texts or break sessions.
func hostile() map[string]string {
	return map[string]string{
		"statement_timeout": "'1ms'", "lock_timeout": "'1ms'", "idle_in_transaction_session_timeout": "'1ms'",
		"idle_session_timeout": "'500ms'", "default_transaction_read_only": "on", "default_transaction_isolation": "'serializable'",
		"default_transaction_deferrable": "on",
		"search_path":                    "evil", "DateStyle": "'SQL, DMY'", "IntervalStyle": "sql_standard", "TimeZone": "'Asia/Kathmandu'",
		"extra_float_digits": "-15", "bytea_output": "escape", "xmloption": "document", "row_security": "on",
		"client_encoding": "LATIN1", "standard_conforming_strings": "off", "quote_all_identifiers": "on",
		"transform_null_equals": "on", "application_name": "x", "wal_sender_timeout": "'1s'",
	}
}

func (w *world) makeHostile() {
	w.t.Helper()
	for name, value := range hostile() {
		if name == "idle_session_timeout" && w.major() < 14 {
			continue
		}
		w.admin("ALTER ROLE " + w.src.Replicator + " SET " + name + " = " + value)
		w.admin("ALTER ROLE " + w.src.Replicator + " IN DATABASE " + w.src.Database + " SET " + name + " = " + value)
	}
}

func TestV14W14SessionsArePinned(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "CREATE TABLE t (id int PRIMARY KEY)")
	w.publish()
	w.makeHostile()
	s := w.server()
	ctx := t.Context()
	c, err := s.Connect(ctx)
	if err != nil {
		t.Fatalf("Connect: %v", err)
	}
	defer c.Close(ctx)
	pc, err := s.ConnectReplication(ctx)
	if err != nil {
		t.Fatalf("ConnectReplication: %v", err)
	}
	defer pc.Close(ctx)
	want := map[string]string{
		"statement_timeout": "0", "idle_in_transaction_session_timeout": "0", "idle_session_timeout": "0",
		"default_transaction_read_only": "off", "default_transaction_isolation": "read committed",
		"default_transaction_deferrable": "off", "search_path": "", "DateStyle": "ISO, YMD",
		"IntervalStyle": "postgres", "TimeZone": "UTC", "extra_float_digits": "3", "bytea_output": "hex", "xmloption": "content",
		"row_security": "off", "client_encoding": "UTF8", "standard_conforming_strings": "on", "quote_all_identifiers": "off",
		"transform_null_equals": "off", "application_name": "walshift/test", "lc_monetary": "C",
	}
	if w.major() < 14 {
		delete(want, "idle_session_timeout")
	}
	for name, value := range want {
		for kind, conn := range map[string]interface {
			show(context.Context, string) string
		}{"regular": shower{c.PgConn(), t}, "replication": shower{pc, t}} {
			if got := conn.show(ctx, name); got != value {
				t.Errorf("%s session: %s = %q, want %q", kind, name, got, value)
			}
		}
	}
	if got := (shower{c.PgConn(), t}).show(ctx, "lock_timeout"); got != "10s" {
		t.Errorf("regular session: lock_timeout = %s", got)
	}
	if got := (shower{pc, t}).show(ctx, "lock_timeout"); got != "0" {
		t.Errorf("replication session: lock_timeout = %s", got)
	}
	if got := (shower{pc, t}).show(ctx, "wal_sender_timeout"); got != "1min" {
		t.Errorf("wal_sender_timeout = %s", got)
	}
}

func TestSessionsByUnixSocketAndKeywords(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
	w.publish()
	w.cfg.DSN = w.src.ReplicatorSocketDSN()
	byURL, err := w.server().Identity(t.Context())
	if err != nil {
		t.Fatalf("Identity by socket: %v", err)
	}
	pg, _ := shared()
	w.cfg.DSN = "host=" + pg.SocketDir() + " port=" + w.text("SHOW port") + " dbname=" + w.src.Database +
		" user=" + w.src.Replicator + " password='" + w.src.ReplicatorPassword() + "' replication=true"
	id, err := w.server().Identity(t.Context())
	if err != nil || id.SystemID != byURL.SystemID || id.Timeline != 1 || id.Major() != w.major() || id.FlushLSN == 0 || id.InRecovery {
		t.Fatalf("Identity by keywords: %+v, %v", id, err)
	}
	cat := w.catalog(w.server())
	if !cat.Identity.Started.Equal(id.Started) || cat.Identity.Database != w.src.Database {
		t.Errorf("regular session says %+v, replication %+v", cat.Identity, id)
	}
	if l, err := cat.FlushLSN(t.Context()); err != nil || l < id.FlushLSN {
		t.Errorf("FlushLSN = %s, %v", l, err)
	}
	s := w.server()
	sess := w.slot(s)
	if got := w.snapshot(w.keeper(s, sess), 0)["public.t"]; !slices.Equal(got, []string{`"1"|`}) {
		t.Errorf("snapshot by socket: %v", got)
	}
}

func TestW18N2OtherServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "CREATE TABLE t (id int PRIMARY KEY)")
	w.publish()
	s := w.server()
	sess := w.slot(s)
	if err := sess.Identity.Same("1234"); !errors.Is(err, source.ErrOtherServer) || change.ScopeOf(err) != change.ScopeFatal {
		t.Errorf("Same: %v", err)
	}
	if err := sess.Identity.Same(sess.Identity.SystemID); err != nil {
		t.Errorf("Same: %v", err)
	}
	other := *sess
	other.Identity.SystemID = "1234"
	if _, err := s.OpenKeeper(t.Context(), &other); !errors.Is(err, source.ErrOtherServer) {
		t.Errorf("OpenKeeper on another cluster: %v", err)
	}
	other.Identity = sess.Identity
	other.Identity.Started = other.Identity.Started.Add(1e6)
	if _, err := s.OpenKeeper(t.Context(), &other); !errors.Is(err, source.ErrOtherServer) || change.ScopeOf(err) != change.ScopeRetry {
		t.Errorf("OpenKeeper on another server of the cluster: %v", err)
	}
	other = *sess
	other.Snapshot = "00000000-00000000-9"
	if _, err := s.OpenKeeper(t.Context(), &other); err == nil {
		t.Error("OpenKeeper took an unknown snapshot")
	}
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.cfg.DSN = strings.Replace(w.cfg.DSN, w.src.ReplicatorPassword(), "wr0ng", 1)
	_, err := w.server().OpenCatalog(t.Context())
	var f *change.Fault
	if !errors.As(err, &f) || f.Scope != change.ScopeFatal || f.Remedy == "" || strings.Contains(err.Error(), "wr0ng") {
		t.Errorf("wrong password: %v", err)
	}
}
