package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/exporter-toolkit/web"

	"github.com/walshift/walshift/test/cluster"
)

// daemon stands in for the HTTP server of a daemon: healthy, or stuck.
type daemon struct {
	address, config string
}

// serveDaemon serves with a web_config, "" for none.
func serveDaemon(t *testing.T, webConfig string, handler http.HandlerFunc) daemon {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = web.Serve(l, server, &web.FlagConfig{WebConfigFile: &webConfig}, slog.New(slog.DiscardHandler))
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	d := daemon{address: l.Addr().String(), config: filepath.Join(t.TempDir(), "walshift.yaml")}
	// The probe needs this section alone; the variable is not set for it.
	text := fmt.Sprintf("source: {dsn: \"${WALSHIFT_NO_SUCH}\"}\nhttp: {listen: \":%s\", web_config: %q}\n", port, webConfig)
	if err := os.WriteFile(d.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return d
}

func healthy(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/healthz" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}

// status runs `walshift status --probe` and returns exit code and output.
func runProbe(t *testing.T, d daemon, args ...string) (code int, output string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), append([]string{"status", "--probe", "-c", d.config}, args...), &out, &errs)
	if out.Len() > 0 || code == exitOK && errs.Len() > 0 {
		t.Errorf("the probe says %q, %q", out.String(), errs.String())
	}
	return code, errs.String()
}

func TestProbe(t *testing.T) {
	t.Parallel()
	if code, text := runProbe(t, serveDaemon(t, "", healthy)); code != exitOK {
		t.Errorf("a healthy daemon: exit code %d, %s", code, text)
	}
	stuck := serveDaemon(t, "", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "capture has not moved for 5m", http.StatusServiceUnavailable)
	})
	if code, text := runProbe(t, stuck); code != exitError || !strings.Contains(text, "capture has not moved") {
		t.Errorf("a stuck daemon: exit code %d, %s", code, text)
	}
	gone := daemon{config: filepath.Join(t.TempDir(), "none.yaml")}
	if code, text := runProbe(t, gone); code != exitError || !strings.Contains(text, "none.yaml") {
		t.Errorf("no configuration: exit code %d, %s", code, text)
	}
}

