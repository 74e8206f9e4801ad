package main

import (
	"errors"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
)

// secretsOf lists what must not be printed: the DSNs, their passwords as they
// are and as a URL writes them, their hosts.
func secretsOf(dsns ...string) ([]string, error) {
	var out []string
	for _, dsn := range dsns {
		if dsn == "" {
			continue
		}
		cfg, err := pgconn.ParseConfig(dsn)
		if err != nil {
			return nil, errors.New("a DSN can't be parsed (not shown, for it may hold a password): " +
				"give postgres://user:password@host:5439/database?sslmode=verify-full, with special characters percent-encoded")
		}
		out = append(out, dsn, cfg.Password, url.QueryEscape(cfg.Password), url.PathEscape(cfg.Password), cfg.Host)
		if u, err := url.Parse(dsn); err == nil && u.User != nil {
			out = append(out, strings.TrimPrefix(u.User.String(), u.User.Username()+":"))
		}
	}
	out = slices.DeleteFunc(out, func(s string) bool { return s == "" })
	slices.SortFunc(out, func(a, b string) int { return len(b) - len(a) }) // the longest first: they hold the others
	return out, nil
}

func redact(text string, secrets []string) string {
	for _, s := range secrets {
		text = strings.ReplaceAll(text, s, "***")
	}
	return text
}

// redactor keeps secrets out of what is written, each Write by itself. It is
// safe for concurrent use.
type redactor struct {
	mu      sync.Mutex
	w       io.Writer
	secrets []string
}

func (r *redactor) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := io.WriteString(r.w, redact(string(p), r.secrets)); err != nil {
		return 0, err
	}
	return len(p), nil
}
