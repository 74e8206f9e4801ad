package redshift

import (
	"regexp"
	"strings"
	"sync"
	"time"
)

const (
	// historyKept is how many statements SYS_QUERY_HISTORY gains at once; older
	// ones that nobody asked for are forgotten.
	historyKept = 1000
	historyText = 4000
)

// historyRow is one row of SYS_QUERY_HISTORY.
type historyRow struct {
	user    string
	pid     int
	kind    string
	started time.Time
	took    time.Duration
	rows    int64
	sql     string
	err     error
}

// history keeps finished statements until a statement reads them, so that the
// usual run pays nothing for them.
type history struct {
	mu   sync.Mutex
	rows []historyRow
}

func (h *history) add(r historyRow) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.rows) == historyKept {
		h.rows = append(h.rows[:0], h.rows[historyKept/2:]...)
	}
	h.rows = append(h.rows, r)
}

func (h *history) take() []historyRow {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := h.rows
	h.rows = nil
	return out
}

// flushHistory writes what is kept to the table behind SYS_QUERY_HISTORY.
func (s *Server) flushHistory() error {
	for _, r := range s.history.take() {
		status, message := "success", ""
		if r.err != nil {
			status, message = "failed", clip(r.err.Error(), 512)
		}
		begin := r.started.UTC()
		us := r.took.Microseconds()
		err := s.record("INSERT INTO rs_internal.query_history VALUES ((SELECT oid::bigint::int FROM pg_roles WHERE rolname = $1),"+
			" $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $10, $11, $12, $13)",
			r.user, s.queries.Add(1), int64(r.pid), r.pid, s.database, r.kind, status, begin, begin.Add(r.took), us, message, r.rows, strings.ToValidUTF8(strings.ReplaceAll(maskKeys(r.sql), "\x00", ""), "?"))
		if err != nil {
			return err
		}
	}
	return nil
}

// maskKeys takes keys out of a statement: system views show them as empty.
func maskKeys(sql string) string {
	const secret = `(?is)\b(credentials|access_key_id|secret_access_key|session_token|master_symmetric_key)(\s+as)?\s*'(?:[^'\\]|\\.|'')*'`
	return regexp.MustCompile(secret).ReplaceAllString(sql, "$1 ''")
}