// TestProbeDoesNotHang: a daemon that accepts and is silent is not healthy.
func TestProbeDoesNotHang(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	silent := serveDaemon(t, "", func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	began := time.Now()
	if code, text := runProbe(t, silent); code != exitError || !strings.Contains(text, "deadline") {
		t.Errorf("exit code %d, %s", code, text)
	}
	if took := time.Since(began); took < probeTimeout || took > 10*probeTimeout {
		t.Errorf("the probe took %s", took)
	}
}

// secured writes a web_config with a certificate of another name than the
// daemon's address, as certificates usually have.
func secured(t *testing.T, ca *cluster.CA, name, more string) string {
	t.Helper()
	cert, err := ca.Issue(name)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for from, to := range map[string]string{cert.CertFile: "server.crt", cert.KeyFile: "server.key"} {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, to), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "web.yaml") // names in it are relative to its folder
	text := "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n" + more
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func authority(t *testing.T) *cluster.CA {
	t.Helper()
	ca, err := cluster.NewCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// TestOwnDaemonIsKnownByItsCertificate: neither its name nor its issuer
// matters, and another certificate is refused, whoever issued it.
func TestOwnDaemonIsKnownByItsCertificate(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	config := secured(t, ca, "walshift.example.com", "")
	d := serveDaemon(t, config, healthy)
	if code, text := runProbe(t, d); code != exitOK {
		t.Errorf("exit code %d, %s", code, text)
	}
	other := secured(t, ca, "walshift.example.com", "")
	if _, _, err := (&clientFlags{}).ask(t.Context(), httpSection{Listen: d.address, WebConfig: other}, "/healthz", time.Minute); err == nil ||
		!strings.Contains(err.Error(), "another certificate") {
		t.Errorf("another certificate: %v", err)
	}
	// A certificate that was replaced in its file is served, and known, at once.
	for _, name := range []string{"server.crt", "server.key"} {
		if err := os.Rename(filepath.Join(filepath.Dir(other), name), filepath.Join(filepath.Dir(config), name)); err != nil {
			t.Fatal(err)
		}
	}
	if code, text := runProbe(t, d); code != exitOK {
		t.Errorf("after its renewal: exit code %d, %s", code, text)
	}
}

// TestDaemonElsewhere: by --url, certificates are checked as usual.
func TestDaemonElsewhere(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	d := serveDaemon(t, secured(t, ca, "127.0.0.1", ""), healthy)
	address := "https://" + d.address
	if code, text := runProbe(t, daemon{config: "/nonexistent"}, "--url", address, "--ca-file", ca.File()); code != exitOK {
		t.Errorf("exit code %d, %s", code, text)
	}
	for name, args := range map[string][]string{
		"system's roots":   {"--url", address},
		"another issuer":   {"--url", address, "--ca-file", authority(t).File()},
		"another name":     {"--url", strings.Replace(address, "127.0.0.1", "localhost", 1), "--ca-file", ca.File()},
		"no certificate":   {"--url", address, "--ca-file", d.config},
		"password in it":   {"--url", "https://u:pw-canary@" + d.address, "--ca-file", ca.File()},
		"not an address":   {"--url", d.address, "--ca-file", ca.File()},
		"plain to TLS":     {"--url", "http://" + d.address},
		"no such key file": {"--url", address, "--ca-file", ca.File(), "--cert-file", ca.File(), "--key-file", "/nonexistent"},
	} {
		if code, text := runProbe(t, d, args...); code != exitError || strings.Contains(text, "canary") {
			t.Errorf("%s: exit code %d, %s", name, code, text)
		}
	}
}

// operator writes a client's certificate, which is its own authority, and key.
func operator(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "operator.crt"), filepath.Join(dir, "operator.key")
	for path, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func TestClientCertificate(t *testing.T) {
	t.Parallel()
	certFile, keyFile := operator(t)
	d := serveDaemon(t, secured(t, authority(t), "walshift", "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: "+certFile+"\n"), healthy)
	if code, text := runProbe(t, d); code != exitError {
		t.Errorf("without one: exit code %d, %s", code, text)
	}
	if code, text := runProbe(t, d, "--cert-file", certFile, "--key-file", keyFile); code != exitOK {
		t.Errorf("with one: exit code %d, %s", code, text)
	}
}

func TestPasswordOfTheDaemon(t *testing.T) {
	const hash = "$2a$04$MU4LrLVFDrBLobrPrMRkuOqlC04bWuHJPVI4DJenNLIY0eyVPZOlO" // bcrypt of pw-canary
	d := serveDaemon(t, secured(t, authority(t), "walshift", "basic_auth_users: {ops: \""+hash+"\"}\n"), healthy)
	if code, text := runProbe(t, d); code != exitError || !strings.Contains(text, envPassword) {
		t.Errorf("without a password: exit code %d, %s", code, text)
	}
	t.Setenv(envUser, "ops")
	t.Setenv(envPassword, "pw-canary")
	if code, text := runProbe(t, d); code != exitOK {
		t.Errorf("with a password: exit code %d, %s", code, text)
	}
	t.Setenv(envPassword, "wrong")
	if code, text := runProbe(t, d); code != exitError {
		t.Errorf("with a wrong one: exit code %d, %s", code, text)
	}
}

func TestWhereTheDaemonIs(t *testing.T) {
	t.Parallel()
	for listen, want := range map[string]string{
		":9465": "http://127.0.0.1:9465", "0.0.0.0:1": "http://127.0.0.1:1", "[::]:1": "http://[::1]:1", "10.0.0.7:1": "http://10.0.0.7:1",
		"walshift:1": "http://walshift:1", "": "", "nowhere": "",
	} {
		if got, _, err := (&clientFlags{}).target(httpSection{Listen: listen}); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", listen, got, err)
		}
	}
}

// TestWaitEndsWhenAskingIsHopeless: a wait for a daemon that restarts goes on,
// one without a password does not.
func TestWaitEndsWhenAskingIsHopeless(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := newWaitCommand(new(string))
	cmd.SetContext(ctx)
	calls := 0
	err := waitFor(cmd, func(string, time.Duration) ([]byte, int, error) {
		calls++
		if calls == 1 {
			return nil, 0, io.ErrUnexpectedEOF
		}
		return nil, 0, exitWith(exitError, io.ErrClosedPipe)
	}, 1, time.Hour)
	if calls != 2 || err == nil {
		t.Errorf("%d calls, %v", calls, err)
	}
}
