package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/spf13/cobra"
)

// What the daemon's passwords are read from: command lines are seen by others.
const (
	envUser     = "WALSHIFT_HTTP_USER"
	envPassword = "WALSHIFT_HTTP_PASSWORD" //nolint:gosec // the variable's name
)

// clientFlags say how to reach a running daemon. Without any it is the one of
// the configuration, on this machine: its certificate is then compared with
// the file that it serves it from, whatever name and issuer it has.
type clientFlags struct {
	url, caFile, certFile, keyFile string
}

func (f *clientFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.url, "url", "", "ask a daemon elsewhere, for instance https://walshift.internal:9465 (default: as http.listen says)")
	cmd.Flags().StringVar(&f.caFile, "ca-file", "", "with --url: who issued the daemon's certificate (default: the system's roots)")
	cmd.Flags().StringVar(&f.certFile, "cert-file", "", "certificate to show, where http.web_config demands one")
	cmd.Flags().StringVar(&f.keyFile, "key-file", "", "key of --cert-file")
}

// config loads the configuration; what asks nothing but a daemon elsewhere
// does without.
func (f *clientFlags) config(path string) (fileConfig, error) {
	if f.url != "" {
		return fileConfig{}, nil
	}
	return loadConfig(path)
}

// ask gets a path from the daemon, and returns the answer and its HTTP status.
// An error that asking again can't mend carries an exit code.
func (f *clientFlags) ask(ctx context.Context, h httpSection, path string, limit time.Duration) ([]byte, int, error) {
	return f.call(ctx, h, path, nil, limit)
}

// call asks for a path or, with a body, posts that as JSON.
func (f *clientFlags) call(ctx context.Context, h httpSection, path string, post []byte, limit time.Duration) ([]byte, int, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	base, trust, err := f.target(h)
	if err != nil {
		return nil, 0, exitWith(exitUsage, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, http.NoBody)
	if post != nil {
		req, err = http.NewRequestWithContext(ctx, http.MethodPost, base+path, bytes.NewReader(post))
	}
	if err != nil {
		return nil, 0, fmt.Errorf("asking the daemon: %w", err)
	}
	if post != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if user := os.Getenv(envUser); user != "" {
		req.SetBasicAuth(user, os.Getenv(envPassword))
	}
	transport := &http.Transport{TLSClientConfig: trust}
	if f.url != "" {
		transport.Proxy = http.ProxyFromEnvironment
	}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return nil, 0, fmt.Errorf("asking the daemon at %s: %w (is `walshift run` up with this configuration?)", base, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusUnauthorized {
		return nil, 0, exitWith(exitError, fmt.Errorf("asking the daemon at %s: it wants a user and a password: set %s and %s",
			base, envUser, envPassword))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return nil, 0, fmt.Errorf("reading the daemon's answer: %w", err)
	}
	return body, resp.StatusCode, nil
}

// target returns the address to ask and, for https, whom to trust there.
func (f *clientFlags) target(h httpSection) (base string, trust *tls.Config, err error) {
	if f.url == "" {
		base, trust, err = own(h)
	} else {
		base, trust, err = f.elsewhere()
	}
	if err != nil || f.certFile == "" {
		return base, trust, err
	}
	if trust == nil {
		return "", nil, errors.New("--cert-file: the daemon speaks plain HTTP")
	}
	pair, err := tls.LoadX509KeyPair(f.certFile, f.keyFile)
	if err != nil {
		return "", nil, fmt.Errorf("reading --cert-file and --key-file: %w", err)
	}
	trust.Certificates = []tls.Certificate{pair}
	return base, trust, nil
}

// elsewhere returns the target of --url.
func (f *clientFlags) elsewhere() (string, *tls.Config, error) {
	u, err := url.Parse(f.url)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || (u.Scheme != "http" && u.Scheme != "https") {
		return "", nil, errors.New("--url: want http://host:port or https://host:port, without user and password")
	}
	base := u.Scheme + "://" + u.Host
	if u.Scheme == "http" {
		return base, nil, nil
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.caFile == "" {
		return base, trust, nil
	}
	roots, err := os.ReadFile(f.caFile)
	if err != nil {
		return "", nil, fmt.Errorf("reading --ca-file: %w", err)
	}
	trust.RootCAs = x509.NewCertPool()
	if !trust.RootCAs.AppendCertsFromPEM(roots) {
		return "", nil, fmt.Errorf("reading --ca-file %s: it holds no certificate", f.caFile)
	}
	return base, trust, nil
}

// own returns the target of the configuration's own daemon.
func own(h httpSection) (string, *tls.Config, error) {
	if h.Listen == "" {
		return "", nil, errors.New("http.listen is empty, so the daemon can't be asked")
	}
	host, port, err := net.SplitHostPort(h.Listen)
	if err != nil {
		return "", nil, fmt.Errorf("http.listen: %w", err)
	}
	switch ip := net.ParseIP(host); {
	case host == "" || ip != nil && ip.IsUnspecified() && ip.To4() != nil:
		host = "127.0.0.1"
	case ip != nil && ip.IsUnspecified():
		host = "::1"
	}
	address := net.JoinHostPort(host, port)
	leaf, err := servedCertificate(h.WebConfig)
	switch {
	case err != nil:
		return "", nil, err
	case leaf == nil:
		return "http://" + address, nil, nil
	}
	return "https://" + address, &tls.Config{
		MinVersion: tls.VersionTLS12,
		// Name and issuer prove nothing that the certificate itself does not:
		// it is in the daemon's own file.
		InsecureSkipVerify: true, //nolint:gosec // compared below
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 || !bytes.Equal(s.PeerCertificates[0].Raw, leaf) {
				return errors.New("what answers there shows another certificate than http.web_config names")
			}
			return nil
		},
	}, nil
}

// servedCertificate returns the certificate that the daemon serves, nil for
// plain HTTP. path is the file of http.web_config; names in it are relative to
// its folder.
func servedCertificate(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the file of http.web_config: %w", err)
	}
	values, err := yaml.Parser().Unmarshal(text)
	if err != nil {
		return nil, fmt.Errorf("reading the file of http.web_config: %w", plainYAML(err))
	}
	server, _ := values["tls_server_config"].(map[string]any)
	inline, _ := server["cert"].(string)
	name, _ := server["cert_file"].(string)
	chain := []byte(inline)
	switch {
	case inline == "" && name == "":
		return nil, nil
	case inline == "":
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(path), name)
		}
		if chain, err = os.ReadFile(name); err != nil { //nolint:gosec // the operator's own files name each other
			return nil, fmt.Errorf("reading cert_file of http.web_config: %w", err)
		}
	}
	for block, rest := pem.Decode(chain); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			return block.Bytes, nil
		}
	}
	return nil, errors.New("reading the certificate of http.web_config: it holds none")
}
