package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/walshift/walshift/test/redshift"
	"github.com/walshift/walshift/test/redshift/grammar"
)

const shutdownLimit = 5 * time.Second

// options are the flags.
type options struct {
	cfg                         redshift.Config
	profile, logFile, cert, key string
	control, user, password     string
	grammar                     bool
}

func parse(args []string) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("rsstandin", flag.ContinueOnError)
	f.StringVar(&o.cfg.Backend, "backend", os.Getenv("RSSTANDIN_BACKEND"), "DSN of a superuser on a PostgreSQL 15 cluster; the database is created")
	f.StringVar(&o.cfg.Listen, "listen", "127.0.0.1:5439", "address to serve at")
	f.StringVar(&o.cfg.S3.Endpoint, "s3-endpoint", os.Getenv("AWS_ENDPOINT_URL"), "URL of the S3 server")
	f.StringVar(&o.cfg.S3.Region, "s3-region", os.Getenv("AWS_REGION"), "region")
	f.BoolVar(&o.cfg.S3.PathStyle, "s3-path-style", true, "address buckets by path")
	f.StringVar(&o.cfg.S3.AccessKey, "s3-access-key", os.Getenv("AWS_ACCESS_KEY_ID"), "access key")
	f.StringVar(&o.cfg.S3.Secret, "s3-secret-key", os.Getenv("AWS_SECRET_ACCESS_KEY"), "secret key")
	f.BoolVar(&o.cfg.S3.InsecureSkipVerify, "s3-insecure", false, "do not check the S3 server's certificate")
	f.StringVar(&o.profile, "profile", "none", "cost profile: none or ra3")
	f.StringVar(&o.logFile, "log", "", "file for one JSON line per statement")
	f.StringVar(&o.cert, "tls-cert", "", "certificate file")
	f.StringVar(&o.key, "tls-key", "", "key file")
	f.StringVar(&o.control, "control", "", "address of the HTTP control listener")
	f.StringVar(&o.user, "user", "", "login role to create")
	f.StringVar(&o.password, "password", os.Getenv("RSSTANDIN_PASSWORD"), "its password")
	f.BoolVar(&o.grammar, "grammar", true, "check statements by an independent grammar too")
	if err := f.Parse(args); err != nil {
		return nil, fmt.Errorf("parsing flags: %w", err)
	}
	if o.cfg.Backend == "" {
		return nil, errors.New("-backend is needed")
	}
	return o, nil
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, out io.Writer) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	switch o.profile {
	case "none":
	case "ra3":
		o.cfg.Profile = redshift.ProfileRA3()
	default:
		return fmt.Errorf("profile %q: none or ra3", o.profile)
	}
	if o.grammar {
		o.cfg.Grammar = grammar.Check
	}
	if o.cert != "" {
		pair, err := tls.LoadX509KeyPair(o.cert, o.key)
		if err != nil {
			return fmt.Errorf("loading certificate: %w", err)
		}
		o.cfg.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	if o.logFile != "" {
		w, err := os.OpenFile(o.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("opening log: %w", err)
		}
		defer w.Close() //nolint:errcheck // every line was written
		o.cfg.Log = jsonLog(w)
	}
	o.cfg.Faults = &redshift.Injector{}
	srv, err := redshift.Start(ctx, o.cfg)
	if err != nil {
		return err
	}
	//nolint:contextcheck // Close has limits of its own
	defer func() { err = errors.Join(err, srv.Close()) }()
	if o.user != "" {
		if err := srv.CreateUser(ctx, o.user, o.password); err != nil {
			return err
		}
	}
	address, stop, err := control(ctx, o.control, srv)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "%s\n%s\n", srv.Addr(), address); err != nil {
		return errors.Join(err, stop())
	}
	<-ctx.Done()
	return stop()
}

// control serves the injection API, if an address is given, and returns where.
func control(ctx context.Context, addr string, srv *redshift.Server) (string, func() error, error) {
	if addr == "" {
		return "", func() error { return nil }, nil
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return "", nil, fmt.Errorf("listening for control on %s: %w", addr, err)
	}
	h := &http.Server{Handler: srv.Control(), ReadHeaderTimeout: shutdownLimit}
	done := make(chan error, 1)
	go func() { done <- h.Serve(ln) }()
	return ln.Addr().String(), func() error {
		c, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownLimit)
		defer cancel()
		err := h.Shutdown(c)
		if served := <-done; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	}, nil
}

// jsonLog writes one line per statement, secrets in COPY masked.
func jsonLog(w io.Writer) func(redshift.Statement) {
	var mu sync.Mutex
	enc := json.NewEncoder(w)
	return func(s redshift.Statement) {
		mu.Lock()
		defer mu.Unlock()
		if up := strings.ToUpper(s.SQL); strings.Contains(up, "SECRET_ACCESS_KEY") || strings.Contains(up, "PASSWORD") {
			s.SQL = s.Kind + " (credentials)"
		}
		_ = enc.Encode(s)
	}
}
