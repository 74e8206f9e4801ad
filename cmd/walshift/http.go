package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/exporter-toolkit/web"
	"go.uber.org/zap"

	"github.com/walshift/walshift/replicator"
)

// server answers people, probes and Prometheus. No request costs the source
// or the warehouse a statement.
type server struct {
	http     *http.Server
	listener net.Listener
	config   string
}

// newServer returns nil when http.listen is empty.
func newServer(ctx context.Context, c httpSection, r *replicator.Replicator, reg *prometheus.Registry, log *zap.Logger) (*server, error) {
	if c.Listen == "" {
		return nil, nil //nolint:nilnil // no server is a valid choice
	}
	if err := checkWebConfig(c.WebConfig); err != nil {
		return nil, err
	}
	complaints, err := zap.NewStdLogAt(log.Named("http"), zap.WarnLevel) // of clients: handshakes that fail, and the like
	if err != nil {
		return nil, fmt.Errorf("making the HTTP server's log: %w", err)
	}
	l, err := listen(ctx, c.Listen)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, r.Status()) })
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if err := r.Healthy(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !r.Ready() {
			http.Error(w, "not ready: "+string(r.Status().Phase), http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /wait", func(w http.ResponseWriter, req *http.Request) { serveWait(w, req, r) })
	serveOperators(mux, r)
	return &server{
		http: &http.Server{
			Handler: mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: complaints,
			BaseContext: func(net.Listener) context.Context { return ctx },
		},
		listener: l, config: c.WebConfig,
	}, nil
}

// serveWait answers 200 when everything up to ?lsn= is applied, 409 when a
// table is stopped, 423 while apply or the first load rests unless ?through=1,
// 504 after ?timeout= (default and most 50 s: callers ask
// again, so that proxies don't cut the connection).
func serveWait(w http.ResponseWriter, req *http.Request, r *replicator.Replicator) {
	lsn, err := pglogrepl.ParseLSN(req.URL.Query().Get("lsn"))
	if err != nil {
		http.Error(w, "lsn: want a position such as 16/B374D848", http.StatusBadRequest)
		return
	}
	limit := 50 * time.Second
	if t := req.URL.Query().Get("timeout"); t != "" {
		d, err := time.ParseDuration(t)
		if err != nil || d <= 0 {
			http.Error(w, "timeout: want a duration such as 30s", http.StatusBadRequest)
			return
		}
		limit = min(limit, d)
	}
	ctx, cancel := context.WithTimeout(req.Context(), limit)
	defer cancel()
	err = r.WaitApplied(ctx, lsn, req.URL.Query().Get("through") == "1")
	_, stopped := errors.AsType[*replicator.NotLiveError](err)
	_, held := errors.AsType[*replicator.HeldError](err)
	status := http.StatusOK
	switch {
	case stopped:
		status = http.StatusConflict
	case held:
		status = http.StatusLocked
	case err != nil:
		status = http.StatusGatewayTimeout
	}
	writeJSON(w, status, r.Status())
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v) // the client may have gone
}

// serve answers until close. TLS and authentication come from http.web_config
// (the format of Prometheus' exporter-toolkit).
func (s *server) serve() error {
	err := web.Serve(s.listener, s.http, &web.FlagConfig{WebConfigFile: &s.config}, slog.New(slog.DiscardHandler))
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving HTTP: %w", err)
	}
	return nil
}

func (s *server) close() error { return s.http.Close() }
