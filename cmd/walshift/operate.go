package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"unicode"

	"github.com/walshift/walshift/replicator"
)

// What operators may ask of the daemon by POST. The answers are JSON.

// pauseRequest is the body of POST /pause.
type pauseRequest struct {
	Reason string `json:"reason"`
}

// pauseAnswer answers POST /pause and /unpause.
type pauseAnswer struct {
	Paused bool `json:"paused"`
	// Applying: a transaction is under way, and the pause begins at its end.
	Applying bool `json:"applying"`
}

// retryRequest is the body of POST /retry; no tables means all that are stopped.
type retryRequest struct {
	Tables []string `json:"tables"`
}

// retryAnswer answers POST /retry.
type retryAnswer struct {
	Tables []replicator.Retried `json:"tables"`
}

const (
	// maxRequest bounds what is read of a request.
	maxRequest = 1 << 20
	// maxPauseReason is the longest reason, in characters.
	maxPauseReason = 500
)

// serveOperators adds the requests that change something. Whom http.web_config
// lets in may send them.
func serveOperators(mux *http.ServeMux, r *replicator.Replicator) {
	handle := func(path string, serve func(req *http.Request) (any, error)) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, req *http.Request) {
			if fromBrowser(req) {
				http.Error(w, "browsers may not send this: use walshift"+strings.ReplaceAll(path, "/", " "), http.StatusForbidden)
				return
			}
			req.Body = http.MaxBytesReader(w, req.Body, maxRequest)
			answer, err := serve(req)
			if err == nil {
				writeJSON(w, http.StatusOK, answer)
				return
			}
			status := http.StatusServiceUnavailable
			if _, ok := errors.AsType[*requestError](err); ok {
				status = http.StatusBadRequest
			}
			if _, ok := errors.AsType[*replicator.UnknownTableError](err); ok {
				status = http.StatusNotFound
			}
			http.Error(w, err.Error(), status)
		})
	}
	handle("/pause", func(req *http.Request) (any, error) {
		var body pauseRequest
		if err := readRequest(req, &body); err != nil {
			return nil, err
		}
		err := r.Pause(req.Context(), plainText(body.Reason))
		return pauseAnswer{Paused: true, Applying: r.Applying()}, err
	})
	handle("/unpause", func(req *http.Request) (any, error) {
		err := r.Unpause(req.Context())
		return pauseAnswer{Applying: r.Applying()}, err
	})
	handle("/retry", func(req *http.Request) (any, error) {
		var body retryRequest
		if err := readRequest(req, &body); err != nil {
			return nil, err
		}
		tables, err := r.Retry(body.Tables)
		return retryAnswer{Tables: tables}, err
	})
}

// fromBrowser reports whether a page may be behind a request. Every browser
// sends Origin with a POST, and most Sec-Fetch-Site. A page could otherwise
// reach a daemon on its reader's machine, by its address or by a name that is
// made to lead there.
func fromBrowser(req *http.Request) bool {
	return len(req.Header.Values("Origin")) > 0 || req.Header.Get("Sec-Fetch-Site") != ""
}

// requestError reports a body that is not what it should be.
type requestError struct{ err error }

func (e *requestError) Error() string { return "reading the request: " + e.err.Error() }
func (e *requestError) Unwrap() error { return e.err }

// readRequest reads a JSON body; none is an empty one.
func readRequest(req *http.Request, into any) error {
	if req.ContentLength == 0 {
		return nil
	}
	dec := json.NewDecoder(req.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return &requestError{err}
	}
	return nil
}

// plainText makes one printable line of what somebody wrote: it is shown on
// terminals.
func plainText(s string) string {
	s = strings.ToValidUTF8(s, "?")
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if runes := []rune(s); len(runes) > maxPauseReason {
		s = string(runes[:maxPauseReason]) + "…"
	}
	return s
}
