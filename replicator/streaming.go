package replicator

import (
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pglogrepl"
	"go.uber.org/zap"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/spool"
)

// DefaultSpoolDir is where transactions in progress are kept if nothing else is
// said.
const DefaultSpoolDir = "/var/lib/walshift"

// SpoolConfig says where transactions in progress are kept.
type SpoolConfig struct {
	// Dir is the folder; the pipeline has one of its own below it. "" is
	// DefaultSpoolDir if that can be used, and nothing if not; a folder that is
	// named must be usable.
	Dir string
	// Limit bounds the files, in bytes; 0: transactions in progress are not
	// asked for.
	Limit int64
}

// Folder returns the folder.
func (c SpoolConfig) Folder() string {
	if c.Dir == "" {
		return DefaultSpoolDir
	}
	return c.Dir
}

// streaming decides whether a session asks for transactions in progress, and
// owns the spool that they go to. What goes wrong with the spool never loses
// anything and never stops capture: the session ends, what is in the spool is
// dropped, and the next session goes without streaming, so that the server
// sends the same transactions again, each at its commit. status is safe for
// concurrent use; the rest belongs to Run and to capture, one after the other.
type streaming struct {
	cfg      SpoolConfig
	pipeline string
	log      *zap.Logger
	metrics  *Metrics
	// off is the position that must be staged before streaming is tried again.
	off pglogrepl.LSN

	mu    sync.Mutex
	spool *spool.Spool
	on    bool
	why   string // not on
}

// SpoolStatus is what status says of transactions in progress.
type SpoolStatus struct {
	// Streaming says that the source sends transactions that are in progress.
	Streaming bool `json:"streaming"`
	// Reason is why it does not.
	Reason string `json:"reason,omitempty"`
	// Bytes is the length of the files, Transactions their number.
	Bytes        int64 `json:"bytes"`
	LimitBytes   int64 `json:"limit_bytes"`
	Transactions int   `json:"transactions"`
}

func (s *streaming) status() SpoolStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := SpoolStatus{Streaming: s.on, Reason: s.why, LimitBytes: s.cfg.Limit}
	if s.spool != nil {
		u := s.spool.Usage()
		st.Bytes, st.Transactions = u.Bytes, u.Transactions
	}
	return st
}

// set notes whether transactions in progress are asked for, and says in the log
// why not, once per reason.
func (s *streaming) set(on bool, why string) {
	s.mu.Lock()
	news := why != s.why
	s.on, s.why = on, why
	s.mu.Unlock()
	if news && why != "" {
		s.log.Warn("streaming_off", zap.String("reason", why))
	}
}

// open opens the spool unless it is open or not wanted. Only a folder that was
// named and can't be used is an error; one that another process uses is not,
// for a predecessor may be about to end.
func (s *streaming) open() error {
	if s.spool != nil || s.cfg.Limit == 0 {
		return nil
	}
	sp, err := spool.Open(s.cfg.Folder(), s.pipeline, s.cfg.Limit)
	if err == nil {
		s.mu.Lock()
		s.spool = sp
		s.mu.Unlock()
		return nil
	}
	if s.cfg.Dir != "" && !errors.Is(err, spool.ErrLocked) {
		return &change.Fault{
			Scope: change.ScopeFatal, Code: change.CodeConfig, Op: "opening limits.spool_dir", Err: err,
			Remedy: "make the folder and give it to the daemon's user, or set limits.spool to 0 to do without",
		}
	}
	s.set(false, "the spool folder can't be used: "+err.Error())
	return nil
}

// ready returns an empty spool for a session that begins at the staged
// position, nil if it has to do without.
func (s *streaming) ready(staged pglogrepl.LSN) *spool.Spool {
	if s.cfg.Limit == 0 {
		s.set(false, "limits.spool is 0")
		return nil
	}
	if staged < s.off {
		return nil
	}
	if err := s.open(); err != nil { // it was usable once
		s.set(false, err.Error())
		return nil
	}
	if s.spool == nil {
		return nil
	}
	if err := s.spool.Reset(); err != nil {
		s.set(false, err.Error())
		return nil
	}
	return s.spool
}

// began notes whether the server streams.
func (s *streaming) began(wanted, on bool) {
	switch {
	case on:
		s.set(true, "")
	case wanted:
		s.set(false, "PostgreSQL streams transactions in progress from version 14 on")
	}
}

// fallBack gives up what is in the spool, and streaming until everything up to
// a position is staged.
func (s *streaming) fallBack(err error, until pglogrepl.LSN) {
	s.off = until
	s.metrics.fallbacks.Inc()
	s.set(false, fmt.Sprintf("until %s is staged, and then from the next reconnection on, the source keeps transactions in progress itself: %s",
		until, err.Error()))
	if err := s.spool.Reset(); err != nil {
		s.log.Warn("spool_not_emptied", zap.Error(err))
	}
}

// close gives the folder back.
func (s *streaming) close() {
	s.mu.Lock()
	sp := s.spool
	s.spool, s.on = nil, false
	s.mu.Unlock()
	if sp == nil {
		return
	}
	if err := sp.Close(); err != nil {
		s.log.Warn("spool_not_emptied", zap.Error(err))
	}
}

// spoolError ends a session whose spool can't go on, at a position of the
// stream.
type spoolError struct {
	err error
	at  pglogrepl.LSN
}

// Error implements error.
func (e *spoolError) Error() string { return "spooling a transaction in progress: " + e.err.Error() }

// Unwrap returns the cause.
func (e *spoolError) Unwrap() error { return e.err }
